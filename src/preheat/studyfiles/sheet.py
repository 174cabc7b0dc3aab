"""A study or a run from the data of a file: defaults, and everything that is wrong, each at its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from preheat.core.canon import canonical
from preheat.core.errors import UserError
from preheat.core.grid import Block, get, label
from preheat.core.metrics import metric
from preheat.core.run import Run
from preheat.core.spec import as_spec, build
from preheat.core.study import Study
from preheat.studyfiles.entries import (
    FileBlock,
    FileEntry,
    block,
    block_faults,
    block_filter_faults,
    core_block,
    count,
    filter_faults,
    kept,
    leaves,
    named_defaults,
    nested,
    twice,
    varied,
)
from preheat.studyfiles.faults import At, Fault, Faulty, rule, show, why
from preheat.studyfiles.keys import key_faults, refused
from preheat.studyfiles.runs import MOST_RUNS, beside_rates, blame, run_failure, run_faults, settings_of
from preheat.studyfiles.settings import entry_faults, key_place

# what a file may leave to be made of the rest; all other keys of a study are taken as they stand
_MADE = ("question", "fixed", "grid", "scientific", "nuisance", "seeds", "choosing", "treatment", "condition")


def study(data: Mapping[str, Any], name: str, *, found: Sequence[Fault] = ()) -> Study:
    """The study that a file's data declare. name: if they give none; found: faults met before. Raises
    `Faulty`."""
    fixed = leaves("", data.get("fixed", {}), ("fixed",))
    blocks = _blocks(data.get("grid"), ("grid",))
    parts = {k: _blocks(v, ("parts", k)) for k, v in _parts(data).items() if isinstance(v, list)}
    every = [*blocks, *(b for own in parts.values() for b in own)]
    fixed += named_defaults(fixed, [b.single() for b in every])
    faults = [*found, *_key_faults(data), *_setting_faults(fixed, every), *_role_faults(data, fixed, every)]
    _raise([*faults, *beside_rates(faults, fixed, every)])
    return _assembled({"name": name, **data}, fixed, blocks, parts)


def _blocks(rows: Any, at: At) -> list[FileBlock]:
    each = enumerate(rows if isinstance(rows, list) else [])
    return [block(row, (*at, i)) for i, row in each if isinstance(row, Mapping)]


def run(data: Mapping[str, Any], found: Sequence[Fault] = ()) -> Run:
    """The run that a file's data declare. Raises `Faulty`."""
    entries = leaves("", {k: v for k, v in data.items() if k not in _RUN_ONLY}, ())
    entries += named_defaults(entries)
    _raise([*found, *twice(entries), *entry_faults(entries, entries)])
    whole = {**nested(entries), **{k: data[k] for k in _RUN_ONLY if k in data}}
    if text := run_failure(whole):
        own = next(
            (
                k
                for k in _RUN_ONLY
                if k in data and not run_failure({i: v for i, v in whole.items() if i != k})
            ),
            None,
        )
        _raise([Fault((own,) if own else blame(whole, text, [entries], ()), text)])
    return Run.from_json(whole)


_RUN_ONLY = ("seed", "format")


def _raise(faults: Sequence[Fault]) -> None:
    if faults:
        raise Faulty(list(faults))


# What is wrong, as far as it shows without building runs
# -------------------------------------------------------------


def _installed(kind: str, some: Any) -> Iterator[Fault]:
    """Names of a list that are not registered, and options that they do not have."""
    for i, one in enumerate(some if isinstance(some, list) else []):
        if isinstance(one, str | Mapping) and (text := why(partial(_build, kind, one))):
            yield Fault((f"{kind}s", i), text)


def _build(kind: str, one: Any) -> Any:
    return build(kind, as_spec(one, kind))


def _key_faults(data: Mapping[str, Any]) -> Iterator[Fault]:
    """Keys and plain values: of their types, and in range as the study itself says."""
    found = list(key_faults(Study, {k: v for k, v in data.items() if k != "seeds"}, ()))
    yield from found
    if text := _seeds_fault(data.get("seeds", 1)):
        yield Fault(("seeds",), text)
    for kind in ("chapter", "stage"):
        yield from _installed(kind, data.get(f"{kind}s"))
    wrong = {f.at[0] for f in found}
    bare = {"name": "a", "question": "a", "grid": (Block(),)}
    for key in [k for k in data if k not in wrong and (k not in _MADE or data[k] == [])]:
        if told := refused(Study, key, value=data[key], beside=bare):
            yield Fault((key,), told)


