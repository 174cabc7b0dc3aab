"""Next-token prediction on Python's own source, on a text file of the user's, and on WikiText-2."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np

from preheat.core.errors import UserError, unknown
from preheat.core.registry import TASKS
from preheat.tasks import files
from preheat.tasks.corpora import (
    BYTES,
    SOURCE_BYTES,
    Parts,
    Tokens,
    members,
    parts,
    plain_text,
    python_source,
    sha256,
    stamp_of,
)
from preheat.tasks.language import NextToken
from preheat.tasks.sets import TEXTS

SOURCES = (*files.SOURCES, "random")
RANDOM_WINDOWS = (32_768, 64, 64)  # of each part of source "random"


@TASKS.register("source_text")
@dataclass(frozen=True)
class SourceText(NextToken):
    """Python's own source as a text: 2,000,000 bytes that every installation has, no download.

    The .py files in the top folder of the running Python's standard library, one after the other in the order
    of their names, cut after 2,000,000 bytes: 90 % to train on, then 5 % for validation and 5 % for test.
    corpus_bytes: take only so many of them. Another Python has other bytes: their sha256 is in every record,
    and one results folder holds the records of one text. Other options as in `NextToken`.

    >>> SourceText(corpus_bytes=65_000, context=64).windows()
    (900, 50, 50)
    """

    name: ClassVar[str] = "source_text"

    corpus_bytes: int = SOURCE_BYTES

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.corpus_bytes <= SOURCE_BYTES:
            raise UserError(
                f"corpus_bytes of task 'source_text' must be 1 to {SOURCE_BYTES}, got {self.corpus_bytes}"
            )

    def text(self) -> Parts:
        return parts(python_source()[: self.corpus_bytes])

    def told(self) -> str:
        return f"Python's own source sha256 {sha256(python_source())}"


@TASKS.register("own_text")
@dataclass(frozen=True)
class OwnText(NextToken):
    """A text file of your own, in UTF-8: the first 90 % to train on, then 5 % for validation, 5 % for test.

    text_file: its path. Its sha256 is in every record, and one results folder holds the records of one text.
    A byte order mark at its beginning is part of the text.
    Other options as in `NextToken`.
    """

    name: ClassVar[str] = "own_text"

    text_file: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.text_file:
            raise UserError("task 'own_text' needs a text file: write text_file=PATH")

    def text(self) -> Parts:
        return parts(self._whole())

    def told(self) -> str:
        return f"{Path(self.text_file).name} sha256 {sha256(self._whole())}"

    def _whole(self) -> bytes:
        return plain_text(*stamp_of(Path(self.text_file)))


@TASKS.register("wikitext2")
@dataclass(frozen=True)
class WikiText2(NextToken):
    """WikiText-2: articles of Wikipedia, 10.8 MB to train on, 1.1 for validation, 1.3 for test, as published.

    The files of the word-level version are taken as text: rare words stand there as <unk>. source: "official"
    fetches the published file (4 MB) and demands its checksum; "local" takes files in that format whatever
    they hold; "random" is random tokens, to time steps. Other options as in `NextToken`. Merity et al. 2016,
    arXiv 1609.07843.

    >>> WikiText2().examples
    166109
    """

    name: ClassVar[str] = "wikitext2"

    source: str = "official"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.source not in SOURCES:
            raise unknown("source of task 'wikitext2'", self.source, SOURCES)

    def text(self) -> Parts:
        about = TEXTS[self.name]
        path = files.located(about, self.source)
        return members(path, about.splits, files.stamped(about, path))

    def told(self) -> str:
        return files.origin(self.name, self.source)["data"]

    def tokens(self) -> Tokens:
        if self.source != "random":
            return super().tokens()
        return _random(self.vocabulary, self.context + 1)

    def lengths(self) -> tuple[int, ...]:
        """Official bytes are counted already."""
        known = self.source == "official" and self.vocabulary == BYTES
        return TEXTS[self.name].counts if known else super().lengths()

    def ready(self, *, fetch: bool = True) -> None:
        """Official files are fetched, and are then text."""
        if self.source == "local" or (self.source == "official" and fetch):
            self.text()
            super().ready()

    def origin(self) -> dict[str, str]:
        return {"data": "random tokens"} if self.source == "random" else super().origin()

    @property
    def at_hand(self) -> bool:
        """Official files are the same everywhere."""
        return self.source == "local"

    def stand_in(self) -> WikiText2:
        return replace(self, source="random")


@lru_cache(maxsize=2)
def _random(vocabulary: int, window: int) -> Tokens:
    draw, kind = np.random.default_rng(0), np.uint8 if vocabulary == BYTES else np.int16
    train, validation, test = (
        draw.integers(0, vocabulary, count * window, dtype=kind) for count in RANDOM_WINDOWS
    )
    return train, validation, test
