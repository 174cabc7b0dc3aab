"""Who races, and the processes they race in.

A lane is a process with one thread. Contenders of one process run in the first lane while the second is idle;
contenders of two processes run in both. While one measures, nobody else does anything.
"""

from __future__ import annotations

import multiprocessing
import os
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import cycle
from typing import Any, NamedTuple

from preheat.lab.plan import Choice, Unit, units
from workloads import Workload, runs_of

Kind = str
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


class Contender(NamedTuple):
    """kind: plain, fused, ours, jax or scan; runs: how many are to be trained; lanes: in how many
    processes."""

    name: str
    kind: Kind
    runs: int
    lanes: int = 1
    choice: Choice | None = None


def ours(size: int, realise: str) -> Contender:
    """Our engine at one placement, as many runs as fit in it."""
    name = f"preheat, {f'fleet of {size}' if size > 1 else 'alone'}, {realise}"
    return Contender(name, "ours", size, 1, Choice(size, realise, 0.0, 0.0, 0))


class Engine:
    """Units of work one after the other, as a worker of the lab trains them."""

    def __init__(self, todo: Sequence[Unit], device: str) -> None:
        self.todo, self.device = todo, device

    def steps(self) -> Iterator[int]:
        """One unit after the other, then all again."""
        from preheat.engine.loop import set_up, train
        from preheat.lab.measure import placement

        for unit in cycle(self.todo):
            self.setup = set_up(unit.runs, placement(unit.choice, self.device))
            for now in train(self.setup):
                self.now = now
                if now.step:
                    yield len(unit.runs)

    def wait(self) -> None:
        """Wait for the device."""
        from peers import torch_wait

        torch_wait(self.device)

    def losses(self) -> Any:
        """[R, steps taken]."""
        import numpy as np

        return np.atleast_2d(self.now.losses[..., : self.now.step].cpu().numpy())

    def state_bytes(self) -> float:
        """Bytes of the unit's parameters, statistics and optimizer state."""
        from torch.utils._pytree import tree_leaves

        return float(sum(t.numel() * t.element_size() for t in tree_leaves(self.setup.fleet.start)))


def trainer(who: Contender, work: Workload, lane: int = 0, **kind: Any) -> Any:
    """The contender's part in a lane, or None where it has none; kind: as for `runs_of`."""
    from peers import JaxFleet, PlainLoop
    from workloads import plain

    runs = runs_of(work, who.runs, **kind)
    if who.kind == "ours":
        assert who.choice is not None
        choice = who.choice
        mine = units(runs, lambda _: choice)[lane :: who.lanes]
        return Engine(mine, work.device) if mine else None
    part = runs[lane :: who.lanes]
    if not part:
        return None
    job = plain(part, work.device if who.kind in ("plain", "fused") else "cpu")
    return (
        JaxFleet(job, scan=who.kind == "scan")
        if who.kind in ("jax", "scan")
        else PlainLoop(job, fused=who.kind == "fused")
    )


def measure(kept: dict[Any, Any], who: Contender, work: Workload, lane: int, seconds: float) -> float:
    """Run-steps per second. The first time all shapes are traced; every time a fifth of `seconds` goes to
    warming up."""
    if (who, work) not in kept:
        made = trainer(who, work, lane)
        kept[who, work] = made, made and made.steps()
        if made:
            _taken(made, kept[who, work][1], lambda steps, _: steps >= _epoch(who, work))
    made, steps = kept[who, work]
    if made is None:
        return 0.0
    _taken(made, steps, lambda _, spent: spent >= seconds / 5)
    count, spent = _taken(made, steps, lambda _, spent: spent >= seconds)
    return count / spent


def _epoch(who: Contender, work: Workload) -> int:
    """Run-steps until every shape of a batch has been seen: one epoch of what is trained together."""
    together = who.runs if who.kind in ("jax", "scan") else 1
    if who.choice is not None:
        together = min(who.choice.size, who.runs)
    return together * runs_of(work, 1)[0].steps_per_epoch


def _taken(made: Any, steps: Iterator[int], enough: Callable[[int, float], bool]) -> tuple[int, float]:
    """(run-steps, seconds) until `enough(run-steps, seconds)`."""
    count, begun = 0, time.perf_counter()
    while not enough(count, time.perf_counter() - begun):
        count += next(steps)
    made.wait()
    return count, time.perf_counter() - begun


def forget(kept: dict[Any, Any]) -> None:
    """Drop the trainers of a workload that is done."""
    kept.clear()


def has_jax(kept: dict[Any, Any], device: str) -> str:
    """ "" if JAX can race on the device, else why not."""
    if find_spec("jax") is None:
        return "JAX is not installed (pip install jax): left out"
    import jax

    if device.startswith("cuda") and jax.default_backend() != "gpu":
        return f"JAX {jax.__version__} has no CUDA device here: left out"
    return ""


class Lane:
    """A process that calls functions. core: the one it is bound to, where the system can do that."""

    def __init__(self, core: int | None = None, env: dict[str, str] | None = None) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, core), daemon=False)
        with environment({**ONE_THREAD, **(env or {})}):
            self.process.start()
        theirs.close()

    def ask(self, function: Callable[..., Any], *args: Any) -> None:
        """Begin `function(kept, *args)` there; `kept` is the lane's memory."""
        self.pipe.send((function, args))

    def answer(self) -> Any:
        """What it returned."""
        good, value = self.pipe.recv()
        if not good:
            raise RuntimeError(value)
        return value

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Ask and wait."""
        self.ask(function, *args)
        return self.answer()

    def close(self) -> None:
        """End the process."""
        self.pipe.send(None)
        self.process.join(10)
        if self.process.is_alive():
            self.process.kill()


def _serve(pipe: Any, core: int | None) -> None:
    """A lane's life."""
    if core is not None:
        os.sched_setaffinity(0, {core})
    import torch

    torch.set_num_threads(1)
    kept: dict[Any, Any] = {}
    while (asked := pipe.recv()) is not None:
        function, args = asked
        try:
            pipe.send((True, function(kept, *args)))
        except Exception:
            pipe.send((False, traceback.format_exc()))


@contextmanager
def environment(new: dict[str, str]) -> Iterator[None]:
    """Environment variables that children started inside see."""
    old = {n: os.environ.get(n) for n in new}
    os.environ.update(new)
    try:
        yield
    finally:
        for name, value in old.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
