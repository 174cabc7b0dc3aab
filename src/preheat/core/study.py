"""A `Study`: a question, and the runs that are needed to answer it, known beforehand but for those of stages.

Hyperparameters have roles (tuning_playbook): *scientific* ones are what the question is about, *nuisance*
ones must be chosen well for each scientific setting before comparing (the peak rate), *fixed* ones stay. Each
seed chooses its own nuisances by the validation metric and reports the test metric, so that no number in a
report was picked for being high, and the luck of choosing is in the spread over seeds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, NamedTuple

from preheat.core.canon import canonical, digest, plain
from preheat.core.errors import UserError, unknown
from preheat.core.grid import Block, among, get, label, merged, reseeded, tidy
from preheat.core.metrics import metric
from preheat.core.run import Run
from preheat.core.saying import SPLIT, check_claims, check_labels, check_name, check_named, kept


class Point(NamedTuple):
    """One run of a study and its place in it: axes are {path: value} for scientific and nuisance paths.

    names: what the declared settings that are this run are called, the first that asks for it first. stage: 0
    for what is known beforehand, else the number of the batch in which a stage asked for it.
    """

    axes: dict[str, Any]
    seed: int
    run: Run
    names: tuple[str, ...] = ()
    stage: int = 0

    def again(self, seed: int) -> Point:
        """The same setting with another seed."""
        return Point(self.axes, seed, self.run.but(seed=seed))


Part = Mapping[str, Sequence[Any]] | tuple[Block, ...]


@dataclass(frozen=True)
class Study:
    """A question, and every run that answers it.

    name: of the study and its folder: letters, digits, - and _. Left out of a file: the file's name. `rates`
    question: in words. Left out of a file: made of treatment, condition and metric. `Does warmup matter?`
    grid: blocks of varied settings. `[{product: {schedule.warmup: [0, 2ep], peak_lr: [0.01, 0.1]}}]`
    fixed: settings of every run. `{task: digits, length: 10ep}`
    scientific: paths that the question is about. Left out of a file: those that the grid varies and nuisance
        does not list; an option that only tells optimizers apart does not count. `[schedule.warmup]`
    nuisance: paths that are tuned before comparing; a varied rate is one only if it is listed. `[peak_lr]`
    seeds: those of every setting, an axis of their own; in a file also how many, 5 for 0 to 4. `[0, 1, 2]`
    choosing: of a study with stages, how many of the seeds, the first ones, the stages look at; they are not
        reported. Of another study it is ignored, with a note: each seed chooses its own nuisances. `0`
    treatment: the scientific path whose values are compared. Left out of a file: schedule.warmup if it is
        scientific, else the first that is. `schedule.warmup`
    condition: the scientific path that the effect may depend on, "" for none. Left out of a file: the first
        one beside the treatment whose values are numbers. `peak_lr`
    baseline: the treatment's value to compare with, null for its first. `2ep`
    metric: chosen by `validation_<metric>`, reported by `test_<metric>`. `loss`
    goal: max or min of the metric; "" for its own. `max`
    margin: the smallest difference of the metric that matters; equivalence is tested against it. `0.005`
    parts: named smaller versions: of each path the values kept, of the path seed the seeds; or blocks, a grid
        of their own. `{high: {peak_lr: [0.1]}}`
    notes: what a reader of the report must be told. `[The images are drawn by hand.]`
    chapters: what the report holds, in order: names, or {name: ..., option: ...}; none for the standard ones.
        `[edge, {name: probes, but: [distance]}]`
    stages: what is asked for when these runs have records, in order: names, or {name: ..., option: ...}. `[]`
    claims: what the report may call sure. aside: paths with lists of values whose panels count in no claim
        where the same panel was run without that value too. primary: the families of claims that share one
        budget of error and feed the answer, main and edge where left out; others are edge_at, edge_change,
        benefit, best, inside, and a chapter's own. `{primary: [main, edge]}`
    labels: what values of the condition are called, or of what tells the panels, by its path.
        `{peak_lr: {"0.1": usual}}`
    """

    name: str
    question: str
    grid: tuple[Block, ...]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    scientific: tuple[str, ...] = ("schedule.warmup",)
    nuisance: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    choosing: int = 0
    treatment: str = "schedule.warmup"
    condition: str = ""
    baseline: Any = None
    metric: str = "accuracy"
    goal: Literal["", "max", "min"] = ""
    margin: float = 0.01
    parts: Mapping[str, Part] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    chapters: tuple[str | Mapping[str, Any], ...] = ()
    claims: Mapping[str, Any] = field(default_factory=dict)
    stages: tuple[str | Mapping[str, Any], ...] = ()
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("grid", "scientific", "nuisance", "seeds", "notes", "chapters", "stages"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "goal", self.goal or metric(self.metric).goal)
        _check(self)
        if self.choosing and not self.stages:
            note = SPLIT.format(n=self.choosing)
            object.__setattr__(self, "notes", (*(n for n in self.notes if n != note), note))
            object.__setattr__(self, "choosing", 0)

    @property
    def axes(self) -> tuple[str, ...]:
        """The scientific paths, then the nuisances."""
        return (*self.scientific, *self.nuisance)

    def declared(self, part: str = "") -> list[Point]:
        """Every setting that is asked for, with each of its seeds innermost, in the order of the blocks; of a
        part, its own.

        Two settings may be one run: `distinct` of these are the points. A setting's "name" is its point's,
        with {seed} replaced by the seed; without {seed} the seed is added where there are several.
        """
        if not part:
            return self.placed(self.grid)
        if part not in self.parts:
            raise unknown(f"part of study {self.name!r}", part, self.parts)
        rule = self.parts[part]
        if isinstance(rule, tuple):
            return self.placed(rule)
        places = ((p, {**p.axes, "seed": p.seed}) for p in self.placed(self.grid))
        return [p for p, at in places if all(among(at.get(path), kept) for path, kept in rule.items())]

    def placed(self, blocks: Iterable[Block]) -> list[Point]:
        """The settings of `blocks`, each with its seeds innermost, as points of this study."""
        out = []
        for block in blocks:
            seeds = block.seeds or self.seeds
            for setting in block.settings():
                whole = merged(self.fixed, setting)
                name = str(whole.pop("name", ""))
                axes = {path: tidy(get(whole, path)) for path in self.axes}
                for seed in seeds:
                    run = Run.from_json({**whole, "seed": seed})
                    out.append(Point(axes, seed, run, _named(name, seed, len(seeds))))
        return out

    def points(self) -> list[Point]:
        """Every run with its axes, without duplicates, in the order in which it is first asked for."""
        return distinct(self.declared())

    def part(self, name: str) -> list[Point]:
        """The points of a named part."""
        return distinct(self.declared(name))

    def with_seeds(self, seeds: int | Sequence[int]) -> Study:
        """The same question on these seeds, or 0 to n - 1; at most a third of them choose, and at least one
        where any did."""
        some = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
        n = len(some)
        choosing = min(self.choosing, max(n // 3, 1)) if n > 1 else 0
        both = (self.seeds[: self.choosing], some[:choosing]), (self.seeds[self.choosing :], some[choosing:])
        roles = dict(both) if self.choosing else {}
        if self.choosing and not choosing and any(b.seeds in roles for b in self.grid):
            raise UserError(
                f"study {self.name!r} needs at least two seeds, the first for what it measures beforehand, "
                f"got {list(some)}: write --seeds 2"
            )
        parts = {k: reseeded(v, roles) if isinstance(v, tuple) else v for k, v in self.parts.items()}
        return replace(self, seeds=some, choosing=choosing, grid=reseeded(self.grid, roles), parts=parts)

    def with_seeds_of(self, points: Iterable[Point]) -> Study:
        """The study with those of its seeds that the points have, where no seed has the role of choosing and
        no stage needs the others."""
        used = {p.seed for p in points}
        seeds = tuple(s for s in self.seeds if s in used)
        return self if self.choosing or self.stages or not seeds else replace(self, seeds=seeds)

    def called(self, said: Sequence[str]) -> Study:
        """The study under a name that says what was changed: a smaller version never replaces the whole one's
        report."""
        name = "-".join([self.name, *(re.sub(r"[^A-Za-z0-9_]+", "-", word).strip("-") for word in said)])
        short = name if len(name) <= LONGEST else f"{name[: LONGEST - 9]}-{digest(said)[:8]}"
        return replace(self, name=short)

    def runs(self) -> list[Run]:
        """Every run of the study that is known beforehand."""
        return [p.run for p in self.points()]

    def json(self) -> dict[str, Any]:
        """The study as JSON data; what came later only where it is given, so that older declarations read
        the same."""
        said = [f.name for f in fields(self) if f.name not in _LATER or getattr(self, f.name)]
        return {name: plain(getattr(self, name)) for name in said}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Study:
        """The study that `json()` describes; unknown keys are errors."""
        known = [f.name for f in fields(cls)]
        for key in data:
            if key not in known:
                raise unknown("key of a study", key, known)
        parts = {
            k: _blocks(v) if isinstance(v, list | tuple) else v for k, v in data.get("parts", {}).items()
        }
        return cls(**{**data, "grid": _blocks(data["grid"]), "parts": parts})


def _blocks(data: Iterable[Mapping[str, Any]]) -> tuple[Block, ...]:
    return tuple(Block(**b) for b in data)


def _named(name: str, seed: int, seeds: int) -> tuple[str, ...]:
    if not name:
        return ()
    return (name.replace("{seed}", str(seed)) if "{seed}" in name or seeds == 1 else f"{name}_s{seed}",)


def distinct(declared: Iterable[Point]) -> list[Point]:
    """Each run once, at the place where it is first asked for, with the names of all points that are this
    run.

    Errors: two runs of one cell and seed that differ in something no axis names.
    """
    first: dict[str, Point] = {}
    names: dict[str, dict[str, None]] = {}
    for p in declared:
        first.setdefault(p.run.id, p)
        names.setdefault(p.run.id, {}).update(dict.fromkeys(p.names))
    points = [p._replace(names=tuple(names[p.run.id])) for p in first.values()]
    _told_apart(points)
    return points


LONGEST = 120  # characters of a study's name that is made
_LATER = ("notes", "chapters", "claims", "stages", "labels")


def _check(study: Study) -> None:
    check_name(study.name)
    if not study.grid:
        raise UserError(f"study {study.name!r} has no grid: write at least one block")
    if not study.seeds or len(set(study.seeds)) != len(study.seeds):
        raise UserError(f"seeds must be different whole numbers, at least one, got {list(study.seeds)}")
    for role in ("treatment", "condition") if study.condition else ("treatment",):
        if (path := getattr(study, role)) not in study.scientific:
            raise UserError(f"{role} must be one of scientific {list(study.scientific)}, got {path!r}")
    if study.condition == study.treatment:
        raise UserError(
            f"condition must be another path than treatment, got {study.condition!r} for both: write the "
            "path that the effect may depend on, or leave condition out"
        )
    check_claims(study.claims)
    check_labels(study.labels)
    if not 0 <= study.choosing < max(len(study.seeds), 1):
        raise UserError(
            f"choosing must leave a seed to report: 0 to {len(study.seeds) - 1}, got {study.choosing}"
        )
    check_named("chapter", study.chapters)
    check_named("stage", study.stages)
    if not study.metric:
        raise UserError("metric must be a name, got '': write accuracy")
    if study.goal not in ("max", "min"):
        raise unknown("goal", study.goal, ("max", "min"))
    if not study.margin > 0:
        raise UserError(
            f"margin must be above 0, got {study.margin!r}: write the smallest difference that matters"
        )


def _told_apart(points: list[Point]) -> None:
    seen: dict[str, Point] = {}
    for p in points:
        other = seen.setdefault(canonical([p.axes, p.seed]), p)
        if other is not p:
            a, b = plain(other.run), plain(p.run)
            differ = ", ".join(k for k in a if a[k] != b[k])
            where = ", ".join(f"{k}={label(v)}" for k, v in p.axes.items())
            raise UserError(
                f"two runs at {where} differ in {differ}, which is neither scientific nor nuisance: add its "
                "path to one of them"
            )


def index_json(
    study: Study, points: Sequence[Point], *, before: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A study and its runs' places as JSON data: what a report needs to read records without building runs
    again. Its chapters always stand in it, which tells it from those of before there were any.

    before: what was there earlier, of which `saying.kept` is kept.
    """
    rows = [
        {"axes": p.axes, "seed": p.seed, "run": p.run.id, "names": p.names}
        | ({"stage": p.stage} if p.stage else {})
        for p in points
    ]
    made = dict(plain({"study": {**study.json(), "chapters": study.chapters}, "points": rows}))
    return {**made, **kept(before or {}, made)}
