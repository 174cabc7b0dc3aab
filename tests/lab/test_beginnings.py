"""A run begins where a shorter one of the same ended: resumed is uninterrupted."""

from __future__ import annotations

import math

import pytest

from preheat import Run, cosine, linear
from preheat.core.between import Between
from preheat.lab.beginnings import begun, forget
from preheat.lab.plan import Choice, Unit
from preheat.lab.unit import train_unit
from preheat.schedules.combine.beginning import whole
from preheat.schedules.combine.excerpt import excerpt

TASK = {"name": "digits", "examples_per_class": 4}
ALONE, TOGETHER = Choice(1, "eager", 0.0, 0.0, 0), Choice(3, "eager", 0.0, 0.0, 0)


def long(**more):
    given = {
        "task": TASK,
        "length": "9ep",
        "evaluate": "1ep",
        "batch_size": 16,
        "schedule": cosine(warmup="2ep"),
        **more,
    }
    return Run(optimizer="adamw", peak_lr=0.01, **given)


def beginning(run, epochs):
    also = {
        n: Between(excerpt(b.schedule, was=run.total_steps), b.at_zero, b.at_peak)
        for n, b in run.also.items()
    }
    return run.but(schedule=excerpt(run.schedule, was=run.total_steps), length=f"{epochs}ep", also=also)


def trained(runs, folder, choice):
    """Their records, and how many updates were taken."""
    taken = []
    unit = Unit(tuple(runs), choice)
    found = train_unit(unit, folder / unit.id, beat=lambda b: taken.append(b.run_steps))
    return found, sum(taken) // len(runs)


def told(record):
    return {n: (list(s.steps), list(s.values)) for n, s in record.trace.items()}


@pytest.mark.parametrize("also", [{}, {"beta1": Between(linear(), at_zero=0.95, at_peak=0.85)}])
def test_a_run_that_goes_on_is_the_run_that_was_not_stopped(tmp_path, also):
    run = long(also=also)
    (plain,), all_of_it = trained([run], tmp_path / "none", ALONE)
    for epochs in (2, 5):
        short = beginning(run, epochs)
        assert whole(short) == run and begun(tmp_path, short) == begun(tmp_path, run)
        (first,), taken = trained([short], tmp_path, ALONE)
        assert taken == (2 if epochs == 2 else 3) * run.steps_per_epoch, (
            "the second goes on where the first ended"
        )
        assert told(first)["train_loss"][1] == told(plain)["train_loss"][1][: short.total_steps]
    (on,), rest = trained([run], tmp_path, ALONE)
    assert rest == 4 * run.steps_per_epoch and all_of_it == 9 * run.steps_per_epoch
    assert told(on) == told(plain) and on.summary == plain.summary


def test_beginnings_of_a_fleet_go_on_in_other_fleets(tmp_path):
    runs = [long().but(seed=seed) for seed in (0, 1, 2)]
    trained([beginning(r, 3) for r in runs], tmp_path, TOGETHER)
    two, taken = trained(runs[1:], tmp_path, Choice(2, "eager", 0.0, 0.0, 0))
    assert taken == 6 * runs[0].steps_per_epoch
    for run, on in zip(runs[1:], two, strict=True):
        (plain,), _ = trained([run], tmp_path / "none", ALONE)
        assert all(
            math.isclose(a, b, rel_tol=1e-4)
            for a, b in zip(told(on)["train_loss"][1], told(plain)["train_loss"][1], strict=True)
        )
        assert told(on)["validation_loss"][0] == told(plain)["validation_loss"][0]


def test_what_can_not_be_read_costs_its_updates_only(tmp_path):
    run = long()
    trained([beginning(run, 3)], tmp_path, ALONE)
    begun(tmp_path, run).write_bytes(b"damaged")
    (on,), taken = trained([run], tmp_path, ALONE)
    assert taken == run.total_steps
    assert told(on) == told(trained([run], tmp_path / "none", ALONE)[0][0])


def test_other_runs_are_no_beginnings(tmp_path):
    run = long()
    assert whole(run) is None
    assert (
        whole(run.but(schedule=excerpt(run.schedule, was=run.total_steps, begin="2ep"), length="2ep")) is None
    )
    assert whole(run.but(schedule=excerpt(run.schedule, was=run.total_steps))) is None, "all of it"
    trained([beginning(run, 3)], tmp_path, ALONE)
    forget(tmp_path, [run])
    assert not begun(tmp_path, run).exists()
