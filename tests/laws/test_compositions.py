"""A law of compositions: where a `ScheduleLR` of the same curve stands in for one of torch's schedulers, in
SequentialLR, in ChainedScheduler, beside ReduceLROnPlateau and SWALR, no rate changes, unbroken or resumed.

What is wanted is torch's own unbroken run. torch 2.13 can't step a SequentialLR or ChainedScheduler that is a
later stage of a SequentialLR (NotImplementedError), so one inside another is its first stage. There it begins
with a plain step(), which decays a torch ExponentialLR, PolynomialLR or CosineAnnealingLR before its first update.
"""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
import torch
from cases import sampled
from torch.optim import lr_scheduler as theirs
from torch.optim.swa_utils import SWALR

from preheat.adapters.conversions.torch import from_torch
from preheat.adapters.torch import ScheduleLR
from preheat.core.errors import UserError

N = 8  # updates; no curve is at 0 by then
CURVES = {
    "rising": ("LinearLR", {"start_factor": 0.25, "total_iters": 4}),
    "falling": ("LinearLR", {"start_factor": 1.0, "end_factor": 0.3, "total_iters": 6}),
    "partly": ("LinearLR", {"start_factor": 0.25, "end_factor": 0.6, "total_iters": 3}),
    "cosine": ("CosineAnnealingLR", {"T_max": N + 2}),
    "cosine to a floor": ("CosineAnnealingLR", {"T_max": N + 2, "eta_min": 0.01}),
    "exponential": ("ExponentialLR", {"gamma": 0.9}),
    "milestones": ("MultiStepLR", {"milestones": [2, 4, 4], "gamma": 0.5}),
    "steps": ("StepLR", {"step_size": 3, "gamma": 0.5}),
    "constant": ("ConstantLR", {"factor": 0.3, "total_iters": 3}),
    "polynomial": ("PolynomialLR", {"total_iters": N + 2, "power": 2.0}),
}
PRODUCTS = [name for name in CURVES if name != "cosine to a floor"]  # those that a chain multiplies
FIRST = ["rising", "falling", "partly", "milestones", "steps", "constant"]  # right in torch inside a stage
LR = (0.05, 0.5)


def sgd(groups):
    """An optimizer whose groups have different rates."""
    parameters = [torch.nn.Parameter(torch.ones(1)) for _ in range(groups)]
    for p in parameters:
        p.grad = torch.ones(1)
    return torch.optim.SGD(
        [{"params": [p], "lr": lr} for p, lr in zip(parameters, LR, strict=False)], lr=LR[0]
    )


def leaf(opt, name, how):
    """torch's scheduler, or in its place ours: with "peaks" as a conversion is written, else as it stands."""
    kind, arguments = CURVES[name]
    if how is None:
        return getattr(theirs, kind)(opt, **arguments)
    known = {} if kind == "CosineAnnealingLR" else {"total": N + 2}
    made = from_torch(getattr(theirs, kind)(sgd(len(opt.param_groups)), **arguments), **known)
    return ScheduleLR(opt, made.schedule, made.total, **({"peak": made.peak} if how == "peaks" else {}))


def sequence(*stages, at):
    return "sequence", stages, list(at)


def chain(*parts):
    return "chain", parts, None


def leaves(tree, path=()):
    if isinstance(tree, str):
        return [path]
    return [place for i, part in enumerate(tree[1]) for place in leaves(part, (*path, i))]


def built(opt, tree, ours, how, path=()):
    """The schedulers of a tree, from left to right; `ours` says which leaves are ScheduleLRs."""
    if isinstance(tree, str):
        return leaf(opt, tree, how if path in ours else None)
    parts = [built(opt, part, ours, how, (*path, i)) for i, part in enumerate(tree[1])]
    if tree[0] == "chain":
        return theirs.ChainedScheduler(parts)
    return theirs.SequentialLR(opt, parts, list(tree[2]))


def stepped(_k, scheduler):
    scheduler.step()


def plateau(every, *, before):
    """Beside it a ReduceLROnPlateau, which sees a loss that rises after every `every` updates."""

    def beside(opt):
        return theirs.ReduceLROnPlateau(opt, factor=0.5, patience=0)

    def step(k, scheduler, one):
        due = k % every == every - 1
        if due and before:
            one.step(k)
        scheduler.step()
        if due and not before:
            one.step(k)

    return beside, step


def averaged(start, epochs):
    """Beside it an SWALR, which takes over after update `start`, as in torch's documentation."""

    def beside(opt):
        rates = [0.4 * lr for lr in LR[: len(opt.param_groups)]]
        return SWALR(opt, swa_lr=rates, anneal_epochs=epochs)

    return beside, lambda k, scheduler, one: (one if k > start else scheduler).step()


def begun(tree, groups, *, ours=(), how=None, beside=None):
    """[optimizer, scheduler, and what is beside it]."""
    opt = sgd(groups)
    return [opt, built(opt, tree, ours, how), *([beside(opt)] if beside else [])]


