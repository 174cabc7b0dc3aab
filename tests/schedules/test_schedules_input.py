"""What schedules refuse: the rule, the value and what to write instead."""

import math

import pytest

from preheat.core.errors import UserError
from preheat.core.registry import SCHEDULES
from preheat.core.run import Run
from preheat.schedules import (
    Piece,
    Pieces,
    constant,
    cosine,
    exponential,
    inverse_sqrt,
    linear,
    one_cycle,
    polynomial,
    step,
    wsd,
)

BAD = {
    "warmup longer than the run": (
        lambda: cosine(warmup=50).resolve(20),
        "must fit in the run, got warmup 50 = 50 steps of 20",
    ),
    "warmup and cooldown longer": (
        lambda: wsd(warmup=0.5, cooldown=0.6).resolve(10),
        "warmup 50% \\+ cooldown 60%",
    ),
    "no room for the decay": (lambda: cosine(warmup=10).resolve(10), "no step is left"),
    "no epochs": (lambda: cosine(warmup="5ep").resolve(100), "per_epoch"),
    "no epochs to hold": (lambda: cosine(every="epoch").resolve(100), "per_epoch"),
    "warmup not a length": (lambda: cosine(warmup="five"), "not a length"),
    "negative warmup": (lambda: cosine(warmup=-1), "length"),
    "nan warmup": (lambda: cosine(warmup=math.nan), "finite"),
    "floor above the peak": (lambda: cosine(final=1.5), "final .* got 1.5"),
    "negative floor": (lambda: linear(final=-0.1), "final"),
    "nan floor": (lambda: linear(final=math.nan), "final is a factor of the peak rate"),
    "floor in words": (lambda: linear(final="low"), "final is a factor of the peak rate"),
    "floor true": (lambda: linear(final=True), "final is a factor of the peak rate"),
    "exponential to 0": (lambda: exponential(final=0), "exponential curve can't"),
    "exponential from 0": (
        lambda: constant(warmup=9, warmup_curve="exponential"),
        "exponential warmup_curve can't",
    ),
    "start above the peak": (lambda: constant(warmup_start=2), "warmup_start .* got 2"),
    "unknown curve": (lambda: Piece(1, 0, 1, "cosin"), "did you mean 'cosine'"),
    "unknown warmup curve": (lambda: linear(warmup_curve="liner"), "did you mean 'linear'"),
    "unhashable curve": (lambda: linear(warmup_curve=["linear"]), "unknown warmup_curve"),
    "unknown at": (lambda: linear(at="middle"), "did you mean 'mid'"),
    "unknown every": (lambda: Pieces([Piece(None, 1, 1)], every="epochs"), "did you mean 'epoch'"),
    "unknown option": (lambda: SCHEDULES.build("cosine", {"warmpu": 1}), "did you mean 'warmup'"),
    "unknown schedule": (lambda: SCHEDULES.build("cosin", {}), "did you mean 'cosine'"),
    "power without polynomial": (lambda: Piece(1, 0, 1, "sqrt", power=2), "only a polynomial"),
    "polynomial without power": (lambda: Piece(1, 0, 1, "polynomial"), "write power=2"),
    "negative power": (lambda: polynomial(power=-1), "power > 0"),
    "infinite power": (lambda: Piece(1, 0, 1, "polynomial", math.inf), "finite"),
    "start outside": (lambda: Piece(1, -0.1, 1), "start of a piece .* got -0.1"),
    "end outside": (lambda: Piece(1, 0, 1.1), "end of a piece .* got 1.1"),
    "nan start": (lambda: Piece(1, math.nan, 1), "start of a piece"),
    "no peak": (lambda: Pieces([Piece(None, 0.5, 0.9)]), "highest factor must be 1"),
    "no peak left": (
        lambda: Pieces([Piece(0, 1, 1), Piece(None, 0.5, 0)]).resolve(10),
        "highest factor must be 1, got 0.5",
    ),
    "two rests": (lambda: Pieces([Piece(None, 0, 1), Piece(None, 1, 0)]), "only one piece"),
    "no pieces": (lambda: Pieces([]), "at least one piece"),
    "not pieces": (lambda: Pieces("linear"), "list of pieces"),
    "not a piece": (lambda: Pieces([3]), "a piece is"),
    "misspelt field": (lambda: Pieces([{"start": 1, "ende": 1}]), "did you mean 'end'"),
    "missing field": (lambda: Pieces([{"start": 1}]), "needs its end"),
    "run not filled": (lambda: Pieces([Piece(0.5, 0, 1)]).resolve(10), "must fill the run"),
    "run overfilled": (lambda: Pieces([Piece(0.5, 0, 1), Piece(0.6, 1, 0)]).resolve(10), "must fit"),
    "both kinds of drops": (lambda: step(period=3, milestones=[4]), "period or milestones"),
    "period 0": (lambda: step(period=0), "period must be above 0"),
    "period too long": (lambda: step(period=100).resolve(100), "shorter period"),
    "milestones unsorted": (lambda: step(milestones=[60, 30]).resolve(100), "rising milestones"),
    "milestone at the end": (lambda: step(milestones=[100]).resolve(100), "rising milestones"),
    "milestones a text": (lambda: step(milestones="50%"), "list of lengths"),
    "warmup over a drop": (lambda: step(warmup=60).resolve(100), "over at the first drop"),
    "gamma 1": (lambda: step(gamma=1), "gamma"),
    "gamma negative": (lambda: step(gamma=-3), "gamma"),
    "no timescale": (inverse_sqrt, "timescale"),
    "timescale 0": (lambda: inverse_sqrt(warmup=3, timescale=0), "timescale must be above 0"),
    "cycle with a floor above": (lambda: one_cycle(final=2), "final"),
    "total 0": (lambda: cosine().resolve(0), "total"),
    "total real": (lambda: cosine().resolve(10.5), "total"),
    "total true": (lambda: cosine().resolve(True), "total"),
    "per_epoch 0": (lambda: cosine().resolve(10, per_epoch=0), "per_epoch"),
    "per_epoch nan": (lambda: cosine().resolve(10, per_epoch=math.nan), "per_epoch"),
    "negative step": (lambda: cosine().resolve(10)(-1), ">= 0, got -1"),
    "negative step inside": (lambda: cosine().resolve(10)([3, -2]), ">= 0, got -2"),
    "half a step": (lambda: cosine().resolve(10)(1.5), "whole number"),
    "nan step": (lambda: cosine().resolve(10)(math.nan), "whole number"),
    "step in words": (lambda: cosine().resolve(10)("last"), "whole number"),
}


@pytest.mark.parametrize("name", BAD)
def test_nothing_is_repaired(name):
    do, words = BAD[name]
    with pytest.raises(UserError, match=words):
        do()


def test_a_run_refuses_a_schedule_that_does_not_fit():
    with pytest.raises(UserError, match="did you mean 'cosine'"):
        Run(schedule={"name": "cosin"})
