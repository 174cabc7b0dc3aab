"""Grids: a list of blocks, each a product, a zip and points, narrowed by `where` and `exclude`.

A setting is a nested mapping in the form of a run's declaration, and a path such as `schedule.warmup` names
one place in it. A cartesian product alone can't say "these rates for SGD, those for AdamW": two blocks can.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from preheat.core.canon import plain
from preheat.core.errors import UserError
from preheat.core.lengths import Length, length
from preheat.core.registry import SCHEDULES

Setting = dict[str, Any]


@dataclass(frozen=True)
class Block:
    """Every combination of `product`, with the rows of `zip`, with each of `points`.

    product: paths with the values of each, in every combination. `{schedule.warmup: [0, 2ep]}`
    zip: paths with lists of one length, taken row by row. `{batch_size: [16, 32], peak_lr: [0.01, 0.02]}`
    points: settings written one by one. `[{optimizer: sgd, peak_lr: 0.1}, {optimizer: adamw, peak_lr: 0.01}]`
    fixed: settings of the whole block. `{schedule: cosine}`
    where: keep a combination only if each path's value is among those listed. `{peak_lr: [0.01, 0.1]}`
    exclude: drop a combination that matches all paths of one of these. `[{peak_lr: [0.1]}]`
    seeds: of the block's runs, none for the study's. `[0, 1]`

    A setting may hold a "name", which is no part of the run: see `Study.declared`.

    >>> block = Block(product={"peak_lr": [0.1, 0.2]}, exclude=[{"peak_lr": [0.2]}])
    >>> [get(s, "peak_lr") for s in block.settings()]
    [0.1]
    """

    product: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    zip: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    points: Sequence[Mapping[str, Any]] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)
    where: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    exclude: Sequence[Mapping[str, Sequence[Any]]] = ()
    seeds: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "seeds", tuple(self.seeds))
        if len(set(self.seeds)) < len(self.seeds) or not all(type(s) is int and s >= 0 for s in self.seeds):
            raise UserError(f"seeds of a block must be different whole numbers >= 0, got {list(self.seeds)}")
        for name in ("product", "zip", "where"):
            for path, values in getattr(self, name).items():
                _listed(f"{name}: {path}", values)
        lengths = {path: len(values) for path, values in self.zip.items()}
        if len(set(lengths.values())) > 1:
            raise UserError(
                f"zip needs lists of one length, got {lengths}: write as many values for each path"
            )

    def settings(self) -> Iterator[Setting]:
        """The combinations in order: product outermost, the last path of it fastest, then zip, then
        points."""
        axes = [[(path, v) for v in values] for path, values in self.product.items()]
        rows = [dict(zip(self.zip, row, strict=True)) for row in zip(*self.zip.values(), strict=True)] or [{}]
        for pairs, row, point in itertools.product(itertools.product(*axes), rows, self.points or [{}]):
            setting: Setting = {}
            for path, value in (*self.fixed.items(), *pairs, *row.items(), *point.items()):
                put(setting, path, value)
            if self._kept(setting):
                yield setting

    def json(self) -> dict[str, Any]:
        """The block as JSON data; seeds only where it has its own, so that older declarations read the
        same."""
        return {f.name: plain(getattr(self, f.name)) for f in fields(self) if f.name != "seeds" or self.seeds}

    def _kept(self, setting: Setting) -> bool:
        inside = all(among(get(setting, path), values) for path, values in self.where.items())
        dropped = any(all(among(get(setting, p), vs) for p, vs in rule.items()) for rule in self.exclude)
        return inside and not dropped


def reseeded(blocks: Sequence[Block], roles: Mapping[tuple[int, ...], tuple[int, ...]]) -> tuple[Block, ...]:
    """The blocks on other seeds: {old: new} where a block has those of its own, else those of the study."""
    return tuple(replace(b, seeds=roles.get(b.seeds, ())) for b in blocks)


def _listed(what: str, values: Any) -> None:
    if isinstance(values, str) or not isinstance(values, Sequence) or not values:
        raise UserError(f"{what} needs a list with at least one value, got {values!r}: write [{values}]")


def among(value: Any, allowed: Any) -> bool:
    """Whether `value` reads the same as one of `allowed`."""
    many = allowed if isinstance(allowed, Sequence) and not isinstance(allowed, str) else [allowed]
    return any(label(value) == label(a) for a in many)


def get(setting: Mapping[str, Any], path: str, *, default: Any = None) -> Any:
    """The value at a dotted path.

    >>> get({"task": {"name": "mine"}}, "task.name")
    'mine'
    """
    here: Any = setting
    for part in path.split("."):
        if not isinstance(here, Mapping) or part not in here:
            return default
        here = here[part]
    return here


def leaves(setting: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Every path of a nested setting that holds a value, with it.

    >>> list(leaves({"schedule": {"name": "cosine"}, "peak_lr": 1.0}))
    [('schedule.name', 'cosine'), ('peak_lr', 1.0)]
    """
    for key, value in setting.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def put(setting: Setting, path: str, value: Any) -> None:
    """Set the value at a dotted path in place; a name on the way (`task: digits`) becomes `{name:
    digits}`."""
    *way, last = path.split(".")
    here = setting
    for part in way:
        inner = here.get(part, {})
        if not isinstance(inner, Mapping):
            inner = {"name": inner}
        here[part] = dict(inner)
        here = here[part]
    here[last] = copy.deepcopy(value)


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> Setting:
    """`base` with `over` laid on it, mapping by mapping."""
    out: Setting = copy.deepcopy(dict(base))
    for key, value in over.items():
        old = out.get(key)
        if isinstance(value, Mapping) and not isinstance(value, Length) and isinstance(old, str):
            old = {"name": old}
        out[key] = (
            merged(old, value)
            if isinstance(value, Mapping) and isinstance(old, Mapping)
            else copy.deepcopy(value)
        )
    return out


