"""What is wrong with single settings of a file: names, options, numbers and hyperparameters that move, each
at its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

from preheat.core.between import Between, between
from preheat.core.lengths import is_number
from preheat.core.registry import OPTIMIZERS, REGISTRIES
from preheat.core.run import Run
from preheat.core.spec import Spec, as_spec
from preheat.studyfiles.entries import NAMED, FileEntry, leaves
from preheat.studyfiles.faults import At, Fault, rule, why
from preheat.studyfiles.keys import keys, misfit, refused, type_faults
from preheat.studyfiles.options import name_fault, option_fault, options


class Arms(NamedTuple):
    """For `task`, `optimizer` or `schedule`: the names it may have, and the options that stand beside each
    other."""

    names: list[str]
    options: dict[str, Any]


def arms(kind: str, *groups: Sequence[FileEntry]) -> Arms:
    """The names are those of the first group that gives any, else the default; earlier groups' options
    override later ones."""
    inside = [
        [(e.path.partition(".")[2], e.value) for e in group if e.path.startswith(f"{kind}.")]
        for group in groups
    ]
    given = [[value for key, value in group if key == "name"] for group in inside]
    found = next((names for names in given if names), [REGISTRIES[kind].default])
    known = [n for n in dict.fromkeys(n for n in found if isinstance(n, str)) if not name_fault(kind, n)]
    return Arms(known, {k: v for group in reversed(inside) for k, v in group if k != "name"})


def entry_faults(entries: Sequence[FileEntry], *around: Sequence[FileEntry]) -> Iterator[Fault]:
    """What is wrong with single settings. around: where a name is looked for, and what stands beside them."""
    beside = {kind: arms(kind, *around) for kind in NAMED}
    for e in entries:
        head, _, tail = e.path.partition(".")
        if head == "seed":
            yield Fault(
                key_place(e.at), "seeds are an axis of their own -- write seeds: [0, 1, 2] beside the grid"
            )
        elif head not in keys(Run):
            yield Fault(key_place(e.at), rule("unknown setting of a run", e.path, choices=_paths(beside)))
        elif head in NAMED and tail == "name":
            yield from [Fault(e.at, text)] if (text := name_fault(head, e.value)) else []
        elif head in NAMED and tail:
            yield from _option(e, head, beside[head])
        elif head in NAMED:
            yield Fault(
                e.at,
                rule(f"{head} must be a name or a name with options", e.value)
                + " -- write {name: ..., option: ...}",
            )
        elif head == "also":
            yield from _moving(e, beside["optimizer"])
        elif tail:
            flat = bool(misfit(keys(Run)[head].hint, {}))
            text = rule(f"{head} has nothing inside it", e.path) + f" -- write {head}"
            yield from [Fault(key_place(e.at), text)] if flat else []
        elif head == "probes":
            yield from _probes(e)
        else:
            yield from field_faults(head, e.value, e.at)


def field_faults(name: str, value: Any, at: At) -> list[Fault]:
    """What is wrong with a field of a run, whatever the others are."""
    if found := list(type_faults(keys(Run)[name].hint, value, at)):
        return found
    text = refused(Run, name, value=value, beside={"trusted": True})
    return [Fault(at, text)] if text else []


def key_place(at: At) -> At:
    """The place of the key whose list holds `at`: what is wrong with a path is told once."""
    return at[:-1] if isinstance(at[-1], int) else at


def _paths(beside: Mapping[str, Arms]) -> list[str]:
    inside = [
        f"{kind}.{key}" for kind, arm in beside.items() for name in arm.names for key in options(kind, name)
    ]
    return [*keys(Run), *dict.fromkeys(inside)]


def _option(e: FileEntry, kind: str, arm: Arms) -> Iterator[Fault]:
    """An option is at fault if every thing it may belong to refuses it."""
    key, *inner = e.path.split(".")[1:]
    found, unknown = [], True
    for name in arm.names:
        known = options(kind, name)
        unknown = unknown and key not in known
        if inner and not unknown:
            return  # an option with parts is checked when the run is built
        beside = {k: v for k, v in arm.options.items() if k in known}
        found.append(option_fault(Spec(name, beside), kind, key=key, value=e.value))
    if found and all(found):
        yield Fault(key_place(e.at) if unknown else e.at, found[0])


def _probes(e: FileEntry) -> Iterator[Fault]:
    if not isinstance(e.value, list):
        yield from field_faults("probes", e.value, e.at)
        return
    for i, one in enumerate(e.value):
        at, text = (*e.at, i), why(lambda one=one: as_spec(one, "probe"))  # type: ignore[misc]
        if text := text or name_fault("probe", as_spec(one, "probe").name):
            yield Fault(at, text)
            continue
        spec = as_spec(one, "probe")
        each = {key: option_fault(spec, "probe", key=key, value=value) for key, value in spec.options.items()}
        yield from (Fault((*at, key), told) for key, told in each.items() if told)


def _moving(e: FileEntry, optimizers: Arms) -> Iterator[Fault]:
    """`also` with all that moves, or one of it as `also.name`."""
    _, _, name = e.path.partition(".")
    if "." in name:
        whole = name.partition(".")[0]
        yield Fault(
            key_place(e.at),
            rule(f"also.{whole} is given whole", e.path) + f" -- write also.{whole}: {{{_FIELDS}}}",
        )
    elif name:
        yield from _mover(name, e.value, e.at, optimizers)
    elif not isinstance(e.value, Mapping):
        yield from field_faults("also", e.value, e.at)
    else:
        for key, value in e.value.items():
            yield from _mover(key, value, (*e.at, key), optimizers)


_FIELDS = "schedule: ..., at_zero: ..., at_peak: ..."


def _mover(name: str, value: Any, at: At, optimizers: Arms) -> Iterator[Fault]:
    """A number is at fault if none of the optimizers has it, or lets it go that far."""
    having = [o for o in optimizers.names if name in _numbers(o)]
    if optimizers.names and not having:
        first = optimizers.names[0]
        yield Fault(
            key_place(at),
            rule(f"unknown number of optimizer {first!r} that could move", name, choices=_numbers(first)),
        )
    known = [f.name for f in fields(Between)]
    if not isinstance(value, Mapping) or set(value) != set(known):
        yield Fault(at, why(lambda: between(value)))
        return
    schedule = leaves("schedule", value["schedule"], (*at, "schedule"))
    yield from entry_faults(schedule, schedule)
    for end in ("at_zero", "at_peak"):
        if not is_number(value[end]):
            yield Fault((*at, end), rule("must be a finite number", value[end]))
            continue
        told = [_end(o, optimizers, name=name, value=float(value[end])) for o in having]
        yield from [Fault((*at, end), told[0])] if told and all(told) else []


def _numbers(optimizer: str) -> list[str]:
    """The numbers of an optimizer."""
    return [f.name for f in fields(OPTIMIZERS[optimizer]) if f.type in (float, "float")]


def _end(optimizer: str, arm: Arms, *, name: str, value: float) -> str:
    beside = {k: v for k, v in arm.options.items() if k in options("optimizer", optimizer)}
    return option_fault(Spec(optimizer, beside), "optimizer", key=name, value=value)
