"""pytorch_warmup's dampings and pytorch_scheduler's schedulers against preheat's own schedules."""

import math
import warnings
from decimal import Decimal, localcontext
from typing import NamedTuple

import numpy as np
import pytest
import torch
from cases import once

from peers import LENGTHS, close, stepped, timm_schedulers
from preheat.adapters.conversions import Recipe
from preheat.core.errors import UserError
from preheat.core.lengths import steps
from preheat.core.levels import rate
from preheat.schedules import (
    Piece,
    Pieces,
    constant,
    cosine,
    exp_hyperbolic,
    hyperbolic,
    inverse_sqrt,
    inverse_time,
    k_decay,
    linear,
    polynomial,
    radam,
    restarts,
    rex,
    step,
    tanh,
    untuned_exponential,
    untuned_linear,
    wsd,
)
from preheat.schedules.recipes.rules_of_thumb import untuned_period

BETAS = (0.8, 0.9, 0.95, 0.99, 0.999)
# Where int(2 / (1 - beta2)) is what it should be; elsewhere pytorch_warmup's period is too short by one.
WHOLE = [b for b in BETAS if int(2 / (1 - b)) == round(2 / (1 - b))]


def adam(beta2=0.999, lr=0.1):
    return torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=lr, betas=(0.9, beta2))


class Damped:
    """A warmup of pytorch_warmup in the shape of a scheduler."""

    def __init__(self, warmup):
        self.warmup = warmup

    def step(self):
        with self.warmup.dampening():
            pass


def damped(make, n, beta2=0.999):
    opt = adam(beta2)
    return stepped(opt, Damped(make(opt)), n)


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("period", [1, 5, 40, 300])
def test_tuned_warmups(n, period):
    package = pytest.importorskip("pytorch_warmup")
    ramp = constant(warmup=min(period, n), warmup_curve="linear", at="right").resolve(n).table() * min(
        1.0, n / period
    )
    close(0.1 * ramp, damped(lambda o: package.LinearWarmup(o, period), n))
    expo = untuned_exponential(period=steps(period), at="right").resolve(n).table()
    close(0.1 * expo, damped(lambda o: package.ExponentialWarmup(o, period), n))


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("beta2", BETAS)
def test_untuned_warmups(n, beta2):
    package = pytest.importorskip("pytorch_warmup")
    rectified, theirs = (
        0.1 * radam(beta2=beta2, at="right").resolve(n).table(),
        damped(package.RAdamWarmup, n, beta2),
    )
    np.testing.assert_allclose(
        rectified, theirs, rtol=1e-11
    )  # theirs is a difference of nearly equal numbers
    linear_of = damped(package.UntunedLinearWarmup, n, beta2)
    if beta2 in WHOLE:
        close(0.1 * untuned_linear(beta2=beta2, at="right").resolve(n).table(), linear_of)
    else:
        short = int(2 / (1 - beta2))
        close(linear_of, 0.1 * np.minimum(1, np.arange(1, n + 1) / short))
        assert short == untuned_period(beta2) - 1
    theirs, ours = int(1 / (1 - beta2)), 1 / (1 - beta2)
    expo = damped(package.UntunedExponentialWarmup, n, beta2)
    close(0.1 * untuned_exponential(period=steps(theirs), at="right").resolve(n).table(), expo)
    if round(ours) == theirs:
        close(0.1 * untuned_exponential(beta2=beta2, at="right").resolve(n).table(), expo)


@pytest.mark.parametrize("name", ["LinearWarmup", "RAdamWarmup", "ExponentialWarmup"])
@pytest.mark.parametrize("decay", ["cosine", "step"])
def test_a_damping_over_a_scheduler_of_torchs(name, decay):
    """As its README has it: (k + 1) / W damps a decay at its left end, k."""
    package, n = pytest.importorskip("pytorch_warmup"), 60
    opt = adam()
    theirs = {
        "cosine": lambda: torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=n),
        "step": lambda: torch.optim.lr_scheduler.StepLR(opt, step_size=15),
    }[decay]()
    warmup = getattr(package, name)(opt, *([] if name == "RAdamWarmup" else [12]))
    rates = []
    for _ in range(n):
        rates.append(opt.param_groups[0]["lr"])
        opt.step()
        with warmup.dampening():
            theirs.step()
    damping = {
        "LinearWarmup": constant(warmup=12, at="left", warmup_at="right"),
        "RAdamWarmup": radam(at="right"),
        "ExponentialWarmup": untuned_exponential(period=12, at="right"),
    }[name]
    body = cosine(at="left") if decay == "cosine" else step(at="left", period=15)
    np.testing.assert_allclose(
        0.1 * (damping * body).resolve(n).table(), rates, rtol=1e-11 if name == "RAdamWarmup" else 1e-12
    )


