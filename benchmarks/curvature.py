"""What the largest eigenvalue of a loss's Hessian costs: ours beside PyHessian, hessian-eigenthings, and
curvlinops with SciPy.

    python benchmarks/curvature.py                  about ten minutes; without a peer its rows are left out
    python benchmarks/curvature.py --quick          half a minute, to see that it works
    python benchmarks/curvature.py --device cuda    on a GPU; seconds are then of the wall

All contenders get the same models, batch and seeds, one after the other in shuffled order, each from many
random starts. The truth is Lanczos in float64. "Products to 1e-2": the fewest Hessian-vector products after
which the contender's value is within that share of the truth; then the whole call with that many is timed,
its set-up with it. So no contender's own stopping rule counts there; the table of defaults has those. Seconds
are CPU seconds of this process, which has one thread. On a busy machine: taskset -c 0 python benchmarks/...
"""

from __future__ import annotations

import argparse
import copy
import math
import os
import platform
import random
import statistics
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

import torch
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits
from torch import nn, optim

import curvature_racers as racers
import curvature_tracking as tracking
from curvature_racers import Default, Point, Racer, Tried
from preheat.adapters.curvature import sharpness

OURS = "preheat"
TARGETS = (1e-2, 1e-3)
EXAMPLES, FIRST, APART = 128, 20, 10  # the probe batch; updates before a warm start, and between two


class Timed(NamedTuple):
    """products: to each target, inf where it was not reached; seconds: of such a call, nan there."""

    products: dict[float, list[float]]
    seconds: dict[float, list[float]]


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def cnn() -> nn.Module:
    """With BatchNorm, in training mode: the eigenvalue largest in size may be negative."""

    def block(i: int, o: int) -> list[nn.Module]:
        return [nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU()]

    body = [*block(1, 8), *block(8, 16), nn.MaxPool2d(2), *block(16, 16), *block(16, 16)]
    return nn.Sequential(nn.Unflatten(1, (1, 8, 8)), *body, nn.Flatten(), nn.Linear(256, 10))


MODELS: dict[str, tuple[Callable[[], nn.Module], float, int]] = {  # with the rate and updates of its descent
    "MLP": (mlp, 0.1, 100),
    "CNN with BatchNorm": (cnn, 0.01, 20),
}


def digits(device: str) -> racers.Batch:
    x, y = load_digits(return_X_y=True)
    return torch.tensor(x / 16, dtype=torch.float32, device=device), torch.tensor(y, device=device)


def update(model: nn.Module, batch: racers.Batch, optimizer: optim.Optimizer) -> None:
    optimizer.zero_grad()
    racers.loss_fn(model, batch).backward()
    optimizer.step()


def cold_points(name: str, data: racers.Batch) -> dict[str, Point]:
    """At the start, and where gradient descent on the batch has gone."""
    make, rate, updates = MODELS[name]
    torch.manual_seed(0)
    model, batch = make().to(data[0].device), (data[0][:EXAMPLES], data[1][:EXAMPLES])
    out = {f"{name} at init": copy.deepcopy(model)}
    optimizer = optim.SGD(model.parameters(), lr=rate)
    for _ in range(updates):
        update(model, batch, optimizer)
    out[f"{name} after {updates} updates of gradient descent, rate {rate}"] = model
    return {what: Point(m, batch, racers.reference(m, batch)) for what, m in out.items()}


def warm_points(name: str, data: racers.Batch, count: int) -> list[Point]:
    """Every so many updates of mini-batch SGD, each with the vector of our measurement before it."""
    torch.manual_seed(0)
    model, batch = MODELS[name][0]().to(data[0].device), (data[0][:EXAMPLES], data[1][:EXAMPLES])
    optimizer, generator = optim.SGD(model.parameters(), lr=0.1), torch.Generator().manual_seed(0)
    out: list[Point] = []
    last = None
    for k in range(FIRST + count * APART + 1):
        if k >= FIRST and k % APART == 0:
            found = sharpness(model, racers.loss_fn, batch, start=last)
            if last is not None:
                here = copy.deepcopy(model)
                out.append(Point(here, batch, racers.reference(here, batch), dict(last.vector)))
            last = found
        rows = torch.randint(len(data[1]), (32,), generator=generator).to(data[0].device)
        update(model, (data[0][rows], data[1][rows]), optimizer)
    return out


