"""What does a schedule cost? One step(), a whole table, and the import, beside the libraries one would use
instead.

    python benchmarks/schedules.py            about two minutes; libraries that are not installed are left out
    python benchmarks/schedules.py --quick    half a minute, to see that it works

Each round measures every contender once, in shuffled order, in this one process; the best of a few
repetitions is a round's figure. Printed are the median over the rounds (least to greatest), and the ratio to
ours within a round. Imports are timed in fresh processes, interleaved. Peers step as their users do; ours are
the torch adapter's step() and a resolved schedule's table(). "Floor" is the least any Python code can do: a
rate from a list, written to each group.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import math
import os
import platform
import random
import statistics
import subprocess
import sys
import time
import types
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import torch
from torch.optim import lr_scheduler as peers

from preheat.adapters.torch import ScheduleLR
from preheat.core.between import Between
from preheat.schedules import cosine, one_cycle, rate, wsd

TOTAL, WARMUP = 100_000, 5_000
OURS = "preheat"
Racer = Callable[[], object]


def optimizer(groups: int, *, tensor: bool = False) -> torch.optim.Optimizer:
    """Groups of one number each, every one with a rate of its own."""
    rates = [1e-3 * (1 + i / groups) for i in range(groups)]
    own = [torch.tensor(r) if tensor else r for r in rates]
    made = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": r} for r in own]
    return torch.optim.AdamW(made, lr=torch.tensor(1e-3) if tensor else 1e-3, capturable=tensor)


def shape(k: int) -> float:
    """Warmup and cosine as a user writes it for LambdaLR."""
    return min(k / WARMUP, 0.5 * (1 + math.cos(math.pi * (k - WARMUP) / (TOTAL - WARMUP)))) if k else 0.0


def sequential(made: torch.optim.Optimizer) -> Any:
    parts = [peers.LinearLR(made, 1e-3, 1.0, WARMUP), peers.CosineAnnealingLR(made, TOTAL - WARMUP)]
    return peers.SequentialLR(made, parts, [WARMUP])


def timm() -> Any:
    """timm's schedulers; its top module needs torchvision, its schedulers don't."""
    if "timm" not in sys.modules:
        found = PathFinder.find_spec("timm")
        if found is None or not found.submodule_search_locations:
            raise ImportError("timm")
        bare = types.ModuleType("timm")
        bare.__path__ = list(found.submodule_search_locations)
        sys.modules["timm"] = bare
    return importlib.import_module("timm.scheduler")


def ours(schedule: Any, groups: int, count: str = "calls", tensor: bool = False, also: Any = None) -> Racer:
    """The adapter's step(); counting updates, it is told before each that one was done."""
    scheduler = ScheduleLR(optimizer(groups, tensor=tensor), schedule, TOTAL, count=count, also=also)
    if count == "calls":
        return scheduler.step
    updates, step = scheduler._updates, scheduler.step

    def counted() -> None:
        updates.done = 1
        step()

    return counted


def stepping(groups: int, tensor: bool = False) -> dict[str, Callable[[], Racer]]:
    """{contender: a maker of its step}."""
    warm = cosine(warmup=WARMUP)

    def of(make: Callable[[torch.optim.Optimizer], Any]) -> Callable[[], Racer]:
        return lambda: make(optimizer(groups, tensor=tensor)).step

    found: dict[str, Callable[[], Racer]] = {
        OURS: lambda: ours(warm, groups, tensor=tensor),
        "torch CosineAnnealingLR": of(lambda o: peers.CosineAnnealingLR(o, TOTAL)),
        "torch LambdaLR": of(lambda o: peers.LambdaLR(o, shape)),
    }
    if tensor:
        return found | {"floor: fill_ each": lambda: floor(groups, tensor=True)}
    beta1 = {"beta1": Between(one_cycle(), 0.95, 0.85)}
    found |= {
        "preheat, counting updates": lambda: ours(warm, groups, "updates"),
        "preheat wsd": lambda: ours(wsd(warmup=WARMUP), groups),
        "floor: a list, a product each": lambda: floor(groups),
        "torch SequentialLR": of(sequential),
        "torch OneCycleLR, the rate alone": of(lambda o: one_cycle_lr(o, cycle_momentum=False)),
        "torch OneCycleLR, with beta1": of(one_cycle_lr),
        "preheat, with beta1": lambda: ours(one_cycle(), groups, also=beta1),
        "preheat, ten schedules": lambda: ours([cosine(warmup=10 + i % 10) for i in range(groups)], groups),
        "preheat, floors as rates": lambda: ours(cosine(final=rate(1e-6)), groups),
    }
    return found | installed(groups, of)


def one_cycle_lr(o: torch.optim.Optimizer, **options: Any) -> Any:
    """torch's."""
    return peers.OneCycleLR(o, 1e-3, TOTAL, **options)


def installed(groups: int, of: Callable[..., Callable[[], Racer]]) -> dict[str, Callable[[], Racer]]:
    """The contenders of other libraries, where they are installed."""
    found: dict[str, Callable[[], Racer]] = {}
    with suppress(ImportError):
        transformers = importlib.import_module("transformers.optimization")
        found["transformers cosine"] = of(lambda o: transformers.get_scheduler("cosine", o, WARMUP, TOTAL))
    with suppress(ImportError):
        scheduler = timm()

        def made() -> Racer:
            one = scheduler.CosineLRScheduler(optimizer(groups), TOTAL, warmup_t=WARMUP, t_in_epochs=False)
            clock = iter(range(10**9))
            return lambda: one.step_update(next(clock))

        found["timm cosine"] = made
    return found


