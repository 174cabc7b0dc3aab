"""`--ask`: the options of a command as prompts in the terminal."""

from __future__ import annotations

import argparse
import importlib
import shlex
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from preheat.cli.options import SUFFIXES, read_imports, use_data
from preheat.cli.parsers import ABOUT, about_what, build
from preheat.cli.subject import DEST
from preheat.core.errors import UserError
from preheat.core.registry import REGISTRIES

FLAG = "--ask"
LEFT_OUT = "(leave it out)"


def with_answers(command: str, words: Sequence[str]) -> list[str] | None:
    """The words after `command` that say what `words` and the answers say; None: not to be run.

    `words` come back as they are, but for --ask, where there is nothing to ask: with --help, and for a
    command that has no --ask and says so itself.

    Errors: UserError without a terminal or questionary, and for what `words` say wrongly. KeyboardInterrupt
    for Ctrl-C and Ctrl-D.
    """
    rest = [word for word in words if word != FLAG]
    if FLAG not in build(command)._option_string_actions:
        return list(words)
    if {"-h", "--help"} & {*rest}:
        return rest
    if not terminal():
        raise UserError(
            f"{FLAG} needs a terminal, got none: give the options as flags, which preheat {command} --help "
            "shows"
        )
    _questionary()
    try:
        walk = _Walk(command, rest)
        said = walk.answered()
        print(shlex.join(["preheat", command, *said]))
        if wrong := walk.wrong(said):
            raise UserError(wrong)
        return said if _prompt("confirm", "run this?", default=True) else None
    except EOFError:
        raise KeyboardInterrupt from None


def terminal() -> bool:
    """Whether there is somebody to answer."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def _questionary() -> Any:
    try:
        import questionary
    except ImportError as error:
        raise UserError(f"{FLAG} needs the package questionary: pip install 'preheat[ask]'") from error
    return questionary


def _prompt(kind: str, message: str, **options: Any) -> Any:
    """The answer to a prompt of questionary."""
    return getattr(_questionary(), kind)(message, **options).unsafe_ask()


def _chosen(message: str, choices: Iterable[tuple[str, str]]) -> str:
    """One of the choices, each a name and what is said of it; typing narrows the list."""
    choice, titles = _questionary().Choice, [(name, f"{name}  {line}".rstrip()) for name, line in choices]
    every = [choice(title, value=name) for name, title in titles]
    return str(_prompt("select", message, choices=every, use_search_filter=True, use_jk_keys=False))


class _Walk:
    """The way through the options of a command. words: what is said so far."""

    def __init__(self, command: str, words: list[str]) -> None:
        self.command, self.words = command, words
        self.module = importlib.import_module(f"preheat.cli.{command}_command")

    def answered(self) -> list[str]:
        """All words, when each option was asked for.

        Errors: UserError for an unknown subject, a file that is wrong, and a value that is none.
        """
        name = self._subject()
        parser = build(self.command, self.words)
        parser.parse_args(self.words)
        if wrong := self.wrong(self.words):
            if name.endswith(SUFFIXES):
                raise UserError(wrong)
            print(f"preheat: {wrong}", file=sys.stderr)  # an answer may mend it
        print("Enter leaves an option out, Ctrl-C ends.")
        actions = [a for a in parser._actions if a.option_strings and a.dest not in ("help", "ask")]
        for one in sorted(actions, key=lambda a: not a.dest.startswith(DEST)):  # those of the subject first
            if not any(word.partition("=")[0] in one.option_strings for word in self.words):
                self._ask(one, _message(parser, one))
        return self.words

    def _subject(self) -> str:
        """What the command is about; asked for where the words do not say."""
        if self.command not in ABOUT:
            return ""
        kind, name = ABOUT[self.command], about_what(self.command, self.words)
        registry = REGISTRIES[kind]
        if not name:
            name = _chosen(f"{kind}:", registry.describe().items())
            self.words = [name, *self.words]
        return name if name.endswith(SUFFIXES) else registry.check(name)

    def _ask(self, one: argparse.Action, message: str) -> None:
        """Ask for an option until the answer is right; for one that is repeatable, until there is none."""
        while new := _answer(one, message):
            if wrong := self._fault(new):
                print(f"preheat: {wrong}", file=sys.stderr)
                continue
            self.words = [*self.words, *new]
            if not isinstance(one, argparse._AppendAction):
                return
            message = f"another {one.option_strings[-1]}:"

    def _fault(self, new: list[str]) -> str:
        """The error of an answer; "" where there is none, or where it is of an option that is still to come:
        it was there before, or names another value."""
        wrong = self.wrong([*self.words, *new])
        before = self.wrong(self.words) if wrong else ""
        value = new[-1].removeprefix(f"{new[0].partition('=')[0]}=")
        mine = not before or (wrong != before and value in wrong)
        return wrong if mine else ""

    def wrong(self, words: list[str]) -> str:
        """The error that the command would give before it does anything; "" for none."""
        try:
            args = build(self.command, words).parse_args(words)
            read_imports(args.imports)
            use_data(args)
            getattr(self.module, "asked", self.module.declared)(args)
            _elsewhere(args)
        except UserError as error:
            return str(error)
        return ""


def _elsewhere(args: argparse.Namespace) -> None:
    """Check what a command looks at only when it trains: trackers and a storage."""
    from preheat.adapters.trackers.tracking import checked
    from preheat.store.server import check_storage

    checked(getattr(args, "track", ()))
    if url := getattr(args, "storage", None):
        check_storage(url)


def _message(parser: argparse.ArgumentParser, one: argparse.Action) -> str:
    """What is asked: the option, what it takes, and its help, which says the default."""
    takes = f" {one.metavar}" if one.metavar else ""
    told = " ".join(parser._get_formatter()._expand_help(one).split()) if one.help else ""
    return f"{one.option_strings[-1]}{takes}: {told}".rstrip()


def _answer(one: argparse.Action, message: str) -> list[str]:
    """The words for an option; none where it is left out."""
    flag = one.option_strings[-1]
    if one.nargs == 0:
        return [flag] if _prompt("confirm", message, default=False) else []
    if one.choices:
        picked = _chosen(message, [(LEFT_OUT, ""), *((str(c), "") for c in one.choices)])
        return [] if picked == LEFT_OUT else [flag, picked]
    text = str(_prompt("text", message)).strip()
    if text.startswith("-"):
        return [f"{flag}={text}"]
    return [flag, text] if text else []
