"""Probes of sharpness against dense float64 Hessians, at the start, after 20 steps, alone and in a fleet."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn
from trainings import a_run, bitwise, finish, same_trace

from preheat.core.errors import UserError
from preheat.core.registry import OPTIMIZERS, TASKS
from preheat.core.run import Run
from preheat.core.spec import spec
from preheat.engine import checkpoint
from preheat.engine.finish import records
from preheat.engine.keys import generator
from preheat.engine.loop import set_up, train
from preheat.engine.placement import fleet, single
from preheat.models.attention import attention
from preheat.models.lstm import lstm
from preheat.optim.base import functions
from preheat.probes.base import Moment
from preheat.probes.critical import CriticalSharpness, DirectionalSharpness
from preheat.probes.hessian import first
from preheat.probes.sharpness import Sharpness
from preheat.tasks.base import Classification, Data


class Sequence(nn.Module):
    """Attention or an LSTM over three places, and the mean."""

    def __init__(self, inside):
        super().__init__()
        self.inside, self.head = inside, nn.Linear(4, 3)

    def forward(self, x):
        out = self.inside(x)
        mixed = out[0] if isinstance(out, tuple) else attention(*out.chunk(3, -1))
        return self.head(mixed.mean(1))


def block(i, o):
    return [nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU()]


NETS = {
    "BatchNorm": lambda: nn.Sequential(
        *block(1, 3),
        *block(3, 3),
        nn.MaxPool2d(2),
        *block(3, 3),
        *block(3, 3),
        nn.Flatten(),
        nn.Linear(12, 3),
    ),
    "dropout": lambda: nn.Sequential(nn.Linear(4, 12), nn.Tanh(), nn.Dropout(0.4), nn.Linear(12, 3)),
    "attention": lambda: Sequence(nn.Linear(4, 12)),
    "lstm": lambda: Sequence(lstm(4, 4)),
}
SHAPES = {"BatchNorm": (1, 4, 4), "dropout": (4,)}


@dataclass(frozen=True)
class Tiny(Classification):
    """Random data of three classes for each kind of network."""

    kind: str = "dropout"
    examples, classes = 48, 3

    def data(self):
        random = generator(0, "tiny")
        x = torch.randn(48, *SHAPES.get(self.kind, (3, 4)), generator=random, dtype=torch.float64)
        part = {"x": x, "y": torch.randint(3, (48,), generator=random)}
        return Data(part, part, part)

    def network(self):
        return NETS[self.kind]()


@pytest.fixture(autouse=True, scope="module")
def tiny():
    TASKS.register("tiny")(Tiny)
    yield
    TASKS._objects.pop("tiny")


OFTEN = {"every": 20, "products": 30, "examples": 24}
EACH = [spec("sharpness", **OFTEN), spec("preconditioned_sharpness", **OFTEN, batch="first")]
EACH.append(spec("critical_sharpness", every=20, passes=40))


def a_tiny(kind, seed=0, **changes):
    fixed = {"optimizer": "adamw", "schedule": "constant", "peak_lr": 0.01, "length": "21", "batch_size": 32}
    return a_run(task=spec("tiny", kind=kind), seed=seed, **{**fixed, "probes": EACH, **changes})


def dense(loss, params):
    """[P, P] float64, by autograd alone."""
    sizes = [p.numel() for p in params.values()]

    def flat(vector):
        parts = vector.split(sizes)
        return loss({n: t.view(p.shape) for (n, p), t in zip(params.items(), parts, strict=True)})

    return torch.autograd.functional.hessian(flat, torch.cat([p.reshape(-1) for p in params.values()]))


SEED = 3  # at which the network with BatchNorm starts at eigenvalues from -18.9 to 13.3


@cache
def alone(kind):
    """(setup, one run's record, {step: (state before the update, batch, state after it)})."""
    setup = set_up([a_tiny(kind, SEED)], single())
    seen, batches = list(train(setup)), setup.batches(0)
    given = [next(batches) for _ in range(21)]
    kept = {k: (seen[k].state, given[k], seen[k + 1].state) for k in (0, 20)}
    return setup, records(setup, seen[-1])[0], kept


@cache
def hessian(kind, step, of):
    """The dense one at a step, on the first 24 examples of the batch of step `of`."""
    setup, _, seen = alone(kind)
    state, part = seen[step][0], first(seen[of][1], 24)
    h = dense(lambda p: setup.fleet.task.plain_loss(p, state.buffers, part), state.params)
    torch.testing.assert_close(h, h.T, rtol=1e-8, atol=1e-10)
    return h


def spectrum(kind, step, *, adam):
    """The eigenvalues of the dense Hessian on the update's batch, or if adam of P^-1/2 H P^-1/2 on that of
    the first update."""
    h = hessian(kind, step, 0 if adam else step)
    if adam:
        v = torch.cat([t.reshape(-1) for t in alone(kind)[2][step][2].opt["v"].values()])
        t = step + 1
        p = (1 - 0.9**t) * ((v / (1 - 0.999**t)).sqrt() + 1e-8)
        h = h / p.sqrt() / p.sqrt()[:, None]
    return torch.linalg.eigvalsh(h)


@pytest.mark.parametrize("kind", NETS)
@pytest.mark.parametrize("step", [0, 20])
@pytest.mark.parametrize("name", ["sharpness", "preconditioned_sharpness"])
def test_it_is_the_largest_eigenvalue_of_the_dense_hessian(kind, step, name):
    values, (_, record, _) = spectrum(kind, step, adam=name != "sharpness"), alone(kind)
    place = record.trace[name].steps.tolist().index(step)
    found, error = (record.trace[n].values[place] for n in (name, f"{name}_error"))
    assert found == pytest.approx(float(values[-1]), rel=1e-8) and error < 1e-2


def test_it_is_the_most_positive_one_where_a_negative_one_is_larger_in_size():
    for adam in (False, True):
        values = spectrum("BatchNorm", 0, adam=adam)
        assert -values[0] > 1.3 * values[-1] > 0


@pytest.mark.parametrize("kind", NETS)
def test_a_fleet_measures_what_its_runs_do_alone_and_a_resumed_run_goes_on(kind):
    runs = [a_tiny(kind, SEED), a_tiny(kind, seed=1, peak_lr=0.02)]
    plain = alone(kind)[1]
    same_trace(plain, finish(runs, fleet())[2][0], rtol=1e-7)
    setup = set_up(runs[:1], single())
    saved = checkpoint.dump(setup, next(p for p in train(setup) if p.step == 11))
    assert bitwise(finish(runs[:1], single(), lambda fresh: checkpoint.load(fresh, saved))[2][0], plain)


def test_the_vector_of_the_last_measurement_is_the_start_of_the_next():
    """With few products a measurement of the same Hessian gets nearer, from one to the next."""
    fixed = {"schedule": "constant", "optimizer": "sgd", "peak_lr": 1e-9, "length": "5"}
    task = spec("quadratic", dim=40, examples=100)
    run = a_run(task=task, probes=[spec("sharpness", every=1, products=5)], **fixed)
    trace = finish([run], single())[2][0].trace
    away, errors = 1 - np.array(trace["sharpness"].values), np.array(trace["sharpness_error"].values)
    assert 0 < away[-1] < away[0] / 100 and away[0] > 1e-2 and errors[-1] < errors[0] / 5


def test_a_hessian_that_is_not_a_number_leaves_the_vector_as_it_was():
    probe, drawn = Sharpness(products=3), {"w": torch.ones(3, dtype=torch.float64)}
    moment = along(H * W, function=lambda p, b, batch: (p["w"] * math.nan).square().sum())
    found, memory = probe.measure(moment._replace(drawn=drawn), {"w": W})
    assert math.isnan(found["sharpness"]) and torch.equal(memory["w"], W)


@pytest.mark.parametrize("numbers", [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}])
def test_sgd_has_ratios_to_its_thresholds_and_no_preconditioner(numbers):
    run = a_tiny("dropout", optimizer=spec("sgd", **numbers), probes=EACH[:1], peak_lr=0.2)
    trace = finish([run], single())[2][0].trace
    m = numbers.get("momentum", 0)
    first_, lasting = (1 + m, (2 + 2 * m) / (1 + 2 * m)) if "nesterov" in numbers else (1, 2 + 2 * m)
    first_ = 2 / first_
    found = np.array(trace["sharpness"].values)
    np.testing.assert_allclose(trace["sharpness_to_threshold"].values, found * 0.2 / lasting, rtol=1e-12)
    np.testing.assert_allclose(trace["sharpness_to_first_threshold"].values, found * 0.2 / first_, rtol=1e-12)
    with pytest.raises(UserError, match=r"needs an optimizer with a preconditioner, .* write 'sharpness'"):
        finish([run.but(probes=["preconditioned_sharpness"])], single())


