"""Arguments that other libraries take and should not: the same mistake in preheat's words, and converted, is
an error.

Each error states the rule, the value, and what to write instead. Where the other library's call is at hand it
is made, so that the list stays a list of what is really accepted.
"""

from __future__ import annotations

import math
import re
import warnings
from importlib.util import find_spec

import pytest
import torch
from torch.optim import lr_scheduler as theirs

from peers import optimizer, timm_schedulers
from preheat.adapters.conversions.optax import from_optax
from preheat.adapters.conversions.timm import from_timm
from preheat.adapters.conversions.torch import from_torch
from preheat.adapters.conversions.transformers import from_transformers
from preheat.adapters.torch import ScheduleLR
from preheat.core.errors import UserError
from preheat.core.registry import SCHEDULES
from preheat.schedules import (
    Piece,
    Pieces,
    constant,
    cosine,
    exponential,
    linear,
    one_cycle,
    polynomial,
    radam,
    restarts,
    spline,
    step,
    torch_one_cycle,
    triangular,
    untuned_exponential,
    wsd,
)

# "library: what it accepts": (the mistake in preheat's words, the rule and the value)
MISTAKES = {
    "torch: CosineAnnealingLR(T_max=-5)": (
        lambda: cosine().resolve(-5),
        "whole number of steps >= 1, got -5",
    ),
    "torch: CosineAnnealingLR(T_max=0)": (lambda: cosine().resolve(0), "whole number of steps >= 1, got 0"),
    "torch: CosineAnnealingLR(eta_min=10 * lr)": (
        lambda: cosine(final="1e-2lr").resolve(5, peak=1e-3),
        "can't lie above the peak rate 0.001, got 0.01lr",
    ),
    "torch: CosineAnnealingLR(eta_min=10), a ratio": (lambda: cosine(final=10), "from 0 to 1, .* got 10"),
    "torch: PolynomialLR(total_iters=0)": (lambda: polynomial().resolve(0), "got 0"),
    "torch: LinearLR(total_iters=-1)": (lambda: constant(warmup=-1), "finite number >= 0, got -1"),
    "torch: LinearLR(end_factor=2)": (lambda: linear(final=2), "from 0 to 1, .* got 2"),
    "torch: LinearLR(start_factor=2)": (lambda: constant(warmup=5, warmup_start=2), "warmup_start .* got 2"),
    "torch: ExponentialLR(gamma=-3)": (lambda: exponential(final=-3), "got -3"),
    "torch: StepLR(gamma=-1)": (
        lambda: step(period=1, gamma=-1),
        "gamma must be above 0 and below 1, got -1",
    ),
    "torch: StepLR(step_size=0)": (lambda: step(period=0), "period must be above 0, got 0"),
    "torch: StepLR('ten')": (lambda: step(period="ten"), "not a length: 'ten'"),
    "torch: StepLR(2.5)": (lambda: step(period=2.5), "at most 1 .* got 2.5"),
    "torch: CyclicLR(base_lr > max_lr)": (
        lambda: triangular(rise=5, base="1lr").resolve(20, peak=0.1),
        "above the peak rate 0.1",
    ),
    "torch: MultiStepLR([5, 2])": (
        lambda: step(milestones=[5, 2]).resolve(10),
        "one after the other .* got them at 5, 2",
    ),
    "torch: MultiStepLR([5, 5])": (lambda: step(milestones=[5, 5]).resolve(10), "got them at 5, 5"),
    "torch: SequentialLR([4, 2])": (
        lambda: constant(at="left").then(linear(at="left"), at=4).then(cosine(at="left"), at=2).resolve(9),
        "inside the run of 2 steps, got 4 = 4",
    ),
    "torch: SequentialLR beyond the run": (
        lambda: constant().then(linear(), at=9).resolve(9),
        "inside the run of 9 steps",
    ),
    "torch: ChainedScheduler of two clocks": (
        lambda: constant(every="epoch") * linear(every="step"),
        "must agree in every, got 'epoch' and",
    ),
    "torch: OneCycleLR(pct_start=0)": (lambda: torch_one_cycle(10, pct_start=0), "between 0 and 1, got 0"),
    "torch: OneCycleLR(10, pct_start=0.1)": (
        lambda: torch_one_cycle(10, pct_start=0.1),
        "must take time, got phases",
    ),
    "torch: OneCycleLR(div_factor=0.5)": (lambda: one_cycle(warmup_start=2.0), "warmup_start .* got 2"),
    "torch: lr=-1": (
        lambda: ScheduleLR(optimizer(), "cosine", 10, peak=-1),
        "peak must be a finite rate >= 0, got -1",
    ),
    "torch: lr=nan": (lambda: ScheduleLR(optimizer(), "cosine", 10, peak=math.nan), "got nan"),
    "transformers: linear, num_warmup_steps=-5": (lambda: linear(warmup=-5), "got -5"),
    "transformers: linear, num_training_steps=-1": (lambda: linear().resolve(-1), "got -1"),
    "transformers: cosine, warmup 200 of 100": (
        lambda: cosine(warmup=200).resolve(100),
        "got warmup 200 = 200 steps of 100",
    ),
    "transformers: 'cosin'": (
        lambda: SCHEDULES.build("cosin", {}),
        "unknown schedule 'cosin': did you mean 'cosine'",
    ),
    "transformers: wsd, 40 + 80 of 100": (
        lambda: wsd(warmup=40, cooldown=80).resolve(100),
        "= 120 steps of 100",
    ),
    "timm: cosine, warmup_t=20 of 10": (
        lambda: cosine(warmup=20).resolve(10),
        "got warmup 20 = 20 steps of 10",
    ),
    "timm: poly, power=-1": (lambda: polynomial(power=-1), "finite power > 0, got -1"),
    "timm: wsd, decay_t=20 of 10": (lambda: wsd(cooldown=20).resolve(10), "got cooldown 20 = 20 steps of 10"),
    "timm: a name of no scheduler": (lambda: SCHEDULES.build("cosnie", {}), "did you mean 'cosine'"),
    "optax: cosine, decay_steps=0": (lambda: cosine().resolve(0), "got 0"),
    "optax: exponential, transition_steps=-1": (lambda: exponential().resolve(-1), "got -1"),
    "optax: linear, transition_steps=-5": (lambda: linear().resolve(-5), "got -5"),
    "optax: warmup_cosine, warmup 20 of 10": (lambda: cosine(warmup=20).resolve(10), "= 20 steps of 10"),
    "optax: warmup_cosine, warmup 100 of 100": (
        lambda: cosine(warmup=100).resolve(100),
        "no step is left for the piece",
    ),
    "optax: join_schedules, two schedules and no boundary": (
        lambda: Pieces([Piece(None, 1, 1), Piece(None, 1, 0.1)]),
        "only one piece can be the rest",
    ),
    "optax: join_schedules([10, 5])": (
        lambda: constant().then(linear(), at=10).then(cosine(), at=5).resolve(20),
        "inside the run of 5 steps, got 10",
    ),
    "composer: '-5ep'": (lambda: step(period="-5ep"), "not a length: '-5ep'"),
    "composer: 'banana' as t_max": (lambda: cosine().resolve("banana"), "not a length: 'banana'"),
    "composer: 'banana' as t_warmup": (lambda: cosine(warmup="banana"), "not a length: 'banana'"),
    "composer: '1h'": (lambda: cosine(warmup="1h"), "not a length: '1h'"),
    "composer: '0.5ba'": (lambda: cosine(warmup="0.5ba"), "steps must be whole, got 0.5"),
    "composer: '1ep' without a loader": (
        lambda: cosine(warmup="1ep").resolve(100),
        r"\(1ep\) needs the steps per epoch",
    ),
    "composer: '1e3tok' without the tokens of a step": (
        lambda: cosine(warmup="1e3tok").resolve(100),
        "needs the tokens per step",
    ),
    "pytorch_warmup: period 0": (lambda: untuned_exponential(period=0), "period must be above 0, got 0"),
    "pytorch_warmup: period 5.0": (
        lambda: cosine(warmup=5.0),
        "fraction of the run must be at most 1 .* got 5.0",
    ),
    "pytorch_warmup: RAdamWarmup, beta2=0.5": (lambda: radam(beta2=0.5), "above 0.6 and below 1, got 0.5"),
    "pytorch_optimizer: cosine, warmup 20 of 10": (lambda: cosine(warmup=20).resolve(10), "= 20 steps of 10"),
    "pytorch_optimizer: max_lr < min_lr": (
        lambda: cosine(final="1lr").resolve(10, peak=0.1),
        "above the peak rate 0.1, got 1lr",
    ),
    "pytorch_optimizer: wsd, cooldown_type='banana'": (
        lambda: wsd(cooldown_curve="banana"),
        "unknown curve 'banana'",
    ),
    "pytorch_optimizer: wsd, cooldown_type='1_sqrt'": (
        lambda: wsd(cooldown_curve="1_sqrt"),
        "did you mean '1-sqrt'",
    ),
    "keras: PolynomialDecay(decay_steps=0)": (lambda: polynomial().resolve(0), "got 0"),
    "keras: CosineDecay(alpha=5)": (lambda: cosine(final=5), "from 0 to 1, .* got 5"),
    "schedulefree: warmup_steps=-1": (lambda: constant(warmup=-1), "got -1"),
    "schedulefree: lr=-1": (lambda: cosine().resolve(10, peak=-1), "peak must be a finite rate > 0, got -1"),
    "mmengine: end < begin": (
        lambda: spline(places=[5, 3], factors=[1, 0]).resolve(10),
        "places must rise .* got 5, 3",
    ),
    "ignite: cycle_size=0": (lambda: triangular(rise=0), "rise must be above 0, got 0"),
    "ignite: restarts of no length": (lambda: restarts(period=0), "period must be above 0, got 0"),
    "ignite: PiecewiseLinear([(5, 1), (2, 0)])": (
        lambda: spline(places=[5, 2], factors=[1, 0]).resolve(9),
        "got 5, 2",
    ),
    "fastai: parts that sum to less": (
        lambda: Pieces([Piece(0.5, 0, 1), Piece(0.4, 1, 0)]).resolve(100),
        "must fill the run, got .* = 90 steps of 100",
    ),
}

