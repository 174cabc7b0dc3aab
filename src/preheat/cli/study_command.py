"""Train every run of a study that has no record yet, then analyse and write the report.

STUDY is a registered name (see preheat list studies) or a .yaml, .toml or .json file of your own. Nothing is
trained twice: the same command continues a study that was stopped, and adding seeds trains only what is new.
"""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from preheat.cli.again import again
from preheat.cli.options import common, data_folder, placement, read_imports, settings, use_data, whole
from preheat.cli.progress import Bar, clock
from preheat.core.canon import digest
from preheat.core.errors import UserError, unknown
from preheat.core.registry import STUDIES
from preheat.core.run import Run
from preheat.core.spec import Spec, build
from preheat.core.study import Point, Study, distinct

EXAMPLES = """examples:
  preheat study regimes                      the whole study, about 3 minutes on 2 cores
  preheat study regimes --dry-run            what it would train: runs, fleets, memory, time
  preheat study regimes --part small --seeds 3
  preheat study regimes --task all           155 experiments on CIFAR-10, CIFAR-100 and PathMNIST: a GPU's work
  preheat study regimes --task cifar10 --part test
  preheat study my_study.yaml --import my_task.py
"""
SUFFIXES = (".yaml", ".yml", ".toml", ".json")
FLAGS = {"tasks": "--task", "protocol": "--protocol", "tune_lr": "--tune-lr", "no_probes": "--no-probes"}
SUSTAINED = 1e14  # operations a second of a large GPU in bf16: what the projected hours assume
LONGEST = 120  # characters of a folder's name
LEAST = 1e14  # operations of a study that is worth a GPU's name


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add = parser.add_argument
    add("study", metavar="STUDY", help="a registered study or a file")
    add(
        "--task",
        metavar="NAME",
        action="append",
        default=[],
        help="the task, where the study leaves it open (repeatable)",
    )
    add("--part", metavar="NAME", help="a named part of the study only")
    add(
        "--range",
        metavar="A:B",
        type=span,
        dest="span",
        help="the declared settings A to B-1 only, counted from 0",
    )
    add("--seeds", metavar="N", type=whole, help="seeds 0 to N-1 instead of the study's own")
    add("--limit", metavar="N", type=whole, help="the first N runs only")
    add(
        "--protocol",
        metavar="NAME",
        help="how runs are chosen and reported, where the study has several: preheat, seed or both",
    )
    add(
        "--tune-lr",
        action="store_const",
        const=True,
        help="choose the peak rate for each setting, on seeds of their own",
    )
    add("--no-probes", action="store_const", const=True, help="measure nothing but losses and metrics")
    add(
        "--set",
        metavar="OPTION=VALUE",
        action="append",
        default=[],
        dest="pairs",
        help="an option of a registered study (repeatable)",
    )
    add(
        "--name",
        metavar="NAME",
        help="the name of the study's folder (default: the study's, with what these options change)",
    )
    add("--dry-run", action="store_true", help="say what would be trained, and train nothing")
    add("--no-report", action="store_true", help="train only")
    common(parser)
    data_folder(parser)
    placement(parser)


def span(text: str) -> tuple[int, int | None]:
    """The numbers of `A:B`, either of which may be left out."""
    found = re.fullmatch(r"(\d*):(\d*)", text.strip())
    first, last = (int(found[1] or 0), int(found[2]) if found[2] else None) if found else (1, 0)
    if last is not None and last <= first:
        raise argparse.ArgumentTypeError(f"must be A:B with A below B, such as 0:25, got {text!r}")
    return first, last


def run(args: argparse.Namespace) -> int:
    """Plan, train, report. 0: all runs have records; 1: some could not be trained; 130: stopped."""
    files = read_imports(args.imports)
    use_data(args)
    study = declared(args)
    points = chosen(study, args)
    study = _named(_with_its_seeds(study, points), args)
    from preheat.lab.origins import same_images
    from preheat.lab.study import How, plan
    from preheat.store.store import Store

    same_images([p.run for p in points], args.results)  # before any record is taken for a run's
    if not args.dry_run:
        Store.open(args.results)  # a folder that can't be written is told before anything is measured
    get_ready(points, args.results, fetch=not args.dry_run)
    how = How(jobs=args.jobs, device=args.device, mode=args.placement, compile=args.compile, imports=files)
    print(
        f"{study.name}: {study.question}\n{counted(points)}; planning (a few steps of each placement are "
        "timed) ..."
    )
    print("".join(f"  note: {note}\n" for note in study.notes), end="", flush=True)
    made = plan(study, points, args.results, how)
    show(made, how)
    if args.dry_run:
        print(gpu_hours([p.run for p in points]), end="")
        return 0
    failures = _train(made, args, how)
    if failures is None:
        return 130
    print(probe_cost(points, args.results, hint="no_probes" in _known(args.study)), end="")
    if not args.no_report:
        from preheat.cli.report_command import write

        print(f"report: {write(args.results, study.name)}")
    return 1 if failures else 0


