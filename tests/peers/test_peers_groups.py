"""Every scheduler of torch's over groups that differ: each keeps its schedule, its peak and its momentum."""

import warnings

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler as theirs

from peers import close, optimizer
from preheat.adapters.conversions import GroupRecipes, Recipe, from_timm, from_torch, from_transformers
from preheat.adapters.conversions import torch as module
from preheat.adapters.torch import ScheduleLR
from preheat.core.errors import UserError

RATES, N = [0.1, 0.03], 40
TWO = [lambda k: 0.9**k, lambda k: min(1.0, (k + 1) / 10)]
WAVE = {"base_lr": [0.01, 0.002], "max_lr": [0.3, 0.1], "step_size_up": 4}
MOMENTA = {"max_momentum": [0.97, 0.9], "base_momentum": [0.8, 0.7]}
PER_GROUP = {  # a class, and arguments that are a list for the groups
    "LambdaLR": {"lr_lambda": TWO},
    "MultiplicativeLR": {"lr_lambda": [lambda k: 0.9, lambda k: 1.02]},
    "CyclicLR": {**WAVE, **MOMENTA},
    "OneCycleLR": {"max_lr": [0.3, 0.05], "total_steps": N, **MOMENTA},
}
ONE_FOR_ALL = {
    "StepLR": {"step_size": 7},
    "MultiStepLR": {"milestones": [5, 20]},
    "ConstantLR": {"factor": 0.5, "total_iters": N},
    "LinearLR": {"start_factor": 0.25, "end_factor": 0.6, "total_iters": 9},
    "ExponentialLR": {"gamma": 1.01},
    "PolynomialLR": {"total_iters": 30, "power": 2.0},
    "CosineAnnealingLR": {"T_max": N, "eta_min": 0.02},
    "CosineAnnealingWarmRestarts": {"T_0": 7, "eta_min": 1e-3},
}
SINGLE = {**PER_GROUP, **ONE_FOR_ALL}
MADE_OF = {
    "SequentialLR": (["LambdaLR", "ExponentialLR", "LinearLR"], {"milestones": [12, 25]}),
    "ChainedScheduler": (["LinearLR", "StepLR", "MultiplicativeLR"], {}),
}
CASES = [*SINGLE, *MADE_OF]


