"""Options on the command line: the fields of what is registered as flags.

A task's fields are flags of `preheat run TASK`; those fields of a study that are written with `option` are
flags of `preheat study NAME`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from typing import Any, Literal, get_origin

from preheat.core.errors import UserError

Kind = Literal["value", "text", "switch", "texts", "values"]
_SHARED = ("help", "ask", "set", "results", "import", "data", "device", "keep-weights", "track")
# the flags of the commands themselves: of a task's and of a study's
OWN: Mapping[str, tuple[str, ...]] = {
    "task": (
        *("optimizer", "peak-lr", "schedule", "warmup", "epochs", "steps", "batch-size", "seed"),
        *("precision", "clip-norm", "evaluate", "probe"),
        *("schedulers", "lr-free", "trials", "batch", "prune", "seeds", "again", "storage"),
        *("name", "dry-run", "no-report", "jobs", "placement", "compile"),
        *_SHARED,
    ),
    "study": (
        *("part", "range", "seeds", "limit", "name", "storage", "dry-run", "no-report"),
        *("jobs", "placement", "compile"),
        *_SHARED,
    ),
}


def option(flag: str = "", *, help: str = "", default: Any = MISSING, default_factory: Any = MISSING) -> Any:
    """A dataclass field that is a flag on the command line. flag: such as --tune-lr; made of the field's name
    where it is left out, with --no- before it for a bool that is True.

    >>> @dataclass(frozen=True)
    ... class Mine:
    ...     sizes: tuple[int, ...] = option("--size", help="examples", default=(5, 10))
    >>> [(f.flag, f.kind) for f in flags("study", Mine)], Mine().sizes
    ([('--size', 'values')], (5, 10))
    """
    metadata = {"flag": flag, "help": help}
    return field(default=default, default_factory=default_factory, metadata=metadata)


@dataclass(frozen=True)
class Flag:
    """A field on the command line.

    kind: "switch" takes no value and turns the field's default over; "text" is taken as it stands; "value" is
    read as in a file; "texts" and "values" may be given several times.
    """

    name: str
    flag: str
    kind: Kind
    help: str
    default: Any = None

    @property
    def several(self) -> bool:
        """Whether it may be given several times."""
        return self.kind in ("texts", "values")

    def mark(self, given: Any) -> list[str]:
        """What the name of a results folder says of the flag: several values alone, one with the flag."""
        if self.several:
            return [str(v) for v in given]
        word = self.flag.removeprefix("--")
        return [word if self.kind == "switch" else f"{word}-{given}"]


def marks(some: Iterable[tuple[Flag, Any]], *, several: bool) -> list[str]:
    """What the name of a results folder says of the flags that are given: those that may be given several
    times, or the others."""
    return [mark for one, value in some if one.several is several for mark in one.mark(value)]


def flags(kind: str, made: Any) -> list[Flag]:
    """The flags of something registered, in the order of its fields."""
    return list(_flags(kind, made)) if kind in OWN and is_dataclass(made) else []


def _flags(kind: str, made: Any) -> Iterator[Flag]:
    for one in fields(made):
        if one.init and (kind == "task" or "flag" in one.metadata):
            shape = _kind(one)
            off = shape == "switch" and one.default is True
            flag = one.metadata.get("flag") or f"--{'no-' if off else ''}{one.name}"
            yield Flag(one.name, flag.replace("_", "-"), shape, one.metadata.get("help", ""), one.default)


def _kind(one: Field[Any]) -> Kind:
    said: Any = one.type  # the class itself, in a file that does not keep annotations as texts
    shape = said.__name__ if isinstance(said, type) and get_origin(said) is None else str(said)
    if shape == "bool" and one.default is not MISSING:
        return "switch"
    if shape.startswith("tuple[") and shape.endswith("...]"):
        return "texts" if shape.startswith("tuple[str") else "values"
    return "text" if shape == "str" else "value"


def check_flags(kind: str, name: str, made: Any) -> None:
    """Errors: UserError where a field's flag is none, would hide one of the command's own, or two fields have
    one."""
    seen: dict[str, str] = {}
    for one in flags(kind, made):
        word, off = one.name.replace("_", "-"), one.kind == "switch" and one.default is True
        if not re.fullmatch(r"--[^\s=]+", one.flag):
            raise UserError(
                f"the flag of an option is two dashes and a word, got {one.flag!r} for {one.name} of {kind} "
                f'{name!r}: write option("--{word}")'
            )
        if off and not one.flag.startswith("--no-"):
            raise UserError(
                f"option {one.name} of {kind} {name!r} is on unless its flag is given, which begins with "
                f'--no-, got {one.flag!r}: write option("--no-{word}"), or leave the flag out'
            )
        if one.flag.removeprefix("--") in OWN[kind]:
            raise UserError(
                f"option {one.name} of {kind} {name!r} would hide {one.flag}, a flag of the command itself: "
                f'give the field another name, or write option("--my-{word}")'
            )
        other = seen.setdefault(one.flag, one.name)
        if other != one.name:
            raise UserError(
                f"options {other} and {one.name} of {kind} {name!r} both have the flag {one.flag}: give one "
                "of them another"
            )
