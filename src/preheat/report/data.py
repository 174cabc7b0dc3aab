"""What a chapter found as plain data: JSON for `summary.json`, flat rows for CSV. Nothing here knows a
chapter.

A field of a Found that is a tuple of dataclasses becomes a table of its name. In it an estimate becomes the
columns x, x_lo, x_hi and x_n (and x_bound where any is a bound), other sequences and mappings are joined by
spaces. A field of an item that is itself a tuple of dataclasses becomes the table `<field>_<inner field>`,
one that is a dataclass the columns `<field>_<inner field>`. An item with a field `x: tuple[float, ...]`
becomes one row a point, in which every field declared so has the point's number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, get_args, get_type_hints

from preheat.analysis.results import Results
from preheat.analysis.table import Table
from preheat.core.canon import known
from preheat.stats.claims import Claim, Verdicts
from preheat.stats.estimates import Estimate

Flat = dict[str, Any]
PLACE = ("panel", "condition", "treatment")
_ABSENT = Estimate(math.nan, None, None, 0)
_NUMBERS = tuple[float, ...]


def found_json(found: Any) -> dict[str, Any]:
    """Every field as JSON data; of what has points, all but these, which are tables. Claims stand under the
    page's verdicts."""
    return {name: known(_plain(value)) for name, value in _values(found).items() if name != "claims"}


def verdicts_json(
    verdicts: Verdicts, claims: Sequence[Claim], results: Results, table: Table | None
) -> list[dict[str, Any]]:
    """Every verdict with its raw p and the runs it rests on: their numbers in the table of runs, counted from
    0."""
    if table is None:
        return []
    numbers: dict[tuple[str, ...], list[int]] = {}
    for i, row in enumerate(results.rows):
        at = table.where.get(row.run_id)
        if at is not None:
            numbers.setdefault(table.labels((at[0], at[1], at[2])), []).append(i)
    out = []
    for c in claims:
        v = verdicts[c.name]
        runs = sorted({i for place in c.rests for i in numbers.get(place, ())})
        told = {f.name: getattr(v, f.name) for f in fields(v)}
        told |= {"at": list(v.at), "raw_p": c.p, "raw_p_same": c.p_same, "runs": spans(runs)}
        out.append({k: known(_plain(x)) for k, x in told.items()})
    return out


def spans(numbers: Sequence[int]) -> str:
    """Ascending numbers as spans.

    >>> spans([0, 1, 2, 5, 7, 8])
    '0-2,5,7-8'
    """
    out: list[list[int]] = []
    for n in numbers:
        if out and n == out[-1][1] + 1:
            out[-1][1] = n
        else:
            out.append([n, n])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in out)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    if not _item(value):
        return value
    return {name: _plain(v) for name, v in _values(value).items() if name not in _series(value.__class__)}


def _item(value: object) -> bool:
    return is_dataclass(value) and not isinstance(value, type)


@cache
def _types(made: Any) -> Mapping[str, Any]:
    with suppress(NameError):  # the texts, of a class whose types are not its module's
        return get_type_hints(made)
    return {f.name: f.type for f in fields(made)}


@cache
def _series(made: Any) -> frozenset[str]:
    """The fields that hold a number for each point: those declared as x is, tuple[float, ...]; none without
    x."""
    names = {name for name, said in _types(made).items() if said in (_NUMBERS, str(_NUMBERS))}
    return frozenset(names if "x" in names else ())


def found_tables(found: Any) -> dict[str, list[Flat]]:
    """{name: rows} of every field that is a tuple of dataclasses."""
    out: dict[str, list[Flat]] = {}
    for field in fields(found):
        items = getattr(found, field.name)
        if field.name != "claims" and isinstance(items, tuple) and all(map(_item, items)):
            _table(out, field.name, [({}, item) for item in items])
    return out


def _table(out: dict[str, list[Flat]], name: str, items: Sequence[tuple[Flat, Any]]) -> None:
    """The rows of one table, and those of the tables inside it. items: (the texts around, item)."""
    found = [_values(item) for _, item in items]
    every = [pair for own in found for pair in own.items()]
    inner = tuple(dict.fromkeys(k for k, v in every if isinstance(v, tuple) and v and _item(v[0])))
    bounds = any(isinstance(v, Estimate) and v.bound != "exact" for _, v in every)
    rows: list[Flat] = []
    out[name] = rows
    inside: dict[str, list[tuple[Flat, Any]]] = {k: [] for k in inner}
    for (place, item), own in zip(items, found, strict=True):
        outer = {k: v for k, v in own.items() if k not in inner}
        series = {k: v for k in _series(item.__class__) if len(v := outer[k]) == len(outer["x"])}
        points = zip(*series.values(), strict=True) if series else [()]
        for point in points:
            at = {**outer, **dict(zip(series, point, strict=True))}
            rows.append({**place, **_flat(item, at, bounds=bounds)})
        around = {**place, **{k: v for k, v in outer.items() if k in PLACE}}
        for k in inner:
            inside[k] += [(around, v) for v in own[k] or ()]
    for k, some in inside.items():
        _table(out, f"{name}_{k}", some)


def _values(item: Any) -> Flat:
    return {f.name: getattr(item, f.name) for f in fields(item)}


def _flat(item: Any, values: Flat, *, bounds: bool) -> Flat:
    out: Flat = {}
    for name, value in values.items():
        if isinstance(value, Estimate) or (
            value is None and Estimate in get_args(_types(item.__class__).get(name))
        ):
            e = _ABSENT if value is None else value
            out |= {
                name: known(e.mean),
                f"{name}_lo": known(e.lo),
                f"{name}_hi": known(e.hi),
                f"{name}_n": e.n,
            }
            if bounds:
                out[f"{name}_bound"] = None if value is None else e.bound
        elif _item(value):
            inner = _flat(value, _values(value), bounds=bounds)
            out |= {f"{name}_{k}": v for k, v in inner.items()}
        elif isinstance(value, Mapping):
            out[name] = " ".join(f"{k}={v}" for k, v in value.items())
        elif isinstance(value, tuple):
            out[name] = " ".join(f"{v:.6g}" if isinstance(v, float) else str(v) for v in value)
        else:
            out[name] = known(value)
    return out
