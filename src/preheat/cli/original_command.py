"""Run an original project by its own command line: its experiments are trained here, and its files written.

PROJECT has options of its own: preheat original PROJECT --help.
"""

from __future__ import annotations

import argparse

from preheat.cli import study_command
from preheat.cli.export_command import export
from preheat.cli.options import data_folder, folder, imports, placement, settable, track
from preheat.cli.parsers import build
from preheat.cli.subject import given
from preheat.core.errors import UserError
from preheat.core.originals import Original
from preheat.core.registry import ORIGINALS

PASSED = ("dry_run", "imports", "data", "device", "jobs", "placement", "compile", "track")  # to the study
INTERRUPTED = 130
EXAMPLES = """examples:
  preheat original PROJECT --help
  preheat original PROJECT --dry-run
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's positional arguments."""
    known = "; ".join(f"{name}: {line}" for name, line in ORIGINALS.describe().items())
    parser.add_argument("project", metavar="PROJECT", help=known.replace("%", "%%"))


def options(parser: argparse.ArgumentParser) -> None:
    """The command's own flags; those of the project come to them."""
    add = parser.add_argument
    add(
        "--results",
        metavar="DIR",
        type=folder,
        help="where the records are kept (default: the folder of the original's files)",
    )
    settable(parser, "an option of the study that stands for the project")
    add("--dry-run", action="store_true", help="say what would be trained, and train nothing")
    imports(parser)
    data_folder(parser)
    placement(parser)
    track(parser)


def run(args: argparse.Namespace) -> int:
    """Train as the study that the project's options mean, then write its files, if it has some; exit codes as
    of a study."""
    project: Original = ORIGINALS[args.project]()
    meant = project.meant(args)
    root = args.results or meant.out
    words = [*meant.study, "--no-report", "--results", str(root)]
    asked = build("study", words).parse_args(words)
    for name in PASSED:
        setattr(asked, name, getattr(args, name))
    _check(asked, args)
    asked.pairs = [*asked.pairs, *args.pairs]
    code = study_command.run(asked)
    if code != INTERRUPTED and not args.dry_run:
        study, _ = study_command.asked(asked)
        if meant.to is not None:
            print(f"{meant.to}: {export(root, study.name, meant.to, meant.out)}")
        print(f"its report: preheat report {study.name} --results {root}")
    return code


def _check(asked: argparse.Namespace, args: argparse.Namespace) -> None:
    """What the project itself says is not set to something else, whose files would not be the project's."""
    said = [one.name for one, _ in given(asked, "study", asked.study)] + [_path(p) for p in asked.pairs]
    for path in map(_path, args.pairs):
        if any(f"{path}.".startswith(f"{one}.") or f"{one}.".startswith(f"{path}.") for one in said):
            raise UserError(
                f"{path} is what original {args.project!r} says itself, got --set {path}=...: leave it out, "
                f"or write preheat study {asked.study} --set {path}=..."
            )


def _path(pair: str) -> str:
    return pair.partition("=")[0].strip()