def declared(args: argparse.Namespace) -> Study:
    """The study that the command names, with --task, --set, --seeds and the flags of a study's options
    applied."""
    given = {
        "tasks": args.task or None,
        "protocol": args.protocol,
        "tune_lr": args.tune_lr,
        "no_probes": args.no_probes,
    }
    flags = {name: value for name, value in given.items() if value is not None}
    options: dict[str, Any] = settings(args.pairs)
    if Path(args.study).suffix in SUFFIXES:
        from preheat.studyfiles.reader import read_study

        if options or flags:
            names = [*(FLAGS[name] for name in flags), *["--set"] * bool(options)]
            raise UserError(f"{', '.join(names)}: for registered studies only; edit {args.study} instead")
        study = read_study(args.study)
    else:
        if args.study not in STUDIES.names():
            raise UserError(
                f"{unknown('study', args.study, STUDIES.names())}; or write a file: my_study.yaml"
            )
        for name in flags:
            if name not in _known(args.study):
                raise UserError(
                    f"study {args.study!r} has no option {name}, which {FLAGS[name]} sets: leave "
                    f"{FLAGS[name]} out"
                )
        study = build("study", Spec(args.study, {**options, **flags})).study()
    return study.with_seeds(args.seeds) if args.seeds else study


def _known(study: str) -> Sequence[str]:
    """The options of a registered study; none of a file's."""
    return list(inspect.signature(STUDIES[study]).parameters) if study in STUDIES.names() else []


def _named(study: Study, args: argparse.Namespace) -> Study:
    """The study under a name that says what was changed, so that a smaller version never replaces the whole
    one's report."""
    if args.name is not None:
        return replace(study, name=args.name)
    first, last = args.span or (0, None)
    marks = [*args.task, *args.pairs]
    marks += (
        [f"protocol-{args.protocol}"] * bool(args.protocol)
        + ["tune-lr"] * bool(args.tune_lr)
        + ["no-probes"] * bool(args.no_probes)
    )
    marks += [args.part] * bool(args.part) + [f"range{first}-{'end' if last is None else last}"] * bool(
        args.span
    )
    marks += [f"seeds{args.seeds}"] * bool(args.seeds) + [f"limit{args.limit}"] * bool(args.limit)
    name = "-".join([study.name, *(re.sub(r"[^A-Za-z0-9_]+", "-", m).strip("-") for m in marks)])
    return replace(study, name=name if len(name) <= LONGEST else f"{name[: LONGEST - 9]}-{digest(marks)[:8]}")


def chosen(study: Study, args: argparse.Namespace) -> list[Point]:
    """The points that --part, --range and --limit leave."""
    if args.part and args.part not in study.parts and "tasks" in _known(args.study) and not args.task:
        raise UserError(
            f"{unknown(f'part of study {study.name!r}', args.part, study.parts)}; with --task all it has "
            "others"
        )
    settings = study.declared(args.part or "")
    if args.span:
        first, last = args.span
        if first >= len(settings) or (last or 0) > len(settings):
            text = f"{first}:{'' if last is None else last}"
            raise UserError(
                f"--range must lie within 0:{len(settings)}, the settings declared here, got {text}"
            )
        settings = settings[first:last]
    points = distinct(settings)
    return points[: args.limit] if args.limit else points


def _with_its_seeds(study: Study, points: Sequence[Point]) -> Study:
    """The study with those of its seeds that the chosen points have, where no seed has the role of
    choosing."""
    used = {p.seed for p in points}
    seeds = tuple(s for s in study.seeds if s in used)
    return study if study.choosing or not seeds else replace(study, seeds=seeds)


def many(n: int, noun: str) -> str:
    """A number and its noun.

    >>> many(1, "run"), many(2, "run")
    ('1 run', '2 runs')
    """
    return f"{n} {noun}{'s' * (n != 1)}"


def counted(points: Sequence[Point]) -> str:
    """How many runs are declared, and how many settings they are where some are the same.

    >>> counted([Point({}, 0, Run(), ("a", "b")), Point({}, 1, Run(seed=1), ("c",))])
    '3 settings declared, 2 distinct runs (1 is the same run as another)'
    """
    settings = sum(max(len(p.names), 1) for p in points)
    same = settings - len(points)
    if not same:
        return f"{many(len(points), 'run')} declared"
    are = "is the same run as another" if same == 1 else "are the same run as another"
    return f"{settings} settings declared, {len(points)} distinct runs ({same} {are})"


