"""Looks: how often the verdicts of a question were looked at, each time on other runs or for another measure.

Who adds seeds until something is shown looks many times, and each look may be wrong. So a look has a share of
the error budget of its own (`stats.claims.budget`), the first the largest. Two reports ask the same question
where they have the same scientific paths, treatment and condition, and at least half of the runs of the one
with fewer are also the other's. So a study with more seeds is a later look, one with another metric, goal,
margin or other claims of the same runs too, and studies of one results folder, such as `regimes` and
`regimes-seeds16`, share their looks. To write the same report again is none. Looks stand in `study.json`,
each with the first 8 letters of the ids of its runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from preheat.analysis.results import Results
from preheat.analysis.words import Units, human
from preheat.core.canon import digest
from preheat.core.errors import UserError
from preheat.core.grid import label
from preheat.core.words import listed
from preheat.store.blobs import read_json, write_atomic

PATHS = ("scientific", "treatment", "condition")
ASKED = ("metric", "goal", "margin", "baseline", "nuisance", "claims")
LETTERS = 8
STANDARD = "the standard ones"


class Look(NamedTuple):
    """One look. paths: the digest of what is varied; asked: that of what is measured and claimed; runs: the
    first letters of the ids of those that had records, sorted and joined; number: counted from 0."""

    paths: str
    asked: str
    runs: str
    number: int

    def overlaps(self, other: Look) -> bool:
        """Whether it is of the same question."""
        mine, others = _ids(self.runs), _ids(other.runs)
        return self.paths == other.paths and 2 * len(mine & others) >= max(1, min(len(mine), len(others)))


def looked(root: Path, data: Mapping[str, Any], results: Results) -> Look:
    """The look that a report of these results is.

    root: the results folder; data: what study.json holds.
    """
    return look_at(root, data["study"], [r.run_id for r in results.rows if r.outcome != "missing"])


def look_at(root: Path, study: Mapping[str, Any], run_ids: Iterable[str]) -> Look:
    """The look that a report of a study, as JSON data, would be if these runs had records."""
    runs = "".join(sorted({run_id[:LETTERS] for run_id in run_ids}))
    new = Look(_digest(study, PATHS), _digest(study, ASKED), runs, 0)
    before = [look for _, look in _known(root) if look.overlaps(new)]
    same = next((look for look in before if look[:3] == new[:3]), None)
    return same or new._replace(number=1 + max((look.number for look in before), default=-1))


def _digest(study: Mapping[str, Any], names: Sequence[str]) -> str:
    return digest([sorted(study[n]) if n == "scientific" else study.get(n) or None for n in names])


def _ids(runs: str) -> set[str]:
    return {runs[i : i + LETTERS] for i in range(0, len(runs), LETTERS)}


def remember(root: Path, name: str, look: Look) -> None:
    """Add a look to a study's file, once. A folder that can't be written is left as it is."""
    path = root / name / "study.json"
    with suppress(OSError, UserError):
        data = read_json(path)
        known = data.get("looks", [])
        if list(look) not in known:
            write_atomic(path, json.dumps({**data, "looks": [*known, list(look)]}).encode())


def superseded(root: Path, name: str, look: Look) -> list[str]:
    """That other studies of the folder had a later look at these runs, in words."""
    known = ((n, o.number) for n, o in _known(root) if n != name and o.overlaps(look))
    later = max(((number, n) for n, number in known if number > look.number), default=None)
    return [f"A later look at some of these runs is the report of {later[1]}."] if later else []


def _known(root: Path) -> Iterator[tuple[str, Look]]:
    """The looks of all studies in the folder, each with its study's name."""
    for path in sorted(root.glob("*/study.json")):
        with suppress(UserError, OSError):
            yield from ((path.parent.name, look) for look in _read(read_json(path)))


def _read(data: Any) -> Iterator[Look]:
    for one in data.get("looks", []) if isinstance(data, Mapping) else []:
        with suppress(TypeError, ValueError):
            paths, asked, runs, number = one
            yield Look(str(paths), str(asked), str(runs), int(number))


def changed(data: Mapping[str, Any]) -> list[str]:
    """What of a study's claims was changed after its first run, in words.

    >>> old = {"what": "margin", "before": 0.01, "after": 0.002}
    >>> changed({"study": {"metric": "loss"}, "changed": [old]})
    ['The margin was changed after the first run: 0.01 in loss -> 0.002 in loss.']
    """
    changes = [(str(c["what"]), c["before"], c["after"]) for c in data.get("changed", [])]
    metrics = [ends for what, *ends in changes if what == "metric"]
    now = data.get("study", {}).get("metric", "")
    units = tuple(Units.of(str(name)) for name in (metrics[-1] if metrics else (now, now)))
    return [text for what, first, last in changes for text in _told(what, first, last, units=units)]


def _told(what: str, before: Any, after: Any, *, units: tuple[Units, ...]) -> list[str]:
    if what == "margin":
        ends = (_margin(u, float(x)) for u, x in zip(units, (before, after), strict=True))
        return [_sentence("The margin was", *ends)]
    if what != "claims":
        verb, none = ("were", STANDARD) if what == "chapters" else ("was", "none")
        return [_sentence(f"The {human(what)} {verb}", _text(before, none), _text(after, none))]
    old, new = before or {}, after or {}
    out = []
    if old.get("primary") != new.get("primary"):
        first, last = (_text(some.get("primary"), STANDARD) for some in (old, new))
        out.append(_sentence("The primary claims were", first, last))
    if old.get("aside") != new.get("aside"):
        texts = (
            ", ".join(f"{human(path)} {_text(values)}" for path, values in (some.get("aside") or {}).items())
            for some in (old, new)
        )
        first, last = (text or "nothing" for text in texts)
        out.append(_sentence("What is left out of the claims was", first, last))
    return out


def _margin(u: Units, x: float) -> str:
    return u.margin(x) + ("" if u.step else f" in {u.metric}")


def _sentence(head: str, first: str, last: str) -> str:
    how = "other options" if first == last else f"{first} -> {last}"
    return f"{head} changed after the first run: {how}."


def _text(value: Any, none: str = "none") -> str:
    """A value in words; paths by their last part."""
    if isinstance(value, list | tuple):
        return listed(_text(v) for v in value) if value else none
    if value is None or value == "":
        return none
    return human(value) if isinstance(value, str) else label(value)
