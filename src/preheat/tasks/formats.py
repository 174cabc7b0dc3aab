"""What the files of the image sets hold: CIFAR's pickles and MedMNIST's npz, read with numpy alone.

Nothing in a file is trusted. A member of an archive is looked up by its exact name and read into memory, so
that no name, link or path of an archive is ever followed or written. Pickles: `preheat.tasks.pickles`.
"""

from __future__ import annotations

import math
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from preheat.core.errors import UserError, explain
from preheat.tasks.pickles import Pickled, unpickled
from preheat.tasks.sets import Files

Split = tuple[np.ndarray, np.ndarray]
MOST = 1 << 30  # bytes of one member; the largest official one has 199 MB
SPLITS = ("training", "validation", "test")


class Arrays(NamedTuple):
    """The splits: (images uint8 [N, 3, S, S], labels int64 [N]) in the files' order; CIFAR has no validation
    split."""

    train: Split
    validation: Split | None
    test: Split


def read(files: Files, path: Path) -> Arrays:
    """The splits of an archive, an unpacked folder or an npz, checked for shape, type, labels and classes.

    Errors: UserError, with the file's name, for whatever is not in the format.
    """
    if not files.unpacked:
        parts = _npz(files, path)
    else:
        raw = _folder(files, path) if path.is_dir() else _archive(files, path)
        parts = {name: _batch(files, raw.pop(name), f"{path.name}/{name}") for name in files.members}
    splits = [_joined([parts[name] for name in names]) for names in files.splits]
    for name, split in zip(SPLITS, splits, strict=True):
        if split is not None:
            _every_class(files, split[1], f"{path.name}: the {name} images")
    train, validation, test = splits
    assert train and test
    return Arrays(train, validation, test)


def _joined(parts: list[Split]) -> Split | None:
    if len(parts) < 2:
        return parts[0] if parts else None
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])


def some(items: Sequence[object], most: int) -> str:
    """The first `most` of them.

    >>> some("abc", 2), some("ab", 2)
    ('a, b, ...', 'a, b')
    """
    return ", ".join([*map(str, items[:most]), *(["..."] if len(items) > most else [])])


def _every_class(files: Files, labels: np.ndarray, what: str) -> None:
    """Every class must occur, else the file is another set's, or a part of one."""
    missing = np.flatnonzero(np.bincount(labels, minlength=files.classes) == 0)
    if len(missing):
        shown = some(missing.tolist(), 5)
        raise UserError(
            f"{what} must show every class 0 to {files.classes - 1} of {files.title}; there is none of class "
            f"{shown}: put a whole {files.title} file there"
        )


def _folder(files: Files, path: Path) -> dict[str, bytes]:
    """The members' bytes from an unpacked folder."""
    out = {}
    for name in files.members:
        member = path / name
        try:
            _small(f"{path.name}/{name}", member.stat().st_size)
            out[name] = member.read_bytes()
        except FileNotFoundError as error:
            raise UserError(
                f"{path} must hold {', '.join(files.members)}; {name} is missing: unpack {files.file} again"
            ) from error
        except OSError as error:
            raise explain(f"read {name}", path, error) from error
    return out


def _archive(files: Files, path: Path) -> dict[str, bytes]:
    """The members' bytes from the tar, in one pass, nothing unpacked."""
    wanted = {f"{files.unpacked}/{name}": name for name in files.members}
    out: dict[str, bytes] = {}
    seen: list[str] = []
    try:
        with tarfile.open(path, "r:gz") as tar:
            for member in tar:
                seen.append(member.name)
                if name := wanted.get(member.name.removeprefix("./")):
                    if not member.isreg():
                        raise UserError(
                            f"{path.name}: {member.name} must be a plain file, it is a link or a folder: "
                            "fetch it again"
                        )
                    _small(f"{path.name}/{name}", member.size)
                    out[name] = tar.extractfile(member).read()  # type: ignore[union-attr]
            while tar.fileobj and tar.fileobj.read(MOST >> 8):
                pass  # gzip checks what it has read at its end
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise UserError(
            f"{path} must be a tar.gz, it is cut off or damaged ({error}): remove it and fetch it again"
        ) from error
    except OSError as error:
        if error.errno is None:  # gzip's own
            raise UserError(
                f"{path} must be a tar.gz, it is damaged ({error}): remove it and fetch it again"
            ) from error
        raise explain(f"read {path.name}", path.parent, error) from error
    missing = [full for full, name in wanted.items() if name not in out]
    if missing:
        found = some(seen, 8) or "nothing"
        raise UserError(
            f"{path} must hold {missing[0]} as {files.title} does; found {found}: put {files.file} of "
            f"{files.title} there"
        )
    return out


