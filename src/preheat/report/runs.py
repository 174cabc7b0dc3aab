"""Every run of a study as a flat row, for the page's table and the files."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from preheat.analysis import words
from preheat.analysis.results import Results, Row
from preheat.analysis.table import number
from preheat.analysis.tabulate import names
from preheat.analysis.words import Units


def flat_runs(results: Results) -> list[Mapping[str, Any]]:
    """One flat mapping for each run in the study's order: its axes, seed, outcome and metrics.

    An axis is named by the last telling part of its path where that is unique; its value is a number or a
    label. Where stages look at seeds of their own, role tells these runs from those that are reported.
    """
    study, rows = results.study, results.rows
    looked = study.seeds[: study.choosing]
    roles = [{"role": "choosing" if r.seed in looked else "reported"} for r in rows]
    last = [words.last_part(path) for path in study.axes]
    columns = {
        path: end if last.count(end) == 1 else path for path, end in zip(study.axes, last, strict=True)
    }
    labels = {path: names([r.axes.get(path) for r in rows]) for path in study.axes}
    metrics = (f"validation_{study.metric}", f"test_{study.metric}", "train_loss")
    return [
        {
            **{name: _place(r, p, labels[p][i]) for p, name in columns.items()},
            "seed": r.seed,
            **(roles[i] if looked else {}),
            "outcome": r.outcome,
            "diverged_step": r.diverged,
            **{name: r.summary.get(name) for name in metrics},
            "id": r.run_id,
        }
        for i, r in enumerate(rows)
    ]


def _place(row: Row, path: str, text: str) -> Any:
    """Where a run lies on an axis: a number or a label; None where it has no such option."""
    value = row.axes.get(path)
    return value if number(value) or (value is None and "." in path) else text


def axis_values(rows: Iterable[Row], path: str) -> list[Any]:
    """Where runs lie on an axis, without those that have no such option."""
    values = [r.axes.get(path) for r in rows]
    return [v for v in values if v is not None or "." not in path]


SHORT = 8  # letters of an id that the page shows; the whole is its title


def run_table(rows: Sequence[Mapping[str, Any]], metric: str) -> Markup:
    """The runs as JSON for the page's script: `{"columns": [...], "rows": [[...]], "shorten": {...}}`, safe
    inside a script element.

    The metric is in its unit, which the head of its columns names. A column that is empty in every run is
    left out. shorten: {the number of a column: how many letters of it are shown}.
    """
    every = dict.fromkeys(k for row in rows for k in row)
    columns = [k for k in every if any(row.get(k) is not None for row in rows)]
    units = {c: Units.of(metric) for c in columns if c in (f"validation_{metric}", f"test_{metric}")}
    heads = [words.human(c) for c in columns]
    heads = [h if heads.count(h) == 1 else c for h, c in zip(heads, columns, strict=True)]
    named = [
        f"{h} ({units[c].unit})" if c in units and units[c].unit else h
        for h, c in zip(heads, columns, strict=True)
    ]
    data = {
        "columns": named,
        "rows": [[_value(row.get(k), units.get(k)) for k in columns] for row in rows],
        "shorten": {str(j): SHORT for j, c in enumerate(columns) if c == "id"},
    }
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _value(v: Any, u: Units | None) -> Any:
    """A metric as it is written elsewhere on the page; of another number four significant digits are enough
    to read. The tables hold the rest."""
    if isinstance(v, float):
        return _number(v, u) if math.isfinite(v) else str(v)
    return v if v is None or isinstance(v, bool | int | str) else json.dumps(v, sort_keys=True, default=str)


def _number(v: float, u: Units | None) -> float | str:
    return float(f"{v:.4g}") if u is None else f"{v * u.scale:{u.digits}}"
