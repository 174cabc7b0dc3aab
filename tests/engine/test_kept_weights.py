"""Kept weights: those of the evaluation that was best, the same alone, in a fleet and after a restart."""

from __future__ import annotations

import pytest
import torch
from trainings import OPTIONS, a_run, bitwise, finish

from preheat.core.errors import UserError
from preheat.core.spec import build, spec
from preheat.engine import checkpoint
from preheat.engine.finish import records
from preheat.engine.loop import begin, evaluate, set_up, train
from preheat.engine.placement import fleet, single
from preheat.engine.weights import Keeper

# rates so high that the best evaluation is not the last, and one run that diverges
RUNS = [a_run(seed=s, peak_lr=lr, evaluate="1ep") for s, lr in enumerate((0.05, 3.0, 0.5))]
RUNS += [a_run(seed=3, peak_lr=1e200, evaluate="1ep")]
SERIES = "validation_accuracy", "max"


def kept(runs, where, keeper, at=()):
    """(records, what was kept); at: steps at which the training is stopped and resumed by another keeper."""
    setup = set_up(runs, where)
    start = None
    for stop in (*at, None):
        for now in train(setup, start):
            keeper.see(setup, now)
            if now.step == stop:
                saved = checkpoint.dump(setup, now, kept=keeper.so_far())
                break
        if stop is not None:
            keeper, start = Keeper(keeper.series, keeper.goal), checkpoint.load(setup, saved)
            assert keeper.resume(start, checkpoint.kept(saved))
    return records(setup, now), keeper.kept()


def same(a, b, rtol=0.0):
    for (step, one), (other_step, other) in zip(a, b, strict=True):
        assert step == other_step and one.keys() == other.keys()
        for name in one:
            torch.testing.assert_close(one[name], other[name], rtol=rtol, atol=rtol, equal_nan=True)


def test_the_best_weights_are_those_of_the_first_best_evaluation_and_change_nothing():
    found, weights = kept(RUNS, fleet(), Keeper(*SERIES))
    assert all(bitwise(a, b) for a, b in zip(found, finish(RUNS, fleet())[2], strict=True))
    steps = []
    for record, (step, held) in zip(found, weights, strict=True):
        series = record.trace[SERIES[0]]
        best = max(series.values)
        assert step == series.steps[series.values.index(best)]
        setup = set_up([record.run], single())
        state = setup.fleet.start._replace(params={n: held[n] for n in setup.fleet.start.params})
        assert float(evaluate(setup, state, "validation")[SERIES[0]]) == pytest.approx(best, abs=1e-12)
        steps.append(step)
    total = int(found[0].summary["total_steps"])
    assert found[-1].status.outcome == "diverged" and any(0 < s < total for s in steps)


@pytest.mark.parametrize("keeper", [("", "max"), SERIES, ("validation_loss", "min")])
def test_a_fleet_keeps_what_its_runs_keep_alone(keeper):
    together = kept(RUNS, fleet(), Keeper(*keeper))[1]
    alone = [kept([r], single(), Keeper(*keeper))[1][0] for r in RUNS[:3]]
    same(together[:3], alone, rtol=1e-8)
    step, first = kept(RUNS[3:], single(), Keeper(*keeper))[1][0]
    assert together[3][1].keys() == first.keys() and (not keeper[0] or step == together[3][0])


@pytest.mark.parametrize("where", [fleet(), single()])
def test_resumed_keeps_what_uninterrupted_keeps_bit_for_bit(where):
    runs = RUNS if where.stacked else RUNS[1:2]
    same(kept(runs, where, Keeper(*SERIES), at=(1, 5, 7))[1], kept(runs, where, Keeper(*SERIES))[1])


def test_the_halves_of_a_fleet_go_on_with_what_it_kept():
    setup, keeper = set_up(RUNS[:3], fleet()), Keeper(*SERIES)
    for now in train(setup):
        keeper.see(setup, now)
        if now.step == 6:
            parts = checkpoint.split(checkpoint.dump(setup, now, kept=keeper.so_far()), 2)
            break
    whole, halves = kept(RUNS[:3], fleet(), Keeper(*SERIES))[1], []
    for runs, where, data in ((RUNS[:2], fleet(), parts[0]), (RUNS[2:3], single(), parts[1])):
        setup, keeper = set_up(runs, where), Keeper(*SERIES)
        start = checkpoint.load(setup, data)
        assert keeper.resume(start, checkpoint.kept(data))
        for now in train(setup, start):
            keeper.see(setup, now)
        halves += keeper.kept()
    same(whole, halves, rtol=1e-8)


def test_a_checkpoint_that_kept_something_else_is_not_gone_on_from():
    setup, keeper = set_up(RUNS[:1], single()), Keeper(*SERIES)
    for now in train(setup):
        keeper.see(setup, now)
        if now.step == 3:
            break
    held = checkpoint.kept(checkpoint.dump(setup, now, kept=keeper.so_far()))
    assert Keeper(*SERIES).resume(now, held) and Keeper().resume(now, held)
    assert not Keeper("validation_loss", "min").resume(now, held) and not Keeper(*SERIES).resume(now, None)
    assert checkpoint.kept(checkpoint.dump(setup, now)) is None
    with pytest.raises(UserError, match="did you mean 'validation_loss'"):
        kept(RUNS[:1], single(), Keeper("validation_los"))


RESNET = spec("digits", examples_per_class=5, model={"name": "resnet18", "width": 2})


@pytest.mark.parametrize("task", [RESNET, OPTIONS["pathmnist"]], ids=["batch norm", "watched"])
def test_what_is_kept_is_a_state_dict_of_the_tasks_network(task):
    setup = set_up([a_run(task=task, precision="float32")], single())
    now, keeper = begin(setup), Keeper()
    keeper.see(setup, now)
    ((_, held),) = keeper.kept()
    build("task", task).network().load_state_dict(held)
    assert all(torch.equal(held[n], t) for n, t in now.state.params.items())
