"""Images decoded once: the bytes of a folder of images in one file, which is mapped into memory from then on.

The file is `decoded/NAME-HASH.npy` in the data folder, uint8 [N, 3, S, S] in the order of the tree. A json
beside it says what was decoded. It is made anew where names, sizes or times of change of the images are
others (of a zip: names, sizes and checksums), or where the file itself is not as it was written.

Rows are appended to a hidden file, which is moved into place when whole. Who is killed, or meets a full disk,
goes on from the last whole row. One process decodes at a time, others wait for it. `BYTES` of pixels are in
memory at a time, or one image.
"""

from __future__ import annotations

import io
import json
import os
import sys
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b, md5
from pathlib import Path
from typing import IO, Any

import numpy as np

from preheat.core.errors import UserError, explain
from preheat.tasks.fetching import alone
from preheat.tasks.folders import Tree

BYTES = 1 << 25
SHOWN = 2000  # images from which on a bar is drawn
MD5 = 16


@dataclass(frozen=True, eq=False)
class Decoded:
    """images: uint8 [N, 3, S, S], mapped, copied where written to. md5: of the names and of the md5s of the
    files, one after the other."""

    images: np.ndarray
    md5: str


_mapped: dict[Path, tuple[tuple[str, int, int], Decoded]] = {}


def decoded(tree: Tree, size: int, *, resize: bool, folder: Path) -> Decoded:
    """The images of a tree as RGB bytes of `size` x `size` pixels; read from the data folder `folder` where
    they were decoded before.

    resize: bring the shorter side to `size` (bilinear, antialiased) and cut out the middle; without it an
    image of another size is an error. Grey images get three equal channels, transparency is dropped, CMYK is
    converted; the rotation that a camera notes is not applied.
    Errors: UserError for an image that can't be read, with its name, and for a folder or disk that refuses.
    """
    name = repr((str(tree.root), size, resize)).encode("utf-8", "surrogateescape")
    target = (
        folder.absolute() / "decoded" / f"{tree.root.stem}-{blake2b(name, digest_size=4).hexdigest()}.npy"
    )
    shape = (len(tree.names), 3, size, size)
    what = f"{shape[0]:,} images of {tree.root}"
    if found := _kept(tree, shape, target):
        return found
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with alone(target.with_name(f".{target.name}.lock"), f"{what} are being decoded by another process"):
            if found := _kept(tree, shape, target):
                return found
            print(f"decoding {what} once, into {target}", file=sys.stderr)
            _decode(tree, shape, resize, target)
    except OSError as error:
        told = explain(f"decode {what}", target, error)
        raise UserError(
            f"{told}; what was decoded is kept, and the same command goes on from there"
        ) from error
    found = _kept(tree, shape, target)
    if not found:
        raise UserError(f"{target} changed while it was read: run the same command again")
    return found


def _stamp(target: Path) -> tuple[int, int]:
    with suppress(OSError):
        found = target.stat()
        return found.st_size, found.st_mtime_ns
    return 0, 0


