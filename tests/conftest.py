"""What all tests share: one thread for each process, the long ones first, and of many alike cases each kind once."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: tests run side by side, one for each core

from cases import ALL_CASES

SAMPLED = ("tests/peers/", "tests/schedules/")  # cases are products: peers by lengths by samplings


def pytest_collection_modifyitems(config, items):
    """The slow ones first, so that no core waits for the last of them; the rest of the products under make test-all."""
    if not ALL_CASES:
        kept = _each_kind_once(items)
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = [item for item in items if item in kept]
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def _each_kind_once(items):
    """Of a test with several parameters the cases that hold a value of one of them for the first time."""
    kept, seen = set(), set()
    for item in items:
        spec = getattr(item, "callspec", None)
        kinds = {(item.function, *pair) for pair in spec.indices.items()} if spec else set()
        product = len(kinds) > 1 and item.nodeid.startswith(SAMPLED)
        if not product or not kinds <= seen:
            kept.add(item)
            seen |= kinds
    return kept
