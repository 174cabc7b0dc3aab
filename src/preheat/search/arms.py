"""Arms of a search: each a setting with a space of its own, searched apart from the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from preheat.core.canon import canonical, plain
from preheat.core.errors import UserError, unknown
from preheat.core.grid import Setting, get, label, merged, put
from preheat.core.space import Among, Range, space
from preheat.core.spec import Spec, as_spec
from preheat.core.study import Study

KEYS = ("name", "settings", "space")
LENGTH, STAGE = "length", "search"


@dataclass(frozen=True)
class Arm:
    """What is searched by itself. name: what it is called; settings: of all its runs, nested as in a run's
    declaration; space: what is tried, by path."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    space: Mapping[str, Range | Among] = field(default_factory=dict)

    def setting(self, params: Mapping[str, Any]) -> Setting:
        """The setting of a trial. params: {path: value}."""
        made = merged({}, self.settings)
        for path, value in params.items():
            put(made, path, value)
        return made

    @property
    def first(self) -> dict[str, Any]:
        """The parameters that are tried first."""
        return {path: one.first for path, one in self.space.items()}

    def json(self) -> dict[str, Any]:
        """As a study file says it."""
        inside = {path: plain(one.json()) for path, one in self.space.items()}
        return {"name": self.name, "settings": plain(self.settings), "space": inside}

    def params(self, axes: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters of a trial from its place in the study."""
        return {path: _read(one, axes[path]) for path, one in self.space.items()}

    def has(self, axes: Mapping[str, Any], fixed: Mapping[str, Any]) -> bool:
        """Whether a run at this place of a study is of one of its trials: its own settings, as far as the
        study tells them apart, and values for all that it tries. A trial that may be stopped has runs of
        several lengths."""
        whole = merged(fixed, self.settings)
        free = {*self.space, *({LENGTH} - {*self.settings})}
        told = {path: value for path, value in axes.items() if path not in free}
        mine = all(label(value) == label(get(whole, path)) for path, value in told.items())
        return mine and all(path in axes and _holds(one, axes[path]) for path, one in self.space.items())


def _holds(one: Range | Among, value: Any) -> bool:
    """Whether an axis' value is one that is tried."""
    return one.holds(value) if isinstance(one, Range) else _index(one, value) is not None


def _index(one: Among, value: Any) -> int | None:
    """The number of an axis' value on a list, where lengths and named things are spelt out."""
    same = [i for i, v in enumerate(one.values) if canonical(plain(v)) == canonical(plain(value))]
    alike = same or [i for i, v in enumerate(one.values) if label(plain(v)) == label(value)]
    return alike[0] if alike else None


def _read(one: Range | Among, value: Any) -> Any:
    """A value of a space from an axis, where lengths and named things are spelt out."""
    if isinstance(one, Range):
        return int(value) if one.whole else float(value)
    at = _index(one, value)
    return value if at is None else one.values[at]


def arms(data: Iterable[Any]) -> tuple[Arm, ...]:
    """Arms from their JSON: [{name: ..., settings: {...}, space: {path: ...}}].

    >>> arms([{"settings": {"schedule": "cosine"}, "space": {"peak_lr": [0.1, 0.2]}}])[0].name
    'cosine'

    Errors: UserError for unknown keys, two arms of one name, and an arm with nothing to try.
    """
    made: dict[str, Arm] = {}
    for one in data:
        arm = one if isinstance(one, Arm) else _arm(one)
        if arm.name in made:
            raise UserError(
                f"each arm of a search has a name of its own, got {arm.name!r} twice: name: other"
            )
        made[arm.name] = arm
    if not made:
        raise UserError(
            "a search needs at least one arm, got []: write spaces: [{settings: {schedule: cosine}, space: "
            "{peak_lr: {low: 1e-4, high: 0.05, log: true}}}]"
        )
    return tuple(made.values())


def _arm(one: Any) -> Arm:
    if not isinstance(one, Mapping):
        raise UserError(f"an arm of a search is {{settings: ..., space: ...}}, got {one!r}")
    for key in one:
        if key not in KEYS:
            raise unknown("key of an arm of a search", key, KEYS)
    settings, tried = one.get("settings") or {}, space(one.get("space") or {})
    name = str(one.get("name") or label(settings.get("schedule") or "") or "all")
    if not tried:
        raise UserError(
            f"arm {name!r} of a search has nothing to try: write space: {{peak_lr: {{low: 1e-4, high: 0.05, "
            "log: true}}"
        )
    return Arm(name, settings, tried)


def searching(study: Study) -> Spec | None:
    """The stage of a study that searches; None where it has none."""
    said = [as_spec(one, "stage") for one in study.stages]
    return next((one for one in said if one.name == STAGE), None)


def told_apart(some: Sequence[Arm], study: Study, places: Iterable[Mapping[str, Any]]) -> None:
    """Errors: UserError where a path that is searched is no axis of the study, or a run is of two arms."""
    known = set(study.axes)
    places = list(places)
    for axes in places:
        both = [arm.name for arm in some if arm.has(axes, study.fixed)]
        if len(both) > 1:
            raise UserError(
                f"arms of a search must differ in a setting that the study tells apart, got {both[0]!r} and "
                f"{both[1]!r} alike: give them settings of their own, and add their path to scientific"
            )
    for arm in some:
        for path in arm.space:
            if path not in known:
                raise UserError(
                    f"a search tries {path} of arm {arm.name!r}, which the study does not tell apart: add "
                    f"{path} to nuisance"
                )
        if not any(arm.has(axes, study.fixed) for axes in places):
            raise UserError(
                "the grid of a search holds the first trial of each arm, within its space, got none of arm "
                f"{arm.name!r}: add a point with its settings and {arm.first}"
            )
