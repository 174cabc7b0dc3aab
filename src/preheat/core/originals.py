"""An original project's own command line, as the study of ours that does the same."""

from __future__ import annotations

import argparse
from abc import ABC, abstractmethod
from pathlib import Path
from typing import NamedTuple


class Meant(NamedTuple):
    """What a command line of the original means here: the words of `preheat study`, and in which format and
    folder its files are written when the study is done; to: None where no files are written, and out is then
    the folder of the records alone."""

    study: tuple[str, ...]
    to: str | None
    out: Path


class Original(ABC):
    """A project, registered under the name that `preheat original NAME` takes."""

    @abstractmethod
    def arguments(self, parser: argparse._ActionsContainer) -> None:
        """Add the options of the project's own command line."""

    @abstractmethod
    def meant(self, args: argparse.Namespace) -> Meant:
        """What they mean. Errors: UserError for options that do not go together."""