def _seeds_fault(value: Any) -> str:
    """What is wrong with a number of seeds, or with a list of them, or ""."""
    many = value if isinstance(value, list) else [value]
    if value in (0, []) or not all(type(v) is int and v >= 0 for v in many):
        wanted = "must be how many seeds or a list of whole numbers >= 0"
        return f"{wanted} (got {show(value)}) -- write 5 or [0, 1, 2, 3, 4]"
    if isinstance(value, list) and len(set(value)) < len(value):
        return f"must be different numbers (got {show(value)}) -- write each seed once"
    if isinstance(value, int) and value > MOST_RUNS:
        return f"must be at most {MOST_RUNS:,} (got {value})"
    return ""


def _setting_faults(fixed: list[FileEntry], blocks: list[FileBlock]) -> Iterator[Fault]:
    singles = [b.single() for b in blocks]
    yield from twice(fixed)
    yield from entry_faults(fixed, fixed, [e for s in singles for e in s])
    for b, own in zip(blocks, singles, strict=True):
        yield from block_faults(b)
        yield from entry_faults(own, own, fixed)
        yield from block_filter_faults(b)


def _role_faults(data: Mapping[str, Any], fixed: list[FileEntry], blocks: list[FileBlock]) -> Iterator[Fault]:
    """Roles must name settings of the file, each in one role; treatment and condition are scientific."""
    given = [*fixed, *(e for b in blocks for e in b.single())]
    parts = [e.path.split(".") for e in given]
    paths = list(dict.fromkeys(".".join(p[:n]) for p in parts for n in range(1, len(p) + 1)))
    lists = {name: data[name] for name in ("scientific", "nuisance") if isinstance(data.get(name), list)}
    seen: list[str] = []
    for name, path, at in [
        (n, p, (n, i)) for n, ps in lists.items() for i, p in enumerate(ps) if isinstance(p, str)
    ]:
        if path not in paths:
            yield Fault(at, rule("unknown path: this file sets nothing there", path, choices=paths))
        elif path in seen:
            yield Fault(at, f"{path} has a role already (got it again in {name}) -- keep one of them")
        seen.append(path)
    allowed = lists.get("scientific") or [p for p in paths if p not in lists.get("nuisance", [])]
    for name in ("treatment", "condition"):
        if data.get(name) and data[name] not in allowed and isinstance(data[name], str):
            yield Fault(
                (name,),
                rule("must be one of the scientific paths", data[name], choices=[str(p) for p in allowed]),
            )
    seeds, choosing = data.get("seeds", 5), data.get("choosing", 0)
    count = len(seeds) if isinstance(seeds, list) else seeds
    if type(count) is int and type(choosing) is int and count > 0 and not 0 <= choosing < count:
        yield Fault(
            ("choosing",), f"must leave a seed to report: 0 to {count - 1} of {count} (got {choosing})"
        )


# The study and its runs
# ----------------------------------------------------------------------------------------------


def _assembled(
    data: Mapping[str, Any],
    fixed: list[FileEntry],
    blocks: list[FileBlock],
    parts: Mapping[str, list[FileBlock]],
) -> Study:
    """The study of a file whose parts are right; what shows only now is still told with its line."""
    seeds = _numbered(data)
    runs = sum(count(b) * len(b.rest.get("seeds") or seeds) for b in blocks)
    if runs > MOST_RUNS:
        _raise(
            [Fault(("grid",), f"a study has at most {MOST_RUNS:,} runs (got {runs:,}) -- write fewer values")]
        )
    settings = settings_of(fixed, blocks)
    bare = [b.at for b, own in zip(blocks, settings, strict=True) if not own]
    _raise([Fault(at, "where and exclude leave no combination -- drop one") for at in bare])
    roles = _roles(data, blocks, settings)
    made = {**roles, "seeds": seeds, "fixed": nested(fixed)}
    made["parts"] = {name: kept(entries) for name, entries in _kept_parts(data).items()}
    made["parts"] |= {name: tuple(map(core_block, own)) for name, own in parts.items()}
    try:
        study = Study(**{**data, **made, "grid": tuple(map(core_block, blocks)), "notes": _notes(data)})
    except UserError as error:
        raise Faulty([Fault((), str(error))]) from error
    every = [*blocks, *(b for own in parts.values() for b in own)]
    _raise(run_faults(fixed, every, settings_of(fixed, every), seeds[0]))
    return study


