"""A `Run`: everything that determines a result, and nothing else.

No device, fleet, rank or folder is part of it. Its id is a hash of its canonical JSON, so a run that has a
record need not be run again, wherever it ran.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import InitVar, dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Literal, get_args

from preheat.core.between import Between, as_schedule, between
from preheat.core.canon import digest, plain
from preheat.core.errors import UserError, unknown
from preheat.core.lengths import Length, epochs, fraction, is_number, length, times_due
from preheat.core.protocols import ResolvedLike, Schedule
from preheat.core.registry import SCHEDULES
from preheat.core.spec import Spec, as_spec, build, complete

FORMAT = 1
MOST_STEPS = 10_000_000
Precision = Literal["float32", "float64", "bf16"]


@dataclass(frozen=True)
class Run:
    """One training run, declared.

    task: what is learnt. `{name: digits, examples_per_class: 20}`
    optimizer: what turns gradients into updates. `{name: sgd, momentum: 0.9}`
    schedule: its factor times the peak rate is the rate of each update. `{name: cosine, warmup: 5ep}`
    peak_lr: the highest learning rate. `0.1`
    length: of the run, in steps or epochs. `20ep`
    batch_size: examples per update; the last batch of an epoch may be smaller. `16`
    seed: of the initial weights, the data drawn and their order; a study has seeds beside its grid. `3`
    precision: of the state; bf16 is a float32 state whose loss is computed under autocast to bfloat16. `bf16`
    clip_norm: the largest global gradient norm let through, null for no clipping. `1.0`
    evaluate: the distance between evaluations on validation data, or how many while the steps grow tenfold
        (10/decade). `1ep`
    probes: what is measured on the way. `[grad_norm]`
    also: numbers of the optimizer that move with a schedule; its own value is then not used.
        `{beta1: {schedule: linear, at_zero: 0.95, at_peak: 0.85}}`
    rate_rule: a registered rule that multiplies the scheduled rate by what it sees in training, null for
        none. `null`

    In Python a schedule is the schedule or its JSON, a length `epochs(20)` or its text, something named
    `spec(name, **options)`, its name or its JSON, and `also` holds `Between(schedule, at_zero, at_peak)`. A
    task, optimizer or schedule that is left out is the default one, and so are options without a name.
    trusted: True only when reading records, whose task or schedule may not be installed: names are then not
    looked up, and a schedule that can't be built is kept as a `StoredSchedule`.

    Everything is checked here. A run that can't be trained as declared is an error, never repaired.

    >>> run = Run(task="quadratic", optimizer="sgd", peak_lr=0.1, length="100")
    >>> run.total_steps, run == Run.from_json(run.json()), len(run.id)
    (100, True, 16)
    """

    task: Spec = None  # type: ignore[assignment]
    optimizer: Spec = None  # type: ignore[assignment]
    schedule: Schedule = None  # type: ignore[assignment]
    peak_lr: float = 1e-3
    length: Length = epochs(50)
    batch_size: int = 32
    seed: int = 0
    precision: Precision = "float32"
    clip_norm: float | None = None
    evaluate: Length = fraction(0.05)
    probes: tuple[Spec, ...] = ()
    also: Mapping[str, Between] = field(default_factory=dict)
    rate_rule: Spec | None = None
    trusted: InitVar[bool] = False

    def __post_init__(self, trusted: bool) -> None:
        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        put("task", as_spec(self.task, "task"))
        put("optimizer", as_spec(self.optimizer, "optimizer"))
        put("probes", tuple(as_spec(p, "probe") for p in self.probes))
        put("length", length(self.length))
        put("evaluate", length(self.evaluate))
        put("schedule", _schedule(self.schedule, trusted))
        put("also", _also(self.also, trusted))
        put("rate_rule", None if self.rate_rule is None else as_spec(self.rate_rule, "rate rule"))
        _numbers(self)
        put("peak_lr", float(self.peak_lr))
        put("clip_norm", None if self.clip_norm is None else float(self.clip_norm))
        if trusted:
            return
        put("task", complete("task", self.task))
        put("optimizer", complete("optimizer", self.optimizer))
        put("probes", tuple(complete("probe", p) for p in self.probes))
        if self.rate_rule is not None:
            put("rate_rule", complete("rate rule", self.rate_rule))
        _ = self.factor
        _check_also(self)
        _check_probes(self)

    def json(self) -> dict[str, Any]:
        """The run as JSON data, with the format's version; `also` and `rate_rule` only where there is one, so
        that older ids stay."""
        return {"format": FORMAT, **self._told()}

    def _told(self, but: Collection[str] = ()) -> dict[str, Any]:
        """{field: its JSON}, but of some, and of those that are told only where they are given."""
        names = [f.name for f in fields(self) if f.name not in but]
        return {n: plain(v) for n in names if (v := getattr(self, n)) or n not in _WHERE_GIVEN}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], trusted: bool = False) -> Run:
        """The run that `json()` describes; unknown keys and newer formats are errors."""
        given = dict(data)
        version = given.pop("format", FORMAT)
        if version != FORMAT:
            raise UserError(
                f"a run of format {version} needs a newer preheat; this one reads format {FORMAT}"
            )
        known = [f.name for f in fields(cls)]
        for key in given:
            if key not in known:
                raise unknown("key of a run", key, known)
        return cls(**given, trusted=trusted)

    def but(self, **changes: Any) -> Run:
        """The same run with some fields changed."""
        return replace(self, **changes, trusted=False)

    @cached_property
    def id(self) -> str:
        """A hash of the canonical JSON: equal runs have equal ids."""
        return digest(self)

    @cached_property
    def steps_per_epoch(self) -> int:
        """ceil(training examples / batch size)."""
        examples = int(build("task", self.task).examples)
        if self.batch_size > examples:
            raise UserError(
                f"batch_size must be at most the number of training examples ({examples}), got "
                f"{self.batch_size}: write batch_size={examples} or less"
            )
        return math.ceil(examples / self.batch_size)

    @cached_property
    def total_steps(self) -> int:
        """The number of updates."""
        total = self.length.resolve(0, self.steps_per_epoch)
        if total > MOST_STEPS:
            raise UserError(
                f"a run may have at most {MOST_STEPS:,} steps, got {self.length} = {total:,.0f}: write a "
                "shorter length"
            )
        if total != int(total) or total < 1:
            raise UserError(
                f"a run must be a whole number of steps, at least 1; {self.length} is {total:.12g} steps"
            )
        return int(total)

    @cached_property
    def factor(self) -> ResolvedLike:
        """The schedule on this run: the factor of the peak rate at a step, or an array of steps."""
        return self.factor_over(self.total_steps, self.steps_per_epoch)

    def factor_over(self, total: int, per_epoch: float | None) -> ResolvedLike:
        """The same where a record tells the run's lengths: its task may not be installed, or may count
        differently by now."""
        return self.schedule.resolve(total, per_epoch, peak=self.peak_lr, samples=float(self.batch_size))

    def moving(self, name: str, step: Any) -> Any:
        """The optimizer's number `name` at a step, or an array of steps, where `also` moves it."""
        one, samples = self.also[name], float(self.batch_size)
        return one.value(one.schedule.resolve(self.total_steps, self.steps_per_epoch, samples=samples)(step))

    @property
    def hyper(self) -> dict[str, float]:
        """The optimizer's numbers, which may differ inside a fleet: its float options."""
        return {k: v for k, v in self.optimizer.options.items() if isinstance(v, float)}

    @cached_property
    def stack_key(self) -> str:
        """Runs with equal keys can share a fleet: only rates, seeds and the optimizer's numbers differ."""
        shape = {k: v for k, v in self.optimizer.options.items() if not isinstance(v, float)}
        kind = {"optimizer": self.optimizer.name, "shape": shape, "clip": self.clip_norm is None}
        return digest({**self._told(_FREE), **kind})

    def __hash__(self) -> int:
        return hash(self.id)

    def __str__(self) -> str:
        kind = f"{self.task} {self.optimizer} {self.schedule}"
        return f"{kind} peak {self.peak_lr:g} {self.length} seed {self.seed}"


