"""Schedules as words of a command line, and the run that they are looked at on.

`cosine`, `wsd:cooldown=20%,cooldown_curve=1-sqrt`, `step:milestones=[50%,75%]`, `@mine.yaml`: `run`, `plot`
and `compare` read them alike.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from preheat.cli.options import number, positive, settings, value
from preheat.core.errors import UserError
from preheat.core.lengths import length
from preheat.core.registry import SCHEDULES, Registry
from preheat.core.run import MOST_STEPS
from preheat.core.spec import Spec, build

if TYPE_CHECKING:
    from preheat.schedules.rule import Rule

HELP = (
    "a name (see preheat list schedules), with options as in wsd:cooldown=20%%,final=0.1, or @FILE (YAML, "
    "TOML or JSON)"
)
_PAIRS = {"]": "[", ")": "(", "}": "{"}
# what messages of the library tell to give, and the options that give it
_OPTIONS = {
    "per_epoch=...": "--steps-per-epoch N",
    "peak=...": "--peak-lr RATE",
    "peak=1e-3": "--peak-lr 1e-3",
    "unit='steps'": "--unit steps",
    "give samples=..., or write steps": "write steps, epochs or % of the run",
    "give tokens=..., or write steps": "write steps, epochs or % of the run",
}


class Viewed(NamedTuple):
    """The run that schedules are viewed on: steps, steps in an epoch, peak rate; None where nobody said."""

    total: int
    per_epoch: int | None
    peak: float | None


def look(parser: argparse.ArgumentParser, schedules: str) -> None:
    """The options of commands that look at schedules without training. schedules: how many, for argparse."""
    add = parser.add_argument
    add("schedules", nargs=schedules, metavar="SCHEDULE", help=HELP)
    add("--warmup", metavar="LENGTH", help="of all but files: 500 (steps), 5ep (epochs) or 5%% (of the run)")
    pairs = "an option of all but files (repeatable)"
    add("--set", metavar="OPTION=VALUE", action="append", default=[], dest="pairs", help=pairs)
    add("--steps", metavar="N", type=positive, help="the run's length in steps (default: 1000)")
    add("--epochs", metavar="N", type=positive, help="the run's length in epochs")
    per_epoch = "needed by lengths in epochs (default: 10 with --epochs)"
    add("--steps-per-epoch", metavar="N", type=positive, help=per_epoch)
    peak = "the highest rate (default: 1, so that rates are factors)"
    add("--peak-lr", metavar="RATE", type=number, help=peak)


def viewed(args: argparse.Namespace) -> Viewed:
    """The run that the options describe."""
    if args.epochs and args.steps:
        raise UserError("--epochs and --steps both give the run's length: write one of them")
    if args.peak_lr is not None and not 0 < args.peak_lr < float("inf"):
        got = f"got {args.peak_lr:g}: write --peak-lr 1e-3"
        raise UserError(f"--peak-lr must be a finite rate above 0, {got}")
    per_epoch = args.steps_per_epoch or (10 if args.epochs else None)
    total = args.steps or (args.epochs * per_epoch if args.epochs and per_epoch else 1000)
    if total > MOST_STEPS:
        raise UserError(
            f"a run may have at most {MOST_STEPS:,} steps, got {total:,}: write a shorter --steps or --epochs"
        )
    return Viewed(total, per_epoch, args.peak_lr)


def options_of_all(args: argparse.Namespace) -> dict[str, Any]:
    """The options of all the schedules."""
    return settings(args.pairs) | ({} if args.warmup is None else {"warmup": args.warmup})


def budgets_in_steps(text: str | None, total: int, per_epoch: float | None) -> list[int]:
    """The lengths that --budgets gives, or a quarter, a half, three quarters and all of the run; in steps,
    rising.

    >>> budgets_in_steps("100%,50,8ep", 100, 10), budgets_in_steps(None, 1000, None)
    ([50, 80, 100], [250, 500, 750, 1000])
    """
    words = [w.strip() for w in (text or "25%,50%,75%,100%").split(",")]
    found = {length(w).resolve(total, per_epoch) for w in words}
    if text is None:
        found = {max(1.0, round(n)) for n in found}
    if any(n < 1 or n != int(n) for n in found) or (text is not None and len(found) < 2):
        raise UserError(
            f"--budgets needs two or more lengths of whole steps, got {text}: write --budgets 50,100,200"
        )
    if max(found) > MOST_STEPS:
        got = f"got {max(found):,.0f} in --budgets: write shorter lengths"
        raise UserError(f"a run may have at most {MOST_STEPS:,} steps, {got}")
    return sorted(map(int, found))


@contextmanager
def in_options() -> Iterator[None]:
    """Messages of the library with the command's options in place of arguments.

    >>> with in_options():
    ...     raise UserError("5ep needs the steps per epoch: give per_epoch=..., or write steps")
    Traceback (most recent call last):
    ...
    preheat.core.errors.UserError: 5ep needs the steps per epoch: give --steps-per-epoch N, or write steps
    """
    try:
        yield
    except UserError as error:
        message = str(error)
        for argument, option in _OPTIONS.items():
            message = message.replace(argument, option)
        raise UserError(message) from error


def schedule_words(words: Sequence[str], shared: Mapping[str, Any] | None = None) -> dict[str, Rule]:
    """{word as typed: schedule} of words `name`, `name:option=value,option=value` or `@FILE`, in their order.

    A value is read as YAML: a number, a length, a text, or a [list, of, them]. shared: options of all the
    schedules but those in files; a word's own go before them. Errors: UserError for what is unknown,
    malformed or named twice.

    >>> for word, schedule in schedule_words(["cosine", "wsd:cooldown=10%,final=0.1"], {"warmup": 5}).items():
    ...     print(word, "|", schedule)
    cosine | cosine(warmup=5)
    wsd:cooldown=10%,final=0.1 | wsd(warmup=5, cooldown=10%, final=0.1)
    """
    made: dict[str, Rule] = {}
    for word in words:
        if word in made:
            write = f"give one of them an option, such as {word}:at=left"
            raise UserError(f"each schedule is named once, got {word!r} twice: {write}")
        one = schedule_spec(word)
        if not word.startswith("@"):
            one = Spec(one.name, {**(shared or {}), **one.options})
        made[word] = build("schedule", one)
    return made


def schedule_spec(word: str) -> Spec:
    """What a word says, before any default.

    >>> schedule_spec("cosine:warmup=5%").json()
    {'name': 'cosine', 'warmup': '5%'}
    """
    if word.startswith("@"):
        from preheat.studyfiles.reader import read_schedule

        return read_schedule(word[1:])
    name = word.partition(":")[0]
    if _is_recipe(name):
        raise UserError(
            f"a command line takes registered schedules and files, got {name!r}, a function of Python: save "
            "the .json() of the schedule that it gives as mine.json and write @mine.json"
        )
    return word_spec(word, SCHEDULES)


def word_spec(word: str, known: Registry) -> Spec:
    """What a word says that names something of a registry: `name` or `name:option=value,option=value`."""
    name, colon, text = word.partition(":")
    return Spec(known.check(name), word_options(word, text) if colon else {})


def _is_recipe(name: str) -> bool:
    """Whether it is a function that gives a schedule and has no name in the registry."""
    try:
        return hasattr(import_module(f"preheat.schedules.recipes.{name}"), name)
    except ImportError:
        return False


def word_options(word: str, text: str, *, texts: Collection[str] = ()) -> dict[str, Any]:
    """The options after the colon of a word such as wsd:cooldown=20%,final=0.1, values read as YAML; of those
    in `texts` as [texts] that stay as they are."""
    out: dict[str, Any] = {}
    for pair in _parts(word, text):
        key, equals, given = (part.strip() for part in pair.partition("="))
        if not key or not equals or not given:
            write = f"write {word.partition(':')[0]}:option=value,option=value"
            raise UserError(f"options are option=value, got {pair!r} in {word!r}: {write}")
        if key in out:
            raise UserError(f"each option is given once, got {key} twice in {word!r}: leave one out")
        out[key] = _texts(given) if key in texts else value(given)
    return out


def _texts(given: str) -> list[str]:
    """
    >>> _texts("[12e4, '007']"), _texts("12e4"), _texts("[]")
    (['12e4', '007'], ['12e4'], [])
    """
    inside = given.removeprefix("[").removesuffix("]")
    return [part.strip().strip("'\"") for part in inside.split(",") if part.strip()]


def _parts(word: str, text: str) -> list[str]:
    """The text cut at its commas, but for those inside brackets.

    >>> _parts("", "a=[1,2],b=3")
    ['a=[1,2]', 'b=3']
    """
    parts, inside = [""], ""
    for letter in text:
        if letter == "," and not inside:
            parts.append("")
            continue
        parts[-1] += letter
        if letter in _PAIRS.values():
            inside += letter
        elif letter in _PAIRS:
            if inside[-1:] != _PAIRS[letter]:
                inside = letter
                break
            inside = inside[:-1]
    if inside:
        write = "write step:milestones=[50%,75%]"
        raise UserError(f"brackets must match, got {inside[-1]!r} alone in {word!r}: {write}")
    return parts
