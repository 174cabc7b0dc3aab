"""A study's index and its records as rows."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from fake_results import study

from preheat.analysis import results
from preheat.analysis.results import collect, read_index
from preheat.core.errors import UserError
from preheat.core.grid import Block
from preheat.core.record import Status
from preheat.core.study import Study, index_json


class Head(NamedTuple):
    id: str
    status: Status
    summary: dict[str, float | None]


class Planned(NamedTuple):
    axes: dict[str, Any]
    seed: int
    run: Any
    names: tuple[str, ...] = ()


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


def test_a_study_without_chapters_is_asked_of_nobody_and_a_broken_one_has_no_say(monkeypatch: Any) -> None:
    """Of before there were chapters, the declaration is the study's that knows it, whichever can't be loaded."""
    asked = []

    class Mine:
        """A study."""

        @staticmethod
        def adopt(declared: Study) -> Study | None:
            asked.append(declared.name)
            return replace(declared, chapters=("mine",)) if declared.name == "mine-5" else None

    class Studies:
        def names(self) -> list[str]:
            return ["broken", "mine"]

        def __getitem__(self, name: str) -> Any:
            if name == "broken":
                raise ImportError("no module named gone")
            return Mine

    monkeypatch.setattr(results, "STUDIES", Studies())
    new = json.loads(json.dumps(index_json(study(name="mine-5"), [])))
    assert read_index(new)[0].chapters == () and not asked and new["study"]["chapters"] == []
    old = {**new, "study": {k: v for k, v in new["study"].items() if k != "chapters"}}
    assert read_index(old)[0].chapters == ("mine",)
    assert read_index({**old, "study": {**old["study"], "name": "other"}})[0].chapters == ()
    assert asked == ["mine-5", "other"]
