"""Probes of the gradient's noise and of what one update does, against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.func import grad
from trainings import CNN, DIGITS, OPTIONS, a_run, finish, same_trace

from preheat.core.errors import UserError
from preheat.core.run import Run
from preheat.core.spec import build, spec
from preheat.engine.keys import generator
from preheat.engine.loop import set_up
from preheat.engine.placement import fleet, single
from preheat.probes.base import Moment
from preheat.probes.noise import NoiseScale
from preheat.probes.updates import AngularUpdate, RepresentationChange, angle

EACH = [
    spec("noise_scale", every=3, chunks=4),
    spec("angular_update", every=3, layers=True),
    spec("update_norm", every=3, layers=True),
    spec("representation_change", every=3, examples=6),
]


@pytest.mark.parametrize("task", [DIGITS, CNN], ids=["mlp", "cnn with BatchNorm"])
def test_a_fleet_measures_what_its_runs_do_alone(task):
    runs = [a_run(task=task, seed=s, length="8", peak_lr=0.02 * (s + 1), probes=EACH) for s in range(2)]
    for run, together in zip(runs, finish(runs, fleet())[2], strict=True):
        same_trace(finish([run], single())[2][0], together, rtol=1e-8)


# --- gradient noise


def linear(params, buffers, batch):
    """A loss whose gradient at an example is its row x."""
    return (batch["x"] @ params["w"]).mean()


def noise_of(x, **options):
    """What the probe finds for examples whose gradients are x [B, D]."""
    moment = Moment({"w": x.new_zeros(x.shape[1])}, {}, {"x": x}, {}, {}, {}, None, None, {}, linear)
    return {n: float(t) for n, t in NoiseScale(**options).measure(moment, {})[0].items()}


def test_with_a_chunk_for_each_example_it_is_the_variance_of_their_gradients():
    x = torch.randn(40, 7, generator=generator(0, "test"), dtype=torch.float64)
    variance = float(x.var(0).sum())
    square = float((x.mean(0) ** 2).sum()) - variance / 40
    for chunks in (40, 99):
        found = noise_of(x, chunks=chunks)
        assert found["gradient_variance"] == pytest.approx(variance, rel=1e-12)
        assert found["gradient_square"] == pytest.approx(square, rel=1e-10)
        assert found["noise_scale"] == pytest.approx(variance / square, rel=1e-10)
        assert found["gradient_snr"] == pytest.approx(square / variance, rel=1e-10)


def test_it_is_the_estimate_from_two_batch_sizes():
    """McCandlish et al., equations A.2 and A.3, of the batch and its chunks."""
    x = torch.randn(48, 7, generator=generator(1, "test"), dtype=torch.float64) + 0.3
    small, large = 48 // 6, 48
    of_small = float((x.reshape(6, small, 7).mean(1) ** 2).sum(1).mean())
    of_large = float((x.mean(0) ** 2).sum())
    found = noise_of(x, chunks=6)
    square = (large * of_large - small * of_small) / (large - small)
    assert found["gradient_square"] == pytest.approx(square, rel=1e-12)
    assert found["gradient_variance"] == pytest.approx(
        (of_small - of_large) / (1 / small - 1 / large), rel=1e-12
    )


def test_both_estimates_are_without_bias():
    random, mean, many = generator(2, "test"), torch.tensor([0.3, -0.2, 0.0], dtype=torch.float64), 400
    draw = lambda: mean + torch.randn(32, 3, generator=random, dtype=torch.float64)
    found = [noise_of(draw(), chunks=4) for _ in range(many)]
    for name, truth in (("gradient_variance", 3.0), ("gradient_square", float(mean @ mean))):
        values = np.array([f[name] for f in found])
        assert abs(values.mean() - truth) < 3.5 * values.std() / many**0.5, name
        assert values.std() / many**0.5 < 0.15 * truth


def test_examples_beyond_equal_chunks_are_left_out_and_one_example_has_no_variance():
    x = torch.randn(11, 3, generator=generator(3, "test"), dtype=torch.float64)
    assert noise_of(x, chunks=4) == noise_of(x[:8], chunks=4)
    assert all(math.isnan(v) for v in noise_of(x[:1]).values())
    with pytest.raises(UserError, match=r"chunks .* at least 2 .*, got 1"):
        Run(probes=[spec("noise_scale", chunks=1)])


def test_a_chunk_is_a_batch_of_its_own_to_batch_norm():
    run = a_run(
        task=CNN,
        length="4",
        schedule="constant",
        batch_size=24,
        probes=[spec("noise_scale", every=9, chunks=3)],
    )
    setup = set_up([run], single())
    start, batch, loss = setup.fleet.start, next(setup.batches(0)), setup.fleet.task.plain_loss
    parts = [{n: t[i : i + 8] for n, t in batch.items()} for i in (0, 8, 16)]
    each = [
        torch.cat([g.reshape(-1) for g in grad(loss)(start.params, start.buffers, part).values()])
        for part in parts
    ]
    variance = 8 * float(torch.stack(each).var(0).sum())
    assert finish([run], single())[2][0].trace["gradient_variance"].values[0] == pytest.approx(
        variance, rel=1e-10
    )


# --- one update


def test_the_angle_is_that_of_two_vectors():
    random = generator(4, "test")
    for size in (1.0, 1e-3, 1e-9):
        p = torch.randn(50, generator=random, dtype=torch.float64)
        across = torch.randn(50, generator=random, dtype=torch.float64)
        across -= p * (across @ p) / (p @ p)
        turned = 3.0 * (p / p.norm() * math.cos(size) + across / across.norm() * math.sin(size))
        split = lambda v: {"a": v[:20].reshape(4, 5), "b": v[20:]}
        assert float(angle(split(p), split(turned))) == pytest.approx(size, rel=1e-6)
    assert float(angle({"a": p}, {"a": -p})) == pytest.approx(math.pi, rel=1e-12)
    assert math.isnan(angle({"a": p}, {"a": 0 * p})) and math.isnan(angle({"a": 0 * p}, {"a": p}))


def moment(before, after, **more):
    return Moment(before, {}, {}, {}, after, {}, None, None, {}, linear)._replace(**more)


def test_a_scale_turns_nothing_and_layers_are_measured_apart():
    before = {"w": torch.tensor([3.0, 4.0]), "b": torch.tensor([1.0])}
    after = {"w": torch.tensor([6.0, 8.0]), "b": torch.tensor([-2.0])}
    found, _ = AngularUpdate(layers=True).measure(moment(before, after), {})
    assert found["angular_update.w"] == 0 and float(found["angular_update.b"]) == pytest.approx(math.pi)
    cosine = (50 - 2) / (26 * 104) ** 0.5
    assert float(found["angular_update"]) == pytest.approx(math.acos(cosine), rel=1e-6)
    relative, _ = build("probe", spec("update_norm", layers=True)).measure(moment(before, after), {})
    assert relative["update_ratio.w"] == 1 and relative["update_ratio.b"] == 3
    assert float(relative["update_ratio"]) == pytest.approx((34 / 26) ** 0.5, rel=1e-6)


def test_an_option_that_update_norm_gained_is_not_in_the_ids_of_old_runs():
    assert Run(probes=["update_norm"]) == Run(probes=[spec("update_norm", layers=False)])
    assert "layers" not in Run(probes=["update_norm"]).json()["probes"][0]


def test_the_representation_of_a_linear_map_changes_with_its_weights():
    x = torch.randn(9, 3, generator=generator(5, "test"), dtype=torch.float64)
    w, new = (torch.randn(3, 2, generator=generator(i, "test"), dtype=torch.float64) for i in (6, 7))
    give = lambda params, buffers, batch: {"0": batch["x"] @ params["w"]}
    probe, at = RepresentationChange(examples=5), moment({"w": w}, {"w": new}, batch={"x": x}, outputs=give)
    found = probe.measure(at, {})[0]["representation_change"]
    assert float(found) == pytest.approx(float((x[:5] @ (new - w)).norm() / (x[:5] @ w).norm()), rel=1e-12)


def test_what_the_network_gives_is_that_of_the_training_loss():
    """With augmentation and BatchNorm's statistics of the batch: the loss follows from the outputs."""
    for task in (CNN, OPTIONS["cifar10"]):
        setup = set_up([a_run(task=task)], single())
        at, batch = setup.fleet.start, next(setup.batches(0))
        (logits,) = setup.fleet.task.outputs(at.params, at.buffers, batch).values()
        loss = torch.nn.functional.cross_entropy(logits, batch["y"])
        torch.testing.assert_close(
            loss, setup.fleet.task.loss(at.params, at.buffers, batch)[0], rtol=1e-12, atol=0
        )


def test_a_task_without_a_network_has_no_representation():
    run = a_run(task=OPTIONS["quadratic"], length="3", schedule="constant", probes=["representation_change"])
    with pytest.raises(UserError, match="needs a task that has a network"):
        finish([run], single())
    with pytest.raises(UserError, match=r"examples .* at least 1, got 0"):
        Run(probes=[spec("representation_change", examples=0)])
