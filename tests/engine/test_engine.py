"""The engine's laws: fleet == singles, ours == torch.optim, resumed == uninterrupted, probes change nothing,
NaN stays at home."""

from __future__ import annotations

import io
from dataclasses import dataclass, fields
from itertools import combinations, pairwise
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest
import torch
from cases import ALL_CASES, once
from torch.func import functional_call
from torch.utils import _pytree as pytree
from trainings import CNN, DIGITS, OPTIONS, a_run, bitwise, differing, finish, same_trace

from preheat.core.errors import UserError
from preheat.core.lengths import due, length
from preheat.core.registry import OPTIMIZERS, PROBES, TASKS
from preheat.core.run import Run
from preheat.core.spec import build, spec
from preheat.engine import checkpoint
from preheat.engine.batches import order
from preheat.engine.finish import records
from preheat.engine.keys import generator
from preheat.engine.loop import at_once, begin, set_up, train
from preheat.engine.placement import fleet, single
from preheat.engine.prepare import prepare, rates
from preheat.tasks.base import Data, Task

NETS = {"cnn": CNN, "mlp": DIGITS}
PAIRS = ("cnn", "eager"), ("mlp", "traced"), ("mlp", "eager"), ("cnn", "traced")


@pytest.mark.parametrize(
    "optimizer,net,realise",
    once([(o, *pair) for o in OPTIMIZERS.names() for pair in PAIRS], lambda case: combinations(case, 2)),
)
def test_fleet_equals_singles_with_every_hyperparameter_differing(optimizer, net, realise):
    """Every optimizer with each network and each way, and every network each way."""
    runs = [r.but(length="4ep", batch_size=25) for r in differing(optimizer, NETS[net])]
    for one, together in zip(runs, finish(runs, fleet(realise))[2], strict=True):
        same_trace(finish([one], single())[2][0], together)


@pytest.mark.parametrize("name", TASKS.names())
def test_every_task_gives_the_same_alone_and_in_a_fleet(name):
    runs = [
        a_run(
            task=OPTIONS.get(name, spec(name)),
            length="5",
            evaluate="5",
            schedule="constant",
            seed=s,
            peak_lr=0.01 * (s + 1),
        )
        for s in range(2)
    ]
    for one, together in zip(
        [finish([r], single("traced"))[2][0] for r in runs], finish(runs, fleet())[2], strict=True
    ):
        same_trace(one, together)


@pytest.mark.parametrize("optimizer", OPTIMIZERS.names() if ALL_CASES else ["adamw"])
def test_compiled_equals_eager_for_runs_of_every_length_and_data_size(optimizer):
    """What is compiled once serves later fleets whose data and lengths differ."""
    for changes in ({}, {"length": "8ep"}, {"task": spec("digits", examples_per_class=7)}):
        runs = [r.but(**changes) for r in differing(optimizer)]
        for eager, compiled in zip(finish(runs, fleet())[2], finish(runs, fleet("compiled"))[2], strict=True):
            same_trace(eager, compiled)


def variants(name):
    """Specs of an optimizer: as it is, with all its numbers changed, and then with each other word or switch."""
    other = differing(name)[2].optimizer
    made, words = build("optimizer", spec(name)), []
    for option in fields(made):
        values = {
            bool: (not getattr(made, option.name),),
            str: get_args(get_type_hints(type(made))[option.name]),
        }
        words += [{option.name: v} for v in values.get(type(getattr(made, option.name)), ())]
    return [spec(name), *(spec(name, **{**other.options, **word}) for word in [{}, *words])]


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_optimizers_equal_their_reference_over_a_whole_run_with_schedule_and_clipping(name):
    for one in variants(name):
        if build("optimizer", one).build().reference is None:
            pytest.skip(f"{name} names no reference")
        run = a_run(optimizer=one, clip_norm=1.0, seed=3)
        ours = finish([run], single())[1].losses
        try:
            theirs = torch_losses(run)
        except ModuleNotFoundError as error:
            pytest.skip(
                f"the reference of {name} needs the package {error.name}: pip install preheat[lrfree]"
            )
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, err_msg=str(one))


