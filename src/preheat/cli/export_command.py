"""Write a study's records in other people's files."""

from __future__ import annotations

import argparse
from pathlib import Path

from preheat.cli.options import read_imports
from preheat.cli.stored import arguments as stored
from preheat.cli.stored import index_and_store, located
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
    begin with. out: the folder, RESULTS/STUDY/FORMAT where it is None."""
    exporter = EXPORTERS[to]
    written: Path = exporter(*index_and_store(root, name), out or root / name / to)
    return written
