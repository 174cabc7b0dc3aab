"""A PostgreSQL server as the place where machines share records."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from preheat.core.errors import UserError
from preheat.core.record import Record
from preheat.store.packed import pack, unpack

if TYPE_CHECKING:
    from psycopg import Connection

TABLE = "preheat_records"
_MADE = f"""create table if not exists {TABLE} (
    run text primary key, record bytea not null, written timestamptz not null default now())"""
WAIT = 10  # seconds until a server counts as gone


def is_server(url: str) -> bool:
    """Whether a URL names a PostgreSQL server."""
    return url.startswith(("postgresql://", "postgres://", "postgresql+psycopg://"))


def plain_url(url: str) -> str:
    """As libpq reads it: postgresql://...

    >>> plain_url("postgresql+psycopg://me@here/there")
    'postgresql://me@here/there'
    """
    return re.sub(r"^postgres(ql)?(\+psycopg)?://", "postgresql://", url)


def hidden(url: str) -> str:
    """A URL without its password, for messages.

    >>> hidden("postgresql://me:secret@here/there")
    'postgresql://me:***@here/there'
    """
    return re.sub(r"(//[^:/@]*):[^@]*@", r"\1:***@", url)


def connect(url: str) -> Connection[Any]:
    """A connection in which each statement is a transaction. Errors: UserError where there is none."""
    try:
        import psycopg
    except ImportError as error:
        raise UserError(
            'a PostgreSQL storage needs psycopg, which is not installed: pip install "preheat[search]"'
        ) from error
    with reached(url):
        return psycopg.connect(plain_url(url), autocommit=True, connect_timeout=WAIT)


@contextmanager
def reached(url: str) -> Iterator[None]:
    """What the server's driver raises as an error for users."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("psycopg", "sqlalchemy", "optuna", "sqlite3"):
            raise
        line = str(error).strip().partition("\n")[0]
        if url.startswith("sqlite:///") and "locked" not in line:
            raise UserError(
                f"the storage {url} can't be used ({type(error).__name__}: {line}): delete the file or move "
                "it away; it is written anew from the records"
            ) from error
        raise UserError(
            f"the storage {hidden(url)} can't be used ({type(error).__name__}: {line}): what was trained is "
            "kept, and the same command goes on once it can"
        ) from error


class Shelf:
    """The records that machines share on a server."""

    def __init__(self, url: str) -> None:
        self._url, self._open = url, connect(url)
        with reached(url):
            self._open.execute("select pg_advisory_lock(7)")  # two machines that make the table at once
            try:
                self._open.execute(_MADE)
            finally:
                self._open.execute("select pg_advisory_unlock(7)")

    def names(self, among: Collection[str]) -> set[str]:
        """Which of these runs have a record there."""
        with reached(self._url):
            rows = self._open.execute(f"select run from {TABLE} where run = any(%s)", (list(among),))
            return {str(row[0]) for row in rows}

    def put(self, record: Record) -> None:
        """Give a record, in place of what is held of its run."""
        said = (
            f"insert into {TABLE} (run, record) values (%s, %s) "
            "on conflict (run) do update set record = excluded.record"
        )
        with reached(self._url):
            self._open.execute(said, (record.id, pack(record)))

    def take(self, run_id: str) -> Record:
        """A record. Errors: UserError where it is damaged."""
        with reached(self._url):
            row = self._open.execute(f"select record from {TABLE} where run = %s", (run_id,)).fetchone()
        assert row is not None
        return unpack(bytes(row[0]))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One process at a time, on all machines."""
        with reached(self._url):
            self._open.execute("select pg_advisory_lock(8)")
        try:
            yield
        finally:
            with reached(self._url):
                self._open.execute("select pg_advisory_unlock(8)")

    def close(self) -> None:
        """Close the connection."""
        self._open.close()


def check_storage(url: str) -> None:
    """Errors: UserError for a storage that is neither a SQLite file nor a PostgreSQL server."""
    if not is_server(url) and (not url.startswith("sqlite:///") or url.endswith((":memory:", "///"))):
        raise UserError(
            f"a storage is sqlite:///FILE or postgresql://USER@HOST/DATABASE, got {hidden(url)!r}: leave "
            "--storage out for a SQLite file in the study's folder"
        )


def sqlalchemy_url(url: str) -> str:
    """As SQLAlchemy reads it, with the driver that is installed.

    >>> sqlalchemy_url("postgres://me@here/there")
    'postgresql+psycopg://me@here/there'
    """
    return plain_url(url).replace("postgresql://", "postgresql+psycopg://", 1) if is_server(url) else url
