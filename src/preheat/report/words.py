"""Numbers and names in human form: 91.3 %, +0.4 points, p < 0.001."""

from __future__ import annotations

import math
from dataclasses import dataclass

from preheat.analysis.findings import Estimate

MINUS = "\N{MINUS SIGN}"
GAP = "\N{NO-BREAK SPACE}"
NONE = "\N{EN DASH}"
TIMES = "\N{MULTIPLICATION SIGN}"
LONG = {
    "lr": "learning rate",
    "peak_lr": "peak learning rate",
    "per_class": "examples per class",
    "learning_rate_factor": "learning rate (share of the peak)",
    "train_loss": "training loss",
}
PERCENT_METRICS = ("accuracy", "error_rate", "recall", "precision", "f1")


@dataclass(frozen=True)
class Units:
    """How a metric is written: times `scale`, in `unit`; a difference of two in `step`.

    >>> Units.of("accuracy").value(0.9134), Units.of("accuracy").difference(-0.004)
    ('91.3\\xa0%', '−0.4\\xa0points')
    >>> Units.of("loss").value(0.41237)
    '0.412'
    """

    metric: str
    scale: float
    unit: str
    step: str

    @classmethod
    def of(cls, metric: str) -> Units:
        """A metric that is a share of the examples reads in percent, any other as it is."""
        if any(word in metric for word in PERCENT_METRICS):
            return cls(metric, 100.0, "%", "points")
        return cls(metric, 1.0, "", "")

    def number(self, x: float | None, *, sign: bool = False) -> str:
        """The number alone, in the metric's scale."""
        if x is None or not math.isfinite(x):
            return NONE
        scaled = x * self.scale
        return tidy(f"{scaled:{'+' if sign else ''}{'.1f' if self.scale == 100 else '.3g'}}")

    def value(self, x: float | None) -> str:
        """A level of the metric."""
        return _with(self.number(x), self.unit)

    def difference(self, x: float | None, *, sign: bool = True) -> str:
        """A difference between two levels, with its sign."""
        return _with(self.number(x, sign=sign), self.step)

    def margin(self, x: float) -> str:
        """A margin, as short as it is: 1 point, 0.5 points.

        >>> Units.of("accuracy").margin(0.01), Units.of("loss").margin(0.1)
        ('1\\xa0point', '0.1')
        """
        text = plain(x * self.scale)
        return _with(text, self.step[:-1] if text == "1" else self.step)

    def label(self) -> str:
        """An axis label: what, and in which unit."""
        return f"{human(self.metric)} on the test set" + (f" ({self.unit})" if self.unit else "")

    def difference_label(self, other: str) -> str:
        """An axis label for the difference to `other`."""
        return f"{human(self.metric)} minus that of {other}" + (f" ({self.step})" if self.step else "")


def tidy(text: str) -> str:
    """A number's text with a true minus, and no sign before a zero.

    >>> tidy("-1.5"), tidy("-0.0"), tidy("+0.0")
    ('−1.5', '0.0', '0.0')
    """
    try:
        zero = float(text) == 0
    except ValueError:
        zero = False
    return (text.lstrip("+-") if zero else text).replace("-", MINUS)


def _with(number: str, unit: str) -> str:
    return f"{number}{GAP}{unit}" if unit and number != NONE else number


def plain(x: float | None, digits: int = 3) -> str:
    """A number without a unit, `digits` significant."""
    return NONE if x is None or not math.isfinite(x) else tidy(f"{x:.{digits}g}")


def range_text(lo: str, hi: str) -> str:
    """An interval in words.

    >>> range_text("1", "2")
    '1 to 2'
    """
    return f"{lo} to {hi}"


def half(e: Estimate) -> float | None:
    """Half the width of an estimate's interval; None where it has none."""
    return None if e.lo is None or e.hi is None else (e.hi - e.lo) / 2


def p_text(p: float | None) -> str:
    """A p-value as it is cited, with spaces that do not break.

    >>> p_text(0.00001), p_text(0.0432), p_text(None)
    ('p\xa0<\xa00.001', 'p\xa0=\xa00.043', '')
    """
    if p is None or not math.isfinite(p):
        return ""
    return f"p{GAP}<{GAP}0.001" if p < 0.001 else f"p{GAP}={GAP}{p:.2g}"


def count(n: int, noun: str) -> str:
    """A number and its noun.

    >>> count(1, "run"), count(1750, "run")
    ('1 run', '1,750 runs')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def listed(items: tuple[object, ...]) -> str:
    """Items in a sentence.

    >>> listed((1, 2, 3)), listed((1,)), listed(())
    ('1, 2 and 3', '1', 'none')
    """
    texts = [str(i) for i in items]
    return ", ".join(texts[:-1]) + " and " + texts[-1] if len(texts) > 1 else "".join(texts) or "none"


def human(path: str) -> str:
    """A dotted path as words: its last part, underscores as spaces; several are joined.

    >>> human("schedule.warmup"), human("task.per_class"), human("peak_lr")
    ('warmup', 'examples per class', 'peak learning rate')
    """
    lasts = [part.rsplit(".", 1)[-1] for part in path.split(", ")]
    return " and ".join(LONG.get(last, last.replace("_", " ")) for last in lasts)


def short(text: str, most: int = 22) -> str:
    """At most `most` letters, the cut marked.

    >>> short("a" * 30, 5)
    'aaaa…'
    """
    return text if len(text) <= most else text[: most - 1] + "…"


def slug(text: str) -> str:
    """A file name's part: lower-case letters, digits and single hyphens.

    >>> slug("SGD, momentum=0.9")
    'sgd-momentum-0-9'
    """
    letters = "".join(c if c.isascii() and c.isalnum() else " " for c in text.lower())
    return "-".join(letters.split())
