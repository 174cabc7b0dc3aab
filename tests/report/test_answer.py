"""The answer in a paragraph: it speaks to a practitioner, follows the data and never says more than tests
do."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from analysed import Analysed, analyse
from fake_regimes import FEW_SIZES, IN_EPOCHS, OPTIMIZER, joined, level, regimes, seed_noise
from fake_results import PANELS, RATES, SIZES, WARMUPS, noisy, results, study
from reported import changed, shown
from simulated import RATES as FINE
from simulated import moved, scores

from preheat.analysis.effects import decidable
from preheat.analysis.results import Results
from preheat.report.chapters.benefit import described
from preheat.report.report import report


def test_a_whole_study_reads_right() -> None:
    score = noisy((2, 5, 5, 4, 8))
    score[..., 3, :] = 0.12
    score[:, :, :2, 2, :] = 0.12
    f = analyse(results(score))
    assert (f.treatments, f.conditions, f.panels) == (
        tuple(f"{w}ep" for w in WARMUPS),
        tuple(map(str, SIZES)),
        PANELS,
    )
    assert (len(f.cells), len(f.effects), len(f.best), len(f.edges), len(f.inside)) == (50, 40, 10, 50, 10)
    assert [h.code for h in f.hypotheses] == ["H1", "H2", "H3", "H4"]
    assert [r.panel for r in f.rules] == ["sgd", "adamw"]
    assert [(p.panel, p.treatment) for p in f.pooled] == [(p, f"{w}ep") for p in PANELS for w in WARMUPS[1:]]
    assert (f.choosing, f.judging) == ((0, 1, 2), (3, 4, 5, 6, 7))
    assert f.data() == analyse(results(score)).data(), "the same results give the same findings"
    assert f.runs[0] == {
        "examples_per_class": 100,
        "warmup": "0ep",
        "optimizer": "sgd",
        "peak_lr": 0.05,
        "seed": 0,
        "outcome": "done",
        "diverged_step": None,
        "validation_accuracy": score[0, 0, 0, 0, 0],
        "test_accuracy": score[0, 0, 0, 0, 0],
        "train_loss": None,
        "id": "run00000",
    }


def told(score: Any, **axes: Any) -> str:
    return analyse(results(score, **axes)).answer.replace("\N{NO-BREAK SPACE}", " ")


def test_the_answer_speaks_to_a_practitioner() -> None:
    score = noisy((2, 5, 5, 4, 8), noise=0.002)
    score[..., 3, :] = 0.12
    score[1, :, :2, 2, :] = 0.12
    said = told(score)
    assert said.startswith(
        "With AdamW, warmup raises the highest usable peak learning rate, all values of examples per class together: "
        "to 2.00 times that of no warmup with 5 epochs (95 % interval "
    )
    assert "; with 1 epoch (1.00, " in said and "With SGD no length of warmup is shown to move it" in said
    assert (
        "none of 40 comparisons with no warmup is surely better or worse (40 equivalent within 1 point, 0 "
        "not decided)" in said
    )
    assert said.endswith(
        "In practice: if you train near the edge, set the warmup with AdamW (5 epochs is enough to raise it); at a "
        "tuned peak "
        "learning rate the length of warmup hardly matters; well inside the edge the length of warmup hardly "
        "matters."
    )
    assert 4 <= len(re.findall(r"[.](?= [A-Z]|$)", said)) <= 6
    assert not re.search(r"\dep\b|sgd|adamw| -\d|0\.0\d", said)


def test_the_answer_follows_the_data() -> None:
    helped, hurt = noisy((1, 5, 2, 4, 8), noise=0.002), noisy((1, 5, 2, 4, 8), noise=0.002)
    helped[:, :, 1] += 0.03
    hurt[:, :, 1, 2:] = 0.12
    hurt[..., 3, :] = 0.12
    assert "5 are surely better and 0 worse (0 equivalent" in told(helped)
    assert "surely matters in 5 of 5 comparisons" in told(helped) and "hardly" not in told(helped)
    assert "With SGD, warmup lowers the highest usable peak learning rate" in told(hurt)
    assert "no length of warmup was shown to allow a higher peak learning rate" in told(hurt)
    one = results(hurt[..., :1], of=study(seeds=1, choosing=0))
    assert "by a factor of 0.50 on one seed: a description, not a conclusion." in analyse(one).answer
    assert "In practice" not in analyse(one).answer


def test_a_value_above_half_of_the_edge_is_not_called_well_inside() -> None:
    score = noisy((2, 5, 5, 4, 8), noise=0.002)
    score[..., 3, :] = 0.12
    score[0, :3, 2, 1:, 0] = 0.12  # there only the lowest rate trains always
    f = analyse(results(score))
    assert [i.well for i in f.inside] == [False] * 3 + [True] * 7
    assert f.inside[0].value == RATES[0] and "no value as low as half of the edge" in f.inside[0].text
    assert "Well inside the edge (7 of 10 settings have a value so low), all choices" in f.answer
    assert "well inside the edge the length of warmup hardly matters" not in f.answer
    score[..., 1:, :] = 0.12
    none = analyse(results(score))
    assert not any(i.well for i in none.inside) and "ell inside" not in none.answer
    assert "none is as low as half of the edge" in none.answer


def test_a_study_with_missing_runs_is_called_preliminary_first() -> None:
    outcome = np.full((1, 2, 2, 2, 4), "done", dtype=object)
    outcome[:, :, :, :, 3] = "missing"
    assert analyse(results(noisy(outcome.shape), outcome=outcome)).answer.startswith(
        "Preliminary: 24 of 32 runs have a record. "
    )


@pytest.mark.parametrize(("choosing", "rates", "told"), [(1, 3, True), (2, 3, False), (1, 1, False)])
def test_one_choosing_seed_is_a_limit_where_there_is_a_choice(choosing: int, rates: int, told: bool) -> None:
    found = analyse(results(noisy((1, 2, 2, rates, 5)), of=study(seeds=5, choosing=choosing)))
    assert told == any(n.startswith("One seed alone chose the peak learning rate: ") for n in found.notes)


# The edge


def moving(log2: Any, **axes: Any) -> str:
    return told(scores(log2), rates=FINE, **axes)


def test_the_answer_tells_the_conditions_where_the_move_depends_on_them() -> None:
    shift = np.zeros((2, 5, 5))
    shift[1, 3, 2:], shift[1, 4, 2:] = 1.5, 2.0
    said = moving(moved(shift, spread=0.15))
    first = said.split(". ")[0] + ". " + said.split(". ")[1]
    assert (
        "With AdamW, how far warmup moves the highest usable peak learning rate depends on the examples per "
        "class" in first
    )
    assert "examples per class: at 10 it rises to " in first and " and at 5 to " in first
    assert "with 5, 10 and 20 epochs" in first and "at 100, 50 and 20 no move is shown" in first
    assert "all values of examples per class together" not in said, (
        "a mean over sizes that differ is no headline"
    )
    advice = "set the warmup with AdamW at 10 examples per class (5 epochs is enough to raise it) and at 5 (5 epochs);"
    assert advice in said


def test_the_answer_pools_where_no_dependence_is_shown() -> None:
    shift = np.zeros((2, 5, 5))
    shift[1, :, 2:] = 1.0
    said = moving(moved(shift))
    assert (
        "With AdamW, warmup raises the highest usable peak learning rate, all values of examples per class together: to "
        in said
    )
    assert "not shown to depend on the examples per class" in said and " by itself" in said
    assert "if you train near the edge, set the warmup with AdamW (5 epochs is enough to raise it);" in said


def test_the_answer_names_a_single_condition_that_is_sure_alone() -> None:
    shift = np.zeros((1, 5, 2))
    shift[0, :, 1] = -0.15
    shift[0, 2, 1] = 1.2
    said = moving(moved(shift, spread=0.4, seed=2), panels=("sgd",), warmups=WARMUPS[:2])
    assert (
        "With SGD, warmup raises the highest usable peak learning rate: at 20 examples per class it rises to "
        in said
    )
    assert "at 100, 50, 10 and 5 no move is shown" in said
    assert "set the warmup with SGD at 20 examples per class (1 epoch is enough to raise it)" in said


def test_the_answer_says_at_least() -> None:
    shift = np.zeros((1, 5, 2))
    shift[0, :, 1] = 3.4
    said = moving(moved(shift), panels=("sgd",), warmups=WARMUPS[:2])
    assert re.search(
        r"to at least \d+\.?\d* times that of no warmup with 1 epoch \(95 % interval from \d+\.\d+\)", said
    ), said
    lost = moving(moved(np.full((1, 5, 2), 9.0)), panels=("sgd",), warmups=WARMUPS[:2])
    assert "no seed's edge lies inside the grid" in lost


def test_tables_of_edges_are_in_the_unit_of_the_rate_and_in_factors() -> None:
    shift = np.zeros((2, 5, 5))
    shift[1, 4] = 4.5
    f = analyse(results(scores(moved(shift)), rates=FINE))
    rows = f.tables()["edges"]
    assert all(FINE[0] <= row["edge"] <= FINE[-1] for row in rows)
    assert {"edge_lo", "edge_hi", "edge_bound", "ratio", "ratio_lo", "ratio_hi", "ratio_bound"} <= set(
        rows[0]
    )
    assert not {"factor", "log2_edge"} & set(rows[0])
    last = rows[-1]
    assert (last["panel"], last["condition"], last["edge_bound"], last["edge_hi"]) == (
        "adamw",
        "5",
        "at least",
        None,
    )
    assert {"ratio", "change", "change_p_adjusted"} <= set(f.tables()["edges_pooled"][0])
    note = next(n for n in f.notes if "censored" in n)
    assert "as a bound" in note


# One seed


def mixed() -> Analysed:
    """SGD with three seeds, AdamW with one and ten times the differences."""

    def wide(size: int, updates: float, seed: int) -> float:
        return 0.8 + 10 * seed_noise(size, updates, seed) + (0.2 if updates else 0.0)

    grids = [
        regimes(s, IN_EPOCHS, seeds=n, sizes=FEW_SIZES, **{OPTIMIZER: o})
        for s, n, o in ((level, 3, "sgd"), (wide, 1, "adamw"))
    ]
    return analyse(joined(*grids))


def with_study(f: Analysed, **changes: Any) -> Results:
    given = f.report.results
    return Results(replace(given.study, **changes), given.rows)


def test_one_seed_numbers_are_not_given_as_those_of_more() -> None:
    f = mixed()
    judged = [e.estimate.mean for e in f.effects if e.estimate.n > 1]
    assert len(judged) == len(decidable(f.effects)) == 12 and len(f.effects) == 24
    span = f"run from {100 * min(judged):+.1f} to {100 * max(judged):+.1f}\xa0points, on 3 seeds. 12 more have one seed: described only."
    assert span.replace("-", "\N{MINUS SIGN}") in f.answer and "of 12 comparisons" in f.answer
    (tile,) = shown(f.report, "benefit").tiles
    assert tile.number.endswith("of 12") and "12 more have one seed" in tile.text
    sure = f.sure
    assert (
        "(n\xa0=\xa01 to 3: not every setting has every seed)" in sure[0]
        and "nothing had to be chosen" in sure[0]
    )
    assert "Of 12 comparisons of two seeds or more" in shown(f.report, "benefit").lead
    assert "no result by itself" in shown(f.report, "best").lead
    chose = report(with_study(f, choosing=1), chapters=("best",))
    assert "no result by itself" not in shown(chose, "best").lead
    assert any("15 of 30 settings have one judging seed" in n for n in f.notes)


def test_comparisons_of_one_seed_or_none_are_counted_apart() -> None:
    f = mixed()
    lone = [e for e in f.effects if e.estimate.n == 1]
    nothing = replace(lone[0], estimate=replace(lone[0].estimate, n=0))
    assert described(f.effects) == ["12 more have one seed: described only."] and described([]) == []
    assert described([lone[0], nothing]) == [
        "1 more has one seed: described only.",
        "1 more has no judged run.",
    ]
    only = changed(f.report, "benefit", effects=tuple(lone))
    assert "described only" in only.lead
    (tile,) = only.tiles
    assert (tile.number, tile.text) == ("12", "comparisons, none of two seeds or more: described only")


def test_seeds_that_chose_and_judge_are_not_said_to_have_had_no_choice() -> None:
    f = report(with_study(mixed(), nuisance=("peak_lr",)))
    assert "chose the peak learning rate and judge it too" in f.sure[0]
