"""`ScheduleLR` beside others that touch the optimizer: an engine that removes groups, a callback that adds one,
a plateau, torch's own schedulers, wrappers, a gradient scaler, Lightning's loop.

Each test is named after the threads, or after the test of torch's or Lightning's, whose case it is.
`docs/defects.md` lists them.
"""

from __future__ import annotations

import importlib.util
import warnings

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler as theirs

from preheat.adapters.conversions.torch import from_torch
from preheat.adapters.torch import ScheduleLR
from preheat.core.errors import UserError
from preheat.schedules import constant, cosine, exponential, linear, one_cycle


def weights(n=2):
    """A parameter with a gradient."""
    p = torch.nn.Parameter(torch.ones(n))
    p.grad = torch.ones(n)
    return p


def sgd(lr=0.05):
    return torch.optim.SGD([weights()], lr=lr)


def rates(opt):
    return [g["lr"] for g in opt.param_groups]


def played(opt, scheduler, n):
    """The rate of the first group at n updates."""
    used = []
    for _ in range(n):
        used.append(opt.param_groups[0]["lr"])
        opt.step()
        scheduler.step()
    return used


# --- Groups that vanish, groups that come ----------------------------------------------------------------


def without_empty_groups(opt):
    """As DeepSpeed's engine does once it has the optimizer, which may be after the scheduler was built."""
    opt.param_groups[:] = [g for g in opt.param_groups if len(g["params"]) != 0]


