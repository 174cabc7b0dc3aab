"""The benchmark's figures as Markdown tables."""

from __future__ import annotations

import argparse
import os
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from racers import Contender
from side_figures import AGREE, CHECKED_STEPS, FEW, MANY, Chosen, Memory, why
from workloads import Workload

PLAIN = Contender("plain PyTorch loop (a)", "plain", 1)
FUSED = Contender("plain loop, fused optimizer", "fused", 1)
PAIR = Contender("plain loop, 2 processes (b)", "plain", 2, lanes=2)
WORKERS = {1: "1 worker", 2: "2 workers"}


class Result(NamedTuple):
    """One workload: what the planner chose, and its contenders, by (for what, workers); every contender's
    rates by round."""

    work: Workload
    plans: Mapping[tuple[str, int], Chosen]
    planned: Mapping[tuple[str, int], Contender]
    rates: Mapping[Contender, list[float]]


def heading(title: str, *text: str) -> None:
    print(f"\n## {title}")
    if text:
        print("\n" + " ".join(text))


def spread(values: Iterable[float]) -> str:
    """median (least to greatest)"""
    some = list(values)
    return f"{statistics.median(some):.2f} ({min(some):.2f} to {max(some):.2f})"


def ratio(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Round by round."""
    return [a / b for a, b in zip(above, below, strict=True)]


def best(rates: Sequence[Sequence[float]]) -> list[float]:
    """The greatest of each round."""
    return [max(column) for column in zip(*rates, strict=True)]


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    print("\n| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")


def agreement(found: Mapping[Workload, Mapping[str, float]]) -> None:
    limit = f"Greatest difference from the plain loop's losses over {CHECKED_STEPS} float64 steps;"
    heading("The same training", limit, f"more than {AGREE:g} would have stopped here.")
    table(
        ("workload", "contender", "difference"),
        [(w, name, f"{d:.1e}") for w, ds in found.items() for name, d in ds.items()],
    )


def speeds(result: Result) -> None:
    print(f"\n### {result.work}")
    base = result.rates[PLAIN]
    rows = [
        (c.name, c.lanes, f"{statistics.median(v):,.0f}", spread(ratio(v, base)))
        for c, v in result.rates.items()
    ]
    table(("contender", "processes", "run-steps/s", "x the plain loop (a)"), rows)


def aims(results: Sequence[Result]) -> None:
    heading(
        "The aims",
        "Ratios of the rates above, round by round. Rates leave compiling out; the planner does not, see "
        "below.",
    )
    table(
        ("workload", "this", "over this", "ratio"),
        [row for r in results for row in _against_loops(r) + _against_jax(r)],
    )


def _against_loops(r: Result) -> list[tuple[object, ...]]:
    alone, any_loop = r.rates[PLAIN], best([r.rates[PLAIN], r.rates[FUSED], r.rates[PAIR]])
    rows: list[tuple[object, ...]] = []
    for (what, jobs), c in r.planned.items():
        rival, rates = ("(a)", alone) if jobs == 1 else ("the best of (a), fused, and (b)", any_loop)
        rows.append((r.work, f"planner, {what}, {WORKERS[jobs]}", rival, spread(ratio(r.rates[c], rates))))
    return rows


def _against_jax(r: Result) -> list[tuple[object, ...]]:
    mine, theirs = (
        [(c, v) for c, v in r.rates.items() if c.kind in kinds and c.lanes == 1]
        for kinds in (("ours",), ("jax", "scan"))
    )
    rows: list[tuple[object, ...]] = []
    for n in sorted({c.runs for c, _ in theirs}):
        first, second = (best([v for c, v in some if c.runs == n]) for some in (mine, theirs))
        rows.append(
            (
                r.work,
                f"our fastest, {n} together",
                f"JAX's fastest, {n} together",
                spread(ratio(first, second)),
            )
        )
    if theirs:
        first, second = (best([v for _, v in some]) for some in (mine, theirs))
        rows.append(
            (r.work, "our fastest, any number", "JAX's fastest, any number", spread(ratio(first, second)))
        )
    return rows


def planner(results: Sequence[Result]) -> None:
    heading(
        "What the planner chose, and why",
        "µs a run-step, as the planner measured them: how, in fleets of how many.",
    )
    rows = []
    for r in results:
        for (what, jobs), c in r.plans.items():
            tried = ", ".join(
                f"{realise} {size}: {1e6 * seconds:.0f}" for size, realise, seconds, _ in c.tried
            )
            size = f"fleets of {c.choice.size}" if c.choice.size > 1 else "alone"
            rows.append((r.work, what, jobs, f"{size}, {c.choice.realise}", tried, why(c)))
    if rows:
        table(("workload", "for", "workers", "choice", "tried", "why"), rows)
    else:
        print("\nThe planner can't yet measure on this device: left out.")


def first_steps(found: Mapping[tuple[Workload, str], tuple[float, float]]) -> None:
    heading(
        "Time to the first step",
        "Seconds from reading the data to the end of the first update, tracing and compilation included, "
        "imports of torch and",
        "JAX left out; each in a process of its own. Cold: the compilers' caches on disk are empty. Warm: a "
        "second process.",
    )
    rows = [(work, name, f"{cold:.2f}", f"{warm:.2f}") for (work, name), (cold, warm) in found.items()]
    table(("workload", "contender", "cold, s", "warm, s"), rows)


def memories(found: Mapping[tuple[Workload, str], tuple[Memory, int | None]], device: str) -> None:
    what = "the device's memory" if device.startswith("cuda") else "resident memory of a process"
    heading(
        "Memory",
        f"State: weights, statistics and optimizer. Peak: of {what} after an epoch, with {FEW} and with "
        f"{MANY} runs",
        "together (the plain loop: one). The difference is what one more run adds: state, gradients, rows, "
        "losses, and what a",
        "step or an evaluation keeps.",
    )
    rows = []
    for (work, name), (m, planned) in found.items():
        each = "one run at a time" if m.each is None else f"{m.each / 1024:,.0f}"
        many = "" if m.many is None else f"{m.many / 2**20:,.0f}"
        estimate = "" if planned is None else f"{planned / 1024:,.0f}"
        rows.append((work, name, f"{m.state / 1024:,.0f}", f"{m.few / 2**20:,.0f}", many, each, estimate))
    peaks = (f"peak of {FEW}, MiB", f"peak of {MANY}, MiB")
    table(
        (
            "workload",
            "contender",
            "state, KiB a run",
            *peaks,
            "difference, KiB a run",
            "planner's estimate, KiB a run",
        ),
        rows,
    )


def machine(args: argparse.Namespace) -> None:
    """The machine and the versions."""
    name = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as file:
            name = next((text.split(":")[1].strip() for text in file if text.startswith("model name")), name)
    if args.device.startswith("cuda"):
        import torch

        name += f", {torch.cuda.get_device_name()}"
    packages = [f"{p} {_version(p)}" for p in ("preheat", "torch", "jax", "numpy")]
    print(
        f"{name}, {os.cpu_count()} cores; {platform.system()}, Python {platform.python_version()}, "
        f"{', '.join(packages)}."
    )
    how = f"batch {args.batch}, {args.rounds} rounds, {args.seconds:g} s a measurement, one thread a process"
    print(f"Device {args.device}; {how}. Load average before: {load()}.")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def load() -> str:
    return " ".join(f"{x:.2f}" for x in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"