_FREE = {"optimizer", "schedule", "peak_lr", "seed", "clip_norm", "also"}
_WHERE_GIVEN = {"also", "rate_rule"}


@dataclass(frozen=True)
class StoredSchedule:
    """A schedule of a record that can't be built here: its name is not registered, or not with these
    options."""

    spec: Spec

    def resolve(self, total: int, per_epoch: float | None = None, **more: float | None) -> ResolvedLike:
        """Always an error: what is missing."""
        try:
            built: Schedule = SCHEDULES.build(self.spec.name, self.spec.options)
        except (ValueError, TypeError) as error:
            raise UserError(f"{error}; the file that registers it is given by --import") from error
        return built.resolve(total, per_epoch, **more)

    def json(self) -> dict[str, Any]:
        """The JSON as it was stored."""
        return self.spec.json()


def _schedule(value: Any, trusted: bool) -> Schedule:
    try:
        return as_schedule(value)
    except (ValueError, TypeError):
        if not trusted or not isinstance(value, str | Mapping | Spec):
            raise
        return StoredSchedule(as_spec(value, "schedule"))


def _also(value: Any, trusted: bool) -> dict[str, Between]:
    if not isinstance(value, Mapping):
        raise UserError(
            f"also is a mapping of hyperparameters that move, got {value!r}: write {{momentum: {{schedule: "
            "...}}"
        )
    out = {}
    for name, one in value.items():
        if trusted and isinstance(one, Mapping) and "schedule" in one:
            one = {**one, "schedule": _schedule(one["schedule"], trusted)}
        out[str(name)] = between(one)
    return out


