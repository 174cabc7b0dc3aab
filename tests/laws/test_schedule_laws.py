"""Laws over the registry: whatever options are written, a schedule is lawful or the user is told what is
wrong."""

import dataclasses
import json
import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from cases import sampled
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schedule_cases import ANY

from preheat.core.errors import UserError
from preheat.core.levels import Rate
from preheat.core.registry import SCHEDULES
from preheat.schedules import CURVES, cosine, linear, step, wsd

NAMES = [n for n in SCHEDULES.names() if SCHEDULES[n].__module__.startswith("preheat.schedules.")]
NOISE = [None, True, "banana", math.nan, math.inf, -1, -0.5, 10**400, [], {}]
LENGTHS = [
    0,
    1,
    7,
    60,
    500,
    0.05,
    0.3,
    0.5,
    1.0,
    "5ep",
    "1.5ep",
    "30%",
    "0.2dur",
    "900sp",
    "2e4tok",
    {"epochs": 2},
    *NOISE,
]
LEVELS = [0, 0.0, 0.1, 0.7, 1, 1.5, "1e-3lr", "1lr", {"rate": 0.01}, Rate(0.05), *NOISE]
NUMBERS = [0, 0.3, 0.5, 0.9, 0.999, 1, 1.0, 1.5, 2, 3, 10, 0.2, 20, 250, *NOISE]
WORDS = [
    *CURVES,
    "constant",
    "hold",
    "continue",
    "rescale",
    "cooldown",
    "left",
    "mid",
    "right",
    "step",
    "epoch",
    *NOISE,
]
PARTS = [
    cosine(),
    linear(warmup=3),
    wsd(every="epoch"),
    step(at="right"),
    "cosine",
    {"name": "wsd", "cooldown": 0.5},
    *NOISE,
]
LISTS = [
    (),
    (1.0, 0.5),
    [0.2, 1.0, 0.0, 0.7],
    ["10%", "50%"],
    [0, "20%", 60, 1.0],
    [math.nan, 1.0],
    [2, 1],
    "5",
    *NOISE,
]
PIECES = [
    [{"length": None, "start": 1, "end": 0}],
    [{"length": "20%", "start": "1e-3lr", "end": 1}, {"start": 1, "end": 0.5}],
    *NOISE,
]
POOLS = {
    "Length": LENGTHS,
    "Level": LEVELS,
    "float": NUMBERS,
    "int": [0, 1, 2, 50, 200, *NOISE],
    "str": WORDS,
    "bool": [True, False, *NOISE],
    "Rule": PARTS,
    "Schedule": PARTS,
}
RUNS = [(1, 1.0), (2, None), (157, 10.0), (200, 12.5), (200, 50.0), ("20ep", 10.0), ("5e4tok", 10.0)]


def pool(field: dataclasses.Field) -> list:
    kind = str(field.type)
    if kind.startswith("tuple["):
        return PIECES if "Piece" in kind else LISTS
    return POOLS[kind.removesuffix(" | None").strip()]


def tame(field: dataclasses.Field) -> list:
    """The pool without what is of the wrong kind."""
    return [v for v in pool(field) if not any(v is bad for bad in NOISE)]


