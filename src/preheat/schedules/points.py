"""Schedules that are given by points: how their lists are checked, and what lies between the points."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from preheat.core.errors import UserError
from preheat.core.lengths import Length, is_number
from preheat.schedules.form import Form, Segment, Span
from preheat.schedules.pieces import Piece, tidy_length


def through(x: Sequence[float], y: Sequence[float], span: Span, forms: Sequence[Form]) -> list[Segment]:
    """A form between every two of the points (x, y); outside of them the first and the last are held."""
    bounds = [span.begin, *x, span.end]
    held = [Piece(None, y[0], y[0]), *forms, Piece(None, y[-1], y[-1])]
    heights = [y[0], *y, y[-1]]
    out, rising = [], True
    for (a, b), (low, high), form in zip(pairwise(bounds), pairwise(heights), held, strict=True):
        if a < b:
            rising = rising and low < high
            out.append(Segment(Span(a, b), _kind(low, high, rising), form))
    return out


def _kind(start: float, end: float, rising: bool) -> str:
    if start == end:
        return "stable" if start == 1 else "hold"
    if start > end:
        return "decay"
    return "warmup" if rising else "rise"


def lengths(name: str, given: Any, write: str) -> tuple[Length, ...]:
    """A list of lengths, or the error that says which option is wrong and what to write."""
    return tuple(tidy_length(n) for n in _listed(name, given, f"lengths, got {given!r}: write {write}"))


def numbers(name: str, given: Any) -> tuple[float, ...]:
    """A list of finite numbers >= 0 as floats, or the error that says which option is wrong."""
    write = "write [1, 0.5, 0.25]"
    many = _listed(name, given, f"numbers, got {given!r}: {write}")
    items = [x.item() if hasattr(x, "item") else x for x in many]  # numbers of numpy and torch
    for x in items:
        if not is_number(x) or x < 0:
            raise UserError(f"{name} must be finite numbers >= 0, got {x!r} among them: {write}")
    if not items:
        raise UserError(f"{name} needs at least one number, got none: {write}")
    return tuple(map(float, items))


def _listed(name: str, given: Any, of: str) -> Iterable[Any]:
    if isinstance(given, str) or not hasattr(given, "__iter__"):
        raise UserError(f"{name} is a list of {of}")
    many: Iterable[Any] = given
    return many


def check_factors(name: str, factors: tuple[float, ...], *, instead: str, warm: bool) -> None:
    """Raise `UserError` unless the highest of the factors is 1, and the first one too after a warmup."""
    if (high := max(factors)) != 1:
        got = f"got {high:g}: divide by the highest, or write {instead}"
        raise UserError(f"the highest of the {name} must be 1, {got}")
    if warm and factors[0] != 1:
        raise UserError(
            f"after a warmup the {name} must begin at 1, got {factors[0]:g}: put the rise into them"
        )
