"""The modules that a function reaches without being given them."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from types import CodeType, FunctionType, MethodType
from typing import Any

from torch import nn

_MOST = 1000  # of the entries of a list or dict
_OBJECTS = 10_000  # that are looked at


def reached(function: Any) -> list[nn.Module]:
    """Those in the closure, defaults and named globals of a function, the functions that it calls by name,
    what a method or partial is bound to, and lists, tuples and dicts of these.

    >>> critic = nn.Linear(1, 1)
    >>> loss_fn = lambda model, batch: critic(model(batch)).mean()
    >>> reached(loss_fn) == [critic]
    True
    """
    found: list[nn.Module] = []
    seen: set[int] = set()
    waiting = [function]
    while waiting and len(seen) < _OBJECTS:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, nn.Module):
            found.append(one)
        else:
            waiting += _within(one, outermost=one is function)
    return found


def _within(one: Any, *, outermost: bool) -> list[Any]:
    """What an object leads to."""
    if isinstance(one, FunctionType):
        ours = (one.__module__ or "").split(".")[0] != "torch"
        return list(_of_function(one)) if ours else []
    if isinstance(one, MethodType):
        return [one.__func__, one.__self__, *_attributes(one.__self__)]
    if isinstance(one, functools.partial):
        return [one.func, *one.args, *one.keywords.values()]
    if isinstance(one, dict):
        return list(one.values())[:_MOST]
    if isinstance(one, list | tuple):
        return list(one)[:_MOST]
    call = vars(type(one)).get("__call__")
    return [*_attributes(one), call] if outermost or isinstance(call, FunctionType) else []


def _attributes(one: Any) -> list[Any]:
    return [] if isinstance(one, type) else list(getattr(one, "__dict__", {}).values())


def _of_function(one: FunctionType) -> Iterator[Any]:
    yield from one.__defaults__ or ()
    yield from (one.__kwdefaults__ or {}).values()
    for cell in one.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not yet filled
            continue
    for name in _names(one.__code__):
        if name in one.__globals__:
            yield one.__globals__[name]


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
