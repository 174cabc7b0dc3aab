"""Every name of transformers' SchedulerType against its conversion, update by update."""

import math
import types
from types import SimpleNamespace

import numpy as np
import pytest
from cases import once

from peers import LENGTHS, close, kept, optimizer, torch_rates
from preheat.adapters.conversions import from_torch, from_transformers
from preheat.core.errors import UserError

transformers = pytest.importorskip("transformers")
SHAPES = [
    ("linear", {}),
    *(("cosine", {"num_cycles": c}) for c in (0.5, 1, 1.5, 0.3)),
    *(("cosine_with_restarts", {"num_cycles": c}) for c in (1, 2, 3)),
    ("polynomial", {}),
    ("polynomial", {"power": 2.5, "lr_end": 1e-3}),
    ("constant", {}),
    ("constant_with_warmup", {}),
    ("inverse_sqrt", {}),
    ("inverse_sqrt", {"timescale": 30}),
    ("cosine_with_min_lr", {"min_lr": 1e-3}),
    ("cosine_with_min_lr", {"min_lr_rate": 0.1, "num_cycles": 1}),
    ("cosine_with_min_lr", {"min_lr_rate": 0.1, "num_cycles": 0.4}),
    ("cosine_warmup_with_min_lr", {"min_lr": 1e-3}),
    ("cosine_warmup_with_min_lr", {"min_lr_rate": 0.1, "warmup_lr_rate": 0.2}),
    ("cosine_warmup_with_min_lr", {"min_lr_rate": 0.1, "num_cycles": 0.7}),
    ("cosine_warmup_with_min_lr", {"min_lr": 1e-3, "warmup_lr_rate": 0.2, "num_cycles": 0.7}),
    ("warmup_stable_decay", {"num_decay_steps": 0.3}),
    ("warmup_stable_decay", {"num_decay_steps": 0.3, "min_lr_ratio": 0.1, "num_cycles": 0.8}),
    *(
        (
            "warmup_stable_decay",
            {"num_decay_steps": 0.3, "min_lr_ratio": 0.1, "warmup_type": w, "decay_type": d, **s},
        )
        for w, d in (("linear", "1-sqrt"), ("cosine", "linear"), ("1-sqrt", "cosine"))
        for s in ({}, {"num_stable_steps": 0.1})
    ),
]
CASES = [(n, int(n * w), name, a) for n in LENGTHS for w in (0, 1 / n, 0.2, 0.5) for name, a in SHAPES]
CASES = [(n, w, name, a) for n, w, name, a in CASES if name != "constant" or not w]
# each at one length and with one warmup, and each name with every warmup
CASES = once(CASES, lambda c: [(c[2], str(c[3])), (c[2], round(c[1] / c[0], 1)), (c[0], c[1] > 1)])


def counted(arguments, n):
    """Numbers of steps are given as shares of the run."""
    return {k: int(n * v) if k.endswith("_steps") else v for k, v in arguments.items()}


@pytest.mark.filterwarnings("ignore:Both num_training_steps and num_stable_steps")
@pytest.mark.parametrize(
    ("n", "warmup", "name", "arguments"),
    CASES,
    ids=[f"{n}-{w}-{s}-{i}" for i, (n, w, s, _) in enumerate(CASES)],
)
def test_the_same_table(n, warmup, name, arguments):
    arguments, times = counted(arguments, n), {"num_warmup_steps": warmup, "num_training_steps": n}
    rates = torch_rates(
        lambda o: transformers.get_scheduler(name, o, **times, scheduler_specific_kwargs=arguments), n
    )
    made = from_transformers(name, 0.1, **times, **arguments)
    close(made.rates(n), rates)
    kept(made, 0.1)


def test_every_name_is_converted_or_says_why_not():
    from transformers.trainer_utils import SchedulerType

    names = {one.value for one in SchedulerType}
    tested = {name for name, _ in SHAPES}
    assert names - tested == {"reduce_lr_on_plateau", "greedy"}
    for name in names - tested:
        with pytest.raises(UserError, match="listens to the training"):
            from_transformers(name, 0.1, num_training_steps=10)
    made = [from_transformers(name, 0.1, num_training_steps=10) for name in (SchedulerType.LINEAR, "linear")]
    assert made[0] == made[1]


def test_restarts_are_found_exactly():
    """transformers takes a rounded quotient mod 1: with 22 cycles in 44 steps it misses the one at 30, and
    trains at rate 0."""
    times = {"num_warmup_steps": 0, "num_training_steps": 44}
    make = transformers.get_scheduler
    theirs = torch_rates(
        lambda o: make("cosine_with_restarts", o, **times, scheduler_specific_kwargs={"num_cycles": 22}), 44
    )
    ours = from_transformers("cosine_with_restarts", 0.1, num_cycles=22, **times).rates()
    assert np.flatnonzero(~np.isclose(ours, theirs, rtol=1e-9)).tolist() == [30]
    assert ours[30] == pytest.approx(0.1) and theirs[30] < 1e-15


