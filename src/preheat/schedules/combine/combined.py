"""What schedules made of schedules share. An abstract base; every combination is final."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, ClassVar

from preheat.core.between import as_schedule
from preheat.core.errors import UserError
from preheat.schedules.horizon import Horizon
from preheat.schedules.named import tidied
from preheat.schedules.rule import Rule


class Combined(Rule):
    """A frozen dataclass whose fields of type `Rule` are its parts: sampled as they are, perhaps below 1."""

    peaks: ClassVar[bool] = False
    shared: ClassVar[tuple[str, ...]] = ("at", "every")  # what the parts must agree in

    def __post_init__(self) -> None:
        for f in fields(self):  # type: ignore[arg-type]
            given = getattr(self, f.name)
            tidy = as_rule(given) if f.type == "Rule" else tidied(f.name, given, str(f.type))
            object.__setattr__(self, f.name, tidy)
        first, *others = self._parts()
        for name in self.shared:
            for other in others:
                one, two = getattr(first, name), getattr(other, name)
                if one != two:
                    got = f"got {one!r} and {two!r}: write {name}={one!r} in both"
                    raise UserError(f"both parts must agree in {name}, {got}")

    def _parts(self) -> list[Rule]:
        return [getattr(self, f.name) for f in fields(self) if f.type == "Rule"]  # type: ignore[arg-type]

    @property
    def at(self) -> str:  # type: ignore[override]
        """Where an update takes its factor."""
        return self._parts()[0].at

    @property
    def every(self) -> str:  # type: ignore[override]
        """How often the factor changes."""
        return self._parts()[0].every

    def splits_epoch(self, run: Horizon, place: float) -> bool:
        """Whether `place` lies inside an epoch whose factor is held, so that nothing may begin there."""
        return self.every == "epoch" and run.per_epoch is not None and place % run.per_epoch != 0


def as_rule(value: Any) -> Rule:
    """A schedule from itself, its name, or its JSON; only one of preheat's own kind can be combined."""
    made = as_schedule(value)
    if not isinstance(made, Rule):
        subclass = "subclass preheat.schedules.rule.Rule"
        raise UserError(f"only schedules that have segments can be combined, got {value!r}: {subclass}")
    return made
