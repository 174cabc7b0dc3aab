"""An arm's search is a pure function of what its trials gave."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preheat.core.errors import UserError
from preheat.search.arms import arms
from preheat.search.extrapolated_loss import predicted
from preheat.search.pruners import checks, known_pruner
from preheat.search.replay import SearchRules, Tried, play

SPACE = {
    "peak_lr": {"low": 1e-4, "high": 5e-2, "log": True, "start": 0.01},
    "schedule.final": {"low": 0.0, "high": 0.1},
    "schedule.period": {"low": 1, "high": 9, "step": 1},
    "schedule.milestones": [["50%"], ["50%", "75%"]],
}
ARM = arms([{"name": "it", "settings": {"schedule": "step"}, "space": SPACE}])[0]


def loss(params, epoch):
    off = math.log10(params["peak_lr"]) + 2.5
    return off**2 + params["schedule.final"] + 0.5 * 0.9**epoch


def went(rules, *, arm=ARM, told=None, stop=None):
    """What was tried until the search is over, or until so many trials are asked for. told: {number: Tried's
    fields} of trials that end badly."""
    tried: dict[int, Tried] = {}
    while (played := play(arm, rules, [tried[k] for k in sorted(tried)])).wanted:
        if stop is not None and len(tried) >= stop:
            break
        for w in played.wanted:
            before = tried.get(w.number, Tried(w.params, {}))
            if told and w.number in told:
                tried[w.number] = Tried(w.params, {}, **told[w.number])
                continue
            curve = tuple(loss(w.params, e) for e in range(1, w.epochs + 1))
            tried[w.number] = Tried(w.params, {**before.curves, w.epochs: curve})
    return played, tried


def rules(pruner="", **more):
    return SearchRules(pruner=pruner, checks=checks(pruner, 50), **more)


@pytest.mark.parametrize("pruner", ["", "pfl", "hyperband"])
@pytest.mark.parametrize("batch", [1, 4])
def test_a_search_that_is_stopped_goes_on_as_if_it_had_not_been(pruner, batch):
    one = rules(pruner, trials=12, batch=batch, startup=4)
    whole, tried = went(one)
    half = [tried[k] for k in range(5)] if batch == 4 else [tried[k] for k in range(6)]
    again = play(ARM, one, half)
    asked = [w.params for w in again.wanted]
    assert asked == [tried[w.number].params for w in again.wanted] and asked
    assert went(one)[0] == whole, "the same once more"
    assert len(whole.trials) == 12 and not whole.wanted


def test_more_trials_go_on_to_so_many_in_all():
    _, few = went(rules(trials=6))
    played, many = went(rules(trials=11))
    assert len(many) == 11 and not played.wanted
    assert [many[k].params for k in range(6)] == [few[k].params for k in range(6)]


def test_the_first_trial_is_the_start_and_values_are_of_the_space():
    _, tried = went(rules(trials=20, batch=4))
    assert tried[0].params == ARM.first and tried[0].params["peak_lr"] == 0.01
    for one in tried.values():
        assert 1e-4 <= one.params["peak_lr"] <= 5e-2
        assert one.params["schedule.period"] in range(1, 10)
        assert one.params["schedule.milestones"] in (["50%"], ["50%", "75%"])
        assert len(f"{one.params['peak_lr']:.12g}".replace(".", "").strip("0e-")) <= 8


def test_it_learns_where_the_loss_is_low():
    """Of 40 trials the later half lies nearer to the best rate than the random ones."""
    _, tried = went(rules(trials=40, batch=2))
    off = [abs(math.log10(tried[k].params["peak_lr"]) + 2.5) for k in range(40)]
    assert sum(off[20:]) < 0.7 * sum(off[1:11]) * 2


def test_what_is_diverged_counts_as_pruned_and_what_failed_as_failed():
    played, _ = went(rules(trials=8), told={2: {"lost": True}, 3: {"failed": True}})
    states = [t.state for t in played.trials]
    assert states == ["complete", "complete", "pruned", "fail", *["complete"] * 4]
    assert [t.value is None for t in played.trials] == [False, False, True, True, *[False] * 4]


@pytest.mark.parametrize("pruner", ["pfl", "hyperband"])
def test_a_pruner_stops_the_bad_ones_and_saves_epochs(pruner):
    one = rules(pruner, trials=25, startup=5)
    played, tried = went(one)
    stopped = [t for t in played.trials if t.state == "pruned"]
    values = [t.value for t in played.trials if t.value is not None]
    assert stopped and len(stopped) + len(values) == 25
    assert all(len(t.curve) in one.checks for t in stopped)
    ends = [loss(t.params, 50) for t in stopped]
    assert min(ends) > min(values), "what was stopped would not have been the best"
    if pruner == "pfl":
        assert all(len(tried[k].curves) == 1 and 50 in tried[k].curves for k in range(5)), "these are free"


def test_a_space_that_is_tried_out_ends_the_search():
    small = arms([{"name": "small", "space": {"peak_lr": [0.1, 0.2, 0.3]}}])[0]
    tried: list[Tried] = []
    while wanted := play(small, rules(trials=25), tried).wanted:
        tried += [Tried(w.params, {50: (w.params["peak_lr"],)}) for w in wanted]
    assert sorted(t.params["peak_lr"] for t in tried) == [0.1, 0.2, 0.3]


@given(a=st.floats(0.1, 5.0), b=st.floats(0.05, 0.5), c=st.floats(0.0, 3.0), n=st.integers(12, 40))
@settings(max_examples=40, deadline=None)
def test_an_exponential_curve_is_followed_to_its_end(a, b, c, n):
    curve = [c + a * math.exp(-b * t) for t in range(1, n + 1)]
    truth = c + a * math.exp(-b * 50)
    assert abs(predicted(curve, 50) - truth) < 0.35 * (curve[0] - c) + 1e-9
    assert predicted(curve, n) == curve[-1]


@pytest.mark.parametrize(
    "curve,end",
    [
        ([], math.inf),
        ([1.0, math.nan] * 6, math.inf),
        ([3.0, 2.0], 2.0),
        ([1.0] * 12, 1.0),
    ],
)
def test_short_and_broken_curves(curve, end):
    assert predicted(curve, 50) == end


def test_a_line_is_followed_at_half_its_slope():
    """Smoothing lags behind a line by the same amount everywhere, so its slope is that of the line."""
    curve = [10.0 - 0.1 * t for t in range(1, 41)]
    assert predicted(curve, 50) < curve[-1] + 0.3
    assert predicted(curve, 80) < predicted(curve, 50)


def test_unknown_pruners_are_errors():
    with pytest.raises(UserError, match="did you mean 'hyperband'"):
        known_pruner("hyperbnd")
