"""Train every run of a study that has no record yet, then analyse and write the report.

STUDY is a registered name (see preheat list studies), whose options are flags (preheat study NAME --help), or
a .yaml, .toml or .json file of your own. Nothing is trained twice: the same command continues a study that
was stopped, and adding seeds trains only what is new.
"""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preheat.cli.options import (
    SUFFIXES,
    again,
    ask,
    common,
    data_folder,
    keep_weights,
    placement,
    positive,
    read_imports,
    settable,
    settings,
    storage,
    track,
    use_data,
)
from preheat.cli.shared_study import forget_beginnings, shared_study
from preheat.cli.study_texts import counted, gpu_hours, planned, probe_cost
from preheat.cli.subject import given, known_flags
from preheat.core.errors import UserError, unknown
from preheat.core.options import marks
from preheat.core.registry import STUDIES
from preheat.core.run import Run
from preheat.core.spec import Spec, build
from preheat.core.study import Point, Study, distinct

if TYPE_CHECKING:
    from preheat.lab.hearing import Hearer
    from preheat.lab.study import How

KIND = "study"
INTERRUPTED = 130
EXAMPLES = """examples:
  preheat list studies
  preheat study STUDY --help                 its question, its options and its parts
  preheat study STUDY --dry-run              what it would train: runs, fleets, memory, time
  preheat study STUDY --seeds 3
  preheat study my_study.yaml --import my_task.py
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's positional arguments."""
    parser.add_argument("study", metavar="STUDY", help="a registered study or a file")


def options(parser: argparse.ArgumentParser) -> None:
    """The command's own flags; those of the study come to them."""
    add = parser.add_argument
    add("--part", metavar="NAME", help="a named part of the study only")
    add(
        "--range",
        metavar="A:B",
        type=span,
        dest="span",
        help="the declared settings A to B-1 only, counted from 0",
    )
    add("--seeds", metavar="N", type=positive, help="seeds 0 to N-1 instead of the study's own")
    add("--limit", metavar="N", type=positive, help="the first N runs only")
    settable(parser, "an option of a registered study")
    add(
        "--name",
        metavar="NAME",
        help="the name of the study's folder (default: the study's, with what these options change)",
    )
    storage(parser)
    add("--dry-run", action="store_true", help="say what would be trained, and train nothing")
    add("--no-report", action="store_true", help="train only")
    common(parser)
    data_folder(parser)
    keep_weights(parser, "by the study's metric in validation")
    track(parser)
    placement(parser)
    ask(parser)


def about(name: str) -> str:
    """What the help says of a registered study: its description, what --set and --part take."""
    made = STUDIES[name]
    flagged = {one.name for one in known_flags(KIND, name)}
    free = [f.name for f in fields(made) if f.name not in flagged] if is_dataclass(made) else []
    said = [f"study {name!r}:\n{inspect.getdoc(made)}\n"]
    said += [f"options for --set: {', '.join(free)}\n"] if free else []
    with suppress(UserError):  # one that needs an option has no parts of its own
        if parts := build(KIND, Spec(name)).study().parts:
            said.append(f"parts for --part, as it stands without options: {', '.join(parts)}\n")
    return "\n".join(said)


def span(text: str) -> tuple[int, int | None]:
    """The numbers of `A:B`, either of which may be left out."""
    found = re.fullmatch(r"(\d*):(\d*)", text.strip())
    first = int(found[1] or 0) if found else 0
    last = int(found[2]) if found and found[2] else None
    if not found or (last is not None and last <= first):
        raise argparse.ArgumentTypeError(f"must be A:B with A below B, such as 0:25, got {text!r}")
    return first, last


def run(args: argparse.Namespace) -> int:
    """Plan, train, report. 0: all runs have records; 1: some could not be trained, or a chapter of the report
    raised; 130: stopped."""
    files = read_imports(args.imports)
    use_data(args)
    study, first = asked(args)
    return carried(study, first, args=args, files=files)


def carried(study: Study, first: list[Point], *, args: argparse.Namespace, files: tuple[str, ...]) -> int:
    """A study from its first points to its report; exit codes as `run`."""
    from preheat.adapters.trackers.tracking import checked, tracking
    from preheat.lab.origins import prepare
    from preheat.lab.study import How

    trackers = checked(args.track)
    with shared_study(study, args.results, args.storage or "") as shared:
        how = How(**_how(args), imports=files, shared=None if args.dry_run else shared)
        prepare([p.run for p in first], args.results, dry=args.dry_run)
        print(
            f"{study.name}: {study.question}\n{counted(first)}; planning (a few steps of each placement are "
            "timed) ..."
        )
        print("".join(f"  note: {note}\n" for note in study.notes), end="", flush=True)
        with tracking(() if args.dry_run else trackers, study.name, args.results) as hearer:
            code = _trained(study, first, args=args, how=how, hearer=hearer)
        if shared and code == 0 and not args.dry_run:
            forget_beginnings(shared, args.results)
    if code == INTERRUPTED or args.dry_run or args.no_report:
        return code
    from preheat.cli.report_command import told, write

    lacking = told(*write(args.results, study.name))
    return code or lacking


