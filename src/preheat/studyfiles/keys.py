"""The keys of a file, read off the core's types: an annotation says what a key takes, the class's docstring
what it means, and building the type whether a value is in range.

A docstring's entry is `name: sentence. Left out of a file: what then. `example``; the last two may be
missing, and its next lines are indented.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from preheat.core.between import Between
from preheat.core.grid import Block
from preheat.core.lengths import Length, length
from preheat.core.protocols import Schedule
from preheat.core.spec import Spec
from preheat.studyfiles.faults import At, Fault, rule, show, why

_PLAIN = {str: "text", int: "whole number", float: "number", bool: "true or false", NoneType: "null"}
_NOUNS = {**_PLAIN, Length: "length", Block: "block", Any: "value", Spec: "name", Schedule: "name"}
_TRUTHS = {"yes": "true", "on": "true", "no": "false", "off": "false"}
_ENTRY = re.compile(r"^(\w+): (\S.*(?:\n +.*)*)", re.MULTILINE)
_PARTS = re.compile(r"(.*?)(?: Left out of a file: (.*?))?(?: `([^`]*)`)?", re.DOTALL)


class Key(NamedTuple):
    """What a key takes and means. default: the type's own, MISSING where there is none; left_out: what a file
    that does not have it means, where that is more than the default."""

    hint: Any
    default: Any
    says: str
    left_out: str
    example: str


@cache
def keys(of: type) -> dict[str, Key]:
    """The keys of a core type, in the order of its fields.

    >>> keys(Block)["seeds"].says, keys(Block)["seeds"].example
    ("of the block's runs, none for the study's.", '[0, 1]')
    """
    docs = [inspect.cleandoc(c.__doc__ or "") for c in reversed(of.__mro__)]
    said = {name: " ".join(text.split()) for doc in docs for name, text in _ENTRY.findall(doc)}
    hints = get_type_hints(of)
    own = {f.name: f.default if f.default_factory is MISSING else f.default_factory() for f in fields(of)}
    parts = {name: _PARTS.fullmatch(said.get(name, "")) for name in own}
    return {
        n: Key(hints[n], own[n], *(p or "" for p in found.groups())) for n, found in parts.items() if found
    }


def noun(hint: Any, several: bool = False) -> str:
    """What a hint means in a file, in words.

    >>> noun(tuple[int, ...]), noun(float | None), noun(Mapping[str, Any])
    ('list of whole numbers', 'number or null', 'keys with values')
    """
    origin, inside = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(noun(h, several) for h in inside)
    if origin is Literal:
        return " or ".join(str(v) or '""' for v in inside)
    if origin in (tuple, Sequence):
        return f"list{'s' if several else ''} of {noun(inside[0], several=True)}"
    if origin is Mapping:
        return "keys with lists" if get_origin(inside[1]) is Sequence else "keys with values"
    word = _NOUNS.get(hint, "value")
    return word + ("s" if several and hint not in (bool, NoneType) else "")


def misfit(hint: Any, value: Any) -> str:
    """Why a value is not of a key's type, whatever is inside it, or ""."""
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if any(_fits(kind, value) for kind in kinds):
        return ""
    shapes = [Mapping[str, Any] if kind is Block else kind for kind in kinds if kind is not NoneType]
    words = [noun(shape) for shape in shapes]
    choices = [v for kind in kinds if get_origin(kind) is Literal for v in get_args(kind) if v != ""]
    if choices and isinstance(value, str):
        return rule(f"must be {' or '.join(choices)}", value, choices=choices)
    bare = [w for w in words if w.startswith(("keys", "true")) or choices]
    told = " or ".join(w if w in bare else f"a {w}" for w in words)
    return f"must be {told} (got {show(value)})" + _instead(kinds, value)


def _fits(kind: Any, value: Any) -> bool:
    origin = get_origin(kind)
    if kind is Length:
        return not why(lambda: length(value))
    if origin is Literal:
        return any(type(v) is type(value) and v == value for v in get_args(kind))
    if kind in _PLAIN:
        return type(value) is kind or (kind is float and type(value) is int)
    wanted = {tuple: list, Sequence: list, Mapping: Mapping}.get(origin, Mapping if kind is Block else object)
    return isinstance(value, wanted)


def _instead(kinds: Sequence[Any], value: Any) -> str:
    if Length in kinds:
        return " -- write 500 (steps), 5ep (epochs) or 5% (of the run)"
    if not isinstance(value, str):
        return ""
    if bool in kinds and value.lower() in _TRUTHS:
        return f" -- write {_TRUTHS[value.lower()]}"
    if not {int, float} & set(kinds):
        return ""
    try:
        number = float(value)
    except ValueError:
        return ""
    return f" -- write {number:g} without quotes" if math.isfinite(number) else " -- write a finite number"


def type_faults(hint: Any, value: Any, at: At) -> Iterator[Fault]:
    """All that is not of its type in a value, each at its place."""
    if text := misfit(hint, value):
        yield Fault(at, text)
        return
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    kind = next(kind for kind in kinds if _fits(kind, value))
    inside, origin = get_args(kind), get_origin(kind)
    if kind is Block:
        yield from key_faults(Block, value, at)
    elif origin in (tuple, Sequence):
        for i, one in enumerate(value):
            yield from type_faults(inside[0], one, (*at, i))
    elif origin is Mapping and get_origin(inside[1]) is not Sequence and inside[1] is not Between:
        for key, one in value.items():
            yield from type_faults(inside[1], one, (*at, key))


def key_faults(of: type, data: Mapping[str, Any], at: At) -> Iterator[Fault]:
    """Keys that the type does not have, and values that are not of theirs."""
    known = keys(of)
    for name, value in data.items():
        if name not in known:
            yield Fault((*at, name), rule("unknown key", name, choices=known))
        else:
            yield from type_faults(known[name].hint, value, (*at, name))
    for name, key in known.items():
        if key.default is MISSING and not key.left_out and name not in data:
            yield Fault((*at, name), f"is needed and missing -- write {name}: {key.example or '...'}")


def refused(of: type, name: str, *, value: Any, beside: Mapping[str, Any]) -> str:
    """Why a type can't be built with one field and what it needs beside it, or ""."""
    text = why(lambda: of(**{**beside, name: value}))
    return text.removeprefix(f"{name} ") if text.startswith(f"{name} must") else text
