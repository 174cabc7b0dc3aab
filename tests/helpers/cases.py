"""How many cases a law looks at: a sample of them, or with PREHEAT_ALL_CASES all."""

from __future__ import annotations

import os

ALL_CASES = bool(os.environ.get("PREHEAT_ALL_CASES"))


def sampled(n: int) -> int:
    """Of n random cases a third, all of them where all are asked for."""
    return n if ALL_CASES else -(-n // 3)


def once(cases, kinds):
    """Of many cases, in order, those that bring a kind not seen before; all where all are asked for.

    kinds: the kinds that a case is of, so that each of them is looked at once.
    """
    seen, kept = set(), []
    for case in cases:
        new = set(kinds(case)) - seen
        if ALL_CASES or new:
            kept.append(case)
            seen |= new
    return kept
