"""A report's findings by short names, whichever chapter found them."""

from __future__ import annotations

from typing import Any

from reported import found

from preheat.analysis.curves import Load
from preheat.analysis.results import Results
from preheat.report.report import Report, report
from preheat.report.runs import flat_runs
from preheat.studies.regimes.grid import REPORTED

WHERE = {
    "main": ("main", "main"),
    "cells": ("metric", "cells"),
    "effects": ("benefit", "effects"),
    "best": ("best", "best"),
    "edges": ("edge", "edges"),
    "pooled": ("edge", "edges_pooled"),
    "inside": ("inside_edge", "inside"),
    "hypotheses": ("hypotheses", "hypotheses"),
    "rules": ("rule", "rules"),
    "curves": ("curves", "curves"),
    "rates": ("curves", "rates"),
}


class Analysed:
    """A report; `cells`, `effects`, ... are what its chapters found, () where a chapter is silent."""

    def __init__(self, made: Report) -> None:
        self.report = made

    def __getattr__(self, name: str) -> Any:
        if name in WHERE:
            return found(self.report, *WHERE[name])
        if name in ("treatments", "conditions", "panels", "seeds"):
            return tuple(self.report.summary()[name])
        return getattr(self.report, name)

    @property
    def runs(self) -> Any:
        return flat_runs(self.report.results)

    def data(self, *without: str) -> Any:
        """Everything that is written into files, but for some of it."""
        summary = {k: v for k, v in self.report.summary().items() if k not in without}
        return summary, {k: v for k, v in self.report.tables().items() if k not in without}


def analyse(results: Results, load: Load | None = None) -> Analysed:
    return Analysed(report(results, load, chapters=REPORTED))
