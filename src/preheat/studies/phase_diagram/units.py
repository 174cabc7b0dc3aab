"""Peak rates as a diagram tells them: as they are, or in 2 / lambda_0 with the rate beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from preheat.analysis.naming import rate_of
from preheat.analysis.table import Table
from preheat.core.grid import Block

STAGE = "in_sharpness"
SLACK = 0.02  # rates have three digits


@dataclass(frozen=True)
class RateTexts:
    """Of a table's rates. multiples: {rate: its multiple of the unit}, none where rates are told as they are;
    unit: the unit as a rate."""

    multiples: Mapping[float, float]
    unit: float

    @classmethod
    def of(cls, table: Table) -> RateTexts:
        """From the stage that asked for multiples; the rates are told as they are where it asked for others
        than the table has."""
        stages = [s for s in table.study.stages if not isinstance(s, str) and s["name"] == STAGE]
        blocks = [Block(**block) for s in stages for block in s["blocks"]]
        asked = sorted({float(x["peak_lr"]) for block in blocks for x in block.settings()})
        rates = sorted(table.numeric or ())
        units = [rate / x for rate, x in zip(rates, asked, strict=False)]
        if not units or len(rates) != len(asked) or max(units) > min(units) * (1 + SLACK):
            return cls({}, math.nan)
        return cls(dict(zip(rates, asked, strict=True)), sum(units) / len(units))

    def text(self, rate: float) -> str:
        """The multiple and the rate in brackets, or the rate."""
        if rate not in self.multiples:
            return f"{rate:.4g}"
        return f"{self.multiples[rate]:.4g} ({rate:.3g})"

    def head(self, table: Table) -> str:
        """What `text` is."""
        return f"{rate_of(table)} in 2 / lambda_0 (as it is)" if self.multiples else rate_of(table)

    def note(self) -> str:
        """Which of the two stands where, as a sentence."""
        if not self.multiples:
            return ""
        return (
            f"\nPeak rates of cells are multiples of 2 / lambda_0, which is {self.unit:.3g} here, with the "
            "rate itself in brackets; boundaries and all other chapters have the rates themselves."
        )
