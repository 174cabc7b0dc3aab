"""`WarmupAnalyzer`: heat maps, best warmups, a rule and four hypotheses from a folder of the original's
files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from preheat.core.canon import finite
from preheat.core.errors import UserError, explain, nearest, unknown
from preheat.core.lengths import is_number
from preheat.report.drawing.figures import draw
from preheat.report.drawing.shapes import Heat
from preheat.report.drawing.style import drawing, png
from preheat.store.blobs import read_json, write_atomic, write_json
from preheat.studies.regimes.original import (
    FULL,
    Optimum,
    Summary,
    different,
    hypotheses,
    means,
    optima,
    rule,
)
from preheat.studies.regimes.original_metrics import NAMES, tidy_number

KEYS = ("dataset", "examples_per_class", "warmup_epochs", "optimizer", "seed", "best_val_acc")


@dataclass(frozen=True)
class WarmupAnalyzer:
    """The analysis of `results_dir/all_results.json`, or of `results_dir/original/all_results.json`.

    `preheat export NAME --to original` writes such a folder, and so does the code of Agrawal 2025, *Learning
    Rate Warmup Across Data Regimes*. rows: its runs; where a peak rate was tuned, each seed's at the rate
    that it chose. Errors: UserError where the file is missing, empty, no JSON, or lacks keys.
    """

    results_dir: str | Path
    rows: tuple[Summary, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", tuple(read_summaries(Path(self.results_dir))))

    def plot_warmup_heatmap(
        self, dataset: str, optimizer: str, *, save_path: str | Path | None = None
    ) -> Figure:
        """Mean accuracy over seeds by data size and warmup; written as a PNG where `save_path` says so."""
        mine = self._of(dataset, optimizer)
        with drawing():
            figure = draw(heat(mine))
            figure.axes[0].set_title(
                f"{mine[0].dataset}, {mine[0].optimizer}: best epoch's validation accuracy (%)"
            )
            if save_path is not None:
                write_atomic(in_folder(Path(save_path)), png(figure))
        return figure

    def find_optimal_warmup(self, dataset: str, optimizer: str) -> list[Optimum]:
        """The warmup of the highest mean accuracy at each data size, large sizes first."""
        return optima(self._of(dataset, optimizer))

    def derive_empirical_rule(self, dataset: str, optimizer: str) -> dict[str, Any]:
        """A line through the best warmups over log(size + 1), with R2, and the mean absolute error of the
        fixed rule.

        Sizes that are one and the same training set count once.
        """
        return rule(optima(different(self._of(dataset, optimizer))))

    def recommended_warmup(
        self, examples_per_class: float, dataset: str | None = None, *, optimizer: str | None = None
    ) -> float:
        """The warmup in epochs that the fitted rule gives: intercept + slope log(examples_per_class + 1) of
        `derive_empirical_rule`, 0 where that is below 0.

        dataset, optimizer: whose rule; they may be left out where the runs are of one alone. Beyond the sizes
        that were run it extrapolates. Errors: UserError where there are several, or runs of one size only.
        """
        if not is_number(examples_per_class) or not examples_per_class > 0:
            raise UserError(f"examples_per_class must be a number above 0, got {examples_per_class!r}")
        of = {
            "dataset": (dataset, _each(r.dataset for r in self.rows)),
            "optimizer": (optimizer, _each(r.optimizer for r in self.rows)),
        }
        for name, (asked, known) in of.items():
            if asked is None and len(known) > 1:
                raise UserError(f"there is a rule for each {name}: write {name}= one of {', '.join(known)}")
        pair = tuple(known[0] if asked is None else asked for asked, known in of.values())
        line = self.derive_empirical_rule(*pair)["linear"]
        if line["slope"] is None:
            raise UserError(f"a rule needs two data sizes, {' with '.join(pair)} has one: train another")
        return max(0.0, float(line["intercept"] + line["slope"] * math.log(examples_per_class + 1)))

    def test_hypotheses(self) -> dict[str, Any]:
        """{"H1": ..., "H4": ...} as the original defines them, each with its conclusion, n and what it can't
        show."""
        return hypotheses(self.rows)

    def create_summary_report(self, output_dir: str | Path) -> dict[str, Any]:
        """Write `summary_report.json` and the heat maps into `output_dir`; gives the report."""
        folder = Path(output_dir)
        pairs = sorted({(r.dataset, r.optimizer) for r in self.rows if r.accuracy is not None})
        report = {
            "total_experiments": len(self.rows),
            "datasets": _each(r.dataset for r in self.rows),
            "optimizers": _each(r.optimizer for r in self.rows),
            "data_regimes": sorted({r.size for r in self.rows}, reverse=True),
            "warmup_values": sorted({r.warmup for r in self.rows}),
            "hypothesis_tests": self.test_hypotheses(),
            "empirical_rules": {f"{d}_{o}": self.derive_empirical_rule(d, o) for d, o in pairs},
        }
        for dataset, optimizer in pairs:
            self.plot_warmup_heatmap(
                dataset, optimizer, save_path=folder / f"heatmap_{dataset}_{optimizer}.png"
            )
        write_json(in_folder(folder / "summary_report.json"), report)
        return report

    def _of(self, dataset: str, optimizer: str) -> list[Summary]:
        """The runs of a pair of which an accuracy is known."""
        name = NAMES.get(dataset, dataset)
        for kind, value, known in (
            ("dataset", name, _each(r.dataset for r in self.rows)),
            ("optimizer", optimizer, _each(r.optimizer for r in self.rows)),
        ):
            if value not in known:
                raise unknown(kind, value, known)
        mine = [
            r for r in self.rows if r.dataset == name and r.optimizer == optimizer and r.accuracy is not None
        ]
        if not mine:
            pairs = _each(f"{r.dataset} with {r.optimizer}" for r in self.rows if r.accuracy is not None)
            raise UserError(
                f"no run of {name} with {optimizer} has an accuracy; there is "
                f"{', '.join(pairs) or 'none at all'}"
            )
        return mine


def heat(rows: Sequence[Summary]) -> Heat:
    """The data of the heat map; in brackets the examples per class that there are, where more were asked
    for."""
    cells = means(rows)
    sizes = list(dict.fromkeys(size for size, _ in cells))
    warmups = sorted({w for _, w in cells})
    there = {r.size: r.there for r in rows}
    short = any(size != n for size, n in there.items())
    values = [[cells[size, w][0] if (size, w) in cells else None for w in warmups] for size in sizes]
    known = [v for row in values for v in row if v is not None]
    return Heat(
        rows=tuple(f"{s:g}" if s == there[s] else f"{s:g} ({there[s]:g})" for s in sizes),
        columns=tuple(f"{w:.3g}" for w in warmups),
        row_label=f"examples per class{' (there are)' if short else ''}",
        column_label="warmup (epochs)",
        bar_label="validation accuracy (%)",
        values=tuple(map(tuple, values)),
        texts=tuple(tuple("" if v is None else f"{v:.1f}" for v in row) for row in values),
        low=min(known),
        high=max(known),
        unit="%",
    )


def read_summaries(folder: Path) -> list[Summary]:
    """The runs of a folder of the original's files; a number that is not finite is unknown.

    Of one run's names with one size and warmup, such as 400 updates and 10 epochs of 40, the first counts.
    """
    path = next(
        (p for p in (folder / "all_results.json", folder / "original" / "all_results.json") if p.is_file()),
        None,
    )
    if path is None:
        raise UserError(
            f"a folder of results holds all_results.json, {str(folder)!r} does not: write it with preheat "
            "export NAME --to original, or name its folder"
        )
    data = read_json(path)
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise UserError(
            f"{path} must hold a list of summaries: write it again with preheat export NAME --to original"
        )
    kept: dict[Summary, Summary] = {}
    for i, row in enumerate(data):
        if row.get("selected", True):
            found = _summary(row, i, path)
            kept.setdefault(found._replace(name=str(row.get("duplicate_of") or found.name)), found)
    if not kept:
        raise UserError(f"{path} must hold at least one run's summary, it has none: train some runs first")
    return list(kept.values())


def _summary(row: Mapping[str, Any], i: int, path: Path) -> Summary:
    where = f"summary {i} ({row.get('experiment_name', 'no name')}) in {path}"
    for key in KEYS:
        if key not in row:
            match = nearest(key, row)
            hint = f"; did you mean {key!r} by {match!r}?" if match else ""
            raise UserError(f"a summary needs the keys {', '.join(KEYS)}; {where} lacks {key}{hint}")
    size, warmup = row["examples_per_class"], row["warmup_epochs"]
    there = row.get(
        "effective_examples_per_class", min(size, FULL.get(row["dataset"], size)) if is_number(size) else size
    )
    numbers = {"examples_per_class": size, "warmup_epochs": warmup, "effective_examples_per_class": there}
    for key, value in numbers.items():
        if not is_number(value) or value < 0:
            raise UserError(f"{key} must be a number >= 0, got {value!r} in {where}")
    if not is_number(row["seed"]) or row["seed"] != int(row["seed"]):
        raise UserError(f"seed must be a whole number, got {row['seed']!r} in {where}")
    accuracy = row["best_val_acc"]
    if accuracy is not None and (isinstance(accuracy, bool) or not isinstance(accuracy, int | float)):
        raise UserError(f"best_val_acc must be a number in percent, or null, got {accuracy!r} in {where}")
    return Summary(
        str(row.get("experiment_name", "")),
        str(row["dataset"]),
        tidy_number(size),
        tidy_number(there),
        tidy_number(warmup),
        str(row["optimizer"]),
        int(row["seed"]),
        finite(accuracy),
    )


def _each(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def in_folder(path: Path) -> Path:
    """`path`, whose folder is there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain("write results", path.parent, error) from error
    return path