def contenders() -> tuple[list[Racer], list[Default]]:
    """Those that are installed, and their calls with the settings they come with."""
    last = "power iteration by size, on our product"
    out = [
        Racer(OURS, racers.our_tries, racers.our_lanczos),
        Racer(last, lambda p, s: racers.counted(racers.power(p, s, racers.POWER)), racers.power),
        Racer("SciPy eigsh LA on our product, best setting", racers.eigsh_tries, racers.eigsh_on_ours),
    ]
    usual = [Default("preheat sharpness()", _ours)]
    if racers.installed("PyHessian"):
        one = lambda p, s, k: racers.pyhessian(p, s, maxIter=k, tol=0.0)  # noqa: E731
        out.append(Racer("PyHessian", racers.pyhessian_tries, one))
        usual.append(Default("PyHessian eigenvalues()", _pyhessian))
    if racers.installed("hessian-eigenthings"):
        lanczos = lambda p, s, k: racers.eigenthings(p, s, which="LA", max_iter=k)  # noqa: E731
        out.append(Racer("hessian-eigenthings lanczos LA", racers.eigenthings_tries, lanczos))
        usual.append(Default("hessian-eigenthings lanczos(k=1)", racers.eigenthings))
        twenty = lambda p, s: racers.eigenthings(p, s, which="LA", max_iter=20)  # noqa: E731
        usual.append(Default("hessian-eigenthings lanczos(k=1, which='LA', max_iter=20)", twenty))
    if racers.installed("curvlinops-for-pytorch"):
        name = "curvlinops + SciPy eigsh LA, best setting"
        out.append(Racer(name, racers.curvlinops_tries, racers.curvlinops))
        whole = lambda p, s: racers.curvlinops(p, s, (None, 0.0))  # noqa: E731
        usual.append(Default("curvlinops + eigsh(k=1, which='LA')", whole))
        usual.append(
            Default("curvlinops + eigsh(..., tol=1e-2)", lambda p, s: racers.curvlinops(p, s, (None, 1e-2)))
        )
    return out, usual


def _ours(point: Point, seed: int) -> tuple[float, int]:
    begin = racers.noise(dict(point.model.named_parameters()), seed)
    found = sharpness(point.model, racers.loss_fn, point.batch, start=begin)
    return float(found), found.products


def _pyhessian(point: Point, seed: int) -> tuple[float, int]:
    seen = racers.pyhessian_tries(point, seed, maxIter=100, tol=1e-3)
    return seen[-1].estimate, seen[-1].products


