"""A hypothesis as it is read on the page."""

from __future__ import annotations

from dataclasses import dataclass

from preheat.analysis import words
from preheat.analysis.findings import Hypothesis

MARKS = {"supported": "\N{CHECK MARK}", "contradicted": "\N{BALLOT X}", "not decided": "?"}


@dataclass(frozen=True)
class Card:
    """A hypothesis as texts; state: the verdict as a class name."""

    code: str
    statement: str
    state: str
    mark: str
    verdict: str
    effect: str
    how: str
    text: str


def card(h: Hypothesis, u: words.Units) -> Card:
    """A hypothesis with its effect and p in one line, as it would be cited."""
    effect = "no estimate" if h.effect is None else u.estimate(h.effect, h.unit)
    parts = [effect, words.p_text(h.p), f"n{words.GAP}={words.GAP}{h.effect.n}" if h.effect else ""]
    state = h.verdict.replace(" ", "-")
    return Card(
        h.code,
        h.statement,
        state,
        MARKS[h.verdict],
        verdict(h.verdict, h.more_seeds),
        ", ".join(p for p in parts if p),
        h.how,
        h.text,
    )


def verdict(text: str, more: int | None) -> str:
    """A verdict, and what it would take where there is none."""
    if not more or text != "not decided":
        return text
    return f"{text}, {'more than' if more >= 999 else 'about'} {words.count(more, 'more seed')}"
