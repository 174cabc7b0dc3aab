"""Numbers of the optimizer that follow a schedule: declared in a run, trained alone and in fleets, stored and resumed."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from preheat.adapters.torch import ScheduleLR
from preheat.core.between import Between, between
from preheat.core.errors import UserError
from preheat.core.run import Run
from preheat.core.spec import spec
from preheat.engine import checkpoint
from preheat.engine.finish import records
from preheat.engine.loop import set_up, train
from preheat.engine.placement import fleet, single
from preheat.engine.prepare import order
from preheat.schedules import cosine, linear, one_cycle
from preheat.store.store import Store
from preheat.studies.reader import read_run, read_study

CYCLE = one_cycle(warmup=0.3, warmup_start=0, final=0)
FALL = Between(CYCLE, at_zero=0.95, at_peak=0.85)


def a_run(**changes) -> Run:
    base = {"task": spec("digits", examples_per_class=5), "optimizer": spec("sgd", momentum=0.9), "schedule": CYCLE}
    return Run(**{**base, "peak_lr": 0.05, "length": "4ep", "batch_size": 16, "precision": "float64", **changes})


def finish(runs, where, stop=None):
    """The records; with `stop` the training is broken off there, dumped and resumed."""
    setup = set_up(runs, where)
    for last in train(setup):
        if last.step == stop:
            break
    if stop is not None:
        bytes_of = checkpoint.dump(setup, last)
        setup = set_up(runs, where)
        *_, last = train(setup, checkpoint.load(setup, bytes_of))
    return records(setup, last)


def traces(some):
    return [{n: list(s.values) for n, s in r.trace.items()} for r in some]


# Between and the declaration -------------------------------------------------------------------------------------------


def test_a_between_is_its_ends_and_a_line():
    assert FALL.value(0.0) == 0.95 and FALL.value(1.0) == pytest.approx(0.85, rel=1e-15)
    np.testing.assert_allclose(FALL.value(np.array([0, 0.25, 0.5])), [0.95, 0.925, 0.9], rtol=1e-15)
    assert (Between(CYCLE, 0.7, 0.7).value(np.linspace(0, 1, 99)) == 0.7).all()
    assert between(json.loads(json.dumps(FALL.json()))) == FALL == between(FALL)
    assert Between("one_cycle", 1, 2) == Between({"name": "one_cycle"}, 1.0, 2.0)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"schedule": "cosine", "at_zero": 0.9}, "its fields, got"),
        ({"schedule": "cosine", "at_zero": 0.9, "at_peak": 0.8, "at_pek": 1}, "unknown field .* did you mean 'at_peak'"),
        ({"schedule": "cosin", "at_zero": 0.9, "at_peak": 0.8}, "did you mean 'cosine'"),
        ({"schedule": 3, "at_zero": 0.9, "at_peak": 0.8}, "schedule must be"),
        ({"schedule": "cosine", "at_zero": float("nan"), "at_peak": 0.8}, "at_zero must be a finite number, got nan"),
        ({"schedule": "cosine", "at_zero": 0.9, "at_peak": True}, "at_peak must be a finite number, got True"),
        (0.9, "its fields, got 0.9"),
    ],
)
def test_what_is_no_between_is_an_error(given, words):
    with pytest.raises(UserError, match=words):
        between(given)


def test_a_run_without_it_keeps_its_id_and_one_with_it_has_its_own():
    plain = a_run()
    assert "also" not in plain.json() and plain == a_run(also={})
    moving = a_run(also={"momentum": FALL})
    assert moving.id != plain.id and moving.json()["also"] == {"momentum": FALL.json()}
    for trusted in (False, True):
        assert Run.from_json(json.loads(json.dumps(moving.json())), trusted=trusted) == moving
    assert moving.but(seed=3).also == moving.also


@pytest.mark.parametrize(
    ("also", "words"),
    [
        ({"momentun": FALL}, "could move 'momentun': did you mean 'momentum'"),
        ({"nesterov": FALL}, "unknown number of optimizer 'sgd'"),
        ({"momentum": Between(CYCLE, 0.9, 1.5)}, "momentum must be at least 0 and below 1, got 1.5"),
        ({"momentum": Between(linear(warmup=10**6), 0.9, 0.8)}, "must fit in the run"),
        ({"momentum": Between(cosine(final="1e-6lr"), 0.9, 0.8)}, "needs the peak"),
        ([FALL], "also is a mapping"),
    ],
)
def test_what_can_not_move_is_told_when_the_run_is_built(also, words):
    with pytest.raises(UserError, match=words):
        a_run(also=also)


def test_a_record_whose_schedule_is_not_installed_can_still_be_read():
    data = a_run(also={"momentum": FALL}).json()
    data["also"]["momentum"]["schedule"] = {"name": "theirs", "bend": 2}
    run = Run.from_json(data, trusted=True)
    assert run.json() == data
    with pytest.raises(UserError, match=r"theirs.*--import"):
        run.moving("momentum", 0)


# Training --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "where", [single(), single("traced"), fleet(), fleet("traced")], ids=["one", "one traced", "fleet", "fleet traced"]
)
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_number_that_does_not_move_trains_bitwise_as_the_plain_one(optimizer, where):
    name = {"sgd": "momentum", "adamw": "beta1"}[optimizer]
    plain = a_run(optimizer=spec(optimizer, **{name: 0.8}))
    still = a_run(optimizer=spec(optimizer), also={name: Between(CYCLE, 0.8, 0.8), "weight_decay": Between(CYCLE, 0.0, 0.0)})
    plain = plain.but(optimizer=spec(optimizer, **{name: 0.8}, weight_decay=0.0))
    many = 2 if where.stacked else 1
    assert traces(finish([plain] * many, where)) == traces(finish([still] * many, where))


def test_fleet_equals_singles_with_and_without_what_moves():
    runs = [
        a_run(optimizer=spec("adamw", weight_decay=0.02)),
        a_run(optimizer="adamw", also={"beta1": FALL}, seed=1),
        a_run(optimizer="adamw", also={"weight_decay": Between(cosine(), 0.0, 0.3), "beta2": Between("linear", 0.9, 0.99)}),
    ]
    assert len({r.stack_key for r in runs}) == 1
    alone = [finish([r], single())[0] for r in runs]
    for realise in ("eager", "traced"):
        for one, together in zip(traces(alone), traces(finish(runs, fleet(realise))), strict=True):
            for name, values in one.items():
                np.testing.assert_allclose(values, together[name], rtol=1e-10, atol=1e-10)
    assert len({str(t) for t in traces(alone)}) == 3


def test_it_equals_torch_with_its_momentum_written_by_hand():
    run = a_run(also={"momentum": FALL, "weight_decay": Between("linear", 0.1, 0.0)})
    losses = traces(finish([run], single()))[0]["train_loss"]
    setup = set_up([run], single())
    params = {n: p.clone().requires_grad_() for n, p in setup.fleet.start.params.items()}
    opt = torch.optim.SGD(params.values(), lr=run.peak_lr, momentum=0.5, weight_decay=0.5)
    scheduler = ScheduleLR(opt, CYCLE, run.total_steps, also=run.also)
    for k in range(run.total_steps):
        epoch, i = divmod(k, run.steps_per_epoch)
        rows = order(setup.fleet, epoch)[i * run.batch_size : (i + 1) * run.batch_size]
        opt.zero_grad()
        value, _ = setup.fleet.task.loss(params, {}, {n: t[rows] for n, t in setup.fleet.train.items()})
        value.backward()
        assert value.item() == pytest.approx(losses[k], rel=1e-9)
        opt.step()
        scheduler.step()


@pytest.mark.parametrize("where", [single("traced"), fleet()], ids=["one", "fleet"])
def test_resumed_equals_uninterrupted_bitwise(where):
    runs = [a_run(also={"momentum": FALL}), a_run(seed=1)][: 2 if where.stacked else 1]
    assert traces(finish(runs, where)) == traces(finish(runs, where, stop=7))


def test_the_store_keeps_it(tmp_path):
    run = a_run(also={"momentum": FALL})
    store = Store.open(tmp_path)
    with store.writer() as writer:
        writer.append(finish([run], single()))
    assert store.load(run.id).run == run


# Files -----------------------------------------------------------------------------------------------------------------

MOVING = "{momentum: {schedule: {name: one_cycle, warmup_start: 0, final: 0}, at_zero: 0.95, at_peak: 0.85}}"


def test_a_file_declares_it_in_a_run_and_in_a_study(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(f"optimizer: sgd\nlength: 100\nalso: {MOVING}\n")
    assert read_run(file).also == {"momentum": FALL}
    file.write_text(
        f"fixed: {{optimizer: sgd, length: 100}}\ngrid:\n  - product: {{also: [{{}}, {MOVING}], peak_lr: [0.1, 0.2]}}\nseeds: 2\n"
    )
    study = read_study(file)
    assert [bool(r.also) for r in study.runs()].count(True) == len(study.runs()) / 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("also: 3", r"yaml:2: also: .*must be keys with values"),
        ("also: {momentum: {schedule: cosin, at_zero: 1, at_peak: 0}}", r"yaml:2: also: .*did you mean 'cosine'"),
        ("also: {momentun: {schedule: cosine, at_zero: 0, at_peak: 0}}", r"yaml:2: also: .*did you mean 'momentum'"),
    ],
)
def test_a_file_says_what_is_wrong_with_it(tmp_path, text, words):
    file = tmp_path / "run.yaml"
    file.write_text(f"optimizer: sgd\n{text}\n")
    with pytest.raises(UserError, match=words):
        read_run(file)
