"""Numbers and lists in sentences."""

from __future__ import annotations

from collections.abc import Iterable


def count(n: int, noun: str) -> str:
    """A number and its noun.

    >>> count(1, "run"), count(1750, "run")
    ('1 run', '1,750 runs')
    """
    return f"{n:,} {many(n, noun)}"


def many(n: int, noun: str) -> str:
    """A noun for so many.

    >>> many(1, "run"), many(0, "run")
    ('run', 'runs')
    """
    return noun if n == 1 else f"{noun}s"


def listed(items: Iterable[object], word: str = "and") -> str:
    """Items in a sentence, `word` before the last.

    >>> listed((1, 2, 3)), listed((1,)), listed(())
    ('1, 2 and 3', '1', 'none')
    """
    *first, last = [str(item) for item in items] or ["none"]
    return f"{', '.join(first)} {word} {last}" if first else last
