"""Write a study's report again from its records: report.html, summary.json, tables and figures."""

from __future__ import annotations

import argparse
from pathlib import Path

from preheat.cli.options import common
from preheat.core.errors import UserError, unknown

EXAMPLES = """examples:
  preheat report regimes
  preheat report regimes --results /data/results
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("study", metavar="STUDY", help="the study's name: its folder in the results folder")
    common(parser)


def run(args: argparse.Namespace) -> None:
    """Analyse and write."""
    path = Path(args.study)
    root, name = (path.parent, path.name) if (path / "study.json").is_file() else (args.results, args.study)
    print(f"report: {write(root, name)}")


def write(root: Path, name: str) -> Path:
    """Write the report of the study `name` in the results folder `root`; gives the page's path."""
    from preheat.analysis.analyse import analyse
    from preheat.analysis.results import collect, read_index
    from preheat.analysis.tables import findings_json, tables
    from preheat.report.write import write_report
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
    study, points = read_index(read_json(index))
    store = Store.open(root, create=False)
    heads = store.heads()
    for bad in store.damage():
        print(f"note: {bad}")
    findings = analyse(collect(study, points, heads), load=store.load)
    wanted = {run_id for _, _, run_id in points}
    about = _provenance([h.provenance for h in heads if h.id in wanted])
    summary = {k: v for k, v in findings_json(findings).items() if k not in ("runs", "curves", "rates")}  # those are tables
    return write_report(findings, root / name, provenance=about, summary=summary, tables=tables(findings))


def _provenance(each: list[dict[str, object]]) -> dict[str, str]:
    """What the records say of versions, device and placement, each value once.

    Times are left out, so that the same runs give the same page.
    """
    keys = ("preheat", "torch", "python", "commit", "device", "placement")
    return {k: ", ".join(sorted({str(p[k]) for p in each if p.get(k)})) for k in keys}
