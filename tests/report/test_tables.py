"""The report's tables and the head of its summary."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from fake_regimes import IN_EPOCHS, WARMUP, level, loader, regimes
from fake_results import noisy, results

from preheat.analysis.results import Results
from preheat.report.report import report


def test_single_runs_of_the_curves_do_not_hide_the_table_of_all_runs() -> None:
    given = regimes(level, IN_EPOCHS[:2], seeds=2, sizes=(100, 50))
    chosen = {"name": "curves", "runs": [given.rows[3].run_id]}
    rows = report(given, loader(given), chapters=(chosen,)).tables()
    assert [r["id"] for r in rows["runs"]] == [r.run_id for r in given.rows]
    assert {r["treatment"] for r in rows["curves_runs"]} == {given.rows[3].run_id}


def test_a_study_without_a_condition_lists_none() -> None:
    given = regimes(level, IN_EPOCHS[:2], seeds=2, sizes=(100,))
    of = replace(given.study, condition="", scientific=(WARMUP,))
    assert report(given).summary()["conditions"] == ("100",)
    assert report(Results(of, given.rows)).summary()["conditions"] == ()


def test_a_verdict_stands_once_with_its_raw_p_and_the_runs_it_rests_on() -> None:
    given = results(noisy((1, 2, 2, 2, 4)))
    made = report(given, chapters=("main", "benefit"))
    summary = made.summary()
    told = {v["name"]: v for v in summary["verdicts"]}
    assert set(told) == set(made.verdicts) and not any("claims" in c for c in summary["chapters"].values())
    assert {name: v["primary"] for name, v in told.items()} == {
        "tuned/sgd/1ep": True, "over_rates/sgd/1ep": True,
        "benefit/sgd/100/1ep": False, "benefit/sgd/50/1ep": False,
        "over_rates_at/sgd/100/1ep": False, "over_rates_at/sgd/50/1ep": False,
    }  # fmt: skip
    assert told["tuned/sgd/1ep"]["runs"] == "0-31" and told["benefit/sgd/50/1ep"]["runs"] == "16-31"
    for name, v in told.items():
        assert v["raw_p"] <= v["p"] and v["effect"]["mean"] == made.verdicts[name].effect.mean
    outcome = np.full((1, 2, 2, 2, 4), "done", dtype=object)
    outcome[0, 1, 1, 0, 0] = "missing"
    late = report(results(noisy(outcome.shape), outcome=outcome), chapters=("main", "benefit")).verdicts
    open_ = {name for name, v in late.items() if v.why == "runs are missing"}
    one = {"benefit/sgd/50/1ep", "over_rates_at/sgd/50/1ep"}
    assert open_ == {"tuned/sgd/1ep", "over_rates/sgd/1ep", *one}