def played(parts, step, first=0, keep=None):
    """The rates at updates `first` to N, after each of which `keep` takes the states."""
    used = []
    for k in range(first, N + 1):
        used.append([group["lr"] for group in parts[0].param_groups])
        if keep is not None:
            kept = io.BytesIO()
            torch.save([part.state_dict() for part in parts], kept)
            keep.append(kept.getvalue())
        parts[0].step()
        step(k, *parts[1:])
    return np.array(used)


def assert_the_same(tree, groups, ours, *, how="plain", others=(None, stepped), every=1):
    """others: what is beside it, and how all are stepped. Unbroken, and resumed at each update (or each third) in torch's own order and with the optimizer last."""
    (beside, step), case = others, f"{tree} {groups} {ours} {how}"
    want, states = played(begun(tree, groups, beside=beside), step), []
    given = {"ours": ours, "how": how, "beside": beside}
    got = played(begun(tree, groups, **given), step, keep=states)
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=0, err_msg=case)
    for k in range(0, N, every):
        saved = torch.load(io.BytesIO(states[k]), weights_only=True)
        for last in (False, True):
            parts = begun(tree, groups, **given)
            order = list(zip(parts, saved, strict=True))
            for part, state in [*order[1:], order[0]] if last else order:
                part.load_state_dict(state)
            again = played(parts, step, first=k)
            np.testing.assert_allclose(again, want[k:], rtol=1e-9, atol=0, err_msg=f"{case} at {k}, {last}")


def drawn(draw, tree, live):
    """(groups, leaves that are ours, how they are written); live: the parts of which one may be ours."""
    every = leaves(tree)
    ours = {place for place in every if draw.random() < 0.5} or {draw.choice(every)}
    one = draw.choice(sorted(ours & set(live)) or [None])
    return draw.choice([1, 2]), (ours - set(live)) | ({one} - {None}), draw.choice(["plain", "peaks"])


def places(draw, n):
    return sorted(draw.sample(range(1, N - 1), n))


def test_any_stage_of_a_sequence():
    draw = random.Random(1)
    for _ in range(sampled(36)):
        n = draw.choice([2, 3])
        tree = sequence(*draw.choices(list(CURVES), k=n), at=places(draw, n - 1))
        groups, ours, how = drawn(draw, tree, [])
        assert_the_same(tree, groups, ours, how=how, every=draw.choice([1, 3, 3, 3]))


def test_any_place_in_a_chain():
    draw = random.Random(2)
    for _ in range(sampled(36)):
        tree = chain(*draw.choices(PRODUCTS, k=draw.choice([2, 3])))
        groups, ours, how = drawn(draw, tree, leaves(tree))
        assert_the_same(tree, groups, ours, how=how, every=draw.choice([1, 3]))


TORCH_WARNS = pytest.mark.filterwarnings(
    "ignore:Detected call of `lr_scheduler.step"
)  # of itself, of a stage inside


@TORCH_WARNS
def test_a_sequence_or_a_chain_inside_another():
    draw = random.Random(3)
    for i in range(sampled(36)):
        rest = draw.choices(PRODUCTS, k=draw.choice([1, 2]))
        if i % 3 == 0:
            inner = chain(*draw.choices(FIRST, k=2))
        else:
            inner = sequence(draw.choice(FIRST), draw.choice(PRODUCTS), at=places(draw, 1))
        tree = chain(inner, *rest) if i % 3 == 1 else sequence(inner, *rest, at=places(draw, len(rest)))
        live = [[(0, 0), (0, 1)], leaves(tree), []][i % 3]
        groups, ours, how = drawn(draw, tree, live)
        assert_the_same(tree, groups, ours, how=how, every=3)


@pytest.mark.parametrize("kind", ["plateau", "averaging"])
def test_beside_others_that_write_rates(kind):
    draw = random.Random(kind)
    for _ in range(sampled(36)):
        tree = draw.choice(
            [
                sequence(*draw.choices(PRODUCTS, k=2), at=places(draw, 1)),
                chain(*draw.choices(PRODUCTS, k=draw.choice([1, 2]))),
            ]
        )
        if kind == "plateau":
            others = plateau(draw.choice([1, 2, 3]), before=draw.random() < 0.5)
        else:
            others = averaged(draw.randrange(N), draw.choice([0, 1, 3, 10]))
        groups, ours, how = drawn(draw, tree, leaves(tree) if tree[0] == "chain" else [])
        assert_the_same(tree, groups, ours, how=how, others=others, every=3)


# --- Cases that were wrong -------------------------------------------------------------------------------


@TORCH_WARNS
@pytest.mark.parametrize("ours", [(0, 0), (0, 1), (1,)])
@pytest.mark.parametrize(
    "inner", [sequence("falling", "rising", at=[3]), chain("rising", "steps")], ids=lambda t: t[0]
)
def test_a_stage_inside_the_first_stage_begins_at_update_0(inner, ours):
    """It was an update behind, with no word, for its first step() comes before any update."""
    assert_the_same(sequence(inner, "constant", at=[5]), 2, {ours})


