"""Write a study's report again from its records: report.html, summary.json, tables and figures, or another
format."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from preheat.cli.options import read_imports
from preheat.cli.stored import arguments as stored
from preheat.cli.stored import index_and_store, located
from preheat.core.errors import unknown
from preheat.core.registry import CHAPTERS, EXPORTERS
from preheat.core.spec import Spec

PAGE = "html"
EXAMPLES = """examples:
  preheat report regimes
  preheat report regimes --results /data/results
  preheat report my_study --import my_task.py --out ./page
  preheat report regimes --chapter edge --chapter curves:runs=[3f2a9c]
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    others = ", ".join(EXPORTERS.names())
    parser.add_argument(
        "--format",
        metavar="FORMAT",
        default=PAGE,
        help=f"{PAGE}: the report (default); {others}: as preheat export --to",
    )
    parser.add_argument(
        "--chapter",
        metavar="NAME",
        action="append",
        default=[],
        dest="chapters",
        help="this chapter in place of the study's own, with options as in curves:runs=[3f2a9c] (repeatable)",
    )
    stored(parser, "RESULTS/STUDY, of another format RESULTS/STUDY/FORMAT")


def run(args: argparse.Namespace) -> None:
    """Analyse and write."""
    read_imports(args.imports)
    if args.format not in (known := (PAGE, *EXPORTERS.names())):
        raise unknown("format", args.format, known)
    root, name = located(args)
    if args.format == PAGE:
        chapters = [_chapter(word) for word in args.chapters]
        print(f"report: {write(root, name, out=args.out, chapters=chapters)}")
    else:
        from preheat.cli.export_command import export

        print(f"{args.format}: {export(root, name, args.format, args.out)}")


def _chapter(word: str) -> Spec:
    """A chapter as one writes it: name, or name:option=value."""
    from preheat.cli.schedules import word_options

    name, colon, text = word.partition(":")
    return Spec(CHAPTERS.check(name), word_options(word, text) if colon else {})


def write(root: Path, name: str, *, out: Path | None = None, chapters: Sequence[Any] = ()) -> Path:
    """Write the report of the study `name` in the results folder `root`, into `out` where given; gives the
    page's path.

    chapters: in place of the study's own.
    """
    from preheat.report.stored import write_stored

    data, store = index_and_store(root, name)
    return write_stored(data, store, out or root / name, chapters=chapters)[1]
