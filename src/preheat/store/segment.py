"""Segments: what one writer appended, in two files that only it ever writes.

`<name>.bin`    the traces' bytes, one after the other
`<name>.jsonl`  one line of JSON per record: id, run, status, summary, provenance, where its trace lies,
checksum

A record exists once its line is whole, and the line is written after the trace. So a writer killed at any
moment leaves whole records, perhaps a torn last line, which is reported, and perhaps bytes of a trace that no
line names, which do no harm. Lines begin and end by themselves: damage to one does not reach the next.
All heads of a segment lie together, so reading them never touches the traces.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from preheat.core.canon import known
from preheat.core.errors import explain
from preheat.core.record import Record, Status
from preheat.core.run import Run
from preheat.store.blobs import CREATE, sync_folder, write_all
from preheat.store.trace import Groups, checksum, encode

UNFINISHED = "an unfinished record: its writer was killed, or is writing it now"
_CRC = b',"crc":"'
_TAIL = len(_CRC) + 8 + 2


class Place(NamedTuple):
    """Where a record lies: its line at byte `line` of `heads`, its trace at `at`..`at+size` of `traces`."""

    heads: Path
    traces: Path
    line: int
    at: int
    size: int


class Damage(NamedTuple):
    """`size` bytes at `at` of `file` that are no whole record, and why."""

    file: Path
    at: int
    size: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, bytes {self.at} to {self.at + self.size}: {self.reason}"


class Head(NamedTuple):
    """A record without its trace. run_json: the run as it was declared; groups: the description of the
    trace."""

    id: str
    run_json: dict[str, Any]
    status: Status
    summary: dict[str, float | None]
    provenance: dict[str, Any]
    groups: Groups
    place: Place

    def run(self) -> Run:
        """The run; its task need not be installed."""
        return Run.from_json(self.run_json, trusted=True)

    @property
    def series(self) -> list[str]:
        """The names of what was measured by step."""
        return [name for group in self.groups for name in group["series"]]


class Contents(NamedTuple):
    """Whole records of a segment in the order of writing, what else is in its file of heads, and where whole
    lines end."""

    heads: list[Head]
    damage: list[Damage]
    end: int


def line_of(record: Record, at: int, size: int, groups: Groups) -> bytes:
    """The line of a record whose trace lies at `at`; numbers that are not finite become null."""
    head = {
        "id": record.id,
        "run": record.run.json(),
        "status": record.status.json(),
        "summary": known(record.summary),
        "provenance": known(record.provenance),
        "trace": {"at": at, "size": size, "groups": groups},
    }
    body = json.dumps(head, separators=(",", ":"), allow_nan=False).encode()[:-1]
    return body + _CRC + checksum(body).encode() + b'"}\n'


def read_segment(heads: Path, start: int = 0) -> Contents:
    """Every whole record of a segment from byte `start` on, the end of a line.

    Nothing in a file can make this raise, except that it can't be read.
    """
    traces = heads.with_suffix(".bin")
    try:
        with heads.open("rb") as file:
            file.seek(start)
            *lines, rest = file.read().split(b"\n")
        size = _size(traces)
    except FileNotFoundError:
        return Contents([], [], 0)  # its writer took its only batch back
    except OSError as error:
        raise explain("read records", heads, error) from error
    found: list[Head] = []
    damage: list[Damage] = []
    at = start
    for line in lines:
        head = head_of(line, at, heads, traces)
        if head is None:
            damage.append(Damage(heads, at, len(line) + 1, "a line that does not match its checksum"))
        elif head.place.at + head.place.size > size:
            damage.append(
                Damage(heads, at, len(line) + 1, f"the trace of run {head.id} is not whole in {traces.name}")
            )
        else:
            found.append(head)
        at += len(line) + 1
    if rest:
        damage.append(Damage(heads, at, len(rest), UNFINISHED))
    return Contents(found, damage, at)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def head_of(line: bytes, at: int, heads: Path, traces: Path) -> Head | None:
    """The head that a line is; None where it does not match its checksum."""
    if line[-_TAIL:-10] != _CRC or checksum(line[:-_TAIL]).encode() != line[-10:-2]:
        return None
    try:
        data = json.loads(line)
        status, trace = data["status"], data["trace"]
        place = Place(heads, traces, at, trace["at"], trace["size"])
        outcome = Status(status["outcome"], status["step"], status["reason"])
        return Head(
            data["id"], data["run"], outcome, data["summary"], data["provenance"], trace["groups"], place
        )
    except (ValueError, KeyError, TypeError):
        return None


class _Open(NamedTuple):
    """A segment in use by process `pid`; the first heads_end and traces_end bytes of its files are whole
    records."""

    path: Path
    heads: int
    traces: int
    heads_end: int
    traces_end: int
    pid: int


class Writer:
    """Appends records to a segment of its own, which is made at the first append.

    folder: where segments lie. sync: wait at the end of each batch until it would survive a power cut.
    """

    def __init__(self, folder: Path, sync: bool = True) -> None:
        self.folder, self.sync = folder, sync
        self._open: _Open | None = None

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def append(self, records: Sequence[Record]) -> None:
        """Store a batch: all of it, or none and an error.

        Errors: UserError where the disk is full or the folder can't be written. What was stored before stays,
        and a later append works.
        """
        if not records:
            return
        if self._open is not None and self._open.pid != os.getpid():
            self.close()  # a forked process shares the files of its parent, but not its segment
        try:
            self._open = self._write(self._open or self._new(), records)
        except BaseException as error:
            self._abandon()
            if isinstance(error, OSError):
                raise explain(
                    f"store {len(records)} records (those stored before are whole)", self.folder, error
                ) from error
            raise

    def close(self) -> None:
        """Close the segment; a later append opens a new one."""
        if self._open is not None:
            segment, self._open = self._open, None
            os.close(segment.heads)
            os.close(segment.traces)

    def _new(self) -> _Open:
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{os.getpid()}-{secrets.token_hex(4)}"
        path = self.folder / f"{name}.jsonl"
        traces = os.open(path.with_suffix(".bin"), CREATE | os.O_APPEND, 0o666)
        try:
            heads = os.open(path, CREATE | os.O_APPEND, 0o666)
        except BaseException:
            os.close(traces)
            path.with_suffix(".bin").unlink()
            raise
        self._open = _Open(path, heads, traces, 0, 0, os.getpid())
        if self.sync:
            sync_folder(self.folder)
        return self._open

    def _write(self, segment: _Open, records: Sequence[Record]) -> _Open:
        lines, at = [], segment.traces_end
        for record in records:
            data, groups = encode(record.trace)
            lines.append(line_of(record, at, len(data), groups))
            write_all(segment.traces, data)
            at += len(data)
        heads = b"".join(lines)
        if self.sync:
            os.fsync(segment.traces)
        write_all(segment.heads, heads)
        if self.sync:
            os.fsync(segment.heads)
        return segment._replace(heads_end=segment.heads_end + len(heads), traces_end=at)

    def _abandon(self) -> None:
        """Take a failed batch back and leave the segment; with nothing in it, remove it."""
        segment = self._open
        if segment is None:
            return
        with suppress(OSError):
            os.ftruncate(segment.heads, segment.heads_end)
            os.ftruncate(segment.traces, segment.traces_end)
        self.close()
        if segment.heads_end == 0:
            with suppress(OSError):
                segment.path.unlink()
                segment.path.with_suffix(".bin").unlink()
