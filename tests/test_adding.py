"""docs/design.md shows the one file for every kind of addition: each is imported, trained or reported as it
stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from preheat import Run, spec, train
from preheat.analysis.stages import staged
from preheat.cli.main import main
from preheat.core.registry import EXPORTERS, REGISTRIES, import_file
from preheat.core.spec import build
from preheat.store.store import Store

PAGE = (Path(__file__).parents[1] / "docs" / "design.md").read_text(encoding="utf-8")
SHOWN = dict(re.findall(r"^### (An? [^\n]*)\n\n```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
TITLES = {title.split(":")[0]: title for title in SHOWN}


@pytest.fixture
def shown(tmp_path):
    """What a heading shows, as a file that is imported; forgotten afterwards."""
    before = {kind: dict(registry._objects) for kind, registry in REGISTRIES.items()}

    def give(heading):
        file = tmp_path / f"{re.sub(r'[^a-z]+', '_', heading.lower())}.py"
        file.write_text(SHOWN[heading], encoding="utf-8")
        import_file(file)
        return file

    yield give
    for kind, registry in REGISTRIES.items():
        for name in set(registry._objects) - set(before[kind]):
            if registry._objects[name].__module__.startswith("preheat_user_"):
                del registry._objects[name]


def small(**changes):
    return Run(**{"task": spec("digits", examples_per_class=5), "length": 4, "peak_lr": 0.01, **changes})


def test_every_kind_has_its_file():
    assert set(TITLES) == {
        *("A schedule", "A task", "A model", "An optimizer"),
        *(
            "A probe with memory, a rate that listens",
            "A study, a chapter of its own, an exporter",
            "A stage",
        ),
    }


def test_a_schedule(shown):
    shown("A schedule")
    table = small(length=20, schedule={"name": "two_lines", "warmup": 4}).factor
    assert table(4) == pytest.approx(1, abs=0.1) and table(19) < 0.05


def test_tasks_with_one_input_several_and_dropout(shown):
    shown(TITLES["A task"])
    sides, products = (train(small(task=name)) for name in ("sides", "products"))
    assert sides.status.outcome == products.status.outcome == "done"
    assert "test_accuracy" in sides.summary and {"test_loss", "test_log10_loss"} <= set(products.summary)


def test_a_model(shown):
    shown("A model")
    task = spec("digits", examples_per_class=5, model={"name": "flat_linear", "bias": False})
    assert train(small(task=task)).status.outcome == "done"
    assert sum(p.numel() for p in build("task", task).network().parameters()) == 640


def test_an_optimizer(shown):
    shown("An optimizer")
    record = train(small(optimizer="rprop_like", length=40))
    assert record.trace["train_loss"].values[-1] < record.trace["train_loss"].values[0]


def test_a_probe_and_a_rate_rule(shown):
    shown("A probe with memory, a rate that listens")
    record = train(small(probes=[spec("turning", every=1)], rate_rule="polyak", peak_lr=1.0))
    values = record.trace["turning"].values
    assert values[0] == pytest.approx(1) and max(map(abs, values)) <= 1 + 1e-6
    assert len(record.trace["train_learning_rate"].values) == 4 and "turning.0.weight" in record.trace


def test_a_study_with_its_chapter_and_an_exporter(shown, tmp_path, capsys, monkeypatch):
    file = shown("A study, a chapter of its own, an exporter")
    there = ["--import", str(file), "--results", str(tmp_path / "r")]
    assert main(["study", "short_question", *there, "--jobs", "1", "--compile", "off"]) == 0
    assert "4 runs, the longest of 10 updates." in (tmp_path / "r/short_question/report.html").read_text()
    assert main(["export", "short_question", "--to", "ids", *there]) == 0
    assert len((tmp_path / "r/short_question/ids/ids.txt").read_text().split()) == 4
    for given, text in (
        (lambda data, store, folder: folder.is_dir() and store.nothing, "failed in export: AttributeError: "),
        (lambda data, store, folder: None, "must give the path to begin with, got None"),
        (lambda store: "", "must take (data, store, folder), in this order, got (store)"),
    ):
        with monkeypatch.context() as patch:
            patch.setitem(EXPORTERS._objects, "ids", given)
            words = ["export", "short_question", "--to", "ids", *there, "--out", str(tmp_path / "new")]
            assert main(words) == 2
        said = capsys.readouterr().err.splitlines()[-1]
        assert said.startswith(f"preheat: exporter 'ids' {text}")


def test_a_stage(shown, tmp_path):
    shown(TITLES["A stage"])
    root = tmp_path / "results"
    study = build("study", spec("two_rounds")).study()
    first = study.points()
    assert staged(study, first, root) == (first, 4)
    records = {p.run.id: train(p.run) for p in first}
    with Store.open(root).writer() as writer:
        writer.append(list(records.values()))
    best = sorted(first, key=lambda p: records[p.run.id].summary["validation_loss"])[:2]
    asked = staged(study, first, root).points[4:]
    assert {p.run.id for p in asked} == {p.run.but(seed=seed).id for p in best for seed in (1, 2)}
