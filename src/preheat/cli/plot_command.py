"""Draw one or more schedules as PNG, SVG or PDF, or all of them as one page with sliders. No training."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preheat.cli.options import file, imports, read_imports
from preheat.cli.schedules import (
    budgets_in_steps,
    in_options,
    look,
    options_of_all,
    schedule_words,
    viewed,
)
from preheat.core.errors import UserError
from preheat.core.words import listed

if TYPE_CHECKING:
    from preheat.schedules.rule import Rule

EXAMPLES = """examples:
  preheat plot wsd --warmup 5% --out wsd.png
  preheat plot cosine linear inverse_sqrt --warmup 10ep --epochs 100 --steps-per-epoch 32 --out three.svg
  preheat plot wsd:cooldown=20% wsd:cooldown=40%,cooldown_curve=1-sqrt @mine.yaml --log --out decays.pdf
  preheat plot hyperbolic:upper=1000 cosine --budgets 250,500,750,1000 --guides --out budgets.svg
  preheat plot --gallery --steps 30000 --peak-lr 3e-4 --out gallery.html
"""
_PICTURE, _GALLERY = Path("schedule.png"), Path("gallery.html")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add = parser.add_argument
    look(parser, "*")
    gallery = "every schedule on one HTML page with sliders (takes --steps and --peak-lr)"
    add("--gallery", action="store_true", help=gallery)
    unit = "of the horizontal axis (default: steps)"
    add("--unit", choices=("steps", "epochs", "progress"), default="steps", help=unit)
    add("--log", action="store_true", help="a logarithmic rate axis")
    budgets = (
        "draw each schedule on runs of these lengths, a panel a schedule, such as 250,500,750,1000 or "
        "50ep,100ep"
    )
    add("--budgets", metavar="LENGTHS", help=budgets)
    guides = "with --budgets: dotted the slope where the decay begins, dashed the asymptote, if there is one"
    add("--guides", action="store_true", help=guides)
    out = f"a .png, .svg or .pdf file (default: {_PICTURE}), or .html ({_GALLERY})"
    add("--out", metavar="FILE", type=file, help=out)
    imports(parser)


def run(args: argparse.Namespace) -> None:
    """Draw and save."""
    read_imports(args.imports)
    with in_options():
        print(f"wrote {_gallery(args) if args.gallery else _picture(args)}")


def _picture(args: argparse.Namespace) -> Path:
    from preheat.pictures.plot import save_figure, schedule_figure

    if not args.schedules:
        write = "write preheat plot cosine, or preheat plot --gallery"
        raise UserError(f"plot draws the schedules that are named, got none: {write}")
    total, per_epoch, peak = viewed(args)
    schedules = schedule_words(args.schedules, options_of_all(args))
    run: dict[str, Any] = {"total": total, "per_epoch": per_epoch, "peak": peak or 1.0}
    if peak is None:
        _note_of_rates(schedules, total, per_epoch)
    if args.budgets or args.guides:
        return _over_budgets(args, schedules)
    return save_figure(schedule_figure(schedules, **run, log=args.log, unit=args.unit), args.out or _PICTURE)


def _over_budgets(args: argparse.Namespace, schedules: Mapping[str, Rule]) -> Path:
    from preheat.pictures.budgets import View, budgets_figure
    from preheat.pictures.plot import save_figure

    if not args.budgets or args.steps or args.epochs:
        got = " and ".join(f"--{n}" for n in ("guides", "steps", "epochs") if getattr(args, n)) or "none"
        raise UserError(
            f"--budgets gives the lengths of the runs itself, and --guides needs it, got {got}: write "
            "--budgets 250,500,750,1000"
        )
    total, per_epoch, peak = viewed(args)
    budgets = budgets_in_steps(args.budgets, total, per_epoch)
    view = View(per_epoch, peak or 1.0, args.unit, args.log, args.guides)
    return save_figure(budgets_figure(schedules, budgets, view=view), args.out or _PICTURE)


def _note_of_rates(schedules: Mapping[str, Rule], total: int, per_epoch: int | None) -> None:
    """Say which schedules have rates of their own, so that their shape is another at another peak."""
    own = [word for word, one in schedules.items() if _needs_peak(one, total, per_epoch)]
    if own:
        verb = "is" if len(own) == 1 else "are"
        print(
            f"note: {listed(own)} {verb} drawn for a peak rate of 1; a level given as a rate makes another "
            "shape at another peak: write --peak-lr 1e-2",
            file=sys.stderr,
        )


def _needs_peak(one: Rule, total: int, per_epoch: int | None) -> bool:
    try:
        one.resolve(total, per_epoch)
    except UserError as error:
        return "needs the peak rate" in str(error)
    return False


def _gallery(args: argparse.Namespace) -> Path:
    from preheat.pictures.gallery import write_gallery

    names = "schedules pairs warmup epochs steps_per_epoch log budgets guides"
    own = [getattr(args, name) for name in names.split()]
    if args.unit != "steps" or any(own):
        raise UserError(
            "--gallery shows every schedule and has controls of its own: write only --steps, --peak-lr, "
            "--out and --import beside it"
        )
    run = viewed(args)
    return write_gallery(args.out or _GALLERY, total=run.total, peak=run.peak or 1.0)