def test_a_named_schedule_wherever_one_says_it():
    times = {"num_warmup_steps": 10, "num_training_steps": 100}
    made = [
        (name, from_transformers(name, 0.1, **times, **counted(a, 100)).schedule)
        for name, a in SHAPES
        if "num_cycles" not in a and name != "constant"
    ]
    assert {(name, type(schedule).__name__) for name, schedule in made} == {
        ("linear", "linear"),
        ("polynomial", "linear"),
        ("polynomial", "polynomial"),
        ("constant_with_warmup", "constant"),
        ("inverse_sqrt", "inverse_sqrt"),
        ("cosine_with_min_lr", "cosine"),
        ("cosine_warmup_with_min_lr", "cosine"),
        ("cosine_warmup_with_min_lr", "Pieces"),
        ("warmup_stable_decay", "wsd"),
        ("warmup_stable_decay", "Pieces"),
    }


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("linear", {"num_warmup_steps": 200}, "the warmup must fit"),
        ("linear", {"num_warmup_steps": -5}, "num_warmup_steps must be a whole number >= 0"),
        ("linear", {"num_training_steps": None}, "run's length is needed"),
        ("polynomial", {"lr_end": 0.5}, "lr_end must lie between"),
        ("cosine_with_min_lr", {}, "the floor is min_lr or min_lr_rate"),
        ("cosine_with_min_lr", {"min_lr": 0.01, "min_lr_rate": 0.1}, "the floor is min_lr or min_lr_rate"),
        ("warmup_stable_decay", {"num_decay_steps": 80, "num_warmup_steps": 40}, "must fit in the run"),
        ("warmup_stable_decay", {"num_decay_steps": 20, "decay_type": "square"}, "decay_type must be"),
        ("warmup_stable_decay", {}, "needs num_decay_steps"),
        ("cosin", {}, "did you mean 'cosine'"),
        ("cosine", {"num_cycle": 1}, "did you mean 'num_cycles'"),
        ("cosine", {"num_cyc": 1}, "Known: lr, num_cycles, num_training_steps, num_warmup_steps$"),
        (
            "cosine",
            {"warmup": 10},
            "unknown argument of transformers' cosine 'warmup': write num_warmup_steps",
        ),
        ("cosine", {"total": 50}, "'total': write num_training_steps"),
        ("cosine", {"max_steps": 50}, "'max_steps': write num_training_steps"),
        ("cosine", {"warmup_ratio": 0.1}, r"write warmup_steps=0.1, the share of the run"),
        ("cosine", {"scheduler_specific_kwargs": [1]}, "must be a dict"),
        ("cosine", {"scheduler_specific_kwargs": {"num_cycle": 1}}, "did you mean 'num_cycles'"),
        (
            "cosine",
            {"scheduler_specific_kwargs": {"num_cycles": 1}, "num_cycles": 2},
            "written once, got num_cycles",
        ),
        (
            "cosine",
            {"scheduler_specific_kwargs": {"num_training_steps": 9}},
            "written once, got num_training_steps",
        ),
        ("cosine", {"lr": None}, "start from the optimizer's rate, got none: write lr"),
        ("warmup_stable_decay", {"lr": None, "num_decay_steps": 9}, "start from the optimizer's rate"),
        (
            "constant",
            {"num_warmup_steps": 10},
            "constant has no warmup, got num_warmup_steps=10: write constant_with_warmup",
        ),
        (
            "warmup_stable_decay",
            {"num_decay_steps": 9, "decay_type": "linear", "num_cycles": 2},
            "ignores num_cycles, got num_cycles=2: leave num_cycles out",
        ),
    ],
)
def test_what_is_not_imitated_is_an_error(name, arguments, message):
    with pytest.raises(UserError, match=message):
        from_transformers(name, **{"lr": 0.1, "num_training_steps": 100, **arguments})


def test_a_share_of_the_run_is_rounded_up_as_the_error_says():
    rounded, told = transformers.TrainingArguments.get_warmup_steps, SimpleNamespace(warmup_steps=0.07)
    assert (
        [rounded(told, n) for n in (10, 50, 100)] == [math.ceil(n * 0.07) for n in (10, 50, 100)] == [1, 4, 8]
    )


