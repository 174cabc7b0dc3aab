"""--keep-weights: beside the record, never part of it; a run that has a record is trained again only for them."""

from __future__ import annotations

import re
from array import array
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from preheat.cli import main as cli
from preheat.cli import study_texts
from preheat.core.record import Record, Series, Status
from preheat.core.run import Run
from preheat.core.spec import build, spec
from preheat.engine.keys import generator
from preheat.lab.executors.base import Event
from preheat.lab.executors.processes import Processes
from preheat.lab.plan import Choice, Unit
from preheat.lab.train import train
from preheat.lab.unit import Stopped, train_unit
from preheat.lab.weights import keeper, parted
from preheat.lab.work import _tools, attempt
from preheat.store.store import Store
from preheat.store.weights import Kept, weights_path, without_weights
from preheat.studyfiles.reader import read_study

RUN = Run(
    task=spec("quadratic", sigma=0.1, examples=64), optimizer="sgd", peak_lr=0.5, length=30, batch_size=16
)
ASKED = [
    "run",
    "quadratic",
    "--set",
    "task.sigma=0.1",
    "--set",
    "task.examples=64",
    "--optimizer",
    "sgd",
    "--peak-lr",
    "0.5",
    "--steps",
    "30",
]
STUDY = """
name: small
question: "?"
fixed: {task: {name: digits, examples_per_class: 3}, optimizer: sgd, schedule: {name: cosine}, length: 3ep, batch_size: 16}
grid: [{product: {schedule.warmup: [{epochs: 0}, {epochs: 1}], peak_lr: [0.1]}}]
seeds: [0, 1]
"""
BEST = Kept("best", "loss", "min")
PAGE = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text(encoding="utf-8")
DOCUMENTED = re.search(r"^## Kept weights\n.*?^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)[1]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Processes, "execute", in_this_process)
    monkeypatch.setattr("preheat.lab.timing.LEAST_SECONDS", 0.0)  # how fast it is does not matter here
    _tools.cache_clear()  # it holds the files of the folder "results" of the test before


def in_this_process(self, units, job, *, workers):
    """The executor, without the processes."""
    for unit in units:
        said: list[Event] = []
        say = lambda kind, unit=unit, said=said, **facts: said.append(Event(kind, unit, **facts))
        assert attempt(job, unit, say=say, stop=lambda: False) is None
        yield from said


def asked(capsys, *words: str) -> tuple[int, str]:
    code = cli.main([*words])
    found = capsys.readouterr()
    return code, found.out + found.err


def contents(root: str = "results") -> list[bytes]:
    """All records, to the byte."""
    return [p.read_bytes() for p in sorted((Path(root) / "records").iterdir())]


def test_a_run_keeps_weights_beside_its_record_and_is_trained_again_only_for_them(capsys):
    run = [*ASKED, "--batch-size", "16"]
    assert asked(capsys, *run)[0] == 0
    before, root = contents(), Path("results")
    code, text = asked(capsys, *run, "--keep-weights", "final")
    assert code == 0 and f"run {RUN.id} has a record, but not its final weights" in text
    code, text = asked(capsys, *run, "--keep-weights", "best")
    assert code == 0 and f"best weights by validation_loss (min): {weights_path(root, RUN.id, BEST)}" in text
    assert "nothing is trained twice" in asked(capsys, *run, "--keep-weights", "best")[1]
    assert contents() == before and Store.open(root).load(RUN.id).run == RUN
    record = Store.open(root).load(RUN.id)
    losses = record.trace["validation_loss"]
    for kept, step in ((Kept("final"), 30), (BEST, losses.steps[losses.values.index(min(losses.values))])):
        with safe_open(weights_path(root, RUN.id, kept), "pt") as file:
            assert file.metadata() == {"run": RUN.id, "kept": str(kept), "step": str(step), "format": "pt"}
    task = build("task", RUN.task)
    loss = task.metrics(
        task.statistics(load_file(weights_path(root, RUN.id, BEST)), {}, task.data().validation)
    )["loss"]
    assert float(loss) == pytest.approx(min(losses.values), rel=1e-6)
    code, text = asked(capsys, "results", "--prune-weights")
    assert code == 0 and re.search("removed 2 files of weights, [1-9][0-9]* bytes; the records stay", text)
    assert not [*(root / "weights").iterdir()] and contents() == before


def test_of_a_record_with_other_losses_no_weights_are_kept(capsys):
    record = train(RUN)
    values = array("f", record.trace["train_loss"].values)
    values[3] *= 1.01
    trace = {**record.trace, "train_loss": Series(record.trace["train_loss"].steps, values)}
    with Store.open("results").writer() as writer:
        writer.append([replace(record, trace=trace)])
    before = contents()
    code, text = asked(capsys, *ASKED, "--batch-size", "16", "--keep-weights", "final")
    assert code == 2 and re.search(
        "the record of run .* stays, and no weights are kept: its losses must be", text
    )
    assert f"at step 3 it was {values[3]:.6g} and is {record.trace['train_loss'].values[3]:.6g}" in text
    assert contents() == before and not [*Path("results/weights").iterdir()]
    diverged = Record(RUN, Status("diverged", 0), {"train_loss": Series(array("q"), array("f"))})
    assert "the run was diverged at step 0 and is done" in parted(diverged, record)
    assert parted(record, train(RUN)) == parted(diverged, diverged) == ""


def test_a_study_says_what_it_will_keep_and_trains_its_records_again_only_for_it(capsys, monkeypatch):
    Path("small.yaml").write_text(STUDY)
    study = ["study", "small.yaml", "--no-report", "--jobs", "1", "--compile", "off"]
    runs = read_study("small.yaml").runs()
    assert asked(capsys, *study, "--limit", "2", "--name", "small")[0] == 0
    before, root = contents(), Path("results")
    with monkeypatch.context() as patch:
        patch.setattr(study_texts, "NAMED", 1)
        text = asked(capsys, *study, "--dry-run", "--keep-weights", "best")[1]
    assert re.search("with a record already: [0-9a-f]{16} and 1 more\n", text)
    text = asked(capsys, *study, "--dry-run", "--keep-weights", "best")[1]
    had = [r.id for r in runs if r.id in Store.open(root).ids()]
    files, size = re.search(
        r"best weights by validation_accuracy \(max\): (\d+) files, ([\d,]+) bytes", text
    ).groups()
    assert "2 have records, 4 to train" in text and len(had) == 2
    assert set(re.search("with a record already: (.*)", text)[1].split(" and ")) == set(had)
    assert not (root / "weights").exists(), "a dry run writes nothing"
    assert asked(capsys, *study, "--keep-weights", "best")[0] == 0
    kept = Kept("best", "accuracy")
    found = [weights_path(root, r.id, kept) for r in runs]
    assert int(files) == 4 and sum(f.stat().st_size for f in found) == int(size.replace(",", ""))
    assert all(new.startswith(old) for new, old in zip(contents(), before, strict=True))
    assert [len(Store.open(root).attempts(r.id)) for r in runs] == [1] * 4
    assert "4 have records, 0 to train." in asked(capsys, *study, "--keep-weights", "best")[1]
    other = weights_path(root, "0" * 16, kept)
    other.write_bytes(b"of another study")
    assert asked(capsys, "results", runs[0].id, "--prune-weights")[0] == 0
    assert without_weights(root, [r.id for r in runs], kept) == {runs[0].id}
    ours = load_file(found[1])
    accuracy = evaluated(runs[1], ours)
    assert accuracy == pytest.approx(
        max(Store.open(root).load(runs[1].id).trace["validation_accuracy"].values)
    )
    loaded: dict = {}
    exec(DOCUMENTED.replace("ID.final", f"{runs[1].id}.best-max-accuracy").replace("ID", runs[1].id), loaded)
    right = loaded["logits"].argmax(1) == loaded["task"].data().test["y"]
    assert float(right.float().mean()) == pytest.approx(evaluated(runs[1], ours, "test"))
    code, text = asked(capsys, "results", "small", "--prune-weights")
    assert code == 0 and "removed 3 files" in text and [*other.parent.iterdir()] == [other]
    assert asked(capsys, "results", "smal", "--prune-weights")[0] == 2


def evaluated(run: Run, weights: dict[str, torch.Tensor], part: str = "validation") -> float:
    task = build("task", run.task)
    params, buffers = task.init(generator(0, "init"))
    data = getattr(task.data(), part)
    assert weights.keys() == {*params, *buffers}
    batch = {n: t.float() if t.is_floating_point() else t for n, t in data.items()}
    return float(task.metrics(task.statistics(weights, {n: weights[n] for n in buffers}, batch))["accuracy"])


def test_a_study_whose_record_has_other_losses_says_so_and_ends(capsys):
    Path("small.yaml").write_text(STUDY)
    runs = read_study("small.yaml").runs()
    record = train(runs[0])
    trace = {**record.trace, "train_loss": Series(record.trace["train_loss"].steps, array("f", [9.0] * 6))}
    with Store.open("results").writer() as writer:
        writer.append([replace(record, trace=trace)])
    study = [
        "study",
        "small.yaml",
        "--no-report",
        "--jobs",
        "1",
        "--compile",
        "off",
        "--limit",
        "2",
        "--keep-weights",
        "final",
    ]
    code, text = asked(capsys, *study)
    assert code == 1 and f"unkept: {runs[0]}" in text and "at step 0 it was 9 and is" in text
    there = {
        i
        for i in Store.open("results").ids()
        if i not in without_weights(Path("results"), [i], Kept("final"))
    }
    assert len(there) == 1 and runs[0].id not in there


def test_a_stopped_run_goes_on_with_its_best_and_begins_anew_where_none_was_kept(tmp_path):
    unit, save = Unit((RUN,), Choice(1, "eager", 0.0, 0.0, 0)), tmp_path / "checkpoint"

    def go(kept, stop, every=0.0):
        by, told = keeper(kept), []
        train_unit(
            unit, save, beat=lambda b: b.progress.step >= stop, every=every, warn=told.append, keeper=by
        )
        return by.kept(), told

    whole, _ = go(BEST, 99)
    save.unlink(missing_ok=True)
    for first, said in ((BEST, ""), (None, "holds no best weights by validation_loss")):
        with pytest.MonkeyPatch().context() as patch:
            patch.setattr("preheat.lab.unit.BEAT_SECONDS", 0.0)
            with pytest.raises(Stopped):
                train_unit(unit, save, beat=lambda b: b.progress.step >= 12, keeper=keeper(first))
            (ours,), told = go(BEST, 99, every=1e9)
        assert ours[0] == whole[0][0] and all(torch.equal(t, whole[0][1][n]) for n, t in ours[1].items())
        assert bool(told) == bool(said) and said in "".join(told)
        save.unlink()