def torch_losses(run):
    """The loop a careful user writes: torch.optim, clip_grad_norm_, a rate set at every step."""
    where = prepare([run], single())
    task = build("task", run.task)
    net = task.network().double()
    net.load_state_dict(where.start.params)
    optimizer = build("optimizer", run.optimizer).build().reference(dict(net.named_parameters()))
    losses = []
    for k, rate in enumerate(rates(run)):
        epoch, i = divmod(k, run.steps_per_epoch)
        rows = order(where, epoch)[i * run.batch_size : (i + 1) * run.batch_size]
        loss = torch.nn.functional.cross_entropy(net(where.train["x"][rows]), where.train["y"][rows])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), run.clip_norm)
        for group in optimizer.param_groups:
            group["lr"] = float(rate)
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("realise", ["eager", "traced"])
def test_a_nan_in_one_run_leaves_the_others_bitwise_unchanged(realise):
    calm = [a_run(seed=s) for s in range(3)]
    wild = [calm[0], calm[1].but(peak_lr=1e200), calm[2]]
    a, b = finish(calm, fleet(realise))[2], finish(wild, fleet(realise))[2]
    assert b[1].status.outcome == "diverged" and 0 < b[1].status.step < 12
    assert bitwise(a[0], b[0]) and bitwise(a[2], b[2])
    assert len(b[1].trace["train_loss"].values) == b[1].status.step and "test_loss" not in b[1].summary


def test_a_diverged_run_keeps_its_last_finite_state():
    setup, end, _ = finish([a_run(peak_lr=1e200), a_run()], fleet())
    assert not end.alive[0] and end.alive[1]
    step = int(torch.nonzero(~torch.isfinite(end.losses[0]))[0])
    assert torch.isnan(end.losses[0, step:]).all() or not torch.isfinite(end.losses[0, step])
    again = set_up(setup.fleet.runs, fleet())
    frozen = next(p for p in train(again) if p.step == step)
    assert all(torch.equal(frozen.state.params[n][0], end.state.params[n][0]) for n in end.state.params)


@pytest.mark.parametrize(
    "where",
    [single(), single("traced"), fleet(), fleet("traced")],
    ids=["single", "single traced", "fleet", "fleet traced"],
)
@pytest.mark.parametrize("task", [DIGITS, CNN, OPTIONS["quadratic"]], ids=["mlp", "cnn", "quadratic"])
def test_resumed_equals_uninterrupted_bitwise(where, task):
    runs = [
        a_run(task=task, optimizer="adamw", seed=s, probes=("grad_norm",), length="13")
        for s in range(2 if where.stacked else 1)
    ]
    straight = finish(runs, where)[2]
    for cut in (1, 5, 12):
        setup = set_up(runs, where)
        saved = checkpoint.dump(setup, next(p for p in train(setup) if p.step == cut))
        resumed = finish(runs, where, lambda fresh, saved=saved: checkpoint.load(fresh, saved))[2]
        assert all(bitwise(a, b) for a, b in zip(straight, resumed, strict=True))


@pytest.mark.parametrize("optimizer", OPTIMIZERS.names())
def test_every_optimizer_resumes_bitwise(optimizer):
    runs = differing(optimizer)[:2]
    straight = finish(runs, fleet())[2]
    for cut in (1, 4):
        setup = set_up(runs, fleet())
        saved = checkpoint.dump(setup, next(p for p in train(setup) if p.step == cut))
        resumed = finish(runs, fleet(), lambda fresh, saved=saved: checkpoint.load(fresh, saved))[2]
        assert all(bitwise(a, b) for a, b in zip(straight, resumed, strict=True))


@pytest.mark.parametrize(
    "where", [single(), single("traced"), fleet("traced")], ids=["single", "single traced", "fleet"]
)
def test_training_ends_when_every_run_has_diverged(where):
    _, end, found = finish(
        [a_run(task=spec("quadratic"), optimizer="sgd", peak_lr=1e30, length="100000", schedule="constant")],
        where,
    )
    assert end.step < 1000 and found[0].status.outcome == "diverged" and found[0].status.step < 64
    assert len(found[0].trace["train_loss"].values) == found[0].status.step


def rewritten(saved, **changes):
    """The bytes of a checkpoint with entries changed; those that become None are left out."""
    data = torch.load(io.BytesIO(saved), weights_only=True) | changes
    torch.save({k: v for k, v in data.items() if v is not None}, out := io.BytesIO())
    return out.getvalue()


