"""Learning curves of others: tables in the layouts that exist are read as curves, and what is wrong with a file is
told with its place."""

from __future__ import annotations

import json
import math
import re
import shlex
from pathlib import Path

import pytest

from preheat.analysis.learning_curves import LearningCurve, read_curves, write_curves
from preheat.cli.main import main
from preheat.core.errors import UserError
from preheat.core.registry import IMPORTERS


@pytest.fixture
def table(tmp_path):
    """A function that writes a file of rows, and gives its path."""

    def write(*rows: str, name: str = "curves.csv", encoding: str = "utf-8", end: str = "\n") -> Path:
        path = tmp_path / name
        path.write_bytes("".join(row + end for row in rows).encode(encoding))
        return path

    return write


def published(code: str, budgets=(2, 4)) -> list[str]:
    """The layout of the files of HyperbolicLR: a budget has a value, its least and its greatest, blank after its
    end."""
    heads = [f"{code}{e}_val_loss{end}" for e in budgets for end in ("", "_min", "_max")]
    rows = [",".join(["epoch", *heads])]
    for n in range(1, max(budgets) + 1):
        cells = [f"{v / (n + e)}" if n <= e else "" for e in budgets for v in (1.0, 0.5, 2.0)]
        rows.append(",".join([str(n), *cells]))
    return rows


def test_a_table_of_budgets_is_read_with_its_band_and_without_the_blanks(table):
    short, long = read_curves([table(*published("WEH"))])
    assert (short.series, short.budget, short.metric, short.epochs) == ("WEH", 2, "val_loss", (1.0, 2.0))
    assert short.values == (1 / 3, 1 / 4) and short.low == (0.5 / 3, 0.5 / 4) and short.high == (2 / 3, 0.5)
    assert long.epochs == (1.0, 2.0, 3.0, 4.0) and long.name == "WEH4 val_loss" and long.complete


def test_names_with_digits_underscores_and_no_metric_are_read(table):
    names = "epoch,k2decay4_top5_acc,wsd_20_3_val_loss,p4,resnet18_loss,resnet1_loss"
    read = read_curves([table(names, *(f"{n},1,2,3,4,5" for n in (1, 2, 3)))])
    assert [(c.series, c.budget, c.metric) for c in read] == [
        ("k2decay", 4, "top5_acc"),
        ("wsd_20", 3, "val_loss"),
        ("p", 4, ""),
        ("resnet", 18, "loss"),
        ("resnet1", None, "loss"),  # it goes on after epoch 1: the number is no budget
    ]
    assert [c.complete for c in read] == [False, True, False, False, True]


def exported(x: str, first: int, *runs: str) -> list[str]:
    """As the Weights & Biases page exports a plot: every cell quoted."""
    heads = [x, *(f"{run} - val_loss{end}" for run in runs for end in ("", "__MIN", "__MAX"))]
    heads += [f"{run} - _step" for run in runs]
    rows = [[str(first + n), *["0.5", "0.25", "1"] * len(runs), *["7"] * len(runs)] for n in range(3)]
    return [",".join(f'"{cell}"' for cell in row) for row in (heads, *rows)]


def test_what_weights_and_biases_exports_is_read(table):
    runs = ("EH3", "Group: AdamW_EH(3)[l0.01-u250]", "playful-sun-17", "model.wide: true")
    read = read_curves([table(*exported("Step", 0, *runs))])
    assert [(c.series, c.budget) for c in read] == [
        ("EH", 3),
        ("AdamW_EH[l0.01-u250]", 3),
        ("playful-sun-17", None),
        ("model.wide: true", None),
    ]
    assert all(c.epochs == (1.0, 2.0, 3.0) and c.metric == "val_loss" and c.low == (0.25,) * 3 for c in read)


@pytest.mark.parametrize(
    ("x", "first", "epochs"),
    [("epoch", 1, (1, 2, 3)), ("train/Epoch", 0, (1, 2, 3)), ("_step", 0, (1, 2, 3)), ("Step", 1, (1, 2, 3))],
)
def test_epochs_counted_from_0_are_moved_by_one(table, x, first, epochs):
    assert read_curves([table(*exported(x, first, "EH3"))])[0].epochs == epochs


def test_a_value_before_training_stays_at_epoch_0_where_the_budget_says_so(table):
    assert read_curves([table("epoch,EH2_loss,EH9_loss", "0,1,1", "1,1,1", "2,1,1")])[0].epochs == (0, 1, 2)


def test_epoch_decides_where_there_are_steps_too(table):
    (curve,) = read_curves([table("Step,epoch,EH9_loss", "124,0.5,1", "248,1.5,2")])
    assert curve.epochs == (0.5, 1.5)


