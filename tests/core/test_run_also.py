"""Numbers of the optimizer that follow a schedule: declared in a run, trained alone and in fleets, stored and
resumed."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from preheat.adapters.torch import ScheduleLR
from preheat.core.between import Between, between
from preheat.core.errors import UserError
from preheat.core.grid import label
from preheat.core.run import Run
from preheat.core.spec import spec
from preheat.engine import checkpoint
from preheat.engine.batches import order
from preheat.engine.finish import records
from preheat.engine.loop import set_up, train
from preheat.engine.placement import fleet, single
from preheat.schedules import cosine, linear, one_cycle
from preheat.store.store import Store
from preheat.studyfiles.reader import read_run, read_study

CYCLE = one_cycle(warmup=0.3, warmup_start=0, final=0)
FALL = Between(CYCLE, at_zero=0.95, at_peak=0.85)


def a_run(**changes) -> Run:
    base = {
        "task": spec("digits", examples_per_class=5),
        "optimizer": spec("sgd", momentum=0.9),
        "schedule": CYCLE,
    }
    return Run(
        **{**base, "peak_lr": 0.05, "length": "4ep", "batch_size": 16, "precision": "float64", **changes}
    )


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


# Between and the declaration
# -------------------------------------------------------------------------------------------


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
        (
            {"schedule": "cosine", "at_zero": 0.9, "at_peak": 0.8, "at_pek": 1},
            "unknown field .* did you mean 'at_peak'",
        ),
        ({"schedule": "cosin", "at_zero": 0.9, "at_peak": 0.8}, "did you mean 'cosine'"),
        ({"schedule": 3, "at_zero": 0.9, "at_peak": 0.8}, "schedule must be"),
        (
            {"schedule": "cosine", "at_zero": float("nan"), "at_peak": 0.8},
            "at_zero must be a finite number, got nan",
        ),
        (
            {"schedule": "cosine", "at_zero": 0.9, "at_peak": True},
            "at_peak must be a finite number, got True",
        ),
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


# Training
# -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "where",
    [single(), single("traced"), fleet(), fleet("traced")],
    ids=["one", "one traced", "fleet", "fleet traced"],
)
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_number_that_does_not_move_trains_bitwise_as_the_plain_one(optimizer, where):
    name = {"sgd": "momentum", "adamw": "beta1"}[optimizer]
    plain = a_run(optimizer=spec(optimizer, **{name: 0.8}))
    still = a_run(
        optimizer=spec(optimizer),
        also={name: Between(CYCLE, 0.8, 0.8), "weight_decay": Between(CYCLE, 0.0, 0.0)},
    )
    plain = plain.but(optimizer=spec(optimizer, **{name: 0.8}, weight_decay=0.0))
    many = 2 if where.stacked else 1
    assert traces(finish([plain] * many, where)) == traces(finish([still] * many, where))


def test_fleet_equals_singles_with_and_without_what_moves():
    runs = [
        a_run(optimizer=spec("adamw", weight_decay=0.02)),
        a_run(optimizer="adamw", also={"beta1": FALL}, seed=1),
        a_run(
            optimizer="adamw",
            also={"weight_decay": Between(cosine(), 0.0, 0.3), "beta2": Between("linear", 0.9, 0.99)},
        ),
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


# Files
# -----------------------------------------------------------------------------

MOVING = "{momentum: {schedule: {name: one_cycle, warmup_start: 0, final: 0}, at_zero: 0.95, at_peak: 0.85}}"


def test_a_file_declares_it_in_a_run_and_in_a_study(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(f"optimizer: sgd\nlength: 100\nalso: {MOVING}\n")
    assert read_run(file).also == {"momentum": FALL}
    file.write_text(
        f"fixed: {{optimizer: sgd, length: 100}}\ngrid:\n  - product: {{also: [{{}}, {MOVING}], peak_lr: "
        f"[0.1, 0.2]}}\nseeds: 2\n"
    )
    study = read_study(file)
    assert [bool(r.also) for r in study.runs()].count(True) == len(study.runs()) / 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("also: 3", r"yaml:2: also: .*must be keys with values"),
        (
            "also: {momentum: {schedule: cosin, at_zero: 0, at_peak: 0}}",
            r"yaml:2: also.momentum.schedule: .*did you mean 'cosine'",
        ),
        (
            "also: {momentun: {schedule: cosine, at_zero: 0, at_peak: 0}}",
            r"yaml:2: also.momentun: .*did you mean 'momentum'",
        ),
        (
            "also: {momentum: 3}",
            r"yaml:2: also.momentum: a hyperparameter that moves is Between\(.* \(got 3\) -- write",
        ),
        (
            "also: {momentum: {schedule: cosine, at_zero: 0}}",
            r"yaml:2: also.momentum: a hyperparameter that moves is",
        ),
        (
            "also: {momentum: {schedule: 3, at_zero: 0, at_peak: 0}}",
            r"also.momentum.schedule: schedule must be a name or",
        ),
        (
            "also: {momentum: {schedule: {name: wsd, finl: 1}, at_zero: 0, at_peak: 0}}",
            r"schedule.finl: .*mean 'final'",
        ),
        (
            "also: {momentum: {schedule: wsd, at_zero: 0, at_peak: 1.5}}",
            r"also.momentum.at_peak: momentum must be .*got 1.5",
        ),
        (
            "also: {momentum: {schedule: wsd, at_zero: low, at_peak: 0}}",
            r"at_zero: must be a finite number \(got 'low'\)",
        ),
        (
            "also.momentum.at_peak: 0.5",
            r"yaml:2: also.momentum.at_peak: also.momentum is given whole .*write also.momentum: {sch",
        ),
    ],
)
def test_a_file_says_what_is_wrong_with_it(tmp_path, text, words):
    file = tmp_path / "run.yaml"
    file.write_text(f"optimizer: sgd\n{text}\n")
    with pytest.raises(UserError, match=words):
        read_run(file)


def told(file, text):
    """What is wrong with a study's file: {line: sentence}, each line once."""
    file.write_text(text)
    with pytest.raises(UserError) as error:
        read_study(file)
    rows = [row.removeprefix(f"{file}:").split(": ", 1) for row in str(error.value).splitlines()]
    assert len({line for line, _ in rows}) == len(rows), rows
    return {int(line): sentence for line, sentence in rows}


