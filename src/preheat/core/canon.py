"""Canonical JSON: one text for one meaning, so that a hash of it names the thing."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
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


def finite(value: Any) -> float | None:
    """The number, or None where it is missing or not finite.

    >>> finite(1), finite(float("nan")), finite(None)
    (1.0, None, None)
    """
    return float(value) if value is not None and math.isfinite(value) else None


def known(value: Any) -> Any:
    """`value` as JSON data, with None in place of numbers that are not finite.

    >>> known({"a": (float("inf"), 1.0)})
    {'a': [None, 1.0]}
    """
    if isinstance(value, Mapping):
        return {str(k): known(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [known(v) for v in value]
    return finite(value) if isinstance(value, float) else plain(value)
