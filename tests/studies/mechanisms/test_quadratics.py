"""Critical rates on a quadratic loss: what a run tells, what is claimed, and two optimizers from runs to page."""

from __future__ import annotations

import numpy as np
import pytest
from carried import trained
from reported import found

from preheat.analysis.results import Results, Row, collect
from preheat.analysis.tabulate import tabulate
from preheat.core.errors import UserError
from preheat.core.record import Record, Series, Status
from preheat.core.run import Run
from preheat.report.report import report
from preheat.stats.claims import judge
from preheat.store.store import Store
from preheat.studies.mechanisms.critical import MARGIN, CriticalRates, Disagreement, disagreement
from preheat.studies.mechanisms.study import Mechanisms


def test_a_run_tells_its_worst_update_of_those_with_both():
    trace = {
        "critical_sharpness": Series([0, 8, 16, 24], [1.0, np.nan, 1.5, -1.0]),
        "directional_sharpness": Series([0, 8, 16, 24], [1.25, 9.0, 3.0, 1.0]),
    }
    made = Record(Run(task="quadratic"), Status("done"), trace, {}, {})
    assert disagreement(made) == Disagreement(-50.0, 2, 4)
    assert (
        disagreement(Record(made.run, made.status, {"critical_sharpness": trace.popitem()[1]}, {}, {}))
        is None
    )


def made_up(above):
    """{optimizer: verdict} of runs that differ by so many per cent at the worst update, one a seed."""
    study = Mechanisms(quadratics=True, optimizers=("gd",), seeds=len(above)).study()
    rows = [
        Row(p.run.id, p.axes, p.seed, "done", None, {"test_loss": 0.1, "validation_loss": 0.1})
        for p in study.points()
    ]
    table = tabulate(Results(study, tuple(rows)))
    told = CriticalRates().find(table, [(r, Disagreement(x, 4, 4)) for r, x in zip(rows, above, strict=True)])
    (verdict,) = judge(told.claims, ("agreement",), alpha=0.04).values()
    assert verdict.name == "agrees/gd" and verdict.primary
    return verdict


def test_agreement_to_one_per_cent_is_shown_or_its_absence_or_it_is_not_decided():
    assert made_up([1e-5, -2e-5, 1e-6]).verdict == "no difference of this size"
    assert made_up([7.0, 8.0, 7.0]).verdict == "supported"
    assert made_up([-7.0, -8.0, -7.0]).verdict == "the opposite is shown"
    assert made_up([7.0, -7.0, 3.0]).verdict == "not decided"
    one, none = made_up([1e-5]), made_up([np.nan, np.nan])
    assert one.verdict == none.verdict == "not decided" and "one seed" in one.why and none.effect.n == 0


@pytest.mark.parametrize("mean", [0.0, MARGIN])
def test_agreement_or_its_absence_is_rarely_claimed_falsely(mean):
    """No difference, and one just as large as matters: each is claimed away in at most 5 % of pages."""
    random, n = np.random.default_rng(1), 60
    wrong = {"no difference of this size"} if mean else {"supported", "the opposite is shown"}
    pages = [made_up(mean + 0.3 * random.standard_normal(3)).verdict.value for _ in range(n)]
    assert sum(p in wrong for p in pages) <= 7, "binomial, 0.05 of 60: 7 or fewer in 98 % of cases"


def test_two_optimizers_from_runs_to_page(tmp_path):
    study = Mechanisms(quadratics=True, optimizers=("momentum", "adam"), seeds=2).study()
    points, _ = trained(study, tmp_path)
    index = [(p.axes, p.seed, p.run.id) for p in points]
    page = report(
        collect(study, index, Store.open(tmp_path, create=False).heads()), Store.open(tmp_path).load
    )
    told = found(page, "critical_rates", "settings")
    assert [s.measured for s in told] == [64, 64] and all(32 < s.told <= 64 for s in told)
    said = {name: v.verdict.value for name, v in page.verdicts.items()}
    assert said == dict.fromkeys(("agrees/momentum", "agrees/adam"), "no difference of this size")
    assert "Adam: 2 / eta_c is the curvature along the step, to one per cent" in page.answer


def test_other_options_do_not_go_with_it():
    with pytest.raises(UserError, match="takes optimizers and seeds, got examples, batch_size: leave out"):
        Mechanisms(quadratics=True, batch_size=12, examples=5).study()