@pytest.mark.parametrize("order", ["full, empty", "empty, full", "empty, full, empty"])
def test_43692_10141_10144_8299_336_a_group_without_parameters_may_vanish(order):
    """LoRA has no biases and no norms, so the group without weight decay is empty.

    torch 2.13's LambdaLR raises. Where the empty group is the first, its peak must not become that of the second.
    """
    given = [
        {"params": [weights()], "lr": 1e-3}
        if kind == "full"
        else {"params": [], "lr": 0.5, "weight_decay": 0.0}
        for kind in order.split(", ")
    ]
    opt = torch.optim.AdamW([dict(g) for g in given], lr=1e-3)
    scheduler = ScheduleLR(opt, [linear() if g["params"] else cosine() for g in given], 100)
    without_empty_groups(opt)
    table = 1e-3 * linear().resolve(100).table()
    np.testing.assert_allclose(played(opt, scheduler, 50), table[:50], rtol=1e-14)
    again = torch.optim.AdamW([weights()], lr=1e-3)
    resumed = ScheduleLR(again, linear(), 100)  # built where the group is gone already
    again.load_state_dict(opt.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    assert rates(again) == rates(opt) == [pytest.approx(table[50], rel=1e-14)]
    if torch.__version__.startswith("2.13."):
        opt = torch.optim.AdamW([dict(g) for g in given], lr=1e-3)
        old = theirs.LambdaLR(opt, lambda k: 1.0)
        without_empty_groups(opt)
        opt.step()
        with pytest.raises(ValueError, match="zip"):
            old.step()


def test_a_group_with_parameters_may_not_vanish():
    opt = torch.optim.SGD([{"params": [weights()]}, {"params": [weights()]}], lr=1e-3)
    scheduler = ScheduleLR(opt, cosine(), 100)
    opt.param_groups.pop()
    opt.step()
    with pytest.raises(UserError, match="group"):
        scheduler.step()


@pytest.mark.parametrize("schedule", [cosine(at="left"), one_cycle(at="left"), cosine(warmup=24, at="left")])
def test_20029_1321_a_group_that_is_unfrozen_keeps_its_ratio_to_the_others(schedule):
    """Lightning's unfreeze_and_add_param_group gives it a tenth of the rate that group 0 has now."""
    opt = sgd(1e-2)
    scheduler = ScheduleLR(opt, schedule, 32)
    played(opt, scheduler, 16)
    opt.add_param_group({"params": [weights()], "lr": opt.param_groups[0]["lr"] / 10})
    opt.step()
    with pytest.warns(UserWarning, match="rate"):
        scheduler.step()
    for k in range(17, 32):
        first, second = rates(opt)
        assert first == pytest.approx(1e-2 * schedule.resolve(32)(k), rel=1e-12)
        assert second / first == pytest.approx(0.1, rel=1e-9)
        opt.step()
        scheduler.step()


def test_2532_the_scales_of_a_layer_wise_decay_are_kept():
    """timm's optimizers write lr_scale into the groups, which its own schedulers obey."""
    scales = [0.25, 0.5, 1.0]
    opt = torch.optim.AdamW([{"params": [weights()], "lr_scale": s} for s in scales], lr=1e-3)
    scheduler = ScheduleLR(opt, cosine(at="left"), 100)
    assert rates(opt) == pytest.approx([1e-3 * s for s in scales], rel=1e-9)
    scheduler.set(50)
    assert rates(opt) == pytest.approx([5e-4 * s for s in scales], rel=1e-9)
    played(opt, scheduler, 10)
    now = 1e-3 * cosine(at="left").resolve(100)(60)
    assert rates(opt) == pytest.approx([now * s for s in scales], rel=1e-9)


# --- Others that write the rate --------------------------------------------------------------------------


@pytest.mark.parametrize("updates", [8, 20], ids=["reduced after the warmup", "reduced in the warmup"])
def test_10759_29417_1_warmup_by_step_then_plateau_by_epoch(updates):
    """Epochs of 4 updates whose loss never falls: torch's own numbers."""

    def run(build):
        opt = sgd(1e-2)
        warmup, plateau = build(opt), theirs.ReduceLROnPlateau(opt, factor=0.5, patience=1)
        used = []
        for _ in range(8):
            used += played(opt, warmup, 4)
            plateau.step(1.0)
        return used

    want = run(lambda o: theirs.LinearLR(o, 1 / updates, 1.0, total_iters=updates - 1))
    got = run(lambda o: ScheduleLR(o, constant(warmup=updates, at="right"), updates))
    np.testing.assert_allclose(got, want, rtol=1e-9)
    assert want[-1] == pytest.approx(1e-2 / 8)


@pytest.mark.parametrize("first", [True, False], ids=["warmup first", "warmup last"])
def test_chained_lr3_a_warmup_and_a_drop_multiply(first):
    """torch's test_chained_lr3: MultiStepLR in a ChainedScheduler with a warmup, which is a ScheduleLR here."""
    opt = sgd(0.05)

    def parts():
        made = {
            True: lambda: ScheduleLR(opt, constant(warmup=3, warmup_start=0.4, at="left"), 20),
            False: lambda: theirs.MultiStepLR(opt, [4, 8, 10], 0.1),
        }
        return [made[first](), made[not first]()]

    got = played(opt, theirs.ChainedScheduler(parts()), 10)
    assert got == pytest.approx([0.02, 0.03, 0.04, 0.05] + [0.005] * 4 + [0.0005] * 2, rel=1e-9)


def test_sequentiallr2_a_schedule_follows_a_scheduler_of_torchs():
    """torch's test_sequentiallr2: ConstantLR(0.1, 3), then ExponentialLR(0.9), a ScheduleLR here."""
    opt = sgd(0.05)
    stages = [
        theirs.ConstantLR(opt, factor=0.1, total_iters=3),
        ScheduleLR(opt, exponential(final=0.9**10, at="left"), 10),
    ]
    got = played(opt, theirs.SequentialLR(opt, stages, milestones=[3]), 13)
    assert got == pytest.approx([0.005] * 3 + [0.05 * 0.9**k for k in range(10)], rel=1e-9)


def test_get_last_lr_linearlr_a_conversion_is_right_on_the_optimizer_as_it_is():
    """torch's test_get_last_lr_linearlr: LinearLR(0.25, 0.6, 4), whose groups have 0.05 and 0.5."""

    def two():
        return torch.optim.SGD([{"params": [weights()]}, {"params": [weights()], "lr": 0.5}], lr=0.05)

    made = from_torch(theirs.LinearLR(two(), 0.25, 0.6, 4), total=10)
    opt = two()
    scheduler = ScheduleLR(opt, made.schedule, made.total)
    for k in range(10):
        lr = 0.05 * (0.25 + min(k, 4) * 0.35 / 4)
        assert scheduler.get_last_lr() == rates(opt) == pytest.approx([lr, 10 * lr], rel=1e-9)
        opt.step()
        scheduler.step()


# --- Wrappers, scalers, loops ----------------------------------------------------------------------------


def lookahead(inner):
    """timm's, which has no hooks and does not call torch's wrapped step, without the rest of timm."""
    found = importlib.util.find_spec("timm")
    if found is None:
        pytest.skip("timm is not installed")
    file = f"{found.submodule_search_locations[0]}/optim/lookahead.py"
    spec = importlib.util.spec_from_file_location("lookahead_of_timm", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Lookahead(inner)


def test_6_122_lookahead_is_scheduled_through_the_optimizer_in_it():
    opt = lookahead(sgd(0.1))
    scheduler = ScheduleLR(opt, cosine(at="left"), 100)
    table = 0.1 * cosine(at="left").resolve(100).table()
    np.testing.assert_allclose(played(opt, scheduler, 50), table[:50], rtol=1e-14)
    assert scheduler.last_epoch == 50 and rates(opt) == [pytest.approx(0.05)]


def after_overflows(fused):
    """(rates used, updates counted) where the gradients of the first 3 of 8 batches overflow."""
    weight = weights()
    opt = torch.optim.AdamW([weight], lr=1e-2, fused=fused)
    scheduler = ScheduleLR(opt, constant(warmup=8, at="left"), 8)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    used = []
    for k in range(8):
        opt.zero_grad()
        scaler.scale(weight.sum() * (torch.inf if k < 3 else 1.0)).backward()
        used.append(opt.param_groups[0]["lr"])
        scaler.step(opt)
        scaler.update()
        scheduler.step()
    return used, scheduler.last_epoch


@pytest.mark.parametrize("fused", [False, True])
def test_4242_a_fused_update_that_is_skipped_is_not_counted(fused):
    used, counted = after_overflows(fused)
    assert counted == 5 and used == pytest.approx([1e-2 * max(0, k - 3) / 8 for k in range(8)])


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning:lightning")
def test_19774_a_total_in_updates_under_an_interval_of_epochs_is_told():
    """Lightning's default, and its test_onecyclelr_with_epoch_interval_warns."""
    lightning = pytest.importorskip("lightning.pytorch")
    from lightning.pytorch.demos.boring_classes import BoringModel

    def told(interval):
        class Module(BoringModel):
            def configure_optimizers(self):
                opt = torch.optim.SGD(self.parameters(), lr=0.1)
                scheduler = ScheduleLR(opt, cosine(at="left"), 24)
                return {"optimizer": opt, "lr_scheduler": {"scheduler": scheduler, **interval}}

        trainer = lightning.Trainer(
            max_epochs=3,
            limit_train_batches=8,
            limit_val_batches=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            accelerator="cpu",
        )
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            trainer.fit(Module())
        return [w.message for w in heard if "interval=" in str(w.message) and "step" in str(w.message)]

    assert len(told({})) == 1
    assert not told({"interval": "step"})
