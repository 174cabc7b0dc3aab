"""A study or a run from a YAML, TOML or JSON file: everything that is wrong with the file is told at once, by
line.

A small study is `fixed`, `grid` and nothing else; docs/studies.md, which is written from the types, has every
key and what it means to leave it out:

    fixed: {task: digits, optimizer: adamw, schedule: cosine, length: 20ep}
    grid:
      - product: {schedule.warmup: [0, 5ep], peak_lr: [0.01, 0.03, 0.1]}
    nuisance: [peak_lr]
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preheat.core.errors import UserError, nearest
from preheat.core.run import Run
from preheat.core.spec import Spec, as_spec, build
from preheat.core.study import Study
from preheat.studyfiles import sheet
from preheat.studyfiles.faults import At, Fault, Faulty, worded
from preheat.studyfiles.syntax import NAMES, PARSERS, BadSyntax, LineMap

LARGEST = 10_000_000  # bytes of a file
MOST_TOLD = 100  # errors of a file


def read_study(path: str | Path) -> Study:
    """The study in a .yaml, .yml, .toml or .json file.

    Raises one UserError with a line `file:line: path: rule (got value) -- hint` for each thing that is wrong;
    also for what only shows when the runs are built, such as a warmup longer than the run.
    """
    doc = _load(path)
    try:
        return sheet.study(doc.data, Path(path).stem, found=doc.faults)
    except Faulty as error:
        raise doc.error(error.faults) from None


def read_run(path: str | Path) -> Run:
    """The run in a file with the fields of a `Run`, such as `Run.json()` writes; errors as in
    `read_study`."""
    doc = _load(path)
    try:
        return sheet.run(doc.data, doc.faults)
    except Faulty as error:
        raise doc.error(error.faults) from None


def read_schedule(path: str | Path) -> Spec:
    """The schedule in a file with the fields that its `json()` writes; what is left out takes its default."""
    doc = _load(path)
    if doc.faults:
        raise doc.error(list(doc.faults))
    try:
        one = as_spec(doc.data, "schedule")
        build("schedule", one)
    except (ValueError, TypeError) as error:
        raise doc.error([Fault((), worded(error))]) from error
    return one


@dataclass(frozen=True)
class Document:
    """file: as the user wrote it. data: what it says. lines: {place: line}. faults: what reading it found."""

    file: str
    data: Any
    lines: Mapping[At, int]
    faults: tuple[Fault, ...] = ()

    def line(self, at: At) -> int:
        """The line of a place, or of the nearest place around it."""
        while at and at not in self.lines:
            at = at[:-1]
        return self.lines.get(at, 1)

    def error(self, faults: list[Fault]) -> UserError:
        """All faults as one error, a line for each, in the order of the file."""
        rows = sorted(
            dict.fromkeys((f.line or self.line(f.at), dotted(f.at), f.text) for f in faults),
            key=lambda row: row[0],
        )
        texts = [f"{self.file}:{line}: {f'{path}: ' if path else ''}{text}" for line, path, text in rows]
        more = [f"{self.file}: and {len(texts) - MOST_TOLD} more"] if len(texts) > MOST_TOLD else []
        return UserError("\n".join(texts[:MOST_TOLD] + more))


def dotted(at: At) -> str:
    """A place as text.

    >>> dotted(("grid", 0, "product", "schedule.warmup", 2))
    'grid[0].product.schedule.warmup[2]'
    """
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in at).removeprefix(".")


def _load(path: str | Path) -> Document:
    """The document in a .yaml, .yml, .toml or .json file of at most 10 MB; its mappings have only texts as
    keys."""
    file = Path(path)
    parse = PARSERS.get(file.suffix.lower())
    text = _text(file)
    if parse is None:
        raise UserError(
            f"{path}: a file must end in {', '.join(PARSERS)}, got {file.suffix or 'no ending'!r}"
        )
    found = LineMap()
    try:
        data = parse(text, found)
    except BadSyntax as error:
        raise UserError(
            f"{path}:{error.args[0]}: not {NAMES[file.suffix.lower()]}: {error.args[1]}"
        ) from error
    except RecursionError:
        raise UserError(f"{path}:1: nested too deeply to be read: write fewer levels") from None
    if data is None or data == {}:
        raise UserError(f"{path}:1: the file is empty: write at least one key")
    if not isinstance(data, dict):
        raise UserError(
            f"{path}:1: a file must be keys with values, got {type(data).__name__}: write key: value"
        )
    return Document(str(path), data, found.lines, (*found.faults, *_foreign(data, ())))


def _foreign(value: Any, at: At) -> Iterator[Fault]:
    """Values that no setting takes: dates (TOML), numbers that are not finite."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _foreign(inner, (*at, key))
    elif isinstance(value, float) and not math.isfinite(value):
        yield Fault(at, f"must be finite (got {value!r})")
    elif value is not None and not isinstance(value, bool | int | float | str):
        yield Fault(at, f"must be a number, a text or true or false (got {value}) -- write it in quotes")


def _text(file: Path) -> str:
    try:
        if file.is_dir():
            raise UserError(f"{file}: a folder, where a file is needed: write the file's name")
        if not file.exists():
            match = nearest(
                file.name,
                [p.name for p in file.parent.iterdir() if p.suffix.lower() in PARSERS]
                if file.parent.is_dir()
                else [],
            )
            raise UserError(
                f"{file}: no such file{f' -- did you mean {str(file.with_name(match))!r}?' if match else ''}"
            )
        if not file.is_file():
            raise UserError(f"{file}: not a plain file: write the name of one")
        if file.stat().st_size > LARGEST:
            raise UserError(
                f"{file}: at most {LARGEST:,} bytes are read, got {file.stat().st_size:,}: write a shorter "
                "file"
            )
        raw = file.read_bytes()
    except OSError as error:
        raise UserError(f"{file}: can't be read: {error.strerror or error}") from error
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{file}:{line}: must be UTF-8 text, got byte {raw[error.start]:#04x}: save the file as UTF-8"
        ) from error
