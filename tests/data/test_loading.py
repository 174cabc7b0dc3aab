"""Loaders of any task: a loop of one's own over them sees what a run of the same seed sees."""

from __future__ import annotations

import pytest
import torch
from torch.func import grad
from trainings import DIGITS, OPTIONS, a_run

from preheat.core.errors import UserError
from preheat.core.registry import TASKS
from preheat.core.spec import build, spec
from preheat.data import loaders
from preheat.engine.keys import generator
from preheat.engine.loop import set_up
from preheat.engine.placement import single
from preheat.lab.train import train


@pytest.mark.parametrize("task", [DIGITS, OPTIONS["quadratic"]], ids=["digits", "quadratic"])
def test_a_loop_of_ones_own_has_the_losses_of_the_run(task):
    """50 examples in batches of 20: the last of an epoch is smaller."""
    run = a_run(task=task, optimizer="sgd", schedule=None, batch_size=20, length="3ep", seed=7)
    made, losses = build("task", run.task), []
    params, buffers = ({n: t.double() for n, t in part.items()} for part in made.init(generator(7, "init")))
    ours = loaders(run.task, batch_size=20, seed=7, precision="float64")
    for _ in range(3):
        for batch in ours.train:
            loss, _ = made.loss(params, buffers, batch)
            grads, _ = grad(made.loss, has_aux=True)(params, buffers, batch)
            params = {n: p - run.peak_lr * grads[n] for n, p in params.items()}
            losses.append(float(loss))
    assert losses == pytest.approx(list(train(run).trace["train_loss"].values), rel=1e-10)


@pytest.mark.parametrize("name", TASKS._shipped)
def test_every_task_has_loaders_of_all_its_data(name):
    """Images with the noise of the run, which is that of the update."""
    task = OPTIONS.get(name, DIGITS)
    made, ours = build("task", task), loaders(task, batch_size=16, seed=1)
    first, *_, last = ours.train
    setup = set_up([a_run(task=task, batch_size=16, seed=1, precision="float32")], single())
    assert len(ours.train) == setup.fleet.per_epoch
    for got, step in ((first, 0), (last, len(ours.train) - 1)):
        params, _ = made.loss(setup.fleet.start.params, setup.fleet.start.buffers, got)
        noise = made.noise(generator(1, "noise", index=step), len(next(iter(got.values())))) or {}
        assert torch.isfinite(params) and all(
            torch.equal(got[n], t.to(got[n].dtype)) for n, t in noise.items()
        )
    for part, whole in zip(ours[1:], (setup.fleet.validation, setup.fleet.test), strict=True):
        for n, t in whole.items():
            assert torch.equal(torch.cat([b[n] for b in part]), t)


def test_epochs_differ_and_can_be_gone_back_to():
    def labels(train):
        return torch.cat([b["y"] for b in train]).tolist()

    ours, again = loaders("digits", seed=3), loaders(spec("digits"), seed=3)
    first, second = labels(ours.train), labels(ours.train)
    assert first != second and sorted(first) == sorted(second)
    again.train.sampler.set_epoch(1)
    assert labels(again.train) == second
    torch.manual_seed(0)
    drawn = labels(loaders("digits").train)
    torch.manual_seed(0)
    assert labels(loaders("digits").train) == drawn != labels(loaders("digits").train)


@pytest.mark.parametrize(
    "asked, said",
    [
        ({"task": "digit"}, "did you mean 'digits'"),
        ({"task": "digits", "batch_size": 5000}, r"1 to the number of training examples \(1000\), got 5000"),
        ({"task": "digits", "batch_size": True}, "got True"),
        ({"task": "digits", "seed": -1}, "seed must be a whole number >= 0, got -1"),
        ({"task": "digits", "seed": 1.5}, "seed must be a whole number >= 0, got 1.5"),
        ({"task": "digits", "workers": -1}, "workers must be a whole number >= 0, got -1"),
        ({"task": "digits", "precision": "float16"}, "unknown precision 'float16'"),
    ],
)
def test_what_is_wrong_is_said(asked, said):
    with pytest.raises(UserError, match=said):
        loaders(**asked)