def get_ready(points: Sequence[Point], root: Path, *, fetch: bool) -> None:
    """Ask each task of a run without a record for its data, before anything is measured; without `fetch` only
    local ones."""
    asked = [p.run for p in points if hasattr(build("task", p.run.task), "ready")]
    asked = [r for r in asked if fetch or r.task.options.get("source") == "local"]
    if not asked:
        return
    from preheat.store.store import Store, exists

    done = Store.open(root, create=False).ids(check=True) if exists(root) else ()
    for task in {r.task: None for r in asked if r.id not in done}:
        build("task", task).ready()


def gpu_hours(runs: Sequence[Run]) -> str:
    """What a GPU would need for all runs, as a line; nothing for what is no work for one."""
    from preheat.lab.flops import study_flops

    work = study_flops(runs)
    if work < LEAST:
        return ""
    size, unit = (1e18, "EFLOP") if work >= 1e17 else (1e15, "PFLOP")
    hours = work / SUSTAINED / 3600
    long = f"{hours:.1f} GPU hours" if hours >= 1 else f"{hours:.2g} GPU hours"
    pace = f"{SUSTAINED / 1e12:.0f} TFLOP/s sustained"
    return f"{work / size:.2f} {unit}: {long} at {pace}; measure yours with benchmarks/regimes_gpu.py\n"


def probe_cost(points: Sequence[Point], root: Path, *, hint: bool) -> str:
    """What the probes took of the training time, as a line; nothing where there are none. hint: say how to do
    without."""
    probed = {p.run.id for p in points if p.run.probes}
    if not probed:
        return ""
    from preheat.store.store import Store

    known = [h.provenance for h in Store.open(root, create=False).heads() if h.id in probed]
    spent = [
        (float(p["probe_seconds"]), float(p["seconds"]))
        for p in known
        if "probe_seconds" in p and p.get("seconds")
    ]
    if not spent:
        return ""
    inside, total = map(sum, zip(*spent, strict=True))
    return f"probes: {100 * inside / total:.0f} % of the training time{' (--no-probes leaves them out)' * hint}\n"


def show(made: Any, how: Any) -> None:
    """What there is to do: runs, fleets, memory, time."""
    missing = sum(len(u.runs) for u in made.units)
    have = len(made.points) - missing
    print(
        f"{have} {'has a record' if have == 1 else 'have records'}, {missing} to train"
        + (":" if missing else ".")
    )
    if not missing:
        return
    kinds: dict[Any, list[Any]] = {}
    for unit in made.units:
        kinds.setdefault(unit.choice, []).append(unit)
    for choice, some in kinds.items():
        sizes = sorted({len(u.runs) for u in some})
        size = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
        runs = sum(len(u.runs) for u in some)
        fleets = f"{len(some)} fleet{'s' * (len(some) > 1)} of {size} runs"
        how_many = fleets if choice.size > 1 else f"{runs} run{'s' * (runs > 1)} one by one"
        steps = sum(u.run_steps for u in some)
        print(f"  {how_many}, {choice.way}, {steps:,} run-steps at {choice.seconds * 1e6:.0f} us")
    workers = how.workers_on(made.device)
    memory, time = made.memory * workers / 2**20, clock(made.seconds(workers))
    print(
        f"  on {made.device}: {many(workers, 'worker')}, about {memory:.0f} MiB for the runs and {time}",
        flush=True,
    )


def _train(made: Any, args: argparse.Namespace, how: Any) -> int | None:
    """Train the plan's units under a progress bar; the number of failed runs, or None if stopped."""
    from preheat.lab.study import carry_out

    bar = Bar(sum(len(u.runs) for u in made.units), sum(u.run_steps for u in made.units))
    events = carry_out(made, args.results, how)
    with closing(events):
        try:
            for event in events:
                if event.kind in ("retry", "failed"):
                    bar.note(
                        f"{event.kind}: {event.unit.runs[0]}{' and others' * (len(event.unit.runs) > 1)}: "
                        f"{event.text}"
                    )
                bar.add(
                    work=event.run_steps,
                    runs=event.runs,
                    diverged=event.diverged,
                    failed=event.runs * (event.kind == "failed"),
                )
        except KeyboardInterrupt:
            bar.note(f"stopped: what was trained is kept. To continue: {again()}")
            events.close()
            return None
    if bar.runs:
        bar.end()
    return bar.failed
