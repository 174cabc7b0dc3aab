"""Run-steps per second of the study's own workloads: fleets, plain loops, two processes, JAX.

    python benchmarks/fleet.py > out.md           about half an hour on 2 quiet cores
    python benchmarks/fleet.py --quick            a minute, to see that it works; its figures mean little
    python benchmarks/fleet.py --device cuda      the same on a GPU

A run-step is one update of one run. First it is checked that all train the same thing. Then, for each workload, rounds over all
contenders in shuffled order, each warmed up before it is timed; every process has one thread and, on Linux, one core of
its own. Ratios are to the plain loop in the same round: median (least to greatest). The tables are Markdown.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

from preheat.lab.plan import Choice
from racers import Contender, Lane, forget, has_jax, measure, ours
from side_figures import AGREE, CHECKED_STEPS, FEW, MANY, Chosen, check, chosen, cold_and_warm, estimate, memory, why
from workloads import Workload

PLAIN = Contender("plain PyTorch loop (a)", "plain", 1)
FUSED = Contender("plain loop, fused optimizer", "fused", 1)
PAIR = Contender("plain loop, 2 processes (b)", "plain", 2, lanes=2)
STUDY = "the study's runs"
Rates = dict[Contender, list[float]]


class Result(NamedTuple):
    """One workload: what the planner chose by (for what, jobs), and every contender's rates by round."""

    work: Workload
    plans: dict[tuple[str, int], Chosen]
    rates: Rates
    planned: dict[tuple[str, int], Contender]


