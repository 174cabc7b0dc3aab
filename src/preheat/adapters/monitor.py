"""The curvature while a loop of your own trains: a plain one, Lightning's, or transformers' Trainer."""

from __future__ import annotations

import csv
import importlib
import math
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from preheat.adapters.curvature import Curvature, check_tol, largest
from preheat.adapters.loss_graph import LossGraph, loss_graph, trained, untouched
from preheat.adapters.losses import LossFn, check_loss
from preheat.adapters.picture import RAW, SCALED, picture
from preheat.adapters.preconditioners import preconditioner, threshold
from preheat.adapters.processes import bare, reduced
from preheat.adapters.trackers.rows import rows_told
from preheat.core.errors import UserError

Row = dict[str, float]
_ROOM = 0.8  # of the share: the rest is for what no clock here sees, such as garbage that is collected later
_AFRESH = 10  # every so many measurements begin without the last vector


class CurvatureMonitor:
    """Measures the sharpness on one batch, as often as `share` of the training time allows.

    loss_fn, batch: as for `sharpness`; the batch is the same all along, and moved to the model's device.
    preconditioned: also that of P^-1/2 H P^-1/2, which needs the optimizer. every: the fewest updates between
    two measurements; it waits longer where it took more than `share` of what training took, of the time or of
    the processor's time. The first measurement is at the first call, whatever it takes. tol: as for
    `sharpness`. Nine measurements in ten begin with the last vector and some noise, the tenth without. Where
    the loss is not finite the row holds NaN. Under DDP every process steps its monitor, never one alone. When
    it measures depends on the machine's speed, what training does never. Errors: UserError.

    rows: one dict for each measurement: update (how many were done), loss and sharpness on the batch, its
    error, the products it took, the threshold above which a quadratic loss diverges, NaN where the optimizer
    has none known, the largest lr of the optimizer's groups, seconds; preconditioner_min, P's smallest entry.

    >>> from torch import nn, optim
    >>> model, x = nn.Linear(1, 1, bias=False), torch.tensor([[1.0], [3.0]])
    >>> loss_fn = lambda model, x: model(x).square().mean()
    >>> optimizer, monitor = optim.SGD(model.parameters(), lr=0.01), CurvatureMonitor(loss_fn, x)
    >>> loss_fn(model, x).backward()
    >>> optimizer.step()
    >>> row = monitor.step(model, optimizer)
    >>> row["update"], round(row["sharpness"], 4), row["lr"]
    (1, 10.0, 0.01)
    """

    def __init__(
        self,
        loss_fn: LossFn,
        batch: Any,
        *,
        preconditioned: bool = False,
        every: int = 1,
        share: float = 0.1,
        tol: float = 1e-2,
    ) -> None:
        check_loss(loss_fn, batch, order="write CurvatureMonitor(loss_fn, batch)")
        check_tol(tol)
        if not isinstance(every, int | float) or every < 1 or every != int(every):
            raise UserError(
                f"every must be a whole number of updates from 1 on, got {every!r}: write every=10"
            )
        if not isinstance(share, int | float) or not 0 < share <= 1:
            raise UserError(f"share must be above 0 and at most 1, got {share!r}: write share=0.1")
        self.loss_fn, self.batch, self.preconditioned = loss_fn, batch, preconditioned
        self.every, self.share, self.tol = every, share, tol
        self.rows: list[Row] = []
        self.updates, self._due = 0, 1
        self._before = 0  # updates without this monitor
        self._begun: tuple[float, float] | None = None
        self._spent, self._recent = (0.0, 0.0), list[tuple[float, float]]()
        self._vectors: dict[str, Mapping[str, Tensor]] = {}
        self.told: Callable[[Row], None] | None = None

    def __getattr__(self, name: str) -> Any:
        hook = ": write callbacks=[monitor.lightning()], or .trainer()" if name.startswith("on_") else ""
        raise AttributeError(f"a CurvatureMonitor has no attribute {name!r}{hook}")

    def step(self, model: Any, optimizer: Any = None) -> Row | None:
        """Call it after each update; the row if it measured. optimizer: its lr is in the row, and its P where
        `preconditioned`."""
        return self._step(*bare(model), optimizer)

    def _step(self, model: nn.Module, group: Any, optimizer: Any) -> Row | None:
        begun = self._begun = _clocks() if self._begun is None else self._begun
        self.updates += 1
        if self.updates < self._due:
            return None
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        now = _clocks()
        trained = _less(_less(now, begun), self._spent)
        wait = _most(max(map(self._wait, trained, self._spent, self._dearest)), device, group)
        if wait:
            self._due = self.updates + wait
            return None
        row = self._measured(model, group, optimizer)
        took = _less(_clocks(), now)
        self._spent = (self._spent[0] + took[0], self._spent[1] + took[1])
        self._recent = [*self._recent, took][-_AFRESH:]
        self._due = self.updates + self.every
        self.rows.append({**row, "seconds": took[0]})
        if self.told:
            self.told(self.rows[-1])
        return self.rows[-1]

    def _goes_on(self, updates: int) -> None:
        """A run that goes on from a checkpoint has had so many."""
        if not self.updates:
            self._before = self.updates = updates

    @property
    def _dearest(self) -> tuple[float, float]:
        """What the longest of the last measurements took: the next may begin without a vector, as one did."""
        wall, used = zip(*self._recent or [(0.0, 0.0)], strict=True)
        return max(wall), max(used)

    def _wait(self, trained: float, spent: float, next_: float) -> int:
        """The updates until another measurement fits into the share; seconds by one clock: of training, of
        all measurements, of the next one."""
        lacking = (spent + next_) / (self.share * _ROOM) - trained if self.rows else 0.0
        if lacking <= 0:
            return 0
        seen = self.updates - self._before
        each = trained / max(seen - 1, 1)  # the first call begins the clock
        return seen if lacking >= each * seen else math.ceil(lacking / each)

    def _measured(self, model: nn.Module, group: Any, optimizer: Any) -> Row:
        if self.preconditioned and optimizer is None:
            raise UserError("preconditioned=True needs the optimizer, got none: write step(model, optimizer)")
        params = trained(model, optimizer if self.preconditioned else None)
        self.batch = _moved(self.batch, next(iter(params.values())).device)
        with untouched(model, self.loss_fn):
            graph = loss_graph(model, self.loss_fn, self.batch, params, group=group)
            found = {RAW: self._largest(graph, RAW, None)}
            if self.preconditioned:
                fine = math.isfinite(graph.loss) and all(g.isfinite().all() for g in graph.grads.values())
                scale = preconditioner(optimizer, params, graph.grads) if fine else None
                least = min(
                    (float(p.min()) for p in (scale or {}).values()), default=1.0 if fine else math.nan
                )
                found[SCALED] = self._largest(graph, SCALED, scale) if scale else found[RAW]
                if not fine:
                    found[SCALED] = Curvature(math.nan)
        row: Row = {"update": self.updates, "loss": graph.loss}
        for name, one in found.items():
            prefix = "preconditioned_" if name == SCALED else ""
            row |= {name: float(one), f"{prefix}error": one.error, f"{prefix}products": one.products}
        limits = threshold(optimizer)
        row |= {"threshold": limits[0]}
        if self.preconditioned:
            row |= {"preconditioned_threshold": limits[1], "preconditioner_min": least}
        groups = getattr(optimizer, "param_groups", [])
        return {**row, "lr": max((float(g["lr"]) for g in groups), default=math.nan)}

    def _largest(self, graph: LossGraph, name: str, scale: Any) -> Curvature:
        if not math.isfinite(graph.loss):
            return Curvature(math.nan)
        count = len(self.rows)
        start = self._vectors.get(name, {}) if count % _AFRESH else {}
        fits = all(n in start and start[n].shape == p.shape for n, p in graph.params.items())
        found = largest(graph, scale, tol=self.tol, start=start if fits else None, seed=count)
        if math.isfinite(found):
            self._vectors[name] = found.vector
        return found

    def write_csv(self, path: str | Path) -> None:
        """The rows as a CSV file, with the names of the columns."""
        with Path(path).open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, [*self._rows()[0]])
            table.writeheader()
            table.writerows(self.rows)

    def figure(self) -> Any:
        """A matplotlib figure of the sharpness with its error and threshold, and of the rate, over updates:
        `monitor.figure().savefig("curvature.png")`."""
        return picture(self._rows())

    def _rows(self) -> list[Row]:
        if not self.rows:
            raise UserError("there must be a measurement, got none: call step(model, optimizer) in training")
        return self.rows

    def track(self, *trackers: str, project: str = "curvature", folder: str | Path = "trackers") -> Any:
        """Trackers, NAME or NAME:MODE, that are told each row: `with monitor.track("tensorboard"): ...`.

        One that fails is dropped with a note. Under DDP one process does this. folder: for local files.
        Errors: UserError for an unknown tracker or mode, and where its package is not installed.
        """
        told = {n: getattr(self, n) for n in ("preconditioned", "every", "share", "tol")}
        return rows_told(self, trackers, told, project=project, folder=Path(folder))

    def lightning(self) -> Any:
        """A Lightning callback that steps this monitor: `Trainer(callbacks=[monitor.lightning()])`. Its
        loss_fn may be `training_step` of this module."""
        seen = [0]

        def on_train_start(_: Any, trainer: Any, module: Any) -> None:
            seen[0] = trainer.global_step
            self._goes_on(seen[0])

        def on_train_batch_end(_: Any, trainer: Any, module: Any, *rest: Any) -> None:
            if trainer.global_step == seen[0]:
                return  # gradients are being accumulated
            seen[0], many = trainer.global_step, trainer.optimizers
            if self.preconditioned and len(many) != 1:
                raise UserError(
                    f"preconditioned=True needs one optimizer, got {len(many)}: step the monitor yourself, "
                    "with the optimizer that is meant"
                )
            self.batch = trainer.precision_plugin.convert_input(self.batch)  # as the loop's own
            self.step(trainer.strategy.model, many[0] if len(many) == 1 else None)

        return _subclass(
            ("lightning.pytorch", "pytorch_lightning"), "Callback", on_train_start, on_train_batch_end
        )

    def trainer(self) -> Any:
        """A callback for transformers' Trainer that steps this monitor: `Trainer(callbacks=[
        monitor.trainer()])`."""

        def on_train_begin(_: Any, args: Any, state: Any, control: Any, **given: Any) -> None:
            self._goes_on(state.global_step)

        def on_step_end(_: Any, args: Any, state: Any, control: Any, **given: Any) -> None:
            model, group = bare(given["model"])
            if args.world_size > 1:
                group = torch.distributed.group.WORLD
            self._step(model, group, given.get("optimizer"))

        return _subclass(("transformers",), "TrainerCallback", on_train_begin, on_step_end)


