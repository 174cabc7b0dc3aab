"""Runs that did not train: what the page says told it, and the training accuracy that records have for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fake_results import results

from preheat import Run
from preheat.analysis.results import Results
from preheat.lab.train import train
from preheat.report.report import report

KEY = "train_accuracy"


def told(accuracy: dict[int, float]) -> str:
    """The chapter's first words, of three rates that have these training accuracies; every run has half the
    probability of the right answer."""
    made = results(np.full((1, 1, 1, 3, 2), 0.5), train=np.full((1, 1, 1, 3, 2), np.log(2)))
    rates = sorted({r.axes["peak_lr"] for r in made.rows})
    right = {rate: accuracy.get(k) for k, rate in enumerate(rates)}
    rows = [
        replace(r, summary={**r.summary, **({} if (a := right[r.axes["peak_lr"]]) is None else {KEY: a})})
        for r in made.rows
    ]
    (chapter,) = report(Results(made.study, tuple(rows)), chapters=("untrained",)).chapters
    return chapter.shown.lead


def test_the_page_says_whether_accuracy_or_loss_told_it() -> None:
    by_loss = told({})
    assert by_loss.startswith("0 of 6 runs did not train") and "with a training loss less than" in by_loss
    by_accuracy = told({0: 0.9, 1: 0.14, 2: 0.12})
    assert by_accuracy.startswith("4 of 6 runs did not train: 0 diverged")
    assert "4 finished with a training accuracy over the last epoch below 1.5 times chance" in by_accuracy
    assert told({0: 0.9, 1: 0.14}) == by_loss, "one run without: the loss tells all of them"


def test_a_record_has_the_training_accuracy_of_its_last_epoch() -> None:
    task = {"name": "digits", "examples_per_class": 10, "watch": True}
    record = train(Run(task=task, optimizer="sgd", peak_lr=0.1, length="5", batch_size=50, evaluate="5"))
    last = record.trace[KEY].values[-2:]
    assert record.summary[KEY] == pytest.approx(sum(last) / 2) and len({*record.trace[KEY].values}) > 1
    plain = train(Run(task="quadratic", optimizer="sgd", peak_lr=0.5, length="5"))
    assert KEY not in plain.summary
