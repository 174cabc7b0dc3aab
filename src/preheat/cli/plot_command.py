"""Draw one or more schedules as PNG, SVG or PDF. No training, no torch."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from preheat.cli.options import imports, number, read_imports, settings, whole
from preheat.core.registry import SCHEDULES

EXAMPLES = """examples:
  preheat plot wsd --warmup 5% --out wsd.png
  preheat plot cosine linear inverse_sqrt --warmup 10ep --epochs 100 --steps-per-epoch 32 --out three.svg
  preheat plot exponential --set final=0.001 --log --out decay.pdf
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("schedules", nargs="+", metavar="SCHEDULE", help="names (see preheat list schedules)")
    parser.add_argument("--warmup", metavar="LENGTH", help="500 (steps), 5ep (epochs) or 5%% (of the run)")
    parser.add_argument("--steps", metavar="N", type=whole, default=None, help="the run's length in steps (default: 1000)")
    parser.add_argument("--epochs", metavar="N", type=whole, default=None, help="the run's length in epochs")
    parser.add_argument(
        "--steps-per-epoch", metavar="N", type=whole, default=None, help="needed by lengths in epochs (default: 10 with --epochs)"
    )
    parser.add_argument(
        "--peak-lr", metavar="RATE", type=number, default=1.0, help="the highest rate (default: 1, so the axis is the factor)"
    )
    parser.add_argument("--unit", choices=("steps", "epochs", "progress"), default="steps", help="of the horizontal axis")
    parser.add_argument("--log", action="store_true", help="a logarithmic rate axis")
    parser.add_argument(
        "--set", metavar="OPTION=VALUE", action="append", default=[], dest="pairs", help="an option of the schedules (repeatable)"
    )
    parser.add_argument(
        "--out", metavar="FILE", type=Path, default=Path("schedule.png"), help="a .png, .svg or .pdf file (default: schedule.png)"
    )
    imports(parser)


def run(args: argparse.Namespace) -> None:
    """Draw and save."""
    from preheat.report.schedule_plot import save_figure, schedule_figure

    read_imports(args.imports)
    options: dict[str, Any] = settings(args.pairs)
    if args.warmup is not None:
        options["warmup"] = args.warmup
    per_epoch = args.steps_per_epoch or (10 if args.epochs else None)
    total = args.steps or (args.epochs * per_epoch if args.epochs and per_epoch else 1000)
    drawn = {name: SCHEDULES.build(name, options) for name in args.schedules}
    figure = schedule_figure(drawn, total=total, per_epoch=per_epoch, peak=args.peak_lr, log=args.log, unit=args.unit)
    save_figure(figure, args.out)
    print(f"wrote {args.out}")
