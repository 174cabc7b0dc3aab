"""Findings as plain data: one mapping for `summary.json`, flat rows for CSV."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from preheat.analysis.findings import Curve, Edge, Estimate, Findings, Rule

Flat = dict[str, Any]
_ABSENT = Estimate(math.nan, None, None, 0)


def findings_json(findings: Findings) -> dict[str, Any]:
    """Every field of the findings as JSON data; a number that is not finite becomes null."""
    return dict(_plain(asdict(findings)))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def tables(findings: Findings) -> dict[str, list[Flat]]:
    """{name: rows} for CSV files. An estimate becomes the columns x, x_lo, x_hi and x_n; lists are joined by
    spaces.

    edge is in the unit of the nuisance; factor is an edge over the baseline's (1 = unmoved), change_factor by
    how much that changes with each doubling of the condition. x_bound says where they are bounds.
    """
    f = findings
    return {
        "cells": [_flat(c) for c in f.cells],
        "effects": [_flat(e) for e in f.effects],
        "best": [_flat(b) for b in f.best],
        "edges": [_flat(e, skip="points", bounds=True) for e in f.edges],
        "edges_pooled": [_flat(e, bounds=True) for e in f.pooled],
        "edge_points": [row for e in f.edges for row in _points(e)],
        "inside": [_flat(i) for i in f.inside],
        "hypotheses": [_flat(h) for h in f.hypotheses],
        "rules": [_flat(r, skip="scores") for r in f.rules],
        "rule_scores": [row for r in f.rules for row in _scores(r)],
        "curves": list(_curves(f.curves)),
        "rates": list(_curves(f.rates)),
        "warmup_lengths": [_flat(x) for x in f.updates.lengths] if f.updates else [],
        "best_updates": [_flat(x) for x in f.updates.favourites] if f.updates else [],
        "exponents": [_flat(x) for x in f.updates.exponents] if f.updates else [],
        "hypotheses_in_updates": [_flat(x) for x in f.updates.hypotheses] if f.updates else [],
        "optimism": [_flat(x) for x in f.optimism],
        "protocols": [_flat(x) for x in f.gaps],
        "probes": list(_curves(f.early)),
        "milestones": [_flat(x) for x in f.milestones],
        "runs": [{k: _plain(v) for k, v in r.items()} for r in f.runs],
    }


_FACTORS = {"ratio": "factor", "change": "change_factor"}


def _flat(item: Any, skip: str = "", *, bounds: bool = False) -> Flat:
    """bounds: the estimates may be bounds, which gets a column."""
    assert is_dataclass(item)
    out: Flat = {}
    for field in fields(item):
        if field.name != skip:
            value = getattr(item, field.name)
            lacks = value is None and "Estimate" in str(field.type)
            name = _FACTORS.get(field.name, field.name)
            out |= _columns(name, _ABSENT if lacks else value)
            if bounds and "Estimate" in str(field.type):
                out[f"{name}_bound"] = None if lacks else value.bound
    return out


def _columns(name: str, value: Any) -> Flat:
    if isinstance(value, Estimate):
        return {
            name: _plain(value.mean),
            f"{name}_lo": _plain(value.lo),
            f"{name}_hi": _plain(value.hi),
            f"{name}_n": value.n,
        }
    if isinstance(value, Mapping):
        return {name: " ".join(f"{k}={v}" for k, v in value.items())}
    if isinstance(value, tuple):
        return {name: " ".join(f"{v:.6g}" if isinstance(v, float) else str(v) for v in value)}
    return {name: _plain(value)}


def _points(edge: Edge) -> list[Flat]:
    place = {"panel": edge.panel, "condition": edge.condition, "treatment": edge.treatment}
    return [{**place, **_flat(p)} for p in edge.points]


def _scores(rule: Rule) -> list[Flat]:
    return [{"panel": rule.panel, **_flat(s)} for s in rule.scores]


def _curves(some: Iterable[Curve]) -> Iterable[Flat]:
    for c in some:
        place = {"panel": c.panel, "condition": c.condition, "treatment": c.treatment, "what": c.what}
        for x, y, lo, hi in zip(c.x, c.y, c.lo, c.hi, strict=True):
            yield {**place, "x": x, "y": y, "lo": lo, "hi": hi, "n": c.n}