# The other library's own words, converted
CONVERTED = {
    "torch: T_max=-5": (lambda: from_torch("CosineAnnealingLR", lr=0.1, T_max=-5), "T_max .* >= 1, got -5"),
    "torch: T_max=0": (lambda: from_torch("CosineAnnealingLR", lr=0.1, T_max=0), "got 0"),
    "torch: past T_max": (
        lambda: from_torch("CosineAnnealingLR", lr=0.1, T_max=5, total=9),
        "climbs again after T_max, got T_max=5",
    ),
    "torch: eta_min": (
        lambda: from_torch("CosineAnnealingLR", lr=0.1, T_max=5, eta_min=1.0),
        "eta_min .* got 1.0",
    ),
    "torch: total_iters=0": (
        lambda: from_torch("PolynomialLR", lr=0.1, total_iters=0),
        "total_iters .* got 0",
    ),
    "torch: total_iters=-1": (
        lambda: from_torch("LinearLR", lr=0.1, total=9, total_iters=-1),
        "total_iters .* got -1",
    ),
    "torch: end_factor=2": (
        lambda: from_torch("LinearLR", lr=0.1, total=9, end_factor=2.0),
        "end_factor .* got 2.0",
    ),
    "torch: start_factor=0": (
        lambda: from_torch("LinearLR", lr=0.1, total=9, start_factor=0.0),
        "start_factor .* got 0.0",
    ),
    "torch: factor=0": (
        lambda: from_torch("ConstantLR", lr=0.1, total=9, factor=0.0),
        "divides by its factor, got 0",
    ),
    "torch: gamma=-3": (lambda: from_torch("ExponentialLR", lr=0.1, total=9, gamma=-3), "gamma .* got -3"),
    "torch: step_size=0": (lambda: from_torch("StepLR", lr=0.1, total=9, step_size=0), "step_size .* got 0"),
    "torch: step_size='10'": (
        lambda: from_torch("StepLR", lr=0.1, total=9, step_size="10"),
        "step_size .* got '10'",
    ),
    "torch: milestones [4, 2]": (
        lambda: from_torch(
            "SequentialLR", lr=0.1, total=9, schedulers=[("ConstantLR", {})] * 3, milestones=[4, 2]
        ),
        r"rising milestones above 0, got \[4, 2\]",
    ),
    "torch: a chain with eta_min": (
        lambda: from_torch(
            "ChainedScheduler",
            lr=1.0,
            total=9,
            schedulers=["LinearLR", ("CosineAnnealingLR", {"T_max": 9, "eta_min": 0.1})],
        ),
        "no product of its parts in torch",
    ),
    "torch: pct_start": (
        lambda: from_torch("OneCycleLR", max_lr=1.0, total_steps=10, pct_start=0.1),
        "must take time",
    ),
    "torch: past total_steps": (
        lambda: from_torch("OneCycleLR", max_lr=1.0, total_steps=10, total=20),
        "raises after total_steps=10",
    ),
    "transformers: warmup=-5": (
        lambda: from_transformers("linear", 0.1, num_warmup_steps=-5, num_training_steps=9),
        "got -5",
    ),
    "transformers: total=-1": (
        lambda: from_transformers("linear", 0.1, num_training_steps=-1),
        "num_training_steps .* got -1",
    ),
    "transformers: warmup 200": (
        lambda: from_transformers("cosine", 0.1, num_warmup_steps=200, num_training_steps=100),
        "got num_warmup_steps=200 of 100",
    ),
    "transformers: name": (
        lambda: from_transformers("cosin", 0.1, num_training_steps=9),
        "did you mean 'cosine'",
    ),
    "transformers: wsd": (
        lambda: from_transformers(
            "warmup_stable_decay", 0.1, num_warmup_steps=40, num_training_steps=100, num_decay_steps=80
        ),
        r"must fit in the run, got 40 \+ 80 of 100",
    ),
    "timm: warmup_t=20": (
        lambda: from_timm("CosineLRScheduler", lr=0.1, t_initial=10, warmup_t=20, t_in_epochs=False),
        "20",
    ),
    "timm: power=-1": (
        lambda: from_timm("PolyLRScheduler", lr=0.1, t_initial=10, power=-1.0, t_in_epochs=False),
        "power .* got -1",
    ),
    "timm: decay_t=20": (
        lambda: from_timm("WSDLRScheduler", lr=0.1, t_initial=10, decay_t=20, t_in_epochs=False),
        "20",
    ),
    "optax: decay_steps=0": (
        lambda: from_optax("cosine_decay_schedule", init_value=1.0, decay_steps=0),
        "decay_steps .* got 0",
    ),
    "optax: transition_steps=-1": (
        lambda: from_optax("exponential_decay", init_value=1.0, transition_steps=-1, decay_rate=0.5, total=9),
        "transition_steps .* got -1",
    ),
    "optax: linear, transition_steps=-5": (
        lambda: from_optax("linear_schedule", init_value=1.0, end_value=0.0, transition_steps=-5),
        "transition_steps .* got -5",
    ),
    "optax: warmup_steps=20": (
        lambda: from_optax(
            "warmup_cosine_decay_schedule", init_value=0.0, peak_value=1.0, warmup_steps=20, decay_steps=10
        ),
        "20",
    ),
    "optax: boundaries [10, 5]": (
        lambda: from_optax(
            "join_schedules",
            schedules=[("constant_schedule", {"value": v}) for v in (1.0, 2.0, 3.0)],
            boundaries=[10, 5],
            total=20,
        ),
        r"10, 5",
    ),
    "optax: no boundaries": (
        lambda: from_optax(
            "join_schedules",
            schedules=[("constant_schedule", {"value": v}) for v in (1.0, 2.0)],
            boundaries=[],
            total=20,
        ),
        r"got \[\]|needs? 1",
    ),
}


