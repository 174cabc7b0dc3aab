"""Folders of images: which images there are, of which class, and which of them train, choose and test.

Three layouts are known. In each a class is a folder, and an image lies at any depth below it:

1. `train/CLASS/...` and `test/CLASS/...`, or `val/` in the place of `test/` (ImageNet); with all three,
   `val/` is the validation set;
2. one tree `CLASS/...`: a tenth of each class, at least one image, is the test set;
3. that of Tiny-ImageNet-200: `wnids.txt`, `train/CLASS/images`, `val/images` and `val/val_annotations.txt`;
   the labelled `val` is the test set.

What is held out where no folder says so is a tenth of each class, at least one image: those whose keyed hash
(BLAKE2b of `CLASS/NAME`) is smallest. So it follows from the names alone.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np

from preheat.core.errors import UserError, explain
from preheat.tasks.sets import Stamp

SUFFIXES = (".jpg", ".jpeg", ".png")
UNREAD = (".bmp", ".gif", ".tif", ".tiff", ".webp")
TRAIN, HELD, TEST = range(3)
SPLITS = ("train", "val", "test")
TINY = ("wnids.txt", "val/val_annotations.txt")
MOST = 1 << 28  # bytes of one file

Row = tuple[int, str, str]  # split, class, name


class Entry(NamedTuple):
    """A file: its name below the root, its bytes, and its time of change in ns, or in a zip its checksum."""

    name: str
    size: int
    mark: int


@dataclass(frozen=True, eq=False)
class Tree:
    """The images below `root`, a folder or a zip, in the order in which they are decoded: those to train on,
    those held out of them, the test set; each by class.

    names: [N], below `root` and `top`. labels: [N] int64. parts: how many train, are held out, test.
    validation: whether the held out have a folder of their own. key: what tells these files from others, by
    names, sizes and times of change. stamps: those of the folders, or of the zip.
    """

    root: Path
    top: str
    classes: tuple[str, ...]
    names: tuple[str, ...]
    labels: np.ndarray
    parts: tuple[int, int, int]
    validation: bool
    key: str
    stamps: tuple[Stamp, ...]

    @property
    def counts(self) -> tuple[int, ...]:
        """[C]: training images of each class, with those that are held out of them."""
        count = self.parts[TRAIN] + (0 if self.validation else self.parts[HELD])
        return tuple(np.bincount(self.labels[:count], minlength=len(self.classes)).tolist())


_known: dict[Path, Tree] = {}


def held_out(count: int) -> int:
    """How many of a class's images are held out: a tenth, at least one.

    >>> held_out(500), held_out(7)
    (50, 1)
    """
    return max(count // 10, 1)


def tree(root: Path) -> Tree:
    """The images below a folder or in a zip. Listed once a process, and again where a folder has changed.

    Errors: UserError where there is no such folder, no image, one class, a class without training or test
    images, an image outside the classes, or one in a format that is not read.
    """
    root = root.absolute()
    known = _known.get(root)
    if known is None or [_stamp(path) for path, _, _ in known.stamps] != list(known.stamps):
        known = _known[root] = _tree(root)
    return known


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return path, found.st_size, found.st_mtime_ns


def _tree(root: Path) -> Tree:
    try:
        if not root.exists():
            raise UserError(f"a folder of images must be there, {root} is not: write the path of one that is")
        entries, stamps = _listed(root) if root.is_dir() else _zipped(root)
    except OSError as error:
        raise explain("list the images", root, error) from error
    top = "" if root.is_dir() else _top(entries)
    files = {e.name.removeprefix(top): e for e in entries}
    rows, classes, validation = _arranged(root, top, files)
    sums = blake2b(digest_size=16)
    for split, kind, name in rows:
        sums.update(repr((split, kind, *files[name])).encode("utf-8", "surrogateescape"))
    index = {name: i for i, name in enumerate(classes)}
    splits = np.bincount([split for split, _, _ in rows], minlength=3).tolist()
    return Tree(
        root=root,
        top=top,
        classes=classes,
        names=tuple(name for _, _, name in rows),
        labels=np.array([index[kind] for _, kind, _ in rows], np.int64),
        parts=(splits[0], splits[1], splits[2]),
        validation=validation,
        key=sums.hexdigest(),
        stamps=stamps,
    )


def _listed(root: Path) -> tuple[list[Entry], tuple[Stamp, ...]]:
    """The files below a folder, hidden ones left out, and the stamps of its folders; a folder that is reached
    a second time by a link is left out."""
    out: list[Entry] = []
    stamps: dict[tuple[int, int], Stamp] = {}
    ahead = [("", root)]
    while ahead:
        prefix, folder = ahead.pop()
        own = folder.stat()
        if (own.st_dev, own.st_ino) in stamps:
            continue
        stamps[own.st_dev, own.st_ino] = (folder, own.st_size, own.st_mtime_ns)
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    ahead.append((f"{prefix}{entry.name}/", Path(entry.path)))
                else:
                    found = entry.stat()
                    out.append(Entry(prefix + entry.name, found.st_size, found.st_mtime_ns))
    return out, tuple(stamps.values())


def _zipped(path: Path) -> tuple[list[Entry], tuple[Stamp, ...]]:
    """The files in a zip; nothing is unpacked."""
    own = path.stat()
    try:
        with zipfile.ZipFile(path) as archive:
            found = [e for e in archive.infolist() if not e.is_dir()]
    except zipfile.BadZipFile as error:
        raise UserError(
            f"{path} must be a zip, it is cut off or damaged ({error}): remove it and fetch it again"
        ) from error
    return [Entry(e.filename, e.file_size, e.CRC) for e in found], ((path, own.st_size, own.st_mtime_ns),)


def _top(entries: Sequence[Entry]) -> str:
    """The folder that holds all of a zip, with its slash."""
    tops = {e.name.partition("/")[0] for e in entries if "/" in e.name}
    return f"{tops.pop()}/" if len(tops) == 1 and all("/" in e.name for e in entries) else ""


def _arranged(root: Path, top: str, files: dict[str, Entry]) -> tuple[list[Row], tuple[str, ...], bool]:
    """(rows in the order of decoding, classes, whether there is a validation folder)."""
    images = [n for n in files if n.lower().endswith(SUFFIXES)]
    if other := next((n for n in files if n.lower().endswith(UNREAD)), None):
        raise UserError(f"images in {root} must be JPEG or PNG, got {other}: convert it")
    if large := next((n for n in images if files[n].size > MOST), None):
        raise UserError(f"{large} in {root} must have at most {MOST:,} bytes, got {files[large].size:,}")
    if not images:
        raise UserError(
            f"{root} must hold images, CLASS/NAME.jpg, .jpeg or .png, it holds none: name another folder"
        )
    tops = {n.partition("/")[0] for n in images}
    if all(name in files for name in TINY):
        rows, classes = _tiny(root, top, images)
        validation = False
    else:
        splits = SPLITS if {"train"} < tops & {*SPLITS} else ("",)
        validation = splits != ("",) and {*SPLITS} <= tops
        rows = [row for split in splits for row in _rows(root, split, images)]
        if splits != ("",) and not validation:  # `val` stands for `test`
            rows = [(TEST if split == HELD else split, kind, name) for split, kind, name in rows]
        classes = tuple(sorted({kind for _, kind, _ in rows}))
        rows = rows if splits != ("",) else _held(rows, TEST)
    rows = rows if validation else _held(rows, HELD)
    _whole(root, rows, classes)
    order = {name: i for i, name in enumerate(classes)}
    return sorted(rows, key=lambda row: (row[0], order[row[1]], row[2])), classes, validation


def _rows(root: Path, split: str, images: Iterable[str]) -> list[Row]:
    """The images of a split folder, or of the whole tree, all of them of split TRAIN in that case."""
    prefix = f"{split}/" if split else ""
    at = SPLITS.index(split) if split else TRAIN
    out = []
    for name in images:
        if name.startswith(prefix):
            kind, slash, _ = name[len(prefix) :].partition("/")
            if not slash:
                raise UserError(
                    f"an image must lie in the folder of its class, {name} in {root} does not: move it"
                )
            out.append((at, kind, name))
    return out


def _held(rows: list[Row], into: int) -> list[Row]:
    """The rows, with a tenth of each class's TRAIN rows moved to the split `into`, by the hash of their
    names."""
    own: dict[str, list[str]] = {}
    for split, kind, name in rows:
        if split == TRAIN:
            own.setdefault(kind, []).append(name)
    moved = {name for names in own.values() for name in sorted(names, key=_hash)[: held_out(len(names))]}
    return [(into if name in moved else split, kind, name) for split, kind, name in rows]


def _hash(name: str) -> bytes:
    name = name.removeprefix("train/")
    return blake2b(name.encode("utf-8", "surrogateescape"), key=b"preheat", digest_size=8).digest()


def _tiny(root: Path, top: str, images: Iterable[str]) -> tuple[list[Row], tuple[str, ...]]:
    """The rows and classes of Tiny-ImageNet's layout; its unlabelled `test` is left out."""
    wnids, annotated = (read(root, top + name).decode("utf-8", "replace") for name in TINY)
    classes = tuple(dict.fromkeys(wnids.split()))
    labels = dict(line.split("\t")[:2] for line in annotated.splitlines() if "\t" in line)
    rows = [row for row in _rows(root, "train", images) if row[1] in classes]
    for name in images:
        if name.startswith("val/"):
            kind = labels.get(name.rpartition("/")[2])
            if kind not in classes:
                raise UserError(
                    f"{TINY[1]} in {root} must give {name} a class of wnids.txt, got {kind}: unpack it again"
                )
            rows.append((TEST, kind, name))
    return rows, classes


def _whole(root: Path, rows: list[Row], classes: tuple[str, ...]) -> None:
    """There must be two classes, each with images to train on and to test on."""
    if len(classes) < 2:
        raise UserError(
            f"images must be of two classes at least, {root} has the folder {', '.join(classes)} alone: put "
            "each class in a folder of its own, below train/ and test/ or without them"
        )
    trained = {kind for split, kind, _ in rows if split != TEST}
    tested = {kind for split, kind, _ in rows if split == TEST}
    for seen, what in ((trained, "train on"), (tested, "test on")):
        if lost := next((c for c in classes if c not in seen), None):
            raise UserError(
                f"every class in {root} must have images to {what}, {lost} has none: add some, or remove it"
            )


def read(root: Path, name: str) -> bytes:
    """The bytes of a file of a tree, or of one member of a zip. Errors: UserError where it can't be read."""
    try:
        if root.is_dir():
            return (root / name).read_bytes()
        with zipfile.ZipFile(root) as archive:
            return archive.read(name)
    except OSError as error:
        raise explain(f"read {name}", root, error) from error
