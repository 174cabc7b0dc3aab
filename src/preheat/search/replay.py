"""An arm's search, played again from what its trials gave: what Optuna knows, and what it asks for next.

Nothing is kept between calls. The Optuna study is made anew in memory from the trials' parameters and values,
and a trial that was asked for before is never sampled again. The sampler of trial k draws from a generator
keyed by (seed, k), so a search that is stopped and goes on asks for the same trials as one that is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from preheat.core.canon import canonical, digest
from preheat.core.space import Range
from preheat.search.arms import Arm
from preheat.search.distributions import decoded, distributions, encoded, optuna
from preheat.search.pruners import pruner

if TYPE_CHECKING:
    from optuna import Study as OptunaStudy
    from optuna.samplers import BaseSampler
    from optuna.trial import Trial as OptunaTrial

Params = dict[str, Any]
State = Literal["running", "complete", "pruned", "fail"]
STATES = {"complete": "COMPLETE", "pruned": "PRUNED", "fail": "FAIL"}  # as Optuna calls what is over
TRIES = 50  # samples before a space counts as tried out


@dataclass(frozen=True)
class SearchRules:
    """How an arm is searched. epochs: of a whole run; batch: trials that are asked for together; checks: the
    epochs at which a trial may be stopped; startup: trials that are drawn at random; name: of the study."""

    trials: int = 25
    batch: int = 5
    seed: int = 42
    goal: str = "min"
    epochs: int = 50
    pruner: str = ""
    checks: tuple[int, ...] = ()
    startup: int = 10
    name: str = "search"

    @property
    def free(self) -> int:
        """The trials that no pruner stops."""
        return self.startup if self.pruner == "pfl" else 0


class Tried(NamedTuple):
    """What a trial gave so far. curves: {epochs trained: its values by epoch, or the last one alone}; lost:
    it diverged; failed: it could not be trained."""

    params: Params
    curves: Mapping[int, tuple[float, ...]]
    lost: bool = False
    failed: bool = False

    def until(self, epochs: int) -> tuple[float, ...] | None:
        """The values of the first epochs, from a run as long or longer; None where there is none."""
        longer = [c for trained, c in sorted(self.curves.items()) if trained == epochs or len(c) > epochs]
        return longer[0][:epochs] if longer else None


class Wanted(NamedTuple):
    """A trial to train for so many epochs."""

    number: int
    params: Params
    epochs: int


class TrialEnd(NamedTuple):
    """How a trial stands; pruned: stopped early, or diverged. curve: its values by epoch so far."""

    params: Params
    state: State
    value: float | None
    curve: tuple[float, ...]
    lost: bool = False


class Played(NamedTuple):
    """An arm's trials, and what is asked for next; () where it is over."""

    trials: tuple[TrialEnd, ...]
    wanted: tuple[Wanted, ...]


_PLAYED: dict[str, Played] = {}  # of this process: a stage is asked again and again


def played(arm: Arm, rules: SearchRules, tried: Sequence[Tried]) -> Played:
    """`play`, remembered."""
    key = digest([arm.json(), vars(rules), [[t.params, sorted(t.curves.items()), *t[2:]] for t in tried]])
    if key not in _PLAYED:
        _PLAYED[key] = play(arm, rules, tried)
    return _PLAYED[key]


def play(arm: Arm, rules: SearchRules, tried: Sequence[Tried]) -> Played:
    """The search of an arm after what was tried, in the order in which it was asked for."""
    study, ended = opened(rules), list[TrialEnd]()
    tried = tried[: rules.trials]
    for batch in _batches(tried, rules):
        some, wanted = _judged(study, arm, rules, batch)
        ended += some
        if wanted:
            return Played(tuple(ended), tuple(wanted))
    left = min(rules.batch if tried else 1, rules.trials - len(tried))
    new = enumerate(_sampled(study, arm, rules, left), start=len(tried))
    return Played(tuple(ended), tuple(Wanted(k, params, _first(rules, k)) for k, params in new))


def opened(rules: SearchRules) -> OptunaStudy:
    """An empty study in memory."""
    direction = "minimize" if rules.goal == "min" else "maximize"
    stops = pruner(rules.pruner, rules.epochs, startup=rules.startup, goal=rules.goal)
    study: OptunaStudy = optuna().create_study(direction=direction, study_name=rules.name, pruner=stops)
    return study


def _batches(tried: Sequence[Tried], rules: SearchRules) -> Iterator[Sequence[Tried]]:
    """The trials as they were asked for: the first one by itself, then so many at a time."""
    if tried:
        yield tried[:1]
    for at in range(1, len(tried), rules.batch):
        yield tried[at : at + rules.batch]


