"""Two schedules, update by update: the one measure of what the updates get."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Unpack

import numpy as np

from preheat.schedules.measures.curve import SAME, Known
from preheat.schedules.rule import Rule

_ROWS = 12  # of a table of differences


class Pair(NamedTuple):
    """The factors of update `step` under both schedules."""

    step: int
    a: float
    b: float


@dataclass(frozen=True)
class Difference:
    """Two schedules on one run, update by update.

    largest: the greatest |b - a|, at update `largest_step`; l1: the sum of |b - a| over the updates; budget:
    the exact budget of b less that of a; first_step: the first update that differs (by more than 1e-12), None
    if none does.
    """

    total: int
    largest: float
    largest_step: int
    l1: float
    budget: float
    first_step: int | None
    rows: tuple[Pair, ...]

    def json(self) -> dict[str, Any]:
        """The fields; rows as mappings."""
        return {**asdict(self), "rows": [r._asdict() for r in self.rows]}


def difference(a: Rule, b: Rule, total: int, **known: Unpack[Known]) -> Difference:
    """Where, how far and from when on two schedules differ on a run of `total` steps; `b` against `a`.

    The rows are the updates at which something begins or ends, the first that differs and the one that
    differs most.

    >>> from preheat.schedules import cosine, linear
    >>> d = difference(linear(at="left"), cosine(at="left"), 4)
    >>> round(d.largest, 6), d.largest_step, d.first_step, abs(d.budget) < 1e-12
    (0.103553, 1, 1, True)
    """
    one, other = (s.resolve(total, **known) for s in (a, b))
    rates = one.table(), other.table()
    gap = np.abs(rates[1] - rates[0])
    apart = np.flatnonzero(gap > SAME)
    most = int(np.argmax(gap >= gap.max() - SAME))  # the first of equals
    must = {0, one.total - 1, most, *apart[:1].tolist()}
    marks = sorted({min(int(b.step), one.total - 1) for run in (one, other) for b in run.boundaries()} - must)
    room = _ROWS - len(must)
    if len(marks) > room:
        marks = [marks[i] for i in np.linspace(0, len(marks) - 1, room).round().astype(int).tolist()]
    return Difference(
        total=one.total,
        largest=float(gap[most]),
        largest_step=most,
        l1=float(gap.sum()),
        budget=(other.mean() - one.mean()) * one.total,
        first_step=int(apart[0]) if apart.size else None,
        rows=tuple(Pair(k, float(rates[0][k]), float(rates[1][k])) for k in sorted({*must, *marks})),
    )
