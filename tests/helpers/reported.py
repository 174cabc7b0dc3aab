"""What a chapter of a report found, how it is shown, and how it would be shown had it found something
else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from preheat.core.registry import CHAPTERS
from preheat.report.chapter import Shown
from preheat.report.report import Report


def found(made: Report, chapter: str, field: str) -> Any:
    """One field of what a chapter found; nothing where it is silent."""
    return next((getattr(c.found, field) for c in made.chapters if c.name == chapter), ())


def shown(made: Report, chapter: str) -> Shown:
    return next(c.shown for c in made.chapters if c.name == chapter)


def changed(made: Report, chapter: str, **fields: Any) -> Shown:
    """How a chapter would be read, had it found something else."""
    was = next(c.found for c in made.chapters if c.name == chapter)
    assert made.table is not None
    return CHAPTERS.build(chapter, {}).show(replace(was, **fields), made.verdicts, made.table)


def plate(made: Report, chapter: str, name: str) -> Any:
    """The data of a chapter's figure by its file's name; None where it has none."""
    return next((p.data for p in shown(made, chapter).plates if p.name == name), None)