def test_adam_has_ratios_of_the_preconditioned_sharpness_alone():
    trace = alone("dropout")[1].trace
    assert "sharpness_to_threshold" not in trace
    found = np.array(trace["preconditioned_sharpness"].values)
    for name, at in (("threshold", 3.8), ("first_threshold", 2.0)):
        ratio = trace[f"preconditioned_sharpness_to_{name}"].values
        np.testing.assert_allclose(ratio, found * 0.1 * 0.01 / at, rtol=1e-12)
    smallest = min(float(t.min()) for t in alone("dropout")[2][0][0].params.values())
    assert smallest < 0 < min(trace["preconditioner_min"].values)


@pytest.mark.parametrize(
    "name,options,message",
    [
        ("sharpness", {"products": 0}, "products of probe 'sharpness' must be at least 1, got 0: write 12$"),
        ("preconditioned_sharpness", {"examples": 0}, r"examples .* at least 1, got 0"),
        ("sharpness", {"batch": "last"}, r"unknown batch of probe 'sharpness' 'last'"),
        ("critical_sharpness", {"passes": 2}, r"passes .* at least 3 .*, got 2: write 12$"),
    ],
)
def test_options_that_make_no_sense_are_refused(name, options, message):
    with pytest.raises(UserError, match=message):
        Run(probes=[spec(name, **options)])


