"""Peak rates in units of what was measured: 2 over the sharpness at initialisation."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from preheat.analysis.results import Row
from preheat.analysis.table import Table
from preheat.core.errors import UserError
from preheat.core.grid import Block, get, label, merged, put
from preheat.core.record import Record
from preheat.core.registry import STAGES
from preheat.core.study import Point, Study

MEASURED = "sharpness"


@STAGES.register("in_sharpness")
@dataclass(frozen=True)
class InSharpness:
    """Runs whose peak rates are multiples of 2 / lambda_0, the sharpness that earlier runs measured.

    blocks: settings as of a grid, whose `peak_lr` is a multiple x: the run's rate is x unit / lambda_0, to
    `digits` significant ones, so that another machine's rounding asks for the same runs. lambda_0: the mean
    over the runs of the choosing seeds, and over all that their probe `sharpness` measured; let them train at
    a rate too small to move (1e-12), and each update tells of another batch. per: axes that tell the runs of
    one lambda_0 from those of another, such as `task.model.parameterisation`. Kalra & Barkeshli 2024 take the
    mean over ten batches.
    """

    blocks: Sequence[Mapping[str, Any]] = ()
    per: Sequence[str] = ()
    unit: float = 2.0
    digits: int = 3

    def __post_init__(self) -> None:
        if not self.blocks:
            raise UserError("stage 'in_sharpness' needs blocks of settings with a peak_lr, got none")
        if not (self.unit > 0 and self.digits >= 1):
            raise UserError(
                f"unit must be above 0 and digits at least 1, got {self.unit} and {self.digits}: write 2.0, 3"
            )
        for setting in self._settings():
            if not _positive(setting.get("peak_lr")):
                raise UserError(
                    "every setting of stage 'in_sharpness' needs a peak_lr above 0 in units of "
                    f"{self.unit:g} / sharpness, got {setting.get('peak_lr')!r}"
                )

    def each(self, record: Record, row: Row) -> float | None:
        """The mean sharpness of a run that measured some."""
        series = record.trace.get(MEASURED)
        values = [] if series is None else [float(v) for v in series.values]
        return sum(values) / len(values) if values else None

    def more(
        self, table: Table, points: Sequence[Point], seen: Sequence[tuple[Row, float]]
    ) -> Iterator[Point]:
        """The blocks at the rates that the measurements give."""
        found: dict[tuple[str, ...], list[float]] = defaultdict(list)
        for row, value in seen:
            found[tuple(label(row.axes.get(path)) for path in self.per)].append(value)
        settings = []
        for setting in self._settings():
            whole = merged(table.study.fixed, setting)
            sharp = _mean(found, {path: label(get(whole, path)) for path in self.per})
            put(setting, "peak_lr", float(f"{setting['peak_lr'] * self.unit / sharp:.{self.digits}g}"))
            settings.append(setting)
        study = table.study
        yield from study.placed([Block(points=settings, seeds=study.seeds[study.choosing :])])

    def most(self, study: Study) -> int:
        """Every setting with every seed that is reported."""
        return sum(1 for _ in self._settings()) * (len(study.seeds) - study.choosing)

    def _settings(self) -> Iterator[dict[str, Any]]:
        for block in self.blocks:
            yield from Block(**block).settings()


def _mean(found: Mapping[tuple[str, ...], Sequence[float]], at: Mapping[str, str]) -> float:
    """lambda_0 of the settings with these labels."""
    values = found.get(tuple(at.values()), [])
    mean = sum(values) / len(values) if values else math.nan
    if not _positive(mean):
        where = ", ".join(f"{path}={value}" for path, value in at.items()) or "any setting"
        got = f"a mean of {mean:g}" if values else "none"
        raise UserError(
            f"stage 'in_sharpness' needs a sharpness above 0 of {where}, measured on the choosing seeds, got "
            f"{got}: give the study's grid runs of these seeds with the probe {MEASURED!r}"
        )
    return mean


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
