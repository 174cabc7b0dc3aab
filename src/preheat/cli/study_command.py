"""Train every run of a study that has no record yet, then analyse and write the report.

STUDY is a registered name (see preheat list studies) or a .yaml, .toml or .json file of your own. Nothing is
trained twice: the same command continues a study that was stopped, and adding seeds trains only what is new.
"""

from __future__ import annotations

import argparse
import re
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from preheat.cli.again import again
from preheat.cli.options import common, placement, read_imports, settings, whole
from preheat.cli.progress import Bar, clock
from preheat.core.errors import UserError, unknown
from preheat.core.registry import STUDIES
from preheat.core.spec import Spec, build
from preheat.core.study import Point, Study

EXAMPLES = """examples:
  preheat study regimes                      the whole study, about 3 minutes on 2 cores
  preheat study regimes --dry-run            what it would train: runs, fleets, memory, time
  preheat study regimes --part small --seeds 3
  preheat study my_study.yaml --import my_task.py
"""
SUFFIXES = (".yaml", ".yml", ".toml", ".json")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("study", metavar="STUDY", help="a registered study or a file")
    parser.add_argument(
        "--task", metavar="NAME", action="append", default=[], help="the task, where the study leaves it open (repeatable)"
    )
    parser.add_argument("--part", metavar="NAME", help="a named part of the study only")
    parser.add_argument("--seeds", metavar="N", type=whole, help="seeds 0 to N-1 instead of the study's own")
    parser.add_argument("--limit", metavar="N", type=whole, help="the first N runs only")
    parser.add_argument(
        "--set",
        metavar="OPTION=VALUE",
        action="append",
        default=[],
        dest="pairs",
        help="an option of a registered study (repeatable)",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be trained, and train nothing")
    parser.add_argument("--no-report", action="store_true", help="train only")
    common(parser)
    placement(parser)


def run(args: argparse.Namespace) -> int:
    """Plan, train, report. 0: all runs have records; 1: some could not be trained; 130: stopped."""
    files = read_imports(args.imports)
    study = declared(args)
    points = chosen(study, args)
    study = _named(study, args)
    from preheat.lab.study import How, plan
    from preheat.store.store import Store

    if not args.dry_run:
        Store.open(args.results)  # a folder that can't be written is told before anything is measured
    how = How(jobs=args.jobs, mode=args.placement, compile=args.compile, imports=files)
    print(
        f"{study.name}: {study.question}\n{len(points)} runs declared; planning (a few steps of each placement are timed) ...",
        flush=True,
    )
    made = plan(study, points, args.results, how)
    show(made, how)
    if args.dry_run:
        return 0
    failures = _train(made, args, how)
    if failures is None:
        return 130
    if not args.no_report:
        from preheat.cli.report_command import write

        print(f"report: {write(args.results, study.name)}")
    return 1 if failures else 0


def declared(args: argparse.Namespace) -> Study:
    """The study that the command names, with --task, --set and --seeds applied."""
    options: dict[str, Any] = settings(args.pairs)
    if Path(args.study).suffix in SUFFIXES:
        from preheat.studies.reader import read_study

        if options or args.task:
            raise UserError(f"--task and --set are for registered studies; edit {args.study} instead")
        study = read_study(args.study)
    else:
        if args.study not in STUDIES.names():
            raise UserError(f"{unknown('study', args.study, STUDIES.names())}; or write a file: my_study.yaml")
        tasks = {"tasks": args.task} if args.task else {}
        study = build("study", Spec(args.study, {**options, **tasks})).study()
    return study.with_seeds(args.seeds) if args.seeds else study


def _named(study: Study, args: argparse.Namespace) -> Study:
    """The study under a name that says what was changed, so that a smaller version never replaces the whole one's report."""
    seeds, limit = [f"seeds{args.seeds}"] * bool(args.seeds), [f"limit{args.limit}"] * bool(args.limit)
    marks = [*args.task, *args.pairs, *([args.part] if args.part else []), *seeds, *limit]
    return replace(study, name="-".join([study.name, *(re.sub(r"[^A-Za-z0-9_]+", "-", m).strip("-") for m in marks)]))


def chosen(study: Study, args: argparse.Namespace) -> list[Point]:
    """The points that --part and --limit leave."""
    points = study.part(args.part) if args.part else study.points()
    return points[: args.limit] if args.limit else points


def show(made: Any, how: Any) -> None:
    """What there is to do: runs, fleets, memory, time."""
    missing = sum(len(u.runs) for u in made.units)
    have = len(made.points) - missing
    print(f"{have} have records, {missing} to train" + (":" if missing else "."))
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
        print(f"  {how_many}, {choice.realise}, {steps:,} run-steps at {choice.seconds * 1e6:.0f} us")
    memory = made.memory * how.workers / 2**20
    print(f"  {how.workers} workers, about {memory:.0f} MiB for the runs and {clock(made.seconds(how.workers))}", flush=True)


def _train(made: Any, args: argparse.Namespace, how: Any) -> int | None:
    """Train the plan's units under a progress bar; the number of failed runs, or None if stopped."""
    from preheat.lab.study import carry_out

    bar = Bar(sum(len(u.runs) for u in made.units), sum(u.run_steps for u in made.units))
    events = carry_out(made, args.results, how)
    with closing(events):
        try:
            for event in events:
                if event.kind in ("retry", "failed"):
                    bar.note(f"{event.kind}: {event.unit.runs[0]}{' and others' * (len(event.unit.runs) > 1)}: {event.text}")
                bar.add(
                    work=event.run_steps, runs=event.runs, diverged=event.diverged, failed=event.runs * (event.kind == "failed")
                )
        except KeyboardInterrupt:
            bar.note(f"stopped: what was trained is kept. To continue: {again()}")
            events.close()
            return None
    if bar.runs:
        bar.end()
    return bar.failed
