"""What a user's task, optimizer or probe must not do, each looked at once: else a run would differ from
itself, or a record would hold something else than it says."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.utils import _pytree as pytree

from preheat.core.errors import UserError
from preheat.core.spec import Spec
from preheat.engine.keys import generator
from preheat.optim.base import Optimizer, functions
from preheat.tasks.base import Data, Task, losses

Tensors = dict[str, Tensor]
PARTS = ("train", "validation", "test")
KEYED = (
    "draw it in the task's noise(generator, batch), which is keyed by seed and step; dropout is nn.Dropout "
    "in a network that preheat.tasks.network.Network calls"
)


def drawn() -> tuple[Any, ...]:
    """Where torch's, numpy's and Python's global generators are."""
    state: Any = np.random.get_state(legacy=False)
    where = state["state"]
    return torch.get_rng_state().numpy().tobytes(), random.getstate(), where["key"].tobytes(), where["pos"]


@contextmanager
def drawing_nothing(what: str, advice: str) -> Iterator[None]:
    """Errors: UserError where a global generator is used within."""
    before = drawn()
    yield
    if drawn() != before:
        raise UserError(f"{what} draws random numbers, so a run would not repeat itself: {advice}")


def checked_data(name: str, task: Task) -> Data:
    """The task's data: tensors of as many examples as it says, floats finite."""
    data = task.data()
    if (
        not isinstance(data, tuple)
        or len(data) != len(PARTS)
        or not all(isinstance(p, Mapping) for p in data)
    ):
        raise UserError(
            f"data() of task {name!r} must give Data(train, validation, test), each {{name: tensor}}, got "
            f"{type(data).__name__}"
        )
    for part, tensors in zip(PARTS, data, strict=True):
        sizes = {n: len(t) for n, t in tensors.items() if isinstance(t, Tensor) and t.dim()}
        if len(sizes) != len(tensors) or len(set(sizes.values())) != 1:
            told = {
                n: list(t.shape) if isinstance(t, Tensor) else type(t).__name__ for n, t in tensors.items()
            }
            raise UserError(
                f"the {part} data of task {name!r} must be tensors with one row for each example, got {told}"
            )
        for n, t in tensors.items():
            if t.is_floating_point() and not bool(torch.isfinite(t).all()):
                raise UserError(
                    f"the {part} data of task {name!r} must be finite numbers, got others in {n!r}, first "
                    f"in row {_bad_row(t)}: leave such examples out, or fill them"
                )
    rows = len(next(iter(data[0].values())))
    found = task.subset(generator(0, "check"))
    if len(found) and int(found.max()) >= rows:
        raise UserError(
            f"task {name!r} trains on examples up to number {int(found.max()) + 1}, got data of {rows}: "
            f"examples must be at most {rows}"
        )
    return data


def _bad_row(t: Tensor) -> int:
    """The first row, counted from 0, with a number that is not finite."""
    return int((~torch.isfinite(t)).reshape(len(t), -1).any(1).nonzero()[0])


def check_task(name: str, task: Task, data: Data, count: int) -> None:
    """A loss, and what is evaluated, must not draw from a global generator, nor make a network.

    Looked at on `count` rows, with a seed of its own: the seed of a run may be one that can't be trained.
    """
    with (
        torch.random.fork_rng(devices=[]),
        drawing_nothing(f"task {name!r} in init", "take them from the generator that init is given"),
    ):
        params, buffers = task.init(generator(0, "check"))
    kind = next(iter(params.values())).dtype
    rows = task.subset(generator(0, "check"))[:count]
    batch = {n: t[rows] for n, t in data[0].items()} | (task.noise(generator(0, "check"), len(rows)) or {})
    given = {n: t.to(kind) if t.is_floating_point() else t for n, t in batch.items()}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        with drawing_nothing(f"task {name!r} in its loss", KEYED), _making_nothing(name):
            losses(task, lambda t: t)[0](params, buffers, given)
        off = "dropout must be off there, as nn.Dropout is: torch.nn.functional.dropout(x, p, self.training)"
        with drawing_nothing(f"task {name!r} in its statistics", off):
            task.statistics(params, buffers, given)


@contextmanager
def _making_nothing(name: str) -> Iterator[None]:
    built: list[str] = []
    watch = register_module_parameter_registration_hook(
        lambda module, parameter, _: built.append(type(module).__name__)
    )
    with watch:
        yield
        if built:
            raise UserError(
                f"task {name!r} builds a network in its loss ({built[0]}), so it would be another one at "
                "every step: give it by network(), or call it as preheat.tasks.network.Network does"
            )


def check_optimizer(spec: Spec, params: Tensors) -> None:
    """An update must give every parameter and its state back, as they were made."""
    what = f"optimizer {spec.name!r}"
    made: Optimizer = functions(spec)
    hyper = {n: torch.tensor(float(v)) for n, v in spec.options.items() if isinstance(v, float)}
    zeros = {n: torch.zeros_like(p) for n, p in params.items()}
    with torch.no_grad(), drawing_nothing(f"{what} in update", "an optimizer is a function of its arguments"):
        state = made.init(params)
        found = made.update(zeros, state, params, {**hyper, "lr": torch.tensor(0.0)})
    if not isinstance(found, tuple) or len(found) != 2:
        raise UserError(f"update of {what} must give (parameters, state), got {type(found).__name__}")
    for name, old, new in (("parameters", params, found[0]), ("state", state, found[1])):
        if (want := _form(old)) != (got := _form(new)):
            raise UserError(f"update of {what} must give the {name} in the form they had, {want}, got {got}")


def _form(tree: Any) -> Any:
    """Names, shapes and kinds of nested tensors."""
    return pytree.tree_map(lambda t: (str(t.dtype), list(t.shape)) if isinstance(t, Tensor) else t, tree)


class Watch:
    """What a probe must leave alone, and what it may give."""

    def __init__(self, name: str, kept: Any, lead: torch.Size) -> None:
        self.name, self.lead = name, lead
        self.kept = [t for t in pytree.tree_leaves(kept) if isinstance(t, Tensor)]
        self.versions = self._versions()

    def _versions(self) -> list[int]:
        return [t._version for t in self.kept]

    def check(self, values: Any, taken: Mapping[str, Tensor], reserved: Any) -> None:
        """Errors: UserError where the probe changed a tensor of the training, or gave something else than
        numbers under names of its own."""
        if self._versions() != self.versions:
            raise UserError(f"probe {self.name!r} changes the training: it must not change a tensor in place")
        if not isinstance(values, Mapping) or not values:
            raise UserError(f"probe {self.name!r} must give {{name: scalar}}, got {values!r:.60}")
        for n, value in values.items():
            scalars(f"probe {self.name!r}", n, value, self.lead)
            if n in taken or reserved(n):
                raise UserError(f"probe {self.name!r} measures {n!r}, which is recorded already: rename it")


def scalars(what: str, name: str, value: Any, lead: torch.Size) -> None:
    """Errors: UserError where a value is no scalar tensor (of each run)."""
    if not isinstance(value, Tensor) or value.shape != lead:
        own = value[0] if lead and isinstance(value, Tensor) and value.dim() else value
        raise UserError(f"{what} must give a scalar tensor for {name!r}, got {_shape(own)}")


def _shape(value: Any) -> Any:
    return list(value.shape) if isinstance(value, Tensor) else type(value).__name__
