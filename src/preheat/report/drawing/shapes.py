"""What a figure shows, as data: seven kinds are enough for the whole report.

Lines, small multiples of lines, dots with intervals, a heat map, a matrix of members, meshes, and bars.
All numbers are already in the unit that the axis names.
"""

from __future__ import annotations

from dataclasses import dataclass

Numbers = tuple[float, ...]


@dataclass(frozen=True)
class Line:
    """One line; `lo` and `hi` are empty or a band. `index` is the treatment's number, which sets colour and
    mark; below 0 for what is no treatment."""

    name: str
    index: int
    x: Numbers
    y: Numbers
    lo: Numbers = ()
    hi: Numbers = ()


@dataclass(frozen=True)
class Lines:
    """Lines over one pair of axes. ticks: where x is marked, empty for automatic. log: 'x', 'y', 'xy' or ''.

    bottom: where y begins, None for automatic. zero: the line of no difference, None where y is none. ends:
    what y can't go beyond, None for no end.
    """

    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    title: str = ""
    ticks: Numbers = ()
    log: str = ""
    markers: bool = False
    bottom: float | None = None
    zero: float | None = None
    ends: tuple[float | None, float | None] = (None, None)


@dataclass(frozen=True)
class Facets:
    """Small multiples that share their axes and one legend."""

    parts: tuple[Lines, ...]


@dataclass(frozen=True)
class Dot:
    """A mean and its interval in a row. index: as a line's. filled: an effect is shown; thick: one of the
    size that matters is excluded.

    arrow: the sides to which the truth may lie farther by an unknown amount, "left", "right", "both" or "".
    """

    row: str
    name: str
    index: int
    mean: float
    lo: float | None
    hi: float | None
    n: int
    filled: bool = False
    arrow: str = ""
    thick: bool = False


@dataclass(frozen=True)
class Dots:
    """Dots in rows. zero: the line of no difference; band: half width of what does not matter.

    log: x is a factor; positive: x can't be below zero; span: the ends of x, None for automatic.
    """

    rows: tuple[str, ...]
    row_label: str
    x_label: str
    dots: tuple[Dot, ...]
    zero: float | None = 0.0
    band: float | None = None
    log: bool = False
    positive: bool = False
    span: tuple[float, float] | None = None

    @property
    def cut(self) -> bool:
        """Whether an interval goes on beyond the axis."""
        ends = [v for d in self.dots for v in (d.mean, d.lo, d.hi) if v is not None]
        return self.span is not None and not self.span[0] <= min(ends) <= max(ends) <= self.span[1]


@dataclass(frozen=True)
class Heat:
    """A value and a text for every row and column; None where there is no data. low, high: the colours'
    ends, in `unit`.

    centre: the value of no difference, from which two colours grow, None where the values are levels. faded:
    for each cell whether nothing is decided of it. less: less is better, so the colours change sides. told:
    for each cell what the page says of it when it is pointed at or reached by keyboard, "" for nothing.
    marks: for each row a place between columns with the ends of its interval, (at, low, high), 0 the middle
    of the first column; None for a row without one. mark: what the marks are.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    row_label: str
    column_label: str
    bar_label: str
    values: tuple[tuple[float | None, ...], ...]
    texts: tuple[tuple[str, ...], ...]
    low: float
    high: float
    unit: str = ""
    centre: float | None = None
    faded: tuple[tuple[bool, ...], ...] = ()
    less: bool = False
    told: tuple[tuple[str, ...], ...] = ()
    marks: tuple[tuple[float, float, float] | None, ...] = ()
    mark: str = ""


@dataclass(frozen=True)
class Matrix:
    """For each row, the columns that belong to the set and the leader among them; absent: those that were not
    run."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    row_label: str
    column_label: str
    members: tuple[tuple[str, ...], ...]
    leaders: tuple[str, ...]
    absent: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Mesh:
    """Maps side by side with one scale of colours: (title, values by row and x), NaN where there is none.

    log: the colours are on a log scale.
    """

    x: Numbers
    rows: tuple[str, ...]
    parts: tuple[tuple[str, tuple[Numbers, ...]], ...]
    x_label: str
    row_label: str
    bar_label: str
    log: bool = False


@dataclass(frozen=True)
class Bars:
    """Bars in groups, side by side in each, and groups in families: schedules by kind, in each a bar for each
    budget.

    groups [n]; names [m]: of the bars of a group; families: (name, how many groups), in the order of the
    groups, whose sum is n; values [n][m]: None for no bar; lo, hi [n][m]: the ends of intervals, or empty.
    log: y is logarithmic; bottom: where y begins, None for 0, and on a log axis for automatic. index: the
    number of a line for the colour of each name; empty for names that are no treatments.
    """

    groups: tuple[str, ...]
    names: tuple[str, ...]
    families: tuple[tuple[str, int], ...]
    group_label: str
    y_label: str
    values: tuple[tuple[float | None, ...], ...]
    lo: tuple[tuple[float | None, ...], ...] = ()
    hi: tuple[tuple[float | None, ...], ...] = ()
    log: bool = False
    bottom: float | None = None
    index: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        n, m = len(self.groups), len(self.names)
        for rows in (self.values, *(part for part in (self.lo, self.hi) if part)):
            assert len(rows) == n and all(len(row) == m for row in rows), "a value for each bar"
        assert sum(count for _, count in self.families) == n, "each group has a family"
        assert len(self.index) in (0, m), "an index for each name"


Data = Lines | Facets | Dots | Heat | Matrix | Mesh | Bars
