"""Epochs or updates, the two protocols, and the first epochs: the claims hold as often as they say, and
against sums by hand."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fake_regimes import IN_BOTH, IN_EPOCHS, PER_EPOCH, SELECTION, SIZE, WARMUP, hill, record, regimes, trace
from fake_results import results

from preheat import Run, spec, train
from preheat.analysis.analyse import analyse
from preheat.analysis.findings import Findings
from preheat.analysis.results import Results, Row
from preheat.analysis.table import Table
from preheat.analysis.tabulate import tabulate
from preheat.analysis.tables import findings_json, tables
from preheat.core.record import Record, Status
from preheat.stats.estimates import t_quantile
from preheat.studies.regimes.findings import Exponent, Updates
from preheat.studies.regimes.surface import surfaces
from preheat.studies.regimes.updates import updates
from preheat.studies.regimes.updates_hypotheses import _lead
from preheat.studies.regimes.warmup_grid import WarmupGrid, chance, favourites, warmup_grids, p_choices, reach, slopes


def ladder(table: Table) -> WarmupGrid:
    return warmup_grids(table)[0]


def exponents(kind: str, warmups: Any, *, times: int, noise: float = 0.01) -> list[Exponent]:
    best = {"updates": lambda n: 40.0, "epochs": lambda n: 5.0 * PER_EPOCH[n], "none": lambda n: None}[kind]
    made = (updates(tabulate(regimes(hill(best, noise=noise, seed=k), warmups))) for k in range(times))
    return [u.exponents[0] for u in made if u is not None]


def share(some: list[Exponent], unit: str) -> float:
    return float(np.mean([getattr(e, unit) == "excluded" for e in some]))


def covers(some: list[Exponent], b: float) -> float:
    return float(np.mean([(e.b.lo or 0.0) <= b <= (e.b.hi or 0.0) for e in some]))


def test_every_warmup_is_told_in_updates_epochs_and_as_a_share_of_the_run() -> None:
    found = updates(tabulate(regimes(hill(lambda n: None), seeds=2)))
    assert found is not None
    told = {
        (x.condition, x.treatment): (x.updates, round(x.epochs, 4), round(x.share, 6)) for x in found.lengths
    }
    assert told["5000", "5ep"] == (1955, 5, 0.05)
    assert told["50", "5ep"] == (20, 5, 0.05)
    assert told["50", "20"] == (20, 5, 0.05)
    assert told["5000", "20"] == (20, 0.0512, 0.000512)
    assert ("50", "0ep") in told and len(told) == 5 * 9


def test_a_fixed_number_of_updates_is_found_and_a_fixed_number_of_epochs_excluded() -> None:
    some = exponents("updates", IN_BOTH, times=16)
    assert covers(some, 0.0) >= 0.8 and covers(some, 1.0) <= 0.1
    assert share(some, "epochs") >= 0.85 and share(some, "updates") <= 0.13


def test_a_fixed_number_of_epochs_is_found_and_a_fixed_number_of_updates_excluded() -> None:
    some = exponents("epochs", IN_BOTH, times=16)
    assert covers(some, some[0].epochs_b) >= 0.8 and covers(some, 0.0) <= 0.1
    assert share(some, "updates") >= 0.85 and share(some, "epochs") <= 0.13


def test_without_any_effect_nothing_is_excluded_more_than_five_percent_of_the_time() -> None:
    some = exponents("none", IN_BOTH, times=60)
    assert (
        share(some, "updates") <= 0.1 and share(some, "epochs") <= 0.1
    )  # 6 of 60 or more: 6 % of the time at 5 %
    assert all("noise" in e.text for e in some if (e.p_choices or 0) >= 0.05)


def test_a_grid_in_epochs_forces_the_exponent_and_that_is_said() -> None:
    some = exponents("epochs", IN_EPOCHS, times=4, noise=0.003)
    for e in some:
        assert e.chance == pytest.approx(e.epochs_b, abs=0.05) and e.b.lo is not None and e.b.lo > 0.5
        assert e.low > 0 and e.updates == "out of reach" and "lies within the grid" in e.text


def test_choices_at_one_end_of_the_grid_exclude_nothing() -> None:
    some = exponents("epochs", IN_EPOCHS[:3], times=1, noise=0.0) + exponents(
        "updates", IN_BOTH[:1] + IN_BOTH[6:], times=1, noise=0.001
    )
    assert some[0].at_longest == 1 and "longest" in some[0].text and some[0].updates == "not decided"


def test_exponent_is_the_least_squares_slope_of_the_favourites() -> None:
    s = ladder(tabulate(regimes(hill(lambda n: 5.0 * PER_EPOCH[n], noise=0.0), IN_EPOCHS, seeds=2)))
    y = favourites(s)
    assert np.allclose(2 ** y[:, 0], [5 * PER_EPOCH[int(n)] for n in s.sizes])
    b, _ = np.polyfit(np.log2(s.sizes), y[:, 0], 1)
    assert np.allclose(slopes(s, y), b)


def test_reach_and_chance_are_those_of_all_choices() -> None:
    s = ladder(tabulate(regimes(hill(lambda n: None), IN_EPOCHS[:4], seeds=1, sizes=(500, 100, 50))))
    every = [
        slopes(s, np.array(row)[:, None])[0]
        for row in itertools.product(*(r[np.isfinite(r)] for r in s.updates))
    ]
    assert np.allclose(reach(s), (min(every), max(every)))
    drawn = chance(s)
    assert drawn.mean() == pytest.approx(np.mean(every), abs=4 * np.std(every) / np.sqrt(len(drawn)))
    assert drawn.std() == pytest.approx(np.std(every), rel=0.1)


def test_p_of_the_choices_is_uniform_without_an_effect_and_small_with_one() -> None:
    p = [
        p_choices(ladder(tabulate(regimes(hill(lambda n: None, seed=k), IN_EPOCHS, seeds=3)))) or 0
        for k in range(40)
    ]
    assert 0.35 < np.mean(p) < 0.65 and np.mean(np.array(p) < 0.05) <= 0.15
    assert (
        p_choices(ladder(tabulate(regimes(hill(lambda n: 100.0, noise=0.002), IN_EPOCHS, seeds=3)))) or 1
    ) < 0.01


def test_p_of_the_choices_does_not_ask_how_good_a_seed_is() -> None:
    """What a seed adds to all warmups of a size is no difference between warmups."""
    s = ladder(tabulate(regimes(hill(lambda n: 100.0, noise=0.02), IN_EPOCHS, seeds=3)))
    moved = s.judged.copy()
    moved[1:3] += np.array([[[0.3, -0.1, 0.0]], [[0.0, 0.2, 0.5]]])
    p = p_choices(s)
    assert (
        p is not None
        and 0.001 < p < 0.9
        and p_choices(s._replace(judged=moved)) == pytest.approx(p, abs=1e-9)
    )


def test_warmups_of_equal_updates_are_one_choice() -> None:
    """400 updates and 10 epochs of 40 are one run: a second column of it would make chance and p look at it
    twice."""
    made = regimes(hill(lambda n: None, seed=3), IN_BOTH, seeds=3)
    s = ladder(tabulate(made))
    several = [row[np.isfinite(row)] for row in s.updates]
    assert all(len(np.unique(row)) == len(row) for row in several)
    assert [len(row) for row in several] == [6, 7, 8, 8, 8]  # at 50: 5ep = 20, 20ep = 80 updates
    assert np.isfinite(s.judged).all(axis=2).sum() == sum(map(len, several))
    alone = replace(made, rows=tuple(r for r in made.rows if not twin(r.axes)))
    assert p_choices(ladder(tabulate(alone))) == p_choices(s)


def twin(axes: Any) -> bool:
    """Whether the warmup is in updates and as long as one in epochs."""
    steps = axes[WARMUP].get("steps", -1)
    return any(steps == w["epochs"] * PER_EPOCH[axes[SIZE]] for w in IN_EPOCHS)


def test_ties_share_the_pick() -> None:
    s = ladder(tabulate(regimes(lambda n, u, k: 0.5, IN_EPOCHS, seeds=2)))
    assert np.allclose(2 ** (favourites(s)[:, 0]), [1000**0.25 * PER_EPOCH[int(n)] for n in s.sizes])


def test_one_seed_is_a_description_and_a_warmup_in_both_units_counts_by_its_updates() -> None:
    found = updates(tabulate(regimes(hill(lambda n: 40.0, noise=0.0), seeds=1)))
    assert found is not None
    (e,) = found.exponents
    assert (e.updates, e.epochs, e.b.lo, e.p_choices) == ("not decided", "not decided", None, None)
    at_50 = next(f for f in found.favourites if f.condition == "50")
    assert [at_50.best.mean, at_50.shortest, at_50.longest] == pytest.approx([40, 4, 320])
    assert [h.verdict for h in found.hypotheses] == ["not decided"] * 2


def panels(count: int, **how: Any) -> Updates:
    """The same study under several names of its task."""
    made = [
        regimes(hill(lambda n: 5.0 * PER_EPOCH[n], **how), **{"task.name": f"t{i}"}) for i in range(count)
    ]
    found = updates(tabulate(replace(made[0], rows=tuple(r for m in made for r in m.rows))))
    assert found is not None and len(found.exponents) == count
    return found


def test_what_is_excluded_is_corrected_for_the_number_of_panels() -> None:
    said = []
    for count in (1, 2, 6):
        e = panels(count, noise=0.015, seed=1).exponents[0]
        assert e.b.lo is not None and e.b.hi is not None and e.p_choices is not None and e.p_choices < 0.05
        half = (e.b.hi - e.b.lo) / 2 * t_quantile(1 - 0.025 / count, e.b.n - 1) / t_quantile(0.975, e.b.n - 1)
        said.append(e.updates)
        assert (e.updates == "excluded") == (e.b.mean - half > max(0.0, e.chance))
    assert said[0] == "excluded" and said[-1] == "not excluded"


def test_the_lead_of_the_best_interior_size_is_corrected_for_their_number() -> None:
    gain = np.array([[0, 0, 0], [1, 2, 6], [0, 1, 1], [-1, 0, 0], [0, 0, 0]], dtype=np.float64)
    e = _lead(gain, 0.0)
    half = t_quantile(1 - 0.025 / 3, 2) * np.std([1, 2, 6], ddof=1) / 3**0.5
    assert e.mean == 3 and e.lo is not None and e.hi is not None and e.n == 3
    assert e.hi == pytest.approx(3 + half) and e.lo >= 3 - half
    assert _lead(gain[[0, 1, 4]], 0.0).lo == pytest.approx(
        3 - half * t_quantile(0.975, 2) / t_quantile(1 - 0.025 / 3, 2)
    )


def test_hypotheses_in_updates() -> None:
    def peak(size: int, u: float, s: int) -> float:
        return 0.8 + (0.02 if u and size == 500 else 0.0) + 1e-4 * np.sin(size + u + 7 * s)

    h1, h2 = restated(peak)
    assert (
        h1.verdict == "supported"
        and h1.effect.mean == pytest.approx(0.02, abs=1e-3)
        and "40 updates" in h1.text
    )
    assert h2.verdict == "not decided"
    h1, h2 = restated(hill(lambda n: 5.0 * PER_EPOCH[n], noise=0.003))
    assert h2.verdict == "supported" and h2.p < 0.05
    assert restated(hill(lambda n: 40.0, noise=0.003))[1].verdict == "contradicted"
    assert "No number of updates" in restated(peak, IN_EPOCHS)[0].text


def restated(score: Any, warmups: Any = IN_BOTH) -> Any:
    found = updates(tabulate(regimes(score, warmups)))
    assert found is not None
    return found.hypotheses


def test_incomplete_panels_and_other_studies() -> None:
    """AdamW of the seed's grid has other warmups at the smallest size; what has no pair of warmups has no
    exponent."""
    given = regimes(hill(lambda n: 40.0), IN_EPOCHS, seeds=2)
    kept = [
        r for r in given.rows if r.axes[WARMUP]["epochs"] in ((0, 1, 5) if r.axes[SIZE] == 50 else (0, 5, 20))
    ]
    found = updates(tabulate(replace(given, rows=tuple(kept))))
    assert found is not None and len(found.favourites) == 5 and round(found.favourites[0].longest, 9) == 20
    single = [r for r in given.rows if r.axes[WARMUP]["epochs"] in (0, 5)]
    lone = updates(tabulate(replace(given, rows=tuple(single))))
    assert lone is not None and not lone.exponents and not lone.hypotheses and len(lone.lengths) == 10
    assert (
        updates(
            tabulate(results(np.full((1, 1, 2, 1, 2), 0.5), panels=("sgd",), sizes=("a",), warmups=(0, 1)))
        )
        is None
    )


def test_surface_keeps_warmups_in_epochs_and_one_seed_panels_beside_those_of_more() -> None:
    (s,) = surfaces(tabulate(regimes(hill(lambda n: 40.0))))
    assert s.names == ("0ep", "1ep", "5ep", "10ep", "20ep") and (np.diff(s.warmup, axis=1) > 0).all()
    many, few = (
        regimes(hill(lambda n: 40.0), IN_EPOCHS, seeds=n, **{"task.name": name})
        for n, name in ((3, "a"), (1, "b"))
    )
    both = surfaces(tabulate(replace(many, rows=(*many.rows, *few.rows))))
    assert [(x.panel, x.n) for x in both] == [("a", 3), ("b", 1)]


def test_sizes_of_several_panels_keep_their_direction() -> None:
    a, b = (
        regimes(hill(lambda n: None), IN_EPOCHS, seeds=1, sizes=sizes)
        for sizes in ((1000, 100, 50), (5000, 500))
    )
    assert tabulate(replace(a, rows=(*a.rows, *b.rows))).conditions.labels == (
        "5000",
        "1000",
        "500",
        "100",
        "50",
    )


def protocols(**changes: Any) -> tuple[Results, dict[str, Any]]:
    """Two seeds, three warmups: with selection test 0.90 + 0.01 seed at the end and 0.02 + 0.01 seed more at
    the best."""
    rows: list[Row] = []
    for selection, sizes in (("validation", (1000, 100)), ("test", (5000, 100))):
        made = regimes(
            lambda n, u, s: 0.9 + 0.01 * s, IN_EPOCHS[:3], seeds=2, sizes=sizes, **{SELECTION: selection}
        )
        rows += made.rows
    rows = [replace(r, run_id=f"p{i}") for i, r in enumerate(rows)]
    honest = [
        replace(r, summary={**r.summary, "test_accuracy": 0.85}) if r.axes[SELECTION] == "validation" else r
        for r in rows
    ]
    of = replace(made.study, **changes)
    records = {}
    for r in rows:
        end = int(r.summary["total_steps"] or 0)
        best = 0.92 + 0.02 * r.seed
        curve = trace([0, end // 2, end], [0.99, best, 0.9 + 0.01 * r.seed])
        records[r.run_id] = record(r, validation_accuracy=curve)
    return Results(of, tuple(honest)), records


def test_protocols_are_paired_and_split() -> None:
    given, records = protocols()
    f = analyse(given, records.__getitem__)
    assert {(o.condition, o.selection, o.runs) for o in f.optimism} == {
        (c, s, 6)
        for s, c in (("validation", "1000"), ("validation", "100"), ("test", "5000"), ("test", "100"))
    }
    o = next(x for x in f.optimism if x.selection == "test")
    assert (o.best, o.last, o.over) == (pytest.approx(0.93), pytest.approx(0.905), "seeds")
    assert o.optimism.mean == pytest.approx(0.025) and o.optimism.n == 2
    assert [g.condition for g in f.gaps] == ["5000 / 1000", "100"]
    for g in f.gaps:
        assert g.panel == "test" and g.honest == pytest.approx(0.85) and g.gap.mean == pytest.approx(0.08)
        assert g.gap.mean == pytest.approx(g.optimism.mean + g.rest.mean)
    assert f.updates is not None and {x.panel for x in f.updates.lengths} == {"validation", "test"}
    assert [e.panel for e in f.updates.exponents] == ["validation"], (
        "what chose on the test split is told, not tested"
    )
    at_end = {c.estimate.mean for c in f.cells if c.panel == "test"}
    assert np.allclose(list(at_end), 0.905), "the headline stays the value at the end"
    assert any("selection test" in n for n in f.notes)


def test_one_protocol_one_seed_and_a_loss() -> None:
    given, records = protocols(metric="accuracy", goal="min")
    lone = tuple(r for r in given.rows if r.axes[SELECTION] == "test" and r.seed == 0)
    study = replace(given.study, scientific=(SIZE, WARMUP), seeds=(0,))
    rows = tuple(replace(r, axes={k: v for k, v in r.axes.items() if k != SELECTION}) for r in lone)
    f = analyse(Results(study, rows), records.__getitem__)
    assert (
        not f.gaps
        and {o.over for o in f.optimism} == {"settings"}
        and {o.optimism.n for o in f.optimism} == {3}
    )
    assert f.optimism[0].best == pytest.approx(0.9), (
        "of a loss the best is the lowest, and the untrained step does not count"
    )


def test_tasks_that_do_not_select_have_no_protocols() -> None:
    given = regimes(hill(lambda n: None), IN_EPOCHS[:2], seeds=1, sizes=(100, 50))
    f = analyse(given, lambda i: record(given.rows[0], validation_accuracy=trace([0, 9], [0.1, 0.9])))  # type: ignore[arg-type,return-value]
    assert not f.optimism and not f.gaps and not f.early and not f.milestones


def probed() -> Findings:
    given = regimes(hill(lambda n: None), IN_EPOCHS[:2], seeds=2, sizes=(100,))
    rows = {r.run_id: r for r in given.rows}
    steps = [8 * e for e in range(13)]

    def load(run_id: str) -> Any:
        up = rows[run_id].seed
        norm = trace(steps, [1.0 + up + e for e in range(13)])
        trail = trace(steps, [10.0 * up] * 13)
        return record(
            rows[run_id], grad_norm=norm, hessian_trace=trail, hessian_trace_se=trace(steps, [3.0 + up] * 13)
        )

    return analyse(given, load)


def test_first_epochs_are_means_with_their_bands() -> None:
    f = probed()
    assert [(c.treatment, c.what) for c in f.early] == [
        (t, w) for t in ("0ep", "1ep") for w in ("grad_norm", "hessian_trace", "learning_rate")
    ]
    norm, trail, rate = f.early[:3]
    assert (
        norm.x == tuple(map(float, range(11)))
        and norm.y[0] == 1.5
        and norm.hi[0] - norm.y[0] == pytest.approx(0.5**0.5, rel=1e-5)
    )
    assert trail.y[0] == 5 and trail.hi[0] - trail.y[0] == pytest.approx(2.5)  # sqrt(3^2 + 4^2) / 2
    assert rate.y[5] == pytest.approx(0.1 * 40 / 800)
    told = {(m.treatment, m.what, m.epoch): m.mean for m in f.milestones}
    assert told["0ep", "grad_norm", 5.0] == 6.5 and told["1ep", "learning_rate", 10.0] == pytest.approx(0.01)
    assert len(tables(f)["probes"]) == 6 * 11 and len(tables(f)["milestones"]) == 18


def test_findings_of_a_regimes_study_are_json_and_tables() -> None:
    given, records = protocols()
    f = analyse(given, records.__getitem__)
    data = findings_json(f)
    assert data["updates"]["exponents"] and len(data["gaps"]) == 2
    rows = tables(f)
    assert {"b", "b_lo", "b_hi", "b_n", "updates", "epochs"} <= set(rows["exponents"][0])
    assert {"gap", "optimism_lo", "rest", "over"} <= set(rows["protocols"][0])
    assert len(rows["warmup_lengths"]) == 12 and rows["hypotheses_in_updates"][0]["code"] == "H1"


def test_notes_of_the_study_come_first() -> None:
    given, records = protocols(notes=("cifar100: three sizes are one.",))
    assert analyse(given, records.__getitem__).notes[0] == "cifar100: three sizes are one."


def test_a_real_record_with_probes() -> None:
    run = Run(
        task=spec("digits", examples_per_class=5),
        length="3ep",
        batch_size=25,
        probes=(spec("grad_norm", every=2),),
    )
    done = train(run)
    assert isinstance(done, Record) and done.status == Status("done")
    axes = {SIZE: 5, WARMUP: {"epochs": 0.0}}
    given = regimes(hill(lambda n: None), IN_EPOCHS[:1], seeds=1, sizes=(50,))
    row = replace(given.rows[0], axes=axes, run_id=done.id, summary=done.summary)
    f = analyse(replace(given, rows=(row,)), lambda _: done)
    norm, rate = f.early
    assert norm.what == "grad_norm" and norm.x == (0.0, 1.0, 2.0) and rate.y == (run.peak_lr,) * 3