@st.composite
def declared(draw, noisy=True):
    """A name and some of its options. noisy: with values of any kind; else options that fit, and others of
    the right kind."""
    name = draw(st.sampled_from(NAMES))
    fields = [f for f in dataclasses.fields(SCHEDULES[name]) if f.init]
    needed = [
        f for f in fields if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if not fields:
        return name, {}
    if not noisy:
        valid = draw(st.sampled_from([options for known, options in ANY if known == name]))
        more = draw(st.lists(st.sampled_from(fields), max_size=2, unique_by=lambda f: f.name))
        return name, {**valid, **{f.name: draw(st.sampled_from(tame(f))) for f in more}}
    some = draw(st.lists(st.sampled_from(fields), max_size=4, unique_by=lambda f: f.name))
    return name, {f.name: draw(st.sampled_from(pool(f))) for f in [*needed, *some]}


def same(a, b):
    return np.allclose(a, b, rtol=4e-16, atol=0) or np.array_equal(a, b)


def area(rate):
    """Gauss-Legendre between all boundaries, with t = a + n sin^2 to tame the roots at the ends."""
    nodes, weights = np.polynomial.legendre.leggauss(80)
    angle = (nodes + 1) * math.pi / 4
    bounds = np.unique(
        [b.step for b in rate.boundaries()] + [x for s in rate.segments for x in s.form.jumps(s.span)]
    )
    total = 0.0
    for a, b in pairwise(bounds):
        t = a + (b - a) * np.sin(angle) ** 2
        total += (rate.curve(t) * weights * np.sin(2 * angle)).sum() * (b - a) * math.pi / 4
    return total / rate.total


def lawful(made, total, per_epoch):
    """Every law that needs no second run."""
    rate = made.resolve(total, per_epoch, peak=1.0, samples=30, tokens=1000.0)
    table = rate.table()
    assert table.shape == (rate.total,) and table.dtype == np.float64
    assert np.isfinite(table).all() and table.min() >= 0 and table.max() <= 1
    assert same(
        [rate(k) for k in range(0, rate.total, max(1, rate.total // 9))], table[:: max(1, rate.total // 9)]
    )
    backwards = np.arange(rate.total)[::-1]
    assert same(rate(backwards), table[::-1])
    assert same(rate([rate.total, 10**9]), table[[-1, -1]]), "past the end the last value holds"
    inner = np.array([b.step for b in rate.boundaries()])
    t = np.linspace(0, rate.total, 23 * 7)[1:-1]
    t = t[np.abs(t[:, None] - inner).min(axis=1) > 1e-9 * rate.total]
    assert same(rate.curve(t), rate.curve(t, after=False)), "a jump that is no boundary"
    top = max(
        rate.curve(inner[:-1]).max(),
        rate.curve(inner[1:], after=False).max(),
        rate.curve(t).max() if t.size else 0,
    )
    assert top <= 1 and (not made.peaks or top == 1)
    if rate.mean() != pytest.approx(
        area(rate), rel=1e-7, abs=1e-12
    ):  # a kink between the boundaries: count finely
        fine = rate.curve((np.arange(200_000) + 0.5) * rate.total / 200_000).mean()
        assert rate.mean() == pytest.approx(fine, rel=1e-5, abs=1e-5)
    data = json.loads(json.dumps(made.json(), allow_nan=False))
    again = SCHEDULES.build(data.pop("name"), data)
    assert again == made and hash(again) == hash(made)
    assert np.array_equal(again.resolve(total, per_epoch, peak=1.0, samples=30, tokens=1000.0).table(), table)


def lawful_or_an_error(one, run):
    """Whether it was lawful."""
    name, options = one
    try:
        made = SCHEDULES.build(name, options)
        made.resolve(*run, peak=1.0, samples=30, tokens=1000.0)
    except UserError as error:
        assert len(str(error)) > 20
        return False
    lawful(made, *run)
    return True


many = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=sampled(800), **many)
@given(declared(), st.sampled_from(RUNS))
def test_whatever_is_written_is_lawful_or_an_error_in_words(one, run):
    lawful_or_an_error(one, run)


def test_options_of_the_right_kind_are_lawful_or_an_error_in_words():
    """And every schedule is lawful several times: an error is an answer to a mistake, not to everything."""
    held = Counter()

    @settings(max_examples=sampled(2400), **many)
    @given(declared(noisy=False), st.sampled_from(RUNS))
    def law(one, run):
        held[one[0]] += lawful_or_an_error(one, run)

    law()
    assert set(held) == set(NAMES) and min(held.values()) >= sampled(5), held
