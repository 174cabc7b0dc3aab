"""Write a study's report again from its records: report.html, summary.json, tables and figures, or another
format."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preheat.cli.options import common, folder
from preheat.core.errors import UserError, unknown

if TYPE_CHECKING:
    from preheat.store.store import Store

EXAMPLES = """examples:
  preheat report regimes
  preheat report regimes --results /data/results
  preheat report regimes --format seed --out ./analysis_results
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("study", metavar="STUDY", help="the study's name: its folder in the results folder")
    parser.add_argument(
        "--format",
        choices=("html", "seed"),
        default="html",
        help="html: the report (default); seed: the files of 'Learning Rate Warmup Across Data Regimes', for "
        "WarmupAnalyzer",
    )
    parser.add_argument(
        "--out", metavar="DIR", type=folder, help="where --format seed writes (default: RESULTS/STUDY/seed)"
    )
    common(parser)


def run(args: argparse.Namespace) -> None:
    """Analyse and write."""
    path = Path(args.study)
    root, name = (path.parent, path.name) if (path / "study.json").is_file() else (args.results, args.study)
    if args.out is not None and args.out.exists() and not args.out.is_dir():
        raise UserError(f"--out must be a folder's name, got the file {args.out}: name a folder")
    if args.format == "seed":
        print(f"seed files: {write_seed(root, name, args.out or root / name / 'seed')}")
        return
    if args.out is not None:
        raise UserError(
            f"--out is for --format seed; a report lies in its study's folder, got --out {args.out}: leave "
            "it out"
        )
    print(f"report: {write(root, name)}")


def write(root: Path, name: str, *, out: Path | None = None, chapters: Sequence[Any] = ()) -> Path:
    """Write the report of the study `name` in the results folder `root`, into `out` where given; gives the
    page's path.

    chapters: in place of the study's own.
    """
    from preheat.analysis.results import collect, read_index
    from preheat.report.report import provenance, report
    from preheat.report.write import write_report

    data, store = _opened(root, name)
    study, points = read_index(data)
    heads = store.heads()
    made = report(collect(study, points, heads), store.load, chapters)
    wanted = {run_id for _, _, run_id in points}
    about = provenance([h.provenance for h in heads if h.id in wanted])
    return write_report(made, out or root / name, provenance=about)


def write_seed(root: Path, name: str, out: Path) -> Path:
    """Write the seed's files of the study `name` into `out`; gives the path of all_results.json."""
    from preheat.studies.regimes.original_files import write_seed_files

    return write_seed_files(*_opened(root, name), out)


def _opened(root: Path, name: str) -> tuple[Any, Store]:
    """What study.json of a study holds, and the records; damage is told."""
    from preheat.store.blobs import read_json
    from preheat.store.store import Store

    index = root / name / "study.json"
    if not index.is_file():
        have = sorted(p.parent.name for p in root.glob("*/study.json"))
        raise (
            unknown(f"study in {root}", name, have)
            if have
            else UserError(f"no study in {root}: run one first, such as preheat study regimes")
        )
    data, store = read_json(index), Store.open(root, create=False)
    for bad in store.damage():
        print(f"note: {bad}")
    return data, store
