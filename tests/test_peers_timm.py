"""Every scheduler of timm's against its conversion, by epochs and by updates, and as create_scheduler_v2 makes it."""

import inspect
import re

import numpy as np
import pytest

from peers import LENGTHS, cases, close, kept, optimizer, timm_schedulers
from preheat.adapters.conversions import from_timm
from preheat.adapters.conversions import timm as module
from preheat.core.errors import UserError

timm = timm_schedulers()
pytestmark = pytest.mark.skipif(timm is None, reason="timm is not installed")


def rates_of(make, n, per_epoch=1, by_epoch=True):
    """The rates of n updates; timm is told the epoch or the update before each, as its training script does."""
    opt = optimizer(0.1)
    scheduler, out = make(opt), []
    for k in range(n):
        _ = scheduler.step(k // per_epoch) if by_epoch else scheduler.step_update(k)
        out.append(opt.param_groups[0]["lr"])
    return np.array(out)


WARM = {"warmup_t": 3, "warmup_lr_init": 1e-4}


def classes(n):
    """(class, arguments), with `total` where the class has no length."""
    return [
        ("CosineLRScheduler", {"t_initial": n}),
        ("CosineLRScheduler", {"t_initial": n, "lr_min": 1e-3, "warmup_prefix": True, **WARM}),
        ("CosineLRScheduler", {"t_initial": n, "lr_min": 1e-3, **WARM}),
        ("CosineLRScheduler", {"t_initial": n, "k_decay": 1.5, "warmup_prefix": True, **WARM}),
        ("CosineLRScheduler", {"t_initial": n // 3, "cycle_limit": 3, "cycle_decay": 0.5}),
        (
            "CosineLRScheduler",
            {"t_initial": n // 3, "cycle_limit": 3, "cycle_decay": 0.5, "lr_min": 1e-3, "warmup_prefix": True, **WARM},
        ),
        ("CosineLRScheduler", {"t_initial": 3, "cycle_limit": 3, "cycle_mul": 2, "cycle_decay": 0.5}),
        ("CosineLRScheduler", {"t_initial": 5, "cycle_limit": 3, "cycle_mul": 1.5}),
        ("CosineLRScheduler", {"t_initial": 4, "cycle_limit": 2, "k_decay": 0.8, "cycle_decay": 0.7}),
        ("TanhLRScheduler", {"t_initial": n}),
        ("TanhLRScheduler", {"t_initial": n, "lb": -4.0, "ub": 2.0, "lr_min": 1e-3, **WARM}),
        ("TanhLRScheduler", {"t_initial": n, "warmup_prefix": True, "cycle_limit": 2, "cycle_decay": 0.3, **WARM}),
        ("PolyLRScheduler", {"t_initial": n}),
        ("PolyLRScheduler", {"t_initial": n, "power": 2.0, "lr_min": 1e-3, "k_decay": 0.7}),
        ("PolyLRScheduler", {"t_initial": n // 2, "power": 1, "lr_min": 1e-3, "cycle_limit": 2, **WARM}),
        ("PolyLRScheduler", {"t_initial": n // 2, "cycle_limit": 2, "cycle_decay": 0.5}),
        ("StepLRScheduler", {"decay_t": 3, "decay_rate": 0.5, "total": n}),
        ("StepLRScheduler", {"decay_t": 2.5, "decay_rate": 0.5, "total": n, **WARM}),
        ("StepLRScheduler", {"decay_t": 2, "decay_rate": 0.5, "warmup_prefix": False, "total": n, **WARM}),
        ("StepLRScheduler", {"decay_t": 4, "decay_rate": 0.5, "warmup_prefix": False, "total": n, **WARM}),
        ("StepLRScheduler", {"decay_t": 2, "total": n, **WARM}),
        ("MultiStepLRScheduler", {"decay_t": [2, n // 2], "decay_rate": 0.5, "total": n}),
        ("MultiStepLRScheduler", {"decay_t": [1, 2, n // 2], "decay_rate": 0.5, "total": n, **WARM}),
        ("MultiStepLRScheduler", {"decay_t": [2, n // 2], "decay_rate": 0.5, "warmup_prefix": False, "total": n, **WARM}),
    ]


def stable(n):
    """WSD with every stable phase, every decay, with a floor and without."""
    stables = [("constant", None), ("rsqrt", None), ("rsqrt", 7), ("power", 5.5), ("power", 4)]
    decays = [("linear", {}), ("1-sqrt", {}), ("cosine", {}), ("exp", {}), (lambda u: (1 - u) ** 3, {})]
    decays += [("power", {"decay_power": p}) for p in (0.5, 2.0, 1.5)]
    run = {"t_initial": n, "decay_t": n // 3, **WARM}
    return [
        ("WSDLRScheduler", {**run, "decay_fn": d, "stable_fn": s, "stable_timescale": c, "lr_min": low, **more})
        for d, more in decays
        for s, c in stables
        for low in (0.0, 1e-2)
    ]


def every(n):
    return [*classes(n), *stable(n)]


@pytest.mark.parametrize(("n", "name", "arguments"), **cases(every))
def test_the_same_table(n, name, arguments):
    theirs = {k: v for k, v in arguments.items() if k != "total"}
    for per_epoch, by_epoch in ((3, True), (None, False)):
        if n == LENGTHS[-1] and by_epoch:
            continue  # 3,000 updates show no more than 300
        made = from_timm(name, lr=0.1, updates_per_epoch=per_epoch, t_in_epochs=by_epoch, **arguments)
        rates = rates_of(
            lambda o, by=by_epoch: getattr(timm, name)(o, t_in_epochs=by, **theirs), made.total, per_epoch or 1, by_epoch
        )
        close(made.rates(), rates)
        kept(made)


FACTORY = [
    ("cosine", {}),
    ("cosine", {"warmup_prefix": True, "cooldown_epochs": 3, "min_lr": 1e-3, "cycle_limit": 2}),
    ("cosine", {"warmup_epochs": 0, "cooldown_epochs": 3, "k_decay": 2.0}),
    ("cosine", {"warmup_epochs": 0, "cooldown_epochs": 3, "min_lr": 1e-4}),
    ("tanh", {}),
    ("step", {"decay_epochs": 2, "warmup_epochs": 1}),
    ("step", {"decay_epochs": 2, "warmup_epochs": 3}),
    ("step", {"decay_epochs": 2.4}),
    ("step", {}),
    ("multistep", {"decay_milestones": [4, 6], "warmup_prefix": True}),
    ("multistep", {"decay_milestones": [4, 6]}),
    ("poly", {"decay_rate": 2.0, "warmup_epochs": 0}),
    ("wsd", {}),
    ("wsd", {"warmup_prefix": True, "decay_epochs": 2, "decay_fn": "cosine", "cooldown_epochs": 2, "min_lr": 1e-4}),
    ("rsqrt", {}),
    ("rsqrt", {"stable_timescale": 5, "decay_epochs": 0.5}),
    ("constant", {}),
]


@pytest.mark.parametrize("by_epoch", [True, False])
@pytest.mark.parametrize(("name", "arguments"), FACTORY)
def test_the_same_table_as_create_scheduler_v2_makes(name, arguments, by_epoch):
    given = {"num_epochs": 20, "warmup_epochs": 2, "updates_per_epoch": 3, "step_on_epochs": by_epoch, **arguments}
    made = from_timm(name, lr=0.1, **given)
    _, epochs = timm.create_scheduler_v2(optimizer(0.1), sched=name, **given)
    assert made.total == 3 * epochs
    close(made.rates(), rates_of(lambda o: timm.create_scheduler_v2(o, sched=name, **given)[0], made.total, 3, by_epoch))


def test_every_scheduler_is_converted_or_says_why_not():
    public = {name for name in vars(timm) if name.endswith("LRScheduler")}
    tested = {name for name, _ in every(100)}
    assert public - tested == {"PlateauLRScheduler"} and tested == set(module.CLASSES)
    lines = [line.strip() for line in inspect.getsource(timm.create_scheduler_v2).splitlines()]
    branches = [line for line in lines if line.startswith(("if sched ", "elif sched "))]
    names = {name for line in branches for name in re.findall(r"'(\w+)'", line)} - {"none"}
    assert names - {name for name, _ in FACTORY} == {"plateau"} and names - {"plateau"} == set(module._FACTORY)
    for name in ("plateau", "PlateauLRScheduler", "none"):
        with pytest.raises(UserError, match="can't be converted"):
            from_timm(name, lr=0.1)


def test_the_same_name_with_a_classes_arguments_is_the_class():
    assert from_timm("cosine", lr=0.1, t_initial=30, lr_min=1e-3) == from_timm(
        "CosineLRScheduler", lr=0.1, t_initial=30, lr_min=1e-3
    )


@pytest.mark.parametrize(("mul", "start", "at"), [(3, 1, 121), (3, 10, 1210), (10, 1, 111)])
def test_restarts_are_found_exactly(mul, start, at):
    """timm finds the cycle by the floor of a logarithm, and trains near the floor where a cycle should begin."""
    cycles = next(n for n in range(1, 9) if start * (mul**n - 1) // (mul - 1) == at) + 1
    given = {"t_initial": start, "cycle_mul": mul, "cycle_limit": cycles}
    made = from_timm("CosineLRScheduler", lr=0.1, t_in_epochs=False, **given)
    theirs = rates_of(lambda o: timm.CosineLRScheduler(o, t_in_epochs=False, **given), at + 20, by_epoch=False)
    ours = made.rates(at + 20)
    wrong = np.flatnonzero(~np.isclose(ours, theirs, rtol=1e-9, atol=1e-12))
    assert wrong.tolist() == [at] and ours[at] == pytest.approx(0.1) and theirs[at] < 1e-3


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("cosine", {"noise": [0.4, 0.9]}, "noisy rates"),
        ("CosineLRScheduler", {"t_initial": 10, "noise_range_t": 5}, "noisy rates"),
        ("cosine", {"warmup_lr": 0.5}, "warmup_lr_init must lie between"),
        ("cosine", {"warmup_epochs": 400}, "warmup must fit"),
        ("cosine", {"min_lr": 1.0}, "lr_min must lie between"),
        (
            "CosineLRScheduler",
            {"t_initial": 30, "lr_min": 0.05, "cycle_limit": 3, "cycle_decay": 0.5},
            "above the peak of a cycle",
        ),
        ("CosineLRScheduler", {"t_initial": 5, "cycle_mul": 1.5, "cycle_limit": 3, "k_decay": 2.0}, "whole lengths"),
        ("CosineLRScheduler", {"t_initial": 0}, "t_initial must be a whole number"),
        ("StepLRScheduler", {"decay_t": 3}, "no end of its own"),
        ("WSDLRScheduler", {"t_initial": 10, "decay_t": 20}, "decay must fit"),
        ("WSDLRScheduler", {"t_initial": 10, "decay_t": 2, "stable_fn": "rsqrt"}, "needs a timescale"),
        ("WSDLRScheduler", {"t_initial": 10, "decay_t": 2, "decay_fn": "square"}, "decay_fn must be one of"),
        ("cosine", {"step_on_epochs": False}, "updates_per_epoch must be"),
        ("cosin", {}, "did you mean 'cosine'"),
        ("cosine", {"warmup_epoch": 5}, "did you mean 'warmup_epochs'"),
    ],
)
def test_what_is_not_imitated_is_an_error(name, arguments, message):
    with pytest.raises(UserError, match=message):
        from_timm(name, lr=0.1, **arguments)
