"""Curves are means over all seeds; a damaged trace is left out and said."""

from __future__ import annotations

import math
from array import array
from typing import Any, NamedTuple

import numpy as np
import pytest
from analysed import analyse
from fake_results import noisy, results

from preheat.core.errors import UserError
from preheat.core.record import Series
from preheat.core.spec import Spec


class Factor(NamedTuple):
    warmup: float

    def resolve(self, total: int, per_epoch: float | None = None, **more: Any) -> Any:
        return lambda k: np.minimum(1.0, (np.asarray(k) + 0.5) / max(self.warmup * (per_epoch or 1), 0.5))


class Trained(NamedTuple):
    run: Any
    trace: dict[str, Series]


def test_curves_are_the_mean_over_the_seeds() -> None:
    given = results(noisy((1, 2, 2, 1, 5)), panels=("sgd",), sizes=(50, 5), warmups=(0, 20))
    rows = {r.run_id: r for r in given.rows}

    def load(run_id: str) -> Any:
        row = rows[run_id]
        run = type(
            "Run",
            (),
            {
                "task": Spec("digits"),
                "peak_lr": 0.1,
                "rate_rule": None,
                "factor_over": Factor(row.axes["schedule.warmup"]["epochs"]).resolve,
            },
        )
        loss = Series(array("q", range(400)), array("d", [2.0 + row.seed] * 400))
        accuracy = Series(array("q", [0, 200, 400]), array("d", [0.1, 0.5 + row.seed, 0.9]))
        return Trained(run, {"train_loss": loss, "validation_accuracy": accuracy})

    f = analyse(given, load)
    by = {(c.condition, c.treatment, c.what): c for c in f.curves}
    accuracy, loss = by["50", "0ep", "validation_accuracy"], by["50", "0ep", "train_loss"]
    assert accuracy.x == (0.0, 0.5, 1.0) and accuracy.y == pytest.approx((0.1, 2.5, 0.9)) and accuracy.n == 5
    assert accuracy.hi[1] - accuracy.y[1] == pytest.approx(math.sqrt(2.5), rel=1e-4)
    assert len(loss.x) == 100 and set(loss.y) == {4.0}
    assert [(r.panel, r.condition, r.treatment) for r in f.rates] == [("", "", "0ep"), ("", "", "20ep")]
    assert f.rates[0].y[0] == 1.0 and f.rates[1].y[0] < 0.01 and f.rates[1].y[-1] == 1.0


def test_a_damaged_trace_is_left_out_of_the_curves_and_said() -> None:
    given = results(noisy((1, 2, 2, 1, 5)), panels=("sgd",), sizes=(50, 5), warmups=(0, 20))
    rows = {r.run_id: r for r in given.rows}
    bad = {r.run_id for r in given.rows if r.seed == 3 and r.axes["task.examples_per_class"] == 50}

    def load(run_id: str, damaged: Any = frozenset(bad)) -> Any:
        if run_id in damaged:
            raise UserError(f"a stored trace must match its checksums; that of run {run_id} does not")
        run = type(
            "Run",
            (),
            {
                "task": Spec("digits"),
                "peak_lr": 0.1,
                "rate_rule": None,
                "factor_over": Factor(rows[run_id].axes["schedule.warmup"]["epochs"]).resolve,
            },
        )
        loss = Series(array("q", range(400)), array("d", [float(rows[run_id].seed)] * 400))
        return Trained(run, {"train_loss": loss})

    f = analyse(given, load)
    loss = {(c.condition, c.treatment): c for c in f.curves if c.what == "train_loss"}
    assert loss["50", "0ep"].n == 4 and set(loss["50", "0ep"].y) == {1.75} and loss["5", "0ep"].n == 5
    assert any(n.startswith("2 runs have damaged traces, so no curve shows") for n in f.notes)
    whole = analyse(given, lambda run_id: load(run_id, ()))
    assert not any("damaged" in n for n in whole.notes)
    drawn = ("curves", "rates", "loss_by_rate", "notes", "chapters")
    assert f.data(*drawn) == whole.data(*drawn)
    none = analyse(given, lambda run_id: load(run_id, rows))
    assert none.curves == () and any(n.startswith("20 runs have damaged traces") for n in none.notes)
