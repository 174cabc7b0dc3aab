"""A `Spec` names something registered and gives its options; completing it fills every default in.

Options are completed before a run is hashed, so a run's id does not depend on which defaults were written
out, and a default that changes in a later version does not change what an old record says.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from preheat.core.canon import canonical, plain
from preheat.core.errors import UserError
from preheat.core.lengths import is_number
from preheat.core.registry import REGISTRIES

# metadata of an option that something registered gained: at its default it is not in the JSON, so that the
# ids of runs stay
LATER = {"later": True}


@dataclass(frozen=True)
class Spec:
    """A registered name and its options, as data.

    >>> spec("sgd", momentum=0.9).json()
    {'name': 'sgd', 'momentum': 0.9}
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """`{"name": name, **options}`."""
        return {"name": self.name, **plain(dict(self.options))}

    def __hash__(self) -> int:
        return hash(canonical(self))

    def __str__(self) -> str:
        inside = ", ".join(f"{k}={v}" for k, v in self.options.items())
        return f"{self.name}({inside})" if inside else self.name


def spec(name: str, **options: Any) -> Spec:
    """`Spec(name, options)`."""
    return Spec(name, options)


def as_spec(value: Any, kind: str, *, default: str | None = None) -> Spec:
    """A `Spec` from a name, a mapping with a `name`, or a Spec. default: the name of None and of a mapping
    that gives none, in place of the registered default of this kind.

    >>> as_spec({"momentum": 0.9}, "optimizer", default="sgd").json()
    {'name': 'sgd', 'momentum': 0.9}
    """
    if isinstance(value, Spec):
        return value
    if isinstance(value, str):
        return Spec(value)
    if isinstance(value, Mapping) or (value is None and default is None):
        options = dict(value or {})
        name = options.pop("name", None) if "name" in options else default or REGISTRIES[kind].default
        if isinstance(name, str) and name:
            return Spec(name, options)
    article = "an" if kind[:1] in "aeiou" else "a"
    raise UserError(
        f"{article} {kind} is a name or a name with options, got {value!r}: write {{name: ..., option: ...}}"
    )


def build(kind: str, one: Spec) -> Any:
    """The registered object that `one` describes. Equal specs give the same object."""
    try:
        canonical(one)
    except (TypeError, ValueError) as error:
        raise UserError(f"options of {kind} {one.name!r} must be plain finite data: {error}") from error
    return _built(kind, one, REGISTRIES[kind].edition)


@lru_cache(maxsize=4096)
def _built(kind: str, one: Spec, edition: int) -> Any:
    registry = REGISTRIES[kind]
    typed = _typed(kind, one.name, registry[one.name], one.options)
    return registry.build(one.name, typed)


def complete(kind: str, one: Spec) -> Spec:
    """`one` with every option of the registered dataclass written out, in the order of its fields; `LATER`
    ones where used."""
    made = build(kind, one)
    if not dataclasses.is_dataclass(made):
        raise UserError(f"{kind} {one.name!r} must be registered as a frozen dataclass")
    try:
        return described(one.name, made)
    except (TypeError, ValueError) as error:
        raise UserError(f"options of {kind} {one.name!r}: {error}") from error


def described(name: str, made: Any) -> Spec:
    """The spec of what is registered as `name` from an object of it."""
    options = {f.name: plain(getattr(made, f.name)) for f in dataclasses.fields(made) if _said(f, made)}
    return Spec(name, options)


def _said(option: dataclasses.Field[Any], made: Any) -> bool:
    """Whether an option is written out."""
    return option.init and not (option.metadata.get("later") and getattr(made, option.name) == option.default)


def _typed(kind: str, name: str, made: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options checked against the plain field types (bool, int, float, str); ints become floats where floats
    are due."""
    if not dataclasses.is_dataclass(made):
        return dict(options)
    wanted = {f.name: str(f.type) for f in dataclasses.fields(made)}
    return {
        key: _one(f"option {key} of {kind} {name!r}", value, wanted.get(key, ""))
        for key, value in options.items()
    }


def _one(what: str, value: Any, wanted: str) -> Any:
    number = is_number(value)
    if wanted.startswith("tuple["):
        if isinstance(value, str) or not isinstance(value, list | tuple):
            raise UserError(f"{what} must be a list, got {value!r}: write [{value}]")
        return tuple(_one(f"each of {what}", v, wanted[6:].partition(",")[0]) for v in value)
    if wanted == "float":
        if not number:
            raise UserError(f"{what} must be a number, got {value!r}")
        return float(value)
    right = {
        "int": number and value == int(value),
        "bool": isinstance(value, bool),
        "str": isinstance(value, str),
    }
    if not right.get(wanted, True):
        noun = {"int": "a whole number", "bool": "true or false", "str": "a text"}[wanted]
        raise UserError(f"{what} must be {noun}, got {value!r}")
    return int(value) if wanted == "int" else value
