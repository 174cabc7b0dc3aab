"""The report of a study whose records are stored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from preheat.analysis.results import collect, read_index
from preheat.report.looks import changed, looked, remember, superseded
from preheat.report.report import Report, provenance, report
from preheat.report.write import write_report
from preheat.store.blobs import read_json
from preheat.store.store import Store


def write_stored(
    data: Any, store: Store, folder: Path, *, chapters: Sequence[Any] = ()
) -> tuple[Report, Path]:
    """Analyse and write into `folder`; the report and its page's path.

    data: what study.json holds. chapters: those to show, in place of the study's own, which are
    judged all the same.
    """
    study, points = read_index(data)
    heads = store.heads()
    results = collect(study, points, heads)
    look = looked(store.root, data, results)
    told = [*changed(data), *superseded(store.root, study.name, look)]
    made = report(results, store.load, only=chapters, look=look.number, told=told)
    if any(v.p is not None for v in made.verdicts.values()):
        remember(store.root, study.name, look)
    wanted = {run_id for _, _, run_id in points}
    about = provenance([h.provenance for h in heads if h.id in wanted])
    return made, write_report(made, folder, provenance=about)


def reported(root: Path, name: str) -> tuple[Report, Path]:
    """Write the report of the study `name` of the results folder `root`; the report and its page's path."""
    return write_stored(read_json(root / name / "study.json"), Store.open(root, create=False), root / name)
