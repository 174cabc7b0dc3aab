"""What a table's panels, conditions and treatments are called in a sentence."""

from __future__ import annotations

from dataclasses import fields

from preheat.analysis.table import Table
from preheat.analysis.words import GAP, human
from preheat.core.lengths import length
from preheat.core.run import Run

TASK = fields(Run)[0].name  # one trains in it, and with everything else of a run


def treatment_name(table: Table, label: str) -> str:
    """A treatment: `5 epochs` for a length, `no warmup` for a length of zero or for nothing that moves."""
    what = human(table.study.treatment)
    if not table.lengths:
        return f"no {what}" if label == "none" else label
    value = length(label)
    if not value:
        return f"no {what}"
    if value.unit == "fraction":
        return f"{100 * value.value:g}{GAP}% of the run"
    return f"{value.value:g}{GAP}{value.unit[:-1] if value.value == 1 else value.unit}"


def base_of(table: Table) -> str:
    """The baseline."""
    return treatment_name(table, table.treatments.labels[table.base])


def rate_of(table: Table) -> str:
    """The nuisance."""
    return " and ".join(human(path) for path in table.study.nuisance)


def choices(table: Table) -> str:
    """What is chosen among: `length of warmup`, since "no warmup" is one of its values."""
    what = human(table.study.treatment)
    return f"length of {what}" if table.lengths else what


def panel_name(table: Table, label: str) -> str:
    """A panel with registered names as they are displayed: `digits, AdamW`; a label of no panel as it is."""
    known = dict(zip(table.panels.labels, table.panels.names, strict=False))
    return known.get(label, label)


def within(table: Table, panel: str) -> str:
    """Where something holds, as a clause: `in digits, SGD`, `with SGD`; empty for the only panel."""
    paths = list(table.panels.values[0]) if len(table.panels) else []
    alone = len(paths) == 1 and paths[0].partition(".")[0] != TASK
    name = panel_name(table, panel)
    word = "with" if alone else "in"
    return f"{word} {name}" if name else ""


def values_of(table: Table) -> str:
    """What the conditions are, in the plural."""
    return f"values of {human(table.study.condition)}"


def row_name(table: Table, condition: str) -> str:
    """A condition as a row's label, with what the study calls it: `5000 (Standard)`."""
    known = dict(zip(table.conditions.labels, table.conditions.names, strict=False))
    return known.get(condition, condition) or "all"


def row_label(table: Table) -> str:
    """What the rows are; empty where the study has no condition."""
    return human(table.study.condition) if table.study.condition else ""


def panel_head(table: Table) -> str:
    """What the panels are: `optimizer`, `task and optimizer`."""
    paths = table.panels.values[0] if len(table.panels) else {}
    return " and ".join(human(path) for path in paths) or "all"


def heads(table: Table) -> tuple[str, str, str]:
    """The heads of the columns that place a row: panel, condition, treatment, in the study's words."""
    return panel_head(table), row_label(table) or "all", human(table.study.treatment)
