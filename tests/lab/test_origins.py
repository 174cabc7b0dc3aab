"""Records of one results folder are of one set of data: `preheat run`, `preheat study` and the
report."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from preheat.cli import main as cli
from preheat.core.record import Record, Status
from preheat.core.run import Run
from preheat.lab.origins import same_data
from preheat.report.report import provenance
from preheat.store.store import Store
from preheat.tasks.imitation import imitation
from preheat.tasks.sets import SETS

STUDY = """
name: mine
question: Does it?
fixed:
  task: {name: pathmnist, source: local, examples_per_class: 2, model: {name: simplecnn, width: 2, hidden: 4}}
  optimizer: sgd
  length: 2
  batch_size: 8
  evaluate: 2
grid: [{product: {schedule.warmup: [{steps: 0}, {steps: 1}]}}]
seeds: [SEEDS]
choosing: 0
metric: accuracy
goal: max
margin: 0.01
"""
RUN = (
    "run pathmnist --set task.source=local --set task.examples_per_class=2 --set task.model.name=simplecnn "
    "--steps 2 "
    "--set task.model.width=2 --set task.model.hidden=4 --optimizer sgd --batch-size 8 --evaluate 2 --device "
    "cpu"
)


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images one in the folder one, images two in the folder two."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREHEAT_DATA", "nowhere")
    for seed, name in enumerate(("one", "two")):
        file, content = imitation("pathmnist", 3, seed=seed)
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_bytes(content)


def said(capsys: pytest.CaptureFixture[str], line: str, code: int = 0) -> str:
    assert cli.main(shlex.split(line)) == code
    out = capsys.readouterr()
    return out.err if code else out.out


def refused(text: str) -> bool:
    """Whether the error names the rule, both sums and both ways out."""
    sums = {word for word in text.replace(",", " ").replace(":", " ").split() if len(word) == 32}
    return (
        len(sums) == 2 and "must be of one set of data" in text and "--results" in text and "--data" in text
    )


def test_a_record_of_other_local_images_is_not_given_for_a_run(capsys) -> None:
    first = said(capsys, f"{RUN} --data one")
    assert "has a record already" in said(capsys, f"{RUN} --data one")
    for line in (RUN, f"{RUN} --seed 1"):  # the run that has the record, and one beside it
        assert refused(said(capsys, f"{line} --data two", 2))
    second = said(capsys, f"{RUN} --data two --results other")
    numbers = [
        [line for line in text.splitlines() if line.startswith("train_loss")] for text in (first, second)
    ]
    assert numbers[0] and numbers[0] != numbers[1]
    assert numbers[0][0] in said(capsys, f"{RUN} --data nowhere"), "no files at hand: the record is shown"


def test_a_study_never_mixes_images_and_reports_without_them(tmp_path: Path, capsys) -> None:
    """All runs done, a mix of done and missing ones, a dry run; and with the files gone."""
    Path("study.yaml").write_text(STUDY.replace("SEEDS", "0, 1"))
    Path("more.yaml").write_text(STUDY.replace("SEEDS", "0, 1, 2"))
    how = "--device cpu --jobs 1 --placement single --compile off"
    assert "2 to train" in said(capsys, f"study study.yaml --limit 2 --no-report --data one {how}")
    for line in ("study.yaml --limit 2", "more.yaml", "more.yaml --dry-run"):
        assert refused(said(capsys, f"study {line} --data two {how}", 2))
    assert "have records, 0 to train" in said(
        capsys, f"study study.yaml --limit 2 --no-report --data nowhere {how}"
    )
    assert "source=local needs pathmnist.npz" in said(capsys, f"study more.yaml --data nowhere {how}", 2)
    heads = Store.open(tmp_path / "results", create=False).heads()
    told = provenance([h.provenance for h in heads])["data"]
    assert len(heads) == 2 and told.startswith("pathmnist.npz md5 ") and len(told.split()) == 3


def test_what_is_not_local_or_says_nothing_is_let_through(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PREHEAT_DATA", "two")
    mine, random = ({"name": "pathmnist", "source": s, "examples_per_class": 2} for s in ("local", "random"))
    local = Run(task=mine, length=2, batch_size=8)
    others = [
        Run(task=random, length=2, batch_size=8),
        Run(task={**mine, "name": "cifar10"}, length=2, batch_size=8),
    ]
    with Store.open(tmp_path / "results").writer() as writer:
        writer.append([Record(r, Status("done"), provenance={"data": "other md5 0"}) for r in others])
        writer.append([Record(local, Status("done"))])
    same_data([local, *others], tmp_path / "results")
    same_data([local], tmp_path / "none")
    assert not (tmp_path / "none").exists() and SETS["cifar10"].file not in {
        p.name for p in tmp_path.iterdir()
    }
