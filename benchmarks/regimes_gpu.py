"""A step of every group of `preheat study regimes --task all`, in every form, and the GPU hours that follow
from it.

    python benchmarks/regimes_gpu.py > out.md                     on a GPU, about half an hour
    python benchmarks/regimes_gpu.py --peak-tflops 989            the same, with the share of the chip's peak
    python benchmarks/regimes_gpu.py --device cpu > out.md        at reduced size, about 3 minutes; no GPU
    hours follow from it

Random images of the true shapes, so no files are needed. A group is all runs whose steps cost the same. Each
form is warmed up, then timed in rounds over all forms in shuffled order; given are the median and the least
and greatest over the rounds. A form that memory, the compiler or vmap refuses is named with its reason. The
tables are Markdown.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

import tables
from preheat.core.run import Run
from preheat.core.spec import Spec, build
from preheat.core.study import Study
from preheat.lab.plan import Choice, Unit
from racers import Lane, forget

TASKS = ("cifar10", "cifar100", "pathmnist")
ORIGINAL_HOURS = "20-24"
WIDTH, BATCH = 8, 32  # at reduced size


class Form(NamedTuple):
    """How a group may be trained: the precision, one placement, and in how many processes on the one
    device."""

    name: str
    precision: str
    choice: Choice
    processes: int = 1


class Group(NamedTuple):
    """Runs whose steps cost the same; run: one of them, as it is timed."""

    name: str
    run: Run
    runs: tuple[Run, ...]


def forms(device: str) -> list[Form]:
    """All forms on a GPU; on a CPU those few that say whether the benchmark works."""
    one = Choice(1, "traced", 0.0, 0.0, 0, device=device)
    found = []
    for precision in ("float32", "bf16") if device != "cpu" else ("float32",):
        kinds = {
            "eager": one._replace(realise="eager"),
            "traced": one,
            "traced, channels last": one._replace(channels_last=True),
        }
        if device != "cpu":
            kinds["compiled"] = one._replace(realise="compiled")
            kinds["compiled, channels last"] = one._replace(realise="compiled", channels_last=True)
        kinds |= {
            f"fleet of {n}, traced": one._replace(size=n) for n in ((2, 4, 8) if device != "cpu" else (2,))
        }
        found += [Form(f"{name}, {precision}", precision, choice) for name, choice in kinds.items()]
        several = kinds["traced, channels last"]
        counts = (2, 4) if device != "cpu" else (2,)
        found += [
            Form(f"{n} processes, traced, channels last, {precision}", precision, several, n) for n in counts
        ]
    return found


def grouped(study: Study, *, reduced: bool) -> list[Group]:
    """The study's distinct runs by task and optimizer.

    reduced: with narrow models and small batches, and without CIFAR-100, whose shapes are CIFAR-10's but for
    the last layer.
    """
    found: dict[str, list[Run]] = {}
    for run in study.runs():
        found.setdefault(f"{run.task.name}, {run.optimizer.name}", []).append(run)
    if reduced:
        return [
            Group(name, _small(some[0]), tuple(some))
            for name, some in found.items()
            if some[0].task.name != "cifar100"
        ]
    return [Group(name, some[0], tuple(some)) for name, some in found.items()]


def _small(run: Run) -> Run:
    task = Spec(run.task.name, {**run.task.options, "model": {"name": "resnet18", "width": WIDTH}})
    return run.but(task=task, batch_size=BATCH)


def steps_per_second(kept: dict[Any, Any], form: Form, run: Run, seconds: float) -> float | str:
    """Run-steps per second of this process over `seconds`, or why the form can't be had; the first time it is
    set up."""
    from preheat.engine.loop import train
    from preheat.engine.measuring import clock
    from preheat.lab.devices import free
    from preheat.lab.measure import placement
    from preheat.lab.timing import BLOCK, twin, unevaluated

    try:
        if (form, run) not in kept:
            runs = [twin(run.but(precision=form.precision))] * form.choice.size
            kept[form, run] = train(unevaluated(runs, placement(form.choice)))
            for _ in range(BLOCK):
                next(kept[form, run])
        device = torch.device(form.choice.device)
        count, begun, now = 0, clock(device), 0.0
        while not count or now - begun < seconds:
            for _ in range(BLOCK):
                next(kept[form, run])
            count, now = count + BLOCK, clock(device)
        return count * form.choice.size / (now - begun)
    except Exception as error:
        refused = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:100]
    kept.pop((form, run), None)
    free()
    return refused


def evaluation_seconds(kept: dict[Any, Any], form: Form, run: Run) -> float:
    """Seconds of one evaluation of one run on the whole validation set."""
    from preheat.lab.measure import placement
    from preheat.lab.timing import seconds_per_evaluation

    return seconds_per_evaluation(
        [run.but(precision=form.precision)] * form.choice.size, placement(form.choice)
    )


def let_go(kept: dict[Any, Any]) -> None:
    """Forget a group and give its memory back."""
    from preheat.lab.devices import free

    forget(kept)
    free()


def race(
    args: argparse.Namespace, group: Group, lanes: Sequence[Lane]
) -> tuple[dict[Form, list[float]], dict[Form, str]]:
    """(run-steps per second by form and round, forms that were refused and why)."""
    todo, rates, refused = forms(args.device), {}, {}
    for i in range(args.rounds + 1):  # round 0 sets up
        for form in random.Random(i).sample(todo, len(todo)):
            if form in refused:
                continue
            part = lanes[: form.processes]
            for lane in part:
                lane.ask(steps_per_second, form, group.run, args.seconds if i else 0.0)
            found = [lane.answer() for lane in part]
            wrong = [f for f in found if isinstance(f, str)]
            if wrong:
                refused[form] = wrong[0]
                rates.pop(form, None)
            elif i:
                rates.setdefault(form, []).append(sum(found))
        print(f"{group.name}: round {i} of {args.rounds}", file=sys.stderr, flush=True)
    if not rates:
        raise SystemExit(f"{group.name}: no form can be trained here: {refused}")
    return {form: rates[form] for form in todo if form in rates}, refused


def show(group: Group, rates: dict[Form, list[float]], refused: dict[Form, str]) -> Form:
    """The group's table; the fastest form."""
    best = max(rates, key=lambda form: statistics.median(rates[form]))
    base = next((values for form, values in rates.items() if form.name == "eager, float32"), rates[best])
    print(f"\n### {group.name}: {len(group.runs)} distinct runs, batch {group.run.batch_size}")
    rows = [
        (
            f.name,
            f"{statistics.median(v):,.1f}",
            tables.spread(1000 / r for r in v),
            tables.spread(tables.ratio(v, base)),
        )
        for f, v in rates.items()
    ]
    tables.table(("form", "run-steps/s", "ms a run-step", "x eager, float32"), rows)
    for form, why in refused.items():
        print(f"\nRefused: {form.name} ({why}).")
    return best


