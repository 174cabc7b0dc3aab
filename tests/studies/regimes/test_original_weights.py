"""Kept weights in the files of the original: a state_dict for the task's network, or one note."""

from __future__ import annotations

import pytest
import torch
from trainings import DIGITS

from preheat.core.errors import UserError
from preheat.core.grid import Block
from preheat.core.spec import build
from preheat.core.study import Study, index_json
from preheat.lab.plan import Choice, Unit
from preheat.lab.unit import train_unit
from preheat.lab.weights import keeper, store_trained
from preheat.store.store import Store
from preheat.store.weights import Kept, weights_path
from preheat.studies.regimes.original_files import write_original_files

WARMUPS = [{"schedule.warmup": {"epochs": w}} for w in (0, 1)]
FIXED = {
    "task": DIGITS.json(),
    "optimizer": "sgd",
    "schedule": {"name": "cosine"},
    "peak_lr": 0.5,
    "length": "4ep",
    "evaluate": "1ep",
}
STUDY = Study(name="made", question="?", fixed=FIXED, grid=(Block(points=WARMUPS),), seeds=(0,))


def trained(tmp_path, kept) -> Store:
    """The first run with weights, the second with its record only."""
    store = Store.open(tmp_path / "results")
    with store.writer() as writer:
        for run, which in zip(STUDY.runs(), (kept, None), strict=True):
            by = keeper(which)
            found = train_unit(
                Unit((run,), Choice(1, "eager", 0, 0, 0)), None, beat=lambda _: False, keeper=by
            )
            store_trained(found, writer, store, kept=which, kept_by=by)
    return store


def written(store, tmp_path):
    index = index_json(STUDY, STUDY.points())
    return write_original_files(index, store, tmp_path / "out").parent


def test_best_weights_are_written_as_the_originals_checkpoints(tmp_path, capsys):
    kept = Kept("best", "accuracy")
    store, first = trained(tmp_path, kept), STUDY.runs()[0]
    out = written(store, tmp_path)
    (file,) = out.glob("checkpoints/*/best_model.pth")
    assert file.parent.name in {p.name for p in out.glob("metrics/*")}
    network, data = build("task", first.task).network().eval(), build("task", first.task).data().validation
    network.load_state_dict(torch.load(file, weights_only=True))
    right = (network(data["x"].float()).argmax(-1) == data["y"]).float().mean()
    assert float(right) == pytest.approx(max(store.load(first.id).trace["validation_accuracy"].values))
    assert "note: 1 experiment of 2 without best_model.pth" in capsys.readouterr().err
    weights_path(store.root, first.id, kept).write_bytes(b"half a file")
    with pytest.raises(UserError, match="must be a whole safetensors file"):
        written(store, tmp_path)


def test_without_them_one_note_is_said_and_the_rest_is_written(tmp_path, capsys):
    out = written(trained(tmp_path, Kept("final")), tmp_path)
    said = capsys.readouterr().err
    assert said.count("note:") == 1 and "2 experiments of 2 without best_model.pth: no best weights" in said
    assert (out / "all_results.json").is_file() and not (out / "checkpoints").exists()
