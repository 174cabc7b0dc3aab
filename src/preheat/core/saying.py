"""What the simple fields of a study may say: its name, its chapters and stages, its claims, its labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from preheat.core.errors import UserError, unknown

CLAIMS = ("aside", "primary")  # the keys of claims
# what a results folder holds beside its studies
RESERVED = ("records", "checkpoints", "claims", "weights", "trackers", "format")

SPLIT = (
    "The study says that {n} of its seeds choose the nuisances. This is no longer so: every seed chooses its "
    "own, and all are reported."
)


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


def check_labels(labels: Mapping[str, Any]) -> None:
    """Errors: UserError for what is not {path: {text of a value: what it is called}}."""
    for path, some in labels.items():
        if not isinstance(some, Mapping) or not all(
            isinstance(x, str) for pair in some.items() for x in pair
        ):
            raise UserError(
                f"labels of {path} must be texts by the text of a value, got {some!r}: write labels: "
                f'{{{path}: {{"0.1": usual}}}}'
            )


# what the claims of a study rest on: fixed before its first run
STATED = ("metric", "goal", "margin", "treatment", "condition", "baseline", "nuisance", "chapters", "claims")


def kept(before: Mapping[str, Any], made: Mapping[str, Any]) -> dict[str, Any]:
    """What a study's file keeps of an earlier one: its looks, and what of `STATED` was changed, all along.

    `claims` stand in a study's file only where there are some, so that without them they were empty.

    >>> old = {"study": {"margin": 0.1}, "looks": [1]}
    >>> kept(old, {"study": {"margin": 0.2}})
    {'looks': [1], 'changed': [{'what': 'margin', 'before': 0.1, 'after': 0.2}]}
    """
    old, new = dict(before.get("study", {})), made["study"]
    if old:
        old.setdefault("claims", {})
    changed = [
        *before.get("changed", ()),
        *(
            {"what": name, "before": old[name], "after": new.get(name)}
            for name in STATED
            if name in old and (old[name] or None) != (new.get(name) or None)
        ),
    ]
    found = {"looks": before.get("looks"), "changed": changed}
    return {name: value for name, value in found.items() if value}