def refused(do, words):
    """The error has the rule and the value, and after a colon what to write."""
    with pytest.raises(UserError, match=words) as caught:
        do()
    text = str(caught.value)
    assert re.search(r"\bgot\b|unknown|needs|not a length|can't|climbs|no product|raises after", text), text
    assert ": " in text, text


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_same_mistake_is_an_error_in_words(mistake):
    refused(*MISTAKES[mistake])


@pytest.mark.parametrize("mistake", CONVERTED)
def test_what_a_library_takes_is_refused_when_it_is_converted(mistake):
    refused(*CONVERTED[mistake])


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        (lambda: polynomial(final="1e-2lr").resolve(10, peak=1e-3), "above the peak rate 0.001, got 0.01lr"),
        (lambda: cosine(final="1e-2lr").resolve(10, peak=1e-3), "above the peak rate 0.001, got 0.01lr"),
        (lambda: cosine(warmup=5, warmup_start=2.0), "warmup_start .* got 2"),
        (lambda: cosine(warmup=5, warmup_start="1e-2lr").resolve(10, peak=1e-3), "peak .* got .*0.01lr"),
    ],
    ids=["a polynomial that grows", "a cosine that grows", "a warmup that falls", "the same as a rate"],
)
def test_18747_18748_a_decay_does_not_grow_and_a_warmup_does_not_fall(mistake, words):
    """Keras' PolynomialDecay takes an end above its start, and CosineDecay a warmup target below it."""
    refused(mistake, words)