STUDY = """grid: [{product: {schedule.warmup: [0, 1ep], peak_lr: [0.1]}}]
nuisance: [peak_lr]
fixed:
  length: 4ep
  optimizer: sgd
"""


def test_all_that_is_wrong_beside_what_moves_is_told_at_once(tmp_path):
    file = tmp_path / "bad.yaml"
    moves = "{schedule: wsd, at_zero: 0, at_peak: 0.1}"
    found = told(
        file,
        f"{STUDY}  schedule: wds\n  also:\n    weigth_decay: {moves}\n    beta1: {moves}\n    lr: {moves}\n",
    )
    assert "unknown schedule" in found[6] and "did you mean 'weight_decay'" in found[8]
    assert (
        all("number of optimizer 'sgd' that could move" in found[line] for line in (8, 9, 10))
        and len(found) == 4
    )
    late = "  also:\n    weight_decay: {schedule: {name: wsd, warmup: 9ep}, at_zero: 0, at_peak: 0.1}\n"
    assert list(told(file, STUDY + late)) == [7], "what moves is to blame, not the length"
    found = told(file, f"{STUDY}{late}  peak_lr: abc\n")
    assert "warmup 9ep" in found[7] and "fixed.peak_lr: must be a number (got 'abc')" in found[8]


ROWS = (
    "{schedule: wsd, at_zero: 0.1, at_peak: 0}",
    "{schedule: {name: wsd, cooldown: 50%}, at_zero: 0.1, at_peak: 0}",
)


def test_what_moves_is_an_axis_whole_or_one_by_one_and_reads_as_words(tmp_path):
    file = tmp_path / "axis.yaml"
    bare = f"also.weight_decay: [{', '.join(ROWS)}]"
    file.write_text(f"fixed: {{optimizer: sgd, length: 20}}\ngrid: [{{product: {{{bare}}}}}]\nseeds: 2\n")
    one = read_study(file)
    assert (
        one.scientific == ("also.weight_decay",)
        and [r.also["weight_decay"].at_zero for r in one.runs()] == [0.1] * 4
    )
    assert [label(p.axes["also.weight_decay"]) for p in one.points()[::2]] == [
        "0.1 to 0 by wsd",
        "0.1 to 0 by wsd(cooldown=50%)",
    ]
    wrapped = ", ".join(f"{{weight_decay: {row}}}" for row in ROWS)
    file.write_text(
        f"fixed: {{optimizer: sgd, length: 20}}\ngrid: [{{product: {{also: [{{}}, {wrapped}]}}}}]\nseeds: 2\n"
    )
    whole = read_study(file)
    assert whole.scientific == ("also",)
    names = ["none", "weight_decay 0.1 to 0 by wsd", "weight_decay 0.1 to 0 by wsd(cooldown=50%)"]
    assert [label(p.axes["also"]) for p in whole.points()[::2]] == names