def _trained(
    study: Study, first: list[Point], *, args: argparse.Namespace, how: How, hearer: Hearer | None
) -> int:
    """Train what has no record, batch by batch. 1: some could not be trained."""
    from preheat.analysis.stages import Asked, staged
    from preheat.lab.follow import follow
    from preheat.lab.origins import prepare
    from preheat.lab.study import here, plans

    failures = 0

    def wanted() -> Asked:
        if how.shared:
            how.shared.exchange(now=True)
        found = staged(study, first, args.results)
        prepare([p.run for p in found.points if p.stage], args.results, dry=args.dry_run)
        return found

    for made in plans(study, wanted, args.results, how):
        where = here(made, how) if how.shared else how
        print(planned(made, where), flush=True)
        if args.dry_run:
            print(able(study, made.points, args.results), end="")
            print(gpu_hours([p.run for p in made.points]), end="")
            return 0
        try:
            failures += follow(made, args.results, where, again=again(), hearer=hearer)
        except KeyboardInterrupt:
            return INTERRUPTED
    print(probe_cost([p.run for p in made.points], args.results), end="")
    return 1 if failures else 0


def able(study: Study, points: Sequence[Point], root: Path) -> str:
    """Which differences the seeds can show, as a line."""
    from preheat.analysis.power import can_show
    from preheat.report.looks import look_at
    from preheat.store.folder import exists
    from preheat.store.store import Store

    heads = Store.open(root, create=False).heads() if exists(root) else ()
    look = look_at(root, study.json(), [p.run.id for p in points]).number
    said = can_show(study, points, heads, look=look)
    return f"  {said}\n" if said else ""


def _how(args: argparse.Namespace) -> dict[str, Any]:
    told = {"jobs": args.jobs, "device": args.device, "mode": args.placement, "compile": args.compile}
    return {**told, "keep_weights": args.keep_weights}


def asked(args: argparse.Namespace) -> tuple[Study, list[Point]]:
    """The study under the name of its folder, and the points that are wanted of it."""
    study = declared(args)
    points = chosen(study, args)
    if args.span or args.limit:  # these runs only
        study = replace(study, stages=())
    return under_its_name(study.with_seeds_of(points), args), points


def declared(args: argparse.Namespace) -> Study:
    """The study that the command names, with its own flags, --set and --seeds applied."""
    over = settings(args.pairs)
    if args.study.endswith(SUFFIXES):
        from preheat.studyfiles.reader import read_study

        if over:
            raise UserError(f"--set: for registered studies only; edit {args.study} instead")
        study = read_study(args.study)
    else:
        if args.study not in STUDIES.names():
            raise UserError(f"{unknown(KIND, args.study, STUDIES.names())}; or write a file: my_study.yaml")
        _refuse_of_a_run(over, args.study)
        over |= {one.name: value for one, value in given(args, KIND, args.study)}
        study = build(KIND, Spec(args.study, over)).study()
    return study.with_seeds(args.seeds) if args.seeds else study


def _refuse_of_a_run(over: Mapping[str, Any], study: str) -> None:
    """Errors: UserError where --set names what a run has and this study has no option for."""
    made = STUDIES[study]
    own = {f.name for f in fields(made)} if is_dataclass(made) else set(over)
    for name in over:
        if name in {f.name for f in fields(Run)} - own:
            raise UserError(
                f"--set takes the options of study {study!r}, got {name!r}, which is of a run: write it in a "
                "study file of your own, under fixed (docs/studies.md)"
            )


def under_its_name(study: Study, args: argparse.Namespace) -> Study:
    """The study under a name that says what was changed, so that a smaller version never replaces the whole
    one's report."""
    if args.name is not None:
        return replace(study, name=args.name)
    flags = given(args, KIND, args.study)
    said = [*marks(flags, several=True), *args.pairs, *marks(flags, several=False)]
    if args.part:
        said.append(args.part)
    if args.span:
        said.append(f"range{args.span[0]}-{args.span[1] or 'end'}")
    if args.seeds:
        said.append(f"seeds{args.seeds}")
    if args.limit:
        said.append(f"limit{args.limit}")
    return study.called(said)


def chosen(study: Study, args: argparse.Namespace) -> list[Point]:
    """The points that --part, --range and --limit leave."""
    declared = study.declared(args.part or "")
    if args.span:
        first, last = args.span
        if first >= len(declared) or (last or 0) > len(declared):
            raise UserError(
                f"a range must lie within 0:{len(declared)}, the settings declared here, got "
                f"{first}:{last or ''}: write 0:{len(declared)}"
            )
        declared = declared[first:last]
    return distinct(declared)[: args.limit]
