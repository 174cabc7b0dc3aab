"""A study's runs, batch by batch of its stages, trained in this process and stored."""

from __future__ import annotations

import json
from pathlib import Path

from trainings import finish

from preheat.analysis.stages import staged
from preheat.core.record import Record
from preheat.core.study import Point, Study, index_json
from preheat.engine.placement import fleet, single
from preheat.store.store import Store


def trained(study: Study, root: Path) -> tuple[list[Point], dict[str, Record]]:
    """Every point that the study asks for, and {run id: its record}; its study.json is written."""
    store, found = Store.open(root), {}
    while True:
        points = staged(study, study.points(), root).points
        groups: dict[str, list] = {}
        for p in points:
            if p.run.id not in found:
                groups.setdefault(p.run.stack_key, []).append(p.run)
        if not groups:
            break
        with store.writer() as writer:
            for runs in groups.values():
                made = finish(runs, single() if len(runs) == 1 else fleet())[2]
                writer.append(made)
                found |= {r.run.id: r for r in made}
    folder = root / study.name
    folder.mkdir(exist_ok=True)
    (folder / "study.json").write_text(json.dumps(index_json(study, points)), encoding="utf-8")
    return points, found
