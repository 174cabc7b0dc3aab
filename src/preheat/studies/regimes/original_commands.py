"""The command line of Agrawal 2025, *Learning Rate Warmup Across Data Regimes*: `run_experiments.py`."""

from __future__ import annotations

import argparse
from pathlib import Path

from preheat.core.errors import UserError
from preheat.core.originals import Meant, Original
from preheat.core.registry import ORIGINALS

MODES = ("all", "week", "test", "range")


@ORIGINALS.register("data-regimes")
class DataRegimes(Original):
    """Agrawal 2025, Learning Rate Warmup Across Data Regimes: its 155 experiments on three sets of images.

    --mode test writes into DIR_test, as the original does. A range counts the 155 experiments from 0 and
    leaves the last out. Weeks are the timetable that the original describes: its own code takes neighbouring
    experiments, so that its first week has a third of the cells with every seed.
    """

    def arguments(self, parser: argparse._ActionsContainer) -> None:
        add = parser.add_argument
        add("--mode", choices=MODES, default="all", help="which of the experiments (default: all)")
        add("--week", type=int, choices=(1, 2, 3), help="of --mode week")
        add("--start", type=int, metavar="N", help="of --mode range: the first experiment (default: 0)")
        add("--end", type=int, metavar="N", help="of --mode range: one past the last (default: all)")
        add(
            "--output",
            type=Path,
            default=Path("results"),
            metavar="DIR",
            help="the folder of the files (default: ./results)",
        )

    def meant(self, args: argparse.Namespace) -> Meant:
        _check(args)
        part = {"test": ("--part", "test"), "week": ("--part", f"week{args.week}")}.get(args.mode, ())
        span = ("--range", f"{args.start or 0}:{'' if args.end is None else args.end}")
        chosen = span if args.mode == "range" else part
        out = args.output.with_name(f"{args.output.name}_test") if args.mode == "test" else args.output
        return Meant(("regimes", "--task", "all", "--protocol", "original", *chosen), "original", out)


def _check(args: argparse.Namespace) -> None:
    """Options go with their mode."""
    if args.mode == "week" and args.week is None:
        raise UserError("--mode week needs the week: write --week 1, 2 or 3")
    for name, mode in (("week", "week"), ("start", "range"), ("end", "range")):
        if getattr(args, name) is not None and args.mode != mode:
            raise UserError(f"--{name} is of --mode {mode}, got --mode {args.mode}: write --mode {mode}")
    first, end = args.start or 0, args.end
    if first < 0 or (end is not None and end <= first):
        got = f"--start {first}" + ("" if end is None else f" --end {end}")
        raise UserError(f"--start must be at least 0 and below --end, got {got}: write --start 0 --end 25")
