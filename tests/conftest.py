"""What all tests share: one thread for each process, and the long ones first."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: tests run side by side, one for each core


def pytest_collection_modifyitems(items):
    """The slow ones first, so that no core waits for the last of them."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