def _kept(tree: Tree, shape: tuple[int, ...], target: Path) -> Decoded | None:
    """What was decoded before, where it is of these files and as it was written."""
    state = (tree.key, *_stamp(target))
    if target in _mapped and _mapped[target][0] == state:
        return _mapped[target][1]
    try:
        said = json.loads(target.with_suffix(".json").read_bytes())
        if (said["key"], *said["written"]) != state:
            return None
        images = np.load(target, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if images.dtype != np.uint8 or images.shape != shape or not images.flags.c_contiguous:
        return None
    made = Decoded(images, str(said["md5"]))
    _mapped[target] = (state, made)
    return made


def _decode(tree: Tree, shape: tuple[int, ...], resize: bool, target: Path) -> None:
    """Append the rows that are missing, then move the file into place."""
    part, sums = (target.with_name(f".{target.stem}.{tree.key}.{kind}") for kind in ("part", "sums"))
    for old in target.parent.glob(f".{target.stem}.*.*"):
        if old.suffix in (".part", ".sums") and old not in (part, sums):
            old.unlink(missing_ok=True)
    with open(part, "a+b") as pixels, open(sums, "a+b") as marks:
        done = _whole_rows(pixels, marks, shape)
        with _bar(shape[0], done) as step:
            for rows in _rows(tree, shape, resize, done):
                pixels.writelines(row for row, _ in rows)
                marks.writelines(mark for _, mark in rows)
                pixels.flush()
                marks.flush()
                step(len(rows))
        os.fsync(pixels.fileno())
    whole = md5("\n".join(tree.names).encode("utf-8", "surrogateescape"), usedforsecurity=False)
    whole.update(sums.read_bytes())
    about = target.with_suffix(".json")
    about.unlink(missing_ok=True)  # what it says is of the file that goes
    os.replace(part, target)
    made = {"key": tree.key, "written": _stamp(target), "md5": whole.hexdigest()}
    temp = about.with_name(f".{about.name}")
    temp.write_text(json.dumps(made), encoding="utf-8")
    os.replace(temp, about)
    sums.unlink()


def _whole_rows(pixels: IO[bytes], marks: IO[bytes], shape: tuple[int, ...]) -> int:
    """How many rows both files hold already; what is behind them is cut off, and a new file gets its head."""
    head, row = io.BytesIO(), int(np.prod(shape[1:]))
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": shape})
    start = len(head.getvalue())
    length = pixels.seek(0, os.SEEK_END)
    done = max(min((length - start) // row, marks.seek(0, os.SEEK_END) // MD5), 0)
    pixels.truncate(start + done * row if done else 0)
    marks.truncate(done * MD5)
    if not done:
        pixels.write(head.getvalue())
    return done


def _rows(tree: Tree, shape: tuple[int, ...], resize: bool, done: int) -> Iterator[list[tuple[bytes, bytes]]]:
    """(pixels, md5 of the file) of the images from row `done` on, some at a time."""
    some = max(min(BYTES // int(np.prod(shape[1:])), 1024), 1)
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with _opened(tree) as load, ThreadPoolExecutor(threads) as pool:

        def row(name: str) -> tuple[bytes, bytes]:
            content = load(name)
            return _pixels(content, shape[-1], resize, f"{name} in {tree.root}"), md5(
                content, usedforsecurity=False
            ).digest()

        for i in range(done, len(tree.names), some):
            yield list(pool.map(row, tree.names[i : i + some]))


@contextmanager
def _opened(tree: Tree) -> Iterator[Callable[[str], bytes]]:
    """What reads a file of the tree by its name; a zip is opened once."""
    archive = None if tree.root.is_dir() else zipfile.ZipFile(tree.root)

    def load(name: str) -> bytes:
        try:
            return (tree.root / name).read_bytes() if archive is None else archive.read(tree.top + name)
        except (
            OSError,
            EOFError,
            zipfile.BadZipFile,
            RuntimeError,
            ValueError,
        ) as error:
            raise UserError(
                f"{name} in {tree.root} must be readable, it is damaged or locked ({error}): remove it"
            ) from error

    try:
        yield load
    finally:
        if archive:
            archive.close()


def _pixels(content: bytes, size: int, resize: bool, what: str) -> bytes:
    """One image, its three planes one after the other."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
            if image.mode.startswith(("I", "F")):
                raise UserError(f"{what} must have 8 bits a channel, it has more ({image.mode}): convert it")
            if image.size != (size, size) and not resize:
                width, height = image.size
                raise UserError(
                    f"{what} must be {size} x {size} pixels, it is {width} x {height}: set "
                    "resize=true, or pixels"
                )
            shown = image.convert("RGB")
    except UserError:
        raise
    except UnidentifiedImageError as error:  # its text names an object in memory
        raise UserError(
            f"{what} must be a JPEG or PNG, it is cut off or damaged, or of another format: convert, replace "
            "or remove it"
        ) from error
    except Exception as error:  # a damaged image raises nearly anything
        raise UserError(
            f"{what} must be a JPEG or PNG, it is cut off or damaged ({error}): replace or remove it"
        ) from error
    if shown.size != (size, size):
        shown = _fitted(shown, size)
    return np.asarray(shown).transpose(2, 0, 1).tobytes()


def _fitted(image: Any, size: int) -> Any:
    """The shorter side brought to `size`, the middle cut out."""
    from PIL import Image

    width, height = image.size
    short = min(width, height)
    left, up = (width - short) / 2, (height - short) / 2
    return image.resize((size, size), Image.Resampling.BILINEAR, box=(left, up, left + short, up + short))


@contextmanager
def _bar(total: int, done: int) -> Iterator[Callable[[int], object]]:
    """What is told how many more are done: a bar on stderr for many images, nothing for few."""
    if total < SHOWN:
        yield lambda count: None
        return
    from tqdm import tqdm

    every = 0.1 if sys.stderr.isatty() else 10.0
    with tqdm(total=total, initial=done, unit=" images", file=sys.stderr, mininterval=every) as shown:
        yield shown.update
