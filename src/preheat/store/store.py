"""The store: a folder of records that any number of processes may append to and read at once.

    <root>/format.json         {"preheat-store": 1}
    <root>/records/            segments, see `preheat.store.segment`
    <root>/checkpoints/        one file per unit of work in progress
    <root>/weights/            one file per run whose weights are kept, see `preheat.store.weights`

Nothing else is kept: there is no index to go stale and no lock to hang on. Why this format:
`docs/decisions.md`.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from preheat.core.errors import UserError, explain
from preheat.core.record import Outcome, Record, Series
from preheat.store.blobs import sweep, write_atomic, write_json
from preheat.store.folder import FORMAT, KEY, check_format, exists, refuse_others
from preheat.store.segment import UNFINISHED, Damage, Head, Writer, read_segment
from preheat.store.trace import Corrupt, decode

_TRAINED: tuple[Outcome, ...] = ("done", "diverged")


class _Seen(NamedTuple):
    """What is known of a segment: sizes of its two files, where whole lines end, what is no record."""

    sizes: tuple[int, int]
    end: int
    damage: list[Damage]

    def grown(self, sizes: tuple[int, int]) -> bool:
        """Whether the segment has only been appended to, and all before was whole, so that it is enough to
        read on."""
        whole = all(d.reason == UNFINISHED for d in self.damage)
        return whole and sizes[0] >= self.end and sizes[1] >= self.sizes[1]


@dataclass(frozen=True)
class Store:
    """The records under `root`; see `Store.open`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = Store.open(folder)
    ...     store.heads(), store.ids(), store.damage()
    ([], set(), [])
    """

    root: Path
    _read: dict[str, _Seen] = field(default_factory=dict, init=False, repr=False, compare=False)
    _by_id: dict[str, list[Head]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def open(cls, root: str | Path, create: bool = True) -> Store:
        """The store in the folder `root`. create: make it where there is none, and be sure that it can be
        written.

        create=False changes nothing on the disk: for reports, and for folders that may only be read.
        Errors: UserError where `root` is a file, holds other files, has a newer format or can't be written.
        """
        store = cls(Path(root))
        if store.root.exists() and not store.root.is_dir():
            raise UserError(f"a results folder must be a folder, got the file {root}: name a folder")
        if create and not exists(store.root):
            refuse_others(store.root)
        if exists(store.root):
            check_format(store.root / "format.json")
        elif not create:
            raise UserError(f"no results in {str(root)!r}: name the folder of a study that was run")
        if create:
            store._prepare()
        return store

    def _prepare(self) -> None:
        """Make the folders, and find out now, not after an hour of training, whether they can be written."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            if not exists(self.root):
                write_json(self.root / "format.json", {KEY: FORMAT})
            for folder in (self.records, self.checkpoints):
                folder.mkdir(exist_ok=True)
        except OSError as error:
            raise explain("keep results", self.root, error) from error
        for folder in (self.records, self.checkpoints):
            probe = folder / f".probe-{os.getpid()}"
            write_atomic(probe, b"")
            probe.unlink(missing_ok=True)
        sweep(self.root)
        sweep(self.checkpoints)

    @property
    def records(self) -> Path:
        """The folder of segments."""
        return self.root / "records"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.root / "checkpoints"

    def checkpoint_path(self, name: str) -> Path:
        """Where the checkpoint `name` lies, there or not; write it with `write_atomic`."""
        if not name or name.startswith(".") or not all(c.isalnum() or c in "-_." for c in name):
            raise UserError(f"a checkpoint's name is letters, digits, -, _ and ., got {name!r}")
        return self.checkpoints / name

    def writer(self, sync: bool = True) -> Writer:
        """A writer with a segment of its own; no file is made before its first append."""
        return Writer(self.records, sync)

    def heads(self) -> list[Head]:
        """One head for each run that has a record, in the order of ids.

        Where a run has several records, the first that is done or diverged counts, else the first.
        """
        self._refresh()
        return [_winner(self._by_id[key]) for key in sorted(self._by_id)]

    def attempts(self, run_id: str) -> list[Head]:
        """Every record of one run, in the order in which their segments were begun."""
        self._refresh()
        return list(self._by_id.get(run_id, ()))

    def ids(
        self,
        outcomes: Collection[Outcome] = _TRAINED,
        check: bool = False,
        *,
        among: Iterable[str] | None = None,
    ) -> set[str]:
        """The runs whose record has one of these outcomes.

        check: read their traces too, and leave out runs of which no trace matches its checksums: to train
        them again mends the store. among: of these runs only, which costs their number and not that of all
        records.
        """
        self._refresh()
        asked = self._by_id if among is None else [i for i in among if i in self._by_id]
        found = {i for i in asked if _winner(self._by_id[i]).status.outcome in outcomes}
        return {i for i in found if self._sound(i, outcomes)} if check else found

    def _sound(self, run_id: str, outcomes: Collection[Outcome]) -> bool:
        return any(_problem(h) is None for h in self._by_id[run_id] if h.status.outcome in outcomes)

    def load(self, run: Head | str) -> Record:
        """The record of a head or of an id, with its trace. Errors: as `trace`."""
        head = run if isinstance(run, Head) else self._find(run)
        return Record(head.run(), head.status, self.trace(head), head.summary, head.provenance)

    def trace(self, run: Head | str, only: Collection[str] | None = None) -> dict[str, Series]:
        """What was measured in a run, by name. only: read these series alone, those of them that exist.

        Where the trace is damaged and the run has another record of the same outcome, that one is read.
        Errors: UserError for an id without a record, and where no trace of the run matches its checksums.
        """
        head = run if isinstance(run, Head) else self._find(run)
        try:
            return _trace(head, only)
        except Corrupt as error:
            for other in self.attempts(head.id):
                if other.status.outcome == head.status.outcome and _problem(other) is None:
                    return _trace(other, only)
            raise UserError(
                f"a stored trace must match its checksums; that of run {head.id} does not ({error} in "
                f"{head.place.traces}): train the run again with the command that did; its new record will "
                "be read"
            ) from error

    def _find(self, run_id: str) -> Head:
        """The head that counts, without looking at the disk where a trained run is known already."""
        known = self._by_id.get(run_id)
        if known is None or _winner(known).status.outcome not in _TRAINED:
            known = self.attempts(run_id)
        if not known:
            raise UserError(
                f"no record of run {run_id!r} in {self.root}: `preheat results` lists those that there are"
            )
        return _winner(known)

    def damage(self, check: bool = False) -> list[Damage]:
        """What in the segments is no whole record. check: read every trace too."""
        self._refresh()
        found = [d for seen in self._read.values() for d in seen.damage]
        if check:
            problems = ((h, _problem(h)) for heads in self._by_id.values() for h in heads)
            found += [Damage(h.place.traces, h.place.at, h.place.size, why) for h, why in problems if why]
        return sorted(found)

    def _refresh(self) -> None:
        """Read what was appended since the last look; a segment that changed in another way is read anew with
        all others."""
        now = self._sizes()
        if any(
            name not in now or not seen.grown(now[name])
            for name, seen in self._read.items()
            if seen.sizes != now.get(name)
        ):
            self._read.clear()
            self._by_id.clear()
        with _no_collection():
            for name, sizes in now.items():
                seen = self._read.get(name, _Seen((0, 0), 0, []))
                if seen.sizes != sizes:
                    found = read_segment(self.records / name, seen.end)
                    self._read[name] = _Seen((max(sizes[0], found.end), sizes[1]), found.end, found.damage)
                    self._add(found.heads)

    def _sizes(self) -> dict[str, tuple[int, int]]:
        """{segment: sizes of its heads and its traces}, in the order of names."""
        try:
            with os.scandir(self.records) as entries:
                sizes = {entry.name: entry.stat().st_size for entry in entries}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise explain("read records", self.records, error) from error
        return {
            n: (sizes[n], sizes.get(n.removesuffix("jsonl") + "bin", 0))
            for n in sorted(sizes)
            if n.endswith(".jsonl")
        }

    def _add(self, heads: list[Head]) -> None:
        """Keep the records of each run in the order in which their segments were begun."""
        for head in heads:
            known = self._by_id.setdefault(head.id, [])
            known.append(head)
            if len(known) > 1 and _begun(known[-2]) > _begun(head):
                known.sort(key=_begun)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Many small objects are about to be made, none of them garbage: looking for some doubles the time."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def _begun(head: Head) -> tuple[str, int]:
    """The order of records: by segment, as their names tell when they were begun, then by line."""
    return head.place.heads.name, head.place.line


def _winner(heads: list[Head]) -> Head:
    return next((h for h in heads if h.status.outcome in _TRAINED), heads[0])


def _trace(head: Head, only: Collection[str] | None) -> dict[str, Series]:
    if not head.place.size:
        return decode(head.groups, lambda at, size: b"", only=only)
    try:
        file = os.open(head.place.traces, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:

            def read(at: int, size: int) -> bytes:
                os.lseek(file, head.place.at + at, os.SEEK_SET)
                return os.read(file, size)

            if only is not None:
                return decode(head.groups, read, only=only)
            data = read(0, head.place.size)
            return decode(head.groups, lambda at, size: data[at : at + size])
        finally:
            os.close(file)
    except OSError as error:
        raise explain(f"read the trace of run {head.id}", head.place.traces, error) from error


def _problem(head: Head) -> str | None:
    """What is wrong with the trace of a head, or None."""
    try:
        _trace(head, None)
    except Corrupt as error:
        return f"{error} of run {head.id} do not match their checksum"
    return None