@TORCH_WARNS
def test_a_stage_that_has_not_begun_is_no_second_scheduler():
    """It was refused: at the build both write the same rate."""
    assert_the_same(sequence(chain("milestones", "partly"), "falling", at=[5]), 2, {(0, 0), (1,)}, every=3)


def test_a_stage_that_has_ended_is_no_second_scheduler():
    """It was refused where the run was resumed and somebody else wrote the rate of that moment again."""
    tree = sequence("constant", "constant", at=[4])
    opt, scheduler = begun(tree, 1, ours={(0,), (1,)}, how="plain")
    played([opt, scheduler], stepped, first=N - 4)  # 5 updates
    state = scheduler.state_dict()
    opt, scheduler = begun(tree, 1, ours={(0,), (1,)}, how="plain")
    scheduler.load_state_dict(state)
    for _ in range(2):
        opt.step()
        scheduler.step()
    assert opt.param_groups[0]["lr"] == pytest.approx(LR[0], rel=1e-9)
    opt.param_groups[0]["lr"] = 0.3 * LR[0]  # as it was at the load
    opt.step()
    scheduler.step()
    assert opt.param_groups[0]["lr"] == pytest.approx(0.3 * LR[0], rel=1e-9)


def test_a_stage_built_after_a_sequence_knows_the_peak():
    """The rate of the stage at hand was taken as its peak, for another stage had been built after that one."""
    opt = sgd(1)
    first = theirs.SequentialLR(opt, [leaf(opt, name, "plain") for name in ("constant", "rising")], [5])
    third = leaf(opt, "falling", "plain")
    assert first.get_last_lr() == [pytest.approx(0.3 * LR[0])] and third.base_lrs == [LR[0]]


@pytest.mark.parametrize("names", [("rising", "exponential"), ("exponential", "rising"), ("cosine", "steps")])
def test_a_chain_resumed_by_last_epoch(names):
    """On a loaded optimizer, without a state; the factor of the second was counted twice."""
    tree = chain(*names)
    want, states = played(begun(tree, 1), stepped), []
    played(begun(tree, 1), stepped, keep=states)
    kind, arguments = CURVES[names[0]]
    for k in (1, 4, 5):
        opt = sgd(1)
        opt.load_state_dict(torch.load(io.BytesIO(states[k]))[0])
        first = getattr(theirs, kind)(opt, **arguments, last_epoch=k - 1)
        own = leaf(sgd(1), names[1], "plain")
        second = ScheduleLR(opt, own.schedule, own.total, last_epoch=k - 1)
        again = played([opt, theirs.ChainedScheduler([first, second])], stepped, first=k)
        np.testing.assert_allclose(again, want[k:], rtol=1e-9)


@pytest.mark.parametrize("groups", [1, 2])
def test_given_peaks_in_a_chain(groups):
    """As a conversion is written; what the part before it did at the build was dropped."""
    assert_the_same(chain("rising", "exponential"), groups, {(1,)}, how="peaks")


def test_two_in_one_chain_are_refused():
    for how in ("plain", "peaks"):
        opt, scheduler = begun(chain("rising", "exponential"), 1, ours={(0,), (1,)}, how=how)
        opt.step()
        with pytest.raises(UserError, match=r"write one schedule, first \* second"):
            scheduler.step()


# --- Lightning -------------------------------------------------------------------------------------------


def lightning_rates(folder, ours, *, epochs, resume=None):
    """{update: the rate used} under Lightning's Trainer, 4 updates an epoch."""
    lightning = pytest.importorskip("lightning.pytorch")
    from lightning.pytorch.demos.boring_classes import BoringModel

    used = {}

    class Module(BoringModel):
        def on_before_optimizer_step(self, optimizer):
            used[self.global_step] = optimizer.param_groups[0]["lr"]

        def configure_optimizers(self):
            opt = torch.optim.SGD(self.parameters(), lr=LR[0])
            scheduler = built(
                opt, sequence("rising", "cosine to a floor", "exponential", at=[3, 6]), ours, "plain"
            )
            return {"optimizer": opt, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    quiet = ("enable_progress_bar", "enable_model_summary", "logger")
    trainer = lightning.Trainer(
        max_epochs=epochs,
        limit_train_batches=4,
        limit_val_batches=0,
        accelerator="cpu",
        callbacks=[lightning.callbacks.ModelCheckpoint(folder, filename="{step}")],
        **dict.fromkeys(quiet, False),
    )
    trainer.fit(Module(), ckpt_path=resume)
    return used


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::UserWarning:lightning", "ignore::FutureWarning:lightning"
)
def test_lightning_resumes_a_sequence(tmp_path):
    want = lightning_rates(tmp_path / "theirs", (), epochs=2)
    ours = {(1,), (2,)}
    first = lightning_rates(tmp_path / "first", ours, epochs=1)
    rest = lightning_rates(tmp_path / "rest", ours, epochs=2, resume=tmp_path / "first" / "step=4.ckpt")
    assert list(first) == [0, 1, 2, 3] and list(rest) == [4, 5, 6, 7]
    assert {**first, **rest} == pytest.approx(want, rel=1e-9, abs=0)
