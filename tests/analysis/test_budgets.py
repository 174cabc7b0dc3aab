"""Curves of one setting at several budgets: the published numbers from the published file, and what is missing."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from documented import FENCE, run

from preheat.analysis.budgets import across_budgets
from preheat.analysis.learning_curves import LearningCurve, read_curves
from preheat.cli.main import main
from preheat.core.errors import UserError

FILE = Path(__file__).parents[1] / "stats" / "hyperboliclr" / "Result_CIFAR10_CNN_ACC-EH.csv"


def made(budget, *, series="EH", value=lambda e: 1 / e, **given):
    epochs = tuple(float(e) for e in range(1, budget + 1))
    return replace(LearningCurve(series, budget, "loss", epochs, tuple(map(value, epochs))), **given)


def test_the_published_row_of_a_table_from_its_file():
    """Kim 2024: SLCD, improvement and power law of EH on CIFAR-10."""
    (found,) = across_budgets(read_curves([FILE]), "max")
    assert [(p.shorter, p.longer) for p in found.pairs] == [
        (50, 100),
        (50, 150),
        (50, 200),
        (100, 150),
        (100, 200),
        (150, 200),
    ]
    printed = [f"{p.summed:.2e}" for p in found.pairs]
    assert printed == ["6.88e-04", "6.37e-04", "8.53e-04", "6.48e-04", "1.02e-03", "6.46e-04"]
    assert f"{found.summed:.1e}" == "7.5e-04"
    fit = found.power
    assert [f"{v:.4f}" for v in (found.gain.mean, found.gain.sd)] == ["0.0055", "0.0028"]
    law = [f"{v:.4f}" for v in (fit.a, fit.b, fit.r2, fit.adjusted, fit.p)]
    assert law == ["-0.2042", "0.0137", "0.9990", "0.9985", "0.0005"]


def test_series_and_metrics_are_apart_and_budgets_rise():
    other = [made(b, series="C", value=lambda e: 2 / e) for b in (20, 40)]
    curves = [made(60), made(20), made(40), *other, made(30, series="alone"), made(20, metric="error")]
    first, second = across_budgets(curves, "min")
    assert (first.series, first.budgets, second.budgets) == ("EH", (20, 40, 60), (20, 40))
    assert first.finals == (1 / 20, 1 / 40, 1 / 60) and first.power.b == pytest.approx(-1)
    assert first.gain.steps == pytest.approx((50, 100 / 3)) and first.notes == ()
    assert second.gain.steps == pytest.approx((50,)) and len(second.pairs) == 1


def test_what_is_missing_is_told_and_the_rest_is_measured():
    late = made(40, epochs=tuple(range(2, 41)), values=tuple(1 / e for e in range(2, 41)))
    cut = made(50, epochs=tuple(range(1, 31)), values=(0.5,) * 30)
    failed = made(60, value=lambda e: math.inf if e == 60 else 1.0)
    (found,) = across_budgets([made(20), late, cut, failed, made(70)], "min")
    assert found.finals[:2] == (1 / 20, 1 / 40) and all(map(math.isnan, found.finals[2:4]))
    known = [(p.shorter, p.longer) for p in found.pairs if not math.isnan(p.integral + p.summed)]
    assert known == [(20, 70)] and math.isnan(found.integral) and math.isnan(found.power.b)
    assert found.notes == (
        "EH40 loss: no SLCD, it has values at 39 epochs from 2 on, not at each of its budget",
        "EH50 loss: no SLCD, it ends at epoch 30, before its budget",
        "EH60 loss: no SLCD, a value is not finite",
    )


def test_values_of_0_and_short_budgets_have_no_integral():
    (found,) = across_budgets([made(4), made(8, value=lambda e: 8 - e)], "min")
    assert found.power is None and math.isnan(found.pairs[0].integral) and found.pairs[0].summed > 0


def test_one_budget_is_no_comparison():
    with pytest.raises(UserError, match=r"two budgets or more, got C40 loss, EH20 loss: give"):
        across_budgets([made(20), made(40, series="C"), replace(made(9), budget=None)], "min")
    with pytest.raises(UserError, match="one curve for each budget"):
        across_budgets([made(20), made(20)], "min")


def test_the_command_prints_them(capsys, tmp_path):
    assert main(["import", "csv", str(FILE), "--metrics", "accuracy"]) == 0
    out = capsys.readouterr().out
    assert "0.00546  0.002766  -0.2042  0.01373  0.999       0.9985  0.0004873" in out
    assert "EH       sum  0.000688  0.000637  0.000853  0.000648   0.00102  0.000646  0.000748" in out
    assert out.count("\n\n") == 2 and "note" not in out
    single = tmp_path / "one.csv"
    single.write_text("epoch,EH3_val_loss\n1,3\n2,2\n3,1\n", encoding="utf-8")
    assert main(["import", "csv", str(single), "--metrics", "loss"]) != 0
    assert "two budgets or more, got EH3 val_loss" in capsys.readouterr().err


def test_the_example_of_the_page_runs():
    page = Path(__file__).parents[2] / "docs" / "learning-curves.md"
    texts = [text for _, text in FENCE.findall(page.read_text(encoding="utf-8")) if "across_budgets" in text]
    assert texts
    run(texts, page.name)
