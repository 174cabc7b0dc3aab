"""bf16: the loss is computed under autocast, the state and everything that is measured stay float32."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils import _pytree as pytree
from trainings import CNN, DIGITS, a_run, bitwise, finish

from preheat.core.run import Run
from preheat.core.spec import spec
from preheat.engine import precision
from preheat.engine.loop import evaluate, set_up
from preheat.engine.placement import fleet, single

TASKS = pytest.mark.parametrize("task", [DIGITS, CNN], ids=["mlp", "cnn with BatchNorm"])
WHERES = pytest.mark.parametrize(
    "where",
    [single(), single("traced"), fleet(), fleet("traced")],
    ids=["single", "single traced", "fleet", "fleet traced"],
)


def half(**changes) -> Run:
    return a_run(**{"precision": "bf16", "length": "6", **changes})


def losses(runs, where):
    return finish(runs, where)[1].losses.numpy()


@TASKS
def test_a_fleet_in_bf16_equals_its_runs_alone_up_to_bf16s_rounding(task):
    runs = [half(task=task, seed=s, peak_lr=0.02 * (s + 1)) for s in range(3)]
    alone = np.array([losses([r], single()) for r in runs])
    for realise in ("eager", "traced"):
        np.testing.assert_allclose(losses(runs, fleet(realise)), alone, rtol=2e-2, err_msg=realise)


@TASKS
@pytest.mark.parametrize("where", [single("traced"), fleet()], ids=["single", "fleet"])
def test_losses_in_bf16_are_close_to_those_in_float32_but_are_not_them(task, where):
    runs = [
        half(task=task, seed=s, optimizer="adamw", peak_lr=0.003) for s in range(2 if where.stacked else 1)
    ]
    coarse, fine = losses(runs, where), losses([r.but(precision="float32") for r in runs], where)
    np.testing.assert_allclose(coarse, fine, rtol=3e-2)
    assert (coarse != fine).mean() > 0.9


@TASKS
@WHERES
def test_the_state_and_what_is_measured_stay_float32(task, where):
    runs = [half(task=task, optimizer="adamw", probes=("grad_norm",)) for _ in range(1 + where.stacked)]
    setup, end, found = finish(runs, where)
    kinds = {
        t.dtype for t in pytree.tree_leaves([tuple(end.state), end.losses, [m for _, m in end.measured]])
    }
    assert kinds <= {torch.float32, torch.int64}
    assert all(s.values.typecode == "f" for s in found[0].trace.values())
    rounded = end.losses.to(torch.bfloat16).float()
    assert not torch.equal(rounded, end.losses), "the mean over a batch is taken in float32"
    accuracy = evaluate(setup, end.state, "test")["test_accuracy"].double().reshape(-1)[0] * 427
    assert abs(accuracy - accuracy.round()) < 1e-3, (
        "a fraction of the 427 test images, not one rounded to bfloat16"
    )


@TASKS
def test_traced_bf16_equals_eager_bitwise(task):
    run = half(task=task)
    assert bitwise(finish([run], single())[2][0], finish([run], single("traced"))[2][0])


def test_a_run_alone_does_not_pay_for_what_fleets_need(monkeypatch):
    alone = losses([half()], single())
    monkeypatch.setattr(precision, "_Norms", None)  # every function of torch would pass through it
    assert np.array_equal(losses([half()], single()), alone)
    with pytest.raises(TypeError):
        losses([half()], fleet())


@pytest.mark.slow
def test_compiled_bf16_is_close_to_eager():
    runs = [half(seed=s) for s in range(2)]
    np.testing.assert_allclose(losses(runs, fleet("compiled")), losses(runs, fleet()), rtol=2e-2)


@TASKS
def test_curvature_is_never_measured_under_autocast(task):
    run = half(task=task, probes=[spec("hessian_trace", vectors=2), "grad_norm"])
    coarse, fine = (finish([run.but(precision=p)], single())[2][0].trace for p in ("bf16", "float32"))
    assert coarse["hessian_trace"] == fine["hessian_trace"] and coarse["grad_norm"] != fine["grad_norm"]


def test_autocast_ends_with_the_loss():
    finish([half()], fleet())
    assert not torch.is_autocast_enabled("cpu")
    assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_bf16_is_another_run_and_the_others_keep_their_ids():
    assert len({Run(precision=p).id for p in ("float32", "float64", "bf16")}) == 3
    assert Run(task="quadratic", optimizer="sgd").json()["precision"] == "float32"
    assert set_up([half()], single()).fleet.train["x"].dtype == torch.float32
