"""The settings in a file as entries, each with its place: flattened, checked, and blamed when a run can't be
built."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from preheat.core import grid
from preheat.core.canon import canonical
from preheat.core.errors import UserError
from preheat.core.grid import Setting, put
from preheat.core.lengths import length
from preheat.core.registry import REGISTRIES
from preheat.core.run import Run
from preheat.studyfiles.faults import At, Fault, rule, worded

NAMED = ("task", "optimizer", "schedule")  # a run takes the default one of each that is left out
_LENGTHS = {"epochs", "steps", "fraction"}


class FileEntry(NamedTuple):
    """One setting: path is dotted, as in a grid; at is where the file says it."""

    path: str
    value: Any
    at: At


def leaves(path: str, value: Any, at: At) -> list[FileEntry]:
    """The settings inside a value; `task: digits` is `task.name`, and `{epochs: 5}` is one value.

    >>> [(e.path, e.value) for e in leaves("", {"task": "digits", "schedule": {"warmup": 5}}, ())]
    [('task.name', 'digits'), ('schedule.warmup', 5)]
    """
    if path in NAMED and isinstance(value, str):
        return [FileEntry(f"{path}.name", value, at)]
    one = not isinstance(value, Mapping) or not value or path.partition(".")[0] == "also"
    one = one or (path not in ("", *NAMED) and len(value) == 1 and set(value) <= _LENGTHS)
    if one:
        return [FileEntry(path, value, at)] if path else []
    return [e for k, v in value.items() for e in leaves(f"{path}.{k}" if path else str(k), v, (*at, k))]


def named_defaults(fixed: Sequence[FileEntry], blocks: Sequence[Sequence[FileEntry]] = ()) -> list[FileEntry]:
    """What a run takes by default, written out where the file gives options of a task, optimizer or schedule
    but no name."""
    groups = [[*fixed, *own] for own in blocks or ((),)]
    inside = {
        kind: [[e.path for e in group if e.path.startswith(f"{kind}.")] for group in groups] for kind in NAMED
    }
    bare = [kind for kind, paths in inside.items() if any(p and f"{kind}.name" not in p for p in paths)]
    return [FileEntry(f"{kind}.name", REGISTRIES[kind].default, ("fixed",)) for kind in bare]


def nested(entries: Iterable[FileEntry]) -> Setting:
    """Entries as the nested mapping that a run is made of."""
    out: Setting = {}
    for e in entries:
        put(out, e.path, e.value)
    return out


class FileBlock(NamedTuple):
    """A block of the grid. product, zip and where: entries whose values are lists; points and exclude: one
    list each."""

    at: At
    fixed: list[FileEntry]
    product: list[FileEntry]
    zip: list[FileEntry]
    points: list[list[FileEntry]]
    where: list[FileEntry]
    exclude: list[list[FileEntry]]

    def single(self) -> list[FileEntry]:
        """Every value that the block gives, one by one."""
        lists = [e for e in (*self.product, *self.zip) if isinstance(e.value, list)]
        each = [one for e in lists for i, v in enumerate(e.value) for one in leaves(e.path, v, (*e.at, i))]
        return [*self.fixed, *each, *(e for point in self.points for e in point)]


def block(raw: Mapping[str, Any], at: At) -> FileBlock:
    """A block as the file has it; what is not of the right type is left out, its fault is told elsewhere."""

    def one(name: str) -> list[FileEntry]:
        part = raw.get(name)
        return leaves("", part, (*at, name)) if isinstance(part, Mapping) else []

    def many(name: str) -> list[list[FileEntry]]:
        part = raw.get(name)
        rows = part if isinstance(part, list) else []
        return [leaves("", row, (*at, name, i)) for i, row in enumerate(rows) if isinstance(row, Mapping)]

    return FileBlock(
        at, one("fixed"), one("product"), one("zip"), many("points"), one("where"), many("exclude")
    )


def block_faults(b: FileBlock) -> Iterator[Fault]:
    """What is wrong with a block's lists and paths, whatever they mean."""
    for e in (*b.product, *b.zip, *b.where):
        if not isinstance(e.value, list) or not e.value:
            hint = "" if e.value in ([], {}, None) else f" -- write [{e.value}]"
            yield Fault(e.at, rule("needs a list with at least one value", e.value) + hint)
    for e in (e for e in b.product if isinstance(e.value, list)):
        each = [_one_way(one) for one in e.value]
        for i in (i for i, one in enumerate(each) if one in each[:i]):
            yield Fault(
                (*e.at, i), rule("must be different values", e.value[i]) + " -- write each value once"
            )
    sizes = {e.path: len(e.value) for e in b.zip if isinstance(e.value, list)}
    if len(set(sizes.values())) > 1:
        yield Fault(
            (*b.at, "zip"), f"needs lists of one length (got {sizes}) -- write as many values for each path"
        )
    for point in b.points or [[]]:
        yield from twice([*b.fixed, *b.product, *b.zip, *point])


def _one_way(value: Any) -> str:
    """A value in one writing: 1ep and {epochs: 1} are the same length."""
    try:
        return repr(length(value) if isinstance(value, str | Mapping) else value)
    except UserError:
        return repr(value)


