"""Looks: how often the verdicts of a question were looked at, each time on other runs.

Who adds seeds until something is shown looks many times, and each look may be wrong. So a look has a share of
the error budget of its own (`stats.claims.budget`), the first the largest. A look is told by the runs that
had records; to write the same report again is none. Looks stand in `study.json`; studies of one results
folder that ask the same question of the same settings, such as `regimes` and `regimes-seeds16`, share them,
whatever their seeds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from preheat.analysis.results import Results
from preheat.analysis.words import human
from preheat.core.canon import canonical, digest
from preheat.core.errors import UserError
from preheat.store.blobs import read_json, write_atomic

ASKED = ("scientific", "nuisance", "treatment", "condition", "baseline", "metric", "goal")


class Look(NamedTuple):
    """One look. question: of the settings and what is asked of them; runs: of those that had records; number:
    counted from 0."""

    question: str
    runs: str
    number: int


def looked(root: Path, data: Mapping[str, Any], results: Results) -> Look:
    """The look that a report of these results is.

    root: the results folder; data: what study.json holds.
    """
    asked = question(data)
    runs = digest(sorted(r.run_id for r in results.rows if r.outcome != "missing"))
    before = [look for look in _known(root, data) if look.question == asked]
    same = next((look for look in before if look.runs == runs), None)
    return same or Look(asked, runs, 1 + max((look.number for look in before), default=-1))


def question(data: Mapping[str, Any]) -> str:
    """What a study asks, of which settings, whatever its seeds and its name."""
    study = data["study"]
    settings = sorted({canonical(p["axes"]) for p in data["points"]})
    return digest([{name: study.get(name) for name in ASKED}, settings])


def remember(root: Path, name: str, look: Look) -> None:
    """Add a look to a study's file, once. A folder that can't be written is left as it is."""
    path = root / name / "study.json"
    with suppress(OSError, UserError):
        data = read_json(path)
        known = data.get("looks", [])
        if list(look) not in known:
            write_atomic(path, json.dumps({**data, "looks": [*known, list(look)]}).encode())


def _known(root: Path, data: Mapping[str, Any]) -> Iterator[Look]:
    """The looks of this study and of the others in the folder."""
    yield from _read(data)
    for path in sorted(root.glob("*/study.json")):
        if path.parent.name != data["study"].get("name"):
            with suppress(UserError, OSError):
                yield from _read(read_json(path))


def _read(data: Any) -> Iterator[Look]:
    for one in data.get("looks", []) if isinstance(data, Mapping) else []:
        with suppress(TypeError, ValueError):
            asked, runs, number = one
            yield Look(str(asked), str(runs), int(number))


def changed(data: Mapping[str, Any]) -> list[str]:
    """What of a study's claims was changed after its first run, in words."""
    return [
        f"The {human(str(c['what']))} was changed from {c['before']} to {c['after']} after the first run."
        for c in data.get("changed", [])
    ]
