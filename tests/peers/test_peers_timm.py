"""Every scheduler of timm's against its conversion, by epochs and by updates, and as create_scheduler_v2
makes it."""

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
    """The rates of n updates; timm is told the epoch or the update before each, as its training script
    does."""
    opt = optimizer(0.1)
    scheduler, out = make(opt), []
    for k in range(n):
        _ = scheduler.step(k // per_epoch) if by_epoch else scheduler.step_update(k)
        out.append(opt.param_groups[0]["lr"])
    return np.array(out)


WARM = {"warmup_t": 3, "warmup_lr_init": 1e-4}


def classes(n):
    """(class, arguments), with `total` where the class has no length."""
    thrice = {"t_initial": n // 3, "cycle_limit": 3, "cycle_decay": 0.5}
    return [
        ("CosineLRScheduler", {"t_initial": n}),
        ("CosineLRScheduler", {"t_initial": n, "lr_min": 1e-3, "warmup_prefix": True, **WARM}),
        ("CosineLRScheduler", {"t_initial": n, "lr_min": 1e-3, **WARM}),
        ("CosineLRScheduler", {"t_initial": n, "k_decay": 1.5, "warmup_prefix": True, **WARM}),
        ("CosineLRScheduler", thrice),
        ("CosineLRScheduler", {**thrice, "lr_min": 1e-3, "warmup_prefix": True, **WARM}),
        ("CosineLRScheduler", {"t_initial": 3, "cycle_limit": 3, "cycle_mul": 2, "cycle_decay": 0.5}),
        ("CosineLRScheduler", {"t_initial": 5, "cycle_limit": 3, "cycle_mul": 1.5}),
        ("CosineLRScheduler", {"t_initial": 4, "cycle_limit": 2, "k_decay": 0.8, "cycle_decay": 0.7}),
        ("TanhLRScheduler", {"t_initial": n}),
        ("TanhLRScheduler", {"t_initial": n, "lb": -4.0, "ub": 2.0, "lr_min": 1e-3, **WARM}),
        (
            "TanhLRScheduler",
            {"t_initial": n, "warmup_prefix": True, "cycle_limit": 2, "cycle_decay": 0.3, **WARM},
        ),
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
        (
            "MultiStepLRScheduler",
            {"decay_t": [2, n // 2], "decay_rate": 0.5, "warmup_prefix": False, "total": n, **WARM},
        ),
    ]


def stable(n):
    """WSD with every stable phase, every decay, with a floor and without."""
    stables = [("constant", None), ("rsqrt", None), ("rsqrt", 7), ("power", 5.5), ("power", 4)]
    decays = [("linear", {}), ("1-sqrt", {}), ("cosine", {}), ("exp", {}), (lambda u: (1 - u) ** 3, {})]
    decays += [("power", {"decay_power": p}) for p in (0.5, 2.0, 1.5)]
    run = {"t_initial": n, "decay_t": n // 3, **WARM}
    return [
        (
            "WSDLRScheduler",
            {**run, "decay_fn": d, "stable_fn": s, "stable_timescale": c, "lr_min": low, **more},
        )
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
            lambda o, by=by_epoch: getattr(timm, name)(o, t_in_epochs=by, **theirs),
            made.total,
            per_epoch or 1,
            by_epoch,
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
    (
        "wsd",
        {
            "warmup_prefix": True,
            "decay_epochs": 2,
            "decay_fn": "cosine",
            "cooldown_epochs": 2,
            "min_lr": 1e-4,
        },
    ),
    ("rsqrt", {}),
    ("rsqrt", {"stable_timescale": 5, "decay_epochs": 0.5}),
    ("constant", {}),
]


@pytest.mark.parametrize("by_epoch", [True, False])
@pytest.mark.parametrize(("name", "arguments"), FACTORY)
def test_the_same_table_as_create_scheduler_v2_makes(name, arguments, by_epoch):
    given = {
        "num_epochs": 20,
        "warmup_epochs": 2,
        "updates_per_epoch": 3,
        "step_on_epochs": by_epoch,
        **arguments,
    }
    made = from_timm(name, lr=0.1, **given)
    _, epochs = timm.create_scheduler_v2(optimizer(0.1), sched=name, **given)
    assert made.total == 3 * epochs
    close(
        made.rates(),
        rates_of(lambda o: timm.create_scheduler_v2(o, sched=name, **given)[0], made.total, 3, by_epoch),
    )


def test_every_scheduler_is_converted_or_says_why_not():
    public = {name for name in vars(timm) if name.endswith("LRScheduler")}
    tested = {name for name, _ in every(100)}
    assert public - tested == {"PlateauLRScheduler"} and tested == set(module.TIMM_CLASSES)
    lines = [line.strip() for line in inspect.getsource(timm.create_scheduler_v2).splitlines()]
    branches = [line for line in lines if line.startswith(("if sched ", "elif sched "))]
    names = {name for line in branches for name in re.findall(r"'(\w+)'", line)} - {"none"}
    assert names - {name for name, _ in FACTORY} == {"plateau"} and names - {"plateau"} == set(
        module._FACTORY
    )
    for name in ("plateau", "PlateauLRScheduler", "none"):
        with pytest.raises(UserError, match="can't be converted"):
            from_timm(name, lr=0.1)


def test_the_same_name_with_a_classes_arguments_is_the_class():
    given = {"lr": 0.1, "updates_per_epoch": 3, "t_initial": 30, "lr_min": 1e-3}
    assert from_timm("cosine", **given) == from_timm("CosineLRScheduler", **given)


@pytest.mark.parametrize(("mul", "start", "at"), [(3, 1, 121), (3, 10, 1210), (10, 1, 111)])
def test_restarts_are_found_exactly(mul, start, at):
    """timm finds the cycle by the floor of a logarithm, and trains near the floor where a cycle should
    begin."""
    cycles = next(n for n in range(1, 9) if start * (mul**n - 1) // (mul - 1) == at) + 1
    given = {"t_initial": start, "cycle_mul": mul, "cycle_limit": cycles}
    made = from_timm("CosineLRScheduler", lr=0.1, t_in_epochs=False, **given)
    theirs = rates_of(
        lambda o: timm.CosineLRScheduler(o, t_in_epochs=False, **given), at + 20, by_epoch=False
    )
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
        (
            "CosineLRScheduler",
            {"t_initial": 5, "cycle_mul": 1.5, "cycle_limit": 3, "k_decay": 2.0},
            "whole lengths",
        ),
        ("CosineLRScheduler", {"t_initial": 0}, "t_initial must be a whole number"),
        ("StepLRScheduler", {"decay_t": 3}, "no end of its own"),
        ("WSDLRScheduler", {"t_initial": 10, "decay_t": 20}, "decay must fit"),
        ("WSDLRScheduler", {"t_initial": 10, "decay_t": 2, "stable_fn": "rsqrt"}, "needs a timescale"),
        ("WSDLRScheduler", {"t_initial": 10, "decay_t": 2, "decay_fn": "square"}, "decay_fn must be one of"),
        *(
            (name, {"updates_per_epoch": None, **more}, "updates_per_epoch=1 for a table in epochs")
            for name, more in (
                ("cosine", {"num_epochs": 300}),
                ("cosine", {"step_on_epochs": False}),
                ("CosineLRScheduler", {"t_initial": 300}),
                ("WSDLRScheduler", {"t_initial": 300, "decay_t": 30}),
            )
        ),
        (
            "CosineLRScheduler",
            {"t_initial": 9, "updates_per_epoch": None},
            "or t_in_epochs=False if it counts updates",
        ),
        ("cosine", {"updates_per_epoch": 0}, "updates_per_epoch must be a whole number >= 1, got 0"),
        ("cosin", {}, "did you mean 'cosine'"),
        ("cosine", {"warmup_epoch": 5}, "did you mean 'warmup_epochs'"),
        ("cosine", {"per_epoch": 5}, "did you mean 'updates_per_epoch'"),
        ("cosine", {"per_epoch": 5, "updates_per_epoch": None}, "did you mean 'updates_per_epoch'"),
        ("cosine", {"total": 0}, "total must be a whole number >= 1"),
        (
            "cosine",
            {"decay_epochs": 30, "plateau_mode": "min"},
            "ignores decay_epochs and plateau_mode, got decay_epochs=30",
        ),
        (
            "constant",
            {"decay_rate": 0.5},
            "constant ignores decay_rate, got decay_rate=0.5: leave decay_rate out",
        ),
        ("wsd", {"stable_timescale": 5}, "wsd ignores stable_timescale"),
        ("step", {"num_epochs": 30, "total": 40}, "step ignores num_epochs"),
        ("CosineLRScheduler", {"t_initial": 9, "noise_std": 0.5}, "ignores noise_std"),
        (
            "CosineLRScheduler",
            {"t_initial": 9, "t_in_epochs": False},
            "ignores updates_per_epoch, got updates_per_epoch=1",
        ),
        ("WSDLRScheduler", {"t_initial": 9, "decay_t": 3, "decay_power": 2.0}, "ignores decay_power"),
        ("WSDLRScheduler", {"t_initial": 9, "decay_t": 3, "stable_timescale": 4}, "ignores stable_timescale"),
        ("WSDLRScheduler", {"t_initial": 9, "decay_t": 3, "stable_power": 0.7}, "ignores stable_power"),
    ],
)
def test_what_is_not_imitated_is_an_error(name, arguments, message):
    with pytest.raises(UserError, match=message):
        from_timm(name, **{"lr": 0.1, "updates_per_epoch": 1, **arguments})


def test_the_list_of_arguments_has_only_those_that_can_be_written():
    with pytest.raises(UserError, match="Known: cycle_decay") as caught:
        from_timm("CosineLRScheduler", lr=0.1, xyz=1)
    known = str(caught.value).split("Known: ")[1].split(", ")
    theirs = set(inspect.signature(timm.CosineLRScheduler).parameters) - {"optimizer", "initialize"}
    assert set(known) == theirs | {"lr", "total", "updates_per_epoch"}


@pytest.mark.parametrize("by_epoch", [True, False])
@pytest.mark.parametrize("name", ["cosine", "tanh", "poly", "wsd", "rsqrt"])
def test_a_run_that_stops_early_has_its_own_total(name, by_epoch):
    given = {
        "lr": 0.1,
        "num_epochs": 20,
        "warmup_epochs": 2,
        "updates_per_epoch": 3,
        "step_on_epochs": by_epoch,
    }
    made = from_timm(name, total=10 if by_epoch else 30, **given)
    assert made.total == 30
    close(made.rates(), from_timm(name, **given).rates(30))
    kept(made, 0.1)


def test_one_update_in_an_epoch_is_a_table_in_epochs():
    made = from_timm("cosine", lr=0.1, num_epochs=30, updates_per_epoch=1)
    assert made.total == 30
    close(np.repeat(made.rates(), 4), from_timm("cosine", lr=0.1, num_epochs=30, updates_per_epoch=4).rates())


def test_an_object_is_not_a_name():
    scheduler = timm.CosineLRScheduler(optimizer(), t_initial=10)
    with pytest.raises(UserError, match="got an object, CosineLRScheduler: write its name and arguments"):
        from_timm(scheduler, lr=0.1)
    with pytest.raises(UserError, match="got an object, CosineLRScheduler"):
        from_timm(scheduler, lr=0.1, t_initial=10)
