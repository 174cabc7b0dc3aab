"""Draw one or more schedules as PNG, SVG or PDF, or all of them as one page with sliders. No training, no torch."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preheat.cli.options import imports, number, read_imports, settings, whole
from preheat.cli.schedules import HELP, schedule_words
from preheat.core.errors import UserError
from preheat.core.spec import as_spec, build

if TYPE_CHECKING:
    from preheat.schedules.rule import Rule

EXAMPLES = """examples:
  preheat plot wsd --warmup 5% --out wsd.png
  preheat plot cosine linear inverse_sqrt --warmup 10ep --epochs 100 --steps-per-epoch 32 --out three.svg
  preheat plot wsd:cooldown=20% wsd:cooldown=40%,cooldown_curve=1-sqrt @mine.yaml --log --out decays.pdf
  preheat plot --gallery --out gallery.html
"""
_PICTURE, _GALLERY = Path("schedule.png"), Path("gallery.html")
# what messages of the library tell to give, and the options that give it
_OPTIONS = {
    "per_epoch=...": "--steps-per-epoch N",
    "peak=...": "--peak-lr RATE",
    "peak=1e-3": "--peak-lr 1e-3",
    "unit='steps'": "--unit steps",
    "give samples=..., or write steps": "write steps, epochs or % of the run",
    "give tokens=..., or write steps": "write steps, epochs or % of the run",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add = parser.add_argument
    add("schedules", nargs="*", metavar="SCHEDULE", help=f"{HELP}; @FILE is a schedule in a YAML or JSON file")
    add("--gallery", action="store_true", help="every schedule on one HTML page, with sliders")
    add("--warmup", metavar="LENGTH", help="of all of them: 500 (steps), 5ep (epochs) or 5%% (of the run)")
    add("--steps", metavar="N", type=whole, help="the run's length in steps (default: 1000)")
    add("--epochs", metavar="N", type=whole, help="the run's length in epochs")
    add("--steps-per-epoch", metavar="N", type=whole, help="needed by lengths in epochs (default: 10 with --epochs)")
    add("--peak-lr", metavar="RATE", type=number, help="the highest rate (default: 1, so the axis is the factor)")
    add("--unit", choices=("steps", "epochs", "progress"), default="steps", help="of the horizontal axis (default: steps)")
    add("--log", action="store_true", help="a logarithmic rate axis")
    add("--set", metavar="OPTION=VALUE", action="append", default=[], dest="pairs", help="an option of all of them (repeatable)")
    add("--out", metavar="FILE", type=Path, help=f"a .png, .svg or .pdf file (default: {_PICTURE}), or .html ({_GALLERY})")
    imports(parser)


def run(args: argparse.Namespace) -> None:
    """Draw and save."""
    read_imports(args.imports)
    if args.gallery:
        print(f"wrote {_gallery(args)}")
        return
    if not args.schedules:
        raise UserError("plot draws the schedules that are named, got none: write preheat plot cosine, or preheat plot --gallery")
    if args.steps and args.epochs:
        raise UserError("--epochs and --steps both give the run's length: write one of them")
    options: dict[str, Any] = settings(args.pairs)
    if args.warmup is not None:
        options["warmup"] = args.warmup
    per_epoch = args.steps_per_epoch or (10 if args.epochs else None)
    total = args.steps or (args.epochs * per_epoch if args.epochs and per_epoch else 1000)
    print(f"wrote {_picture(args, named(args.schedules, options), total=total, per_epoch=per_epoch)}")


def _picture(args: argparse.Namespace, schedules: Mapping[str, Rule], *, total: int, per_epoch: int | None) -> Path:
    from preheat.report.schedule_plot import save_figure, schedule_figure

    peak = 1.0 if args.peak_lr is None else args.peak_lr
    try:
        figure = schedule_figure(schedules, total=total, per_epoch=per_epoch, peak=peak, log=args.log, unit=args.unit)
    except UserError as error:
        raise UserError(_in_options(str(error))) from error
    return save_figure(figure, args.out or _PICTURE)


def _in_options(message: str) -> str:
    """A message of the library with this command's options in place of arguments.

    >>> _in_options("a length in epochs (5ep) needs the steps per epoch: give per_epoch=..., or write steps")
    'a length in epochs (5ep) needs the steps per epoch: give --steps-per-epoch N, or write steps'
    """
    for argument, option in _OPTIONS.items():
        message = message.replace(argument, option)
    return message


def _gallery(args: argparse.Namespace) -> Path:
    from preheat.report.schedule_gallery import write_gallery

    given = [*args.schedules, *args.pairs]
    given += [v for v in (args.warmup, args.steps, args.epochs, args.steps_per_epoch, args.peak_lr) if v is not None]
    if given or args.log or args.unit != "steps":
        raise UserError("--gallery shows every schedule and has controls of its own: write only --out and --import beside it")
    return write_gallery(args.out or _GALLERY)


def named(words: Sequence[str], shared: Mapping[str, Any]) -> dict[str, Rule]:
    """{word: schedule} in the order of the words; `@FILE` is the schedule that a YAML or JSON file holds, as it is there."""
    made = schedule_words([word for word in words if not word.startswith("@")], shared)
    return {word: _from_file(word[1:]) if word.startswith("@") else made[word] for word in words}


def _from_file(name: str) -> Rule:
    import yaml

    try:
        data = yaml.safe_load(Path(name).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"@FILE is a YAML or JSON file with one schedule, got {name!r}: {reason}") from error
    made: Rule = build("schedule", as_spec(data, "schedule"))
    return made
