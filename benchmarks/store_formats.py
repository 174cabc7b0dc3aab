"""The formats that `benchmarks/store.py` compares; all keep the same heads and the same float32 series."""

from __future__ import annotations

import json
import os
import sqlite3
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Protocol

from preheat.core.record import Record, Series
from preheat.store.segment import line_of
from preheat.store.store import Store
from preheat.store.trace import decode, encode

COLUMN = "c0"
Append = Callable[[Sequence[Record]], None]


class Format(Protocol):
    """write: yields the function that appends a batch. The others open what was written anew."""

    def write(self, folder: Path, sync: bool) -> Iterator[Append]: ...

    def heads(self, folder: Path) -> list[Any]: ...

    def last(self, folder: Path) -> list[float]: ...

    def load(self, folder: Path) -> Callable[[str], int]:
        """A function from a run's id to the number of values in its trace."""
        ...


def head_of(record: Record) -> str:
    """What all rivals keep of a record besides its trace."""
    return line_of(record, 0, 0, encode({})[1]).decode()


def values_of(trace: dict[str, Series]) -> int:
    return sum(len(s.values) for s in trace.values())


class Segments:
    """Ours: per writer one file of JSON lines and one of traces."""

    def write(self, folder: Path, sync: bool) -> Iterator[Append]:
        with Store.open(folder).writer(sync) as writer:
            yield writer.append

    def heads(self, folder: Path) -> list[Any]:
        return Store.open(folder, create=False).heads()

    def last(self, folder: Path) -> list[float]:
        store = Store.open(folder, create=False)
        return [store.trace(h, only=(COLUMN,))[COLUMN].values[-1] for h in store.heads()]

    def load(self, folder: Path) -> Callable[[str], int]:
        store = Store.open(folder, create=False)
        return lambda run_id: values_of(store.trace(run_id))


@dataclass(frozen=True)
class Frames:
    """One file per writer, head and trace of a record side by side; level: of zlib, 0 for none."""

    level: int = 0
    prefix = struct.Struct("<4sIQII")

    def write(self, folder: Path, sync: bool) -> Iterator[Append]:
        with open(folder / "segment", "ab", buffering=0) as file:

            def append(records: Sequence[Record]) -> None:
                file.write(b"".join(self._frame(r) for r in records))
                if sync:
                    os.fsync(file.fileno())

            yield append

    def _frame(self, record: Record) -> bytes:
        body, groups = encode(record.trace)
        body = zlib.compress(body, self.level) if self.level else body
        head = line_of(record, 0, len(body), groups)
        return (
            self.prefix.pack(b"PRHT", len(head), len(body), zlib.crc32(head), zlib.crc32(body)) + head + body
        )

    def _scan(self, folder: Path) -> Iterator[tuple[int, dict[str, Any]]]:
        with open(folder / "segment", "rb", buffering=0) as file:
            while prefix := file.read(self.prefix.size):
                _, head, body, crc, _ = self.prefix.unpack(prefix)
                text = file.read(head)
                assert zlib.crc32(text) == crc
                yield file.tell(), json.loads(text)
                file.seek(body, os.SEEK_CUR)

    def heads(self, folder: Path) -> list[Any]:
        return list(self._scan(folder))

    def _trace(
        self, file: Any, at: int, head: dict[str, Any], only: Sequence[str] | None
    ) -> dict[str, Series]:
        file.seek(at)
        body = file.read(head["trace"]["size"])
        body = zlib.decompress(body) if self.level else body
        return decode(head["trace"]["groups"], lambda at, size: body[at : at + size], only=only)

    def last(self, folder: Path) -> list[float]:
        with open(folder / "segment", "rb", buffering=0) as file:
            return [self._trace(file, at, h, (COLUMN,))[COLUMN].values[-1] for at, h in self._scan(folder)]

    def load(self, folder: Path) -> Callable[[str], int]:
        places: dict[str, tuple[int, dict[str, Any]]] = {}

        def one(run_id: str) -> int:
            if not places:
                places.update({h["id"]: (at, h) for at, h in self._scan(folder)})
            with open(folder / "segment", "rb", buffering=0) as file:
                return values_of(self._trace(file, *places[run_id], None))

        return one


class Files:
    """Two files per run, head and trace, in 256 folders."""

    def write(self, folder: Path, sync: bool) -> Iterator[Append]:
        def append(records: Sequence[Record]) -> None:
            for record in records:
                data, groups = encode(record.trace)
                path = folder / record.id[:2] / record.id
                path.parent.mkdir(exist_ok=True)
                for suffix, content in ((".bin", data), (".json", line_of(record, 0, len(data), groups))):
                    with open(path.with_suffix(suffix), "wb", buffering=0) as file:
                        file.write(content)
                        if sync:
                            os.fsync(file.fileno())

        yield append

    def heads(self, folder: Path) -> list[Any]:
        return [json.loads(path.read_bytes()) for path in folder.glob("*/*.json")]

    def _trace(self, path: Path, head: dict[str, Any], only: Sequence[str] | None) -> dict[str, Series]:
        with open(path.with_suffix(".bin"), "rb", buffering=0) as file:
            return decode(
                head["trace"]["groups"], lambda at, size: (file.seek(at), file.read(size))[1], only=only
            )

    def last(self, folder: Path) -> list[float]:
        heads = ((p, json.loads(p.read_bytes())) for p in folder.glob("*/*.json"))
        return [self._trace(path, head, (COLUMN,))[COLUMN].values[-1] for path, head in heads]

    def load(self, folder: Path) -> Callable[[str], int]:
        def one(run_id: str) -> int:
            path = folder / run_id[:2] / f"{run_id}.json"
            return values_of(self._trace(path, json.loads(path.read_bytes()), None))

        return one


