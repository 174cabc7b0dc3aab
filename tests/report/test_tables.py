"""The report's tables and the head of its summary."""

from __future__ import annotations

from dataclasses import replace

from fake_regimes import IN_EPOCHS, WARMUP, level, loader, regimes

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
