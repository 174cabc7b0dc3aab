"""Learning-rate-free and schedule-free optimizers beside their authors' packages, update by update."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from torch import nn
from trainings import a_run, bitwise, finish, same_trace

from preheat import train
from preheat.core.errors import UserError
from preheat.core.registry import OPTIMIZERS
from preheat.core.run import Run
from preheat.core.space import Among
from preheat.core.spec import build, spec
from preheat.engine.placement import fleet, single
from preheat.optim.base import functions
from preheat.schedules import constant

ESTIMATED = ["prodigy", "dadapt_adam"]
AVERAGED = ["schedule_free_adamw", "schedule_free_sgd"]
PACKAGES = {"prodigy": "prodigyopt", "dadapt_adam": "dadaptation", **dict.fromkeys(AVERAGED, "schedulefree")}
RATES = [0.0, 0.5, 1.0, 0.0, 0.0, 2.0, 1.0, 0.3, 0.0, *[1.0] * 12]
KIND = torch.float64


def drawn():
    """The parameters, and a gradient for each update, the first of which are 0."""
    random = torch.Generator().manual_seed(0)
    shapes = {"w": (5, 3), "b": (5,)}
    some = [{n: torch.randn(s, generator=random, dtype=KIND) for n, s in shapes.items()} for _ in RATES]
    pull = {n: torch.full(s, 0.5, dtype=KIND) for n, s in shapes.items()}
    grads = [{n: 0.2 * g + pull[n] for n, g in one.items()} for one in some[1:]]
    return some[0], [{n: 0 * g for n, g in one.items()} for one in grads[:2]] + grads[2:]


def ours(one, rates=RATES, kind=KIND, **numbers):
    """(parameters, what is evaluated, state) after each update."""
    params, gradients = drawn()
    params = {n: p.to(kind) for n, p in params.items()}
    made, state = functions(one), functions(one).init(params)
    floats = {n: v for n, v in vars(build("optimizer", one)).items() if isinstance(v, float)} | numbers
    hyper = {n: torch.tensor(v, dtype=kind) for n, v in floats.items()}
    for grads, rate in zip(gradients, rates, strict=False):
        now = {**hyper, "lr": torch.tensor(rate, dtype=kind)}
        params, state = made.update({n: g.to(kind) for n, g in grads.items()}, state, params, now)
        yield params, made.parameters(state, params), state


def theirs(made, rates=RATES, kind=KIND):
    """The same, of a torch optimizer that `made` gives for parameters with names."""
    params, gradients = drawn()
    named = {n: nn.Parameter(p.to(kind, copy=True)) for n, p in params.items()}
    optimizer = made(named)
    values = lambda: {n: p.detach().clone() for n, p in named.items()}
    for grads, rate in zip(gradients, rates, strict=False):
        for n, p in named.items():
            p.grad = grads[n].to(kind, copy=True)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        trained = values()
        if hasattr(optimizer, "eval"):
            optimizer.eval()
        evaluated = values()
        if hasattr(optimizer, "train"):
            optimizer.train()
        yield trained, evaluated, dict(optimizer.param_groups[0])


CASES = [(name, {}) for name in ESTIMATED + AVERAGED]
CASES += [(name, {"weight_decay": 0.1, "decay_on": "matrices"}) for name in ESTIMATED + AVERAGED]
CASES += [(name, {"weight_decay": 0.1, "decouple": d}) for name in ESTIMATED for d in (True, False)]
CASES += [(name, {"growth_rate": 1.3, "use_bias_correction": True}) for name in ESTIMATED]
CASES += [("prodigy", {"safeguard_warmup": True, "beta3": 0.9, "d_coef": 2.0, "d0": 1e-3})]
CASES += [(name, {"r": 0.7, "weight_lr_power": power}) for name in AVERAGED for power in (0.0, 1.5)]


@pytest.mark.parametrize("name,options", CASES, ids=str)
def test_every_update_is_the_packages_with_gradients_and_rates_of_0_too(name, options):
    pytest.importorskip(PACKAGES[name])
    one = spec(name, **options)
    reference = build("optimizer", one).build().reference
    # p_0 - p is about 1e-6 at first: a rounding of p is 1e-10 of it, and so of Prodigy's d
    grown, near = set(), {"rtol": 1e-8 if name == "prodigy" else 1e-11, "atol": 1e-13}
    for (params, shown, state), (trained, evaluated, group) in zip(ours(one), theirs(reference), strict=True):
        for n, p in params.items():
            torch.testing.assert_close(p, trained[n], **near)
            torch.testing.assert_close(shown[n], evaluated[n], **near)
        if name in ESTIMATED:
            d = float(state["d"]) * build("optimizer", one).d0
            assert d == pytest.approx(group["d"], rel=near["rtol"])
            grown.add(d)
    assert name in AVERAGED or len(grown) > 5, "the estimate grew"


@pytest.mark.parametrize("name", AVERAGED)
def test_a_constant_rate_after_a_warmup_is_the_packages_warmup_steps(name):
    package = pytest.importorskip(PACKAGES[name])
    kind = package.SGDScheduleFree if name.endswith("sgd") else package.AdamWScheduleFree

    def made(named):
        optimizer = kind(named.values(), lr=1.0, warmup_steps=6)
        optimizer.train()
        return optimizer

    table = 0.5 * constant(warmup=6, at="right").resolve(len(RATES)).table()
    for a, b in zip(ours(spec(name), table), theirs(made, [0.5] * len(RATES)), strict=True):
        for n in a[0]:
            torch.testing.assert_close(a[0][n], b[0][n], rtol=1e-11, atol=1e-13)
            torch.testing.assert_close(a[1][n], b[1][n], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", ESTIMATED)
def test_the_estimate_is_each_runs_own_and_a_run_that_diverges_changes_no_other(name):
    calm = [a_run(optimizer=name, peak_lr=1.0 + 2 * s, seed=s, length="9") for s in range(2)]
    wild = calm[0].but(peak_lr=1e200)
    end, found = finish([calm[0], wild, calm[1]], fleet())[1:]
    grown = end.state.opt["d"]
    assert found[1].status.outcome == "diverged" and float(grown[0]) > 2 and grown[0] != grown[2]
    same = finish([calm[0], calm[0], calm[1]], fleet())[2]
    assert bitwise(found[0], same[0]) and bitwise(found[2], same[2])
    for run, together in zip(calm, (found[0], found[2]), strict=True):
        same_trace(finish([run], single())[2][0], together)


@pytest.mark.parametrize("name", AVERAGED)
def test_what_a_run_is_evaluated_at_is_the_average(name):
    run = a_run(optimizer=name, peak_lr=0.1 if name.endswith("sgd") else 0.01)
    setup, end, (record,) = finish([run], single())
    task, data = build("task", run.task), setup.fleet.test
    loss = lambda params: float(task.metrics(task.statistics(params, {}, data))["loss"])
    assert record.summary["test_loss"] == pytest.approx(loss(end.state.opt["x"]), rel=1e-12)
    assert abs(loss(end.state.params) - record.summary["test_loss"]) > 1e-6


def test_an_average_of_many_updates_loses_no_digits_in_float32():
    states = [state for *_, state in ours(spec("schedule_free_sgd"), [0.0025] * 20, torch.float32)]
    one, made = states[-1], functions(spec("schedule_free_sgd"))
    hyper = {n: torch.tensor(v) for n, v in {"r": 0.0, "weight_lr_power": 2.0, "momentum": 0.9}.items()}
    hyper |= {"lr": torch.tensor(0.0025), "weight_decay": torch.tensor(0.0)}
    late = {**one, "t": torch.tensor(8e6), "count": torch.tensor(8e6)}
    zero = {n: torch.zeros_like(p) for n, p in one["z"].items()}
    assert float(made.update(zero, late, one["z"], hyper)[1]["count"]) == 8e6 + 1
    assert float(one["count"]) == 20


@pytest.mark.parametrize("name", ESTIMATED)
def test_in_float32_the_estimate_is_the_packages_too(name):
    pytest.importorskip(PACKAGES[name])
    reference = build("optimizer", spec(name)).build().reference
    found = [float(state["d"]) for *_, state in ours(spec(name), kind=torch.float32)]
    known = [group["d"] / 1e-6 for *_, group in theirs(reference, kind=torch.float32)]
    np.testing.assert_allclose(found, known, rtol=1e-4)
    assert known[-1] > 3


def test_no_bound_is_null_in_a_file_and_a_bound_is_a_number_that_may_differ_in_a_fleet():
    runs = [a_run(optimizer={"name": "prodigy", "growth_rate": g}) for g in (None, 2, 2.0, 1.02)]
    assert runs[0].json()["optimizer"]["growth_rate"] is None and "growth_rate" not in runs[0].hyper
    assert all(Run.from_json(run.json()) == run for run in runs)
    assert runs[1].id == runs[2].id and runs[1].hyper["growth_rate"] == 2.0
    assert runs[2].stack_key == runs[3].stack_key != runs[0].stack_key


@pytest.mark.parametrize(
    "name,options,said",
    [
        ("prodigy", {"d0": 0.0}, "d0 must be above 0, got 0: write 1e-06"),
        ("prodigy", {"d_coef": -1.0}, "d_coef must be above 0, got -1: write 1"),
        ("prodigy", {"beta3": 1.0}, "beta3 must be at least 0 and below 1, got 1"),
        ("prodigy", {"beta3": "0.9"}, "beta3 must be a number or null, got '0.9': leave it out"),
        ("dadapt_adam", {"growth_rate": 0.9}, "growth_rate must be at least 1"),
        ("dadapt_adam", {"growth_rate": True}, "growth_rate must be a number or null, got True"),
        ("dadapt_adam", {"eps": 0.0}, "eps must be above 0, got 0: write 1e-08"),
        ("schedule_free_sgd", {"momentum": 1.0}, "momentum must be at least 0 and below 1"),
        ("schedule_free_adamw", {"r": -1.0}, "r must be at least 0"),
    ],
)
def test_options_out_of_range_are_errors(name, options, said):
    with pytest.raises(UserError, match=said):
        a_run(optimizer=spec(name, **options))


@pytest.mark.parametrize("name", ESTIMATED + AVERAGED)
def test_a_space_is_of_options_that_can_be_built_at_its_ends(name):
    for option, values in OPTIMIZERS[name].space(50, 100).items():
        ends = values.values if isinstance(values, Among) else (values.low, values.high, values.first)
        for value in ends:
            assert getattr(build("optimizer", spec(name, **{option: value})), option) == value


# options that are none by default, with a number that must change what is learnt
NUMBERS = {("prodigy", "beta3"): 0.1, ("prodigy", "growth_rate"): 1.0, ("dadapt_adam", "growth_rate"): 1.0}


def none_by_default():
    for name in OPTIMIZERS.shipped():
        for f in fields(OPTIMIZERS[name]):
            if f.default is None and "float" in str(f.type):
                yield name, f.name


@pytest.mark.parametrize(("name", "option"), list(none_by_default()))
def test_a_number_in_place_of_none_reaches_a_run_that_is_trained(name, option):
    """Not only the functions: what builds them for training leaves numbers out."""
    run = Run(
        task={"name": "quadratic", "dim": 3}, schedule="constant", peak_lr=1.0, length=30, optimizer=name
    )
    other = run.but(optimizer={"name": name, option: NUMBERS[name, option]})
    plain, changed = (list(train(one).trace["train_loss"].values) for one in (run, other))
    assert plain != changed