def clock(device: str) -> float:
    """CPU seconds of this process; on a GPU wall seconds, when it has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def fewest(tries: Iterable[Tried], truth: float, target: float) -> Tried | None:
    """The first that is near enough."""
    near = [t for t in tries if abs(t.estimate - truth) <= target * abs(truth)]
    return min(near, key=lambda t: t.products, default=None)


def race(some: Sequence[Racer], cases: Sequence[tuple[Point, int]], device: str) -> dict[str, Timed | str]:
    """{contender: what it took, case by case, or why it refused}. cases: (point, seed of the start)."""
    found: dict[str, Timed | str] = {
        r.name: Timed({t: [] for t in TARGETS}, {t: [] for t in TARGETS}) for r in some
    }
    for point, seed in cases:
        for racer in random.sample(some, len(some)):
            timed = found[racer.name]
            if isinstance(timed, str):
                continue
            try:
                tries = racer.tries(point, seed)
            except RuntimeError as error:
                found[racer.name] = f"refuses: {str(error).splitlines()[0]:.60}"
                continue
            for target in TARGETS:
                best = fewest(tries, point.truth, target)
                timed.products[target].append(best.products if best else math.inf)
                timed.seconds[target].append(_seconds(racer, point, seed, best, device))
    return found


def _seconds(racer: Racer, point: Point, seed: int, best: Tried | None, device: str) -> float:
    if best is None:
        return math.nan
    before = clock(device)
    racer.run(point, seed, best.setting)
    return clock(device) - before


def spread(values: Sequence[float]) -> str:
    """median (least to greatest); inf is "never"."""

    def word(x: float) -> str:
        return "never" if math.isinf(x) else f"{x:.3g}"

    return f"{word(statistics.median(values))} ({word(min(values))} to {word(max(values))})"


def show(title: str, found: dict[str, Timed | str]) -> None:
    head = "| contender | products to 1e-2 | to 1e-3 | ms to 1e-2 | to 1e-3 | ms / ours, 1e-2 | 1e-3 |"
    print(f"\n## {title}\n\n{head}\n" + "|---" * 7 + "|")
    base = found[OURS]
    for name, timed in found.items():
        if isinstance(timed, str) or isinstance(base, str):
            print(f"| {name} | {timed} |" + " |" * 5)
            continue
        cells = [spread(timed.products[t]) for t in TARGETS]
        cells += [_reached([s * 1e3 for s in timed.seconds[t]]) for t in TARGETS]
        pairs = [zip(timed.seconds[t], base.seconds[t], strict=True) for t in TARGETS]
        cells += [_reached([a / b for a, b in both]) for both in pairs]
        print(f"| {name} | " + " | ".join(cells) + " |")


def _reached(values: Sequence[float]) -> str:
    """The spread over the starts that got there."""
    some = [v for v in values if not math.isnan(v)]
    few = "" if len(some) == len(values) else f", n = {len(some)}"
    return f"{spread(some)}{few}" if some else "-"


def show_defaults(title: str, usual: Sequence[Default], point: Point, starts: int, device: str) -> None:
    head = "| call | products | relative error: median, largest | ms |"
    print(f"\n### {title}, as they come\n\n{head}\n" + "|---" * 4 + "|")
    rows: dict[str, list[tuple[float, float, float]]] = {u.name: [] for u in usual}
    refused: dict[str, str] = {}
    for seed in range(starts):
        for one in random.sample(usual, len(usual)):
            before = clock(device)
            try:
                value, products = one.run(point, seed)
            except RuntimeError as error:
                refused[one.name] = str(error).splitlines()[0][:60]
                continue
            taken = clock(device) - before
            rows[one.name].append((products, abs(value / point.truth - 1), taken * 1e3))
    for name, row in rows.items():
        if name in refused:
            print(f"| {name} | refuses: {refused[name]} | | |")
            continue
        products, errors, taken = zip(*row, strict=True)
        wrong = f"{statistics.median(errors):.1e}, {max(errors):.1e}"
        print(f"| {name} | {spread(products)} | {wrong} | {spread(taken)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="3 starts, the MLP, short training")
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5, help="of the overhead of tracking")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    args = parser.parse_args()
    starts, rounds = (3, 2) if args.quick else (args.starts, args.rounds)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    threadpool_limits(1)  # a waiting thread of NumPy's would count as CPU time
    random.seed(0)
    left = [f"{p} {_version(p)}" for p in ("torch", "scipy", *racers.PEERS)]
    load = " ".join(f"{x:.2f}" for x in os.getloadavg())
    print(
        f"Python {platform.python_version()}, {', '.join(left)}; {starts} starts, {args.device}, load {load}."
    )
    data, (some, usual) = digits(args.device), contenders()
    for name in list(MODELS)[: 1 if args.quick else None]:
        for what, point in cold_points(name, data).items():
            title = f"{what}: sharpness {point.truth:.3g}, n = {starts}"
            show(title, race(some, [(point, s) for s in range(starts)], args.device))
            show_defaults(what, usual, point, starts, args.device)
        points = warm_points(name, data, starts)
        cold = [(p._replace(before=None), s) for s, p in enumerate(points)]
        title = f"{name} from update {FIRST + APART} on, every {APART} updates, n = {len(points)}"
        show(f"{title}, cold", race(some, cold, args.device))
        show(f"{title}, warm", race(some[:3], [(p, s) for s, p in enumerate(points)], args.device))
    tracking.report(args.device, rounds, quick=args.quick)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    main()
