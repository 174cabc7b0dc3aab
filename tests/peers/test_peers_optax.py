"""Every schedule of optax's against its conversion: to 1e-12 with jax in float64, to 3e-7 in the float32 that
optax uses."""

import math

import numpy as np
import pytest

from peers import cases, close, kept
from preheat.adapters.conversions import Recipe, from_optax
from preheat.adapters.conversions import optax as module
from preheat.core.errors import UserError
from preheat.schedules import Piece, Pieces, constant, cosine

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")


@pytest.fixture
def double():
    """jax in float64."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def values(schedule, n):
    """A schedule of optax's at updates 0 to n - 1; more are computed, so that jax compiles for one shape
    only."""
    return np.broadcast_to(np.asarray(jax.vmap(schedule)(jax.numpy.arange(1024)), dtype=np.float64), 1024)[:n]


def plain(n):
    """(function, arguments); `total` where it has no end of its own."""
    short = {"init_value": 0.01, "end_value": 0.1, "transition_steps": n // 2, "total": n}
    return [
        ("constant_schedule", {"value": 0.1, "total": n}),
        ("linear_schedule", {"init_value": 0.1, "end_value": 0.01, "transition_steps": n}),
        (
            "linear_schedule",
            {
                "init_value": 0.0,
                "end_value": 0.1,
                "transition_steps": n // 2,
                "transition_begin": 2,
                "total": n,
            },
        ),
        ("linear_schedule", short),
        ("polynomial_schedule", {"init_value": 0.1, "end_value": 0.0, "power": 2.5, "transition_steps": n}),
        (
            "polynomial_schedule",
            {"init_value": 0.1, "end_value": 0.01, "power": 0.7, "transition_steps": n // 2, "total": n},
        ),
        *(
            ("polynomial_schedule", {**short, "power": p, "transition_begin": b})
            for p in (0.5, 1, 2, 3)
            for b in (0, 1)
        ),
    ]


def decaying(n):
    """Those that fall by a ratio, along a cosine, or in drops."""
    decay = {"init_value": 0.1, "transition_steps": 5, "decay_rate": 0.9, "total": n}
    return [
        ("exponential_decay", decay),
        ("exponential_decay", {**decay, "transition_begin": 2, "end_value": 0.06}),
        ("exponential_decay", {**decay, "staircase": True}),
        ("exponential_decay", {**decay, "staircase": True, "transition_begin": 2, "end_value": 0.03}),
        ("exponential_decay", {**decay, "init_value": 0.01, "decay_rate": 1.1, "end_value": 0.06}),
        ("exponential_decay", {**decay, "init_value": 0.01, "decay_rate": 1.01, "transition_steps": 50}),
        ("cosine_decay_schedule", {"init_value": 0.1, "decay_steps": n}),
        (
            "cosine_decay_schedule",
            {"init_value": 0.1, "decay_steps": n // 2, "alpha": 0.1, "exponent": 1.7, "total": n},
        ),
        ("piecewise_constant_schedule", {"init_value": 0.1, "total": n}),
        (
            "piecewise_constant_schedule",
            {"init_value": 0.1, "boundaries_and_scales": {2: 0.5, n // 2: 0.5}, "total": n},
        ),
        (
            "piecewise_constant_schedule",
            {"init_value": 0.1, "boundaries_and_scales": {0: 2.0, n // 2: 3.0, 2: 0.5}, "total": n},
        ),
        *(
            (
                "piecewise_interpolate_schedule",
                {"interpolate_type": k, "init_value": 0.1, "boundaries_and_scales": b, "total": n},
            )
            for k in ("linear", "cosine")
            for b in ({2: 0.5, n // 2: 3.0}, {n: 0.1})
        ),
    ]


def composed(n):
    """Cycles, and what begins with a warmup."""
    warm = {"init_value": 0.0, "peak_value": 0.1, "warmup_steps": n // 3}
    cycles = [
        {**warm, "decay_steps": n // 2},
        {"init_value": 0.01, "peak_value": 0.05, "warmup_steps": 1, "decay_steps": n // 3},
    ]
    return [
        ("linear_onecycle_schedule", {"transition_steps": n, "peak_value": 0.1}),
        ("cosine_onecycle_schedule", {"transition_steps": n, "peak_value": 0.1}),
        (
            "cosine_onecycle_schedule",
            {"transition_steps": n, "peak_value": 0.1, "pct_start": 0.5, "div_factor": 3.0, "total": n + 9},
        ),
        ("warmup_constant_schedule", {**warm, "total": n}),
        (
            "warmup_constant_schedule",
            {"init_value": 0.1, "peak_value": 0.01, "warmup_steps": n // 3, "total": n},
        ),
        ("warmup_cosine_decay_schedule", {**warm, "decay_steps": n}),
        ("warmup_cosine_decay_schedule", {**warm, "warmup_steps": 0, "decay_steps": n}),
        (
            "warmup_cosine_decay_schedule",
            {**warm, "decay_steps": n - 2, "end_value": 1e-3, "exponent": 2.0, "total": n},
        ),
        ("warmup_exponential_decay_schedule", {**warm, "transition_steps": 4, "decay_rate": 0.8, "total": n}),
        (
            "warmup_exponential_decay_schedule",
            {
                **warm,
                "transition_steps": 4,
                "decay_rate": 0.8,
                "transition_begin": 1,
                "staircase": True,
                "end_value": 0.02,
                "total": n,
            },
        ),
        ("sgdr_schedule", {"cosine_kwargs": cycles}),
    ]


def shapes(n):
    return [*plain(n), *decaying(n), *composed(n)]


@pytest.mark.parametrize(("n", "name", "arguments"), **cases(shapes))
def test_the_same_table(n, name, arguments, double):
    made = from_optax(name, **arguments)
    given = {k: v for k, v in arguments.items() if k != "total"}
    close(made.rates(), values(getattr(optax.schedules, name)(**given), made.total))
    kept(made)


@pytest.mark.parametrize(
    ("n", "name", "arguments"), **cases(lambda n: shapes(n) if n == 100 else [], alone=False)
)
def test_optax_as_it_comes_differs_by_its_float32(n, name, arguments):
    made = from_optax(name, **arguments)
    given = {k: v for k, v in arguments.items() if k != "total"}
    np.testing.assert_allclose(
        made.rates(),
        values(getattr(optax.schedules, name)(**given), made.total),
        rtol=1e-6,
        atol=3e-7 * made.peak,
    )


def test_the_formula_where_optax_is_only_float32():
    k = np.arange(100_000)
    rule = 0.1 * np.sin(math.pi / 2 * (100_000 - k) / 100_000) ** 2
    np.testing.assert_allclose(
        from_optax("cosine_decay_schedule", init_value=0.1, decay_steps=100_000).rates(), rule, rtol=1e-12
    )
    late = np.asarray(
        jax.vmap(optax.cosine_decay_schedule(0.1, 100_000))(jax.numpy.arange(100_000 - 1024, 100_000))
    )
    assert (late[-5:] == 0).all() and late[0] > 0, "optax trains its last updates at rate 0"


JOINED = [
    (["warm", "cosine"], [10]),
    (["warm", "constant", "linear"], [10, 60]),
    (["cosine", "steps"], [30]),
    (["exponential", "cosine", "constant"], [7, 40]),
]
PARTS = {
    "warm": ("linear_schedule", {"init_value": 0.0, "end_value": 0.1, "transition_steps": 10}),
    "cosine": ("cosine_decay_schedule", {"init_value": 0.1, "decay_steps": 90}),
    "constant": ("constant_schedule", {"value": 0.05}),
    "linear": ("linear_schedule", {"init_value": 0.2, "end_value": 0.0, "transition_steps": 40}),
    "steps": ("piecewise_constant_schedule", {"init_value": 0.1, "boundaries_and_scales": {20: 0.1}}),
    "exponential": ("exponential_decay", {"init_value": 0.1, "transition_steps": 3, "decay_rate": 0.7}),
}


@pytest.mark.parametrize(("names", "boundaries"), JOINED)
def test_joined_schedules(names, boundaries, double):
    theirs = optax.join_schedules([getattr(optax, PARTS[n][0])(**PARTS[n][1]) for n in names], boundaries)
    made = from_optax("join_schedules", schedules=[PARTS[n] for n in names], boundaries=boundaries, total=100)
    close(made.rates(100), values(theirs, 100))
    ends = [b - a for a, b in zip([0, *boundaries], [*boundaries, 100], strict=True)]
    parts = [
        from_optax(PARTS[n][0], total=length, **PARTS[n][1]) for n, length in zip(names, ends, strict=True)
    ]
    close(
        from_optax("join_schedules", schedules=parts, boundaries=boundaries).rates(100), values(theirs, 100)
    )


def test_every_schedule_is_converted():
    """What optax.schedules has besides: inject_hyperparams, which hands schedules to an optimizer, and
    types."""
    public = {
        name
        for name in vars(optax.schedules)
        if not name.startswith("_") and callable(getattr(optax.schedules, name))
    }
    found = {name for name in public if name.endswith(("_schedule", "_schedules", "_decay"))}
    assert found == {name for name, _ in shapes(100)} | {"join_schedules"} == set(module._KNOWN)
    others = {name for name in public - found if name[0].islower()}
    assert others == {"inject_hyperparams", "inject_stateful_hyperparams"}


def test_a_named_schedule_wherever_one_says_it():
    warm = {"init_value": 0.01, "peak_value": 0.1, "warmup_steps": 10}
    said = {
        "warmup_cosine_decay_schedule": ({**warm, "decay_steps": 100}, "cosine"),
        "warmup_constant_schedule": ({**warm, "total": 100}, "constant"),
        "warmup_exponential_decay_schedule": (
            {**warm, "transition_steps": 9, "decay_rate": 0.9, "total": 100},
            "exponential",
        ),
        "cosine_onecycle_schedule": ({"transition_steps": 100, "peak_value": 0.1}, "one_cycle"),
        "linear_schedule": ({"init_value": 0.1, "end_value": 0.0, "transition_steps": 100}, "linear"),
    }
    for name, (arguments, kind) in said.items():
        assert from_optax(name, **arguments).schedule.json()["name"] == kind


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        (
            "linear_schedule",
            {"init_value": 0.1, "end_value": 0.0, "transition_steps": 0},
            "transition_steps must be a whole number >= 1",
        ),
        (
            "linear_schedule",
            {"init_value": 0.1, "end_value": -0.1, "transition_steps": 5},
            "end_value must lie between",
        ),
        (
            "linear_schedule",
            {"init_value": 0.1, "end_value": 0.0, "transition_steps": 5, "transition_begin": -1},
            "transition_begin must be a whole number >= 0",
        ),
        (
            "exponential_decay",
            {"init_value": 0.1, "transition_steps": 5, "decay_rate": 0.0, "total": 9},
            "decay_rate must be",
        ),
        (
            "exponential_decay",
            {"init_value": 0.1, "transition_steps": 5, "decay_rate": 0.9},
            "no end of its own",
        ),
        (
            "warmup_constant_schedule",
            {"init_value": 0.0, "peak_value": 0.1, "warmup_steps": 5},
            "no end of its own",
        ),
        (
            "linear_schedule",
            {"init_value": 0.0, "end_value": 0.1, "transition_steps": 5},
            "no end of its own",
        ),
        (
            "piecewise_constant_schedule",
            {"init_value": 0.1, "boundaries_and_scales": {5: 0.1}},
            "no end of its own",
        ),
        (
            "exponential_decay",
            {"init_value": 0.1, "transition_steps": 5, "decay_rate": 0.9, "end_value": 0.2, "total": 9},
            "own side",
        ),
        ("linear_onecycle_schedule", {"transition_steps": 3, "peak_value": 1.0}, "must take a step"),
        ("cosine_onecycle_schedule", {"transition_steps": 2, "peak_value": 1.0}, "must take a step"),
        (
            "warmup_cosine_decay_schedule",
            {"init_value": 0.0, "peak_value": 0.1, "warmup_steps": 9, "decay_steps": 9},
            "counts the warmup too",
        ),
        (
            "join_schedules",
            {"schedules": [PARTS["warm"]] * 3, "boundaries": [10, 5], "total": 90},
            "total must be|rising",
        ),
        (
            "join_schedules",
            {"schedules": [PARTS["warm"]] * 2, "boundaries": [], "total": 90},
            "2 schedules have 1 boundaries",
        ),
        ("cosine_schedule", {}, "did you mean 'cosine_decay_schedule'"),
        ("constant_schedule", {"valu": 0.1}, "did you mean 'value'"),
    ],
)
def test_what_is_not_imitated_is_an_error(name, arguments, message):
    with pytest.raises(UserError, match=message):
        from_optax(name, **arguments)


@pytest.mark.parametrize(("name", "arguments"), [c[1:] for c in cases(shapes)["argvalues"] if c[0] == 100])
@pytest.mark.parametrize("n", [3, 40])
def test_a_run_that_stops_early_has_its_own_total(name, arguments, n):
    full = from_optax(name, **arguments)
    made = from_optax(name, **{**arguments, "total": n})
    assert made.total == n
    close(made.rates(), full.rates(n))
    kept(made)


def test_a_longer_run_of_cycles_ends_as_optax_ends_it(double):
    cycles = [
        {"init_value": 0.0, "peak_value": 0.1, "warmup_steps": 2, "decay_steps": 10, "end_value": 0.01}
    ] * 2
    made = from_optax("sgdr_schedule", cosine_kwargs=cycles, total=30)
    assert made.total == 30
    close(made.rates(), values(optax.sgdr_schedule(cycles), 30))


def test_an_object_is_not_a_name():
    with pytest.raises(
        UserError, match="asked for by name, got an object, function: write its name and arguments"
    ):
        from_optax(optax.constant_schedule(0.1), total=5)


def test_what_optax_does_in_the_cases_that_are_refused():
    """So that a changed optax is noticed: docs/schedules-differences.md says these."""
    assert float(optax.linear_schedule(0.1, 0.0, 0)(50)) == pytest.approx(0.1)
    assert float(optax.linear_onecycle_schedule(3, 1.0)(0)) == pytest.approx(1.0)
    assert float(optax.cosine_onecycle_schedule(2, 1.0)(0)) == pytest.approx(1.0)
    unsorted = optax.join_schedules([optax.constant_schedule(float(i)) for i in range(3)], [10, 5])
    assert float(unsorted(7)) == 2.0


def test_a_joined_part_that_is_too_short_is_an_error():
    with pytest.raises(UserError, match="can't fill a stretch of 20: convert it with total=20"):
        parts = [
            from_optax(PARTS["warm"][0], total=10, **PARTS["warm"][1]),
            from_optax("constant_schedule", value=0.1, total=5),
        ]
        from_optax("join_schedules", schedules=parts, boundaries=[20])


@pytest.mark.parametrize("kind", ["cosine", "pieces"])
def test_a_joined_warmup_keeps_the_place_of_its_updates(kind):
    early = constant(warmup=10, warmup_at="right", at="left")
    body = (
        cosine(at="left") if kind == "cosine" else Pieces([Piece(20, 1, 0.5), Piece(None, 0.5, 0)], at="left")
    )
    parts = [Recipe(early, 0.1, 10), Recipe(body, 0.1, 40)]
    made = from_optax("join_schedules", schedules=parts, boundaries=[10])
    close(made.rates(), [*parts[0].rates(), *parts[1].rates()])
    other = Recipe(constant(warmup=10, at="right"), 0.1, 10)
    with pytest.raises(UserError, match="must agree in at"):
        from_optax("join_schedules", schedules=[other, parts[1]], boundaries=[10])
