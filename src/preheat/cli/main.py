"""The command `preheat`. Each command's module is imported when it is called; none imports torch to parse or
to help."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from preheat.cli.again import again
from preheat.cli.options import joined
from preheat.core.errors import UserError, nearest

COMMANDS = {
    "study": "train every run of a study and write its report",
    "run": "train one run with a live line of loss and rate",
    "report": "write a study's report again from its records",
    "results": "list the records of a results folder, or show one",
    "plot": "draw one or more schedules",
    "compare": "compare schedules without training: budgets, falls, bounds",
    "data": "show, fetch or imitate the image sets: CIFAR-10, CIFAR-100, PathMNIST",
    "list": "show the tasks, schedules, optimizers, probes and studies that exist",
}
INTRO = """How should my learning rate rise, hold and fall: how long, how high, in which shape, and does it matter here?

commands:
"""
EXAMPLES = """
examples:
  preheat study regimes                       warmup at five data sizes: train, analyse, report
  preheat run digits --schedule cosine --warmup 5ep --epochs 50
  preheat plot cosine wsd --warmup 5% --out two.png
  preheat list schedules
  preheat data all                            fetch CIFAR-10, CIFAR-100 and PathMNIST

A length is 500 (steps), 5ep (epochs) or 5% (of the run). `preheat COMMAND --help` says more.
"""


class Parser(argparse.ArgumentParser):
    """argparse whose mistakes are ours: one line, the nearest match, exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage."""
        if message.startswith("unrecognized arguments: "):
            word = message.split()[2]
            known = [o for a in self._actions for o in a.option_strings if o.startswith("--")]
            match = nearest(word.split("=")[0], known)
            message = f"unknown option {word}" + (
                f": did you mean {match}?" if match else f": see {self.prog} --help"
            )
        raise UserError(message)


def build(command: str) -> Parser:
    """The parser of one command."""
    module = importlib.import_module(f"preheat.cli.{command}_command")
    parser = Parser(
        prog=f"preheat {command}",
        description=module.__doc__,
        epilog=module.EXAMPLES,
        formatter_class=_Wide,
        allow_abbrev=False,
    )
    module.arguments(parser)
    return parser


class _Wide(argparse.RawDescriptionHelpFormatter):
    """Help of one width everywhere, so that it reads the same in every terminal and in the tests."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=100, max_help_position=30)


def usage() -> str:
    """The text of `preheat --help`."""
    rows = "".join(f"  {name:<10}{text}\n" for name, text in COMMANDS.items())
    return f"usage: preheat COMMAND ...\n\n{INTRO}{rows}{EXAMPLES}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 1 where runs failed, 2 for the user's mistakes, 130 for
    Ctrl-C."""
    args = list(sys.argv[1:] if argv is None else argv)
    if argv is None:
        _print_anything()
    try:
        return _dispatch(args)
    except UserError as error:
        print(f"preheat: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\npreheat: stopped; to go on: {again()}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _print_anything() -> None:
    """A name that the terminal's encoding lacks is printed with escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _dispatch(args: list[str]) -> int:
    if not args or args[0] in ("-h", "--help", "help"):
        print(usage(), end="")
        return 0
    if args[0] in ("-V", "--version"):
        from importlib.metadata import version

        print(f"preheat {version('preheat')}")
        return 0
    if args[0] not in COMMANDS:
        match = nearest(args[0], COMMANDS)
        hint = f"did you mean {match!r}? " if match else ""
        raise UserError(f"unknown command {args[0]!r}: {hint}Known: {', '.join(COMMANDS)}")
    parser = build(args[0])
    found = parser.parse_args(joined(args[1:]))
    module = importlib.import_module(f"preheat.cli.{args[0]}_command")
    return int(module.run(found) or 0)


if __name__ == "__main__":
    sys.exit(main())