# --- what optimizers say
# -------------------------------------------------------------------------------------------------


def numbers_of(name, **changes):
    """An optimizer's numbers as tensors, without weight decay; an estimated distance begins at 1."""
    given = {n: v for n, v in spec(name).options.items() if isinstance(v, float)}
    plain = {f.name: getattr(OPTIMIZERS[name](), f.name) for f in fields(OPTIMIZERS[name])}
    given |= {n: v for n, v in plain.items() if isinstance(v, float)} | {"weight_decay": 0.0, "d0": 1.0}
    given |= changes
    return {n: torch.tensor(v, dtype=torch.float64) for n, v in given.items()}


PLAIN = [spec(name) for name in OPTIMIZERS.names()] + [spec("sgd", nesterov=True)]
STABLE = [one for one in PLAIN if functions(one).threshold]
ADAPTIVE = [one.name for one in PLAIN if functions(one).preconditioner]


@pytest.mark.parametrize("name", ADAPTIVE)
def test_a_preconditioner_is_what_the_update_divides_by(name):
    """p' = p - lr m / P at every update, P of the state after it; of a schedule-free one z' = z - lr g / P."""
    made, hyper = functions(spec(name)), numbers_of(name, lr=0.01)
    params = {"w": torch.randn(6, generator=generator(0, "w"), dtype=torch.float64)}
    state, random = made.init(params), generator(0, "g")
    for t in range(1, 9):
        grads = {"w": torch.randn(6, generator=random, dtype=torch.float64)}
        before = state.get("z", params)["w"]
        new, state = made.update(grads, state, params, hyper)
        expected = before - 0.01 * moved(name, state, grads["w"], t) / made.preconditioner(state, hyper)["w"]
        torch.testing.assert_close(state.get("z", new)["w"], expected, rtol=1e-12, atol=1e-14)
        params = new


def moved(name, state, g, t):
    """What an update divides by P: m, in the units of a gradient."""
    if name == "nadam":
        return nesterovs(state, g, t)
    if "z" in state:
        return g
    units = {"prodigy": state.get("used"), "dadapt_adam": 0.01 * state.get("used", 1.0)}
    return state["m"]["w"] / units.get(name, 1.0)


def nesterovs(state, g, t):
    """NAdam's momentum, as a multiple of what its P belongs to."""
    mu = [0.9 * (1 - 0.5 * 0.96 ** (0.004 * k)) for k in range(1, t + 2)]
    done, ahead = math.prod(mu[:t]), mu[t]
    return ahead * state["m"]["w"] + (1 - mu[t - 1]) * g * (1 - done * ahead) / (1 - done)


