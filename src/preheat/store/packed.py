"""A record as bytes by itself, to be sent elsewhere: its line, as in a segment, and its trace."""

from __future__ import annotations

from pathlib import Path

from preheat.core.errors import UserError
from preheat.core.record import Record
from preheat.store.segment import head_of, line_of
from preheat.store.trace import Corrupt, decode, encode

_NOWHERE = Path("a record that was sent")


def pack(record: Record) -> bytes:
    """The bytes of a record, with their checksums."""
    data, groups = encode(record.trace)
    return line_of(record, 0, len(data), groups) + data


def unpack(sent: bytes) -> Record:
    """The record that `pack` was given. Nothing of it is run.

    Errors: UserError where the bytes do not match their checksums, or are of another run than they say.
    """
    line, _, data = bytes(sent).partition(b"\n")
    head = head_of(line, 0, _NOWHERE, _NOWHERE)
    try:
        if head is None or head.place.size != len(data):
            raise Corrupt("its line")
        trace = decode(head.groups, lambda at, size: data[at : at + size])
    except Corrupt as error:
        raise UserError(
            f"a record that was sent must match its checksums, this one does not ({error}): its run is "
            "trained here instead"
        ) from error
    run = head.run()
    if run.id != head.id:
        raise UserError(f"a record must be of the run that it names, got {head.id} with the run {run.id}")
    return Record(run, head.status, trace, head.summary, head.provenance)
