"""Schedules over several lengths: what is drawn, the guides of the hyperbola, the published budgets and slopes."""

import numpy as np
import pytest
from paper_schedules import PAPER

from preheat.cli import main as cli
from preheat.core.errors import UserError
from preheat.pictures.budgets import (
    View,
    budgets_data,
    budgets_figure,
    decay_figure,
    guides,
    spent_data,
    spent_figure,
)
from preheat.schedules import EH, H, cosine, exp_hyperbolic, hyperbolic, linear, step
from preheat.schedules.measures.decay_rate import initial_slope


def lines(axes, kind="line"):
    return {line.get_gid(): line for line in axes.get_lines() if str(line.get_gid()).startswith(kind)}


def test_each_length_is_a_line_with_its_own_warmup():
    drawn = budgets_data({"a": cosine(warmup="10%"), "b": linear(warmup=5)}, [200, 50, 100, 100])
    assert list(drawn["a"]) == [50, 100, 200]
    assert [line.marks[1].x for line in drawn["a"].values()] == [5, 10, 20]
    assert [line.marks[1].x for line in drawn["b"].values()] == [5, 5, 5]
    fig = budgets_figure({"a": cosine(), "b": linear(), "c": step(period=20)}, [50, 100])
    assert [axes.get_title(loc="left") for axes in fig.axes if axes.get_visible()] == ["a", "b", "c"]
    shown = lines(fig.axes[1])
    np.testing.assert_allclose(shown["line-1"].get_ydata(), 1 - shown["line-1"].get_xdata() / 100, atol=1e-12)
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["50 steps", "100 steps"]


def test_a_code_is_built_anew_for_each_length():
    """Its values are those of the experiments' golden tables, U = 250 epochs."""
    view = View(per_epoch=1, peak=1e-2, unit="epochs")
    drawn = budgets_data({"H": H(), "EH": EH()}, [50, 100, 200], view=view)
    tenth = {
        name: [float(line.dot_y[10]) for line in found.values() if line.dot_y.size]
        for name, found in drawn.items()
    }
    assert tenth == {
        "H": pytest.approx([9.306669e-3], abs=5e-10),
        "EH": pytest.approx([5.280072e-3], abs=5e-10),
    }
    at_ten = [float(line.y[line.x == 10][-1]) for line in drawn["EH"].values()]
    assert at_ten == pytest.approx([5.280072e-3, 6.274788e-3, 6.863706e-3], abs=5e-10)


@pytest.mark.parametrize(
    ("upper", "slopes"),
    [
        (250, {50: 6.667e-3, 100: 5.0e-3, 150: 4.364e-3, 200: 4.082e-3, 250: 4.0e-3}),
        (1000, {250: 1.512e-3, 500: 1.155e-3, 750: 1.033e-3, 1000: 1e-3}),
    ],
)
def test_the_initial_slope_is_the_true_one(upper, slopes):
    """-(1 - f) / (U h(0)), not twice that as in the plot of the paper's project."""
    for n, printed in slopes.items():
        h0 = np.sqrt(n / upper * (2 - n / upper))
        found = initial_slope(hyperbolic(upper=upper, infimum=1e-4).resolve(n))
        assert found == pytest.approx((0, 1, -(1 - 1e-4) / (upper * h0)), rel=1e-6)
        assert -initial_slope(hyperbolic(upper=upper, infimum=0).resolve(n)).slope == pytest.approx(
            printed, abs=5e-7
        )
        log = initial_slope(exp_hyperbolic(upper=upper, infimum=1e-4).resolve(n))
        assert log.slope == pytest.approx(np.log(1e-4) / (upper * h0), rel=1e-4)
    late = initial_slope(linear(warmup=20).resolve(100))
    assert late == pytest.approx((20, 1, -1 / 80))


@pytest.mark.parametrize("n", [100, 700, 1000])
def test_the_asymptotes_have_one_slope_and_are_approached(n):
    """1 - x / U: the hyperbola is below it, and nearest where it begins; for N = U it is the line itself."""
    for made, log in (
        (hyperbolic(upper=1000, infimum=1e-3), False),
        (exp_hyperbolic(upper=1000, infimum=1e-3), True),
    ):
        found = guides(made, n, View(log=log))
        y = np.log(found.asymptote) / np.log(1e-3) if log else (1 - found.asymptote) / (1 - 1e-3)
        np.testing.assert_allclose(np.diff(y), np.diff(found.x) / 1000, rtol=1e-9)
        gap = found.asymptote - made.resolve(n).curve(found.x, after=False)
        assert (gap > -1e-12).all() and (np.allclose(gap, 0, atol=1e-12) == (n == 1000))
        logs = np.log(found.tangent) if log else found.tangent
        assert np.diff(logs).std() < 1e-9
    assert guides(cosine(), n, View()).asymptote is None


