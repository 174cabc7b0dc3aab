"""Every scheduler of torch.optim.lr_scheduler against its conversion: the rates that torch's optimizer uses,
update by update."""

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler as theirs

from peers import cases, close, kept, optimizer, stepped, torch_rates
from preheat.adapters.conversions import from_torch
from preheat.adapters.conversions import torch as module
from preheat.core.errors import UserError


def inverse(k):
    return 1 / (1 + k)


def single(n):
    """(class, arguments) for a run of n updates."""
    return [*falling(n), *turning(n)]


def falling(n):
    """Those that multiply the rate."""
    return [
        ("LambdaLR", {"lr_lambda": inverse}),
        ("MultiplicativeLR", {"lr_lambda": lambda k: 1 - inverse(k + 1)}),
        *(("StepLR", {"step_size": s, "gamma": g}) for s in (3, n) for g in (0.1, 0.5, 1.0)),
        ("StepLR", {"step_size": max(n // 3, 1), "gamma": 1.5}),
        ("StepLR", {"step_size": 3, "gamma": 0.0}),
        ("MultiStepLR", {"milestones": [2, n // 2], "gamma": 0.2}),
        ("MultiStepLR", {"milestones": [5, 2, 2, n + 4]}),
        ("MultiStepLR", {"milestones": [0, 3]}),
        ("ConstantLR", {}),
        ("ConstantLR", {"factor": 0.25, "total_iters": n // 2}),
        ("ConstantLR", {"total_iters": 2 * n}),
        ("ConstantLR", {"factor": 1.0}),
        ("LinearLR", {}),
        ("LinearLR", {"start_factor": 1e-3, "total_iters": 2 * n}),
        ("LinearLR", {"start_factor": 1.0, "end_factor": 0.0, "total_iters": n}),
        ("LinearLR", {"start_factor": 1.0, "end_factor": 0.1, "total_iters": n // 2}),
        ("LinearLR", {"start_factor": 0.1, "end_factor": 0.5, "total_iters": n // 2}),
        ("LinearLR", {"start_factor": 0.5, "end_factor": 0.5, "total_iters": n}),
        *(("ExponentialLR", {"gamma": g}) for g in (0.97, 0.1, 1.0, 1.01)),
        ("PolynomialLR", {}),
        ("PolynomialLR", {"total_iters": n, "power": 2.5}),
        ("PolynomialLR", {"total_iters": n // 2, "power": 0.5}),
    ]


def turning(n):
    """Those that turn."""
    wave = {"base_lr": 0.01, "max_lr": 0.3, "step_size_up": 4}
    cycle = {"max_lr": 0.3, "total_steps": n}
    odd = {"pct_start": 0.33, "anneal_strategy": "linear", "div_factor": 10, "final_div_factor": 100}
    return [
        *(("CosineAnnealingLR", {"T_max": t, "eta_min": e}) for t in (n, 2 * n) for e in (0.0, 1e-3)),
        ("CosineAnnealingWarmRestarts", {"T_0": 3}),
        ("CosineAnnealingWarmRestarts", {"T_0": 2, "T_mult": 3, "eta_min": 1e-4}),
        ("CosineAnnealingWarmRestarts", {"T_0": 2 * n}),
        ("CyclicLR", wave),
        (
            "CyclicLR",
            {"base_lr": 0.0, "max_lr": 0.3, "step_size_up": 3, "step_size_down": 5, "mode": "triangular2"},
        ),
        *(("CyclicLR", {**wave, "mode": "exp_range", "gamma": g}) for g in (0.99, 0.7, 1.001)),
        ("CyclicLR", {**wave, "step_size_up": 2.5, "step_size_down": 3.25}),
        ("CyclicLR", {**wave, "scale_fn": lambda cycle: 1 / cycle}),
        ("CyclicLR", {**wave, "scale_fn": lambda k: 0.9**k, "scale_mode": "iterations"}),
        ("OneCycleLR", cycle),
        ("OneCycleLR", {"max_lr": 0.3, "epochs": 1, "steps_per_epoch": n, "three_phase": True}),
        ("OneCycleLR", {**cycle, **odd}),
    ]


def total(name, n):
    """The cosine has an end of its own, and is refused behind it."""
    return None if name == "CosineAnnealingLR" else n


def rate(name):
    """The optimizer's rate, which these two set themselves."""
    return {} if name in ("OneCycleLR", "CyclicLR") else {"lr": 0.1}


@pytest.mark.parametrize(("n", "name", "arguments"), **cases(single))
def test_the_same_table_by_name_and_from_the_scheduler(n, name, arguments):
    rates = torch_rates(lambda o: getattr(theirs, name)(o, **arguments), n)
    made = from_torch(name, **rate(name), total=total(name, n), **arguments)
    close(made.rates(n), rates)
    kept(made, rate(name).get("lr"))
    used = getattr(theirs, name)(opt := optimizer(), **arguments)
    stepped(opt, used, 4)  # what it was told does not change on the way
    close(from_torch(used, total=total(name, n)).rates(n), rates)


def test_every_class_is_converted_or_says_why_not():
    public = {
        n
        for n in vars(theirs)
        if isinstance(vars(theirs)[n], type) and issubclass(vars(theirs)[n], theirs.LRScheduler)
    }
    public = {n for n in public | set(theirs.__all__) if not n.startswith("_")}
    tested = {name for name, _ in single(100)} | {"SequentialLR", "ChainedScheduler"}
    assert public - tested == {"LRScheduler", "ReduceLROnPlateau"}
    for name in (*(public - tested), "SWALR"):
        with pytest.raises(UserError, match="can't be converted"):
            from_torch(name, lr=0.1, total=10)
    assert tested == set(module._KNOWN)


def test_a_named_schedule_wherever_one_says_it():
    said = {
        "CosineAnnealingLR": ({"T_max": 50, "eta_min": 0.01}, "cosine(final=0.01lr, at=left)"),
        "LinearLR": ({"start_factor": 0.1}, "constant(warmup=5, warmup_start=0.1, at=left)"),
        "ConstantLR": (
            {"factor": 0.5},
            "constant(warmup=5, warmup_curve=constant, warmup_start=0.5, at=left)",
        ),
        "StepLR": ({"step_size": 20}, "step(at=left, period=20)"),
        "PolynomialLR": ({"total_iters": 50, "power": 1.0}, "linear(at=left)"),
        "CosineAnnealingWarmRestarts": ({"T_0": 10, "T_mult": 2}, "restarts(at=left, period=10, mult=2)"),
    }
    for name, (arguments, text) in said.items():
        made = from_torch(name, lr=0.1, total=50, **arguments)
        assert sorted(str(made.schedule)) == sorted(text), made.schedule  # whatever the order of the fields
        assert made.peak == 0.1 and made.total == 50


WARM_COSINE = [("LinearLR", {"start_factor": 0.01, "total_iters": 10}), ("CosineAnnealingLR", {"T_max": 90})]
SEQUENCES = {
    "warmup-cosine": (WARM_COSINE, [10], None),
    "warmup-cut": (
        [("LinearLR", {"total_iters": 20}), ("CosineAnnealingLR", {"T_max": 90, "eta_min": 1e-3})],
        [10],
        None,
    ),
    "cosine-stopped-early": (WARM_COSINE, [10], 40),
    "constant-exponential": (
        [("ConstantLR", {"factor": 0.5, "total_iters": 20}), ("ExponentialLR", {"gamma": 0.9})],
        [20],
        100,
    ),
    "trapezoid": (
        [
            ("LinearLR", {"start_factor": 0.1, "total_iters": 10}),
            ("ConstantLR", {"factor": 1.0}),
            ("LinearLR", {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 40}),
        ],
        [10, 60],
        None,
    ),
    "restarts-steps": (
        [("CosineAnnealingWarmRestarts", {"T_0": 4}), ("StepLR", {"step_size": 7, "gamma": 0.5})],
        [10],
        50,
    ),
    "polynomial-multistep": (
        [("PolynomialLR", {"total_iters": 9}), ("MultiStepLR", {"milestones": [3, 9]})],
        [9],
        30,
    ),
    "lambda-linear": ([("LambdaLR", {"lr_lambda": inverse}), ("LinearLR", {"total_iters": 5})], [8], 20),
    "multiplicative-first": (
        [("MultiplicativeLR", {"lr_lambda": lambda k: 0.9}), ("StepLR", {"step_size": 5})],
        [8],
        20,
    ),
    "one-alone": ([("StepLR", {"step_size": 5})], [], 20),
}


@pytest.mark.parametrize("case", SEQUENCES)
def test_sequences(case):
    parts, milestones, n = SEQUENCES[case]
    made = from_torch("SequentialLR", lr=0.1, total=n, schedulers=parts, milestones=milestones)

    def build(o):
        return theirs.SequentialLR(
            o, [getattr(theirs, name)(o, **arguments) for name, arguments in parts], list(milestones)
        )

    rates = torch_rates(build, n or made.total)
    close(made.rates(n), rates)
    kept(made, 0.1)
    close(from_torch(build(optimizer()), total=n).rates(n), rates)


def test_a_warmup_and_what_follows_are_one_schedule():
    made = from_torch("SequentialLR", lr=0.1, schedulers=WARM_COSINE, milestones=[10])
    assert made.schedule.json()["name"] == "cosine" and made.schedule.warmup.value == 10 and made.total == 100


CHAINS = [
    [("LinearLR", {"start_factor": 0.1, "total_iters": 10}), ("CosineAnnealingLR", {"T_max": 100})],
    [("ConstantLR", {}), ("ExponentialLR", {"gamma": 0.95})],
    [
        ("StepLR", {"step_size": 9}),
        ("MultiStepLR", {"milestones": [5, 50]}),
        ("PolynomialLR", {"total_iters": 100}),
    ],
    [("MultiplicativeLR", {"lr_lambda": lambda k: 0.97}), ("LinearLR", {})],
    [("ExponentialLR", {"gamma": 0.95})],
]


@pytest.mark.parametrize("parts", CHAINS)
def test_chains_of_factors_are_products(parts):
    def build(o):
        return theirs.ChainedScheduler(
            [getattr(theirs, name)(o, **arguments) for name, arguments in parts], optimizer=o
        )

    rates = torch_rates(build, 100)
    made = from_torch("ChainedScheduler", lr=0.1, total=100, schedulers=parts)
    close(made.rates(), rates)
    kept(made, 0.1)
    close(from_torch(build(optimizer()), total=100).rates(), rates)


@pytest.mark.parametrize("name", ["OneCycleLR", "CyclicLR"])
@pytest.mark.parametrize(
    "more", [{}, {"three_phase": True}, {"mode": "exp_range", "gamma": 0.97}, {"mode": "triangular2"}]
)
def test_the_momentum_moves_as_torchs_does(name, more):
    if ("mode" in more) != (name == "CyclicLR") and more:
        pytest.skip("an argument of the other class")
    arguments = (
        {"max_lr": 0.3, "total_steps": 100}
        if name == "OneCycleLR"
        else {"base_lr": 0.01, "max_lr": 0.3, "step_size_up": 4}
    )
    arguments |= {"max_momentum": 0.97, "base_momentum": 0.8, **more}
    opt = optimizer()
    used = getattr(theirs, name)(opt, **arguments)
    rates = stepped(opt, used, 100, read=lambda group: group["momentum"])
    for made in (from_torch(name, total=100, **arguments), from_torch(used, total=100)):
        close(made.values("momentum"), rates)
    close(from_torch(name, total=40, **arguments).values("momentum"), rates[:40])
    arguments = {key: value for key, value in arguments.items() if "momentum" not in key}
    assert not from_torch(name, total=100, **arguments, cycle_momentum=False).also


def test_a_scheduler_drives_an_optimizer_as_torchs_own():
    from preheat.adapters.torch import ScheduleLR

    made, opt = from_torch("OneCycleLR", max_lr=0.3, total_steps=50), optimizer()
    ours = stepped(opt, ScheduleLR(opt, made.schedule, made.total, peak=made.peak, also=made.also), 50)
    close(ours, torch_rates(lambda o: theirs.OneCycleLR(o, max_lr=0.3, total_steps=50), 50))


DEFECTS = {
    "stays at its start for ever": (
        "LinearLR",
        {"total_iters": 0},
        "total_iters must be a whole number >= 1",
    ),
    "stays at its factor for ever": (
        "ConstantLR",
        {"total_iters": 0},
        "total_iters must be a whole number >= 1",
    ),
    "divides by zero": ("ConstantLR", {"factor": 0.0}, "divides by its factor"),
    "climbs again": ("CosineAnnealingLR", {"T_max": 50}, "climbs again"),
    "no length": ("CosineAnnealingLR", {"T_max": 0}, "T_max must be a whole number >= 1"),
    "negative length": ("CosineAnnealingLR", {"T_max": -5}, "T_max must be a whole number >= 1"),
    "floor above the peak": (
        "CosineAnnealingLR",
        {"T_max": 100, "eta_min": 0.5},
        "eta_min must lie between 0 and 0.1",
    ),
    "negative rates": ("StepLR", {"step_size": 3, "gamma": -0.5}, "gamma must lie between 0"),
    "negative rates by table": ("LambdaLR", {"lr_lambda": lambda k: 1 - k}, "finite numbers >= 0"),
    "no period": ("StepLR", {"step_size": 0}, "step_size must be a whole number >= 1"),
    "a text": ("StepLR", {"step_size": "10"}, "step_size must be a whole number >= 1"),
    "a milestone that never comes": (
        "MultiStepLR",
        {"milestones": [-3]},
        "milestones must be a whole number >= 0",
    ),
    "a phase without width": (
        "OneCycleLR",
        {"max_lr": 0.1, "total_steps": 100, "pct_start": 0.01},
        "must take time",
    ),
    "a peak at the start": ("OneCycleLR", {"max_lr": 0.1, "total_steps": 3}, "must take time|raises after"),
    "stepped past its end": ("OneCycleLR", {"max_lr": 0.1, "total_steps": 50}, "raises after total_steps=50"),
    "unknown argument": ("StepLR", {"step_sise": 3}, "did you mean 'step_size'"),
    "unknown name": ("CosineAnealingLR", {}, "did you mean 'CosineAnnealingLR'"),
    "resumed": ("ExponentialLR", {"gamma": 0.9, "last_epoch": 3}, "starts at update 0"),
    "nested": (
        "SequentialLR",
        {"schedulers": [("SequentialLR", {}), "StepLR"], "milestones": [5]},
        "inside another",
    ),
    "milestone 0": (
        "SequentialLR",
        {"schedulers": ["LinearLR", "LinearLR"], "milestones": [0]},
        "milestones must be a whole",
    ),
    "no product": (
        "ChainedScheduler",
        {"schedulers": [("CosineAnnealingLR", {"T_max": 100, "eta_min": 0.01})]},
        "no product",
    ),
    "erases": (
        "ChainedScheduler",
        {"schedulers": ["LinearLR", ("LambdaLR", {"lr_lambda": inverse})]},
        "sets a rate of its own",
    ),
    "goes on": (
        "SequentialLR",
        {"schedulers": ["LinearLR", ("MultiplicativeLR", {"lr_lambda": inverse})], "milestones": [5]},
        "only come first",
    ),
    "one rate for all": (
        "SequentialLR",
        {"schedulers": ["LinearLR", "OneCycleLR"], "milestones": [5]},
        "changes the rate",
    ),
}


@pytest.mark.parametrize("why", DEFECTS)
def test_what_is_not_imitated_is_an_error(why):
    name, arguments, message = DEFECTS[why]
    with pytest.raises(UserError, match=message):
        from_torch(name, lr=0.1, total=100, **arguments)


def test_past_the_end_the_last_rate_holds():
    """torch's cosine climbs, and its linear one-cycle goes below zero."""
    made = from_torch("CosineAnnealingLR", lr=0.1, T_max=20, eta_min=1e-3)
    climbing = torch_rates(lambda o: theirs.CosineAnnealingLR(o, T_max=20, eta_min=1e-3), 41)
    assert climbing[40] == pytest.approx(0.1) and (made.rates(60)[20:] == made.rates()[-1]).all()
    made = from_torch("OneCycleLR", max_lr=0.1, total_steps=10, anneal_strategy="linear")
    assert (
        torch_rates(lambda o: theirs.OneCycleLR(o, 0.1, total_steps=10, anneal_strategy="linear"), 11)[10] < 0
    )
    assert made.rates(50).min() > 0


def test_what_torch_does_in_the_cases_that_are_refused():
    """So that a changed torch is noticed: docs/schedules-differences.md says these."""
    stuck = torch_rates(lambda o: theirs.LinearLR(o, total_iters=0), 10)
    assert np.allclose(stuck, 0.1 / 3)
    with pytest.raises(ZeroDivisionError):
        torch_rates(lambda o: theirs.ConstantLR(o, factor=0.0, total_iters=3), 10)
    with pytest.raises(ZeroDivisionError):
        theirs.OneCycleLR(optimizer(), 0.1, total_steps=10, pct_start=0.1)
    parts = CHAINS[0][0], ("CosineAnnealingLR", {"T_max": 100, "eta_min": 0.05})
    chained = torch_rates(
        lambda o: theirs.ChainedScheduler([getattr(theirs, n)(o, **a) for n, a in parts]), 5
    )
    product = (
        np.prod(
            [torch_rates(lambda o, n=n, a=a: getattr(theirs, n)(o, **a), 5) / 0.1 for n, a in parts], axis=0
        )
        * 0.1
    )
    assert abs(chained / product - 1).max() > 1e-3


def test_no_library_is_needed_for_a_name():
    import subprocess
    import sys

    code = (
        "import sys\n"
        "from preheat.adapters.conversions import from_optax, from_timm, from_torch, from_transformers\n"
        "from_torch('CosineAnnealingLR', lr=0.1, T_max=10), from_transformers('linear', 0.1, "
        "num_training_steps=10)\n"
        "from_timm('cosine', lr=0.1, updates_per_epoch=1), from_optax('constant_schedule', value=0.1, "
        "total=10)\n"
        "assert not {'torch', 'transformers', 'timm', 'optax', 'jax'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


STOPPED = {
    "CosineAnnealingLR": {"T_max": 100, "eta_min": 1e-3},
    "OneCycleLR": {"max_lr": 0.3, "total_steps": 100},
    "PolynomialLR": {"total_iters": 100, "power": 2.0},
    "CosineAnnealingWarmRestarts": {"T_0": 60},
    "SequentialLR": {"schedulers": WARM_COSINE, "milestones": [10]},
}


@pytest.mark.parametrize("n", [5, 50])
@pytest.mark.parametrize("name", STOPPED)
def test_a_run_that_stops_early_has_its_own_total(name, n):
    """So that total_steps=made.total trains with these rates, and not with a shorter curve."""
    end = 60 if name == "CosineAnnealingWarmRestarts" else None  # the others have one
    full, made = (from_torch(name, **rate(name), total=t, **STOPPED[name]) for t in (end, n))
    assert made.total == n and made.peak == full.peak
    np.testing.assert_array_equal(made.rates(), full.rates(n))
    kept(made, rate(name).get("lr"))


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        (
            "OneCycleLR",
            {"lr": 0.1, "max_lr": 0.3, "total_steps": 10},
            "OneCycleLR ignores lr, got lr=0.1: leave lr out",
        ),
        ("OneCycleLR", {"max_lr": 0.3, "total_steps": 10, "epochs": 2}, "ignores epochs, got epochs=2"),
        (
            "CyclicLR",
            {"base_lr": 0.1, "max_lr": 0.3, "total": 10, "gamma": 0.5, "scale_mode": "iterations"},
            "ignores gamma and scale_mode, got gamma=0.5, scale_mode='iterations': leave gamma and "
            "scale_mode out",
        ),
    ],
)
def test_no_argument_is_accepted_and_ignored(name, arguments, message):
    with pytest.raises(UserError, match=message):
        from_torch(name, **arguments)


def test_the_rate_of_a_scheduler_can_be_another():
    def chained():
        opt = optimizer()
        return theirs.SequentialLR(
            opt, [theirs.ConstantLR(opt), theirs.CosineAnnealingLR(opt, T_max=10)], [5]
        )

    assert (from_torch(chained()).peak, from_torch(chained(), lr=0.2).peak) == (0.1, 0.2)
    assert from_torch(theirs.StepLR(optimizer(), 5), lr=0.2, total=9).peak == 0.2
    with pytest.raises(UserError, match="OneCycleLR ignores lr, got lr"):
        from_torch(theirs.OneCycleLR(optimizer(), 0.3, total_steps=10), lr=0.2)


def test_tensors_as_rates_are_read():
    opt = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=torch.tensor(0.125))
    made = from_torch(theirs.CosineAnnealingLR(opt, T_max=10))
    assert made.peak == 0.125 and made.total == 10