class Sqlite:
    """Heads and traces in two tables of one database, one transaction per batch, write-ahead log."""

    def write(self, folder: Path, sync: bool) -> Iterator[Append]:
        base = sqlite3.connect(folder / "runs.db")
        base.execute("pragma journal_mode=wal")
        base.execute(f"pragma synchronous={'full' if sync else 'off'}")
        base.execute("create table heads (id text primary key, head text)")
        base.execute("create table traces (id text primary key, trace blob)")

        def append(records: Sequence[Record]) -> None:
            with base:
                for record in records:
                    data, groups = encode(record.trace)
                    head = line_of(record, 0, len(data), groups).decode()
                    base.execute("insert into heads values (?, ?)", (record.id, head))
                    base.execute("insert into traces values (?, ?)", (record.id, data))

        yield append
        base.close()

    def _rows(self, folder: Path, query: str, *values: str) -> list[tuple[Any, ...]]:
        base = sqlite3.connect(folder / "runs.db")
        try:
            return base.execute(query, values).fetchall()
        finally:
            base.close()

    def heads(self, folder: Path) -> list[Any]:
        return [json.loads(head) for (head,) in self._rows(folder, "select head from heads")]

    def last(self, folder: Path) -> list[float]:
        ((head,),) = self._rows(folder, "select head from heads limit 1")
        at = 4 * json.loads(head)["trace"]["groups"][0]["n"] - 3  # known here: no other head is read
        values = self._rows(folder, f"select substr(trace, {at}, 4) from traces")
        return [struct.unpack("<f", value)[0] for (value,) in values]

    def load(self, folder: Path) -> Callable[[str], int]:
        def one(run_id: str) -> int:
            query = "select head, trace from heads join traces using (id) where id = ?"
            ((head, data),) = self._rows(folder, query, run_id)
            groups = json.loads(head)["trace"]["groups"]
            return values_of(decode(groups, lambda at, size: data[at : at + size]))

        return one


class Jsonl:
    """One line of JSON per record with every number in it."""

    def write(self, folder: Path, sync: bool) -> Iterator[Append]:
        with open(folder / "runs.jsonl", "a") as file:

            def append(records: Sequence[Record]) -> None:
                for r in records:
                    trace = {n: [s.steps.tolist(), s.values.tolist()] for n, s in r.trace.items()}
                    file.write(json.dumps({"head": head_of(r), "id": r.id, "trace": trace}) + "\n")
                file.flush()
                if sync:
                    os.fsync(file.fileno())

            yield append

    def _lines(self, folder: Path) -> Iterator[dict[str, Any]]:
        with open(folder / "runs.jsonl") as file:
            yield from map(json.loads, file)

    def heads(self, folder: Path) -> list[Any]:
        return [json.loads(line["head"]) for line in self._lines(folder)]

    def last(self, folder: Path) -> list[float]:
        return [line["trace"][COLUMN][1][-1] for line in self._lines(folder)]

    def load(self, folder: Path) -> Callable[[str], int]:
        return lambda run_id: next(
            sum(len(v) for _, v in x["trace"].values()) for x in self._lines(folder) if x["id"] == run_id
        )


class Parquet:
    """One file per batch, a column of lists per series (zstd), the head as text."""

    def write(self, folder: Path, sync: bool) -> Iterator[Append]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        shards = count()

        def append(records: Sequence[Record]) -> None:
            columns: dict[str, Any] = {"id": [r.id for r in records], "head": [head_of(r) for r in records]}
            for name, series in records[0].trace.items():
                flat = pa.concat_arrays(
                    [pa.array(memoryview(r.trace[name].values), pa.float32()) for r in records]
                )
                ends = [i * len(series.values) for i in range(len(records) + 1)]
                columns[name] = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), flat)
            path = folder / f"{next(shards):06}.parquet"
            with open(path, "wb") as file:
                pq.write_table(pa.table(columns), file, compression="zstd", use_dictionary=False)
                if sync:
                    os.fsync(file.fileno())

        yield append

    def _read(self, folder: Path, columns: Sequence[str] | None, **rest: Any) -> Any:
        import pyarrow.parquet as pq

        return pq.read_table(folder, columns=columns, **rest)

    def heads(self, folder: Path) -> list[Any]:
        return [json.loads(text) for text in self._read(folder, ["head"]).column("head").to_pylist()]

    def last(self, folder: Path) -> list[float]:
        import pyarrow.compute as pc

        column = self._read(folder, [COLUMN]).column(COLUMN)
        return list(pc.list_element(column, len(column[0]) - 1).to_pylist())

    def load(self, folder: Path) -> Callable[[str], int]:
        def one(run_id: str) -> int:
            table = self._read(folder, None, filters=[("id", "=", run_id)])
            return sum(len(table.column(n)[0]) for n in table.column_names if n not in ("id", "head"))

        return one


FORMATS: dict[str, Format] = {
    "segments": Segments(),
    "frames": Frames(),
    "frames+zlib": Frames(1),
    "files": Files(),
    "sqlite": Sqlite(),
    "parquet": Parquet(),
    "jsonl": Jsonl(),
}
