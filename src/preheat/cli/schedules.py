"""Schedules as words of a command line: `cosine`, `wsd:cooldown=20%,cooldown_curve=1-sqrt`, `step:milestones=[50%,75%]`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from preheat.cli.options import value
from preheat.core.errors import UserError
from preheat.core.registry import SCHEDULES
from preheat.core.spec import Spec, build

if TYPE_CHECKING:
    from preheat.schedules.rule import Rule

HELP = "a name (see preheat list schedules), with options of its own as in wsd:cooldown=20%%,final=0.1"
_PAIRS = {"]": "[", ")": "(", "}": "{"}


def schedule_words(words: Sequence[str], shared: Mapping[str, Any] | None = None) -> dict[str, Rule]:
    """{word as typed: schedule} of words `name` or `name:option=value,option=value`, in their order.

    A value is read as YAML: a number, a length, a text, or a [list, of, them]. shared: options of all the schedules; a
    word's own go before them. Errors: UserError for what is unknown, malformed or named twice.

    >>> for word, schedule in schedule_words(["cosine", "wsd:cooldown=10%,final=0.1"], {"warmup": 5}).items():
    ...     print(word, "|", schedule)
    cosine | cosine(warmup=5)
    wsd:cooldown=10%,final=0.1 | wsd(warmup=5, cooldown=10%, final=0.1)
    """
    made: dict[str, Rule] = {}
    for word in words:
        if word in made:
            raise UserError(
                f"each schedule is named once, got {word!r} twice: give one of them an option, such as {word}:at=left"
            )
        name, colon, text = word.partition(":")
        own = _options(word, text) if colon else {}
        made[word] = build("schedule", Spec(SCHEDULES.check(name), {**(shared or {}), **own}))
    return made


def _options(word: str, text: str) -> dict[str, Any]:
    """The options after the colon."""
    out: dict[str, Any] = {}
    for pair in _parts(word, text):
        key, equals, given = (part.strip() for part in pair.partition("="))
        if not key or not equals or not given:
            raise UserError(f"a schedule's options are option=value, got {pair!r} in {word!r}: write wsd:cooldown=20%,final=0.1")
        if key in out:
            raise UserError(f"each option is given once, got {key} twice in {word!r}: leave one out")
        out[key] = value(given)
    return out


def _parts(word: str, text: str) -> list[str]:
    """The text cut at its commas, but for those inside brackets.

    >>> _parts("", "a=[1,2],b=3")
    ['a=[1,2]', 'b=3']
    """
    parts, inside = [""], ""
    for letter in text:
        if letter == "," and not inside:
            parts.append("")
            continue
        parts[-1] += letter
        if letter in _PAIRS.values():
            inside += letter
        elif letter in _PAIRS:
            if inside[-1:] != _PAIRS[letter]:
                inside = letter
                break
            inside = inside[:-1]
    if inside:
        raise UserError(f"brackets must match, got {inside[-1]!r} alone in {word!r}: write step:milestones=[50%,75%]")
    return parts
