"""Schedules against torch's own schedulers and the papers' formulas, update by update."""

import math

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler as theirs

from preheat.adapters.torch import ScheduleLR
from preheat.core.errors import UserError
from preheat.core.lengths import epochs
from preheat.core.registry import SCHEDULES
from preheat.schedules import (
    Piece,
    Pieces,
    constant,
    cosine,
    exponential,
    inverse_sqrt,
    inverse_time,
    linear,
    polynomial,
    radam,
    restarts,
    step,
    untuned_linear,
    wsd,
)


def torch_rates(total, make, peak=0.3):
    """The factor of each update under a scheduler of torch's, and of the one after the last."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=peak)
    scheduler = make(optimizer)
    out = []
    for _ in range(total + 1):
        out.append(optimizer.param_groups[0]["lr"] / peak)
        optimizer.step()
        scheduler.step()
    return np.array(out)


T, W = 120, 12
LINEAR_COSINE = [
    lambda o: theirs.LinearLR(o, start_factor=0.01, total_iters=W),
    lambda o: theirs.CosineAnnealingLR(o, T_max=T - W),
]
TORCH = {
    "cosine": (lambda o: theirs.CosineAnnealingLR(o, T_max=T), cosine()),
    "cosine-floor": (lambda o: theirs.CosineAnnealingLR(o, T_max=T, eta_min=0.03), cosine(final=0.1)),
    "linear-warmup": (
        lambda o: theirs.LinearLR(o, start_factor=1 / 3, total_iters=W),
        constant(warmup=W, warmup_start=1 / 3),
    ),
    "linear": (lambda o: theirs.LinearLR(o, start_factor=1, end_factor=0, total_iters=T), linear()),
    "polynomial": (lambda o: theirs.PolynomialLR(o, total_iters=T, power=2.5), polynomial(power=2.5)),
    "exponential": (lambda o: theirs.ExponentialLR(o, gamma=0.97), exponential(final=0.97**T)),
    "step": (lambda o: theirs.StepLR(o, step_size=25, gamma=0.3), step(period=25, gamma=0.3)),
    "multistep": (
        lambda o: theirs.MultiStepLR(o, milestones=[40, 90], gamma=0.2),
        step(milestones=[40, 90], gamma=0.2),
    ),
    "constant": (
        lambda o: theirs.ConstantLR(o, factor=0.25, total_iters=W),
        [Piece(W, 0.25, 0.25), Piece(None, 1, 1)],
    ),
    "sequential": (
        lambda o: theirs.SequentialLR(o, [m(o) for m in LINEAR_COSINE], [W]),
        cosine(warmup=W, warmup_start=0.01),
    ),
    "one-cycle": (
        lambda o: theirs.OneCycleLR(o, max_lr=0.3, total_steps=T),
        [Piece(36 - 1, 1 / 25, 1, "cosine"), Piece(None, 1, 4e-6, "cosine"), Piece(1, 4e-6, 4e-6)],
    ),
    "one-cycle-linear": (
        lambda o: theirs.OneCycleLR(
            o, max_lr=0.3, total_steps=T, pct_start=0.25, anneal_strategy="linear", div_factor=10
        ),
        [Piece(30 - 1, 0.1, 1), Piece(None, 1, 1e-5), Piece(1, 1e-5, 1e-5)],
    ),
    "one-cycle-three-phases": (
        lambda o: theirs.OneCycleLR(o, max_lr=0.3, total_steps=T, three_phase=True),
        [
            Piece(35, 0.04, 1, "cosine"),
            Piece(36 - 1, 1, 0.04, "cosine"),
            Piece(None, 0.04, 4e-6, "cosine"),
            Piece(1, 4e-6, 4e-6),
        ],
    ),
}


@pytest.mark.parametrize("name", TORCH)
def test_equal_to_torch(name):
    """At every update, with at="left". torch's OneCycleLR puts its last value on the last update: a piece of
    one step."""
    make, schedule = TORCH[name]
    schedule = Pieces(schedule) if isinstance(schedule, list) else schedule
    data = {**schedule.json(), "at": "left"}
    ours = SCHEDULES.build(data.pop("name"), data).resolve(T).table()
    # OneCycleLR may be stepped total_steps - 1 times only.
    rates = torch_rates(T - 2 if name.startswith("one-cycle") else T, make)
    n = min(T, len(rates))
    np.testing.assert_allclose(ours[:n], rates[:n], rtol=1e-12, atol=1e-12)


def test_the_last_update_of_torchs_one_cycle_is_the_floor():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = theirs.OneCycleLR(optimizer, max_lr=1.0, total_steps=50)
    for _ in range(49):
        optimizer.step()
        scheduler.step()
    pieces = Pieces(
        [Piece(14, 0.04, 1, "cosine"), Piece(None, 1, 4e-6, "cosine"), Piece(1, 4e-6, 4e-6)], at="left"
    )
    assert optimizer.param_groups[0]["lr"] == pytest.approx(pieces.resolve(50)(49), abs=1e-15)


def test_the_per_epoch_rule_of_linear_warmup_and_cosine():
    """lr(e) = base e / w, then base (1 + cos(pi (e - w) / (E - w))) / 2, held for each epoch."""
    w, count, n = 5, 50, 20
    ours = (
        cosine(warmup=epochs(w), at="left", every="epoch")
        .resolve(count * n, per_epoch=n)
        .table()
        .reshape(count, n)
    )
    rule = [e / w if e < w else (1 + math.cos(math.pi * (e - w) / (count - w))) / 2 for e in range(count)]
    assert (ours == ours[:, :1]).all() and ours[:w, 0].tolist() == rule[:w]
    np.testing.assert_allclose(ours[:, 0], rule, rtol=1e-13, atol=1e-16)


def test_inverse_square_root_is_the_transformers_rule():
    """min(n^-1/2, n W^-3/2) over its peak W^-1/2, for update n = k + 1."""
    n = np.arange(1, 5001)
    rule = np.minimum(n**-0.5, n * 400**-1.5) * 400**0.5
    np.testing.assert_allclose(inverse_sqrt(warmup=400, at="right").resolve(5000).table(), rule, rtol=1e-14)


def test_wsd_cooldowns_are_what_their_names_say():
    v = np.arange(100) / 100
    meant = {
        "linear": 1 - v,
        "1-sqrt": 1 - np.sqrt(v),
        "sqrt": np.sqrt(1 - v),
        "cosine": (1 + np.cos(np.pi * v)) / 2,
    }
    for curve, rule in meant.items():
        table = wsd(cooldown=100, cooldown_curve=curve, at="left").resolve(500).table()
        np.testing.assert_allclose(table[400:], rule, rtol=1e-12, atol=1e-15)
        assert (table[:400] == 1).all()


def test_every_update_has_its_place_in_a_fractional_epoch():
    """torch's restarts are stepped by step(epoch + i / iterations); here nothing has to be told."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    scheduler, n = theirs.CosineAnnealingWarmRestarts(optimizer, T_0=3, T_mult=2), 25
    rates = []
    for k in range(9 * n):
        scheduler.step(k / n)
        rates.append(optimizer.param_groups[0]["lr"])
    ours = restarts(period="3ep", mult=2, at="left").resolve("9ep", per_epoch=n)
    np.testing.assert_allclose(0.3 * ours.table(), rates, rtol=1e-12)
    with pytest.raises(UserError, match=r"whole number >= 0, got 1\.3"):
        ScheduleLR(optimizer, ours).step(1.3)


ENDLESS = [
    constant(warmup=30),
    inverse_sqrt(warmup=30),
    inverse_time(timescale=50),
    radam(),
    untuned_linear(beta2=0.99),
    radam(at="right") * constant(at="left"),
]


@pytest.mark.parametrize("schedule", ENDLESS, ids=str)
def test_what_needs_no_total_is_the_same_under_every_total(schedule):
    """So that somebody who knows none may write a large one."""
    long = schedule.resolve(10**9)
    assert long(range(200)).tolist() == schedule.resolve(200).table().tolist()


def test_a_fall_that_never_comes_is_an_error():
    with pytest.raises(UserError, match="no step is left for the piece"):
        cosine(warmup="100%").resolve(10)
    assert constant(warmup="100%", at="left").resolve(4).table().tolist() == [0, 0.25, 0.5, 0.75]
