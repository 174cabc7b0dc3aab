"""Write a study's records in other people's files."""

from __future__ import annotations

import argparse
import inspect
from pathlib import Path

from preheat.cli.options import read_imports
from preheat.cli.stored import arguments as stored
from preheat.cli.stored import index_and_store, located
from preheat.core.errors import UserError, called, explain
from preheat.core.registry import EXPORTERS

EXAMPLES = """examples:
  preheat export STUDY --to FORMAT
  preheat export STUDY --to FORMAT --out ./analysis_results
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    known = "; ".join(f"{name}: {line}" for name, line in EXPORTERS.describe().items())
    parser.add_argument("--to", metavar="FORMAT", required=True, help=known.replace("%", "%%"))
    stored(parser, "RESULTS/STUDY/FORMAT")


def run(args: argparse.Namespace) -> None:
    """Export."""
    read_imports(args.imports)
    print(f"{args.to}: {export(*located(args), args.to, args.out)}")


def export(root: Path, name: str, to: str, out: Path | None) -> Path:
    """Write the files of the format `to` for the study `name` in the results folder `root`; gives the path to
    begin with. out: the folder, RESULTS/STUDY/FORMAT where it is None; made where it is not there.

    Errors: UserError where the exporter raises, takes something else or gives no path.
    """
    exporter, what, folder = EXPORTERS[to], f"exporter {to!r}", out or root / name / to
    given = (*index_and_store(root, name), folder)
    signature = inspect.signature(exporter)
    try:
        signature.bind(*given)
    except TypeError:
        raise UserError(f"{what} must take (data, store, folder), in this order, got {signature}") from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain("export", folder, error) from error
    written = called(what, "export", lambda: exporter(*given))
    if not isinstance(written, str | Path):
        raise UserError(f"{what} must give the path to begin with, got {written!r:.60}: write return path")
    return Path(written)
