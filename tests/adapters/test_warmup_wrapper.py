"""`WarmupLR`: a warmup before or over any scheduler of torch's, and exact resumes."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler as theirs

from preheat.adapters.torch import ScheduleLR
from preheat.adapters.warmup import WarmupLR
from preheat.core.errors import UserError
from preheat.schedules import cosine

W, TOTAL = 4, 16
LOSSES = [3.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0] * 4


def sequence(opt):
    stages = [theirs.LinearLR(opt, 0.5, total_iters=2), theirs.ExponentialLR(opt, 0.9)]
    return theirs.SequentialLR(opt, stages, [3])


def chain(opt):
    return theirs.ChainedScheduler([theirs.ExponentialLR(opt, 0.9), theirs.StepLR(opt, 3, 0.5)])


INNER = {
    "cosine": lambda o: theirs.CosineAnnealingLR(o, TOTAL),
    "exponential": lambda o: theirs.ExponentialLR(o, 0.9),
    "lambda": lambda o: theirs.LambdaLR(o, lambda k: 0.8**k),
    "steps": lambda o: theirs.MultiStepLR(o, [2, 5], 0.3),
    "one cycle": lambda o: theirs.OneCycleLR(o, [0.1, 0.2], 2 * TOTAL, cycle_momentum=False),
    "sequence": sequence,
    "chain": chain,
    "plateau": lambda o: theirs.ReduceLROnPlateau(o, factor=0.5, patience=0),
    "ours": lambda o: ScheduleLR(o, cosine(at="left"), TOTAL),
}


def optimizer():
    two = [{"params": [torch.nn.Parameter(torch.ones(1))], "lr": lr} for lr in (0.1, 0.02)]
    return torch.optim.SGD(two, lr=1.0)


def played(opt, scheduler, first, n):
    """The rates of updates `first` to first + n; a plateau gets the losses."""
    plateau = isinstance(getattr(scheduler, "scheduler", scheduler), theirs.ReduceLROnPlateau)
    out = []
    for k in range(first, first + n):
        out.append([g["lr"] for g in opt.param_groups])
        opt.step()
        scheduler.step(*([LOSSES[k]] if plateau else []))
    return np.array(out)


def built(name, how, start=0.1, at="left"):
    opt = optimizer()
    return opt, WarmupLR(INNER[name](opt), W, start=start, at=at, how=how)


RAMP = 0.1 + 0.9 * np.arange(W) / W


@pytest.mark.parametrize("name", INNER)
def test_before_it_is_a_ramp_to_the_first_rates_and_then_the_scheduler(name):
    opt = optimizer()
    inner = INNER[name](opt)
    first = [g["lr"] for g in opt.param_groups]
    alone = played(opt, inner, W, TOTAL)
    got = played(*built(name, "before"), 0, W + TOTAL)
    np.testing.assert_allclose(got[:W], np.outer(RAMP, first), rtol=1e-14)
    np.testing.assert_array_equal(got[W:], alone)


@pytest.mark.parametrize("name", INNER)
def test_over_it_multiplies_the_schedulers_rates(name):
    opt = optimizer()
    alone = played(opt, INNER[name](opt), 0, TOTAL)
    factors = np.append(RAMP, np.ones(TOTAL - W))[:, None]
    np.testing.assert_allclose(played(*built(name, "over"), 0, TOTAL), factors * alone, rtol=1e-14)


@pytest.mark.parametrize("how", ["before", "over"])
@pytest.mark.parametrize("name", INNER)
def test_a_resumed_run_goes_on_exactly_in_every_order(name, how):
    """torch's order, the optimizer last, and ours also first; through a file of plain data."""
    for start, at in ((0.1, "left"), (0.0, "left"), (0.0, "mid")):
        table = played(*built(name, how, start, at), 0, TOTAL)
        for k in (1, W - 1, W, W + 1, W + 5):
            resume(table, name, how, k, (start, at))