def test_checkpoints_of_the_first_format_are_read_and_unknown_ones_refused():
    run = a_run(probes=("grad_norm",))
    setup = set_up([run], single())
    saved = checkpoint.dump(setup, next(p for p in train(setup) if p.step == 5))
    old = rewritten(saved, format=1, watched=None, memory=None, probing=None, seconds=None)
    assert bitwise(
        finish([run], single(), lambda fresh: checkpoint.load(fresh, old))[2][0],
        finish([run], single())[2][0],
    )
    with pytest.raises(UserError, match="format 4 can't be read: this preheat reads formats 1 to 3"):
        checkpoint.load(setup, rewritten(saved, format=4))


@dataclass(frozen=True)
class Watched(Task):
    """A linear regression that watches its largest residual and counts its batches."""

    examples = 12

    def data(self):
        x = torch.linspace(-1, 1, 36, dtype=torch.float64).reshape(12, 3)
        return Data({"x": x, "y": x.sum(1)}, *[{"x": x[:2], "y": x[:2].sum(1)}] * 2)

    def subset(self, generator):
        return torch.arange(12)

    def init(self, generator):
        zero = torch.zeros((), dtype=torch.float64)
        w = torch.randn(3, generator=generator, dtype=torch.float64)
        return {"w": w}, {"watch.worst": zero, "watch.count": zero, "unseen": zero}

    def noise(self, generator, batch):
        return {
            "share": torch.rand((), generator=generator, dtype=torch.float64),
            "whole": torch.arange(batch),
        }

    def loss(self, params, buffers, batch):
        assert batch["whole"].dtype == torch.int64 and batch["share"].dim() == 0
        wrong = batch["x"] @ params["w"] - batch["y"]
        new = {"watch.worst": wrong.detach().abs().max(), "watch.count": buffers["watch.count"] + 1}
        return (wrong**2).mean() * (0.5 + batch["share"]), {**buffers, **new}

    def statistics(self, params, buffers, batch):
        wrong = (batch["x"] @ params["w"] - batch["y"]) ** 2
        return {"loss": wrong.sum(), "rows": wrong.new_tensor(len(wrong))}

    def metrics(self, sums):
        return {"loss": sums["loss"] / sums["rows"]}

    def chance(self):
        return {}

    def origin(self):
        return {"data": "a line"}


@pytest.fixture
def watched():
    TASKS.register("watched")(Watched)
    base = {"task": "watched", "batch_size": 5, "length": "14", "schedule": "constant", "peak_lr": 0.1}
    yield lambda **changes: a_run(**{**base, **changes})
    TASKS._objects.pop("watched")  # what other tests list is what is shipped


@dataclass(frozen=True)
class Moving(Watched):
    """A line whose slope and origin are in a file, which may be another tomorrow."""

    file: str = ""

    def data(self):
        slope = float(Path(self.file).read_text().split()[0])
        x = torch.linspace(-1, 1, 36, dtype=torch.float64).reshape(12, 3)
        return Data({"x": x, "y": slope * x.sum(1)}, *[{"x": x[:2], "y": x[:2].sum(1)}] * 2)

    def origin(self):
        return {"data": Path(self.file).read_text()}


@pytest.fixture
def moving(tmp_path):
    TASKS.register("moving")(Moving)
    file = tmp_path / "slope"
    file.write_text("1")
    run = a_run(
        task=spec("moving", file=str(file)), batch_size=5, length="14", schedule="constant", peak_lr=0.1
    )
    yield file, run
    TASKS._objects.pop("moving")


def test_a_record_says_where_the_data_came_from_that_it_was_trained_on(moving):
    file, run = moving
    before = finish([run], single())[2][0]
    setup = set_up([run], single())
    file.write_text("2")  # while it is trained
    (during,) = records(setup, list(train(setup))[-1])
    after = finish([run], single())[2][0]
    assert bitwise(before, during) and not bitwise(before, after) and before.run.id == after.run.id
    assert [r.provenance["data"] for r in (before, during, after)] == ["1", "1", "2"]
    setup = set_up([run], single())
    file.unlink()
    assert bitwise(records(setup, list(train(setup))[-1])[0], after), "a finished run needs its files no more"


def test_data_that_change_while_they_are_read_are_refused(moving, monkeypatch):
    file, run = moving
    read = Moving.data

    def late(self):
        found = read(self)
        file.write_text("3")
        return found

    monkeypatch.setattr(Moving, "data", late)
    with pytest.raises(UserError, match="the data of task 'moving' must not change while they are read"):
        set_up([run], single())
    assert finish([run], single())[2][0].provenance["data"] == "3"


