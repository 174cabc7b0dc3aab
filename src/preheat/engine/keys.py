"""Generators keyed by what they are for. There is no global seed.

A run's data order, initial weights and noise depend on (seed, purpose, index) alone, so they are the same in
a fleet, on another machine, and after a restart.
"""

from __future__ import annotations

import hashlib

import torch


def key(seed: int, purpose: str, *, index: int = 0) -> int:
    """63 bits of the SHA-256 of "seed/purpose/index"."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{purpose}/{index}".encode()).digest()[:8], "big") >> 1


def generator(seed: int, purpose: str, *, index: int = 0) -> torch.Generator:
    """A CPU generator for one purpose of one seed.

    >>> a, b = generator(0, "init"), generator(0, "init")
    >>> bool((torch.rand(3, generator=a) == torch.rand(3, generator=b)).all())
    True
    """
    return torch.Generator().manual_seed(key(seed, purpose, index=index))
