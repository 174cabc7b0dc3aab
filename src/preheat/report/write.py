"""Writing a report: the page, its figures as files, the tables and the summary."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from preheat.analysis.words import slug
from preheat.core.canon import known
from preheat.core.errors import UserError
from preheat.report.page import render
from preheat.report.plates import Drawn, apart, paint
from preheat.report.report import Report
from preheat.store.blobs import write_atomic

Lines = Sequence[Mapping[str, Any]]


def write_report(report: Report, folder: Path, *, provenance: Mapping[str, str]) -> Path:
    """Write `report.html`, `summary.json`, `tables/` and `figures/` into `folder`; gives the page's path.

    Equal arguments give equal bytes: no date, no host, no path is written that is not in `provenance`.
    Each file is replaced whole, the page last, so a page never names a file that is not there; then what an
    earlier report left in the two folders is removed. A table without rows is left out; a number that is not
    finite becomes null in JSON and empty in CSV. Errors: UserError for a table's name that can't be a file's,
    and where the folder can't be written.
    """
    contents: dict[str, bytes] = {"summary.json": _json(report.summary())}
    for name, rows in report.tables().items():
        if slug(name) != name.replace("_", "-"):
            raise UserError(
                f"a table's name is lower-case letters, digits, - and _, got {name!r}: write "
                f"{slug(name) or 'runs'!r}"
            )
        if rows:
            contents |= {f"tables/{name}.csv": to_csv(rows), f"tables/{name}.json": _json(list(rows))}
    drawn = _drawn(report)
    for d in (d for some in drawn.values() for d in some):
        contents |= {f"figures/{d.plate.name}.png": d.png, f"figures/{d.plate.name}.svg": d.svg}
    page = render(report, drawn=drawn, provenance=provenance, listing=list(contents))
    contents["report.html"] = page.encode()
    for relative, data in contents.items():
        _folder((folder / relative).parent)
        write_atomic(folder / relative, data)
    _clear(folder, set(contents))
    return folder / "report.html"


def _drawn(report: Report) -> dict[str, list[Drawn]]:
    """Every chapter's figures; names are unique over the page."""
    plates = [(c.name, p) for c in report.chapters for p in c.shown.plates]
    out: dict[str, list[Drawn]] = {}
    for (chapter, _), plate in zip(plates, apart([p for _, p in plates]), strict=True):
        out.setdefault(chapter, []).append(paint(plate))
    return out


PAIRS = {"figures": (".png", ".svg"), "tables": (".csv", ".json")}


def _clear(folder: Path, kept: Collection[str]) -> None:
    """Remove the figures and tables of an earlier report that this one has not written.

    A report's files come in pairs of one name, in lower-case letters, digits, - and _; anything else is
    someone's own and stays. A file that can't be removed stays too: the page does not name it.
    """
    for name, pair in PAIRS.items():
        for first in sorted((folder / name).glob(f"*{pair[0]}")):
            files = [first.with_suffix(end) for end in pair]
            ours = slug(first.stem) == first.stem.replace("_", "-") and f"{name}/{first.name}" not in kept
            if ours and all(p.is_file() and not p.is_symlink() for p in files):
                with suppress(OSError):
                    for p in files:
                        p.unlink()


def _folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"a report needs a folder that can be written, got {str(path)!r}: {error.strerror}; choose "
            "another"
        ) from error


def to_csv(rows: Lines) -> bytes:
    """Rows as CSV, UTF-8: a column for every key in the order of first sight, None empty, floats in full.

    >>> to_csv([{"a": 1, "b": 0.1}, {"b": None, "c": "x,y"}])
    b'a,b,c\\n1,0.1,\\n,,"x,y"\\n'
    """
    columns = list(dict.fromkeys(k for row in rows for k in row))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_field(row.get(k)) for k in columns] for row in rows)
    return out.getvalue().encode()


def _field(value: Any) -> Any:
    kept = known(value)
    return json.dumps(kept, sort_keys=True) if isinstance(value, Mapping | list | tuple) else kept


def _json(value: Any) -> bytes:
    return (json.dumps(known(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
