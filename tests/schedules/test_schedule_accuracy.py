"""How exact factors are, at every step of long runs: 1e-15 of the value, 4e-7 in float32. Other libraries:
1e-7, 5e-3.

The oracle is the formula in extended precision, itself checked against 40 digits. The recursions of torch
lose 4e-3 in a million updates of a float32 tensor, (1 + cos)/2 in float64 has 8 digits left at the end, in
float32 none.
"""

from __future__ import annotations

from types import SimpleNamespace

import mpmath
import numpy as np
import pytest
import torch
from cases import once

from preheat.adapters.torch import ScheduleLR
from preheat.core.levels import rate
from preheat.schedules import cosine, exponential, linear, polynomial, restarts, wsd

WIDE = SimpleNamespace(
    number=np.longdouble,
    sin=np.sin,
    exp=np.exp,
    log=np.log,
    pi=np.longdouble("3.14159265358979323846264338327950288"),
)
DIGITS = SimpleNamespace(number=mpmath.mpf, sin=mpmath.sin, exp=mpmath.exp, log=mpmath.log, pi=mpmath.pi)
WIDER = np.finfo(np.longdouble).eps < 2e-19  # some machines have no float wider than 64 bits
TWICE = {"left": 0, "mid": 1, "right": 2}  # twice the place of an update


def wave(n, r, u):
    return n.sin(n.pi / 2 * r) ** 2


def stretches_of(total):
    """{name: (schedule, [(begin, end, factor by the part r that remains and u that is over)])}."""
    warm, stable = total // 20, total * 4 // 5
    ends = [7]
    while ends[-1] < total:
        ends.append(ends[-1] + 7 * 3 ** len(ends))
    ends[-1] = total
    cycles = [7 * 3**n for n in range(len(ends))]
    begins = [0, *ends[:-1]]

    def cycle(begin, length):
        return begin, begin + length, wave

    return {
        "cosine": (cosine, [(0, total, wave)]),
        "linear": (linear, [(0, total, lambda n, r, u: r)]),
        "polynomial": (polynomial, [(0, total, lambda n, r, u: r * r)]),
        "exponential": (exponential, [(0, total, lambda n, r, u: n.exp(n.log(n.number(0.01)) * u))]),
        "cosine with a floor": (
            lambda **kw: cosine(final=1e-5, **kw),
            [(0, total, lambda n, r, u: n.number(1e-5) + (1 - n.number(1e-5)) * wave(n, r, u))],
        ),
        "wsd": (
            lambda **kw: wsd(warmup="5%", cooldown="20%", **kw),
            [
                (0, warm, lambda n, r, u: u),
                (warm, stable, lambda n, r, u: 1 + 0 * r),
                (stable, total, lambda n, r, u: r),
            ],
        ),
        "restarts": (
            lambda **kw: restarts(period=7, mult=3, **kw),
            [cycle(b, c) for b, c in zip(begins, cycles, strict=True)],
        ),
    }


def wide(stretches, total, twice):
    """The factors of all updates: [T], extended."""
    out = []
    for begin, end, curve in stretches:
        k = np.arange(begin, min(end, total))
        halves = (2 * (end - k) - twice, 2 * (k - begin) + twice)
        out.append(curve(WIDE, *(h.astype(np.longdouble) / np.longdouble(2 * (end - begin)) for h in halves)))
    return np.concatenate(out)


def digits(stretches, k, twice):
    """The factor of one update, with 40 digits."""
    begin, end, curve = next(s for s in stretches if s[0] <= k < s[1])
    with mpmath.workdps(40):
        halves = (2 * (end - k) - twice, 2 * (k - begin) + twice)
        return +curve(DIGITS, *(mpmath.mpf(h) / (2 * (end - begin)) for h in halves))


def some(total):
    return [*range(0, total, total // 97), *range(total - 50, total)]


def worst(got, want):
    """The largest relative error; where the truth is 0, the error itself must be 0."""
    zero = want == 0
    assert (got[zero] == 0).all()
    return float(np.max(np.abs(got[~zero].astype(np.longdouble) - want[~zero]) / want[~zero]))


NAMES = list(stretches_of(100))


LONG = [(name, total) for total in (100_000, 1_000_000) for name in NAMES]


@pytest.mark.parametrize(("name", "total"), once(LONG, lambda case: case))
def test_every_factor_has_15_digits(name, total):
    made, stretches = stretches_of(total)[name]
    for at, twice in TWICE.items():
        table = made(at=at).resolve(total).table()
        assert len(table) == total
        with mpmath.workdps(40):
            for k in some(total):
                true = digits(stretches, k, twice)
                assert abs(mpmath.mpf(float(table[k])) - true) <= 1e-15 * true
        if WIDER:
            assert worst(table, wide(stretches, total, twice)) <= 1e-15


@pytest.mark.skipif(not WIDER, reason="no float wider than 64 bits here")
@pytest.mark.parametrize("name", NAMES)
def test_the_oracle_has_18_digits(name):
    total = 100_000
    _, stretches = stretches_of(total)[name]
    found = wide(stretches, total, 1)
    with mpmath.workdps(40):
        for k in some(total):
            true = digits(stretches, k, 1)
            whole = mpmath.mpf(float(found[k])) + mpmath.mpf(float(found[k] - np.longdouble(float(found[k]))))
            assert abs(whole - true) <= 1e-18 * true


def tensor_rates(schedule, total, steps):
    """The rates that a float32 tensor holds at `steps`."""
    opt = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=torch.tensor(1e-3))
    scheduler = ScheduleLR(opt, schedule, total, peak=1e-3)
    out = []
    for k in steps:
        scheduler.set(k)
        out.append(opt.param_groups[0]["lr"].item())
    return np.array(out)


@pytest.mark.parametrize(("name", "total"), once(LONG, lambda case: case))
def test_rates_in_a_float32_tensor_have_6_digits(name, total):
    every = 7 if total == 100_000 else 331
    made, stretches = stretches_of(total)[name]
    steps = [*range(0, total, every), *range(total - 50, total)]
    got = tensor_rates(made(at="left"), total, steps)
    if WIDER:
        true = np.longdouble(1e-3) * wide(stretches, total, 0)[steps]
    else:
        true = np.array([1e-3 * float(digits(stretches, k, 0)) for k in steps])
    assert worst(got, true) <= 4e-7
    assert got[-1] > 0


def test_a_floor_that_is_a_rate_is_reached_exactly():
    assert 1e-3 * cosine(final=rate(1e-6), at="right").resolve(1_000_000, peak=1e-3)(999_999) == 1e-6


def test_neighbours_of_a_very_long_run_differ():
    """Found here: optax counts in float32, and 9 updates after 2^24 of 40 million share 4 rates."""
    near = linear().resolve(40_000_000)(2**24 + np.arange(9))
    assert len(set(near.tolist())) == 9 and (np.diff(near) < 0).all()
    assert linear(at="left").resolve(3_000_000_000)(1_500_000_000) == 0.5
