"""Probes: when they measure, what they draw, what they cost; and the Hessian's trace against the dense
Hessian."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy
from trainings import CNN, OPTIONS, a_run, bitwise, finish, same_trace

from preheat.core.errors import UserError
from preheat.core.registry import PROBES
from preheat.core.run import Run
from preheat.core.spec import build, spec
from preheat.engine import checkpoint
from preheat.engine.keys import generator
from preheat.engine.loop import set_up, train
from preheat.engine.placement import fleet, single
from preheat.lab.train import train as trained
from preheat.probes.base import Moment, Scalar, Tensors
from preheat.probes.curvature import HessianTrace, signs
from preheat.probes.hessian import first

TRACE = spec("hessian_trace", every=4, vectors=2, examples=16)


def steps_of(record, name):
    return record.trace[name].steps.tolist()


# --- when and at what cost
# -------------------------------------------------------------------------------------------


def test_probes_with_a_limit_measure_only_before_it_and_those_without_one_always():
    names, run = PROBES.names(), a_run(length="12", optimizer="adamw")
    for until, expected in (
        (None, [0, 4, 8]),
        (5, [0, 4]),
        ("1ep", [0]),
        (8, [0, 4]),
        (12, [0, 4, 8]),
        ("10ep", [0, 4, 8]),
        (0.7, [0, 4, 8]),
    ):
        probes = [spec(name, every=4, until=until) for name in names]
        found = finish([run.but(probes=probes)], single())[2][0]
        assert {n: steps_of(found, n) for n in names} == dict.fromkeys(names, expected), until


def test_a_limit_is_not_written_where_there_is_none_so_old_runs_keep_their_ids():
    old = Run(probes=["grad_norm", "update_norm", "distance", "learning_rate"])
    assert all("until" not in p for p in old.json()["probes"])
    assert old == old.but(probes=[spec(p.name, until=None) for p in old.probes])
    limited = Run(probes=[spec("grad_norm", until="10ep")])
    assert limited.json()["probes"][0]["until"] == {"epochs": 10.0} and limited == Run.from_json(
        limited.json()
    )


@pytest.mark.parametrize(
    "options,message",
    [
        ({"until": 0}, "until must be above 0, got 0: write 10ep, leave it out"),
        ({"until": "soon"}, "not a length: 'soon'"),
        ({"every": 0}, "every must be above 0"),
        ({"vectors": 1}, r"vectors .* at least 2 \(one vector has no standard error\), got 1"),
        ({"examples": 0}, "examples .* at least 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        Run(probes=[spec("hessian_trace", **options)])


def test_the_seconds_that_probes_take_are_in_the_record_and_go_on_after_a_checkpoint():
    run = a_run(length="9", probes=[TRACE])
    told, plain = trained(run).provenance, trained(run.but(probes=())).provenance
    assert 0 < told["probe_seconds"] < told["seconds"] and "probe_seconds" not in plain
    setup = set_up([run], single())
    seen = [(p.probing, p.seconds) for p in train(setup)]
    grew = [k for k, (a, b) in enumerate(pairwise(p for p, _ in seen)) if a < b]
    assert seen == sorted(seen) and grew == [0, 4, 8], "they grow at the steps that measure, and at no other"
    half = next(p for p in train(setup) if p.step == 5)
    again = checkpoint.load(set_up([run], single()), checkpoint.dump(setup, half))
    assert (again.probing, again.seconds) == (half.probing, half.seconds) and half.probing > 0


def test_a_fleets_seconds_are_shared_evenly_among_its_runs():
    _, end, found = finish([a_run(length="5", seed=s, probes=["grad_norm"]) for s in range(4)], fleet())
    assert {r.provenance["probe_seconds"] for r in found} == {round(end.probing / 4, 6)}


# --- random numbers
# --------------------------------------------------------------------------------------------------


def test_draws_are_those_of_the_seed_the_probe_and_the_step():
    runs = [a_run(task=CNN, seed=s, probes=[TRACE]) for s in (0, 1, 0)]
    alone = [set_up([r], single()).probes[0].draw for r in runs]
    together = set_up(runs, fleet()).probes[0].draw
    for step in (0, 4):
        for i, draw in enumerate(alone):
            assert all(torch.equal(t, together(step)[n][i]) for n, t in draw(step).items())
    weights = [alone[0](0)["0.weight"], alone[0](4)["0.weight"], alone[1](0)["0.weight"]]
    assert len({tuple(w.reshape(-1).tolist()) for w in weights}) == 3


@pytest.mark.parametrize("task", [CNN, OPTIONS["quadratic"]], ids=["cnn with BatchNorm", "quadratic"])
def test_what_is_drawn_and_measured_is_the_same_alone_in_a_fleet_and_resumed(task):
    runs = [
        a_run(task=task, optimizer="adamw", seed=s, length="7", schedule="constant", probes=[TRACE])
        for s in range(2)
    ]
    alone = [finish([r], single("traced"))[2][0] for r in runs]
    for one, together in zip(alone, finish(runs, fleet())[2], strict=True):
        same_trace(one, together, rtol=1e-9)
    for where, some in ((single(), runs[:1]), (fleet(), runs)):
        setup = set_up(some, where)
        saved = checkpoint.dump(setup, next(p for p in train(setup) if p.step == 4))
        resumed = finish(some, where, lambda fresh, saved=saved: checkpoint.load(fresh, saved))[2]
        assert all(bitwise(a, b) for a, b in zip(finish(some, where)[2], resumed, strict=True))


def test_signs_are_balanced_and_independent():
    shapes = {"a": torch.Size([100, 33]), "b": torch.Size([])}
    drawn = HessianTrace(vectors=40).draw(generator(0, "x"), shapes)
    v = torch.stack([signs(bits, torch.zeros(shapes["a"])) for bits in drawn["a"]])
    assert (
        v.shape == (40, 100, 33)
        and set(v.unique().tolist()) == {-1.0, 1.0}
        and signs(drawn["b"][0], torch.tensor(0.0)).dim() == 0
    )
    assert abs(float(v.mean())) < 4 / v.numel() ** 0.5
    flat = v.reshape(40, -1)
    between = (flat @ flat.T / flat.shape[1])[~torch.eye(40, dtype=torch.bool)]
    assert (
        abs(float(between.std()) * flat.shape[1] ** 0.5 - 1) < 0.15
        and between.abs().max() < 5 / flat.shape[1] ** 0.5
    )


def test_the_first_examples_of_a_batch_leave_what_belongs_to_the_whole_batch():
    batch = {
        "x": torch.arange(6.0).reshape(3, 2),
        "y": torch.arange(3),
        "mix": torch.tensor(0.3),
        "table": torch.zeros(5),
    }
    assert {n: list(t.shape) for n, t in first(batch, 2).items()} == {
        "x": [2, 2],
        "y": [2],
        "mix": [],
        "table": [5],
    }
    assert all(torch.equal(t, batch[n]) for n, t in first(batch, 9).items())


# --- the Hessian's trace
# ---------------------------------------------------------------------------------------------


class Problem(NamedTuple):
    """A small network on random data: its loss, what that takes (float64), and its dense Hessian [P, P]."""

    loss: Scalar
    params: Tensors
    buffers: Tensors
    batch: Tensors
    hessian: torch.Tensor

    def measure(self, probe: HessianTrace, drawn: Tensors) -> Tensors:
        return probe.measure(
            Moment(self.params, self.buffers, self.batch, {}, {}, {}, None, None, drawn, self.loss), {}
        )[0]

    def draw(self, probe: HessianTrace, seed: int) -> Tensors:
        return probe.draw(generator(seed, "test"), {n: p.shape for n, p in self.params.items()})


def problem(kind: str) -> Problem:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        x = torch.randn(32, 12) if kind == "mlp" else torch.randn(32, 1, 8, 8)
        y = torch.randint(4, (32,))
        block = lambda i, o: [
            nn.Conv2d(i, o, 3, padding=1, bias=False),
            nn.BatchNorm2d(o),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)]
        layers = (
            [nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, 4)]
            if kind == "mlp"
            else [*block(1, 4), *block(4, 6), *head]
        )
        net = nn.Sequential(*layers).double()

    def loss(params, buffers, batch):
        fresh = {n: b.clone() for n, b in buffers.items()}
        return cross_entropy(functional_call(net, {**params, **fresh}, (batch["x"],)), batch["y"])

    params = {n: p.detach().clone() for n, p in net.named_parameters()}
    found = Problem(
        loss,
        params,
        {n: b.clone() for n, b in net.named_buffers()},
        {"x": x.double(), "y": y},
        torch.empty(0),
    )
    return found._replace(hessian=dense(found))


def dense(p: Problem) -> torch.Tensor:
    """[P, P], by autograd alone: jacrev(jacrev) of torch 2.13 is wrong beside the diagonal under
    BatchNorm."""
    sizes = [t.numel() for t in p.params.values()]

    def flat(vector):
        named = {
            n: part.view(p.params[n].shape) for n, part in zip(p.params, vector.split(sizes), strict=True)
        }
        return p.loss(named, p.buffers, p.batch)

    return torch.autograd.functional.hessian(flat, torch.cat([t.reshape(-1) for t in p.params.values()]))


KINDS = pytest.mark.parametrize("small", [problem("mlp"), problem("cnn")], ids=["mlp", "cnn with BatchNorm"])


@KINDS
def test_the_dense_hessian_is_one(small):
    torch.testing.assert_close(small.hessian, small.hessian.T, rtol=1e-10, atol=1e-12)
    v = {n: torch.ones_like(p) * 1e-7 for n, p in small.params.items()}
    moved = [
        grad(small.loss)({n: p + s * v[n] for n, p in small.params.items()}, small.buffers, small.batch)
        for s in (1, -1)
    ]
    difference = torch.cat([((moved[0][n] - moved[1][n]) / 2e-7).reshape(-1) for n in v])
    torch.testing.assert_close(small.hessian.sum(1), difference, rtol=1e-4, atol=1e-4)


@KINDS
def test_the_mean_over_many_vectors_converges_to_the_dense_trace(small):
    probe = HessianTrace(vectors=600)
    found = small.measure(probe, small.draw(probe, 0))
    assert abs(found["hessian_trace"] - small.hessian.trace()) < 3 * found["hessian_trace_se"]
    off = small.hessian - small.hessian.diag().diag()
    assert float(found["hessian_trace_se"]) == pytest.approx(
        float((2 * (off**2).sum() / 600).sqrt()), rel=0.15
    )


@KINDS
def test_estimates_are_unbiased_and_their_standard_errors_calibrated(small):
    """150 estimates of 8 vectors, as a fleet: their z scores are about those of Student's t with 7 degrees of
    freedom."""
    probe, many = HessianTrace(vectors=8), 150
    each = [small.draw(probe, seed) for seed in range(many)]
    drawn = {n: torch.stack([d[n] for d in each]) for n in small.params}
    stacked = {n: b.expand(many, *b.shape).contiguous() for n, b in small.buffers.items()}
    measure = vmap(lambda bits, buffers: small._replace(buffers=buffers).measure(probe, bits))
    found = measure(drawn, stacked)
    values, truth = found["hessian_trace"], small.hessian.trace()
    assert abs(values.mean() - truth) < 3.5 * values.std() / many**0.5
    z = (values - truth) / found["hessian_trace_se"]
    assert 0.9 < float(z.std()) < 1.5 and 0.88 < float((z.abs() < 2.36).double().mean()) < 0.995


def test_the_trace_of_a_diagonal_hessian_is_exact():
    task = spec("quadratic", sigma=1.0, examples=64)
    trace = finish([a_run(task=task, length="8", probes=[TRACE])], single())[2][0].trace
    np.testing.assert_allclose(
        trace["hessian_trace"].values, build("task", task).curvatures().sum(), rtol=1e-14
    )
    np.testing.assert_allclose(trace["hessian_trace_se"].values, 0, atol=1e-14)


def test_the_probe_measures_the_training_loss_on_the_first_examples():
    run = a_run(task=CNN, length="5", probes=[spec("hessian_trace", vectors=4, examples=8)])
    setup = set_up([run], single())
    state, batch = setup.fleet.start, setup.fleet.train
    rows = setup.fleet.subset[torch.randperm(50, generator=generator(0, "order"))][:8]
    part = {n: t[rows] for n, t in batch.items()}
    bare = Moment(
        state.params,
        state.buffers,
        part,
        {},
        {},
        {},
        None,
        None,
        setup.probes[0].draw(0),
        setup.fleet.task.plain_loss,
    )
    expected = HessianTrace(vectors=4, examples=8).measure(bare, {})[0]
    found = finish([run], single())[2][0].trace
    assert {n: float(t) for n, t in expected.items()} == {n: found[n].values[0] for n in expected}


def one_sided(p: Problem, generator: torch.Generator) -> tuple[float, float]:
    """The seed's estimate, mean of [L(theta + eps d) - L(theta)] / eps^2 over 5 directions, and its part
    (g.d) / eps (float64)."""
    eps, values, slopes = 1e-3, [], []
    slope = grad(p.loss)(
        *({n: t.double() if t.is_floating_point() else t for n, t in part.items()} for part in p[1:4])
    )
    for _ in range(5):
        d = {n: torch.randn(t.shape, generator=generator, dtype=torch.float64) for n, t in p.params.items()}
        d = {n: t / t.norm() for n, t in d.items()}
        there = {n: t + eps * d[n].to(t.dtype) for n, t in p.params.items()}
        values.append(
            float(p.loss(there, p.buffers, p.batch) - p.loss(p.params, p.buffers, p.batch)) / eps**2
        )
        slopes.append(float(sum((slope[n] * t).sum() for n, t in d.items())) / eps)
    return float(np.mean(values)), float(np.mean(slopes))


def test_the_seeds_one_sided_difference_is_gradient_and_rounding_not_a_trace():
    """The MLP of 276 parameters at its start, whose dense Hessian has the trace 4.98.

    100 of the seed's estimates in float32 scatter around -1.0 with a standard deviation of 53, and 0.9999996
    is their correlation with (g.d) / eps alone. With that term taken away exactly they tend to 0.118 = sum
    over tensors of tr(H_tt) / (2 n_t), each direction being normalised per tensor, and rounding to float32
    adds 0.035 to their scatter of 0.022. Eight vectors of the probe have the standard error 1.4, and more of
    them tend to the trace.
    """
    exact, seeds = problem("mlp"), (generator(1, "test"), generator(1, "test"))
    single_ = exact._replace(
        **{
            f: {n: t.float() if t.is_floating_point() else t for n, t in getattr(exact, f).items()}
            for f in ("params", "buffers", "batch")
        }
    )
    coarse, slopes = np.array([one_sided(single_, seeds[0]) for _ in range(100)]).T
    fine, _ = np.array([one_sided(exact, seeds[1]) for _ in range(100)]).T
    trace = float(exact.hessian.trace())
    assert np.corrcoef(coarse, slopes)[0, 1] > 0.9999 and coarse.std() > 8 * abs(trace)
    blocks = exact.hessian.diag().split([t.numel() for t in exact.params.values()])
    limit = float(sum(b.mean() / 2 for b in blocks))
    assert np.mean(fine - slopes) == pytest.approx(limit, rel=0.1) and limit < trace / 20
    assert (coarse - fine).std() > (fine - slopes).std()
    found = exact.measure(HessianTrace(vectors=8), exact.draw(HessianTrace(vectors=8), 0))
    assert abs(found["hessian_trace"] - trace) < 3 * found["hessian_trace_se"] < 8


def test_the_page_on_curvature_runs():
    page = (Path(__file__).parents[2] / "docs" / "curvature.md").read_text(encoding="utf-8")
    (code, printed), *_ = re.findall(
        r"^```python\n(.*?)^```\n+```text\n(.*?)^```", page, re.MULTILINE | re.DOTALL
    )
    lines: list[str] = []
    exec(code, {"print": lambda *words: lines.append(" ".join(map(str, words)))})
    assert "\n".join(lines).split() == printed.split()
