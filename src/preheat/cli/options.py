"""Options that several commands share, and how their texts become values."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from preheat.core.errors import UserError
from preheat.core.grid import Setting, put
from preheat.core.registry import TRACKERS, import_file

SUFFIXES = (".yaml", ".yml", ".toml", ".json")  # of the files that a study or a run may be read from


def common(parser: argparse.ArgumentParser) -> None:
    """--results and --import."""
    parser.add_argument(
        "--results",
        metavar="DIR",
        type=folder,
        default=Path("results"),
        help="the results folder (default: results)",
    )
    imports(parser)


def imports(parser: argparse.ArgumentParser) -> None:
    """--import."""
    parser.add_argument(
        "--import",
        metavar="FILE",
        action="append",
        default=[],
        dest="imports",
        help="a Python file that registers your own task, schedule, ... (repeatable)",
    )


def ask(parser: argparse.ArgumentParser) -> None:
    """--ask."""
    parser.add_argument(
        "--ask",
        action="store_true",
        help="ask for the options one by one in the terminal, and show the command line that says the same",
    )


def device(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """--device."""
    parser.add_argument(
        "--device",
        metavar="DEVICE",
        default="auto",
        help="auto (default: what measures fastest of the CPU and, where there is one, the GPU), cpu, cuda "
        "or cuda:1",
    )


def keep_weights(parser: argparse.ArgumentParser, by: str) -> None:
    """--keep-weights. by: what decides on the best."""
    parser.add_argument(
        "--keep-weights",
        choices=("final", "best"),
        default="",
        help=f"keep weights as safetensors in the results folder: each run's last, or its best {by}; a run "
        "that has a record without them is trained again only for them",
    )


def track(parser: argparse.ArgumentParser) -> None:
    """--track."""
    known = ", ".join(TRACKERS.names())
    parser.add_argument(
        "--track",
        metavar="NAME[:MODE]",
        action="append",
        default=[],
        help=f"tell a tracker how the runs go while they train: {known} (docs/trackers.md; repeatable); one "
        "that fails is dropped with a note",
    )


def placement(parser: argparse.ArgumentParser) -> None:
    """How to train: what may differ without changing what is asked."""
    group = parser.add_argument_group(
        "where and how to train (the result does not depend on it beyond rounding)"
    )
    device(group)
    group.add_argument(
        "--jobs",
        metavar="N",
        type=positive,
        default=0,
        help="worker processes (default: one a core; with a GPU, one)",
    )
    group.add_argument(
        "--placement",
        choices=("auto", "single", "fleet"),
        default="auto",
        help="runs one by one, many together, or what measures fastest (default)",
    )
    group.add_argument(
        "--compile",
        choices=("auto", "on", "off"),
        default="auto",
        help="torch.compile: where it pays (default), always, never",
    )


def storage(parser: argparse.ArgumentParser) -> None:
    """--storage."""
    parser.add_argument(
        "--storage",
        metavar="URL",
        help="of the Optuna studies of a search: sqlite:///FILE or postgresql://USER@HOST/DATABASE (default: "
        "a file in the study's folder)",
    )


def settable(parser: argparse.ArgumentParser, what: str, *, pair: str = "OPTION=VALUE") -> None:
    """--set."""
    parser.add_argument(
        "--set", metavar=pair, action="append", default=[], dest="pairs", help=f"{what} (repeatable)"
    )


def data_folder(parser: argparse.ArgumentParser) -> None:
    """--data."""
    parser.add_argument(
        "--data",
        metavar="DIR",
        type=folder,
        help="the folder of the data sets (default: $PREHEAT_DATA, else ./data)",
    )


def use_data(args: argparse.Namespace) -> None:
    """Make --data the data folder of this process and of the workers it starts."""
    if args.data is not None:
        if args.data.exists() and not args.data.is_dir():
            raise UserError(
                f"--data must be a folder, got the file {args.data}: write the folder that holds it"
            )
        os.environ["PREHEAT_DATA"] = str(args.data.absolute())


def read_imports(files: Sequence[str]) -> tuple[str, ...]:
    """Import the files; their absolute paths, for the workers."""
    for file in files:
        import_file(file)
    return tuple(str(Path(f).resolve()) for f in files)


def joined(words: Sequence[str]) -> list[str]:
    """Words of a command line with negative values bound to their options, which argparse else takes for
    options.

    >>> joined(["mine", "--peak-lr", "-1e-3", "--seed", "3"])
    ['mine', '--peak-lr=-1e-3', '--seed', '3']
    """
    out: list[str] = []
    for word in words:
        if out and re.fullmatch("--[a-z-]+", out[-1]) and re.match(r"-(\.?[0-9]|inf|nan)", word):
            out[-1] += f"={word}"
        else:
            out.append(word)
    return out


def again() -> str:
    """The command line that was given: what to write to go on after a stop."""
    return shlex.join(["preheat", *sys.argv[1:]])


def folder(text: str) -> Path:
    """A folder's name."""
    if not text.strip():
        raise argparse.ArgumentTypeError(
            f"must be a folder's name, got {text!r}: write . for the folder you are in"
        )
    return Path(text)


def file(text: str) -> Path:
    """A file's name."""
    if not text.strip():
        raise argparse.ArgumentTypeError(
            f"must be a file's name, got {text!r}: leave the option out for the usual name"
        )
    return Path(text)


def positive(text: str) -> int:
    """A whole number above 0."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, got {text!r}")
    return value


def number(text: str) -> float:
    """A number."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number such as 1e-3, got {text!r}")


def settings(pairs: Sequence[str]) -> Setting:
    """`--set path=value` pairs as a nested mapping; a value is read as YAML (numbers, true, lists, text).

    >>> settings(["task.examples_per_class=20", "schedule.final=1e-2"])
    {'task': {'examples_per_class': 20}, 'schedule': {'final': 0.01}}
    """
    out: Setting = {}
    for pair in pairs:
        path, equals, text = pair.partition("=")
        if not equals or not path:
            raise UserError(f"--set needs path=value, got {pair!r}: write --set task.examples_per_class=20")
        put(out, path.strip(), value(text))
    return out


def value(text: str) -> Any:
    """What a text on the command line means, as in a file: a number, true or false, null, a list, or the text
    itself.

    >>> value("1e-3"), value("[4e-6, 50%]"), value("1-sqrt")
    (0.001, [4e-06, '50%'], '1-sqrt')
    """
    from preheat.studyfiles.syntax import PARSERS, BadSyntax, LineMap

    found = LineMap()
    try:
        data = PARSERS[".yaml"](text, found)
    except BadSyntax as error:
        raise UserError(f"not a value: {text!r}: write a number, true, a text or [a, list]") from error
    if found.faults:
        raise UserError(f"not a value: {text!r}: {found.faults[0].text}")
    return data
