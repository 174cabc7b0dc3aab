"""How arguments of another library's schedule are read: all known, the needed ones given, none ignored."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

from preheat.core.errors import UserError, unknown
from preheat.schedules.recipes.recipe import Recipe

Maker = Callable[[Any], Recipe]


class Conversion(NamedTuple):
    """A schedule of a library: what converts it, and its arguments with their defaults, `...` for none."""

    make: Maker
    options: Mapping[str, Any]


def takes(*needed: str, **defaults: Any) -> dict[str, Any]:
    """The arguments of an entry.

    >>> takes("gamma", last_epoch=-1)
    {'gamma': Ellipsis, 'last_epoch': -1}
    """
    return {**dict.fromkeys(needed, ...), **defaults}


class Library(NamedTuple):
    """A library's schedules, those refused and why, and what to write for arguments of its other calls."""

    name: str
    known: Mapping[str, Conversion]
    refused: Mapping[str, str]
    hints: Mapping[str, str]

    @property
    def its(self) -> str:
        """The name as an owner: torch's, transformers'."""
        return f"{self.name}'" if self.name.endswith("s") else f"{self.name}'s"


def library(
    name: str, known: Mapping[str, Conversion], common: Mapping[str, Any], **more: Mapping[str, str]
) -> Library:
    """A library whose schedules all have the arguments `common` too; more: `refused` and `hints`."""
    full = {key: Conversion(one.make, {**one.options, **common}) for key, one in known.items()}
    return Library(name, full, more.get("refused", {}), more.get("hints", {}))


class Arguments:
    """Arguments by name, which remembers what was asked for: what no one asks for must not be accepted."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values, self._asked = values, set[str]()

    def __getattr__(self, name: str) -> Any:
        if name not in self._values:
            raise AttributeError(name)
        self._asked.add(name)
        return self._values[name]

    def idle(self, names: Iterable[str]) -> list[str]:
        """Those of `names` that nobody asked for."""
        return [name for name in names if name not in self._asked]


def convert(
    of: Library, name: Any, given: Mapping[str, Any], *, told: Collection[str] | None = None
) -> Recipe:
    """The converted schedule `name`; errors name what is unknown, missing, of no use or can't be converted.

    told: the arguments that the user wrote, where these are not all of `given`.
    """
    make, options = _found(of, name)
    for key in given:
        if key not in options and key in of.hints:
            raise UserError(f"unknown argument of {of.its} {name} {key!r}: write {of.hints[key]}")
        if key not in options:
            raise unknown(f"argument of {of.its} {name}", key, options)
    missing = [key for key, value in options.items() if value is ... and key not in given]
    if missing:
        raise UserError(f"{of.its} {name} needs {', '.join(missing)}: write {missing[0]}=...")
    made = make(arguments := Arguments({**options, **given}))
    idle = arguments.idle(key for key in (given if told is None else told) if given[key] != options[key])
    if idle:
        values, names = ", ".join(f"{key}={given[key]!r}" for key in idle), " and ".join(idle)
        raise UserError(f"{of.its} {name} ignores {names}, got {values}: leave {names} out")
    return made


def _found(of: Library, name: Any) -> Conversion:
    if not isinstance(name, str):
        kind, write = type(name), "its name and arguments"
        if kind.__module__.startswith("torch.optim."):
            write = "from_torch(scheduler, total=1000)"
        got = f"got an object, {kind.__name__}: write {write}"
        raise UserError(f"a schedule of {of.name} is asked for by name, {got}")
    if name in of.refused:
        raise UserError(f"{of.its} {name} can't be converted: {of.refused[name]}")
    if name not in of.known:
        raise unknown(f"schedule of {of.name}", name, [*of.known, *of.refused])
    return of.known[name]
