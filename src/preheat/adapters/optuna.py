"""Schedules in a search of your own with Optuna: `suggest_schedule(trial)`, `suggest_warmup(trial)`.

    def objective(trial):
        schedule = suggest_schedule(trial, ["cosine", "wsd"])
        peak = trial.suggest_float("peak", 1e-4, 5e-2, log=True)
        ...

What is tried is what each schedule says (`SCHEDULES[name].space`). `distribution`, `suggested` and `choice`
are for any `Range` or `Among`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from preheat.core.canon import canonical
from preheat.core.errors import UserError
from preheat.core.lengths import Length, length
from preheat.core.protocols import Schedule
from preheat.core.registry import SCHEDULES
from preheat.core.space import Among, Range, Values
from preheat.core.spec import Spec, as_spec, build
from preheat.schedules.named import Named

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial

COMMON = ("linear", "cosine", "wsd")
_PLAIN = (bool, int, float, str, type(None))
# two runs, on which whatever depends on the run's length differs
_SHORT, _LONG = (2, 3), (1000, 124)


def suggest_schedule(
    trial: BaseTrial,
    names: Any = COMMON,
    *,
    epochs: int | None = None,
    per_epoch: int | None = None,
    prefix: str = "",
) -> Schedule:
    """A schedule whose name and options the trial suggests.

    names: a name, or {name: ..., option: value} to keep an option as it is given (a `Range` or an `Among` is
    tried), or a list of these, of which the trial suggests one as the parameter `schedule`. The parameters of
    its options are `NAME.option`, all with `prefix` in front. epochs, per_epoch: the run's epochs and the
    updates in one, where what is tried depends on them. Errors: UserError for an unknown name or option, and
    where the length is needed and not given.

    >>> from optuna.trial import FixedTrial
    >>> print(suggest_schedule(FixedTrial({"cosine.warmup": 0.1, "cosine.final": 0.0}), "cosine"))
    cosine(warmup=10%)
    >>> trial = FixedTrial({"schedule": "EH", "EH.infimum": 1e-5, "EH.upper": 300})
    >>> print(suggest_schedule(trial, ["C", "EH"], epochs=50, per_epoch=124))
    EH(infimum=1e-05, upper=300)
    """
    for name, value in (("epochs", epochs), ("per_epoch", per_epoch)):
        if value is not None and (type(value) is not int or value < 1):
            raise UserError(f"{name} must be a whole number above 0, got {value!r}: write {name}=50")
    given = [names] if isinstance(names, str | Mapping | Spec) else list(names)
    specs = [as_spec(one, "schedule") for one in given]
    if not specs:
        raise UserError("suggest_schedule needs the names of schedules, got []: write ['cosine', 'wsd']")
    alike = [s.name for s in specs]
    if twice := [str(s) for s in specs if [str(t) for t in specs].count(str(s)) > 1]:
        raise UserError(f"each schedule is named once, got {twice[0]!r} twice: leave one out")
    labels = [s.name if alike.count(s.name) == 1 else str(s) for s in specs]
    label = labels[0] if len(specs) == 1 else suggested(trial, f"{prefix}schedule", Among(tuple(labels)))
    one = specs[labels.index(label)]
    tried = _space(one, epochs, per_epoch)
    values = {key: suggested(trial, f"{prefix}{label}.{key}", values) for key, values in tried.items()}
    made: Schedule = build("schedule", Spec(one.name, {**one.options, **values}))
    return made


def _space(one: Spec, epochs: int | None, per_epoch: int | None) -> Values:
    """What is tried of a schedule: what it says, but for options that are given, and ranges among these."""
    kind = SCHEDULES[one.name]
    # a function that is registered has none
    said: Callable[[int, int], Values] = getattr(kind, "space", lambda epochs, per_epoch: {})
    own = {key: v for key, v in one.options.items() if isinstance(v, Range | Among)}
    if epochs is not None and per_epoch is not None:
        found = said(epochs, per_epoch)
    else:
        found = said(*_SHORT)
        if any(v != said(*_LONG).get(key) for key, v in found.items() if key not in one.options):
            raise UserError(
                f"what is tried of {one.name} depends on the run's length, got epochs {epochs} and per_epoch "
                f"{per_epoch}: give epochs=50, per_epoch=124"
            )
    return {**{key: v for key, v in found.items() if key not in one.options}, **own}


def suggest_warmup(trial: BaseTrial, values: Range | Among | None = None, *, prefix: str = "") -> Length:
    """The length of a warmup, which any named schedule takes, as the parameter `warmup`.

    values: what is tried, none of the run to a fifth where it is left out. A float is a fraction of the run,
    a whole number steps, a text such as `"5ep"` what it says.

    >>> from optuna.trial import FixedTrial
    >>> print(suggest_warmup(FixedTrial({"warmup": 0.05})))
    5%
    >>> print(suggest_warmup(FixedTrial({"warmup": "5ep"}), Among(("1ep", "5ep"))))
    5ep
    """
    tried = Named.space(1, 1)["warmup"] if values is None else values
    return length(suggested(trial, f"{prefix}warmup", tried))


def suggested(trial: BaseTrial, name: str, one: Range | Among) -> Any:
    """The value of a range or a list that the trial suggests as the parameter `name`.

    >>> from optuna.trial import FixedTrial
    >>> suggested(FixedTrial({"upper": 300}), "upper", Range(200, 400, step=50))
    300
    >>> suggested(FixedTrial({"betas": "[0.9,0.95]"}), "betas", Among(([0.9, 0.999], [0.9, 0.95])))
    [0.9, 0.95]
    """
    if isinstance(one, Among):
        chosen = trial.suggest_categorical(name, _choices(one))
        return one.values[_choices(one).index(chosen)]
    if one.whole:
        return trial.suggest_int(name, int(one.low), int(_high(one)), step=int(one.step or 1))
    return trial.suggest_float(name, float(one.low), _high(one), step=one.step, log=one.log)


def distribution(one: Range | Among) -> BaseDistribution:
    """The range or list as Optuna has it.

    A float or whole range, or choices: the values where all are numbers, texts, true, false or null and no
    two are equal, else their JSON, for a storage keeps nothing else. Errors: UserError without Optuna.

    >>> distribution(Range(1e-4, 0.05, log=True))
    FloatDistribution(high=0.05, log=True, low=0.0001, step=None)
    >>> distribution(Range(200, 400, step=50))
    IntDistribution(high=400, log=False, low=200, step=50)
    >>> distribution(Among(([0.9, 0.999], [0.9, 0.95])))
    CategoricalDistribution(choices=('[0.9,0.999]', '[0.9,0.95]'))
    """
    try:
        from optuna import distributions
    except ImportError as error:
        raise UserError(f'a search needs Optuna, got {error}: pip install "preheat[search]"') from error
    if isinstance(one, Among):
        return distributions.CategoricalDistribution(_choices(one))
    if one.whole:
        return distributions.IntDistribution(int(one.low), int(_high(one)), step=int(one.step or 1))
    return distributions.FloatDistribution(float(one.low), _high(one), log=one.log, step=one.step)


def choice(one: Range | Among, value: Any) -> Any:
    """A value as `distribution` has it, for `study.enqueue_trial` and `optuna.trial.create_trial`.

    Errors: UserError for a value that is not on the list.

    >>> choice(Among(([0.9, 0.999], [0.9, 0.95])), (0.9, 0.95)), choice(Range(200, 400, step=50), 300)
    ('[0.9,0.95]', 300)
    """
    if isinstance(one, Range):
        return int(value) if one.whole else float(value)
    known = [canonical(v) for v in one.values]
    if canonical(value) not in known:
        raise UserError(f"a value must be one of {', '.join(known)}, got {value!r}: write {known[0]}")
    return _choices(one)[known.index(canonical(value))]


def _choices(one: Among) -> Sequence[Any]:
    """The values where Optuna can keep them and tell them apart (1 and true are one to it), else their
    JSON."""
    kept = all(isinstance(v, _PLAIN) for v in one.values) and len(set(one.values)) == len(one.values)
    return one.values if kept else tuple(map(canonical, one.values))


def _high(one: Range) -> float:
    """The highest value: with a step the last one that is reached, on which Optuna insists."""
    if one.step is None:
        return float(one.high)
    low, high, step = (Decimal(str(x)) for x in (one.low, one.high, one.step))
    return float(low + (high - low) // step * step)
