"""A study's index and its records as rows."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest
from fake_results import study

from preheat.analysis.results import collect, read_index
from preheat.core.errors import UserError
from preheat.core.grid import Block
from preheat.core.record import Status
from preheat.core.study import index_json


class Head(NamedTuple):
    id: str
    status: Status
    summary: dict[str, float | None]


class Planned(NamedTuple):
    axes: dict[str, Any]
    seed: int
    run: Any
    names: tuple[str, ...] = ()
    stage: int = 0


def test_collect_and_the_index() -> None:
    of = study(seeds=2, choosing=0, grid=(Block(product={"peak_lr": [0.1, 0.2]}),))
    points = [
        Planned({"peak_lr": r}, s, Head(f"{r}-{s}", Status("done"), {})) for r in (0.1, 0.2) for s in (0, 1)
    ]
    again, index = read_index(json.loads(json.dumps(index_json(of, points))))  # type: ignore[arg-type]
    assert again.json() == of.json() and index[1] == ({"peak_lr": 0.1}, 1, "0.1-1")
    heads = [
        Head("0.1-0", Status("done"), {"test_accuracy": 0.9}),
        Head("0.2-1", Status("diverged", 5), {}),
        Head("other", Status("done"), {}),
    ]
    rows = collect(again, index, heads).rows
    assert [(r.outcome, r.diverged) for r in rows] == [
        ("done", None),
        ("missing", None),
        ("missing", None),
        ("diverged", 5),
    ]
    for broken in ({}, [], {"study": of.json()}, {"study": of.json(), "points": [{"axes": 3}]}):
        with pytest.raises(UserError, match=r"study\.json"):
            read_index(broken)