def training_step(module: Any, batch: Any) -> Any:
    """A LightningModule's own loss as a loss_fn; what it logs there is not logged again.

    Outside of Lightning's loop, so its precision is that of the parameters. Errors: UserError where the
    module steps its optimizers itself.
    """
    if not module.automatic_optimization:
        raise UserError(
            "training_step must not step optimizers, got automatic_optimization=False: write a "
            "loss_fn(module, batch) that returns the loss alone"
        )
    own = vars(module)
    held = {name: own[name] for name in ("log", "log_dict") if name in own}
    own.update(log=lambda *_, **__: None, log_dict=lambda *_, **__: None)
    try:
        return module.training_step(batch, 0)
    finally:
        del own["log"], own["log_dict"]
        own.update(held)


def _clocks() -> tuple[float, float]:
    """Seconds, and the processor's seconds: on a busy machine a short update waits more than it works."""
    return time.perf_counter(), time.process_time()


def _less(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    return a[0] - b[0], a[1] - b[1]


def _subclass(libraries: tuple[str, ...], base: str, *hooks: Any) -> Any:
    """An object of that base of the first library, one that is loaded first, with these hooks."""
    name = next((n for n in libraries if n in sys.modules), libraries[0])
    own = getattr(importlib.import_module(name), base)
    return type("CurvatureCallback", (own,), {hook.__name__: hook for hook in hooks})()


def _most(wait: int, device: torch.device, group: Any) -> int:
    """The largest of the processes' numbers, so that all measure at the same update."""
    if group is None:
        return wait
    together = torch.tensor(wait, device=device)
    reduced(together, torch.distributed.ReduceOp.MAX, group)
    return int(together)


def _moved(batch: Any, device: torch.device) -> Any:
    """The batch with its tensors on the device."""
    if isinstance(batch, Tensor):
        return batch.to(device)
    if type(batch) in (list, tuple):
        return type(batch)(_moved(part, device) for part in batch)
    if type(batch) is dict:
        return {name: _moved(part, device) for name, part in batch.items()}
    return batch.to(device) if hasattr(batch, "to") else batch
