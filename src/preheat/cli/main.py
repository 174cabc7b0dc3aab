"""The command `preheat`. Each command's module is imported when it is called; none imports torch to parse or
to help."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence

from preheat.cli.options import again, joined
from preheat.cli.parsers import build
from preheat.core.errors import UserError, nearest
from preheat.core.registry import TASKS

COMMANDS = {
    "study": "train every run of a study and write its report",
    "run": "train one run with a live line of loss and rate",
    "search": "search the best settings of schedules, and report",
    "report": "write a study's report again from its records",
    "export": "write a study's records in other people's files",
    "import": "read learning curves from other people's files",
    "original": "run an original project by its own command line",
    "results": "list the records of a results folder, or show one",
    "plot": "draw one or more schedules",
    "compare": "compare schedules without training: budgets, falls, bounds",
    "data": "show or fetch published data sets, or imitate images",
    "list": "show the tasks, schedules, optimizers, probes and studies that exist",
}
INTRO = """How should my learning rate rise, hold and fall: how long, how high, in which shape, and does it
matter here?

commands:
"""
EXAMPLES = f"""
examples:
  preheat list studies
  preheat study STUDY                         train, analyse, report; --dry-run says what it would train
  preheat run {TASKS.default} --schedule cosine --warmup 5ep --epochs 50
  preheat plot cosine wsd --warmup 5% --out two.png
  preheat list schedules

A length is 500 (steps), 5ep (epochs) or 5% (of the run). `preheat COMMAND --help` says more.
"""


def usage() -> str:
    """The text of `preheat --help`."""
    rows = "".join(f"  {name:<10}{text}\n" for name, text in COMMANDS.items())
    return f"usage: preheat COMMAND ...\n\n{INTRO}{rows}{EXAMPLES}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 1 where runs or chapters failed, 2 for the user's
    mistakes, 130 for Ctrl-C."""
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
    words = joined(args[1:])
    if "--ask" in words:
        from preheat.cli.ask import with_answers

        answered = with_answers(args[0], words)
        if answered is None:
            return 0
        words = answered
        sys.argv[1:] = [args[0], *words]  # for `again`: going on asks nothing
    found = build(args[0], words).parse_args(words)
    module = importlib.import_module(f"preheat.cli.{args[0]}_command")
    return int(module.run(found) or 0)


if __name__ == "__main__":
    sys.exit(main())
