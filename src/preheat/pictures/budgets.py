"""Schedules on runs of several lengths: the rates, how fast they fall, and when they are spent.

The lengths of a schedule that depend on the run are resolved anew for each. Data apart from drawing, as in
`plot`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from preheat.core.errors import UserError
from preheat.pictures.panels import legend_above, line_style, panels
from preheat.pictures.plot import AXES, AxisUnit, Plotted, schedule_data
from preheat.schedules.curves import Array
from preheat.schedules.measures.budget import BudgetCurve, budget_curve
from preheat.schedules.measures.curve import Known
from preheat.schedules.measures.decay_rate import decay_rate, initial_slope
from preheat.schedules.rule import Rule

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FEW = 80  # points of a line that is straight, or nearly


class View(NamedTuple):
    """How rates are shown: steps in an epoch, peak rate, unit of the time axis, whether the rate axis is
    logarithmic, whether guides are drawn."""

    per_epoch: float | None = None
    peak: float = 1.0
    unit: AxisUnit = "steps"
    log: bool = False
    guides: bool = False


class Guides(NamedTuple):
    """Beside a schedule's line: where its decay begins, the line with the slope that it has there, and its
    asymptote, None where it has none. x, tangent, asymptote: [n]."""

    x: Array
    tangent: Array
    asymptote: Array | None


def budgets_data(
    schedules: Mapping[str, Rule], totals: Sequence[int], *, view: View | None = None
) -> dict[str, dict[int, Plotted]]:
    """{label: {length in steps: what is drawn}}, lengths rising.

    >>> from preheat.schedules import linear
    >>> lines = budgets_data({"a": linear(warmup="50%")}, [4, 8])["a"]
    >>> [(n, line.marks[1].x) for n, line in lines.items()]
    [(4, 2.0), (8, 4.0)]
    """
    how = view or View()
    made: dict[str, dict[int, Plotted]] = {label: {} for label in schedules}
    for label, one in schedules.items():
        for total in sorted({*totals}):
            try:
                made[label][total] = _line(label, one, total=total, view=how)
            except UserError as error:
                raise UserError(f"{label} on {total} steps: {error}") from error
    return made


def _line(label: str, one: Rule, *, total: int, view: View) -> Plotted:
    return schedule_data({label: one}, total=total, per_epoch=view.per_epoch, peak=view.peak, unit=view.unit)[
        label
    ]


def guides(schedule: Rule, total: int, view: View) -> Guides:
    """The initial slope and the asymptote, in the units of the view; y is cut below 0.

    On a logarithmic axis the tangent is that of the logarithm, so that both are straight there.

    >>> from preheat.schedules import hyperbolic
    >>> found = guides(hyperbolic(upper=10, infimum=0), 5, View())
    >>> found.tangent[[0, -1]].round(6).tolist(), found.asymptote[[0, -1]].round(6).tolist()
    ([1.0, 0.42265], [1.133975, 0.633975])
    """
    run = schedule.resolve(total, view.per_epoch, peak=view.peak)
    begin, factor, slope = initial_slope(run)
    t = np.linspace(begin, total, _FEW)
    straight = factor + slope * (t - begin)
    tangent = factor * np.exp(slope / factor * (t - begin)) if view.log and factor > 0 else straight
    found = [s.form.asymptote(t, s.span) for s in run.segments if s.span.begin == begin]
    line = found[0] if found else None
    scale = {"steps": 1.0, "epochs": view.per_epoch or 1.0, "progress": float(total)}[view.unit]
    least = 0.0 if not view.log else 1e-12
    cut = [None if y is None else view.peak * np.where(y > least, y, np.nan) for y in (tangent, line)]
    assert cut[0] is not None
    return Guides(t / scale, cut[0], cut[1])


def budgets_figure(
    schedules: Mapping[str, Rule], totals: Sequence[int], *, view: View | None = None
) -> Figure:
    """A panel for each schedule, in it a line for each length.

    With guides: dotted the slope at the beginning of the decay, dashed and thin the asymptote, where the
    schedule has one.
    """
    how = view or View()
    if not schedules:
        raise UserError("a picture needs at least one schedule, got none: write {'cosine': cosine()}")
    data = budgets_data(schedules, totals, view=how)
    fig, axes = panels(list(data))
    for place, (label, lines) in zip(axes, data.items(), strict=True):
        for i, (total, line) in enumerate(lines.items()):
            place.plot(line.x, line.y, **line_style(i), label=_length(total, how), gid=f"line-{i}")
            if how.guides:
                _guide(place, guides(schedules[label], total, how), i=i)
    low = min(float(line.y[line.y > 0].min()) for lines in data.values() for line in lines.values())
    if how.log:
        axes[0].set_yscale("log")
        axes[0].set_ylim(max(low, 1e-4 * how.peak) / 1.6, how.peak * 1.6)
    else:
        axes[0].set_ylim(-0.03 * how.peak, (1.3 if how.guides else 1.08) * how.peak)
    fig.supxlabel(AXES[how.unit], fontsize=10)
    fig.supylabel("factor of the peak rate" if how.peak == 1 else "learning rate", fontsize=10)
    legend_above(fig, axes[0], len(data[next(iter(data))]))
    return fig


def _length(total: int, view: View) -> str:
    if view.unit == "epochs" and view.per_epoch:
        return f"{total / view.per_epoch:g} epochs"
    return f"{total} steps"


def _guide(place: Axes, found: Guides, *, i: int) -> None:
    colour = line_style(i)["color"]
    place.plot(found.x, found.tangent, color=colour, linestyle=":", linewidth=1.1, gid=f"slope-{i}")
    if found.asymptote is not None:
        look = {"color": colour, "linestyle": (0, (6, 3)), "linewidth": 0.7}
        place.plot(found.x, found.asymptote, **look, gid=f"asymptote-{i}")


def decay_figure(schedules: Mapping[str, Rule], total: int, *, view: View | None = None) -> Figure:
    """Two panels, in each a line for each schedule: the rate, and how fast it falls, on a log axis.

    Where a schedule rises or stands its fall has no logarithm, so that its line is interrupted.
    """
    how = view or View()
    known: Known = {"per_epoch": how.per_epoch, "peak": how.peak}
    lines = schedule_data(schedules, total=total, per_epoch=how.per_epoch, peak=how.peak)
    fig, (left, right) = panels(["rate", "fall of the rate in a step"], share_y=False)
    for i, (label, one) in enumerate(schedules.items()):
        left.plot(lines[label].x, lines[label].y, **line_style(i), label=label, gid=f"line-{i}")
        fall = decay_rate(one, total, **known)
        rate = how.peak * np.where(fall.rate > 1e-12, fall.rate, np.nan)
        right.plot(fall.t, rate, **line_style(i), gid=f"fall-{i}")
    right.set_yscale("log")
    fig.supxlabel(AXES["steps"], fontsize=10)
    legend_above(fig, left, len(schedules))
    return fig


def spent_data(
    schedules: Mapping[str, Rule], totals: Sequence[int], *, view: View | None = None
) -> dict[str, dict[int, BudgetCurve]]:
    """{label: {length in steps: how its budget is spent}}; a budget is the integral of the factor."""
    how = view or View()
    known: Known = {"per_epoch": how.per_epoch, "peak": how.peak}
    return {
        label: {n: budget_curve(one, n, **known) for n in sorted({*totals})}
        for label, one in schedules.items()
    }


def spent_figure(schedules: Mapping[str, Rule], totals: Sequence[int], *, view: View | None = None) -> Figure:
    """A panel for each schedule: the part of its budget that is spent, against progress, a line a length.

    The legend of a panel says each length's budget, in steps at the peak rate.
    """
    data = spent_data(schedules, totals, view=view)
    fig, axes = panels(list(data))
    for place, lines in zip(axes, data.values(), strict=True):
        for i, (total, curve) in enumerate(lines.items()):
            name = f"{total} steps: {curve.budget:.5g}"
            place.plot(curve.progress, curve.share, **line_style(i), label=name, gid=f"line-{i}")
        place.legend(loc="lower right", fontsize=7, frameon=False, title="budget", title_fontsize=7)
    fig.supxlabel(AXES["progress"], fontsize=10)
    fig.supylabel("part of the budget that is spent", fontsize=10)
    return fig
