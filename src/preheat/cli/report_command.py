"""Write a study's report again from its records: report.html, summary.json, tables and figures, or another
format.

A chapter that raises is left out and told, on the page too; the others are written and the exit code is 1. A
chapter that is not installed is a note, and the exit code 0.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_type_hints

from preheat.cli.export_command import export, formats
from preheat.cli.options import read_imports
from preheat.cli.stored import arguments as stored
from preheat.cli.stored import index_and_store, located
from preheat.core.errors import UserError, unknown
from preheat.core.registry import CHAPTERS
from preheat.core.spec import Spec

PAGE = "html"
EXAMPLES = """examples:
  preheat report STUDY
  preheat report STUDY --results /data/results
  preheat report STUDY --import my_task.py --out ./page
  preheat report STUDY --chapter edge --chapter curves:runs=[3f2a9c]
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    others = ", ".join(formats())
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


def run(args: argparse.Namespace) -> int:
    """Analyse and write. 0: all of it; 1: all but the chapters that raised."""
    read_imports(args.imports)
    if args.format not in (known := (PAGE, *formats())):
        raise unknown("format", args.format, known)
    root, name = located(args)
    if args.format == PAGE:
        chapters = [_chapter(word) for word in args.chapters]
        page, failed = write(root, name, out=args.out, chapters=chapters)
        if chapters and args.out is None:
            print(
                f"note: the study's page now has these chapters only: preheat report {name} writes it whole"
            )
        return told(page, failed)
    if args.chapters:
        raise UserError(
            f"--chapter is for --format {PAGE}, got --format {args.format}: leave one of them out"
        )
    print(f"{args.format}: {export(root, name, args.format, args.out)}")
    return 0


def told(page: Path, failed: Sequence[str]) -> int:
    """Say where the page is and which chapters it lacks; the exit code."""
    for text in failed:
        print(f"preheat: {text}", file=sys.stderr)
    print(f"report: {page}")
    return 1 if failed else 0


def _chapter(word: str) -> Spec:
    """A chapter as one writes it: name, or name:option=value."""
    from preheat.cli.schedules import word_options

    name, colon, text = word.partition(":")
    types = get_type_hints(CHAPTERS[CHAPTERS.check(name)])
    texts = [option for option, said in types.items() if said == tuple[str, ...]]
    return Spec(name, word_options(word, text, texts=texts) if colon else {})


def write(
    root: Path, name: str, *, out: Path | None = None, chapters: Sequence[Any] = ()
) -> tuple[Path, tuple[str, ...]]:
    """Write the report of the study `name` in the results folder `root`, into `out` where given; gives the
    page's path, and a line for each chapter that raised.

    chapters: in place of the study's own.
    """
    from preheat.report.stored import write_stored

    data, store = index_and_store(root, name)
    made, page = write_stored(data, store, out or root / name, chapters=chapters)
    return page, made.failed
