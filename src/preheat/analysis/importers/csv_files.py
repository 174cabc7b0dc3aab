"""Tables of learning curves: an epoch a row, a curve a column or three.

Columns are named as in the files of Kim 2024, *HyperbolicLR* (arXiv 2407.15200), or as Weights & Biases
exports them.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from preheat.analysis.learning_curves import LearningCurve
from preheat.core.errors import UserError, explain
from preheat.core.registry import IMPORTERS

LAYOUTS = (
    "a column epoch, or Step where it counts epochs, and for each curve a column such as EH200_val_loss: "
    "series, budget in epochs, metric; with EH200_val_loss_min and EH200_val_loss_max beside it or without; "
    "or, as Weights & Biases exports them, 'EH200 - val_loss', 'EH200 - val_loss__MIN' and "
    "'EH200 - val_loss__MAX'"
)
# names of the column that says when, and whether it counts steps
_TIMES = {"epoch": False, "epochs": False, "step": True, "_step": True, "global_step": True}
_SEPARATORS = (",", ";", "\t")
_NUMBER = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|nan|inf|infinity)", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(e[+-]?\d+)?", re.IGNORECASE)
_PLAIN = re.compile(
    r"(?P<series>[^\W\d_](.*?\D)?)(?P<budget>\d+)(_(?P<metric>[^\W\d].*?)(?P<end>_min|_max)?)?"
)
_EXPORTED = re.compile(r"(Group: )?(?P<series>.+) - (?P<metric>.+?)(?P<end>__MIN|__MAX)?")
# a run's name with its epochs: EH200, or AdamW_EH(200)[...], as the original project and we call groups
_RUN = re.compile(r"(?P<series>[A-Za-z]+)(?P<budget>\d+)|(?P<group>.+?)\((?P<epochs>\d+)\)(?P<rest>\[.*\])?")


class _Sheet(NamedTuple):
    """A table as texts. rows: (line, cells)."""

    path: Path
    names: list[str]
    rows: list[tuple[int, list[str]]]
    decimal_comma: bool

    def at(self, row: int, column: int) -> str:
        """Where a cell is, for an error."""
        return f"{self.path}, line {self.rows[row][0]}, column {self.names[column]!r}"

    def number(self, row: int, column: int) -> float | None:
        """A cell's number; None where it is empty."""
        text = self.rows[row][1][column].strip()
        plain = text.replace(",", ".") if self.decimal_comma and _DECIMAL_COMMA.fullmatch(text) else text
        if text and not _NUMBER.fullmatch(plain):
            raise UserError(
                f"{self.at(row, column)}: must be a number such as 1e-3, or empty, got {text!r:.40}"
            )
        return float(plain) if text else None


@dataclass(frozen=True)
class _Name:
    """What a column's name says. whole: the series where the number in it turns out to be no budget."""

    series: str
    budget: int | None
    whole: str
    metric: str
    end: str  # "", min, max


@IMPORTERS.register("csv")
def read_csv(path: Path) -> list[LearningCurve]:
    """A row for each epoch, columns such as EH200_val_loss, or as Weights & Biases exports them.

    Commas, semicolons (then with a decimal point or comma) or tabs; UTF-8, or UTF-16 where the file says so.
    Empty cells are no points. A number in a name is a budget if the curve does not go on beyond it. Epochs
    counted from 0 are moved by one, unless a curve ends at its budget as it stands.

    Errors: UserError, with the file, and the line and column where one is at fault.
    """
    sheet = _sheet(path)
    time, steps = _time(sheet)
    clock = _clock(sheet, time)
    columns = _columns(sheet, time)
    read = [(name, ends, _points(sheet, ends)) for name, ends in columns.items()]
    found = [(name, ends, rows) for name, ends, rows in read if rows]
    if not found:
        raise UserError(f"{path} must have a value in at least one curve, got none")
    shift = clock[0] == 0 and not any(clock[rows[-1]] == name.budget for name, _, rows in found)
    if steps:
        for _, ends, rows in found:
            _each_epoch(sheet, ends[""], [(row, clock[row]) for row in rows])
    epochs = [at + shift for at in clock]
    return [_curve(sheet, name, ends, {row: epochs[row] for row in rows}) for name, ends, rows in found]


def _curve(sheet: _Sheet, name: _Name, ends: dict[str, int], epochs: dict[int, float]) -> LearningCurve:
    def cells(end: str) -> tuple[float, ...] | None:
        return tuple(_there(sheet, row, ends[end]) for row in epochs) if end in ends else None

    at = tuple(epochs.values())
    within = name.budget is not None and at[-1] <= name.budget
    series, budget = (name.series, name.budget) if within else (name.whole, None)
    values = cells("") or ()
    try:
        return LearningCurve(
            *(series, budget, name.metric, at, values), cells("min"), cells("max"), str(sheet.path)
        )
    except UserError as error:
        raise UserError(f"{sheet.path}: {error}") from error


def _there(sheet: _Sheet, row: int, column: int) -> float:
    value = sheet.number(row, column)
    if value is None:
        where = sheet.at(row, column)
        raise UserError(f"{where}: must be a number where the row has values, got an empty cell")
    return value


def _points(sheet: _Sheet, ends: dict[str, int]) -> list[int]:
    """The rows in which a curve has a value."""
    return [row for row in range(len(sheet.rows)) if sheet.number(row, ends[""]) is not None]


