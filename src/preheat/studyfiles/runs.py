"""Runs that a file declares and that can't be built: each is blamed on the setting that is at fault."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from preheat.core.canon import canonical
from preheat.core.grid import merged
from preheat.core.run import Run
from preheat.studyfiles.entries import FileBlock, FileEntry, core_block, count, leaves, nested
from preheat.studyfiles.faults import At, Fault, why

MOST_RUNS = 1_000_000
_MOST_BLAMED = 100
_RATES = ("peak_lr", "clip_norm")


def settings_of(fixed: list[FileEntry], blocks: list[FileBlock]) -> list[list[dict[str, Any]]]:
    """What the runs of each block are made of."""
    base = nested(fixed)
    whole = [[merged(base, s) for s in core_block(b).settings()] for b in blocks]
    return [[{k: v for k, v in s.items() if k != "name"} for s in own] for own in whole]


def run_faults(
    fixed: list[FileEntry], blocks: list[FileBlock], settings: list[list[dict[str, Any]]], seed: int
) -> list[Fault]:
    """What is wrong with the runs, each at the setting that is to blame; rates and seeds can't make a
    difference."""
    checked: set[str] = set()
    found: dict[Any, list[str]] = {}
    for b, group in zip(blocks, settings, strict=True):
        own = b.single()
        places: dict[str, Any] = {}  # an error's text: its place in this block
        for setting in group:
            key = canonical({k: v for k, v in setting.items() if k not in _RATES})
            text = "" if key in checked else run_failure({**setting, "seed": seed})
            checked.add(key)
            if text and text not in places:
                places[text] = (
                    blame(setting, text, [own, fixed], b.at) if len(places) < _MOST_BLAMED else b.at
                )
            if text:
                found.setdefault(places[text], []).append(text)
    return [
        Fault(at, texts[0] + (f" (in {len(texts)} settings of the grid)" if texts[1:] else ""))
        for at, texts in found.items()
    ]


def beside_rates(faults: Sequence[Fault], fixed: list[FileEntry], blocks: list[FileBlock]) -> list[Fault]:
    """What is wrong with the runs, where all that is wrong so far are rates, without which runs can be
    built."""
    rates = {e.at for e in (*fixed, *(e for b in blocks for e in b.single())) if e.path in _RATES}
    if not faults or any(f.at not in rates for f in faults) or sum(map(count, blocks)) > MOST_RUNS:
        return []
    bare = [
        [{**{k: v for k, v in s.items() if k not in _RATES}, "peak_lr": 1e9} for s in group]
        for group in settings_of(fixed, blocks)
    ]
    return run_faults(fixed, blocks, bare, 0)


def run_failure(setting: Mapping[str, Any]) -> str:
    """Why a setting is not a run, or ""."""
    return why(lambda: Run.from_json(setting))


def blame(setting: Mapping[str, Any], text: str, places: Sequence[Sequence[FileEntry]], default: At) -> At:
    """The place of the entry without which a setting is a run, or fails otherwise; those that `text` names
    come first.

    places: entries that may have given the setting's values, the likelier first.
    """
    whole = _apart(setting)
    parts = [e for e in whole if not e.path.endswith(".name")]
    parts.sort(
        key=lambda e: (
            not re.search(rf"\b{e.path.rpartition('.')[2]}\b", text),
            not e.path.startswith("also."),
        )
    )
    without = [run_failure(nested(o for o in whole if o.path != e.path)) for e in parts]
    order = [e for e, t in zip(parts, without, strict=True) if not t] + [
        e for e, t in zip(parts, without, strict=True) if t not in ("", text)
    ]
    for e in order:
        for group in places:
            for given in (one for written in group for one in _split(written)):
                if given.path == e.path and canonical(given.value) == canonical(e.value):
                    return given.at
    return default


def _apart(setting: Mapping[str, Any]) -> list[FileEntry]:
    """The settings one by one, also those of `also`."""
    return [one for e in leaves("", setting, ()) for one in _split(e)]


def _split(e: FileEntry) -> list[FileEntry]:
    if e.path != "also" or not isinstance(e.value, Mapping):
        return [e]
    return [FileEntry(f"also.{name}", value, (*e.at, name)) for name, value in e.value.items()]
