"""What all tests share: one thread for each process, the long ones first, and of many alike cases each kind once."""

from __future__ import annotations

import os
import re

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: tests run side by side, one for each core

from cases import ALL_CASES

SAMPLED = (
    "tests/peers/test_peers_",
    "tests/schedules/test_schedules.py",
)  # peers by names by lengths; names by options


def pytest_collection_modifyitems(config, items):
    """The slow ones first, so that no core waits for the last of them; the rest of the products under make test-all."""
    if not ALL_CASES:
        kept = _each_kind_once(items)
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = [item for item in items if item in kept]
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def _each_kind_once(items):
    """Of a test's many cases those in which a word of the case's name is new: a schedule, a length, an option's value."""
    kept, seen = set(), set()
    for item in items:
        words = {(item.function, word) for word in _words(item)}
        if not words or not item.nodeid.startswith(SAMPLED) or not words <= seen:
            kept.add(item)
            seen |= words
    return kept


def _words(item):
    """`one_cycle`, `rise 20%` of test[one_cycle-{"rise": "20%"}]; a number at the end only counts the cases."""
    case = item.callspec.id if hasattr(item, "callspec") else ""
    options = re.findall(r'"(\w+)": ("[^"]*"|\[[^]]*\]|[^,}]+)', case)
    plain = re.sub(r"-?(\{.*\}|\d+)$", "", case)
    return {*(" ".join(pair) for pair in options), *filter(None, plain.split("-"))}