TITAN = {
    "linear": lambda u: 1 - u,
    "1-sqrt": lambda u: 1 - math.sqrt(u),
    "cosine": lambda u: (1 + math.cos(math.pi * u)) / 2,
}


@pytest.mark.parametrize("curve", TITAN)
@pytest.mark.parametrize(("total", "warmup", "decay"), [(100, 12, 30), (50, 1, 49), (40, 10, 30)])
def test_torchtitans_warmup_and_decay(curve, total, warmup, decay):
    """Its formula (warmup_steps W, decay_steps D, one virtual step more): (k + 1) / W, then 1, then a decay
    whose progress at update k is (k + 1 - (T + 1 - D)) / D."""
    theirs, low = [], 0.1
    for k in range(total):
        u = max(k + 1 - (total + 1 - decay), 0) / decay
        theirs.append((k + 1) / warmup if k < warmup else low + (1 - low) * TITAN[curve](u))
    ours = wsd(warmup=warmup, warmup_at="right", cooldown=decay, cooldown_curve=curve, final=low, at="left")
    np.testing.assert_allclose(ours.resolve(total).table(), theirs, rtol=1e-12)


@pytest.mark.parametrize("floor", ["2e-2lr", 0.3])
def test_an_inverse_square_root_with_a_floor(floor):
    package = pytest.importorskip("pytorch_scheduler")
    opt, low = adam(), 0.02 if floor == "2e-2lr" else 0.03
    made = package.PowerDecayScheduler(opt, total_steps=400, warmup_steps=10, min_lr=low)
    ours = inverse_sqrt(warmup=10, at="left").floored(floor)
    rates = stepped(opt, made, 400)
    assert rates[-1] == low
    close(Recipe(ours, 0.1, 400).rates(), rates)


@pytest.mark.parametrize("curve", ["linear", "1-sqrt"])
def test_an_inverse_square_root_with_a_cooldown(curve):
    timms = timm_schedulers() or pytest.skip("timm is not installed")
    opt = adam()
    given = {"t_initial": 180, "decay_t": 60, "stable_fn": "rsqrt", "stable_timescale": 40, "decay_fn": curve}
    made = timms.WSDLRScheduler(opt, **given, warmup_t=20, t_in_epochs=False)
    rates = []
    for k in range(200):
        made.step_update(k)
        rates.append(opt.param_groups[0]["lr"])
    ours = inverse_sqrt(warmup=20, timescale=40, cooldown=60, cooldown_curve=curve, at="left")
    close(0.1 * ours.resolve(200).table(), rates)
    ends = inverse_sqrt(warmup=20, timescale=40, cooldown="30%", final=0.05).resolve(200)
    assert ends.boundaries()[-1].factor == pytest.approx(0.05, rel=1e-15)
    assert (
        ends.table()[:140].tolist()
        == inverse_sqrt(warmup=20, timescale=40).resolve(200).table()[:140].tolist()
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"final": 0.1}, "belong to a cooldown, got cooldown 0: write cooldown='10%'"),
        ({"cooldown_curve": "1-sqrt"}, "belong to a cooldown"),
        ({"cooldown": 10, "final": 0.9}, r"above the law's own end, got 0\.9: write a lower final"),
    ],
)
def test_a_cooldown_that_means_nothing_is_an_error(options, message):
    with pytest.raises(UserError, match=message):
        inverse_sqrt(warmup=5, **options).resolve(100)


def test_the_rectifier_in_fifty_digits():
    """pytorch_warmup's first factor at beta2 = 0.999 is right to 3e-12 only; ours to 1e-14."""
    with localcontext(prec=50):
        beta2 = Decimal.from_float(0.999)
        most = 2 / (1 - beta2) - 1
        rhos = [most - 2 * n * beta2**n / (1 - beta2**n) for n in range(1, 30)]
        rhos = [rho for rho in rhos if rho > 4]
        exact = [float(((r - 4) * (r - 2) * most / ((most - 4) * (most - 2) * r)).sqrt()) for r in rhos]
    np.testing.assert_allclose(radam(at="right").resolve(len(exact)).table(), exact, rtol=1e-13)


