"""What a chapter of a report found, and how it is shown."""

from __future__ import annotations

from typing import Any

from preheat.report.chapter import Shown
from preheat.report.report import Report


def found(made: Report, chapter: str, field: str) -> Any:
    """One field of what a chapter found; nothing where it is silent."""
    return next((getattr(c.found, field) for c in made.chapters if c.name == chapter), ())


def shown(made: Report, chapter: str) -> Shown:
    return next(c.shown for c in made.chapters if c.name == chapter)