def build(name, opt):
    """The scheduler of torch's on an optimizer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name in SINGLE:
            return getattr(theirs, name)(opt, **SINGLE[name])
        parts, more = MADE_OF[name]
        built = [build(part, opt) for part in parts]
        return theirs.SequentialLR(opt, built, **more) if more else theirs.ChainedScheduler(built)


def arguments(name, i):
    """The same by name, of one group."""
    if name in SINGLE:
        lists = PER_GROUP.get(name, {})
        return {k: v[i] if isinstance(v, list) and k in lists else v for k, v in SINGLE[name].items()}
    parts, more = MADE_OF[name]
    return {"schedulers": [(part, arguments(part, i)) for part in parts], **more}


def followed(opt, scheduler, key):
    """A number of all groups at each update: [groups, N]."""
    out = []
    for k in range(N):
        out.append([float(g[key]) for g in opt.param_groups])
        if k < N - 1:
            opt.step()
            scheduler.step()
    return np.array(out).T


def of_torch(name, key="lr"):
    opt = optimizer(RATES, groups=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return followed(opt, build(name, opt), key)


def ours(made, key="lr", **peak):
    opt = optimizer(RATES, groups=2)
    return followed(opt, ScheduleLR(opt, made.schedule, made.total, also=made.also, **peak), key)


def both(name):
    """The conversion of the scheduler, and of its name for each group."""
    yield from_torch(build(name, optimizer(RATES, groups=2)), total=N)
    lr = [{}] * 2 if name in ("CyclicLR", "OneCycleLR") else [{"lr": rate} for rate in RATES]
    each = [from_torch(name, total=N, **lr[i], **arguments(name, i)) for i in (0, 1)]
    yield GroupRecipes(tuple(each))


def test_all_classes_are_here():
    assert set(CASES) == set(module._KNOWN)


@pytest.mark.parametrize("name", CASES)
def test_every_group_keeps_its_schedule_and_its_peak(name):
    rates = of_torch(name)
    assert not np.allclose(rates[0], rates[1])
    for made in both(name):
        assert isinstance(made, GroupRecipes)
        close(made.rates(), rates)
        close(ours(made, peak=made.peak), rates)
        if name not in ("OneCycleLR", "CyclicLR") and (rates.max(axis=1) <= RATES).all():
            assert made.peak == tuple(RATES)
            close(ours(made), rates)  # on the optimizer as it is


@pytest.mark.parametrize("name", ["CyclicLR", "OneCycleLR"])
def test_every_group_keeps_its_momentum(name):
    momenta = of_torch(name, "momentum")
    assert not np.allclose(momenta[0], momenta[1])
    for made in both(name):
        close(ours(made, "momentum", peak=made.peak), momenta)


def test_what_the_groups_share_is_one():
    made = from_torch(build("StepLR", optimizer(RATES, groups=2)), total=N)
    assert str(made.schedule) == "step(at=left, period=7)" and made.peak == (0.1, 0.03)
    alike = optimizer([0.1, 0.1], groups=2)
    assert type(from_torch(theirs.StepLR(alike, 7), total=N)) is Recipe
    made = from_torch(theirs.LambdaLR(alike, TWO), total=N)
    assert isinstance(made.schedule, tuple) and made.peak == 0.1
    made = from_torch(theirs.OneCycleLR(alike, max_lr=[0.3, 0.1], total_steps=N))
    assert made.also == made.groups[0].also and made.per_epoch is None


def test_parts_may_be_schedulers():
    opt = optimizer(0.03)
    parts = [theirs.LambdaLR(opt, TWO[:1]), theirs.ExponentialLR(opt, 0.9)]
    made = from_torch("SequentialLR", total=N, schedulers=parts, milestones=[5])
    named = [("LambdaLR", {"lr_lambda": TWO[0]}), ("ExponentialLR", {"gamma": 0.9})]
    assert made == from_torch("SequentialLR", lr=0.03, total=N, schedulers=named, milestones=[5])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: from_torch(build("CosineAnnealingLR", optimizer([0.1, 0.01], groups=2))),
            r"group 1: eta_min must lie between 0 and 0\.01",
        ),
        (
            lambda: from_torch(build("StepLR", optimizer(RATES, groups=2)), lr=0.2, total=N),
            r"whose groups have one rate, got 0\.1, 0\.03 and lr=0\.2: leave lr out",
        ),
        (
            lambda: from_torch("LambdaLR", lr=0.1, lr_lambda=TWO, total=N),
            "for one parameter group, got lists for 2: convert it once for each",
        ),
        (
            lambda: from_torch(
                "ChainedScheduler",
                lr=0.1,
                schedulers=[("LambdaLR", {"lr_lambda": TWO}), ("LambdaLR", {"lr_lambda": [*TWO, *TWO]})],
            ),
            "got 2 and 4 entries",
        ),
        (lambda: from_torch("LambdaLR", lr=0.1, lr_lambda=[], total=N), "got 0 entries"),
        (lambda: from_torch("SequentialLR", lr=0.1, schedulers=5, milestones=[]), "schedulers is a list"),
        (lambda: from_torch("ChainedScheduler", lr=0.1, schedulers=[]), "schedulers is a list"),
    ],
)
def test_what_has_no_answer_for_each_group_is_an_error(make, message):
    with pytest.raises(UserError, match=message):
        make()


TANH = {"t_initial": 50, "t_in_epochs": False}
BELOW = {
    "constant": lambda: from_torch("ConstantLR", lr=0.1, factor=0.5, total_iters=50, total=30),
    "linear": lambda: from_torch("LinearLR", lr=0.1, end_factor=0.9, total=30),
    "sequence": lambda: from_torch(
        "SequentialLR",
        lr=0.1,
        total=30,
        schedulers=[("ConstantLR", {"total_iters": 9}), ("LinearLR", {"end_factor": 0.5})],
        milestones=[5],
    ),
    "chain": lambda: from_torch(
        "ChainedScheduler", lr=0.1, total=30, schedulers=[("ConstantLR", {"total_iters": 90}), "LinearLR"]
    ),
    "timm": lambda: from_timm("TanhLRScheduler", lr=0.1, ub=2.0, lb=-1.0, **TANH),
    "transformers": lambda: from_transformers(
        "cosine_warmup_with_min_lr", 0.1, min_lr_rate=0.1, num_cycles=0.7, num_training_steps=60
    ),
}


@pytest.mark.parametrize("name", BELOW)
def test_a_schedule_below_the_optimizers_rate_keeps_it_as_its_peak(name):
    made = BELOW[name]()
    assert made.peak == 0.1 and made.rates().max() < 0.0999
    opt = optimizer(0.1)
    scheduler, rates = ScheduleLR(opt, made.schedule, made.total), made.rates()
    for k in range(made.total):
        assert opt.param_groups[0]["lr"] == pytest.approx(rates[k], rel=1e-15)
        opt.step()
        scheduler.step()


@pytest.mark.parametrize(
    "name", ["linear", "cosine", "cosine_with_restarts", "polynomial", "cosine_with_min_lr", "inverse_sqrt"]
)
def test_a_warmup_as_long_as_the_run(name):
    transformers = pytest.importorskip("transformers")
    run = {"num_warmup_steps": 20, "num_training_steps": 20}
    more = {"cosine_with_min_lr": {"min_lr_rate": 0.1}}.get(name, {})
    opt = optimizer()
    scheduler = transformers.get_scheduler(name, opt, **run, scheduler_specific_kwargs=more)
    made = from_transformers(name, 0.1, **run, **more)
    for k in range(20):
        assert opt.param_groups[0]["lr"] == pytest.approx(made.rates()[k], rel=1e-12)
        opt.step()
        if k < 19:  # transformers' polynomial divides by zero at the end
            scheduler.step()


@pytest.mark.parametrize("name", ["OneCycleLR", "CyclicLR"])
def test_a_momentum_that_is_adams_first_beta_is_called_so(name):
    """torch cycles betas[0] of AdamW."""
    given = {"OneCycleLR": {"total_steps": 20}, "CyclicLR": {"base_lr": 0.01, "step_size_up": 5}}[name]

    def adamw():
        return torch.optim.AdamW([torch.nn.Parameter(torch.ones(1))], lr=0.1)

    first = adamw()
    old = getattr(torch.optim.lr_scheduler, name)(first, max_lr=0.1, **given)
    made = from_torch(old, total=20)
    ours = adamw()
    new = ScheduleLR(ours, made.schedule, made.total, peak=made.peak, also=made.also)
    for k in range(19):
        assert ours.param_groups[0]["betas"] == pytest.approx(first.param_groups[0]["betas"], rel=1e-12), k
        for opt, scheduler in ((first, old), (ours, new)):
            opt.step()
            scheduler.step()
