"""Claims on a PostgreSQL server: a run is trained by one process at a time, on any number of machines."""

from __future__ import annotations

from pathlib import Path

from preheat.lab.claims import Claiming, Claims
from preheat.store.server import connect, reached


def server_claims(url: str, root: Path) -> Claiming:
    """The claims of this process on a server and on its own results folder."""
    return ServerClaims(url, Claims(root))


class ServerClaims(Claiming):
    """The claims of this process on a server: advisory locks, which the server drops with the connection, so
    those of a machine that is gone are free again.

    local: the claims of the same process on its own results folder, which count too.
    """

    def __init__(self, url: str, local: Claiming) -> None:
        self._url, self._local, self._open = url, local, connect(url)

    def take(self, run_id: str) -> bool:
        """Whether the run is ours now; False if another process or machine has it."""
        if not self._local.take(run_id):
            return False
        if self._ask("select pg_try_advisory_lock(%s)", run_id):
            return True
        self._local.drop(run_id)
        return False

    def drop(self, run_id: str) -> None:
        """Give the run back."""
        self._ask("select pg_advisory_unlock(%s)", run_id)
        self._local.drop(run_id)

    def close(self) -> None:
        """Drop every claim of this process."""
        self._open.close()
        self._local.close()

    def _ask(self, question: str, run_id: str) -> bool:
        with reached(self._url):
            row = self._open.execute(question, (key(run_id),)).fetchone()
        return bool(row and row[0])


def key(run_id: str) -> int:
    """A run's id as the server's whole number of 64 bits, with a sign."""
    number = int(run_id[:16], 16)
    return number - 2**64 if number >= 2**63 else number