def hours(runs: Sequence[Run], rate: float, evaluation: float) -> tuple[float, float]:
    """(hours of training, hours of evaluations)."""
    seen = sum(Unit((r,), Choice(1, "eager", 0.0, 0.0, 0, evaluation_seconds=1.0)).seconds for r in runs)
    return sum(r.total_steps for r in runs) / rate / 3600, seen * evaluation / 3600


def project(args: argparse.Namespace, study: Study, found: dict[Group, tuple[Form, float, float]]) -> None:
    """The GPU hours of the whole grid, beside the original's, and how much arithmetic that is."""
    from preheat.lab.flops import study_flops

    tables.heading(
        "The whole grid",
        f"The original project gives {ORIGINAL_HOURS} GPU hours for 155 runs.",
        "Probes, data and start-up are left out.",
    )
    rows, total = [], 0.0
    for group, (form, rate, evaluation) in found.items():
        training, evaluating = hours(group.runs, rate, evaluation)
        rows.append((group.name, len(group.runs), form.name, f"{training:.2f}", f"{evaluating:.2f}"))
        total += training + evaluating
    tables.table(("group", "distinct runs", "fastest form", "hours of training", "hours of evaluation"), rows)
    declared = [point.run for point in study.declared()]
    by_group = {run.id: group for group in found for run in group.runs}
    again = sum(sum(hours([run], *found[by_group[run.id]][1:])) for run in declared)
    work = study_flops(study.runs())
    speed = work / total / 3.6e15
    print(
        f"\n{len(study.runs())} distinct runs: **{total:.2f} GPU hours** (n = {args.rounds} rounds); all "
        f"{len(declared)}, the "
        f"duplicates trained too: {again:.2f}; the original's: {ORIGINAL_HOURS}. {work / 1e18:.3f} EFLOP at "
        f"{speed:.0f} TFLOP/s."
    )
    if args.peak_tflops:
        print(f"\nThat is {speed / args.peak_tflops:.0%} of the given peak of {args.peak_tflops:g} TFLOP/s.")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    there = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=there, help="default: the GPU where there is one")
    parser.add_argument("--rounds", type=int, help="default: 5; on a CPU 3")
    parser.add_argument("--seconds", type=float, help="for each measurement (default: 2; on a CPU 0.3)")
    parser.add_argument(
        "--peak-tflops", type=float, default=0.0, help="of the chip, to give the share of it that is used"
    )
    args = parser.parse_args()
    args.seconds = args.seconds or (0.3 if args.device == "cpu" else 2.0)
    args.rounds = args.rounds or (3 if args.device == "cpu" else 5)
    return args


def main() -> None:
    args = arguments()
    reduced = args.device == "cpu"
    study: Study = build("study", Spec("regimes", {"tasks": TASKS})).study()
    name = "" if reduced else f", {torch.cuda.get_device_name(args.device)}"
    print(
        f"# regimes, all tasks: torch {torch.__version__}, {args.device}{name}, {args.rounds} rounds, load "
        f"before {tables.load()}"
    )
    if reduced:
        print(
            f"\n**On a CPU: a reduced benchmark.** ResNet-18 of width {WIDTH} (the study's has 64), batches "
            f"of {BATCH} (128),\n"
            "few forms. It shows that the benchmark works and how forms compare here; no GPU hours follow "
            "from it."
        )
    lanes = [Lane() for _ in range(max(form.processes for form in forms(args.device)))]
    found: dict[Group, tuple[Form, float, float]] = {}
    try:
        for group in grouped(study, reduced=reduced):
            rates, refused = race(args, group, lanes)
            best = show(group, rates, refused)
            evaluation = lanes[0].call(evaluation_seconds, best, group.run)
            print(
                f"\nAn evaluation of one run on the validation set, in the fastest form: {evaluation:.3f} s."
            )
            found[group] = best, statistics.median(rates[best]), evaluation
            for lane in lanes:
                lane.call(let_go)
    finally:
        for lane in lanes:
            lane.close()
    if not reduced:
        project(args, study, found)
    print(f"\nLoad average after: {tables.load()}.")


if __name__ == "__main__":
    main()