def test_guides_are_drawn_beside_their_lines():
    fig = budgets_figure(
        {"a": hyperbolic(upper=15, infimum=0), "b": cosine()}, [5, 10], view=View(guides=True)
    )
    assert lines(fig.axes[0], "asymptote").keys() == {"asymptote-0", "asymptote-1"}
    assert not lines(fig.axes[1], "asymptote") and len(lines(fig.axes[1], "slope")) == 2
    assert not lines(budgets_figure({"a": hyperbolic(upper=15)}, [5, 10]).axes[0], "slope")


def test_the_fall_is_drawn_where_there_is_one():
    """N = 200, U = 1000: the published figure's setting. The slope of the root is 1 / (400 sqrt(1 - t / 200))."""
    fig = decay_figure(PAPER, 200)
    rates, falls = fig.axes
    assert falls.get_yscale() == "log" and len(lines(rates)) == 5
    t, y = lines(falls, "fall")["fall-0"].get_data()
    np.testing.assert_allclose(y[:-5], 1 / (400 * np.sqrt(1 - t[:-5] / 200)), rtol=1e-4)
    np.testing.assert_allclose(lines(falls, "fall")["fall-2"].get_ydata(), 0.9999 / 200, rtol=1e-9)
    rising = lines(decay_figure({"a": linear(warmup="50%")}, 100).axes[1], "fall")["fall-0"]
    assert np.isnan(rising.get_ydata()).mean() == pytest.approx(0.5, abs=0.01)


def test_the_published_budgets_are_in_the_picture():
    ratios = {
        "poly": [0.25, 0.5, 0.75, 1, 1.25, 2.5],
        "cosine": [0.25, 0.5, 0.75, 1, 1.25, 2.5],
        "linear": [0.25, 0.5, 0.75, 1, 1.25, 2.5],
        "hyperbolic": [0.283, 0.538, 0.776, 1, 1.212, 2.121],
        "exp_hyperbolic": [0.387, 0.636, 0.834, 1, 1.145, 1.665],
    }
    totals = [50, 100, 150, 200, 250, 500]
    for name, spent in spent_data(PAPER, totals).items():
        found = [spent[n].budget / spent[200].budget for n in totals]
        assert found == pytest.approx(ratios[name], abs=6e-4)
    fig = spent_figure({"h": PAPER["hyperbolic"]}, [50, 200])
    assert [t.get_text() for t in fig.axes[0].get_legend().get_texts()] == [
        "50 steps: 44.748",
        "200 steps: 158.23",
    ]
    x, y = lines(fig.axes[0])["line-0"].get_data()
    assert (x[0], y[0], x[-1]) == (0, 0, 1) and y[-1] == pytest.approx(1) and (np.diff(y) > 0).all()


def test_the_commands_write_them(tmp_path, capsys):
    file = tmp_path / "a.svg"
    assert cli.main(["plot", "cosine", "--budgets", "10,20", "--guides", "--log", "--out", str(file)]) == 0
    assert file.read_bytes().count(b'id="line-') == 2
    line = ["compare", "cosine", "linear", "--budgets", "10,20", "--out", str(file)]
    assert cli.main(line) == 0
    assert "a-decay.svg" in (out := capsys.readouterr().out) and "a-budget.svg" in out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a-budget.svg", "a-decay.svg", "a.svg"]
    before = (tmp_path / "a-budget.svg").read_bytes()
    assert cli.main(line) == 0 and (tmp_path / "a-budget.svg").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("plot cosine --guides", "--guides needs it, got --guides: write --budgets"),
        ("plot cosine --budgets 10,20 --steps 5", "got --steps"),
        ("plot cosine --budgets 10", "two or more lengths"),
        (
            "plot hyperbolic:upper=100 --budgets 50,200",
            "hyperbolic:upper=100 on 200 steps: upper must be at least",
        ),
        ("plot wsd:warmup=40 --budgets 30,200", "on 30 steps: a schedule's pieces must fit"),
        ("plot --gallery --budgets 10,20", "controls of its own"),
        ("compare cosine --out a.gif", "a picture is .png, .svg or .pdf"),
    ],
)
def test_what_does_not_fit_is_told(words, message, capsys):
    assert cli.main(words.split()) != 0
    assert message in capsys.readouterr().err


def test_no_schedules_no_picture():
    with pytest.raises(UserError, match="at least one schedule"):
        budgets_figure({}, [1, 2])
