"""Read learning curves that others measured, and show them; with --out, keep them in one file.

FORMAT says what the files are. A file that --out wrote can stand among them.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from preheat.cli.curve_metrics import GOALS, metrics_text
from preheat.cli.options import file, imports, read_imports
from preheat.core.errors import UserError
from preheat.core.registry import IMPORTERS
from preheat.core.words import count

if TYPE_CHECKING:
    from preheat.analysis.learning_curves import LearningCurve

EXAMPLES = """examples:
  preheat import csv data/Result_OSC_LSTM-*.csv
  preheat import csv wandb_export.csv --out curves.json
  preheat import csv data/Result_OSC_LSTM-*.csv --metrics loss
  preheat import csv Result_OSC_LSTM-C.csv Result_OSC_LSTM-EH.csv --plot curves.png
"""
_COLUMNS = ("series", "budget", "metric", "points", "epochs", "first", "last", "lowest", "highest")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    known = "; ".join(f"{name}: {line}" for name, line in IMPORTERS.describe().items())
    parser.add_argument("format", metavar="FORMAT", help=known.replace("%", "%%"))
    parser.add_argument("files", metavar="FILE", nargs="+", type=file, help="a file of curves")
    parser.add_argument(
        "--out", metavar="NAME", type=file, help="write all curves into this file (NAME.json)"
    )
    metrics = (
        "print how alike the curves of a series are at several budgets (SLCD), and how the last value falls "
        "or rises with the budget; the values are losses, or accuracies"
    )
    parser.add_argument("--metrics", choices=tuple(GOALS), help=metrics)
    plot = "draw the curves, a panel for each series and in it a line for each budget (.png or .svg)"
    parser.add_argument("--plot", metavar="FILE", type=file, help=plot)
    imports(parser)


def run(args: argparse.Namespace) -> None:
    """Read, show, write."""
    read_imports(args.imports)
    IMPORTERS.check(args.format)
    out = _out(args.out, args.files) if args.out else None
    from preheat.analysis.learning_curves import read_curves, write_curves

    curves = read_curves(args.files, args.format)
    print(shown(curves))
    if args.metrics:
        from preheat.analysis.budgets import across_budgets

        print("", metrics_text(across_budgets(curves, GOALS[args.metrics])), sep="\n")
    if args.plot:
        from preheat.report.curve_panels import write_curve_panels

        write_curve_panels(curves, args.plot)
        print(f"wrote {args.plot}")
    if out:
        write_curves(curves, out)
        print(f"{count(len(curves), 'curve')}: {out}")


def _out(name: Path, files: Sequence[Path]) -> Path:
    from preheat.analysis.learning_curves import SUFFIX

    out = name if name.suffix else name.with_suffix(SUFFIX)
    if out.suffix.lower() != SUFFIX:
        raise UserError(f"--out must end in {SUFFIX}, got {name}: write --out {name.with_suffix(SUFFIX)}")
    if out.resolve() in {one.resolve() for one in files}:
        raise UserError(f"--out must be another file than those that are read, got {name}: name a new file")
    return out


def shown(curves: Sequence[LearningCurve]) -> str:
    """The curves as a table, and which of them end before their budget."""
    rows = [_COLUMNS, *map(_row, curves)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    notes = [
        f"note: {one.name} ends at epoch {one.epochs[-1]:g}, before its budget"
        for one in curves
        if not one.complete
    ]
    return "\n".join([*lines, *notes])


def _row(one: LearningCurve) -> tuple[str, ...]:
    finite = [v for v in one.values if math.isfinite(v)] or [math.nan]
    numbers = (one.values[0], one.values[-1], min(finite), max(finite))
    return (
        *(one.series, str(one.budget or "-"), one.metric or "-", str(len(one.values))),
        f"{one.epochs[0]:g} to {one.epochs[-1]:g}",
        *(f"{v:.5g}" for v in numbers),
    )