def twice(entries: Sequence[FileEntry]) -> Iterator[Fault]:
    """A setting given twice, or one that a later and larger setting would replace."""
    for i, e in enumerate(entries):
        for old in entries[:i]:
            if old.path == e.path:
                yield Fault(e.at, f"{e.path} is given twice here -- keep one of them")
            elif old.path.startswith(f"{e.path}."):
                yield Fault(
                    e.at,
                    f"{e.path} would replace {old.path}, which stands before it -- write {e.path}.name: ..., "
                    f"or {e.path} first",
                )


# Runs that can't be built
# --------------------------------------------------------------------------------------------


def run_failure(setting: Mapping[str, Any]) -> str:
    """Why a setting is not a run, or ""."""
    try:
        Run.from_json(setting)
    except (ValueError, TypeError) as error:
        return worded(error)
    return ""


def blame(setting: Mapping[str, Any], text: str, places: Sequence[Sequence[FileEntry]], default: At) -> At:
    """The place of the entry without which a setting is a run, or fails otherwise; those that `text` names
    come first.

    places: entries that may have given the setting's values, the likelier first.
    """
    whole = _apart(setting)
    parts = [e for e in whole if not e.path.endswith(".name")]
    parts.sort(
        key=lambda e: (
            not re.search(rf"\b{e.path.rpartition('.')[2]}\b", text),
            not e.path.startswith("also."),
        )
    )
    without = [run_failure(nested(o for o in whole if o.path != e.path)) for e in parts]
    order = [e for e, t in zip(parts, without, strict=True) if not t] + [
        e for e, t in zip(parts, without, strict=True) if t not in ("", text)
    ]
    for e in order:
        for group in places:
            for given in (one for written in group for one in _split(written)):
                if given.path == e.path and canonical(given.value) == canonical(e.value):
                    return given.at
    return default


def _apart(setting: Mapping[str, Any]) -> list[FileEntry]:
    """The settings one by one, also those of `also`."""
    return [one for e in leaves("", setting, ()) for one in _split(e)]


def _split(e: FileEntry) -> list[FileEntry]:
    if e.path != "also" or not isinstance(e.value, Mapping):
        return [e]
    return [FileEntry(f"also.{name}", value, (*e.at, name)) for name, value in e.value.items()]


# The grid of the core
# -----------------------------------------------------------------------------------------------


def core_block(b: FileBlock) -> grid.Block:
    """The block as `core.grid` has it; a name such as `sgd` becomes `{name: sgd}`, so that its name is a path
    too."""

    def lists(entries: Sequence[FileEntry]) -> dict[str, list[Any]]:
        return {
            e.path: [{"name": v} if e.path in NAMED and isinstance(v, str) else v for v in e.value]
            for e in entries
        }

    drop = [kept(row) for row in b.exclude]
    points = [{e.path: e.value for e in point} for point in b.points]
    fixed = {e.path: e.value for e in b.fixed}
    return grid.Block(
        product=lists(b.product),
        zip=lists(b.zip),
        points=points,
        fixed=fixed,
        where=lists(b.where),
        exclude=drop,
    )


def kept(entries: Iterable[FileEntry]) -> dict[str, list[Any]]:
    """Values to choose by, as lists."""
    return {e.path: e.value if isinstance(e.value, list) else [e.value] for e in entries}


def count(b: FileBlock) -> int:
    """How many combinations a block has before `where` and `exclude`."""
    return math.prod(len(e.value) for e in (*b.product, *b.zip[:1])) * max(1, len(b.points))


def block_filter_faults(b: FileBlock) -> Iterator[Fault]:
    """`where` and `exclude` must name what the block gives: a typing error there would drop all runs, or
    none."""
    seen: dict[str, dict[str, None]] = {}
    for e in b.single():
        for path in {e.path, e.path.removesuffix(".name")}:
            seen.setdefault(path, {})[grid.label(e.value)] = None
    yield from filter_faults([*b.where, *(e for row in b.exclude for e in row)], seen, "this block")


def filter_faults(
    entries: Sequence[FileEntry], seen: Mapping[str, Iterable[str]], whose: str
) -> Iterator[Fault]:
    """Values to choose by must be among those there are. seen: {path: labels of its values}."""
    for e in entries:
        if e.path not in seen:
            yield Fault(e.at, rule(f"unknown path: {whose} varies nothing there", e.path, choices=seen))
            continue
        many = isinstance(e.value, list)
        for i, v in enumerate(e.value if many else [e.value]):
            if grid.label(v) not in seen[e.path]:
                yield Fault(
                    (*e.at, i) if many else e.at,
                    rule(f"never a value of {e.path} in {whose}", v, choices=seen[e.path]),
                )


def varied(settings: Sequence[Setting], blocks: Sequence[FileBlock]) -> list[str]:
    """The paths, in the order of the grid, that take several values under the same task, optimizer and
    schedule."""
    owners = [f"{kind}.name" for kind in NAMED]
    values: dict[tuple[str, ...], set[str]] = {}
    order = list(dict.fromkeys(e.path for b in blocks for e in b.single()))
    for s in settings:
        around = tuple(canonical(grid.get(s, o)) for o in owners)
        for path in order:
            values.setdefault((path, *(() if path in owners else around)), set()).add(
                canonical(grid.get(s, path))
            )
    several = {key[0] for key, found in values.items() if len(found) > 1}
    return [path for path in order if path in several]
