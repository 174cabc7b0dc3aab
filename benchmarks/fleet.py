"""Run-steps per second of the study's own workloads: fleets, plain loops, two processes, JAX.

    python benchmarks/fleet.py > out.md           about half an hour on 2 quiet cores
    python benchmarks/fleet.py --quick            a minute or two, to see that it works; its figures mean
    little python benchmarks/fleet.py --device cuda      the same on a GPU

A run-step is one update of one run. First it is checked that all train the same thing. Then, for each
workload, rounds over all contenders in shuffled order, each warmed up before it is timed; every process has
one thread and, on Linux, one core of its own. Ratios are to the plain loop in the same round: median (least
to greatest). The tables are Markdown.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections.abc import Sequence
from typing import Any

import tables
from preheat.lab.plan import Choice
from racers import Contender, Lane, environment, forget, has_jax, measure, ours
from side_figures import Chosen, Memory, check, chosen, cold_and_warm, estimate, memory
from tables import FUSED, PAIR, PLAIN, WORKERS, Result
from workloads import Workload

STUDY = "the study's runs"


def note(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def contenders(args: argparse.Namespace, work: Workload, jax: bool) -> list[Contender]:
    """All but the planner's. On a CPU, XLA runs convolutions inside a scan several times slower, so nobody
    would."""
    out = [PLAIN, FUSED, PAIR, *(ours(1, r) for r in ("eager", "traced", "compiled"))]
    out += [ours(n, r) for n in args.runs if n > 1 for r in ("traced", "compiled")]
    if jax:
        out += [Contender(f"JAX vmap + jit, {n} together", "jax", n) for n in args.runs]
    if jax and (work.model == "mlp" or args.device != "cpu"):
        out += [Contender(f"JAX the same in lax.scan, {n} together", "scan", n) for n in args.runs]
    return out


def plan(
    args: argparse.Namespace, work: Workload, lane: Lane
) -> tuple[dict[Any, Chosen], dict[Any, Contender]]:
    """What the planner chooses for each number of runs and for the study, on one worker and on two."""
    plans, racing = {}, {}
    for n in [*args.runs, None]:
        for jobs in (1, 2):
            if n == 1 and jobs == 2:
                continue
            found = lane.call(chosen, work, n, jobs)
            if found is None:
                continue
            many = "run" if n == 1 else "runs"
            what = STUDY if n is None else f"{n} {many}"
            plans[what, jobs] = found
            name = f"planner, {what}, {WORKERS[jobs]}"
            plain_choice = Choice(found.choice.size, found.choice.realise, 0.0, 0.0, 0)
            racing[what, jobs] = Contender(name, "ours", n or jobs * found.choice.size, jobs, plain_choice)
    return plans, racing


def race(args: argparse.Namespace, work: Workload, lanes: Sequence[Lane], jax: bool) -> Result:
    """Rounds over all contenders in shuffled order; ratios are taken within a round."""
    note(f"{work}: planning")
    plans, planned = plan(args, work, lanes[0])
    racing = [*contenders(args, work, jax), *planned.values()]
    rates: dict[Contender, list[float]] = {c: [] for c in racing}
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
    return Result(work, plans, planned, rates)


def agree(args: argparse.Namespace, works: Sequence[Workload], jax: bool) -> dict[Workload, dict[str, float]]:
    """The differences from the plain loop; stops where one is too large."""
    some = [
        FUSED,
        ours(1, "eager"),
        ours(1, "traced"),
        ours(3, "traced"),
        *([] if args.quick else [ours(3, "compiled")]),
    ]
    if jax:
        some += [
            Contender("JAX vmap + jit, 3 together", "jax", 3),
            Contender("JAX the same in lax.scan, 3 together", "scan", 3),
        ]
    found = {}
    for work in works:
        note(f"{work}: do all train the same thing?")
        found[work] = check(work, some)
    return found


def first_steps(
    args: argparse.Namespace, works: Sequence[Workload], jax: bool
) -> dict[Any, tuple[float, float]]:
    """(cold, warm) seconds of the contenders that differ in it."""
    most = max(args.runs)
    some = [
        PLAIN,
        ours(1, "eager"),
        ours(1, "traced"),
        ours(1, "compiled"),
        ours(most, "traced"),
        ours(most, "compiled"),
    ]
    if jax:
        some.append(Contender(f"JAX vmap + jit, {most} together", "jax", most))
    found = {}
    for work in works:
        for c in [ours(most, "compiled")] if args.quick else some:
            note(f"{work}: first step of {c.name}")
            found[work, c.name] = cold_and_warm(c, work)
    return found


def memories(
    args: argparse.Namespace, works: Sequence[Workload], jax: bool
) -> dict[Any, tuple[Memory, int | None]]:
    """Memory, and the planner's estimate of it."""
    kinds = {"preheat, fleet, traced": ("ours", "traced")}
    if not args.quick:
        kinds = {PLAIN.name: ("plain", ""), **kinds, "preheat, fleet, compiled": ("ours", "compiled")}
        kinds |= {"JAX vmap + jit": ("jax", "")} if jax else {}
    found = {}
    for work in works:
        for name, (kind, realise) in kinds.items():
            note(f"{work}: memory of {name}")
            found[work, name] = memory(kind, realise, work), estimate(work) if kind == "ours" else None
    return found


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    words = lambda text: text.split(",")  # noqa: E731
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models", type=words, default=[], help="mlp,cnn; with --quick: mlp")
    parser.add_argument("--optimizers", type=words, default=["sgd", "adamw"], help="sgd,adamw")
    parser.add_argument(
        "--runs", type=lambda text: sorted({int(n) for n in words(text)}), default=[1, 8, 32], help="1,8,32"
    )
    parser.add_argument("--seconds", type=float, default=1.0, help="for each measurement")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--quick", action="store_true", help="a minute, to see that it works")
    args = parser.parse_args()
    args.models = args.models or (["mlp"] if args.quick else ["mlp", "cnn"])
    if args.quick:
        args.rounds, args.seconds, args.optimizers = min(args.rounds, 2), 0.1, args.optimizers[-1:]
        args.runs = [n for n in args.runs if n < 32] or [8]
    return args


