"""Metrics and registered defaults: names are looked up, never guessed from."""

import pytest

from preheat.analysis.words import Units
from preheat.core.errors import UserError
from preheat.core.grid import Block
from preheat.core.metrics import Metric, metric, register_metric
from preheat.core.registry import OPTIMIZERS, PROBES, SCHEDULES, TASKS, Registry
from preheat.core.run import Run
from preheat.core.study import Study

GRID = (Block(product={"schedule.warmup": [0, 5], "length": [10]}),)


def test_a_name_that_only_contains_a_metrics_name_is_not_that_metric():
    assert metric("accuracy").unit == metric("test_accuracy").unit == "%"
    assert metric("my_accuracy") == Metric("my_accuracy") and metric("accuracy_gap").unit == ""
    assert metric("validation_perplexity") == Metric("perplexity")


def test_a_task_file_registers_a_metric_of_its_own_once():
    mine = register_metric(Metric("test_of_metrics", goal="min", unit="bits"))
    assert metric("test_of_metrics") is metric("validation_test_of_metrics") is mine
    assert register_metric(Metric("test_of_metrics", goal="min", unit="bits")) == mine
    with pytest.raises(UserError, match="registered twice"):
        register_metric(Metric("test_of_metrics"))
    with pytest.raises(UserError, match="unknown goal 'more'"):
        Metric("m", goal="more")


def test_a_studys_goal_is_its_metrics_where_it_gives_none():
    assert Study("s", "q", GRID).goal == Study("s", "q", GRID, metric="unheard_of").goal == "max"
    assert Study("s", "q", GRID, metric="loss").goal == "min"
    assert Study("s", "q", GRID, metric="loss", goal="max").goal == "max"


def test_chapters_and_claims_are_in_the_json_only_where_they_are_given():
    bare, full = (
        Study("s", "q", GRID),
        Study("s", "q", GRID, chapters=("a", {"name": "b"}), claims={"aside": {"seed": [1]}}),
    )
    assert not {"chapters", "claims"} & set(bare.json())
    assert Study.from_json(full.json()).json() == full.json() and full.json()["chapters"] == [
        "a",
        {"name": "b"},
    ]
    with pytest.raises(UserError, match="a chapter is a name"):
        Study("s", "q", GRID, chapters=(5,))


def test_defaults_and_labels_are_read_without_an_import():
    assert Run().task.name == TASKS.default and Run().optimizer.name == OPTIMIZERS.default
    assert Run().json()["schedule"]["name"] == SCHEDULES.default and PROBES.default == ""
    assert OPTIMIZERS.label("adamw") == "AdamW" and OPTIMIZERS.label("unheard") == "unheard"


def test_a_second_default_raises():
    kinds = Registry("thing", "THINGS", "preheat.probes")

    def thing():
        """A thing."""

    kinds.register("one", label="The One", default=True)(thing)
    assert kinds.default == "one" and kinds.label("one") == "The One"
    with pytest.raises(UserError, match="'one' is already"):
        kinds.register("two", default=True)(thing)


def test_a_metric_is_written_in_its_own_digits_and_steps():
    told = {"unit": "\N{PER MILLE SIGN}", "step": "indices", "one_step": "index"}
    mine = register_metric(Metric("metric_of_digits", scale=1000.0, digits=".2f", **told))
    units = Units.of(f"test_{mine.name}")
    assert units.value(0.0123456) == "12.35\N{NO-BREAK SPACE}\N{PER MILLE SIGN}"
    assert units.margin(0.001).endswith("index") and units.margin(0.002).endswith("indices")
    with pytest.raises(UserError, match="digits of metric 'm' must be a number's format, got '3 places'"):
        Metric("m", digits="3 places")