@pytest.mark.parametrize(
    ("rows", "how"),
    [
        (("epoch;EH2_loss;", "1;0,5;", "2;1,5e-1;", ";;"), {}),
        (("epoch;EH2_loss", "1;0.5", "2;.15"), {"end": "\r\n"}),
        (('"epoch","EH2_loss"', '"1","0.5"', '" 2 ","+1.5E-1"', ","), {"encoding": "utf-8-sig"}),
        (("epoch\tEH2_loss", "1\t0.5", "2\t0.15"), {"encoding": "utf-16"}),
        (("\tepoch\tEH2_loss", "0\t1\t0.5", "1\t2\t0.15"), {}),
        (("", "epoch,EH2_loss,EH3_loss", "1,0.5,", "2,0.15,"), {"end": "\r"}),
    ],
)
def test_what_spreadsheets_and_frames_write_reads_the_same(table, rows, how):
    (curve,) = read_curves([table(*rows, **how)])
    assert (curve.epochs, curve.values, curve.budget) == ((1.0, 2.0), (0.5, 0.15), 2)


def test_a_run_that_diverged_keeps_what_it_had(table):
    (curve,) = read_curves([table("epoch,EH3_loss", "1,0.5", "2,Infinity", "3,NaN")])
    assert curve.values[:2] == (0.5, math.inf) and math.isnan(curve.values[2])


@pytest.mark.parametrize(
    ("rows", "rule"),
    [
        ((), "must hold a table, got an empty file"),
        (("epoch,EH2_loss",), "must have a row for each epoch, got none below"),
        (("epoch,EH2_loss", "1,", "2,"), "must have a value in at least one curve"),
        (("time,EH2_loss", "1,2"), "must have a column epoch or Step, got 'time,EH2_loss'"),
        (("epoch,Epoch,EH2_loss", "1,1,2"), "must have one column of epochs, got 'epoch', 'Epoch'"),
        (("epoch,lr,EH2_loss,notes", "1,2,3,4"), "got 'lr', 'notes', which is none: it needs a column epoch"),
        (("epoch", "1"), "must have columns of curves, got only 'epoch'"),
        (("epoch,EH2_loss,EH2_loss", "1,2,3"), "must have each column once, got 'EH2_loss' more than once"),
        (
            ("epoch,EH2 - loss,Group: EH2 - loss", "1,2,3"),
            "each curve once, got 'Group: EH2 - loss' a second",
        ),
        (
            ("epoch,EH2_loss,EH2_loss_min", "1,2,3"),
            "alone or with its min and max, got only 'EH2_loss', 'EH2_lo",
        ),
        (
            ("epoch,EH2_loss", "1,0.5", "2,half"),
            "line 3, column 'EH2_loss': must be a number such as 1e-3, or",
        ),
        (("epoch,EH2_loss", "1,1_000"), "line 2, column 'EH2_loss': must be a number"),
        (("epoch;EH2_loss", "1;1.000,5"), "line 2, column 'EH2_loss': must be a number"),
        (
            ("epoch,EH2_loss", "1,0.5", "1,0.4"),
            "line 3, column 'epoch': epochs must be 0 or more and rise, got 1",
        ),
        (("epoch,EH2_loss", "-1,0.5"), "line 2, column 'epoch': epochs must be 0 or more and rise, got -1"),
        (("epoch,EH2_loss", "nan,0.5"), "line 2, column 'epoch': epochs must be 0 or more and rise, got nan"),
        (("epoch,EH2_loss", ",0.5"), "line 2, column 'epoch': must be a number where the row has values"),
        (("epoch,EH2_loss", "1,0.5,3"), "line 2: must have 2 cells, as the first line has, got 3"),
        (("epoch,EH2_loss", '1,"0.5"x'), "line 2: must be CSV: "),
        (
            ("epoch,EH2_loss,EH2_loss_min,EH2_loss_max", "1,1,,3"),
            "column 'EH2_loss_min': must be a number where",
        ),
        (
            ("epoch,EH2_loss,EH2_loss_min,EH2_loss_max", "1,1,3,2"),
            "low at or below high, got 3 and 2 at epoch 1",
        ),
        (
            ("Step,EH9 - loss", "0,1", "124,2"),
            "line 3, column 'EH9 - loss': steps are read as epochs only where",
        ),
    ],
)
def test_what_is_no_table_of_curves_is_refused_with_its_place(table, rows, rule):
    path = table(*rows)
    with pytest.raises(UserError, match=re.escape(rule)) as told:
        read_curves([path])
    assert str(told.value).startswith(str(path))


def test_files_that_are_no_text_or_not_there_are_refused(tmp_path, table):
    (tmp_path / "zip.csv").write_bytes(b"PK\x03\x04\0\0")
    table("epoch,EH2_loss", "1,2", "é", name="latin.csv", encoding="latin-1")
    (tmp_path / "folder.csv").mkdir()
    for name, rule in (
        ("zip.csv", "must be a text file"),
        ("latin.csv", "latin.csv, line 3: must be UTF-8, got the byte 0xe9"),
        ("folder.csv", "cannot read folder.csv"),
        ("none.csv", "no such file"),
    ):
        with pytest.raises(UserError, match=rule):
            read_curves([tmp_path / name])


