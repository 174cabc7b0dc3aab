"""Names and options are checked against the registries, and what is wrong with one is put in words.

An option's type is checked against the annotation of the registered dataclass or function, its range by
building the thing.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import AfterValidator, ConfigDict, TypeAdapter, ValidationError

from preheat.core.lengths import Length
from preheat.core.registry import REGISTRIES
from preheat.core.spec import Spec, build
from preheat.studyfiles.faults import rule, worded
from preheat.studyfiles.form import sentence, some


def name_fault(kind: str, name: Any) -> str:
    """What is wrong with a registered name, or ""."""
    registry = REGISTRIES[kind]
    if name in registry.names():
        return ""
    return rule(f"unknown {kind}", name, choices=registry.names()) + registry.yours(name)


def options(kind: str, name: str) -> Mapping[str, inspect.Parameter]:
    """The options of something registered."""
    return inspect.signature(REGISTRIES[kind][name]).parameters


def option_fault(one: Spec, kind: str, *, key: str, value: Any) -> str:
    """What is wrong with option `key` = `value` beside the other options of `one`, or "".

    A range is known only to the thing itself, so it is built with and without the option. A number that fails
    beside the defaults is at fault; anything else is only if leaving it out mends or changes the error.
    """
    known = options(kind, one.name)
    if key not in known:
        return rule(f"unknown option of {kind} {one.name!r}", key, choices=known)
    if text := _type_fault(REGISTRIES[kind][one.name], key, value):
        return text
    others = {k: v for k, v in one.options.items() if k != key}
    full = failure(kind, Spec(one.name, {**others, key: value}))
    if not full:
        return ""
    needed = {k: others[k] for k, p in known.items() if p.default is p.empty and k in others}
    alone = failure(kind, Spec(one.name, {**needed, key: value}))
    if alone and isinstance(value, int | float) and not isinstance(value, bool):
        return alone
    return full if failure(kind, Spec(one.name, others)) != full else ""


def failure(kind: str, one: Spec) -> str:
    """Why something registered can't be built, or ""."""
    try:
        build(kind, one)
    except (ValueError, TypeError) as error:
        return worded(error)
    return ""


def _type_fault(made: Any, key: str, value: Any) -> str:
    try:
        hint: Any = get_type_hints(made if inspect.isclass(made) else inspect.unwrap(made)).get(key)
    except NameError:  # an annotation that is imported for type checkers only
        return ""
    if hint is Length:
        hint = Annotated[Any, AfterValidator(some)]
    elif not _plain(hint):
        return ""
    try:
        TypeAdapter(hint, config=ConfigDict(strict=True, allow_inf_nan=False)).validate_python(value)
    except ValidationError as error:
        return " or ".join(dict.fromkeys(sentence(e) for e in error.errors(include_url=False)))
    return ""


def _plain(hint: Any) -> bool:
    if get_origin(hint) in (Union, UnionType):
        return all(_plain(h) for h in get_args(hint))
    return hint in (bool, int, float, str, NoneType) or get_origin(hint) is Literal
