"""Fetching one file: over HTTP, by one process at a time, going on where the last attempt stopped, moved into
place when right.

pooch holds the rules (the checksum, the move into place); the transfer is ours, because pooch's own starts
again from the first byte. What has come in lies in the hidden file `.NAME.part` beside the target, and in
`.NAME.tag` what the server calls that version of the file: a server whose file has changed since sends it
whole, and so does one that cannot send a part.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from preheat.core.errors import UserError, explain
from preheat.tasks.sets import Download

if TYPE_CHECKING:
    from requests import Response

try:
    import fcntl
except ImportError:  # Windows: nothing keeps two processes apart there but the checksum
    fcntl = None  # type: ignore[assignment]

TIMEOUT = 30.0  # seconds without a byte
CHUNK = 1 << 18


def fetch(files: Download, folder: Path) -> Path:
    """Fetch the official file into `folder` unless it is there; its path.

    Errors: UserError where there is no connection, the server refuses, the checksum is wrong (the file is
    then removed), the folder can't be written or the disk is full. What has come in is kept in all but the
    checksum's case.
    """
    target = folder / files.file
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with alone(folder / f".{files.file}.lock", f"{files.file} is being fetched by another process"):
            if not target.exists():
                _fetch(files, folder)
    except OSError as error:
        raise explain(f"fetch {files.file}", folder, error) from error
    return target


def by_hand(files: Download, folder: Path) -> str:
    """How to do without a connection."""
    other = (
        f"; or try it with images that are made up: {files.otherwise}, then source=local"
        if files.otherwise
        else ""
    )
    return (
        f"by hand: download {files.url} (md5 {files.md5}), put it at {(folder / files.file).absolute()} and "
        f"run the same command again{other}"
    )


def _fetch(files: Download, folder: Path) -> None:
    """One file through pooch. A folder or disk that refuses is an OSError, which the caller explains."""
    import pooch
    import requests

    part = folder / f".{files.file}.part"
    print(f"fetching {files.file} ({files.megabytes} MB) from {files.url}", file=sys.stderr)
    pooch.get_logger().setLevel("WARNING")  # it would say the same again

    def download(url: str, output: str, _: object) -> None:
        _transfer(url, part)
        os.replace(part, output)
        _tag(part).unlink(missing_ok=True)

    try:
        pooch.retrieve(files.url, f"md5:{files.md5}", fname=files.file, path=folder, downloader=download)
    except requests.RequestException as error:
        kept = part.stat().st_size if part.exists() else 0
        more = f"{kept / 1e6:.1f} MB of it are kept and the same command goes on from there; " if kept else ""
        raise UserError(
            f"cannot fetch {files.file}: {_reason(error, files.url)}; {more}{by_hand(files, folder)}"
        ) from error
    except ValueError as error:  # pooch's checksum
        raise UserError(
            f"{files.file} as it came from {files.url} is not the official file and was removed: "
            f"{_sums(error)}: run the same command again, or {by_hand(files, folder)}"
        ) from error


def _sums(error: ValueError) -> str:
    """Both checksums, from pooch's sentence."""
    text = str(error)
    start, end = text.find("expected"), text.find(". Deleted")
    return text[start:end] if 0 <= start < end else text


def _reason(error: Exception, url: str) -> str:
    """What went wrong on the way, in a few words."""
    import requests

    host = urlsplit(url).netloc
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"{host} answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return f"{host} did not answer within {TIMEOUT:g} seconds"
    if isinstance(error, requests.exceptions.SSLError | requests.exceptions.ProxyError):
        return f"no connection to {host} ({error})"
    if isinstance(error, requests.ConnectionError):
        return f"no connection to {host}"
    return f"the connection to {host} broke"


@contextmanager
def alone(path: Path, busy: str) -> Iterator[None]:
    """Only one process at a time is inside, by the lock on the file `path`; another says `busy`, and waits.
    Who comes in looks first whether the work is done."""
    with open(path, "a", encoding="utf-8") as lock:
        if fcntl:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"{busy}: waiting for it", file=sys.stderr)
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield
        path.unlink(missing_ok=True)  # the work is done, so nobody who takes a new lock does it


def _tag(part: Path) -> Path:
    return part.with_suffix(".tag")


def _transfer(url: str, part: Path) -> None:
    """Bring `part` to its full length, in several connections as long as each brings it further than it was.

    Errors: requests.RequestException, with what has come in kept; OSError of the disk.
    """
    import requests

    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            if _attempt(url, part, before):
                return
            raise requests.ConnectionError("the connection ended early")
        except (requests.exceptions.ChunkedEncodingError, requests.ConnectionError):
            if not part.exists() or part.stat().st_size <= before:
                raise


def _attempt(url: str, part: Path, have: int) -> bool:
    """One connection; whether the file is whole now. A server that has no part to send is asked for the
    whole."""
    import requests

    headers = {"Accept-Encoding": "identity"}  # the file's own bytes
    if have:
        headers["Range"] = f"bytes={have}-"
        if _tag(part).exists():
            headers["If-Range"] = _tag(part).read_text(encoding="utf-8")
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        span = response.headers.get("Content-Range", "")
        if response.status_code == 416 and span == f"bytes */{have}":
            return True
        right = re.fullmatch(rf"bytes {have}-\d+/(\d+)", span) if response.status_code == 206 else None
        if have and (response.status_code == 416 or (response.status_code == 206 and not right)):
            part.unlink()
            return _attempt(url, part, 0)
        response.raise_for_status()
        length = right[1] if right else response.headers.get("Content-Length", "")
        return _save(response, part, have if right else 0, int(length) if length.isdigit() else None)


def _save(response: Response, part: Path, start: int, total: int | None) -> bool:
    """Write the body behind the first `start` bytes, with a bar on stderr; whether all has come."""
    from tqdm import tqdm

    tag = response.headers.get("ETag", "")
    tag = response.headers.get("Last-Modified", "") if not tag or tag.startswith("W/") else tag
    with open(part, "r+b" if start else "wb") as file:
        if tag:
            _tag(part).write_text(tag, encoding="utf-8")
        else:
            _tag(part).unlink(missing_ok=True)
        file.seek(start)
        shown: Any = tqdm(
            total=total,
            initial=start,
            unit="B",
            unit_scale=True,
            desc=part.name[1:].removesuffix(".part"),
            file=sys.stderr,
            mininterval=0.1 if sys.stderr.isatty() else 10.0,
        )
        with shown:
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                shown.update(len(chunk))
        return total is None or file.tell() == total