def floor(groups: int, tensor: bool = False) -> Racer:
    """Rates from a list, and nothing else."""
    made = optimizer(groups, tensor=tensor).param_groups
    bases = [float(g["lr"]) for g in made]
    table = cosine(warmup=WARMUP).resolve(TOTAL).table().tolist()
    clock = iter(range(10**9))

    def step() -> None:
        factor = table[next(clock) % TOTAL]
        for group, base in zip(made, bases):  # noqa: B905 -- the keyword costs, and this is the floor
            group["lr"] = base * factor

    def fill() -> None:
        factor = table[next(clock) % TOTAL]
        for group, base in zip(made, bases, strict=True):
            group["lr"].fill_(base * factor)

    return fill if tensor else step


def race(
    racers: Mapping[str, Callable[[], Racer]], rounds: int, *, calls: int, repeats: int = 5
) -> dict[str, list[float]]:
    """{contender: seconds of a call, by round}; the least of `repeats` means over `calls`."""
    ready = {name: make() for name, make in racers.items()}
    found: dict[str, list[float]] = {name: [] for name in racers}
    order = list(racers)
    gc.disable()
    for _ in range(rounds):
        random.shuffle(order)
        for name in order:
            call = ready[name]
            best = math.inf
            for _ in range(repeats):
                begin = time.perf_counter()
                for _ in range(calls):
                    call()
                best = min(best, (time.perf_counter() - begin) / calls)
            found[name].append(best)
    gc.enable()
    return found


def tables(steps: int) -> dict[str, Callable[[], Racer]]:
    """{contender: a maker of what evaluates `steps` steps}. Peers go step by step: they have no other way."""

    def through(make: Callable[[torch.optim.Optimizer], Any]) -> Racer:
        def run() -> None:
            made = optimizer(1)
            scheduler, group, rates = make(made), made.param_groups[0], np.empty(steps)
            for k in range(steps):
                rates[k] = group["lr"]
                scheduler.step()

        return run

    found: dict[str, Callable[[], Racer]] = {
        OURS: lambda: cosine(warmup=WARMUP).resolve(steps).table,
        "preheat wsd": lambda: wsd(warmup=WARMUP).resolve(steps).table,
        "torch SequentialLR": lambda: through(sequential),
        "torch LambdaLR": lambda: through(lambda o: peers.LambdaLR(o, shape)),
    }
    with suppress(ImportError):
        transformers = importlib.import_module("transformers.optimization")
        theirs = transformers.get_scheduler
        found["transformers cosine"] = lambda: through(lambda o: theirs("cosine", o, WARMUP, TOTAL))
    with suppress(ImportError):
        scheduler = timm()

        def made() -> Racer:
            one = scheduler.CosineLRScheduler(optimizer(1), TOTAL, warmup_t=WARMUP, t_in_epochs=False)
            return lambda: [one._get_lr(k)[0] for k in range(steps)]

        found["timm cosine, its private _get_lr"] = made
    return found


IMPORTS = {
    "preheat": "from preheat.schedules import cosine; cosine(warmup=0.05).resolve(1000).table()",
    "preheat.schedules alone": "import preheat.schedules",
    "numpy": "import numpy",
    "torch.optim.lr_scheduler": "import torch.optim.lr_scheduler",
    "transformers.optimization": "import transformers.optimization",
    "optax": "import optax",
}
_TIMED = "import time; a = time.perf_counter(); {}; print(time.perf_counter() - a)"


def imports(rounds: int) -> dict[str, list[float]]:
    """{module: seconds, by round}, each in a fresh process; modules that are not installed are left out."""
    found: dict[str, list[float]] = {name: [] for name in IMPORTS}
    for _ in range(rounds + 1):  # the first fills the file cache
        for name in list(found):
            done = subprocess.run(
                [sys.executable, "-W", "ignore", "-c", _TIMED.format(IMPORTS[name])],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                del found[name]
            else:
                found[name].append(float(done.stdout.split()[-1]))
    return {name: seconds[1:] for name, seconds in found.items()}


def show(title: str, found: Mapping[str, Sequence[float]], unit: str, scale: float, ours: str = OURS) -> None:
    """A Markdown table: median (least to greatest), and the ratio to ours within a round."""
    print(f"\n## {title}\n\n| contender | {unit} | ratio to {ours} |\n|---|---|---|")
    for name, seconds in found.items():
        ratios = [a / b for a, b in zip(seconds, found[ours], strict=True)]
        print(f"| {name} | {spread([s * scale for s in seconds])} | {spread(ratios)} |")


def spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="3 rounds, no table of a million steps")
    args = parser.parse_args()
    rounds = 3 if args.quick else args.rounds
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    random.seed(0)
    packages = [f"{p} {_version(p)}" for p in ("torch", "numpy", "transformers", "timm", "optax")]
    load = " ".join(f"{x:.2f}" for x in os.getloadavg())
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, {', '.join(packages)}; {rounds} "
        f"rounds, load before {load}."
    )
    for groups in (1, 100):
        found = race(stepping(groups), rounds, calls=2000 if groups == 1 else 200)
        show(f"One step(), {groups} parameter group{'s' if groups > 1 else ''}", found, "us", 1e6)
    found = race(stepping(100, tensor=True), rounds, calls=20)
    show("One step(), 100 groups, tensor rates", found, "us", 1e6)
    found = race(tables(100_000), rounds if args.quick else 3, calls=1, repeats=1)
    show("A table of 100,000 steps", found, "ms", 1e3)
    if not args.quick:
        show("A table of 1,000,000 steps", race(tables(1_000_000), 1, calls=1, repeats=1), "ms", 1e3)
    show("Import, and the first table of ours", imports(rounds), "s", 1.0, OURS)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    main()
