"""What the probes measured in the first epochs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fake_regimes import IN_EPOCHS, SIZE, WARMUP, hill, record, regimes, trace
from reported import found

from preheat import Run, spec, train
from preheat.core.record import Record, Status
from preheat.report.report import Report, report


def probed() -> Report:
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

    return report(given, load, chapters=("first_epochs",))


def test_first_epochs_are_means_with_their_bands() -> None:
    f = probed()
    curves = found(f, "first_epochs", "first_epochs")
    assert [(c.treatment, c.what) for c in curves] == [
        (t, w) for t in ("0ep", "1ep") for w in ("grad_norm", "hessian_trace", "learning_rate")
    ]
    norm, trail, rate = curves[:3]
    assert (
        norm.x == tuple(map(float, range(11)))
        and norm.y[0] == 1.5
        and norm.hi[0] - norm.y[0] == pytest.approx(0.5**0.5, rel=1e-5)
    )
    assert trail.y[0] == 5 and trail.hi[0] - trail.y[0] == pytest.approx(2.5)  # sqrt(3^2 + 4^2) / 2
    assert rate.y[5] == pytest.approx(0.1 * 40 / 800)
    told = {(m.treatment, m.what, m.epoch): m.mean for m in found(f, "first_epochs", "milestones")}
    assert told["0ep", "grad_norm", 5.0] == 6.5 and told["1ep", "learning_rate", 10.0] == pytest.approx(0.01)
    rows = f.tables()
    assert len(rows["first_epochs"]) == 6 * 11 and len(rows["milestones"]) == 18


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
    f = report(replace(given, rows=(row,)), lambda _: done)
    norm, rate = found(f, "first_epochs", "first_epochs")
    assert norm.what == "grad_norm" and norm.x == (0.0, 1.0, 2.0) and rate.y == (run.peak_lr,) * 3
