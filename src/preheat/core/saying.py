"""What the simple fields of a study may say: its name, its chapters and stages, its claims."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from preheat.core.errors import UserError, unknown

CLAIMS = ("aside", "primary")  # the keys of claims
# what a results folder holds beside its studies
RESERVED = ("records", "checkpoints", "claims", "weights", "format")


def check_name(name: str) -> None:
    """Errors: UserError where a study can't be called so."""
    if not name or not all(c.isalnum() or c in "-_" for c in name):
        raise UserError(f"a study's name is letters, digits, - and _, got {name!r}: write my-study")
    if name.casefold() in RESERVED:
        raise UserError(
            f"a study's name must not be one of {', '.join(RESERVED)}, which a results folder keeps for "
            f"itself, got {name!r}: write my-study"
        )


def check_named(what: str, some: Iterable[Any]) -> None:
    """Errors: UserError where one is neither a name nor a mapping with one. what: "chapter"."""
    for one in some:
        if not isinstance(one, str) and not (isinstance(one, Mapping) and "name" in one):
            raise UserError(
                f"a {what} is a name or {{name: ..., option: ...}}, got {one!r}: write {what}s: [name]"
            )


def check_claims(claims: Mapping[str, Any]) -> None:
    """Errors: UserError for a key that there is none of, where `aside` is no paths with lists of values, and
    where `primary` is no list of different families."""
    for key in claims:
        if key not in CLAIMS:
            raise unknown("key of claims", key, CLAIMS)
    aside = claims.get("aside", {})
    if not isinstance(aside, Mapping) or not all(isinstance(some, list | tuple) for some in aside.values()):
        raise UserError(
            f"claims: aside must be paths with lists of values, got {aside!r}: write aside: {{path: [value]}}"
        )
    primary = claims.get("primary", ("main",))
    if not isinstance(primary, list | tuple) or not all(isinstance(f, str) and f for f in primary):
        raise UserError(
            f"claims: primary must be a list of families of claims, got {primary!r}: write primary: [main]"
        )
    if not primary or len(set(primary)) != len(primary):
        raise UserError(
            f"claims: primary must be different families, at least one, got {list(primary)}: "
            "write primary: [main], or leave it out"
        )
