"""What the gallery's sliders can be set to, by the name and the type of a schedule's option."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

from preheat.core.lengths import Length, snug
from preheat.schedules.curves import CURVES
from preheat.schedules.shapes.tabulated import BETWEEN

Values = tuple[Any, ...]

PERCENT = (0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, *range(5, 101))
LEVELS = (0, 1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.02, 0.03, 0.05, *(i / 20 for i in range(2, 21)))
POWERS = (0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 2.5, 3, 4, 6, 8)
HEIGHTS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)
# by the option's name; lengths in percent of the run, those of `upper` in runs
VALUES: dict[str, Values] = {
    "warmup_curve": (*CURVES, "constant"),
    "curve": tuple(CURVES),
    "cooldown_curve": tuple(CURVES),
    "between": BETWEEN,
    **dict.fromkeys(("power", "warmup_power", "cooldown_power"), POWERS),
    **dict.fromkeys(("peak_mult", "cycle_mult"), HEIGHTS),
    **dict.fromkeys(("period", "timescale", "rise", "fall", "onset"), PERCENT[1:]),
    "upper": (0.5, 0.8, 1, 1.1, 1.25, 1.5, 2, 2.5, 4, 10, 100),
    "gamma": (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9),
    "mult": (0.8, 1, 1.25, 1.5, 2, 3),
    "step_mult": (0.99, 0.995, 0.998, 0.999, 0.9995, 1),
    "beta2": (0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9995, 0.9999),
    "begin": (-10, -7, -5, -4, -3, -2, -1, 0),
    "end": (-1, 0, 1, 2, 3, 4, 5, 7, 10),
    "beta": (-3, -1, -0.5, 0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99),
    "k": (0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6),
    "exponent": (0.1, 0.25, 0.4, 0.5, 0.51, 0.6, 0.75, 1, 1.5),
    "milestones": ((), (50, 75), (30, 60, 90), (25, 50, 75), (80,)),
    "values": ((1, 0.5, 0.25, 0.1), (1, 0.8, 0.8, 0.3, 0.1, 0), (0.2, 0.6, 1, 0.6, 0.3)),
    "places": ((5, 30, 100), (0, 40, 80), (10, 20, 60)),
    "factors": ((1, 0.6, 0), (1, 0.2, 0.1), (0.1, 1, 0.2)),
}
# where a card opens what has no default, or, of a warmup, the default 0
OPENING = {"warmup": 5, "period": 25, "timescale": 20, "rise": 10, "onset": 20, "upper": 2, "k": 2}
# levels that an exponential decay can't end at
ABOVE_0 = {("exponential", "final"), ("exp_hyperbolic", "infimum")}
UNSEEN = ("at", "every", "warmup_at")  # the curve is the same
SHAPE = ("warmup_curve", "warmup_start", "warmup_power")
KINDS = {"Length": "share", "Level": "number", "float": "number", "str": "text", "bool": "flag"}
KINDS |= {"tuple[Length, ...]": "shares", "tuple[float, ...]": "numbers"}


class Option(NamedTuple):
    """An option of a schedule on its card.

    kind: share (percent of the run), runs (steps, written in lengths of the run), number, text, flag, shares,
    numbers; values: what it can be set to; default: None also where there is none; open: where it stands at
    first; curve: of a power, the option that says whether there is one; folded: whether it stands among the
    less used.
    """

    name: str
    kind: str
    values: Values
    default: Any
    open: Any
    required: bool
    curve: str | None
    folded: bool

    def json(self) -> dict[str, Any]:
        """The fields, without those that say nothing."""
        return {k: v for k, v in self._asdict().items() if v not in (None, False) or k in ("default", "open")}


def options(schedule: type) -> list[Option]:
    """The options that have a control, in the order of a call; those of the warmup's shape last."""
    assert dataclasses.is_dataclass(schedule), schedule
    fields = [f for f in dataclasses.fields(schedule) if f.name not in UNSEEN]
    names = {f.name for f in fields}
    found = [_option(f, names, above=(schedule.__name__, f.name) in ABOVE_0) for f in fields]
    return sorted(found, key=lambda o: o.folded)


def _option(field: dataclasses.Field[Any], names: set[str], *, above: bool) -> Option:
    kind = "runs" if field.name == "upper" else KINDS[str(field.type).removesuffix(" | None")]
    required = field.default is dataclasses.MISSING
    default = None if required else _plain(field.default)
    curve = field.name.replace("power", "curve")
    paired = curve if curve != field.name and curve in names else None
    values = _values(field.name, kind, default, required=required, paired=bool(paired))
    values = values[1:] if above else values
    start = default
    if required or (field.name == "warmup" and not default):
        start = OPENING.get(field.name, values[0])
    if paired:
        start = 1
    return Option(field.name, kind, values, default, start, required, paired, field.name in SHAPE)


def _values(name: str, kind: str, default: Any, *, required: bool, paired: bool) -> Values:
    """What the option can be set to, with its default in its place."""
    usual = {"share": PERCENT, "flag": (False, True), "number": LEVELS}
    values = VALUES[name] if name in VALUES else usual[kind]
    if required or paired or default in values:
        return values
    return (None, *values) if default is None else tuple(sorted((*values, default)))


def _plain(default: Any) -> Any:
    """A default as the page writes it: a length in percent."""
    if isinstance(default, Length):
        assert default.unit == "fraction" or not default, default
        return snug(default.value * 100)
    return default
