"""Damped oscillators: the published values, splits that share no row and the one that does, what is predicted
from what, the loss, chance, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import huber_loss
from trainings import a_run, finish

from preheat.core.errors import UserError
from preheat.core.spec import build, spec
from preheat.engine.keys import generator
from preheat.engine.placement import single
from preheat.tasks import osc
from preheat.tasks.osc import Osc, blocks, trajectory

SMALL = {"hist": 4, "pred": 3, "model": {"hidden": 3, "depth": 1}}
ROWS = 10_001
# x of the original's program at t = 1 and t = 10
PUBLISHED = {
    0.0: (-0.0004732970, -0.0998880151),
    0.01: (0.0005186606, -0.0243034772),
    0.02: (0.0013640492, -0.0059125901),
}


def task(**options):
    return build("task", spec("osc", **{**SMALL, **options}))


@pytest.mark.parametrize("zeta", PUBLISHED)
def test_a_trajectory_has_the_published_values_and_is_near_the_exact_solution(zeta):
    x, v, a = trajectory(zeta).T
    assert (x[0], v[0], a[0], len(x)) == (0.1, 0.0, -20.0, ROWS)
    np.testing.assert_allclose(x[[1000, 10_000]], PUBLISHED[zeta], rtol=0, atol=5.1e-11)
    t, w, root = np.arange(ROWS) * 1e-3, math.sqrt(200), math.sqrt(1 - zeta**2)
    exact = 0.1 * np.exp(-zeta * w * t) * (np.cos(w * root * t) + zeta / root * np.sin(w * root * t))
    far = np.abs(x - exact).max()
    assert far < 2.335e-4 and (zeta or far == pytest.approx(2.33e-4, rel=2e-3))
    np.testing.assert_allclose(a + 2 * zeta * w * v + 200 * x, 0, atol=1e-10)  # at every row
    assert zeta or np.ptp(v**2 / 2 + 100 * x**2) < 1e-11


def test_the_checksum_tells_the_data_and_the_split():
    said = (
        "damped oscillators sha256 206ac439eb891609e077792b93ffca26152afd7202f7881625cfeb080dd562ad, split "
    )
    assert task().origin() == {"data": said + "0"} and not task().at_hand
    leaky = {"data": f"{said}3, leaky: the test set is the validation set"}
    assert task(leaky=True, split_seed=3).origin() == leaky


# --- which rows are in which set


@pytest.fixture
def numbered(monkeypatch):
    """x of each trajectory is the number of its row, counted on from the one before, and nothing is scaled."""

    def rows(zeta):
        return np.arange(3 * ROWS).reshape(3, ROWS)[osc.ZETAS.index(zeta), :, None] + [0.0, 1e6, 2e6]

    monkeypatch.setattr(osc, "trajectory", rows)
    monkeypatch.setattr(osc, "_scaled", lambda some, by: some)
    osc._sets.cache_clear()
    yield
    osc._sets.cache_clear()


def windows(made):
    """[N, hist + pred] of each set: the numbers of the rows of x."""
    return [torch.cat([part["x"], part["y"]], 1)[..., 0].long() for part in made.data()]


@pytest.mark.parametrize("trajectories", osc.TRAJECTORIES)
def test_no_row_of_one_set_is_in_another_and_a_window_is_of_one_block(numbered, trajectories):
    made = task(trajectories=trajectories, hist=30, pred=20, spacing=3, split_seed=5)
    found, curves = windows(made), len(osc.TRAJECTORIES[trajectories])
    assert tuple(map(len, found)) == made.windows() == (16 * 353 * curves, *[2 * 353 * curves] * 2)
    assert made.evaluated == made.windows()[1:]
    for part, held in zip(found, blocks(5), strict=True):
        assert (part.diff(dim=1) == 3).all()
        block = (part % ROWS) // 500
        assert (block == block[:, :1]).all() and {*block.flatten().tolist()} == {*held}
        assert len(part.unique()) == 500 * len(held) * curves
    parts = [{*part.flatten().tolist()} for part in found]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 10_000 * curves


def test_the_published_protocol_shares_rows_and_tests_on_its_validation_set(numbered):
    assert Osc(leaky=True, trajectories="total").windows() == (23_764, 5942, 5942)
    made = Osc(leaky=True)
    sets, (train, rest, _) = made.data(), windows(made)
    assert made.windows() == (len(train), len(rest), len(rest)) == (7921, 1981, 1981)
    assert sets.validation is sets.test
    assert {*train[:, 0].tolist(), *rest[:, 0].tolist()} == {*range(9902)}, "every window once"
    assert np.isin(rest, train).mean() > 0.99, "what leaks"


def test_what_is_predicted_follows_what_is_read(numbered):
    for features, (read, made) in {"S": (1, 1), "MS": (3, 1), "M": (3, 3)}.items():
        train = task(features=features, trajectories="total").data().train
        assert train["x"].shape[1:] == (4, read) and train["y"].shape[1:] == (3, made)
        assert torch.equal(train["x"][4:100, 0, :made], train["y"][:96, 0])
        assert torch.equal(
            train["x"][0, 0], train["x"].new_tensor([0.0, 1e6, 2e6][:read]) + train["x"][0, 0, 0]
        )


def test_the_seeds_of_split_and_run_draw_and_nothing_else_does():
    same, other, leaky = task(), task(split_seed=1), task(leaky=True)
    first = same.data().train["x"].clone()
    for made in (other, leaky, task(leaky=True, split_seed=1)):  # what was cached is made anew
        assert len(made.data().train["x"]) != len(first) or not torch.equal(made.data().train["x"], first)
    assert torch.equal(task().data().train["x"], first)
    assert blocks(0) != blocks(1) and blocks(1) == blocks(1)
    assert not torch.equal(leaky.data().train["x"], task(leaky=True, split_seed=1).data().train["x"])
    few, more = task(total_examples=10), task(total_examples=20)
    drawn = [made.subset(generator(seed, "subset")) for made in (few, more) for seed in (0, 1)]
    assert torch.equal(drawn[0], drawn[2][:10]) and not torch.equal(drawn[0], drawn[1])
    assert len(drawn[2].unique()) == more.examples == 20 and len(same.subset(generator(0, "subset"))) == 7904


def test_only_the_training_rows_scale():
    """With this split the first block, which has the greatest values of a damped curve, is in the test set."""
    made = task(trajectories="damped", features="M", split_seed=4)
    seen = np.concatenate([trajectory(0.01)[b * 500 : b * 500 + 500] for b in blocks(4)[0]])
    low, high = seen.min(0), seen.max(0)
    sets, first = made.data(), blocks(4)[0][0] * 500
    for part, row in ((sets.train, first), (sets.test, 0)):
        expected = (trajectory(0.01)[row : row + 4] - low) / (high - low)
        np.testing.assert_allclose(part["x"][0], expected, rtol=1e-12, atol=1e-15)
    assert (float(sets.train["x"].min()), float(sets.train["x"].max())) == (0.0, 1.0)
    assert float(sets.test["x"].max()) > 1.1


def test_with_leaky_all_rows_scale():
    sets = task(trajectories="damped", features="M", leaky=True).data()
    every = torch.cat([part["x"] for part in sets[:2]]).flatten(0, 1)
    assert (every.min(0).values == 0).all() and (every.max(0).values == 1).all()


# --- the loss, chance, training


def test_the_loss_is_hubers_with_delta_1():
    error = torch.tensor([-3.0, -1.0, -0.4, 0.0, 0.2, 1.0, 2.5], dtype=torch.float64, requires_grad=True)
    ours, theirs = Osc().misfit(error), huber_loss(error, torch.zeros_like(error), reduction="none")
    torch.testing.assert_close(ours, theirs, rtol=1e-14, atol=0)
    slopes = [torch.autograd.grad(loss.sum(), error)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*slopes, rtol=1e-14, atol=0)


@pytest.mark.parametrize("features", osc.FEATURES)
def test_a_run_measures_the_loss_on_each_set_and_tells_that_of_repeating_the_last_value(features):
    options = spec("osc", **SMALL, features=features, total_examples=40)
    setup, now, (record,) = finish(
        [a_run(task=options, length="4", evaluate="4", schedule="constant")], single()
    )
    made, sets = setup.fleet.task, build("task", options).data()
    width = sets.train["y"].shape[-1]
    repeated = [float(huber_loss(p["x"][:, -1:, :width].expand_as(p["y"]), p["y"])) for p in sets]
    told = record.summary
    assert told["chance_loss"] == pytest.approx(min(repeated), rel=1e-12)
    assert told["chance_log10_loss"] == pytest.approx(math.log10(min(repeated)), rel=1e-12)
    for name, part in (("validation", sets.validation), ("test", sets.test)):
        out, _ = made.called(now.state.params, now.state.buffers, part, training=False)
        loss = float(huber_loss(out, part["y"]))
        assert told[f"{name}_loss"] == pytest.approx(loss, rel=1e-10)
        assert told[f"{name}_log10_loss"] == pytest.approx(math.log10(loss), rel=1e-10)


def test_a_small_model_learns_more_than_to_repeat_in_forty_epochs_of_four_updates():
    options = spec("osc", hist=5, pred=5, spacing=10, total_examples=256, model={"hidden": 16, "depth": 1})
    run = a_run(task=options, optimizer="adamw", peak_lr=0.02, length="40ep", batch_size=64, evaluate="40ep")
    told = finish([run.but(precision="float32")], single("traced"))[2][0].summary
    assert told["steps_per_epoch"] == 4
    assert max(told["validation_loss"], told["test_loss"]) < told["chance_loss"] / 10


# --- what is refused


@pytest.mark.parametrize(
    "options,message",
    [
        ({"trajectories": "dampd"}, "unknown trajectories of task 'osc' 'dampd': did you mean 'damped'"),
        ({"features": "X"}, "unknown features of task 'osc' 'X': Known: M, MS, S"),
        ({"hist": 0}, "hist of task 'osc' must be at least 1, got 0"),
        ({"pred": -1}, "pred of task 'osc' must be at least 1, got -1"),
        ({"spacing": 0}, "spacing of task 'osc' must be at least 1, got 0"),
        ({"split_seed": -1}, "split_seed of task 'osc' must be at least 0, got -1"),
        ({"hist": 1.5}, "option hist of task 'osc' must be a whole number"),
        (
            {"hist": 400, "pred": 101},
            "must span at most 500 rows (it lies inside a block of 500 rows), got 501",
        ),
        (
            {"hist": 50, "pred": 50, "spacing": 6},
            "got 595: (hist + pred - 1) spacing + 1 with hist=50",
        ),
        (
            {"hist": 9000, "pred": 998, "leaky": True},
            "at most 9997 rows (five windows are the least), got 9998",
        ),
        ({"total_examples": 0}, "total_examples of task 'osc' must be 1 to 7904, got 0"),
        ({"total_examples": 7922, "hist": 50, "pred": 50, "leaky": True}, "must be 1 to 7921, got 7922"),
        ({"model": "lstm_seq"}, "unknown model 'lstm_seq': did you mean 'lstm_seq2seq'"),
    ],
    ids=lambda v: str(v)[:40],
)
def test_wrong_options_are_errors(options, message):
    with pytest.raises(UserError) as caught:
        task(**options)
    assert message in str(caught.value)
    assert task(hist=499, pred=1).windows() == (16, 2, 2)
    assert task(hist=9000, pred=997, leaky=True).windows() == (4, 1, 1)