def _check_also(run: Run) -> None:
    """What moves must be a number of the optimizer, stay in its range, and fit the run."""
    for name, one in run.also.items():
        if name not in run.hyper:
            raise unknown(f"number of optimizer {run.optimizer.name!r} that could move", name, run.hyper)
        for end in (one.at_zero, one.at_peak):
            build("optimizer", Spec(run.optimizer.name, {**run.optimizer.options, name: end}))
        run.moving(name, 0)


def _check_probes(run: Run) -> None:
    """Each probe is there once, since its series have its names; and what is measured falls on steps."""
    names = [p.name for p in run.probes]
    if twice := [n for n in names if names.count(n) > 1]:
        raise UserError(f"each probe is named once, got {twice[0]!r} twice: leave one out")
    total, per_epoch = run.total_steps, run.steps_per_epoch
    times_due(run.evaluate, total, per_epoch)
    for probe in (build("probe", p) for p in run.probes):
        times_due(probe.every, total, per_epoch)
        if probe.until is not None:
            probe.until.resolve(total, per_epoch)


def _numbers(run: Run) -> None:
    """The rules for plain numbers, each with its value and what to write instead."""
    _positive("peak_lr", run.peak_lr, "the highest learning rate, such as 1e-3")
    if run.clip_norm is not None:
        _positive("clip_norm", run.clip_norm, "a gradient norm such as 1.0, or None")
    for name, least in (("batch_size", 1), ("seed", 0)):
        value = getattr(run, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise UserError(f"{name} must be a whole number >= {least}, got {value!r}")
    if run.precision not in get_args(Precision):
        raise unknown("precision", run.precision, get_args(Precision))
    if run.length.unit in ("fraction", "per_decade") or not run.length:
        raise UserError(
            f"length must be a number of steps or epochs above 0, got {run.length}: write '50ep' or '700'"
        )
    if not run.evaluate:
        raise UserError(f"evaluate must be above 0, got {run.evaluate}: write '5%' or '1ep'")


def _positive(name: str, value: Any, example: str) -> None:
    if not is_number(value) or value <= 0:
        raise UserError(f"{name} must be a finite number > 0, got {value!r}: write {example}")
