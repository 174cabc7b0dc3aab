"""The stage that searches: in batches, on Optuna's samplers and pruners."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from preheat.analysis.results import Row
from preheat.analysis.table import Table
from preheat.core.between import Between
from preheat.core.canon import plain
from preheat.core.companions import with_companions
from preheat.core.errors import UserError
from preheat.core.grid import Block
from preheat.core.lengths import epochs as ep
from preheat.core.record import Record
from preheat.core.registry import STAGES
from preheat.core.run import Run
from preheat.core.study import Point, Study
from preheat.schedules.combine.excerpt import excerpt
from preheat.search.arms import LENGTH, Arm, arms, told_apart
from preheat.search.pruners import checks, known_pruner
from preheat.search.replay import SearchRules, Wanted, played
from preheat.search.trials import VALIDATION, by_epoch, choosing, epochs_of, from_table, trials

Curves = Mapping[str, tuple[float, ...]]  # of a run: {what was measured: its values by epoch}
LONG = 1000  # epochs of a run that is long enough for every check of a pruner


@STAGES.register("search")
@dataclass(frozen=True)
class Search:
    """Trials of one or more arms, each searched by Optuna: TPE, and a pruner where one is asked for.

    spaces: the arms, [{name: ..., settings: {...}, space: {path: {low: ..., high: ..., log: true} or
    [...]}}]; paths are those of a run, such as peak_lr and schedule.warmup, and must be axes of the study.
    The study's grid holds the first trial of each arm. trials: of each arm, the first included; batch: how
    many of an arm are asked for together, after the first (constant liar); seed: of the sampler. A trial's
    value is the mean of validation_<metric> over the seeds that choose. A run that diverges counts as pruned,
    one that fails as failed. pruner: pfl (predicted final loss) or hyperband: a trial is then trained to a
    check first, as a run of its own, and to the end where it is not stopped; for that the runs are evaluated
    every epoch (evaluate: 1ep), length is counted in epochs, and `length` is an axis.

    >>> arm = {"settings": {"schedule": "cosine"}, "space": {"peak_lr": {"low": 1e-4, "high": 0.1}}}
    >>> first = (Block(points=[{"schedule": "cosine", "peak_lr": 0.01}]),)
    >>> Search([arm], trials=10).most(Study("mine", "?", first, nuisance=("peak_lr",), seeds=(0,)))
    9

    Bergstra et al. 2011 (TPE); Akiba et al. 2019, arXiv 1907.10902 (Optuna).
    """

    spaces: Sequence[Mapping[str, Any]] = ()
    trials: int = 25
    batch: int = 5
    seed: int = 42
    pruner: str = ""

    def __post_init__(self) -> None:
        arms(self.spaces)
        known_pruner(self.pruner)
        for name, least in (("trials", 1), ("batch", 1), ("seed", 0)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise UserError(
                    f"{name} of a search must be a whole number of at least {least}, got {value!r}: write "
                    f"{name}: 25"
                )

    def each(self, record: Record, row: Row) -> Curves | None:
        """The values by epoch of what was validated, where a pruner looks at them."""
        if not self.pruner:
            return None
        return {name: by_epoch(record, name) for name in record.trace if name.startswith(VALIDATION)}

    def more(
        self, table: Table, points: Sequence[Point], curves: Sequence[tuple[Row, Curves]]
    ) -> Iterator[Point]:
        """The next trials of each arm."""
        study = table.study
        mine = [p for p in points if p.seed in choosing(study)]
        told_apart(arms(self.spaces), study, [p.axes for p in mine])
        known = {row.run_id: told.get(f"{VALIDATION}{study.metric}", ()) for row, told in curves}
        given = [from_table(table, p, known.get(p.run.id, ())) for p in mine]
        for arm in arms(self.spaces):
            own = [p for p in mine if arm.has(p.axes, study.fixed)]
            rules = self.rules(study, own)
            tried = trials(arm, [p.axes for p in own], given, study=study)
            for wanted in played(arm, rules, tried).wanted:
                yield from _points(study, arm, wanted, rules.epochs)

    def most(self, study: Study) -> int:
        """Every trial but the first, at each of its lengths, on every seed that chooses."""
        told_apart(arms(self.spaces), study, [p.axes for p in study.points()])
        lengths = 1 + len(checks(self.pruner, LONG))
        return len(arms(self.spaces)) * (self.trials - 1) * lengths * len(choosing(study))

    def rules(self, study: Study, own: Sequence[Point]) -> SearchRules:
        """How an arm with these runs is searched."""
        epochs = max(epochs_of(p.run) for p in own)
        for p in own if self.pruner else ():
            _check_epochs(study, p.run)
        return SearchRules(
            **{name: getattr(self, name) for name in ("trials", "batch", "seed", "pruner")},
            goal=study.goal,
            epochs=epochs,
            checks=checks(self.pruner, epochs),
            name=study.name,
        )


def _check_epochs(study: Study, run: Run) -> None:
    """Errors: UserError where a run's values by epoch can't be had."""
    if LENGTH not in study.axes:
        raise UserError(
            "a search with a pruner trains runs of several lengths: add length to scientific, and to "
            "condition"
        )
    if run.total_steps % run.steps_per_epoch or run.evaluate != ep(1):
        raise UserError(
            "a search with a pruner needs whole epochs, and a value after each, got length "
            f"{run.length} and evaluate {run.evaluate}: write length: 50ep and evaluate: 1ep under fixed"
        )


def _points(study: Study, arm: Arm, wanted: Wanted, epochs: int) -> Iterator[Point]:
    """The runs of a trial, on every seed that chooses."""
    setting = with_companions(arm.setting(wanted.params), study.fixed)
    for p in study.placed([Block(points=[setting], seeds=choosing(study))]):
        yield p if wanted.epochs == epochs else _first_epochs(p, wanted.epochs)


def _first_epochs(p: Point, epochs: int) -> Point:
    """The first epochs of a run, as a run of its own at the same place but for its length."""
    run, total = p.run, p.run.total_steps
    also = {
        name: Between(excerpt(one.schedule, was=total), one.at_zero, one.at_peak)  # type: ignore[arg-type]
        for name, one in run.also.items()
    }
    short = run.but(schedule=excerpt(run.schedule, was=total), also=also, length=ep(epochs))  # type: ignore[arg-type]
    return Point({**p.axes, LENGTH: plain(ep(epochs))}, p.seed, short, p.names)