def test_what_is_the_same_for_all_runs_of_a_task_is_done_once(moving, monkeypatch):
    _, run = moving
    calls = []
    forward, read = Moving.loss, Moving.data
    monkeypatch.setattr(Moving, "loss", lambda *args: calls.append("loss") or forward(*args))
    monkeypatch.setattr(Moving, "data", lambda self: calls.append("data") or read(self))
    first, *others = [
        set_up([run.but(seed=s, peak_lr=0.1 + s, precision="float32")], single()).fleet for s in range(4)
    ]
    assert calls == ["data", "loss"], "no forward pass for each seed"
    assert first.train["x"].dtype == torch.float32
    for fleet_ in others:
        assert all(a[n] is b[n] for a, b in zip(first[8:11], fleet_[8:11], strict=True) for n in a), (
            "held, not copied again"
        )
    assert set_up([run], single()).fleet.train["x"].dtype == torch.float64


def test_buffers_that_are_watched_are_recorded_at_every_step(watched):
    runs = [watched(seed=s) for s in range(3)]
    alone = [finish([r], single("traced"))[2][0] for r in runs]
    for one, together in zip(alone, finish(runs, fleet())[2], strict=True):
        same_trace(one, together)
        assert [n for n in one.trace if n.startswith("train_")] == [
            "train_loss",
            "train_worst",
            "train_count",
        ]
        assert one.trace["train_count"].values.tolist() == list(range(1, 15))
        assert (
            one.trace["train_worst"].steps == one.trace["train_loss"].steps
            and one.provenance["data"] == "a line"
        )
    assert len({tuple(r.trace["train_worst"].values) for r in alone}) == 3


PLACES = pytest.mark.parametrize("where", [single(), fleet("traced")], ids=["single", "fleet"])


def test_a_buffer_must_not_take_the_place_of_the_loss(watched):
    setup = set_up([watched()], single())
    start = setup.fleet.start._replace(buffers={"watch.loss": torch.zeros(())})
    with pytest.raises(
        UserError, match=r"train_loss is recorded by preheat itself, got a buffer watch\.loss"
    ):
        begin(setup._replace(fleet=setup.fleet._replace(start=start)))


@PLACES
def test_what_is_watched_is_kept_in_checkpoints_and_stops_with_the_loss(watched, where):
    runs = [watched(), watched(peak_lr=1e160)][: 1 + where.stacked]
    straight = finish(runs, where)[2]
    setup = set_up(runs, where)
    saved = checkpoint.dump(setup, next(p for p in train(setup) if p.step == 6))
    resumed = finish(runs, where, lambda fresh: checkpoint.load(fresh, saved))[2]
    assert all(bitwise(a, b) for a, b in zip(straight, resumed, strict=True))
    assert all(len(r.trace["train_worst"].values) == len(r.trace["train_loss"].values) for r in straight)
    assert straight[-1].status.outcome == ("diverged" if where.stacked else "done")
    with pytest.raises(
        UserError, match="holds loss of each step, and the task watches loss, worst, count: delete it"
    ):
        checkpoint.load(setup, rewritten(saved, format=1, watched=None))


@pytest.mark.parametrize("optimizer,realise", [("sgd", "eager"), ("adamw", "eager"), ("sgd", "traced")])
def test_channels_last_is_a_layout_only(optimizer, realise):
    run, rows = (
        a_run(task=CNN, optimizer=optimizer, clip_norm=1.0, seed=2),
        single(realise, channels_last=True),
    )
    plain, end = finish([run], single(realise)), finish([run], rows)
    same_trace(plain[2][0], end[2][0])
    four = [t for t in pytree.tree_leaves([end[1].state.params, end[1].state.opt]) if t.dim() == 4]
    assert len(four) >= 4 and all(t.is_contiguous(memory_format=torch.channels_last) for t in four)
    for before, after in ((rows, rows), (single(realise), rows), (rows, single(realise))):
        setup = set_up([run], before)
        saved = checkpoint.dump(setup, next(p for p in train(setup) if p.step == 5))
        again = finish([run], after, lambda fresh, saved=saved: checkpoint.load(fresh, saved))
        same_trace(plain[2][0], again[2][0])
        if before is after:
            assert bitwise(end[2][0], again[2][0])


