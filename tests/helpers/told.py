"""An answer read back: which treatments of which panels a sentence names, and which numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from preheat.analysis.naming import base_of, choices, panel_name, treatment_name
from preheat.analysis.table import Table
from preheat.analysis.words import GAP, Units, brief
from preheat.report.report import Report

NUMBER = re.compile(r"(?<![\w.,])\d[\d,]*(?:\.\d+)?(?:e[+\N{MINUS SIGN}]\d+)?")
Pair = tuple[str, str]


def plain(text: str) -> str:
    return text.replace(GAP, " ")


def named(table: Table, fragment: str) -> set[Pair] | None:
    """{(panel, treatment)} of `5 to 20 epochs with AdamW`; None where it only counts its panels."""
    if re.search(r" in \d+ of \d+ cases", fragment):
        return None
    *groups, last = re.split(r" with ", plain(fragment))
    panels = {panel_name(table, p): p for p in table.panels.labels}
    found: set[Pair] = set()
    for i, names in enumerate(groups):
        tail = groups[i + 1] if i + 1 < len(groups) else last
        some = re.match(rf"({'|'.join(panels)})(?: and ({'|'.join(panels)}))?(?: and |$)", tail)
        assert some, fragment
        where = [panels[g] for g in some.groups() if g]
        found |= {(p, t) for p in where for t in _treatments(table, names)}
        rest = tail[some.end() :]
        if i + 1 < len(groups):
            groups[i + 1] = rest
        else:
            last = rest
    return found | {(p, t) for p in panels.values() for t in (_treatments(table, last) if last else ())}


def _treatments(table: Table, text: str) -> list[str]:
    """The treatments of `1 epoch, 5 epochs or 20 epochs`, of `5 to 20 epochs` and of all others."""
    names = {plain(treatment_name(table, t)): t for t in table.treatments.labels}
    if text in (f"any other {choices(table)}", f"every other {choices(table)}"):
        return [t for n, t in names.items() if n != plain(base_of(table))]
    if (span := re.fullmatch(r"([\d.]+) to ([\d.]+) (.*)", text)) and text not in names:
        order = list(table.treatments.labels)
        first, last = (next(t for n, t in names.items() if n.split()[0] == end) for end in span.groups()[:2])
        return order[order.index(first) : order.index(last) + 1]
    return [names[one] for one in re.split(r", | or | and ", text)]


def sentences(text: str) -> list[str]:
    return re.findall(r".+?[.](?= [A-Z\d]|$)", text)


def within_limits(made: Report) -> None:
    assert 1 <= len(sentences(plain(made.answer))) <= 3, made.answer
    for text in sentences(plain(made.answer)):
        assert len(text.split()) <= 25, text
        assert text.endswith(".") and not re.search(r"\s\s|\.\.|nan|None|\ba 8| [.,;]", text), text


def unknown_numbers(made: Report, texts: tuple[str, ...]) -> list[str]:
    """The numbers in sentences that are not in `summary()`, as they are written there or rounded, nor a count
    of its verdicts, runs or axes."""
    assert made.table is not None
    summary, u = made.summary(), Units.of(made.results.study.metric)
    known: set[str] = set()
    for x in _numbers({k: v for k, v in summary.items() if k not in ("answer", "notes")}):
        scaled = (u.number(x), u.margin(x), brief(x * u.scale, 1), brief(x, 2), f"{x:,.0f}", brief(x))
        known |= {n for text in scaled for n in NUMBER.findall(text)}
    labels = [plain(treatment_name(made.table, t)) for t in made.table.treatments.labels]
    known |= {
        n for text in (*labels, *summary["panels"], *summary["conditions"]) for n in NUMBER.findall(text)
    }
    known |= {f"{n:,}" for n in counted(summary)}
    return [n for text in texts for n in NUMBER.findall(plain(text)) if n not in known]


def counted(summary: dict[str, Any]) -> set[int]:
    """How many verdicts of a measure there are, and of each kind; how many panels have it; runs."""
    out = {len(summary["panels"]), sum(v for k, v in summary["counts"].items() if k in ("done", "diverged"))}
    out |= {summary["counts"]["planned"] - summary["counts"]["missing"]}
    for measure in ("tuned", "over_rates", "edge"):
        some = [v for v in summary["verdicts"] if v["name"].startswith(f"{measure}/") and v["primary"]]
        for kind in {v["verdict"] for v in some}:
            mine = [v for v in some if v["verdict"] == kind]
            out |= {len(some), len(mine), len({v["at"][0] for v in mine})}
            out |= {sum(v["at"][2] == t for v in mine) for t in summary["treatments"]}
    return out


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for one in value:
            yield from _numbers(one)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield abs(float(value))
