"""Persistent catapult warmup against algorithm 3 written by hand, with `if` and `while`."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from trainings import a_run, finish

from preheat.core.errors import UserError
from preheat.core.spec import spec
from preheat.engine.loop import set_up
from preheat.engine.placement import single
from preheat.optim.persistent_catapult import PersistentCatapult

BETA, CLIP, STEPS = 0.5, 3.0, 30


def by_hand(run):
    """(rates used, rates found) by momentum with clipping."""
    setup = set_up([run], single())
    params, buffers, _, _ = setup.fleet.start
    peak, rate, lowest, used, found = run.peak_lr, 0.0, math.inf, [], []
    moving = {n: torch.zeros_like(p) for n, p in params.items()}
    for _, batch in zip(range(STEPS), setup.batches(0), strict=False):
        grads, (here, _) = setup.do.grads(params, buffers, batch)
        norm = torch.stack([(g * g).sum() for g in grads.values()]).sum().sqrt()
        grads = {n: g * min(1.0, CLIP / float(norm + 1e-6)) for n, g in grads.items()}
        moving = {n: BETA * moving[n] + g for n, g in grads.items()}

        def after(lr, params=params, moving=moving):
            return {n: p - lr * moving[n] for n, p in params.items()}

        if rate < peak and here < lowest:
            lowest, start, low, high, above = float(here), rate or peak / 1024, 0.0, math.inf, math.inf
            rate = start
            for _ in range(16):
                rate = min(rate, peak)
                loss = float(setup.do.grads(after(rate), buffers, batch)[1][0])
                if loss <= lowest:
                    low = rate
                else:
                    high, above = rate, loss
                if low >= peak or (low > 0 and above <= 1.1 * lowest):
                    break
                rate = (low + high) / 2 if high < math.inf else 2 * low
            rate = min(high, peak) if low > 0 else start
            found.append(rate)
        used.append(min(rate, peak))
        params = after(used[-1])
    return used, found


@pytest.mark.parametrize("peak,reached", [(3.5, True), (1e4, False)])
def test_it_is_what_one_would_write_by_hand(peak, reached):
    optimizer = spec("sgd", momentum=BETA)
    whole = {"batch_size": 50, "length": str(STEPS), "schedule": "constant", "evaluate": str(STEPS)}
    run = a_run(rate_rule="persistent_catapult", optimizer=optimizer, clip_norm=CLIP, peak_lr=peak, **whole)
    used, found = by_hand(run)
    trace = finish([run], single())[2][0].trace
    np.testing.assert_allclose(trace["train_learning_rate"].values, used, rtol=1e-8)
    assert (used[-1] == peak) == reached and len(set(found)) > 1, found
    rose = np.diff(trace["train_loss"].values) > 0
    assert rose[0], "the first update is a catapult"


def test_on_a_quadratic_it_is_the_critical_rate_along_the_gradient():
    rule = PersistentCatapult(delta=1e-6, passes=40)
    curved, p = torch.tensor([1.0, 5.0], dtype=torch.float64), torch.tensor([1.0, 2.0], dtype=torch.float64)
    loss = lambda at: (curved * at * at).sum() / 2
    g = curved * p
    moment = type("Moment", (), {"loss": loss(p), "lr": torch.tensor(100.0, dtype=torch.float64)})
    found = rule.search(rule.init({"p": p}), moment, lambda lr: loss(p - lr * g))["rate"]
    exact = 2 * (g * g).sum() / (curved * g * g).sum()
    assert 1 <= found / exact < 1 + 1e-5


@pytest.mark.parametrize("loss,expected", [(lambda lr: -lr, 100.0), (lambda lr: lr * 0 + math.nan, 3.0)])
def test_without_a_rise_it_is_the_scheduled_rate_and_without_a_fall_it_stays(loss, expected):
    moment = type("Moment", (), {"loss": torch.tensor(0.0), "lr": torch.tensor(100.0)})
    state = {"rate": torch.tensor(3.0), "lowest": torch.tensor(1.0)}
    assert float(PersistentCatapult().search(state, moment, loss)["rate"]) == expected


def test_rounding_is_neither_a_rise_nor_a_fall():
    """In float32: a loss that rises with the rate until rounding hides it, and one that falls at first."""
    moment = type("Moment", (), {"loss": torch.tensor(2.3), "lr": torch.tensor(100.0)})
    state = {"rate": torch.tensor(1e-3), "lowest": torch.tensor(9.0)}
    search = lambda loss: float(PersistentCatapult(delta=0.0, passes=40).search(state, moment, loss)["rate"])
    assert search(lambda lr: 2.3 + 0.5 * lr) == pytest.approx(1e-3)
    wobbling = lambda lr: 2.3 - 1e-3 * lr * (1 - lr) + torch.where(lr < 2e-3, 2.4e-7, 0.0)
    assert search(wobbling) == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize("options", [{"delta": -0.1}, {"passes": 1}])
def test_options_out_of_range_are_errors(options):
    with pytest.raises(UserError, match=f"{next(iter(options))}.* must be at least"):
        PersistentCatapult(**options)
