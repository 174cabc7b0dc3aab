"""What a chapter found as plain data: JSON for `summary.json`, flat rows for CSV. Nothing here knows a
chapter.

A field of a Found that is a tuple of dataclasses becomes a table of its name. In it an estimate becomes the
columns x, x_lo, x_hi and x_n (and x_bound where any is a bound), other sequences and mappings are joined by
spaces. A field of an item that is itself a tuple of dataclasses becomes the table `<field>_<inner field>`,
and an item with a field `x` becomes one row a point.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from preheat.stats.estimates import Estimate

Flat = dict[str, Any]
PLACE = ("panel", "condition", "treatment")
_ABSENT = Estimate(math.nan, None, None, 0)


def cleaned(value: Any) -> Any:
    """JSON data, in which a number that is not finite is null."""
    if isinstance(value, Mapping):
        return {str(k): cleaned(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [cleaned(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def found_json(found: Any) -> dict[str, Any]:
    """Every field as JSON data, but those that hold points of curves: these are tables."""
    kept = {f.name: getattr(found, f.name) for f in fields(found)}
    return {name: cleaned(_plain(value)) for name, value in kept.items() if not _points(value)}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def _points(value: Any) -> bool:
    return isinstance(value, tuple) and any(hasattr(v, "x") for v in value)


def found_tables(found: Any) -> dict[str, list[Flat]]:
    """{name: rows} of every field that is a tuple of dataclasses."""
    out: dict[str, list[Flat]] = {}
    for field in fields(found):
        items = getattr(found, field.name)
        if isinstance(items, tuple) and all(map(is_dataclass, items)):
            _table(out, field.name, [({}, item) for item in items])
    return out


def _table(out: dict[str, list[Flat]], name: str, items: Sequence[tuple[Flat, Any]]) -> None:
    """The rows of one table, and those of the tables inside it. items: (the texts around, item)."""
    values = [_values(item) for _, item in items]
    every = [pair for own in values for pair in own.items()]
    inner = tuple(dict.fromkeys(k for k, v in every if isinstance(v, tuple) and v and is_dataclass(v[0])))
    bounds = any(isinstance(v, Estimate) and v.bound != "exact" for _, v in every)
    rows: list[Flat] = []
    out[name] = rows
    inside: dict[str, list[tuple[Flat, Any]]] = {k: [] for k in inner}
    for (place, item), own in zip(items, values, strict=True):
        outer = {k: v for k, v in own.items() if k not in inner}
        whole = isinstance(outer.get("x"), tuple)
        rows += [{**place, **r} for r in (_unrolled(outer) if whole else [_flat(item, outer, bounds=bounds)])]
        around = {**place, **{k: v for k, v in outer.items() if k in PLACE}}
        for k in inner:
            inside[k] += [(around, v) for v in own[k]]
    for k, some in inside.items():
        _table(out, f"{name}_{k}", some)


def _values(item: Any) -> Flat:
    return {f.name: getattr(item, f.name) for f in fields(item)}


def _unrolled(values: Flat) -> Iterator[Flat]:
    """A row for each point of x."""
    n = len(values["x"])
    long = {k for k, v in values.items() if isinstance(v, tuple) and len(v) == n}
    for i in range(n):
        yield {k: cleaned(v[i]) if k in long else cleaned(v) for k, v in values.items()}


def _flat(item: Any, values: Flat, *, bounds: bool) -> Flat:
    types = {f.name: str(f.type) for f in fields(item)}
    out: Flat = {}
    for name, value in values.items():
        if "Estimate" in types[name]:
            e = _ABSENT if value is None else value
            out |= {
                name: cleaned(e.mean),
                f"{name}_lo": cleaned(e.lo),
                f"{name}_hi": cleaned(e.hi),
                f"{name}_n": e.n,
            }
            if bounds:
                out[f"{name}_bound"] = None if value is None else e.bound
        elif isinstance(value, Mapping):
            out[name] = " ".join(f"{k}={v}" for k, v in value.items())
        elif isinstance(value, tuple):
            out[name] = " ".join(f"{v:.6g}" if isinstance(v, float) else str(v) for v in value)
        else:
            out[name] = cleaned(value)
    return out