def ends(one, share, steps=300):
    """How much larger |p| is after updates of a quadratic loss whose eigenvalue is `share` times the lasting
    threshold, in a late update: a preconditioner is held at 1, as it is after very many updates whose squares
    were 1, and an average of very many hardly moves."""
    made = functions(one)
    held = {"beta2": 1 - 1e-12, "eps": 0.0} if made.preconditioner else {"momentum": 0.8}
    hyper, unit = numbers_of(one.name, lr=0.1, **held), {"w": torch.ones(1, dtype=torch.float64)}
    params = {"w": unit["w"] * 1e-30}  # so that no square of a gradient counts beside 1
    value, state = share * made.threshold(hyper)[1], made.init(params)
    numbers = {"t": 1e14, "product": 0.0, "count": 1e14, "high": 0.1}
    late = {"v": unit, **{n: torch.tensor(x, dtype=torch.float64) for n, x in numbers.items()}}
    state = {n: late.get(n, old) for n, old in state.items()}
    for _ in range(steps):
        params, state = made.update({"w": value * params["w"]}, state, params, hyper)
    return abs(float(params["w"])) / 1e-30


@pytest.mark.parametrize("one", STABLE, ids=str)
def test_the_lasting_threshold_is_where_a_quadratic_loss_begins_to_diverge(one):
    assert ends(one, 0.99) < 1e-2 and ends(one, 1.01) > 1e2


@pytest.mark.parametrize("one", STABLE, ids=str)
def test_the_first_threshold_is_where_a_first_step_makes_a_quadratic_loss_larger(one):
    """Of h p^2 / 2. Of P^-1 H, with the preconditioner of that step, which is as large as |p|, or the same for
    every p."""
    made, hyper = functions(one), numbers_of(one.name, lr=0.1)
    hyper |= {"momentum": torch.tensor(0.8)} if "momentum" in hyper else {}

    def first_step(h, p):
        params = {"w": torch.tensor([p], dtype=torch.float64)}
        new, state = made.update({"w": h * params["w"]}, made.init(params), params, hyper)
        divided = float(made.preconditioner(state, hyper)["w"]) if made.preconditioner else 1.0
        return h / divided, abs(float(new["w"])) > p

    for share in (0.99, 1.01):
        h, p, value = 1.0, 1.0, share * float(made.threshold(hyper)[0])
        unit = first_step(1.0, 1.0)[0]
        if first_step(1.0, 2.0)[0] == unit:
            h = value / unit
        else:
            p = unit / value
        found, larger = first_step(h, p)
        assert found == pytest.approx(value, rel=1e-5) and larger == (share > 1)


# --- critical sharpness
# -------------------------------------------------------------------------------------------------


def bowl(params, buffers, batch):
    return 0.5 * (batch["h"] * params["w"] ** 2).sum()


H, W = torch.tensor([5.0, 1.0, -0.5]).double(), torch.tensor([0.3, 1.0, 0.4]).double()


def along(d, lr=0.01, **more):
    """The moment of an update p' = p - lr d of the bowl."""
    lr = torch.as_tensor(lr, dtype=torch.float64)
    made = Moment({"w": W}, {}, {"h": H}, {"w": H * W}, {}, {}, lr, None, {}, more.get("function", bowl))
    return made._replace(at=lambda rate: {"w": W - rate * d})


def critical(moment, memory=None, **options):
    probe = CriticalSharpness(**options)
    found, memory = probe.measure(moment, memory or probe.start(moment))
    return {n.removeprefix("critical_sharpness"): float(t) for n, t in found.items()}, memory


@pytest.mark.parametrize("d", [H * W, (H * W).sign(), torch.tensor([1.0, 2.0, 0.1]).double()])
def test_on_a_quadratic_loss_it_is_the_curvature_along_the_update_over_its_slope(d):
    exact = float((d * H * d).sum() / (H * W * d).sum())
    found, _ = critical(along(d), passes=60)
    assert found[""] == pytest.approx(exact, rel=1e-6)
    assert found["_to_threshold"] == pytest.approx(0.01 * exact / 2, rel=1e-6)
    coarse, memory = critical(along(d), passes=13)
    assert abs(coarse[""] - exact) <= coarse["_error"] * 1.1 * exact and 0 < coarse["_error"] < 1 / 4
    warm, _ = critical(along(d), memory, passes=7)
    assert warm["_error"] <= 1 / 16 and abs(warm[""] - exact) <= warm["_error"] * 1.1 * exact


@pytest.mark.parametrize("lr", [0.01, 0.0])
def test_the_curvature_along_the_update_over_its_slope_is_told_at_any_rate(lr):
    for d in (H * W, (H * W).sign(), torch.tensor([1.0, 2.0, 0.1]).double()):
        found, _ = DirectionalSharpness().measure(along(d, lr), {})
        exact = float((d * H * d).sum() / (H * W * d).sum())
        assert float(found["directional_sharpness"]) == pytest.approx(exact, rel=1e-12)
    uphill, _ = DirectionalSharpness().measure(along(-H * W, lr), {})
    assert math.isnan(uphill["directional_sharpness"])