def note(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def contenders(args: argparse.Namespace, work: Workload, jax: bool) -> list[Contender]:
    """All but the planner's."""
    out = [PLAIN, FUSED, PAIR, *(ours(1, r) for r in ("eager", "traced", "compiled"))]
    out += [ours(n, r) for n in args.runs if n > 1 for r in ("traced", "compiled")]
    if jax:
        out += [Contender(f"JAX vmap + jit, {n} together", "jax", n) for n in args.runs]
    if jax and (work.model == "mlp" or args.device != "cpu"):
        out += [Contender(f"JAX the same in lax.scan, {n} together", "scan", n) for n in args.runs]
    return [c for c in out if not args.quick or c.choice is None or c.choice.realise != "compiled" or work.model == "mlp"]


def plan(args: argparse.Namespace, work: Workload, lane: Lane) -> tuple[dict[Any, Chosen], dict[Any, Contender]]:
    """What the planner chooses for each number of runs and for the study, on one worker and on two."""
    plans, racing = {}, {}
    for n in [*args.runs, None]:
        for jobs in (1, 2):
            if n == 1 and jobs == 2:
                continue
            found = lane.call(chosen, work, n, jobs)
            if found is None:
                continue
            what = f"{n} run{'s' * (n > 1)}" if n else STUDY
            plans[what, jobs] = found
            name = f"planner, {what}" + ", 2 workers" * (jobs == 2)
            plain_choice = Choice(found.choice.size, found.choice.realise, 0.0, 0.0, 0)
            racing[what, jobs] = Contender(name, "ours", n or jobs * found.choice.size, jobs, plain_choice)
    return plans, racing


def race(args: argparse.Namespace, work: Workload, lanes: Sequence[Lane], jax: bool) -> Result:
    """Rounds over all contenders in shuffled order; ratios are taken within a round."""
    note(f"{work}: planning")
    plans, planned = plan(args, work, lanes[0])
    racing = [*contenders(args, work, jax), *planned.values()]
    rates: Rates = {c: [] for c in racing}
    for i in range(args.rounds):
        begun = time.perf_counter()
        for c in random.Random(i).sample(racing, len(racing)):
            part = lanes[: c.lanes]
            if i == 0:
                for lane in part:  # traced and compiled beforehand, so that both lanes begin together
                    lane.call(measure, c, work, lanes.index(lane), 0.0)
            for j, lane in enumerate(part):
                lane.ask(measure, c, work, j, args.seconds)
            rates[c].append(sum(lane.answer() for lane in part))
        note(f"{work}: round {i + 1} of {args.rounds}, {time.perf_counter() - begun:.0f} s")
    for lane in lanes:
        lane.call(forget)
    return Result(work, plans, rates, planned)


def spread(values: Iterable[float], digits: str = ".2f") -> str:
    some = list(values)
    return f"{statistics.median(some):{digits}} ({min(some):{digits}} to {max(some):{digits}})"


def ratio(above: Sequence[float], below: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(above, below, strict=True)]


def best(rates: Sequence[Sequence[float]]) -> list[float]:
    """The greatest of each round."""
    return [max(column) for column in zip(*rates, strict=True)]


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    print("\n| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")


def speeds(result: Result) -> None:
    print(f"\n### {result.work}")
    base = result.rates[PLAIN]
    rows = [
        (c.name, c.lanes, f"{statistics.median(v):,.0f}", spread(ratio(v, base))) for c, v in result.rates.items()
    ]
    table(("contender", "processes", "run-steps/s", "x the plain loop (a)"), rows)


def aims(results: Sequence[Result], most: int) -> None:
    """The issue's three aims, as measured."""
    rows = []
    for r in results:
        plan_one, plan_two = (r.rates.get(r.planned.get((STUDY, jobs), PLAIN), []) for jobs in (1, 2))
        if not r.planned:
            continue
        peers = best([r.rates[PLAIN], r.rates[FUSED], r.rates[PAIR]])
        rows.append((r.work, "the study on one worker, over (a)", spread(ratio(plan_one, r.rates[PLAIN]))))
        rows.append((r.work, "the study on two workers, over the better of (a), fused or not, and (b)", spread(ratio(plan_two, peers))))
        for n in sorted({c.runs for c in r.rates if c.kind == "jax"}):
            mine = best([v for c, v in r.rates.items() if c.kind == "ours" and c.lanes == 1 and c.runs == n and c not in r.planned.values()])
            theirs = best([v for c, v in r.rates.items() if c.kind in ("jax", "scan") and c.runs == n])
            rows.append((r.work, f"our fastest placement over JAX's faster form, {n} together", spread(ratio(mine, theirs))))
    print("\n## The aims")
    table(("workload", "what over what", "ratio"), rows)


def planner(results: Sequence[Result]) -> None:
    print("\n## What the planner chose, and why\n\nµs a run-step, as the planner measured them.")
    rows = []
    for r in results:
        for (what, jobs), c in r.plans.items():
            tried = ", ".join(f"{realise} {size}: {1e6 * seconds:.0f}" for size, realise, seconds, _ in c.tried)
            rows.append((r.work, what, jobs, f"{c.choice.realise}, {'fleets of ' + str(c.choice.size) if c.choice.size > 1 else 'alone'}", tried, why(c)))
    if not rows:
        print("\nThe planner can't yet measure on this device: left out.")
        return
    table(("workload", "for", "workers", "choice", "tried (µs)", "why"), rows)


def first_steps(args: argparse.Namespace, works: Sequence[Workload], jax: bool) -> None:
    """Of AdamW, which has more to compile."""
    most = max(args.runs)
    rows = []
    for work in works:
        some = [PLAIN, ours(1, "eager"), ours(1, "traced"), ours(1, "compiled"), ours(most, "traced"), ours(most, "compiled")]
        some += [Contender(f"JAX vmap + jit, {most} together", "jax", most)] * jax
        for c in [c for c in some if not args.quick or c in (PLAIN, ours(most, "traced"), ours(most, "compiled"))]:
            note(f"first step: {work}, {c.name}")
            cold, warm = cold_and_warm(c, work)
            rows.append((work, c.name, f"{cold:.2f}", f"{warm:.2f}"))
    print("\n## Time to the first step\n\nSeconds from reading the data to the end of the first update, tracing and compilation included, "
          "imports of torch and jax left out; each in a process of its own. Cold: the compilers' caches on disk are empty. Warm: a second process.")
    table(("workload", "contender", "cold, s", "warm, s"), rows)


def memories(args: argparse.Namespace, works: Sequence[Workload], lane: Lane, jax: bool) -> None:
    rows = []
    kinds = [("plain", ""), ("ours", "traced")] + [("ours", "compiled")] * (not args.quick) + [("jax", "")] * (jax and not args.quick)
    for work in works:
        for kind, realise in kinds:
            note(f"memory: {work}, {kind} {realise}")
            m = memory(kind, realise, work)
            planned = f"{lane.call(estimate, work) / 1024:,.0f}" if kind == "ours" else ""
            each = "one run at a time" if m.each is None else f"{m.each / 1024:,.0f}"
            many = "" if m.many is None else f"{m.many / 2**20:,.0f}"
            name = {"plain": PLAIN.name, "jax": "JAX vmap + jit"}.get(kind, f"preheat, fleet, {realise}")
            rows.append((work, name, f"{m.state / 1024:,.0f}", f"{m.few / 2**20:,.0f}", many, each, planned))
    print(f"\n## Memory\n\nState: weights, statistics and optimizer. Peak: resident memory of a process after an epoch, of {FEW} and of {MANY} runs "
          f"(the plain loop: of 1). The difference, per run, is the state, gradients, batches and losses of one more run.")
    table(("workload", "contender", "state, KiB/run", f"peak of {FEW}, MiB", f"peak of {MANY}, MiB", "difference, KiB/run", "planner's estimate, KiB/run"), rows)


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
    print(f"{name}, {os.cpu_count()} cores; {platform.system()}, Python {platform.python_version()}, {', '.join(packages)}.")
    print(f"Device {args.device}; {args.rounds} rounds, {args.seconds:g} s a measurement; one thread a process. Load average before: {load()}.")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def load() -> str:
    return " ".join(f"{x:.2f}" for x in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words = lambda text: text.split(",")  # noqa: E731
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models", type=words, default=["mlp", "cnn"], help="mlp,cnn")
    parser.add_argument("--optimizers", type=words, default=["sgd", "adamw"], help="sgd,adamw")
    parser.add_argument("--runs", type=lambda text: sorted({int(n) for n in words(text)}), default=[1, 8, 32], help="1,8,32")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each measurement")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--quick", action="store_true", help="a minute, to see that it works")
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.seconds, args.runs, args.optimizers = min(args.rounds, 2), 0.1, [n for n in args.runs if n < 32] or [8], args.optimizers[-1:]
    return args


def main() -> None:
    args = arguments()
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") and args.device == "cpu" else [None]
    env = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    if args.device == "cpu":
        env["JAX_PLATFORMS"] = "cpu"
    lanes = [Lane(cores[i % len(cores)], env) for i in range(2)]
    machine(args)
    if len(cores) == 1 and cores[0] is not None:
        print("There is one core only: the two processes share it.")
    works = [Workload(m, o, args.device) for m in args.models for o in args.optimizers]
    absent = lanes[0].call(has_jax, args.device)
    print(f"\n{absent}" if absent else "")
    agree(args, works, not absent)
    results = [race(args, work, lanes, not absent) for work in works]
    print("\n## Run-steps per second")
    for result in results:
        speeds(result)
    aims(results, max(args.runs))
    planner(results)
    last = [w for w in works if w.optimizer == args.optimizers[-1]]
    if args.quick:
        last = last[:1]
    first_steps(args, last, not absent)
    memories(args, last, lanes[0], not absent)
    for lane in lanes:
        lane.close()
    print(f"\nLoad average after: {load()}.")


def agree(args: argparse.Namespace, works: Sequence[Workload], jax: bool) -> None:
    """The check, and its table."""
    print(f"\n## The same training\n\nGreatest difference from the plain loop's losses over {CHECKED_STEPS} float64 steps; more than {AGREE:g} would have stopped here.")
    rows = []
    for work in works:
        note(f"{work}: do all train the same thing?")
        some = [FUSED, ours(1, "eager"), ours(1, "traced"), ours(3, "traced")] + [ours(3, "compiled")] * (not args.quick)
        if jax:
            some += [Contender("JAX vmap + jit, 3 together", "jax", 3), Contender("JAX the same in lax.scan, 3 together", "scan", 3)]
        rows += [(work, name, f"{d:.1e}") for name, d in check(work, some).items()]
    table(("workload", "contender", "difference"), rows)


if __name__ == "__main__":
    main()
