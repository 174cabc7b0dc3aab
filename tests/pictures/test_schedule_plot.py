"""The data of schedule pictures, and what a drawn picture keeps: words apart, equal bytes, no pyplot."""

import json
import shlex
import subprocess
import sys

import numpy as np
import pytest

from preheat.cli import main as cli
from preheat.cli.schedules import schedule_words
from preheat.core.errors import UserError
from preheat.pictures.plot import save_figure, schedule_data, schedule_figure
from preheat.schedules import cosine, exponential, inverse_sqrt, linear, one_cycle, step, wsd

MANY = {
    "wsd": wsd(warmup="5%"),
    "cosine": cosine(warmup="10%"),
    "one_cycle": one_cycle(),
    "inverse_sqrt": inverse_sqrt(warmup="10%"),
    "step": step(warmup="5%"),
    "linear": linear(warmup="20%"),
    "exponential": exponential(),
    "floor": cosine(final=0.1),
}


def test_the_curve_passes_through_every_boundary_and_both_sides_of_a_jump():
    line = schedule_data({"a": step(milestones=[333], warmup="5%")}, total=1001, peak=0.2)["a"]
    assert (np.diff(line.x) >= 0).all() and line.x[0] == 0 and line.x[-1] == 1001
    assert line.y[line.x == 333].tolist() == pytest.approx([0.2, 0.02])
    assert line.y[np.isclose(line.x, 50.05)].max() == 0.2
    assert [m.label for m in line.marks] == ["start", "warmup ends", "drop", "end"]
    assert line.dot_x.size == 0


@pytest.mark.parametrize(("unit", "end"), [("steps", 200), ("epochs", 10), ("progress", 1)])
def test_units(unit, end):
    line = schedule_data({"a": wsd(warmup="1ep")}, total=200, per_epoch=20, unit=unit)["a"]
    assert line.x[-1] == line.marks[-1].x == end
    assert line.marks[1].x == pytest.approx(end / 10)


def test_what_is_held_for_an_epoch_is_drawn_as_stairs():
    schedule = cosine(warmup="2ep", every="epoch")
    line = schedule_data({"a": schedule}, total=95, per_epoch=10)["a"]
    table = schedule.resolve(95, 10).table()
    assert line.x.tolist() == [0, *np.repeat(np.arange(10, 95, 10), 2), 95]
    np.testing.assert_array_equal(line.y, np.repeat(table[::10], 2))
    assert line.marks[1].y == table[20]


def test_a_short_run_shows_its_updates():
    for at, offset in (("left", 0), ("mid", 0.5), ("right", 1)):
        line = schedule_data({"a": linear(at=at)}, total=20, peak=2.0)["a"]
        assert line.dot_x.tolist() == (np.arange(20) + offset).tolist()
        np.testing.assert_allclose(line.dot_y, 2 * (1 - line.dot_x / 20), atol=1e-15)


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize(
    "schedules", [MANY, {"one": MANY["wsd"]}, {"one": MANY["step"]}], ids=["many", "wsd", "step"]
)
def test_words_do_not_overlap_and_stay_inside(schedules, log):
    fig = schedule_figure(schedules, total=1000, peak=0.1, log=log)
    ax = fig.axes[0]
    boxes = [t.get_window_extent() for t in ax.texts]
    assert len(boxes) >= 2
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert all(
        ax.bbox.x0 <= b.x0 and b.x1 <= ax.bbox.x1 and ax.bbox.y0 <= b.y0 and b.y1 <= ax.bbox.y1 for b in boxes
    )
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step", "learning rate")
    assert ax.get_yscale() == ("log" if log else "linear")


def test_a_single_schedule_says_where_things_begin():
    fig = schedule_figure({"wsd": MANY["wsd"]}, total=1000, peak=0.1)
    words = {t.get_text() for t in fig.axes[0].texts}
    assert {"warmup ends: 0.1\nat 50", "cooldown starts: 0.1\nat 800"} <= words
    assert fig.axes[0].get_title(loc="left") == "wsd" and not fig.legends


def test_a_thousand_drops_are_drawn_without_a_thousand_words():
    fig = schedule_figure({"many": step(period=1, gamma=0.999)}, total=1000)
    assert len(fig.axes[0].texts) == 2


def test_the_legend_names_all_and_colours_differ():
    fig = schedule_figure(MANY, total=1000)
    assert [t.get_text() for t in fig.legends[0].get_texts()] == list(MANY)
    lines = [line for line in fig.axes[0].lines if str(line.get_gid()).startswith("line-")]
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == len(MANY)


def test_a_line_that_another_covers_shows_beside_it():
    fig = schedule_figure(
        {"a": cosine(), "b": cosine(power=1), "c": linear(), "d": wsd(warmup="5%")}, total=1000
    )
    widths = {
        line.get_label(): line.get_linewidth()
        for line in fig.axes[0].lines
        if str(line.get_gid()).startswith("line-")
    }
    assert widths["a"] > widths["b"] + 1 and widths["b"] == widths["c"] == widths["d"]