def run(args: argparse.Namespace, lanes: Sequence[Lane]) -> None:
    """Check, race and print."""
    works = [Workload(m, o, args.device, args.batch) for m in args.models for o in args.optimizers]
    absent = lanes[0].call(has_jax, args.device)
    if absent:
        print(f"\n{absent}.")
    tables.agreement(agree(args, works, not absent))
    tables.heading("Run-steps per second")
    results = []
    for work in works:
        results.append(race(args, work, lanes, not absent))
        tables.speeds(results[-1])
    tables.aims(results)
    tables.planner(results)
    last = [
        w for w in works if w.optimizer == args.optimizers[-1]
    ]  # AdamW has the most to compile and to hold
    tables.first_steps(first_steps(args, last, not absent))
    tables.memories(memories(args, last, not absent), args.device)
    print(f"\nLoad average after: {tables.load()}.")


def main() -> None:
    args = arguments()
    cores: Sequence[int | None] = [None]
    if hasattr(os, "sched_getaffinity") and args.device == "cpu":
        cores = sorted(os.sched_getaffinity(0))
    tables.machine(args)
    if len(cores) == 1:
        print(
            "The processes are not bound to cores of their own."
            if cores[0] is None
            else "One core only: two processes share it."
        )
    env = {
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        **({"JAX_PLATFORMS": "cpu"} if args.device == "cpu" else {}),
    }
    with environment(env):
        lanes = [
            Lane(cores[i % len(cores)], {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"}) for i in range(2)
        ]
        try:
            run(args, lanes)
        finally:
            for lane in lanes:
                lane.close()


if __name__ == "__main__":
    main()