def full_label(value: Any) -> str:
    """A named thing with its options, which `label` leaves out; anything else as there.

    >>> full_label({"name": "sgd", "momentum": 0.0}), full_label({"name": "adam"}), full_label("adam")
    ('sgd(momentum=0)', 'adam', 'adam')
    """
    short = label(value)
    options = {k: v for k, v in value.items() if k != "name"} if _named(value) else {}
    return f"{short}({', '.join(f'{k}={label(v)}' for k, v in options.items())})" if options else short


def label(value: Any) -> str:
    """A short text for an axis value; lengths read as `5ep`, named things by their name, what moves by its
    ends.

    >>> label({"epochs": 5}), label(0.1), label({"name": "sgd", "momentum": 0.9})
    ('5ep', '0.1', 'sgd')
    >>> label({"weight_decay": {"schedule": "wsd", "at_zero": 0.1, "at_peak": 0}}), label({})
    ('weight_decay 0.1 to 0 by wsd', 'none')
    >>> label([{"name": "sgd", "momentum": 0.9}, "adam"])
    'sgd momentum=0.9, adam'
    """
    if isinstance(value, Mapping) and len(value) == 1 and set(value) <= {"epochs", "steps", "fraction"}:
        return str(length(value))
    if _named(value):
        return str(value["name"])
    if isinstance(value, Mapping) and set(value) == {"schedule", "at_zero", "at_peak"}:
        return f"{label(value['at_zero'])} to {label(value['at_peak'])} by {_told(value['schedule'])}"
    if isinstance(value, Mapping) and all(isinstance(v, Mapping) and "at_peak" in v for v in value.values()):
        return ", ".join(f"{name} {label(v)}" for name, v in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(_entry(one) for one in value) or "none"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:g}"


def _entry(value: Any) -> str:
    """An entry of a list: what is named has its options beside it."""
    if not isinstance(value, Mapping) or "name" not in value:
        return label(value)
    return " ".join([label(value), *(f"{k}={label(v)}" for k, v in value.items() if k != "name")])


def _named(value: Any) -> bool:
    return isinstance(value, Mapping) and "name" in value


def _told(schedule: Any) -> str:
    """A schedule with the options that are given."""
    if not isinstance(schedule, Mapping):
        return str(schedule)
    said = ", ".join(f"{k}={label(v)}" for k, v in schedule.items() if k != "name")
    return str(schedule.get("name") or SCHEDULES.default) + (f"({said})" if said else "")


def tidy(value: Any) -> Any:
    """An axis value as JSON data."""
    return plain(value)