def _time(sheet: _Sheet) -> tuple[int, bool]:
    """The column of epochs, and whether it counts steps."""
    kinds = {i: _TIMES[k] for i, n in enumerate(sheet.names) if (k := _last(n)) in _TIMES and " - " not in n}
    epochs = [i for i, steps in kinds.items() if not steps]
    chosen = epochs or [*kinds]
    if len(chosen) != 1:
        got = [sheet.names[i] for i in chosen] or sheet.names
        raise UserError(
            f"{sheet.path} must have one column of epochs, got {_quoted(got)}: it needs {LAYOUTS}"
        )
    return chosen[0], not epochs


def _last(name: str) -> str:
    """The last part of a metric's path: `epoch` of train/epoch."""
    return name.rpartition("/")[2].lower()


def _clock(sheet: _Sheet, time: int) -> list[float]:
    """The epoch of each row, as the file counts."""
    out: list[float] = []
    for row in range(len(sheet.rows)):
        at = _there(sheet, row, time)
        if not (math.isfinite(at) and at >= 0) or (out and at <= out[-1]):
            raise UserError(
                f"{sheet.at(row, time)}: epochs must be 0 or more and rise, got {at:g}"
                f"{f' after {out[-1]:g}' if out else ''}"
            )
        out.append(at)
    return out


def _each_epoch(sheet: _Sheet, column: int, points: list[tuple[int, float]]) -> None:
    """Errors: UserError where steps are no epochs, because they don't rise one by one."""
    for (_, before), (row, after) in pairwise(points):
        if after - before != 1:
            raise UserError(
                f"{sheet.at(row, column)}: steps are read as epochs only where they rise by 1, got {after:g} "
                f"after {before:g}: export with epoch as the x axis, or write the epochs in a column epoch"
            )


def _columns(sheet: _Sheet, time: int) -> dict[_Name, dict[str, int]]:
    """{curve: {"": column, "min": column, "max": column}}."""
    out: dict[_Name, dict[str, int]] = {}
    wrong: list[str] = []
    for i, text in enumerate(sheet.names):
        if i == time or not text or _last(text) in _TIMES:
            continue
        name = _name(text)
        if name is None:
            wrong.append(text)
        elif _last(name.metric) not in _TIMES and not name.metric.startswith("_"):  # W&B's own: _runtime
            key = _Name(name.series, name.budget, name.whole, name.metric, "")
            if out.setdefault(key, {}).setdefault(name.end, i) != i:
                raise UserError(
                    f"{sheet.path} must have each curve once, got {_quoted([text])} a second time"
                )
    if wrong or not out:
        got = f"{_quoted(wrong)}, which is none" if wrong else f"only {_quoted(sheet.names)}"
        raise UserError(f"{sheet.path} must have columns of curves, got {got}: it needs {LAYOUTS}")
    for ends in out.values():
        if set(ends) not in ({""}, {"", "min", "max"}):
            got = _quoted(sheet.names[i] for i in ends.values())
            raise UserError(f"{sheet.path} must have a curve alone or with its min and max, got only {got}")
    return out


def _name(text: str) -> _Name | None:
    if found := _EXPORTED.fullmatch(text):
        said = _RUN.fullmatch(found["series"])
        series = (said["series"] or f"{said['group']}{said['rest'] or ''}") if said else found["series"]
        budget = int(said["budget"] or said["epochs"]) if said else None
        return _Name(series, budget or None, found["series"], found["metric"], _end(found["end"]))
    if found := _PLAIN.fullmatch(text):
        series, whole = found["series"].rstrip("_"), found["series"] + found["budget"]
        return _Name(series, int(found["budget"]) or None, whole, found["metric"] or "", _end(found["end"]))
    return None


def _end(text: str | None) -> str:
    return (text or "").strip("_").lower()


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))


def _sheet(path: Path) -> _Sheet:
    """The file as a table. Errors: UserError where it is none."""
    text = _text(path)
    if not text.strip():
        raise UserError(f"{path} must hold a table, got an empty file")
    separator = _separator(path, text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append((reader.line_num, cells))
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: must be CSV: {error}") from error
    names = [name.strip() for name in rows.pop(0)[1]]
    twice = {name for name in names if name and names.count(name) > 1}
    if twice:
        raise UserError(f"{path} must have each column once, got {_quoted(sorted(twice))} more than once")
    for line, cells in rows:
        if len(cells) != len(names):
            raise UserError(
                f"{path}, line {line}: must have {len(names)} cells, as the first line has, got {len(cells)}"
            )
    if not rows:
        raise UserError(f"{path} must have a row for each epoch, got none below the names of the columns")
    return _Sheet(path, names, rows, separator != ",")


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"no such file: {path}") from error
    except OSError as error:
        raise explain(f"read {path.name}", path.parent, error) from error
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path}, line {line}: must be UTF-8, got the byte {data[error.start]:#04x}: save it as CSV in "
            "UTF-8"
        ) from error
    if "\0" in text:
        raise UserError(f"{path} must be a text file, got bytes that are none: save the table as CSV")
    return text


def _separator(path: Path, text: str) -> str:
    """What stands between the cells: that by which the first line has a column of epochs."""
    first = text.lstrip().splitlines()[0]
    for one in _SEPARATORS:
        if any(_last(cell.strip().strip('"').strip()) in _TIMES for cell in first.split(one)):
            return one
    raise UserError(f"{path} must have a column epoch or Step, got {first!r:.120}: it needs {LAYOUTS}")
