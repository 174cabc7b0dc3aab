"""What a command is about: something registered, whose options are flags of the command."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from preheat.cli.options import SUFFIXES, read_imports, value
from preheat.core.options import Flag, flags
from preheat.core.originals import Original
from preheat.core.registry import REGISTRIES

DEST = "option."  # what the names of a subject's flags begin with, once they are parsed


def subject(parser: argparse.ArgumentParser, words: Sequence[str], kind: str) -> str:
    """Which registered thing, or which file, the words of a command are about; "" where they do not say.

    parser: knows the command's own flags and nothing else. The files of --import are imported.
    """
    registry = REGISTRIES[kind]
    known, rest = parser.parse_known_args(list(words))
    read_imports(known.imports)
    free = [word for word in rest if not word.startswith("-")]
    sure = (word for word in free if word in registry.names() or word.endswith(SUFFIXES))
    return next(sure, free[0] if free else "")


def add_flags(parser: argparse.ArgumentParser, kind: str, name: str) -> None:
    """The options of what is registered as `name` as flags of the parser."""
    registry = REGISTRIES[kind]
    if name not in registry.names():
        return
    group, made = parser.add_argument_group(f"options of {kind} {name!r}"), registry[name]
    if isinstance(made, type) and issubclass(made, Original):
        made().arguments(group)
    for one in flags(kind, made):
        how: dict[str, Any] = {"metavar": "VALUE", "action": "append" if one.several else "store"}
        if one.kind == "switch":
            how = {"action": "store_const", "const": not one.default}
        group.add_argument(one.flag, dest=DEST + one.name, help=_help(one), **how)


def known_flags(kind: str, name: str) -> list[Flag]:
    """The flags of what is registered as `name`; none of a file's."""
    registry = REGISTRIES[kind]
    return flags(kind, registry[name]) if name in registry.names() else []


def _help(one: Flag) -> str:
    told = one.help or ("" if one.default in (None, ()) else f"default: {one.default}")
    return f"{told} (repeatable)".strip() if one.several else told


def given(args: argparse.Namespace, kind: str, name: str) -> list[tuple[Flag, Any]]:
    """(flag, value) of each option that the command line gives."""
    texts = [(one, getattr(args, DEST + one.name)) for one in known_flags(kind, name)]
    return [(one, _read(one, text)) for one, text in texts if text is not None]


def _read(one: Flag, text: Any) -> Any:
    if one.kind == "value":
        return value(text)
    return [value(word) for word in text] if one.kind == "values" else text
