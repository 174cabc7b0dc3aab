"""What a chapter found as flat rows and JSON: estimates, bounds, tables inside tables, points of curves."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from preheat.report.data import found_json, found_tables
from preheat.stats.estimates import Estimate


@dataclass(frozen=True)
class Point:
    value: float
    good: int


@dataclass(frozen=True)
class Setting:
    panel: str
    condition: str
    treatment: str
    level: Estimate
    ratio: Estimate | None
    points: tuple[Point, ...] = ()
    chosen: Mapping[str, str] | tuple[()] = ()
    picks: tuple[float, ...] = ()


@dataclass(frozen=True)
class Line:
    treatment: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    n: int


@dataclass(frozen=True)
class Found:
    settings: tuple[Setting, ...]
    lines: tuple[Line, ...] = ()
    share: float = math.nan
    names: tuple[str, ...] = ("a", "b")


LEVEL = Estimate(0.5, 0.25, 0.75, 4)
SETTINGS = (
    Setting(
        "sgd", "20", "1ep", LEVEL, None, (Point(0.1, 3), Point(0.2, math.nan)), {"lr": "0.1"}, (1.0, 2.5)
    ),  # type: ignore[arg-type]
    Setting("sgd", "5", "1ep", LEVEL, Estimate(2.0, 1.5, None, 6), (Point(0.1, 1),)),
)


def test_an_estimate_is_columns_and_an_absent_one_is_empty() -> None:
    first, second = found_tables(Found(SETTINGS))["settings"]
    assert first == {
        "panel": "sgd", "condition": "20", "treatment": "1ep",
        "level": 0.5, "level_lo": 0.25, "level_hi": 0.75, "level_n": 4,
        "ratio": None, "ratio_lo": None, "ratio_hi": None, "ratio_n": 0,
        "chosen": "lr=0.1", "picks": "1 2.5",
    }  # fmt: skip
    assert (second["ratio"], second["ratio_lo"], second["ratio_hi"], second["ratio_n"]) == (2, 1.5, None, 6)
    assert list(first) == list(second), "rows of one table have one header"


def test_a_bound_adds_a_column_to_every_row() -> None:
    least = Setting("sgd", "10", "1ep", LEVEL, Estimate(4.0, 3.0, None, 6, "at least"))
    rows = found_tables(Found((*SETTINGS, least)))["settings"]
    assert [r["ratio_bound"] for r in rows] == [None, "exact", "at least"]
    assert [r["level_bound"] for r in rows] == ["exact"] * 3
    assert len({tuple(r) for r in rows}) == 1


def test_a_table_inside_a_table_is_one_of_its_own_with_its_place() -> None:
    tables = found_tables(Found(SETTINGS))
    assert set(tables) == {"settings", "settings_points", "lines"}
    assert tables["settings_points"] == [
        {"panel": "sgd", "condition": "20", "treatment": "1ep", "value": 0.1, "good": 3},
        {"panel": "sgd", "condition": "20", "treatment": "1ep", "value": 0.2, "good": None},
        {"panel": "sgd", "condition": "5", "treatment": "1ep", "value": 0.1, "good": 1},
    ]


def test_points_of_a_curve_are_rows_and_all_else_of_it_is_in_the_summary() -> None:
    found = Found((), (Line("1ep", (0.0, 0.5), (1.0, math.inf), 3),))
    assert found_tables(found)["lines"] == [
        {"treatment": "1ep", "x": 0.0, "y": 1.0, "n": 3},
        {"treatment": "1ep", "x": 0.5, "y": None, "n": 3},
    ]
    assert found_json(found)["lines"] == [{"treatment": "1ep", "n": 3}]


@dataclass(frozen=True)
class Range:
    low: float
    mean: Estimate


@dataclass(frozen=True)
class Survival:
    name: str
    names: tuple[str, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]
    range: Range
    level: Estimate | None
    others: tuple[Estimate, ...] = ()


def test_only_what_is_declared_as_points_is_spread_over_them() -> None:
    """Two names beside two points are not a name a point; empty estimates and an inner dataclass are columns."""
    one = Survival("a", ("b", "c"), (0.0, 1.0), (1.0, 0.5), Range(0.1, LEVEL), None)

    @dataclass(frozen=True)
    class Times:
        times: tuple[Survival, ...]

    inside = {"range_low": 0.1, "range_mean": 0.5, "range_mean_lo": 0.25, "range_mean_hi": 0.75}
    rest = {**inside, "range_mean_n": 4, "level": None, "level_lo": None, "level_hi": None, "level_n": 0}
    assert found_tables(Times((one,)))["times"] == [
        {"name": "a", "names": "b c", "x": x, "y": y, **rest, "others": ""}
        for x, y in ((0.0, 1.0), (1.0, 0.5))
    ]
    (told,) = found_json(Times((one,)))["times"]
    assert set(told) == {"name", "names", "range", "level", "others"} and told["names"] == ["b", "c"]


def test_points_inside_an_item_keep_its_place_in_every_row() -> None:
    @dataclass(frozen=True)
    class Group:
        panel: str
        lines: tuple[Line, ...]

    @dataclass(frozen=True)
    class Groups:
        groups: tuple[Group, ...]

    some = Groups((Group("sgd", (Line("1ep", (0.0, 0.5), (1.0, 2.0), 3),)),))
    assert [r["panel"] for r in found_tables(some)["groups_lines"]] == ["sgd", "sgd"]


def test_json_is_whole_and_strict() -> None:
    data = found_json(Found(SETTINGS))
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert data["share"] is None and data["names"] == ["a", "b"]
    assert data["settings"][0]["level"] == {"mean": 0.5, "lo": 0.25, "hi": 0.75, "n": 4, "bound": "exact"}
    assert data["settings"][0]["points"][1] == {"value": 0.2, "good": None}


@pytest.mark.parametrize("empty", [Found(()), Found((), ())])
def test_nothing_found_is_empty_tables(empty: Found) -> None:
    assert found_tables(empty) == {"settings": [], "lines": []}