def _notes(data: Mapping[str, Any]) -> tuple[str, ...]:
    """Those of the file, and that a metric without points of its own was given no margin."""
    name = data.get("metric", Study.metric)
    assumed = f"No margin was chosen: a difference of {Study.margin:g} in {name} counts."
    unsaid = "margin" not in data and not metric(name).step
    return (*data.get("notes", ()), *([assumed] if unsaid else []))


def _numbered(data: Mapping[str, Any]) -> tuple[int, ...]:
    seeds = data.get("seeds", 5)
    return tuple(range(seeds) if isinstance(seeds, int) else seeds)


def _roles(
    data: Mapping[str, Any], blocks: list[FileBlock], settings: list[list[dict[str, Any]]]
) -> dict[str, Any]:
    """scientific, nuisance, treatment, condition and question, as given or by default."""
    nuisance = tuple(data.get("nuisance", ()))
    given = [s for group in settings for s in group]
    free = [p for p in varied(given, blocks) if not any(p == n or p.startswith(f"{n}.") for n in nuisance)]
    scientific = tuple(data.get("scientific") or free)
    if not scientific:
        bare = "varies nothing but nuisances -- give one scientific path two values or more"
        _raise([Fault(("grid",), bare)])
    levels = {
        p: list({canonical(v): v for s in given if (v := get(s, p)) is not None}.values())
        for p in (*scientific, *nuisance)
    }
    usual = "schedule.warmup" if "schedule.warmup" in scientific else scientific[0]
    treatment = data.get("treatment") or usual
    numeric = [p for p in scientific if levels[p] and all(type(v) in (int, float) for v in levels[p])]
    condition = data.get("condition", next((p for p in numeric if p != treatment), ""))
    depends = f", and how does that depend on {condition}" if condition else ""
    roles = {
        "scientific": scientific,
        "nuisance": nuisance,
        "treatment": treatment,
        "condition": condition,
        "question": data.get("question")
        or f"How does {treatment} change {data.get('metric', Study.metric)}{depends}?",
    }
    labels = {p: [label(v) for v in values] for p, values in levels.items()}
    labels["seed"] = [label(s) for s in _numbered(data)]
    _raise([*_undecided(blocks, given, (*scientific, *nuisance)), *_value_faults(data, roles, labels)])
    return roles


def _value_faults(
    data: Mapping[str, Any], roles: Mapping[str, Any], labels: Mapping[str, list[str]]
) -> Iterator[Fault]:
    """Roles and values must be among those that there are. labels: {path: those of its values}."""
    scientific, treatment = roles["scientific"], roles["treatment"]
    for name in ("treatment", "condition"):
        if roles[name] and roles[name] not in scientific:
            rest = f"{list(scientific)} (got {roles[name]!r})"
            yield Fault((name,), f"must be one of the scientific paths {rest}")
    if roles["condition"] == treatment:
        yield Fault(("condition",), f"must be another path than treatment (got {treatment!r} for both)")
    baseline, mine = data.get("baseline"), labels.get(treatment, [])
    if baseline is not None and label(baseline) not in mine:
        known = f"must be a value of {treatment}: {', '.join(mine)}"
        yield Fault(("baseline",), f"{known} (got {baseline!r})")
    for entries in _kept_parts(data).values():
        yield from filter_faults(entries, labels, "this study")


def _parts(data: Mapping[str, Any]) -> Mapping[str, Any]:
    parts = data.get("parts", {})
    return parts if isinstance(parts, Mapping) else {}


def _kept_parts(data: Mapping[str, Any]) -> dict[str, list[FileEntry]]:
    """The parts that keep values of the grid."""
    rules = {name: rule for name, rule in _parts(data).items() if isinstance(rule, Mapping)}
    return {name: leaves("", rule, ("parts", name)) for name, rule in rules.items()}


def _undecided(
    blocks: list[FileBlock], settings: list[dict[str, Any]], axes: tuple[str, ...]
) -> Iterator[Fault]:
    """A path that differs between settings with equal axes needs a role."""
    cells: dict[str, list[dict[str, Any]]] = {}
    for s in settings:
        cells.setdefault(canonical([get(s, a) for a in axes]), []).append(s)
    loose = {p: None for group in cells.values() if len(group) > 1 for p in varied(group, blocks)}
    for path in loose:
        at = next(e.at for b in blocks for e in b.single() if e.path == path)
        yield Fault(
            key_place(at),
            f"{path} is varied, but neither scientific nor nuisance -- list it under one of them",
        )