def test_the_untuned_period_is_rounded_and_not_cut():
    """39 for 40 at 0.95, 199 for 200 and 1999 for 2000."""
    package = pytest.importorskip("pytorch_warmup")
    for beta2, cut, whole in ((0.95, 39, 40), (0.99, 199, 200), (0.999, 1999, 2000)):
        warmup = package.UntunedLinearWarmup(adam(beta2))
        assert warmup.warmup_params[0]["warmup_period"] == cut and untuned_period(beta2) == whole
        table = untuned_linear(beta2=beta2, at="right").resolve(2 * whole).table()
        assert np.flatnonzero(table == 1)[0] == whole - 1


def test_every_warmup_is_covered():
    package = pytest.importorskip("pytorch_warmup")
    found = {name for name in vars(package) if name.endswith("Warmup")}
    tuned = {"LinearWarmup", "ExponentialWarmup"}
    assert found == {*tuned, "UntunedLinearWarmup", "UntunedExponentialWarmup", "RAdamWarmup", "BaseWarmup"}


def test_a_tensor_rate_is_not_corrupted():
    """pytorch_warmup multiplies the tensor that it keeps: the rate stays far below its peak."""
    package = pytest.importorskip("pytorch_warmup")
    from preheat.adapters.torch import ScheduleLR

    opt = adam(lr=torch.tensor(1.0))
    assert stepped(opt, Damped(package.LinearWarmup(opt, 5)), 20)[-1] < 0.1
    opt = adam(lr=torch.tensor(1.0))
    ours = stepped(opt, ScheduleLR(opt, constant(warmup=5, at="right"), total_steps=20), 20)
    np.testing.assert_allclose(ours, np.minimum(1, np.arange(1, 21) / 5), rtol=1e-6)


