"""Every seam of the engine with one real user: a rate that listens, a probe that remembers, a task of two
inputs, a ranking measure over chunks, an average that is evaluated, two halves of a batch, keyed dropout."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn
from trainings import a_run, bitwise, finish, same_trace

from preheat.analysis.results import collect, read_index
from preheat.core.errors import UserError
from preheat.core.grid import Block
from preheat.core.lengths import length
from preheat.core.registry import OPTIMIZERS, PROBES, RATE_RULES, TASKS
from preheat.core.run import Run
from preheat.core.spec import build, spec
from preheat.core.study import Study, index_json
from preheat.engine import checkpoint
from preheat.engine.keys import generator
from preheat.engine.loop import set_up, train
from preheat.engine.placement import fleet, single
from preheat.lab.measure import signature
from preheat.optim.base import Optimizer, RateRule
from preheat.probes.base import Probe
from preheat.report.report import report
from preheat.store.store import Store
from preheat.tasks.base import Classification, Data, Networked
from preheat.tasks.grouped import Grouped
from preheat.tasks.network import Network, uniform
from preheat.tasks.regression import Regression

N = 24


def rows(outputs=None, groups=0):
    """Fixed data of two inputs, u [N, 3] and v [N, 2], targets y, groups g."""
    g = torch.Generator().manual_seed(1)
    u, v = (torch.randn(N, k, generator=g, dtype=torch.float64) for k in (3, 2))
    y = (u.sum(1) * v[:, 0] > 0).long() if outputs is None else torch.stack([u[:, 0] * v[:, 0], v.sum(1)], 1)
    more = {"g": torch.arange(N) % groups} if groups else {}
    part = {"u": u, "v": v, "x": torch.cat([u, v], 1), "y": y, **more}
    return Data(part, part, part)


class Both(nn.Module):
    """A module of two inputs, with dropout where `rate` is above 0."""

    def __init__(self, outputs: int, rate: float = 0.0) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(3, 8), nn.Linear(2, 8)
        self.drop, self.out = nn.Dropout(rate), nn.Linear(8, outputs)

    def forward(self, u, v):
        return self.out(self.drop(torch.tanh(self.left(u) * self.right(v))))


@dataclass(frozen=True)
class TwoInputs(Regression):
    """Two outputs of two inputs."""

    inputs = ("u", "v")
    examples = N
    rate: float = 0.0

    def data(self):
        return rows(outputs=2)

    def network(self):
        return Both(2, self.rate)


@dataclass(frozen=True)
class Ranked(Classification):
    """A classifier measured by the area under its ROC curve, which no sum over chunks can give."""

    inputs = ("u", "v")
    examples, classes = N, 2
    each = ("score", "label")

    def data(self):
        return rows()

    def network(self):
        return Both(2)

    def statistics(self, params, buffers, batch):
        logits, _ = self.called(params, buffers, batch, training=False)
        return {
            **super().statistics(params, buffers, batch),
            "score": logits[:, 1] - logits[:, 0],
            "label": batch["y"],
        }

    def metrics(self, sums):
        above = sums["score"][:, None] > sums["score"][None, :]
        pairs = (sums["label"][:, None] == 1) & (sums["label"][None, :] == 0)
        return {**super().metrics(sums), "auc": (above & pairs).sum() / pairs.sum()}


@dataclass(frozen=True)
class Worst(Grouped):
    """Three groups, trained by group DRO where robust is above 0."""

    examples, classes, groups = N, 2, 3
    robust: float = 0.0  # type: ignore[assignment]

    def data(self):
        return rows(groups=3)

    def network(self):
        return nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 2))


@dataclass(frozen=True)
class Polyak(RateRule):
    """min(1, (loss - floor) / (lr ||g||^2)), B. T. Polyak 1987: never above the scheduled rate."""

    floor: float = 0.0

    def init(self, params):
        return {"lowest": next(iter(params.values())).new_tensor(float("inf"))}

    def rate(self, state, moment, loss_on_batch):
        here = loss_on_batch(moment.params)  # the loss before the step, once more
        square = sum((g * g).sum() for g in moment.grads.values())
        factor = ((here - self.floor) / (moment.lr * square)).clamp(max=1.0)
        return factor, {"lowest": torch.minimum(state["lowest"], here.detach())}


@dataclass(frozen=True)
class LossDrop(Probe):
    """How far the loss is below the first one measured, and how often it was measured."""

    def start(self, moment):
        return {"first": moment.loss, "times": torch.zeros_like(moment.loss)}

    def measure(self, moment, memory):
        times = memory["times"] + 1
        found = {
            "loss_drop": memory["first"] - moment.loss,
            "drop_times": times,
            "drop_rate": moment.hyper["lr"],
        }
        return found, {**memory, "times": times}


@dataclass(frozen=True)
class Averaged:
    """SGD whose exponential average is what is evaluated."""

    decay: float = 0.9

    def build(self):
        def init(params):
            return {"mean": dict(params)}

        def update(grads, state, params, hyper):
            new = {n: p - hyper["lr"] * grads[n] for n, p in params.items()}
            return new, {
                "mean": {
                    n: hyper["decay"] * m + (1 - hyper["decay"]) * new[n] for n, m in state["mean"].items()
                }
            }

        return Optimizer(init, update, lambda state, params: state["mean"])


USERS = [
    (TASKS, {"two": TwoInputs, "ranked": Ranked, "worst": Worst}),
    (RATE_RULES, {"polyak": Polyak}),
    (PROBES, {"loss_drop": LossDrop}),
    (OPTIMIZERS, {"averaged": Averaged}),
]


@pytest.fixture(autouse=True)
def registered():
    for registry, made in USERS:
        for name, one in made.items():
            registry.register(name)(one)
    yield
    for registry, made in USERS:
        for name in made:
            registry._objects.pop(name)


def a_small(**changes):
    base = {"task": "two", "optimizer": "sgd", "schedule": "constant", "batch_size": 10, "length": "9"}
    return a_run(**{**base, "peak_lr": 0.1, "evaluate": "3", **changes})


LAWS = {
    "two inputs": {},
    "dropout": {"task": spec("two", rate=0.4)},
    "ranking": {"task": "ranked"},
    "groups": {"task": "worst"},
    "group DRO": {"task": spec("worst", robust=0.5)},
    "rate rule": {"rate_rule": spec("polyak", floor=0.1)},
    "trial updates": {"rate_rule": spec("persistent_catapult", passes=5), "peak_lr": 200.0},
    "memory": {"probes": [spec("loss_drop", every=2)]},
    "average": {"optimizer": "averaged"},
    "decades": {"evaluate": "2/decade", "probes": [spec("loss_drop", every="4/decade")]},
}


@pytest.mark.parametrize("changes", LAWS.values(), ids=LAWS)
def test_fleets_equal_singles_and_resumed_equals_uninterrupted(changes):
    runs = [a_small(**{"peak_lr": 0.1, **changes}, seed=s) for s in range(3)]
    runs = [r.but(peak_lr=r.peak_lr * (s + 1)) for s, r in enumerate(runs)]
    alone = [finish([r], single("traced"))[2][0] for r in runs]
    for one, together in zip(alone, finish(runs, fleet())[2], strict=True):
        same_trace(one, together)
    for where, some in ((single(), runs[:1]), (fleet("traced"), runs)):
        setup = set_up(some, where)
        saved = checkpoint.dump(setup, next(p for p in train(setup) if p.step == 5))
        resumed = finish(some, where, lambda fresh, saved=saved: checkpoint.load(fresh, saved))[2]
        assert all(bitwise(a, b) for a, b in zip(finish(some, where)[2], resumed, strict=True))


def test_half_a_fleets_checkpoint_carries_its_memory():
    runs = [a_small(seed=s, probes=[spec("loss_drop", every=2)]) for s in range(2)]
    setup = set_up(runs, fleet())
    saved = checkpoint.dump(setup, next(p for p in train(setup) if p.step == 5))
    for run, part in zip(runs, checkpoint.split(saved, 1), strict=True):
        found = finish([run], single(), lambda fresh, part=part: checkpoint.load(fresh, part))[2][0]
        same_trace(found, finish([run], single())[2][0])


@pytest.mark.parametrize("rule", [None, spec("polyak")])
def test_probes_with_memory_change_nothing(rule):
    run = a_small(rate_rule=rule)
    plain, probed = (finish([r], single())[2][0] for r in (run, run.but(probes=[spec("loss_drop", every=1)])))
    assert all(plain.trace[n].values == probed.trace[n].values for n in plain.trace)
    drop, loss = probed.trace["loss_drop"].values, probed.trace["train_loss"].values
    assert drop.tolist() == [loss[0] - x for x in loss] and probed.trace["drop_times"].values[-1] == 9
    used = probed.trace["train_learning_rate"].values if rule else [run.peak_lr] * 9
    assert probed.trace["drop_rate"].values.tolist() == list(used)


def test_a_rate_rule_is_what_one_would_write_by_hand():
    run = a_small(rate_rule=spec("polyak", floor=0.1), peak_lr=2.0)
    record = finish([run], single())[2][0]
    setup = set_up([run], single())
    params, losses, used = setup.fleet.start.params, [], []
    for _, batch in zip(range(9), setup.batches(0), strict=False):
        grads, (value, _) = setup.do.grads(params, {}, batch)
        lr = min(2.0, float((value - 0.1) / sum((g * g).sum() for g in grads.values())))
        params = {n: p - lr * grads[n] for n, p in params.items()}
        losses.append(float(value)), used.append(lr)
    np.testing.assert_allclose(record.trace["train_loss"].values, losses, rtol=1e-10)
    np.testing.assert_allclose(record.trace["train_learning_rate"].values, used, rtol=1e-10)
    assert min(used) < 2.0, "the rule decided at least once"


def test_a_rule_is_in_a_runs_id_only_where_there_is_one():
    plain, ruled = a_small(), a_small(rate_rule="polyak")
    assert "rate_rule" not in plain.json() and ruled.json()["rate_rule"] == {"name": "polyak", "floor": 0.0}
    assert (
        plain.id != ruled.id and plain.stack_key != ruled.stack_key and ruled == Run.from_json(ruled.json())
    )
    with pytest.raises(UserError, match="unknown rate rule 'polyack'"):
        a_small(rate_rule="polyack")


def test_what_is_evaluated_is_the_average():
    run = a_small(optimizer="averaged")
    setup, end, (record,) = finish([run], single())
    task, mean, data = build("task", run.task), end.state.opt["mean"], setup.fleet.test
    expected = task.metrics(task.statistics(mean, {}, data))["loss"]
    assert record.summary["test_loss"] == pytest.approx(float(expected), rel=1e-12)
    trained = task.metrics(task.statistics(end.state.params, {}, data))["loss"]
    assert abs(float(trained) - record.summary["test_loss"]) > 1e-6


@pytest.mark.parametrize("where", [single(), fleet()], ids=["single", "fleet"])
@pytest.mark.parametrize("task", ["ranked", "worst", "two"])
def test_metrics_over_chunks_are_those_of_the_whole_set(task, where, monkeypatch):
    runs = [a_small(task=task, seed=s) for s in range(2 if where.stacked else 1)]
    whole = finish(runs, where)[2]
    monkeypatch.setattr("preheat.engine.loop.CHUNK", 7)
    for a, b in zip(whole, finish(runs, where)[2], strict=True):
        assert a.trace["validation_loss"].values[0] == pytest.approx(
            b.trace["validation_loss"].values[0], rel=1e-12
        )
        for name in ("auc", "accuracy", "worst_group_accuracy", "group_1_accuracy"):
            assert a.summary.get(f"test_{name}") == b.summary.get(f"test_{name}")
    assert {"ranked": "test_auc", "worst": "test_worst_group_accuracy", "two": "test_log10_loss"}[
        task
    ] in a.summary


def test_group_dro_is_the_papers_rule():
    run = a_small(task=spec("worst", robust=0.5), batch_size=N, length="3")
    setup, end, _ = finish([run], single())
    params, q = setup.fleet.start.params, np.full(3, 1 / 3)
    for _, batch in zip(range(3), setup.batches(0), strict=False):
        logits = build("task", run.task).called(params, {}, batch, training=True)[0]
        each = nn.functional.cross_entropy(logits, batch["y"], reduction="none")
        means = np.array([float(each[batch["g"] == g].mean()) for g in range(3)])
        q = q * np.exp(0.5 * means)
        q /= q.sum()
        grads, _ = setup.do.grads(params, {"group_weights": torch.tensor(q / np.exp(0.5 * means))}, batch)
        params = {n: p - 0.1 * grads[n] for n, p in params.items()}
    np.testing.assert_allclose(end.state.buffers["group_weights"], q, rtol=1e-10)
    for name, p in params.items():
        torch.testing.assert_close(end.state.params[name], p, rtol=1e-10, atol=1e-12)


class Halves:
    """Two threads, each with half of every batch: a sum or a mean waits for the other."""

    def __init__(self) -> None:
        self.meet, self.given = threading.Barrier(2, timeout=60), [None, None]
        self.turn = threading.Lock()

    def wait(self):
        """A module can't be called functionally by two threads at once: one computes while the other waits."""
        self.turn.release()
        self.meet.wait()
        self.turn.acquire()

    def joined(self, rank, scale):
        def join(tensors):
            self.given[rank] = tensors
            self.wait()
            one, other = self.given
            out = torch.utils._pytree.tree_map(lambda a, b: (a + b) * scale, one, other)
            self.wait()
            return out

        return join

    def train(self, run):
        ends = [None, None]

        def work(rank):
            with self.turn:
                halved(rank)

        def halved(rank):
            where = single()._replace(mean=self.joined(rank, 0.5), sum=self.joined(rank, 1.0))
            setup = set_up([run], where)
            half = run.batch_size // 2
            mine = slice(rank * half, (rank + 1) * half)

            def batches(k, whole=setup.batches):
                for batch in whole(k):
                    yield {n: t[mine] for n, t in batch.items()}

            for now in train(setup._replace(batches=batches, evaluations=frozenset())):
                ends[rank] = now

        threads = [threading.Thread(target=work, args=(rank,)) for rank in range(2)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        return ends


@pytest.mark.parametrize(
    "task", ["worst", spec("worst", robust=0.5), spec("two", rate=0.4)], ids=["mean", "sum", "dropout"]
)
def test_two_halves_of_every_batch_equal_the_whole(task):
    """What the probes see of the whole batch, too."""
    probes = [spec("grad_norm", every=2), spec("hessian_trace", every=3, examples=12)]
    probes += [spec("sharpness", every=3, products=6), spec("critical_sharpness", every=3)]
    probes += [spec("representation_change", every=3), spec("directional_sharpness", every=3)]
    run = a_small(task=task, batch_size=12, length="6", probes=probes)
    whole = finish([run], single())[1]
    for half in Halves().train(run):
        torch.testing.assert_close(half.losses, whole.losses, rtol=1e-10, atol=1e-12)
        for name, p in whole.state.params.items():
            torch.testing.assert_close(half.state.params[name], p, rtol=1e-10, atol=1e-12)
        assert {k for k, _ in half.measured} >= {0, 2, 3, 4}
        for k, values in half.measured:
            for name, value in values.items():
                known = next(v[name] for at, v in whole.measured if at == k and name in v)
                torch.testing.assert_close(value, known, rtol=1e-9, atol=1e-11)


def test_probes_and_evaluations_spaced_by_decades():
    run = a_small(evaluate="2/decade", probes=[spec("loss_drop", every="1/decade")], length="40")
    record = finish([run], single())[2][0]
    assert record.trace["validation_loss"].steps.tolist() == [0, 1, 3, 10, 31, 40]
    assert record.trace["loss_drop"].steps.tolist() == [0, 1, 10]
    assert Run.from_json(run.json()) == run and str(length("2/decade")) == "2/decade"
    for wrong in ({"length": "2/decade"}, {"schedule": {"name": "cosine", "warmup": "2/decade"}}):
        with pytest.raises(UserError):
            a_small(**wrong)


# --- networks


def test_dropout_keeps_its_share_scales_and_differs_by_step_seed_and_layer():
    net = Network(lambda: nn.Sequential(nn.Dropout(0.3), nn.Dropout(0.5)))
    x, keys = (
        torch.ones(64, 500, dtype=torch.float64),
        [net.noise(generator(0, "k", index=i), 64)["dropout"] for i in (0, 1)],
    )
    a, b = (net({}, {}, x, training=True, key=k)[0] for k in keys)
    assert set(a.unique().tolist()) == {0.0, 1 / 0.7 / 0.5} and not torch.equal(a, b)
    assert abs(float((a > 0).double().mean()) - 0.35) < 0.01 and abs(float(a.mean()) - 1) < 0.03
    assert torch.equal(net({}, {}, x, training=False)[0], x)
    u, v = uniform(keys[0], 0, x).flatten(), uniform(keys[0], 1, x).flatten()
    assert abs(float(torch.corrcoef(torch.stack([u, v]))[0, 1])) < 4 / len(u) ** 0.5
    edges = torch.histc(u, 16, 0, 1)
    assert float(((edges - len(u) / 16) ** 2 / (len(u) / 16)).sum()) < 45, (
        "chi-squared, 15 degrees of freedom"
    )


@pytest.mark.parametrize(
    "layer,axes", [(nn.Dropout1d(0.5), 1), (nn.Dropout2d(0.5), 2), (nn.Dropout3d(0.5), 3)]
)
def test_channels_are_dropped_whole(layer, axes):
    net = Network(lambda: layer)
    x = torch.ones(16, 8, *[3] * axes)
    kept = net({}, {}, x, training=True, key=torch.tensor(5))[0].flatten(2)
    assert (kept == kept[..., :1]).all() and set(kept.unique().tolist()) == {0.0, 2.0}


@dataclass(frozen=True)
class Wrong(Networked):
    """A task whose loss does what it must not."""

    how: str = "builds"
    examples = N

    def data(self):
        return rows(outputs=2)

    def network(self):
        return nn.Linear(5, 2)

    def loss(self, params, buffers, batch):
        if self.how == "builds":
            return nn.Linear(5, 1)(batch["x"].float()).mean(), buffers
        return torch.rand(()).double() + params["weight"].sum(), buffers

    def statistics(self, params, buffers, batch):
        return {"loss": params["weight"].sum()}

    def metrics(self, sums):
        return sums


@pytest.mark.parametrize(
    "how,said",
    [("builds", r"builds a network in its loss \(Linear\)"), ("draws", "in its loss draws random numbers")],
)
def test_a_network_built_in_the_loss_is_told_apart_from_random_numbers(how, said):
    TASKS.register("wrong")(Wrong)
    try:
        with pytest.raises(UserError, match=said):
            set_up([a_small(task=spec("wrong", how=how))], single())
    finally:
        TASKS._objects.pop("wrong")


def test_a_task_of_the_old_contract_is_told_the_new_one():
    with pytest.raises(UserError, match=r"metrics of task class Old must take \(self, sums\)"):
        type("Old", (TwoInputs,), {"metrics": lambda self, params, buffers, batch: {}})


def test_outputs_that_would_be_broadcast_are_refused():
    task = TwoInputs()
    params, buffers = task.init(generator(0, "init"))
    batch = {n: t[:4].float() for n, t in task.data().train.items()}
    with pytest.raises(ValueError, match="must have the shape of y"):
        task.loss(params, buffers, {**batch, "y": torch.zeros(4, 3)})


def test_a_page_shows_the_rates_that_were_used(tmp_path):
    fixed = {
        "task": "two",
        "optimizer": "sgd",
        "length": 9,
        "batch_size": 10,
        "peak_lr": 2.0,
        "schedule": "constant",
    }
    study = Study(
        *(
            "ruled",
            "Does it matter?",
            (Block({"rate_rule": (None, {"name": "polyak", "floor": 0.1})}),),
            fixed,
        ),
        **{"metric": "loss", "seeds": (0, 1), "scientific": ("rate_rule",), "treatment": "rate_rule"},
    )
    store, points = Store.open(tmp_path), study.points()
    with store.writer() as writer:
        writer.append([finish([p.run], single())[2][0] for p in points])
    read = collect(*read_index(json.loads(json.dumps(index_json(study, points)))), store.heads())
    made = report(read, store.load)
    rates: dict[str, list[float]] = {}
    for row in made.tables()["curves"]:
        if row["what"] == "learning_rate":
            rates.setdefault(row["treatment"], []).append(row["y"])
    scheduled, used = rates.values()
    assert set(scheduled) == {2.0} and min(used) < 2.0


def test_the_planner_measures_a_rule_apart():
    rates = [a_small(rate_rule=spec("polyak", floor=floor)) for floor in (0.1, 0.2)]
    assert signature(rates[0]) == signature(rates[1]) != signature(a_small())