def _small(what: str, size: int) -> None:
    if size > MOST:
        raise UserError(
            f"{what} must have at most {MOST:,} bytes, it has {size:,}: this is not the official format"
        )


def _batch(files: Files, data: bytes, what: str) -> Split:
    """One CIFAR batch: data uint8 [N, 3072] (1024 red, 1024 green, 1024 blue, by rows) and labels, N whole
    numbers."""
    found = unpickled(data, what)
    for key in ("data", files.labels):
        if key not in found:
            raise UserError(
                f"{what} must hold 'data' and '{files.labels}', got {sorted(found)}: put a {files.title} "
                "file there"
            )
    x, pixels = found["data"], 3 * files.size**2
    x = x.made(f"{what}: 'data'") if isinstance(x, Pickled) else x
    if not (isinstance(x, np.ndarray) and x.ndim == 2 and x.shape[1] == pixels):
        raise UserError(
            f"{what}: 'data' must be uint8 [N, {pixels}], got {_described(x)}: put a {files.title} file there"
        )
    return x.reshape(-1, 3, files.size, files.size), _labels(files, found[files.labels], len(x), what)


def _labels(files: Files, given: Any, count: int, what: str) -> np.ndarray:
    """[N] int64: one label an image, 0 to C - 1."""
    try:
        y = np.asarray(given)
    except (ValueError, TypeError, OverflowError):
        y = np.empty(0, object)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.dtype.kind not in "iu" or y.ndim != 1:
        raise UserError(
            f"{what}: labels must be whole numbers [N], got {_described(y)}: put a {files.title} file there"
        )
    if len(y) != count or not count:
        raise UserError(
            f"{what} must hold a label for each image, got {len(y)} labels and {count} images: fetch it again"
        )
    wrong = y[(y < 0) | (y >= files.classes)]
    if len(wrong):
        raise UserError(
            f"{what}: labels of {files.title} must be 0 to {files.classes - 1}, got {wrong[0]}: this is a "
            "file of another set"
        )
    return y.astype(np.int64)


def _described(x: Any) -> str:
    return f"{x.dtype} {list(x.shape)}" if isinstance(x, np.ndarray) else type(x).__name__


def _npz(files: Files, path: Path) -> dict[str, Split]:
    """{train, val, test: ...} of a MedMNIST file: images uint8 [N, S, S, 3] and labels [N, 1]."""
    row = (files.size, files.size, 3)
    images, labels = f"uint8 [N, {', '.join(map(str, row))}]", "whole numbers [N, 1]"
    out: dict[str, Split] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for split in files.members:
                x = _stored(
                    files,
                    archive,
                    f"{split}_images",
                    images,
                    lambda kind, shape: kind == np.uint8 and shape[1:] == row,
                )
                y = _stored(
                    files,
                    archive,
                    f"{split}_labels",
                    labels,
                    lambda kind, shape: kind.kind in "iu" and len(shape) > 0,
                )
                out[split] = (
                    np.array(x.transpose(0, 3, 1, 2), order="C"),
                    _labels(files, y, len(x), f"{path.name}: {split}"),
                )
    except (UserError, MemoryError):
        raise
    except OSError as error:
        raise explain(f"read {path.name}", path.parent, error) from error
    except Exception as error:  # a damaged npz raises nearly anything
        reason = str(error) or type(error).__name__
        raise UserError(
            f"{path} must be an npz, it is cut off or damaged ({reason}): remove it and fetch it again"
        ) from error
    return out


def _stored(
    files: Files,
    archive: zipfile.ZipFile,
    key: str,
    rule: str,
    fits: Callable[[np.dtype[Any], tuple[int, ...]], bool],
) -> np.ndarray:
    """The array of a key, read-only. What its header claims must fit, and agree with its bytes, before room
    is made for it."""
    what, names = f"{files.file}: {key}", archive.namelist()
    if f"{key}.npy" not in names:
        raise UserError(
            f"{files.file} must hold {key}.npy, got {sorted(names)}: put {files.file} of {files.title} there"
        )
    info = archive.getinfo(f"{key}.npy")
    _small(what, info.file_size)
    with archive.open(info) as file:
        shape, columns, kind = _header(file)
        if not fits(kind, shape):
            raise UserError(
                f"{what} must be {rule}, got {kind} {list(shape)}: put {files.file} of {files.title} there"
            )
        raw = file.read()
    if len(raw) != math.prod(shape) * kind.itemsize:
        raise ValueError(f"{key} has {len(raw):,} bytes for {kind} {list(shape)}")
    return np.frombuffer(raw, kind).reshape(shape, order="F" if columns else "C")


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and type, as the head of an npy says."""
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"npy version {version}")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, columns, kind = read(file)
    if min(shape, default=0) < 0:
        raise ValueError(f"shape {list(shape)}")
    return shape, columns, kind
