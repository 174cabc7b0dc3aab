"""How many cases a law looks at: a sample of them, or with PREHEAT_ALL_CASES all."""

from __future__ import annotations

import os

ALL_CASES = bool(os.environ.get("PREHEAT_ALL_CASES"))


def sampled(n: int) -> int:
    """Of n random cases a third, all of them where all are asked for."""
    return n if ALL_CASES else -(-n // 3)
