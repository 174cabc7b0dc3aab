"""Metrics: which way is better, and how a value of one is written.

A task's file registers its own with one statement, so that studies, reports and axes know it:

    register_metric(Metric("perplexity", goal="min"))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from preheat.core.errors import UserError, unknown

Goal = Literal["max", "min"]
SPLITS = ("train", "validation", "test")  # a series is called SPLIT_METRIC


@dataclass(frozen=True)
class Metric:
    """goal: whether more or less of it is better. A value is written times `scale`, in the format `digits`,
    with `unit`; a difference of two in steps of `step` (points), one is a `one_step` (point; as `step` where
    left out). worst: the value of a model that learnt nothing, where that holds for every task. ends: what it
    can't go below and above, None for no end."""

    name: str
    goal: Goal = "max"
    scale: float = 1.0
    unit: str = ""
    step: str = ""
    one_step: str = ""
    digits: str = ".3g"
    worst: float | None = None
    ends: tuple[float | None, float | None] = (None, None)

    def __post_init__(self) -> None:
        if self.goal not in ("max", "min"):
            raise unknown("goal", self.goal, ("max", "min"))
        if not self.scale > 0:
            raise UserError(f"scale of metric {self.name!r} must be above 0, got {self.scale!r}")
        try:
            format(0.5, self.digits)
        except ValueError as error:
            raise UserError(
                f"digits of metric {self.name!r} must be a number's format, got {self.digits!r}: write "
                ".3g or .1f"
            ) from error


_KNOWN: dict[str, Metric] = {}


def register_metric(one: Metric) -> Metric:
    """Make a metric known by its name. Errors: UserError where another one has that name."""
    if _KNOWN.setdefault(one.name, one) != one:
        raise UserError(f"metric {one.name!r} is registered twice, as {_KNOWN[one.name]} and as {one}")
    return one


def metric(name: str) -> Metric:
    """The metric of a name or of a series; one that nobody registered is written as it is, and more is
    better.

    >>> metric("validation_accuracy").unit, metric("train_loss").goal, metric("my_score").goal
    ('%', 'min', 'max')
    """
    split, _, rest = name.partition("_")
    own = rest if name not in _KNOWN and rest and split in SPLITS else name
    return _KNOWN.get(own) or Metric(own)


def share(name: str, goal: Goal = "max", *, worst: float | None = None) -> Metric:
    """A share of the examples: it reads in percent, and a difference of two in points."""
    return Metric(
        *(name, goal, 100.0, "%", "points", "point"),
        digits=".1f",
        worst=worst,
        ends=(0.0, 1.0),
    )


for _one in (
    share("accuracy", worst=0.0),
    share("error_rate", "min"),
    share("recall"),
    share("precision"),
    share("f1"),
    Metric("loss", "min"),
):
    register_metric(_one)