def test_a_schedules_own_arguments_in_a_dict_as_get_scheduler_has_them():
    own, times = {"min_lr_rate": 0.1, "num_cycles": 1}, {"num_warmup_steps": 5, "num_training_steps": 50}
    made = from_transformers("cosine_with_min_lr", 0.1, **times, scheduler_specific_kwargs=own)
    assert made == from_transformers("cosine_with_min_lr", 0.1, **times, **own)
    assert from_transformers("linear", 0.1, **times, scheduler_specific_kwargs=None).total == 50


def test_a_scheduler_that_is_built_is_read_by_from_torch():
    scheduler = transformers.get_cosine_schedule_with_warmup(optimizer(), 10, 100)
    with pytest.raises(
        UserError, match=r"by name, got an object, LambdaLR: write from_torch\(scheduler, total=1000\)"
    ):
        from_transformers(scheduler, 0.1)
    rates = from_transformers("cosine", 0.1, num_warmup_steps=10, num_training_steps=100).rates()
    close(from_torch(scheduler, total=100).rates(), rates)


def test_what_transformers_does_in_the_cases_that_are_refused():
    """So that a changed transformers is noticed: docs/schedules-differences.md says these."""
    rates = torch_rates(
        lambda o: transformers.get_scheduler("constant", o, 10, 100, scheduler_specific_kwargs={"x": 1}), 20
    )
    assert (rates == 0.1).all()


@pytest.mark.filterwarnings("ignore:Both num_training_steps and num_stable_steps")
def test_a_run_shorter_than_its_phases_is_cut():
    given = {"num_decay_steps": 20, "num_stable_steps": 60}
    rates = torch_rates(
        lambda o: transformers.get_scheduler(
            "warmup_stable_decay", o, 20, 90, scheduler_specific_kwargs=given
        ),
        90,
    )
    made = from_transformers("warmup_stable_decay", 0.1, num_warmup_steps=20, num_training_steps=90, **given)
    assert made.total == 90
    close(made.rates(), rates)
    kept(made, 0.1)


def test_past_the_end_the_last_rate_holds():
    """transformers' cosine rises again; so does cosine_warmup_with_min_lr."""
    for name, more in (("cosine", {}), ("cosine_warmup_with_min_lr", {"min_lr_rate": 0.1})):
        times = {"num_warmup_steps": 0, "num_training_steps": 20}
        theirs = torch_rates(
            lambda o, n=name, m=more, t=times: transformers.get_scheduler(
                n, o, **t, scheduler_specific_kwargs=m
            ),
            40,
        )
        made = from_transformers(name, 0.1, **times, **more)
        assert theirs[-1] > 0.09 and (made.rates(40)[20:] == made.rates()[-1]).all()


def test_the_floor_is_a_rate_for_every_group():
    """transformers divides min_lr by the optimizer's default rate, so that other groups end at another
    floor."""
    opt = optimizer([1e-3, 1e-1], groups=2)
    scheduler = transformers.get_scheduler(
        "cosine_with_min_lr", opt, 0, 10, scheduler_specific_kwargs={"min_lr": 1e-4}
    )
    for _ in range(10):
        opt.step()
        scheduler.step()
    assert opt.param_groups[1]["lr"] == pytest.approx(1e-2)
    made = from_transformers("cosine_with_min_lr", 1e-3, num_training_steps=10, min_lr=1e-4)
    for peak in (1e-3, 1e-1):
        assert peak * made.schedule.resolve(10, peak=peak).curve(10.0, after=False) == pytest.approx(
            1e-4, rel=1e-12
        )


def test_a_share_of_the_run_is_the_warmup_of_training_arguments():
    """transformers 5 reads warmup_steps below 1 so, and cuts what is not whole."""
    pytest.importorskip("transformers")
    from transformers import TrainingArguments

    for asked, total in ((0.05, 100), (0.333, 100), (0.001, 7), (1, 100), (12.7, 100), (0, 9), (0.999, 9)):
        made = from_transformers("cosine", 1e-3, warmup_steps=asked, num_training_steps=total)
        n = TrainingArguments.get_warmup_steps(types.SimpleNamespace(warmup_steps=asked), total)
        assert made == from_transformers("cosine", 1e-3, num_warmup_steps=n, num_training_steps=total)
    for wrong, words in (
        ({"warmup_steps": 0.1, "num_warmup_steps": 3}, "written once"),
        ({"warmup_steps": -0.1}, "must be a number of steps, or a share of the run below 1, got -0.1"),
    ):
        with pytest.raises(UserError, match=words):
            from_transformers("cosine", 1e-3, num_training_steps=10, **wrong)
    with pytest.raises(UserError, match="write num_training_steps=1000"):
        from_transformers("cosine", 1e-3, warmup_steps=0.1)