def test_an_evaluation_takes_fewer_large_examples_at_once():
    image = lambda size: {"x": torch.zeros(1, 3, size, size, dtype=torch.uint8), "y": torch.zeros(1)}
    assert [at_once(image(s), 1) for s in (8, 13, 14, 32, 224)] == [2048, 2048, 1783, 341, 128]
    assert [at_once(image(32), runs) for runs in (2, 64, 1000)] == [170, 5, 1]
    small = {"x": torch.zeros(1, 64), "y": torch.zeros(1)}
    assert [at_once(small, runs) for runs in (1, 8, 9, 64, 20000)] == [2048, 2048, 1820, 256, 1]
    meta = {"x": torch.zeros(1, 3, 32, 32, device="meta")}
    assert at_once(meta, 1) == 2048, "off the CPU the size of an example does not matter"


def test_checkpoints_of_other_data_are_refused():
    setup = set_up([Run(task="quadratic", optimizer="sgd", peak_lr=0.1, length="10")], single())
    here, there = (
        setup._replace(fleet=setup.fleet._replace(origin={"data": name})) for name in ("md5 a", "md5 b")
    )
    saved = checkpoint.dump(here, begin(here))
    assert checkpoint.load(here, saved).step == 0
    with pytest.raises(UserError, match=r"md5 a.*md5 b.*another --results"):
        checkpoint.load(there, saved)


def test_checkpoints_of_other_runs_are_refused():
    setup = set_up([a_run()], single())
    saved = checkpoint.dump(setup, begin(setup))
    with pytest.raises(UserError, match="other runs"):
        checkpoint.load(set_up([a_run(seed=1)], single()), saved)


@pytest.mark.parametrize("where", [single(), fleet()], ids=["single", "fleet"])
def test_probes_never_change_the_trajectory(where):
    plain = a_run(task=CNN, optimizer="adamw", length="8")
    every = [spec(name, every=5) for name in PROBES.names()]
    _, a, _ = finish([plain], where)
    _, b, records_with = finish([plain.but(probes=every)], where)
    assert torch.equal(a.losses, b.losses)
    assert all(torch.equal(a.state.params[n], b.state.params[n]) for n in a.state.params)
    assert all(torch.equal(a.state.buffers[n], b.state.buffers[n]) for n in a.state.buffers)
    assert len(records_with[0].trace) > 2 + len(PROBES.names())


def test_probes_measure_what_they_say():
    run = a_run(
        optimizer="sgd",
        probes=[
            spec("grad_norm", every=1, layers=True),
            *(spec(n, every=1) for n in ("update_norm", "distance", "learning_rate")),
        ],
    )
    setup = set_up([run], single())
    states = [p.state.params for p in train(setup)]
    trace = finish([run], single())[2][0].trace
    distance = lambda a, b: float(sum(((a[n] - b[n]) ** 2).sum() for n in a).sqrt())
    lr = rates(run)
    np.testing.assert_allclose(trace["learning_rate"].values, lr, rtol=1e-12)
    np.testing.assert_allclose(
        trace["distance"].values, [distance(s, states[0]) for s in states[:-1]], atol=1e-12
    )
    moved = [distance(a, b) for a, b in pairwise(states)]
    np.testing.assert_allclose(trace["update_norm"].values, moved, rtol=1e-9)
    np.testing.assert_allclose(
        np.array(trace["grad_norm"].values) * lr, moved, rtol=1e-9
    )  # plain SGD: update = lr g
    layers = [np.array(s.values) ** 2 for n, s in trace.items() if n.startswith("grad_norm.")]
    np.testing.assert_allclose(np.sum(layers, 0), np.array(trace["grad_norm"].values) ** 2, rtol=1e-9)


def test_quadratic_follows_its_closed_form():
    task = spec("quadratic", dim=4, condition=10.0, examples=100)
    run = a_run(
        task=task,
        optimizer="sgd",
        peak_lr=0.7,
        length="40",
        evaluate="1",
        schedule={"name": "cosine", "warmup": "10%"},
    )
    trace = finish([run], single())[2][0].trace
    expected = build("task", run.task).expected_loss(rates(run), run.batch_size)
    np.testing.assert_allclose(trace["validation_loss"].values, expected, rtol=1e-10)