def test_for_gradient_descent_it_is_at_most_the_sharpness():
    for seed in range(20):
        w = torch.randn(3, generator=generator(seed, "w"), dtype=torch.float64)
        moment = along(H * w)._replace(
            params={"w": w},
            at=lambda rate, w=w: {"w": w - rate * H.abs() * w},
            batch={"h": H.abs()},
            grads={"w": H.abs() * w},
        )
        assert 0.5 < critical(moment, passes=40)[0][""] <= 5.0 * (1 + 1e-9)


def test_without_an_interval_it_is_nan_and_goes_on_at_the_next_measurement():
    moment, memory, seen = along(H * W, lr=1e-7), None, []
    for _ in range(4):
        found, memory = critical(moment, memory, passes=7)
        seen.append(found)
    assert math.isnan(seen[0][""]) and seen[0]["_error"] == math.inf
    assert seen[-1]["_error"] < 0.1 and seen[-1][""] == pytest.approx(
        float((H**3 * W**2).sum() / (H**2 * W**2).sum()), rel=0.1
    )


def test_a_loss_that_is_not_a_number_counts_as_raised_and_no_rate_has_no_answer():
    wild = lambda p, b, batch: torch.where(p["w"].norm() > 2, torch.nan, bowl(p, b, batch))
    far = along(H * W, lr=10.0, function=wild)
    assert critical(far, passes=40)[0][""] == pytest.approx(
        critical(along(H * W), passes=40)[0][""], rel=1e-6
    )


def test_a_rate_of_0_does_not_end_the_search():
    """At the start of a warmup from 0, and after it."""
    exact = float((H**3 * W**2).sum() / (H**2 * W**2).sum())
    found, memory = critical(along(H * W, lr=0.0), passes=40)
    assert found[""] == pytest.approx(exact, rel=1e-6) and found["_to_threshold"] == 0
    for kept in (memory, {"rate": torch.zeros((), dtype=torch.float64)}):
        assert critical(along(H * W), kept, passes=40)[0][""] == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_update_that_is_not_downhill_by_more_than_rounding_has_no_answer(dtype):
    """A loss far from 0, whose rounding looks like a fall at tiny rates."""
    cast = lambda m: m._replace(
        **{k: {n: t.to(dtype) for n, t in getattr(m, k).items()} for k in ("params", "batch", "grads")},
        lr=m.lr.to(dtype),
        at=lambda rate: {"w": m.at(rate)["w"].to(dtype)},
    )
    raised = lambda p, b, batch: bowl(p, b, batch) + 2.3
    moment = cast(along(-H * W, function=raised))
    found, memory = critical(moment, passes=60)
    assert math.isnan(found[""]) and math.isnan(found["_to_threshold"]) and found["_error"] == math.inf
    assert memory["rate"] == moment.lr
    exact = float((H**3 * W**2).sum() / (H**2 * W**2).sum())
    for lr in (0.01, torch.finfo(dtype).eps / 8):  # at which the step itself is lost in rounding
        down, _ = critical(cast(along(H * W, lr=lr, function=raised)), passes=32)
        assert abs(down[""] - exact) <= down["_error"] * exact and down["_error"] < 1e-4


def test_the_error_tells_where_the_loss_is_lost_in_its_rounding():
    """The whole fall along the update is 0.43, the rounding of the loss about 20."""
    buried, _ = critical(along(H * W, function=lambda p, b, batch: bowl(p, b, batch) + 2e16), passes=60)
    assert buried["_error"] > 1 or math.isnan(buried[""])


def test_it_is_measured_along_the_update_that_follows():
    """Of AdamW, on the whole batch with its dropout: the loss rises above eta_c and falls below."""
    for kind in ("dropout", "BatchNorm"):
        setup, record, seen = alone(kind)
        for place, (state, batch, after) in enumerate(seen.values()):
            loss = lambda params: float(setup.fleet.task.plain_loss(params, state.buffers, batch))  # noqa: B023
            found = record.trace["critical_sharpness"].values[place]
            for share in (0.999, 1.001):
                scale = share * 2 / found / 0.01
                there = {n: p + scale * (after.params[n] - p) for n, p in state.params.items()}
                assert (loss(there) > loss(state.params)) == (share > 1)