def test_one_rate_is_said_once_at_one_place():
    fig = schedule_figure(
        {"a": linear(warmup="10%"), "b": cosine(warmup=101), "c": wsd(warmup="10%")}, total=1000
    )
    assert [t.get_text() for t in fig.axes[0].texts].count("1") == 2, (
        "where the warmups end, and where the cooldown starts"
    )


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf"])
def test_equal_figures_give_equal_bytes(tmp_path, suffix):
    paths = [tmp_path / f"{i}{suffix}" for i in (1, 2)]
    for path in paths:
        assert save_figure(schedule_figure({"a": MANY["cosine"], "b": MANY["wsd"]}, total=100), path) == path
    first, second = (p.read_bytes() for p in paths)
    assert first == second and len(first) > 1000
    assert first[:5] in {b"<?xml", b"\x89PNG\r", b"%PDF-"}


@pytest.mark.parametrize(
    ("do", "words"),
    [
        (lambda: schedule_figure({}, total=10), "at least one schedule"),
        (lambda: schedule_data({"a": cosine()}, total=10, unit="step"), "did you mean 'steps'"),
        (lambda: schedule_data({"a": cosine()}, total=10, unit="epochs"), "per_epoch"),
        (lambda: schedule_data({"a": cosine()}, total=10, peak=-1), "peak"),
        (lambda: schedule_data({"a": cosine()}, total=10, peak=float("nan")), "peak"),
        (lambda: save_figure(None, "a.bmp"), "write a.png"),
        (lambda: save_figure(None, "no/such/folder/a.png"), "folder that exists"),
    ],
)
def test_bad_input(do, words):
    with pytest.raises(UserError, match=words):
        do()


def test_data_and_import_load_no_matplotlib_and_drawing_no_pyplot():
    code = """
import sys
from preheat.schedules import cosine
from preheat.pictures.plot import schedule_data, schedule_figure
schedule_data({"a": cosine()}, total=100)
assert "matplotlib" not in sys.modules and "torch" not in sys.modules
schedule_figure({"a": cosine()}, total=100)
print([m for m in ("matplotlib.pyplot", "torch", "scipy") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- the command -----------------------------------------------------------------------------------------

WORDS = [
    "wsd:cooldown=20%",
    "wsd:cooldown=40%,cooldown_curve=1-sqrt",
    "cosine",
    "restarts:period=25%",
    "step:milestones=[50%,75%]",
]


def test_words_and_files_are_drawn_in_their_order_under_their_own_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = cosine(warmup="5%").scaled(0.5)
    (tmp_path / "mine.json").write_text(json.dumps(made.json()))
    (tmp_path / "mine.yaml").write_text("name: linear\nfinal: 0.1\n")
    drawn = schedule_words([*WORDS[:2], "@mine.json", *WORDS[2:], "@mine.yaml"], {"warmup": 10})
    assert list(drawn) == [*WORDS[:2], "@mine.json", *WORDS[2:], "@mine.yaml"]
    assert drawn["@mine.json"] == made and drawn["@mine.yaml"] == linear(final=0.1)
    assert drawn[WORDS[1]] == wsd(warmup=10, cooldown="40%", cooldown_curve="1-sqrt")
    fig = schedule_figure(drawn, total=1000, unit="progress")
    assert [t.get_text() for t in fig.legends[0].get_texts()] == list(drawn)
    boxes = [t.get_window_extent() for t in fig.axes[0].texts]
    assert len(boxes) >= 6 and not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "write preheat plot cosine, or preheat plot --gallery"),
        ("cosine --warmup 5ep", "needs the steps per epoch: give --steps-per-epoch N, or write steps"),
        ("cosine --unit epochs", "give --steps-per-epoch N, or write --unit steps"),
        ("cosine:warmup=1e6tok", "needs the tokens per step: write steps, epochs or % of the run"),
        ("cosine --peak-lr nan", "write --peak-lr 1e-3"),
        ("cosine --steps 10 --epochs 2", "write one of them"),
        ("cosine:finl=0", "did you mean 'final'"),
        ("cosine cosine", "named once"),
        ("@nowhere.yaml", "preheat: nowhere.yaml: no such file"),
        ("@bda.yaml", "preheat: bda.yaml: no such file -- did you mean 'bad.yaml'?"),
        ("@bad.yaml", "preheat: bad.yaml:1: not YAML: "),
        ("@list.yaml", "list.yaml:1: a file must be keys with values, got list: write key: value"),
        ("@twice.yaml", "twice.yaml:3: final: given twice (first on line 2) -- keep one of them"),
        (
            "@finl.toml",
            "finl.toml:1: unknown option of schedule 'cosine' (got 'finl') -- did you mean 'final'?",
        ),
        (
            "cosine --out ''",
            "argument --out: must be a file's name, got '': leave the option out for the usual name",
        ),
        (
            "cosine --steps 1000000000",
            "a run may have at most 10,000,000 steps, got 1,000,000,000: write a shorter --steps",
        ),
        (
            "cosine --epochs 1000001",
            "a run may have at most 10,000,000 steps, got 10,000,010: write a shorter --steps or --epochs",
        ),
        (
            "hyperboliclr",
            "takes registered schedules and files, got 'hyperboliclr', a function of Python: save the "
            ".json()",
        ),
    ],
)
def test_mistakes_are_told_in_the_commands_own_words(line, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.yaml").write_text("[1")
    (tmp_path / "list.yaml").write_text("[1]")
    (tmp_path / "twice.yaml").write_text("name: cosine\nfinal: 0.1\nfinal: 0.2\n")
    (tmp_path / "finl.toml").write_text("name = 'cosine'\nfinl = 0.1\n")
    assert cli.main(["plot", *shlex.split(line)]) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1
    assert not (tmp_path / "schedule.png").exists()