def test_one_curve_in_two_files_is_refused(table):
    one, two = table(*published("EH"), name="one.csv"), table(*published("EH"), name="two.csv")
    with pytest.raises(
        UserError, match=r"curve 'EH2 val_loss' must be there once, got it from .*one.* and .*two"
    ):
        read_curves([one, two])
    assert len(read_curves([one, table(*published("H"), name="three.csv")])) == 4


def test_what_is_written_is_read_back(tmp_path, table):
    curves = read_curves([table(*published("EH")), table("epoch,loss9", "1,2", "2,3", name="bare.csv")])
    write_curves(curves, tmp_path / "all.json")
    assert read_curves([tmp_path / "all.json"]) == curves
    write_curves([LearningCurve("EH", 2, "loss", (1.0, 2.0), (1.0, math.inf))], tmp_path / "all.json")
    (curve,) = read_curves([tmp_path / "all.json"])
    assert curve.values[0] == 1.0 and math.isnan(curve.values[1])


def test_a_changed_file_of_curves_is_refused(tmp_path):
    path, whole = tmp_path / "c.json", LearningCurve("EH", 2, "loss", (1.0, 2.0), (3.0, 4.0), file="a")
    write_curves([whole], path)
    good = json.loads(path.read_text())
    for change, rule in (
        ({"epochs": [2, 1]}, "curve 1: epochs of curve 'EH2 loss' must rise, got 1 after 2"),
        ({"values": [1]}, "must have as many values as epochs"),
        ({"low": [1, 2]}, "both of low and high or none"),
        ({"values": "many"}, "values must be a list of numbers, got 'many'"),
        ({"values": [1, True]}, "values must be a list of numbers, got True"),
        ({"budget": 2.5}, "budget as a whole number or null"),
        ({"more": 1}, "must have exactly budget, epochs, file"),
    ):
        path.write_text(json.dumps({**good, "curves": [{**good["curves"][0], **change}]}))
        with pytest.raises(UserError, match=rule):
            read_curves([path])
    path.write_text("[]")
    with pytest.raises(
        UserError, match="with format 'preheat learning curves 1': write one with preheat import"
    ):
        read_curves([path])


def test_the_command_shows_curves_and_keeps_them_in_one_file(tmp_path, monkeypatch, capsys, table):
    monkeypatch.chdir(tmp_path)
    table(*published("EH"))
    table("epoch,H9_loss", "1,2", "2,3", name="h.csv")
    assert main(shlex.split("import csv curves.csv h.csv --out all")) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].split() == [
        "series",
        "budget",
        "metric",
        "points",
        "epochs",
        "first",
        "last",
        "lowest",
        "highest",
    ]
    assert told[2].split() == ["EH", "4", "val_loss", "4", "1", "to", "4", "0.2", "0.125", "0.125", "0.2"]
    assert told[-2:] == ["note: H9 loss ends at epoch 2, before its budget", "3 curves: all.json"]
    assert main(shlex.split("import csv all.json")) == 0
    assert capsys.readouterr().out.splitlines() == told[:-1]
    for line, rule in (
        ("import tsv curves.csv", "unknown importer 'tsv': did you mean 'csv'?"),
        ("import csv curves.csv --out all.txt", "--out must end in .json, got all.txt: write --out all.json"),
        ("import csv all.json --out all", "must be another file than those that are read"),
        ("import csv", "the following arguments are required: FILE"),
    ):
        assert main(shlex.split(line)) == 2
        assert rule in capsys.readouterr().err


def test_a_format_is_one_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(
        "from preheat.analysis.learning_curves import LearningCurve\n"
        "from preheat.core.registry import IMPORTERS\n"
        "@IMPORTERS.register('lines')\n"
        "def lines(path):\n"
        "    'A value a line.'\n"
        "    values = tuple(map(float, path.read_text().split()))\n"
        "    epochs = tuple(float(n) for n in range(1, len(values) + 1))\n"
        "    return [LearningCurve(path.stem, None, '', epochs, values, file=str(path))]\n"
    )
    Path("mine.txt").write_text("3 2 1")
    try:
        assert main(shlex.split("import lines mine.txt --import mine.py")) == 0
        assert "mine    -       -       3" in capsys.readouterr().out
        Path("mine.txt").write_text("3 two 1")
        assert main(shlex.split("import lines mine.txt --import mine.py")) == 2
        assert "importer 'lines' failed in mine.txt: ValueError: could not" in capsys.readouterr().err
    finally:
        IMPORTERS._objects.pop("lines", None)
