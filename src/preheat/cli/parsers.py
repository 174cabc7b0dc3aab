"""The parser of each command: its own flags, and those of the task, the study or the project that it
names."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from inspect import signature
from typing import NoReturn

from preheat.cli.options import SUFFIXES
from preheat.cli.subject import add_flags, subject
from preheat.core.errors import UserError, nearest, unknown
from preheat.core.registry import REGISTRIES

ABOUT = {
    "study": "study",
    "run": "task",
    "search": "task",
    "original": "original",
}  # commands about something registered


class Parser(argparse.ArgumentParser):
    """argparse whose mistakes are ours: one line, the nearest match, exit code 2. hint: what is said of an
    unknown option in place of the nearest match. by_set: options that are no flags, but are set by --set."""

    hint = ""
    by_set: Sequence[str] = ()

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage."""
        if message.startswith("unrecognized arguments: "):
            word = message.split()[2]
            known = [o for a in self._actions for o in a.option_strings if o.startswith("--")]
            sets = {f"--{name}": f"--set {name}=VALUE" for name in self.by_set if f"--{name}" not in known}
            match = nearest(word.split("=")[0], [*known, *sets])
            match = sets.get(match or "", match)
            hint = f": did you mean {match}?" if match else f": see {self.prog} --help"
            message = f"unknown option {word}{self.hint or hint}"
        raise UserError(message)


class _Wide(argparse.RawDescriptionHelpFormatter):
    """Help of one width everywhere, so that it reads the same in every terminal and in the tests."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=100, max_help_position=30)


def about_what(command: str, words: Sequence[str]) -> str:
    """Which registered thing or file the words of a command of ABOUT name; "" where they name none."""
    own = Parser(add_help=False, allow_abbrev=False)
    importlib.import_module(f"preheat.cli.{command}_command").options(own)
    return subject(own, words, ABOUT[command])


def build(command: str, words: Sequence[str] = ()) -> Parser:
    """The parser of a command. words: what follows it on the command line."""
    module = importlib.import_module(f"preheat.cli.{command}_command")
    parser = Parser(
        prog=f"preheat {command}",
        description=module.__doc__,
        epilog=module.EXAMPLES,
        formatter_class=_Wide,
        allow_abbrev=False,
    )
    module.arguments(parser)
    if command not in ABOUT:
        return parser
    kind, name = ABOUT[command], about_what(command, words)
    module.options(parser)
    add_flags(parser, kind, name)
    known = REGISTRIES[kind].names()
    if name in known and hasattr(module, "about") and {"-h", "--help"} & {*words}:
        parser.epilog = module.about(name)
    if command == "study" and name in known:
        parser.by_set = [*signature(REGISTRIES[kind][name]).parameters]
    if name and name not in known:
        parser.hint = f"; {unknown(kind, name, known)}"
    if name.endswith(SUFFIXES):
        parser.hint = f"; the options of a {kind} are flags of registered ones only: edit {name} instead"
    return parser