def resume(table, name, how, k, given):
    opt, scheduler = built(name, how, *given)
    played(opt, scheduler, 0, k)
    file = io.BytesIO()
    torch.save((opt.state_dict(), scheduler.state_dict()), file)
    for last in ("scheduler", "optimizer", *(["build"] if name == "ours" else [])):
        file.seek(0)
        # torch's MultiStepLR keeps a Counter
        states = torch.load(file, weights_only=name not in ("steps", "lambda"))
        again = optimizer()
        if last == "build":  # torch's schedulers would begin at the loaded rate
            again.load_state_dict(states[0])
        resumed = WarmupLR(INNER[name](again), W, start=given[0], at=given[1], how=how)
        if last == "scheduler":
            again.load_state_dict(states[0])
        resumed.load_state_dict(states[1])
        if last == "optimizer":
            again.load_state_dict(states[0])
        np.testing.assert_array_equal(played(again, resumed, k, TOTAL - k), table[k:])


def test_it_is_pytorch_warmups_dampening():
    other = pytest.importorskip("pytorch_warmup")
    opt = optimizer()
    inner = theirs.CosineAnnealingLR(opt, TOTAL)
    damp, want = other.LinearWarmup(opt, W), []
    for _ in range(TOTAL):
        want.append([g["lr"] for g in opt.param_groups])
        opt.step()
        with damp.dampening():
            inner.step()
    opt = optimizer()
    ours = WarmupLR(theirs.CosineAnnealingLR(opt, TOTAL), W, at="right", how="over")
    np.testing.assert_allclose(played(opt, ours, 0, TOTAL), want, rtol=1e-12)


def test_a_rate_that_is_written_in_the_warmup_is_where_it_goes_on_from():
    opt, scheduler = built("exponential", "before")
    played(opt, scheduler, 0, 2)
    opt.param_groups[1]["lr"] /= 2
    got = played(opt, scheduler, 2, 6)
    whole = played(*built("exponential", "before"), 0, 8)[2:]
    np.testing.assert_allclose(got, whole * [1.0, 0.5], rtol=1e-14)
    opt = optimizer()
    scheduler = WarmupLR(theirs.ExponentialLR(opt, 0.9), W, at="left")
    opt.param_groups[0]["lr"] = 0.3
    opt.step()
    with pytest.warns(UserWarning, match=r"wrote lr=0\.3 into group 0 where the schedule's rate is 0"):
        scheduler.step()


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ("must be one of torch's or ours", {"scheduler": 3}),
        ("warmup must be a whole number of steps >= 1, got 0", {"warmup": 0}),
        ("did you mean 'before'", {"how": "befor"}),
        ("warmup_start", {"start": -1.0}),
    ],
)
def test_what_is_wrong_is_said_when_it_is_built(words, arguments):
    opt = optimizer()
    given = {"scheduler": theirs.ExponentialLR(opt, 0.9), "warmup": 5, **arguments}
    with pytest.raises(UserError, match=words):
        WarmupLR(**given)


def test_another_state_is_an_error_and_changes_nothing():
    opt, scheduler = built("exponential", "before")
    played(opt, scheduler, 0, 2)
    before = scheduler.state_dict()
    with pytest.raises(UserError, match="a state of WarmupLR has last_epoch, targets, rates, scheduler, got"):
        scheduler.load_state_dict(scheduler.scheduler.state_dict())
    with pytest.raises(
        UserError, match="the state is of 1 groups, got an optimizer of 2: add the groups first"
    ):
        scheduler.load_state_dict({**before, "targets": [0.1], "rates": [0.1]})
    assert scheduler.state_dict() == before


def test_torch_takes_it_for_a_scheduler():
    opt, scheduler = built("cosine", "before")
    assert isinstance(scheduler, theirs.LRScheduler) and scheduler.base_lrs == [0.1, 0.02]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        played(opt, scheduler, 0, TOTAL)
    assert scheduler.finished and scheduler.get_last_lr() == [g["lr"] for g in opt.param_groups]
    assert repr(scheduler) == "WarmupLR(CosineAnnealingLR, 4, before, call=16)"