def _first(rules: SearchRules, number: int) -> int:
    """For how many epochs a trial is trained first."""
    return rules.checks[0] if rules.checks and number >= rules.free else rules.epochs


def _judged(
    study: OptunaStudy, arm: Arm, rules: SearchRules, batch: Sequence[Tried]
) -> tuple[list[TrialEnd], list[Wanted]]:
    """How the trials of a batch stand, in order, and which of them are to be trained on."""
    spaces = distributions(arm.space)
    for one in batch:
        study.enqueue_trial(encoded(arm.space, one.params))
    live = {t.number: (t, one) for one in batch for t in [study.ask(spaces)]}
    stands = {n: _ended(one, "running") for n, (_, one) in live.items()}
    for check in (*rules.checks, rules.epochs):
        on = [n for n in live if check == rules.epochs or n >= rules.free]
        lacking = [n for n in on if _lacks(live[n][1], check)]
        if lacking:
            return list(stands.values()), [Wanted(n, live[n][1].params, check) for n in lacking]
        for number in on:
            trial, one = live[number]
            state = _state(trial, rules, one, check)
            if state != "running":
                stands[number] = _told(study, trial, one, state)
                del live[number]
    return list(stands.values()), []


def _lacks(one: Tried, check: int) -> bool:
    """Whether a trial must be trained before it can be judged there."""
    return one.until(check) is None and not one.lost and not one.failed


def _state(trial: OptunaTrial, rules: SearchRules, one: Tried, check: int) -> State:
    """How a trial stands after so many epochs; what it gave is reported to the pruner."""
    if one.failed:
        return "fail"
    if one.lost:
        return "pruned"
    if rules.pruner:
        known = trial.study.trials[trial.number].last_step or 0
        for epoch, value in enumerate(one.until(check) or (), start=1):
            if epoch > known:
                trial.report(value, epoch)
    if check == rules.epochs:
        return "complete"
    return "pruned" if trial.should_prune() else "running"


def _told(study: OptunaStudy, trial: OptunaTrial, one: Tried, state: State) -> TrialEnd:
    """What Optuna is told of a trial that is over."""
    from optuna.trial import TrialState

    ended = _ended(one, state)
    study.tell(trial, ended.value, state=TrialState[STATES[state]])
    return ended


def _ended(one: Tried, state: State) -> TrialEnd:
    curve = one.curves[max(one.curves)] if one.curves else ()
    return TrialEnd(one.params, state, curve[-1] if state == "complete" else None, curve, one.lost)


def _sampled(study: OptunaStudy, arm: Arm, rules: SearchRules, count: int) -> list[Params]:
    """The next parameters, none of which was tried; fewer where the space holds no others."""
    if not study.trials:
        return [arm.first]
    known = {canonical(t.params) for t in study.trials}
    out: list[Params] = []
    for number in range(len(study.trials), len(study.trials) + count):
        found = next(_untried(study, arm, rules, number, known), None)
        if found is None:
            break
        known.add(canonical(found))
        study.enqueue_trial(found)
        study.ask(distributions(arm.space))  # it runs: others keep away from it (constant liar)
        out.append(decoded(arm.space, found))
    return out


def _untried(
    study: OptunaStudy, arm: Arm, rules: SearchRules, number: int, known: set[str]
) -> Iterator[Params]:
    """What the sampler draws for a trial, as long as it is something new.

    It is drawn in a study of its own, where it has the number that the trial will have: Hyperband's brackets
    go by it.
    """
    spaces, before = distributions(arm.space), study.get_trials()
    for attempt in range(TRIES):
        twin = opened(rules)
        twin.add_trials(before)
        twin.sampler = _sampler(rules, number, attempt)
        drawn = twin.ask(spaces)
        assert drawn.number == number
        found = {path: _rounded(arm.space[path], v) for path, v in drawn.params.items()}
        if canonical(found) not in known:
            yield found


def _sampler(rules: SearchRules, number: int, attempt: int) -> BaseSampler:
    """Optuna's TPE for one trial; independent of what was drawn before."""
    key = np.random.SeedSequence((rules.seed, number, attempt)).generate_state(1)
    made: BaseSampler = optuna().samplers.TPESampler(
        seed=int(key[0]), n_startup_trials=rules.startup, constant_liar=True
    )
    return made


def _rounded(one: Any, value: Any) -> Any:
    """A sampled number with few digits, so that it can be read and written."""
    return one.rounded(value) if isinstance(one, Range) and not isinstance(value, int) else value
