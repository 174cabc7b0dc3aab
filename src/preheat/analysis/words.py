"""Numbers and names in human form, for the texts of the analysis and for the page: 91.3 %, +0.4 points, with
SGD."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from textwrap import wrap

from preheat.core.metrics import metric
from preheat.stats.estimates import Estimate

MINUS = "\N{MINUS SIGN}"
GAP = "\N{NO-BREAK SPACE}"
NONE = "\N{EN DASH}"
TIMES = "\N{MULTIPLICATION SIGN}"
LEVEL = "95 % interval"
LONG = {
    "also": "moving hyperparameter",
    "lr": "learning rate",
    "peak_lr": "peak learning rate",
    "learning_rate_factor": "learning rate (share of the peak)",
}


@dataclass(frozen=True)
class Units:
    """How a metric is written: times `scale`, in `unit`; a difference of two in `step`; ends: where
    an axis of it ends, as it is written.

    >>> Units.of("accuracy").value(0.9134), Units.of("accuracy").difference(-0.004)
    ('91.3\\xa0%', '−0.4\\xa0points')
    >>> Units.of("loss").value(0.41237)
    '0.412'
    """

    metric: str
    scale: float
    unit: str
    step: str
    one_step: str
    digits: str
    ends: tuple[float | None, float | None] = (None, None)

    @classmethod
    def of(cls, name: str) -> Units:
        """Those of a metric, or of a series of it such as validation_accuracy."""
        known = metric(name)
        low, high = (None if v is None else v * known.scale for v in known.ends)
        steps = known.step, known.one_step or known.step
        return cls(name, known.scale, known.unit, *steps, known.digits, (low, high))

    def number(self, x: float | None, *, sign: bool = False) -> str:
        """The number alone, in the metric's scale."""
        if x is None or not math.isfinite(x):
            return NONE
        scaled = x * self.scale
        return tidy(f"{scaled:{'+' if sign else ''}{self.digits}}")

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
        text = brief(x * self.scale)
        return _with(text, self.one_step if text == "1" else self.step)

    def amount(self, x: float, unit: str, *, sign: bool = True) -> str:
        """A number in `unit`; the metric and its square read as on the page.

        >>> u = Units.of("accuracy")
        >>> u.amount(0.004, "accuracy"), u.amount(-2e-05, "accuracy squared"), u.amount(1.5, "epochs")
        ('+0.4\\xa0points', '−0.2\\xa0points squared', '1.5\\xa0epochs')
        """
        if unit == self.metric:
            return self.difference(x, sign=sign)
        if unit == f"{self.metric} squared":
            text = brief(x * self.scale**2, 2)
            step = self.one_step if text == "1" else self.step
            return _with(text, f"{step or self.metric} squared")
        return _with(brief(x), unit)

    def estimate(self, e: Estimate, unit: str) -> str:
        """An estimate in `unit` with its interval: +0.4 points (95 % interval +0.1 to +0.7)."""
        text = self.amount(e.mean, unit)
        if e.lo is None or e.hi is None:
            return text
        ends = [self.amount(v, unit).partition(GAP)[0] for v in (e.lo, e.hi)]
        return f"{text} ({LEVEL} {range_text(*ends)})"

    def label(self) -> str:
        """An axis label: what, and in which unit."""
        return f"{human(self.metric)} on the test set" + (f" ({self.unit})" if self.unit else "")

    def difference_label(self, other: str) -> str:
        """An axis label for the difference to `other`."""
        return f"{human(self.metric)} minus that with {other}" + (f" ({self.step})" if self.step else "")


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


def brief(x: float | None, digits: int = 3) -> str:
    """A number without a unit, `digits` significant.

    >>> brief(0.01234), brief(174.2, 2), brief(1.74e7)
    ('0.0123', '170', '1.74e+07')
    """
    if x is None or not math.isfinite(x):
        return NONE
    text = f"{x:.{digits}g}"
    return tidy(f"{float(text):.0f}" if "e+" in text and abs(x) < 1e6 else text)


def range_text(lo: str, hi: str) -> str:
    """An interval in words.

    >>> range_text("1", "2")
    '1 to 2'
    """
    return f"{lo} to {hi}"


def level(e: Estimate, text: str) -> str:
    """The text of an estimate's mean, as a bound where it is one.

    >>> level(Estimate(2.0, 1.5, None, 8, "at least"), "2.0"), level(Estimate(2.0, 1.5, 2.5, 8), "2.0")
    ('at least 2.0', '2.0')
    """
    return f"{e.bound} {text}" if e.bound in ("at least", "at most") else text


def limits(e: Estimate, write: Callable[[float], str]) -> str:
    """An estimate's interval in words; empty for one seed.

    >>> [limits(e, str) for e in (Estimate(2.0, 1.5, 2.5, 8), Estimate(2.0, 1.5, None, 8, "at least"))]
    ['1.5 to 2.5', 'from 1.5']
    """
    if e.bound == "open":
        return "no limit is known"
    if e.lo is None:
        return "" if e.hi is None else f"up to {write(e.hi)}"
    return f"from {write(e.lo)}" if e.hi is None else range_text(write(e.lo), write(e.hi))


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


def human(path: str) -> str:
    """A dotted path as words: its last part, underscores as spaces; several are joined.

    >>> human("schedule.warmup"), human("task.examples_per_class"), human("peak_lr"), human("optimizer.name")
    ('warmup', 'examples per class', 'peak learning rate', 'optimizer')
    >>> human("train_loss")
    'training loss'
    """
    lasts = [last_part(part) for part in path.split(", ")]
    return " and ".join(LONG.get(n, re.sub("^train_", "training_", n).replace("_", " ")) for n in lasts)


def last_part(path: str) -> str:
    """The part of a dotted path that says what it is about; `name` alone says nothing."""
    return path.removesuffix(".name").rsplit(".", 1)[-1]


def capital(text: str) -> str:
    """With a capital at the start."""
    return text[:1].upper() + text[1:]


def short(text: str, most: int = 22) -> str:
    """At most `most` letters, the cut marked.

    >>> short("a" * 30, 5)
    'aaaa…'
    """
    return text if len(text) <= most else text[: most - 1] + "…"


def folded(text: str, width: int, *, most: int = 3) -> str:
    """Lines of at most `width` letters, at most `most` of them, the cut marked.

    >>> folded("weight_decay 0.1 to 0 by wsd", 12), folded("a" * 30, 5)
    ('weight_decay\\n0.1 to 0 by\\nwsd', 'aaaa…')
    """
    lines = wrap(text, width, break_long_words=False, break_on_hyphens=False)
    kept = [*lines[: most - 1], " ".join(lines[most - 1 :])] if len(lines) > most else lines
    return "\n".join(short(line, width) for line in kept)


def slug(text: str) -> str:
    """A file name's part: lower-case letters, digits and single hyphens.

    >>> slug("SGD, momentum=0.9")
    'sgd-momentum-0-9'
    """
    letters = "".join(c if c.isascii() and c.isalnum() else " " for c in text.lower())
    return "-".join(letters.split())