def cycles(n):
    """Restarts with a warmup in each cycle: one schedule after the other."""
    first, mult, gamma, high, low = max(n // 3, 3), 1.5, 0.5, 0.1, 1e-3
    lengths = [first, int(first * mult)]
    parts = [cosine(warmup=2, warmup_start=rate(low), final=rate(low), at="left") for _ in lengths]
    made = parts[0].then(parts[1].scaled(gamma), at=lengths[0])
    given = {
        "first_cycle_steps": first,
        "warmup_steps": 2,
        "max_lr": high,
        "min_lr": low,
        "cycle_mult": mult,
        "gamma": gamma,
    }
    return given, made, sum(lengths)


class Peer(NamedTuple):
    """A class of pytorch_scheduler with arguments, our schedule, and where they differ from 0.1 and n: peak
    and updates."""

    name: str
    arguments: dict
    schedule: object
    peak: float = 0.1
    updates: int | None = None


def warmed(n):
    """Those with a warmup of a fifth of the run, and a floor."""
    w, low, high = n // 5, 1e-3, max(n // 5, 1)
    run, hold = {"total_steps": n, "warmup_steps": w, "min_lr": low}, n // 3
    warm, fall = {"warmup": w, "at": "left", "final": rate(low)}, n - w - hold
    bound = {
        "upper": steps(2 * n),
        "infimum": rate(low),
        "at": "left",
        "warmup": w,
        "warmup_start": rate(low),
    }
    repeated, cycled, updates = cycles(n)
    return [
        Peer("InverseSqrtScheduler", {"warmup_steps": high}, inverse_sqrt(warmup=high, at="left")),
        Peer("LinearDecayScheduler", run, linear(**warm)),
        Peer("TrapezoidalScheduler", {**run, "decay_steps": n // 2}, wsd(cooldown=n // 2, **warm)),
        Peer("CosineAnnealingWarmupRestarts", repeated, cycled, 0.1, updates),
        *(
            Peer(
                "WSDScheduler",
                {**run, "stable_steps": hold, "decay_type": theirs},
                wsd(cooldown=fall, cooldown_curve=ours, **warm),
            )
            for theirs, ours in (("cosine", "cosine"), ("linear", "linear"), ("sqrt", "1-sqrt"))
        ),
        Peer(
            "WarmupHoldCosineScheduler",
            {**run, "hold_steps": hold},
            wsd(cooldown=fall, cooldown_curve="cosine", **warm),
        ),
        Peer("HyperbolicLRScheduler", {**run, "upper_bound": 2 * n}, hyperbolic(**bound)),
        Peer("ExpHyperbolicLRScheduler", {**run, "upper_bound": 2 * n}, exp_hyperbolic(**bound)),
        Peer("PolynomialScheduler", {**run, "power": 2.0}, polynomial(power=2, **warm)),
        Peer("CosineWithWarmupScheduler", run, cosine(**warm)),
        Peer(
            "PowerDecayScheduler",
            {"total_steps": n, "warmup_steps": high, "alpha": 0.7},
            inverse_time(timescale=high, power=0.7, warmup=high, at="left"),
        ),
    ]


def bare(n):
    """Those without a warmup."""
    run, floor, final = {"total_steps": n}, {"total_steps": n, "min_lr": 1e-3}, rate(1e-3)
    slanted = Pieces([Piece(max(int(n * 0.3), 1), 1 / 32, 1), Piece(None, 1, 1 / 32)], at="left")
    sharp = (1 - math.tanh(-3)) / 2
    upper = {**floor, "upper_bound": 2 * n}
    bound = {"upper": steps(2 * n), "infimum": final, "at": "left"}
    flat = wsd(cooldown=n - int(n * 0.7), cooldown_curve="cosine", final=final, at="left")
    again = restarts(period=n, curve="polynomial", power=0.7, at="left")
    return [
        Peer("RexScheduler", run, rex(at="left")),
        Peer("LinearDecayScheduler", run, linear(at="left")),
        Peer("KDecayScheduler", {**floor, "k": 1.7}, k_decay(k=1.7, final=final, at="left")),
        Peer("KDecayScheduler", {**run, "k": 1.0}, cosine(at="left")),
        Peer(
            "TanhDecayScheduler",
            run,
            tanh(begin=-3, end=3, final=(1 - sharp) / sharp, at="left"),
            0.1 * sharp,
        ),
        Peer("SlantedTriangularScheduler", {**run, "cut_frac": 0.3}, slanted),
        Peer("FlatCosineScheduler", floor, flat),
        Peer("HyperbolicLRScheduler", upper, hyperbolic(**bound)),
        Peer("ExpHyperbolicLRScheduler", upper, exp_hyperbolic(**bound)),
        Peer("PolynomialScheduler", {**run, "power": 0.7, "cycle": True}, again, 0.1, 2 * n),
        Peer("ChebyshevScheduler", floor, cosine(final=final)),
        Peer("PowerDecayScheduler", {**run, "alpha": 0.7}, inverse_time(timescale=1, power=0.7, at="left")),
        Peer("IdentityScheduler", {}, constant(at="left")),
    ]


def peers(n):
    return [*warmed(n), *bare(n)]


PEERS = [(n, i) for n in (100, 7, 1000) for i in range(len(peers(100)))]
PEERS = once(PEERS, lambda case: [("length", case[0]), ("peer", case[1])])


@pytest.mark.parametrize(("n", "i"), PEERS, ids=[f"{n}-{peers(n)[i].name}-{i}" for n, i in PEERS])
def test_pytorch_schedulers(n, i):
    package = pytest.importorskip("pytorch_scheduler")
    peer, opt = peers(n)[i], adam()
    updates = peer.updates or n
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = stepped(opt, getattr(package, peer.name)(opt, **peer.arguments), updates)
    close(Recipe(peer.schedule, peer.peak, updates).rates(), theirs)


def test_every_scheduler_of_pytorch_scheduler_is_covered():
    package = pytest.importorskip("pytorch_scheduler")
    assert {c.__name__ for c in package.SCHEDULER_LIST} == {peer.name for peer in peers(100)}
    assert len(package.SCHEDULER_LIST) == 18


def test_what_pytorch_scheduler_does_otherwise():
    """See docs/schedules-differences.md."""
    package = pytest.importorskip("pytorch_scheduler")

    def rates(name, n=20, **arguments):
        opt = adam()
        return stepped(opt, getattr(package, name)(opt, **arguments), n)

    slanted = rates("SlantedTriangularScheduler", total_steps=8, cut_frac=0.1)
    assert slanted[0] == pytest.approx(0.1 / 32) and slanted[1] > 0.08, (
        "a cut of no steps: it starts at the floor all the same"
    )
    held = rates("PowerDecayScheduler", total_steps=20, warmup_steps=2, alpha=1.0, min_lr=0.02)
    assert np.allclose(held[10:], 0.02, rtol=1e-12) and held[9] > 0.02, (
        "the law is cut off at min_lr: ours is .floored(min_lr)"
    )
    tangent = rates("TanhDecayScheduler", total_steps=10)
    assert tangent[0] < 0.1, "its first rate is below the peak by 0.25 %"
