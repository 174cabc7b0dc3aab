"""What a user's task, optimizer, probe or network must not do is said, by name, before it counts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from trainings import a_run, bitwise, finish

from preheat.core.errors import UserError
from preheat.core.registry import OPTIMIZERS, PROBES, TASKS
from preheat.core.spec import spec
from preheat.engine.keys import generator
from preheat.engine.loop import set_up, train
from preheat.engine.placement import fleet, single
from preheat.lab.measure import signature
from preheat.optim.base import Optimizer
from preheat.probes.base import Probe
from preheat.tasks.base import Classification, Data
from preheat.tasks.network import Network, uniform
from preheat.tasks.regression import Regression, shaped


class Drops(nn.Module):
    """Four places of dropout, one of them a function."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(*[nn.Dropout(rate) for _ in range(3)], nn.Linear(4, 1))
        self.rate = rate

    def forward(self, x):
        return self.layers(functional.dropout(x, self.rate, self.training))


@dataclass(frozen=True)
class Odd(Regression):
    """A task that does one thing wrong, or right."""

    how: str = "right"
    rate: float = 0.3
    times: int = 1
    examples: int = 17  # not of the form of a batch

    def data(self):
        x = torch.randn(17, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        part = {"x": x, "y": x.sum(1)}
        if self.how == "nan":
            part["y"] = part["y"] / 0
        if self.how == "short":
            part["y"] = part["y"][1:]
        if self.how == "numpy":
            part["y"] = part["y"].numpy()
        return part if self.how == "dict" else Data(part, part, part)

    def network(self):
        return Drops(self.rate)

    def init(self, generator):
        params, buffers = super().init(generator)
        return {n: torch.randn_like(p) for n, p in params.items()} if self.how == "init" else params, buffers

    def loss(self, params, buffers, batch):
        value, fresh = super().loss(params, buffers, batch)
        return value + (float(np.random.rand()) if self.how == "numpy.random" else 0), fresh

    def statistics(self, params, buffers, batch):
        sums = super().statistics(params, buffers, batch)
        return {**sums, "noise": torch.rand(())} if self.how == "evaluated" else sums

    def metrics(self, sums):
        found = super().metrics(sums)
        return {**found, "pair": torch.zeros(2)} if self.how == "pair" else found


@dataclass(frozen=True)
class Wide(Classification):
    """More outputs than classes."""

    examples, classes = 4, 2

    def data(self):
        part = {"x": torch.zeros(4, 3), "y": torch.zeros(4, dtype=torch.int64)}
        return Data(part, part, part)

    def network(self):
        return nn.Linear(3, 5)


@dataclass(frozen=True)
class Bad:
    """An optimizer that does one thing wrong, or reads a number from itself."""

    how: str = "draws"
    keep: float = 0.5

    def build(self):
        def update(grads, state, params, hyper):
            new = {n: p - hyper["lr"] * grads[n] for n, p in params.items()}
            if self.how == "draws":
                new = {n: p + 0 * torch.randn_like(p) for n, p in new.items()}
            if self.how == "drops":
                new = dict(list(new.items())[:1])
            return (new, state) if self.how != "alone" else new

        def parameters(state, params):
            return {n: self.keep * p for n, p in params.items()}

        return Optimizer(lambda params: {"count": torch.zeros(())}, update, parameters)


@dataclass(frozen=True)
class Meddler(Probe):
    """A probe that does one thing wrong."""

    how: str = "changes"

    def measure(self, moment, memory):
        value = moment.loss
        if self.how == "changes":
            next(iter(moment.params.values())).zero_()
        if self.how == "draws":
            value = value + torch.rand(())
        if self.how == "vector":
            value = torch.stack([value, value])
        name = "train_loss" if self.how == "hides" else "meddled"
        return {name: float(value) if self.how == "float" else value}, memory


@pytest.fixture(autouse=True)
def registered():
    users = [
        (TASKS, "odd", Odd),
        (TASKS, "wide", Wide),
        (OPTIMIZERS, "bad", Bad),
        (PROBES, "meddler", Meddler),
    ]
    for registry, name, made in users:
        registry.register(name)(made)
    yield
    for registry, name, _ in users:
        registry._objects.pop(name)


def odd(**changes):
    return a_run(
        **{
            "task": "odd",
            "optimizer": "sgd",
            "batch_size": 8,
            "length": "6",
            "schedule": "constant",
            "peak_lr": 0.01,
            **changes,
        }
    )


WRONG = {
    "init": ({"task": spec("odd", how="init")}, "in init draws random numbers"),
    "numpy.random": ({"task": spec("odd", how="numpy.random")}, "in its loss draws random numbers"),
    "evaluated": ({"task": spec("odd", how="evaluated")}, "in its statistics draws random numbers"),
    "nan": (
        {"task": spec("odd", how="nan")},
        "train data of task 'odd' must be finite numbers, got others in 'y', first in row 0",
    ),
    "short": (
        {"task": spec("odd", how="short")},
        r"one row for each example, got {'x': \[17, 4\], 'y': \[16\]}",
    ),
    "numpy": ({"task": spec("odd", how="numpy")}, "'y': 'ndarray'"),
    "dict": ({"task": spec("odd", how="dict")}, r"must give Data\(train, validation, test\)"),
    "many": ({"task": spec("odd", examples=18)}, "got data of 17: examples must be at most 17"),
    "pair": ({"task": spec("odd", how="pair")}, r"must give a scalar tensor for 'pair', got \[2\]"),
    "wide": ({"task": "wide", "batch_size": 4}, r"must be \[B, classes\], \[4, 2\], got \[4, 5\]"),
    "optimizer draws": ({"optimizer": spec("bad")}, "optimizer 'bad' in update draws random numbers"),
    "drops": ({"optimizer": spec("bad", how="drops")}, "must give the parameters in the form they had"),
    "alone": ({"optimizer": spec("bad", how="alone")}, r"must give \(parameters, state\), got dict"),
    "changes": ({"probes": [spec("meddler")]}, "probe 'meddler' changes the training"),
    "draws": ({"probes": [spec("meddler", how="draws")]}, "probe 'meddler' draws random numbers"),
    "vector": ({"probes": [spec("meddler", how="vector")]}, r"scalar tensor for 'meddled', got \[2\]"),
    "float": ({"probes": [spec("meddler", how="float")]}, "scalar tensor for 'meddled', got float"),
    "hides": ({"probes": [spec("meddler", how="hides")]}, "'train_loss', which is recorded already"),
}


@pytest.mark.parametrize("changes,said", WRONG.values(), ids=WRONG)
def test_a_mistake_is_named(changes, said):
    with pytest.raises((UserError, ValueError), match=said):
        for _ in train(set_up([odd(**changes)], single())):
            pass


def test_what_a_run_can_not_be_declared_with():
    for changes, said in (
        ({"probes": [spec("grad_norm", every=2), spec("grad_norm", every=3)]}, "each probe is named once"),
        ({"evaluate": "1000sp"}, "samples"),
        ({"probes": [spec("grad_norm", every="5tok")]}, "tokens"),
        ({"probes": [spec("grad_norm", until="10/decade")]}, "how often, not how long"),
    ):
        with pytest.raises(UserError, match=said):
            odd(**changes)


def test_dropout_at_many_places_and_in_a_function_is_keyed_alone_and_in_a_fleet():
    runs = [odd(seed=s) for s in (1, 2)]
    together = finish(runs, fleet())[2]
    for run, record in zip(runs, together, strict=True):
        alone = finish([run], single())[2][0]
        np.testing.assert_allclose(
            record.trace["train_loss"].values, alone.trace["train_loss"].values, rtol=1e-10
        )
    assert bitwise(*(finish(runs[:1], single())[2][0] for _ in range(2)))
    net = Network(lambda: Drops(0.5))
    keys = net.noise(generator(0, "k"), 6)["dropout"]
    masks = [uniform(keys, place, torch.empty(6, 50)) for place in range(4)]
    assert len({m.numpy().tobytes() for m in masks}) == 4
    assert torch.equal(uniform(keys[2:4], 3, torch.empty(2, 50)), masks[3][2:4])


def test_a_number_that_is_read_from_the_optimizer_itself_shows():
    record = finish([odd(optimizer=spec("bad", how="right"))], single())[2][0]
    assert record.summary["validation_loss"] is None


def test_a_task_that_is_registered_again_is_read_again():
    before = finish([odd()], single())[2][0].summary["test_loss"]
    old = Odd.data
    try:
        Odd.data = lambda self: Data(*[{n: 3 * t for n, t in part.items()} for part in old(self)])
        assert finish([odd()], single())[2][0].summary["test_loss"] == before
        TASKS.register("odd")(Odd)
        assert finish([odd()], single())[2][0].summary["test_loss"] != before
    finally:
        Odd.data = old
        TASKS.register("odd")(Odd)


def test_the_planner_measures_options_that_cost_apart():
    few, many, cost = (odd(task=spec("odd", **o)) for o in ({"examples": 16}, {}, {"times": 9}))
    assert signature(few) == signature(many) != signature(cost)


def test_the_planner_takes_options_whose_default_is_none_that_may_be(tmp_path: Path):
    (tmp_path / "text.txt").write_text("All work and no play. " * 99)
    own = {"text_file": str(tmp_path / "text.txt"), "context": 16}
    text = odd(task=spec("own_text", **own, model=spec("gpt", width=16, depth=1, heads=1)))
    assert signature(text) == signature(text.but(seed=1))
    everything = {"source": "random", "selection": "test", "total_examples": 50000}
    whole = odd(task=spec("cifar10", **everything, model=spec("fcn", width=4)))
    assert signature(whole) == signature(whole.but(seed=1))


def test_one_example_has_the_shape_of_its_target():
    for out, y in (((1, 1), (1,)), ((1,), (1, 1)), ((2, 1), (2,)), ((3,), (3,))):
        assert shaped(torch.zeros(out), torch.zeros(y)).shape == y
    for out, y in (((2,), (2, 2)), ((1, 2), (2,)), ((1, 1, 1), (1,))):
        with pytest.raises(ValueError, match="must have the shape of y"):
            shaped(torch.zeros(out), torch.zeros(y))