def test_noisy_quadratic_converges_to_its_expectation():
    """The mean over n seeds lies within 5 standard errors of the closed form at every step."""
    task = spec("quadratic", dim=3, condition=10.0, sigma=1.0, examples=64)
    runs = [
        a_run(
            task=task,
            optimizer="sgd",
            peak_lr=0.5,
            length="20",
            evaluate="1",
            schedule="constant",
            seed=s,
            batch_size=4,
        )
        for s in range(400)
    ]
    losses = np.array([r.trace["validation_loss"].values for r in finish(runs, fleet())[2]])
    expected = build("task", runs[0].task).expected_loss(rates(runs[0]), 4)
    error = losses.std(0, ddof=1) / np.sqrt(len(runs))
    assert (np.abs(losses.mean(0) - expected)[1:] < 5 * error[1:]).all()


def test_quadratic_is_stable_up_to_the_rate_two_over_the_largest_curvature():
    run = lambda rate: finish(
        [a_run(task=spec("quadratic"), optimizer="sgd", peak_lr=rate, length="200", schedule="constant")],
        single(),
    )[2][0]
    start = run(1.99).summary["chance_loss"]
    assert run(1.99).summary["validation_loss"] < start < run(2.01).summary["validation_loss"]


@pytest.mark.parametrize("precision,rtol", [("float64", 1e-10), ("float32", 1e-5)])
def test_losses_agree_across_placements_in_both_precisions(precision, rtol):
    runs = [a_run(precision=precision, seed=s, length="10") for s in range(4)]
    alone = [finish([r], single())[1].losses.numpy() for r in runs]
    np.testing.assert_allclose(finish(runs, fleet("traced"))[1].losses.numpy(), alone, rtol=rtol)


def test_data_order_and_subsets_are_keyed_by_seed():
    where = prepare([a_run(seed=0), a_run(seed=1)], fleet())
    assert sorted(order(where, 0)[0].tolist()) == sorted(where.subset[0].tolist()) and not torch.equal(
        order(where, 0)[0], order(where, 1)[0]
    )
    assert torch.equal(where.subset[0], prepare([a_run(seed=0, peak_lr=1.0)], single()).subset)
    labels = where.train["y"][where.subset]
    assert all((torch.bincount(row) == 5).all() for row in labels) and not torch.equal(
        where.subset[0], where.subset[1]
    )


def test_the_global_generator_is_not_touched():
    torch.manual_seed(7)
    before = torch.get_rng_state()
    finish([a_run(task=CNN)], single())
    assert torch.equal(before, torch.get_rng_state())


def test_fleets_take_runs_of_one_stack_key_only():
    with pytest.raises(UserError, match="stack key"):
        set_up([a_run(), a_run(length="7ep")], fleet())


def test_due_is_floor_of_multiples():
    assert (
        due(length("5%"), 200, 10) == list(range(0, 200, 10))
        and due(length("2ep"), 7, 2) == [0, 4]
        and due(length(1), 3, 1) == [0, 1, 2]
    )


def test_digits_split_is_fixed_stratified_and_disjoint():
    data = build("task", spec("digits")).data()
    assert [len(part["y"]) for part in data] == [1000, 370, 427]
    assert all((torch.bincount(part["y"]) == n).all() for part, n in zip(data[:2], (100, 37), strict=True))
    seen = [tuple(row) for part in data for row in part["x"].tolist()]
    from sklearn.datasets import load_digits

    assert sorted(seen) == sorted(tuple(row) for row in (load_digits().data / 16).tolist())
    assert len(seen) - len(set(seen)) == len(load_digits().data) - len(
        {tuple(r) for r in load_digits().data.tolist()}
    )


@pytest.mark.parametrize("model,count", [("mlp", 8970), ("cnn", 5178)])
def test_parameter_counts_and_evaluation_mode(model, count):
    task = build("task", spec("digits", model=model))
    params, buffers = task.init(generator(0, "init"))
    assert sum(p.numel() for p in params.values()) == count
    x = task.data().test["x"][:7].float()
    net = task.network().eval()
    out = functional_call(net, {**params, **buffers}, (x,))
    y = out.argmax(1)
    assert float(task.metrics(task.statistics(params, buffers, {"x": x, "y": y}))["accuracy"]) == 1.0