# What torch 2.13, timm, optax and transformers do take: (call, package)
ACCEPTED = {
    "CosineAnnealingLR(T_max=-5)": (lambda o: theirs.CosineAnnealingLR(o, -5), "torch"),
    "CosineAnnealingLR(eta_min=10)": (lambda o: theirs.CosineAnnealingLR(o, 5, 10.0), "torch"),
    "PolynomialLR(total_iters=0)": (lambda o: theirs.PolynomialLR(o, 0), "torch"),
    "LinearLR(total_iters=-1)": (lambda o: theirs.LinearLR(o, total_iters=-1), "torch"),
    "ExponentialLR(gamma=-3)": (lambda o: theirs.ExponentialLR(o, -3), "torch"),
    "CyclicLR(base > max)": (lambda o: theirs.CyclicLR(o, 1.0, 0.1, cycle_momentum=False), "torch"),
    "timm cosine, warmup_t > t_initial": (
        lambda o: timm_schedulers().CosineLRScheduler(o, 10, warmup_t=20),
        "timm",
    ),
    "timm poly, power < 0": (lambda o: timm_schedulers().PolyLRScheduler(o, 10, power=-1.0), "timm"),
    "optax linear, -5 steps": (
        lambda o: pytest.importorskip("optax").linear_schedule(1.0, 0.0, -5)(3),
        "optax",
    ),
    "transformers cosine, warmup > total": (
        lambda o: pytest.importorskip("transformers.optimization").get_scheduler("cosine", o, 200, 100),
        "transformers",
    ),
}


@pytest.mark.skipif(
    not torch.__version__.startswith("2.13."), reason="another release than the one compared with"
)
@pytest.mark.parametrize("call", ACCEPTED)
def test_the_others_do_accept_it(call):
    make, package = ACCEPTED[call]
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        make(optimizer())


def test_a_number_as_text_is_the_number():
    """torch takes StepLR('10') and fails when it divides; here text is how a command line writes it."""
    assert step(period="10") == step(period=10)
