"""Rows of texts as lines of a terminal."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, the first column to the left, numbers to the right.

    >>> aligned([["", "mean"], ["cosine", "0.5"]])
    ['        mean', 'cosine   0.5']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    first, *others = widths

    def line(name: str, *cells: str) -> str:
        return "  ".join([name.ljust(first), *(c.rjust(w) for c, w in zip(cells, others, strict=True))])

    return [line(*row) for row in rows]
