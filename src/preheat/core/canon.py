"""Canonical JSON: one text for one meaning, so that a hash of it names the thing."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any


def plain(value: Any) -> Any:
    """`value` as JSON data: tuples become lists, mappings plain dicts; NaN and infinity are refused.

    >>> plain({"a": (1, 2.0)})
    {'a': [1, 2.0]}
    """
    if hasattr(value, "json"):
        return plain(value.json())
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"a declared value must be finite, got {value!r}")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"not JSON data: {value!r} ({type(value).__name__})")


def canonical(value: Any) -> str:
    """Sorted keys, no spaces, shortest float representation.

    >>> canonical({"b": 1, "a": 0.1})
    '{"a":0.1,"b":1}'
    """
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of the canonical JSON.

    64 bits: among 100,000 runs two share an id with probability 3e-10.
    """
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]
