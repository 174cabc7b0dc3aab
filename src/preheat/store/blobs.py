"""Small files that are replaced whole: checkpoints, `study.json`, `plan.json`.

A reader sees the old content or the new one, never a part: the bytes go to a hidden file in the same folder,
reach the disk, and are renamed over the target.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from preheat.core.canon import plain
from preheat.core.errors import UserError, explain

_MARK = ".preheat-tmp"
_STALE_SECONDS = 3600.0
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


def write_all(fd: int, data: bytes) -> None:
    """All of `data`: the system may take a part at a time."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` survive a power cut, where the system lets a folder be synced."""
    with suppress(OSError):
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def write_atomic(path: Path, data: bytes) -> None:
    """Replace the file at `path` by `data`, wholly or not at all.

    Errors: UserError where the folder can't be written or the disk is full; the old file is then untouched
    and nothing new is left behind.
    """
    temp = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{_MARK}")
    try:
        fd = os.open(temp, CREATE, 0o666)
        try:
            write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(temp, path)
    except BaseException as error:
        with suppress(OSError):
            temp.unlink()
        if isinstance(error, OSError):
            raise explain(f"write {path.name}", path.parent, error) from error
        raise
    sync_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Replace the file at `path` by `value` as readable JSON; NaN and infinity are refused."""
    write_atomic(path, (json.dumps(plain(value), indent=1, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """The JSON data of a file. Errors: UserError where it is missing, can't be read or isn't JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"no such file: {path}") from error
    except OSError as error:
        raise explain(f"read {path.name}", path.parent, error) from error
    except ValueError as error:
        raise UserError(f"{path} must hold JSON: {error}") from error


def sweep(folder: Path) -> None:
    """Remove what killed writers left half-written; a younger file may still be in the making."""
    with suppress(OSError):
        for temp in folder.glob(f".*{_MARK}"):
            if time.time() - temp.stat().st_mtime > _STALE_SECONDS:
                temp.unlink()
