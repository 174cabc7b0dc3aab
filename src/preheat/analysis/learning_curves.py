"""Learning curves that others measured, read from their files or from one of ours."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from preheat.core.canon import known
from preheat.core.errors import UserError, called
from preheat.core.registry import IMPORTERS
from preheat.store.blobs import read_json, write_json

FORMAT = "preheat learning curves 1"  # what our own file says that it is
SUFFIX = ".json"
_TEXTS, _NUMBERS, _BAND = ("series", "metric", "file"), ("epochs", "values"), ("low", "high")


@dataclass(frozen=True)
class LearningCurve:
    """A metric by epoch, of one run or the mean of several.

    series: what was trained, such as the schedule ("EH"); budget: the epochs that were planned, None where
    the file does not say; metric: "" where the file does not say; epochs [n]: rising, the first epoch of
    training is 1; values [n]: NaN or infinity where training failed; low, high [n]: the least and greatest of
    the runs, None where the file has none; file: the file.

    Errors: UserError where the lengths differ, n is 0, epochs don't rise, or low is above high.

    >>> curve = LearningCurve("EH", 3, "val_loss", (1.0, 2.0, 3.0), (0.5, 0.2, 0.3), file="EH.csv")
    >>> curve.name, curve.complete
    ('EH3 val_loss', True)
    """

    series: str
    budget: int | None
    metric: str
    epochs: tuple[float, ...]
    values: tuple[float, ...]
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None
    file: str = ""

    def __post_init__(self) -> None:
        sizes = {len(part) for part in (self.epochs, self.values, self.low, self.high) if part is not None}
        if len(sizes) != 1 or sizes == {0} or (self.low is None) != (self.high is None):
            raise UserError(
                f"curve {self.name!r} must have as many values as epochs, at least one, and both of low and "
                f"high or none, got {[p and len(p) for p in (self.epochs, self.values, self.low, self.high)]}"
            )
        for before, after in zip((-math.inf, *self.epochs), self.epochs, strict=False):
            if not before < after < math.inf:
                raise UserError(f"epochs of curve {self.name!r} must rise, got {after:g} after {before:g}")
        for epoch, low, high in zip(self.epochs, self.low or (), self.high or (), strict=False):
            if low > high:
                raise UserError(
                    f"curve {self.name!r} must have low at or below high, got {low:g} and {high:g} at epoch "
                    f"{epoch:g}"
                )

    @property
    def name(self) -> str:
        """The series with its budget, and the metric; two curves of one name can't be told apart."""
        return f"{self.series}{self.budget or ''} {self.metric}".strip()

    @property
    def complete(self) -> bool:
        """Whether it goes on to the end of its budget, as far as that is known."""
        return self.budget is None or self.epochs[-1] >= self.budget


def read_curves(paths: Iterable[str | Path], importer: str = "csv") -> list[LearningCurve]:
    """The curves of the files: what `write_curves` wrote (.json), else files that `importer` reads.

    Errors: UserError where a file is not there or not of its format, and where two curves have one name.
    """
    out: list[LearningCurve] = []
    for path in map(Path, paths):
        if path.suffix.lower() == SUFFIX:
            out += _read(path)
        else:
            out += called(f"importer {importer!r}", str(path), partial(IMPORTERS[importer], path))
    homes: dict[str, LearningCurve] = {}
    for one in out:
        other = homes.setdefault(one.name, one)
        if other is not one:
            raise UserError(
                f"curve {one.name!r} must be there once, got it from {other.file} and from {one.file}: "
                "give the files of one experiment, each once, or rename a column"
            )
    return out


def write_curves(curves: Sequence[LearningCurve], path: Path) -> None:
    """Write the curves into one file, which `read_curves` reads; a value that is not finite reads back as
    NaN."""
    write_json(path, {"format": FORMAT, "curves": [known(asdict(one)) for one in curves]})


def _read(path: Path) -> list[LearningCurve]:
    data = read_json(path)
    if not isinstance(data, dict) or data.get("format") != FORMAT or not isinstance(data.get("curves"), list):
        raise UserError(
            f"{path} must be a file of curves, with format {FORMAT!r}: write one with preheat import csv "
            f"FILE --out {path.name}"
        )
    return [_curve(given, f"{path}, curve {number}") for number, given in enumerate(data["curves"], 1)]


def _curve(given: Any, where: str) -> LearningCurve:
    names = {f.name for f in fields(LearningCurve)}
    if not isinstance(given, dict) or set(given) != names:
        raise UserError(f"{where} must have exactly {', '.join(sorted(names))}")
    budget, texts = given["budget"], [given[name] for name in _TEXTS]
    if not all(isinstance(text, str) for text in texts) or not (budget is None or type(budget) is int):
        raise UserError(
            f"{where} must have {', '.join(_TEXTS)} as texts and budget as a whole number or null"
        )
    try:
        numbers = {name: _numbers(name, given[name]) for name in _NUMBERS}
        band = {name: None if given[name] is None else _numbers(name, given[name]) for name in _BAND}
        return LearningCurve(**{**given, **numbers, **band})
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def _numbers(name: str, given: Any) -> tuple[float, ...]:
    """A list of numbers; null is NaN."""
    every = given if isinstance(given, list) else [given]
    wrong = [v for v in every if isinstance(v, bool) or not (v is None or isinstance(v, int | float))]
    if wrong or every is not given:
        raise UserError(f"{name} must be a list of numbers, got {(wrong or every)[0]!r:.40}")
    return tuple(math.nan if v is None else float(v) for v in given)
