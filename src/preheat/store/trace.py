"""A trace as bytes, and back, bit by bit.

Series measured at the same steps form a group. The blocks of a group follow one another: its steps, unless
they are start, start + by, ..., then the values of each series. All numbers are little-endian.
The description of a trace is JSON, one mapping per group:

    {"n": 1000, "steps": [0, 1], "series": {"loss": ["f", "89abcdef"]}}       steps 0, 1, ..., 999
    {"n": 3, "steps": "01234567", "series": {"sharpness": ["d", "89abcdef"]}}   steps in a block of their own

f: float32, d: float64. The eight digits are the CRC-32 of a block, so that one series can be read and
checked without the others.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple
from zlib import crc32

from preheat.core.record import Series, Trace

Groups = list[dict[str, Any]]
_SIZE = {"q": 8, "d": 8, "f": 4}


class Corrupt(Exception):
    """A block whose bytes do not give its checksum."""


class Extent(NamedTuple):
    """Bytes at..at+size of a trace: `n` numbers of `kind`, of series `name` (None for steps)."""

    group: int
    name: str | None
    kind: str
    n: int
    at: int
    crc: str

    @property
    def size(self) -> int:
        """In bytes."""
        return self.n * _SIZE[self.kind]


def checksum(data: bytes) -> str:
    """CRC-32 as eight hexadecimal digits.

    >>> checksum(b"123456789")
    'cbf43926'
    """
    return f"{crc32(data):08x}"


def encode(trace: Trace) -> tuple[bytes, Groups]:
    """The bytes of a trace and their description."""
    members: dict[bytes, dict[str, Series]] = {}
    for name, series in trace.items():
        assert series.steps.typecode == "q" and series.values.typecode in "fd", name
        members.setdefault(_little(series.steps), {})[name] = series
    blocks: list[bytes] = []
    groups: Groups = []
    for stored, group in members.items():
        steps = next(iter(group.values())).steps
        rule = _progression(steps)
        if rule is None:
            blocks.append(stored)
        described = {}
        for name, series in group.items():
            blocks.append(_little(series.values))
            described[name] = [series.values.typecode, checksum(blocks[-1])]
        groups.append({"n": len(steps), "steps": rule or checksum(stored), "series": described})
    return b"".join(blocks), groups


def layout(groups: Groups) -> Iterator[Extent]:
    """Every block in the order of the bytes."""
    at = 0
    for index, group in enumerate(groups):
        columns: list[tuple[str | None, str, str]] = (
            [(None, "q", group["steps"])] if isinstance(group["steps"], str) else []
        )
        columns += [(name, kind, crc) for name, (kind, crc) in group["series"].items()]
        for name, kind, crc in columns:
            block = Extent(index, name, kind, group["n"], at, crc)
            yield block
            at += block.size


def decode(
    groups: Groups, read: Callable[[int, int], bytes], *, only: Collection[str] | None = None
) -> dict[str, Series]:
    """The trace, or the series of it named in `only`. read(at, size): bytes of the trace.

    Errors: Corrupt where a checksum fails.
    """
    steps = [_run(group) for group in groups]
    found: dict[str, Series] = {}
    for block in layout(groups):
        names = groups[block.group]["series"].keys() if block.name is None else {block.name}
        if only is not None and names.isdisjoint(only):
            continue
        data = read(block.at, block.size)
        if len(data) != block.size or checksum(data) != block.crc:
            raise Corrupt("some steps" if block.name is None else f"the values of {block.name}")
        numbers = _array(block.kind, data)
        if block.name is None:
            steps[block.group] = numbers
        else:
            found[block.name] = Series(steps[block.group], numbers)
    return found


def _run(group: dict[str, Any]) -> array[int]:
    if isinstance(group["steps"], str):
        return array("q")
    start, by = group["steps"]
    return array("q", range(start, start + by * group["n"], by))


def _progression(steps: Sequence[int]) -> list[int] | None:
    """[start, by] where step i is start + i * by and by is not 0."""
    n = len(steps)
    if n < 2:
        return [steps[0] if n else 0, 1]
    start, by = steps[0], steps[1] - steps[0]
    if by == 0 or steps[-1] != start + by * (n - 1):
        return None
    return [start, by] if steps == array("q", range(start, start + by * n, by)) else None


def _little(numbers: array[Any]) -> bytes:
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()


def _array(kind: str, data: bytes) -> array[Any]:
    numbers: array[Any] = array(kind)
    numbers.frombytes(data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
