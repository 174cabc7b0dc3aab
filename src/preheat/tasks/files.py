"""Published sets in the data folder: found, fetched, checked; images are read, too.

The data folder is $PREHEAT_DATA, else ./data. A set is found there as the official file, or as the folder
that comes out of it; the data folder may also be that unpacked folder itself.

source "official" demands the official checksums and fetches what is missing; "local" takes files in the
official format whatever they hold. So a run says which, and other files never pass for the official ones.
"""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path
from typing import TypeGuard

from preheat.core.errors import UserError, explain, unknown
from preheat.tasks.corpora import members
from preheat.tasks.decoding import Decoded, decoded
from preheat.tasks.fetching import by_hand, fetch
from preheat.tasks.folders import TEST, Tree, tree
from preheat.tasks.formats import Arrays, read
from preheat.tasks.sets import Download, Files, Stamp, Texts, named, published

SOURCES = ("official", "local")
AS_THEY_ARE = (
    "to train on the files as they are, add --source local (preheat run) or --set source=local (a study with "
    "that option)"
)


def folder() -> Path:
    """Where data are: $PREHEAT_DATA, else ./data."""
    return Path(os.environ.get("PREHEAT_DATA") or "data")


def arrays(name: str, source: str) -> Arrays:
    """The images of a set, kept in the process; see `formats.Arrays` for shapes. Errors: UserError, as in
    `ready`."""
    path = located(named(name), source)
    return _arrays(name, path, stamped(named(name), path))


def stamps(name: str, source: str) -> tuple[Stamp, ...]:
    """What tells whether the images of a set are still those that were read. Errors: as `ready`."""
    return stamped(named(name), located(named(name), source))


def ready(name: str, source: str) -> None:
    """See to it that the files of a set are there and right; "official" fetches what is missing, with a bar
    on stderr.

    name: a set of images or of texts. source: "official" or "local".
    Errors: UserError where they can't be had, are not the official ones, or are not in the official format.
    """
    files = published(name)
    path = located(files, source)
    if source == "local":  # official files are known by their checksums
        counts(files, path)


def counts(files: Download, path: Path) -> tuple[int, ...]:
    """How many images, or bytes of text, each split there has. Errors: UserError where they are not in the
    official format."""
    if isinstance(files, Texts):
        return tuple(map(len, members(path, files.splits, stamped(files, path))))
    splits = _arrays(files.name, path, stamped(files, path))
    return tuple(0 if split is None else len(split[1]) for split in splits)


def origin(name: str, source: str) -> dict[str, str]:
    """What was trained on, for a record: {"data": "cifar-10-python.tar.gz md5 c58f..."}.

    Official files are named as they are published, packed or not. Of another unpacked folder, whatever it is
    called, the md5 is that of its members' md5s, written one after the other.
    """
    files = published(name)
    path = located(files, source)
    if source == "official":
        return {"data": f"{files.file} md5 {files.md5}"}
    sums = md5s(files, path)
    whole = (
        sums[0] if len(sums) == 1 else hashlib.md5("".join(sums).encode(), usedforsecurity=False).hexdigest()
    )
    return {"data": f"{files.unpacked if path.is_dir() else files.file} md5 {whole}"}


def found(files: Download) -> list[Path]:
    """Where a set lies: its archive or npz first, then an unpacked folder."""
    root = folder()
    places = [root / files.file]
    if files.unpacked:
        places.append(root / files.unpacked)
        if root.resolve().name == files.unpacked or _complete(files, root):
            places.append(root)
    try:
        return [p for p in places if p.exists()]
    except OSError as error:
        raise explain(f"look for {files.file}", root, error) from error


def official(files: Download, path: Path) -> bool:
    """Whether these are the official files, by their checksums; an unpacked folder of images has none."""
    if _in_folders(files, path):
        return False
    return md5s(files, path) == (list(files.sums) if path.is_dir() else [files.md5])


def md5s(files: Download, path: Path) -> list[str]:
    """The md5 of an archive, of each member of a folder, or of the files of a folder of images; read once,
    unless they change."""
    if _in_folders(files, path):
        return [_images(files, path)[1].md5]
    return [_md5(*stamp) for stamp in stamped(files, path)]


def _in_folders(files: Download, path: Path) -> TypeGuard[Files]:
    """Whether this is an unpacked folder of images."""
    return isinstance(files, Files) and files.tree and path.is_dir()


def located(files: Download, source: str) -> Path:
    """Where the files are that `source` stands for; official ones are fetched where they are missing.

    Errors: UserError where they can't be had, or are not the official ones.
    """
    if source not in SOURCES:
        raise unknown(f"source of {files.name}", source, SOURCES)
    places = found(files)
    if source == "local":
        if not places:
            raise UserError(_missing(files))
        return places[0]
    places = [p for p in places if not p.is_dir() or (files.sums and _complete(files, p))]
    places = places or [fetch(files, folder())]
    for path in places:
        if official(files, path):
            return path
    raise UserError(_unofficial(files, places[0]))


def _complete(files: Download, path: Path) -> bool:
    return all((path / name).is_file() for name in files.members)


def _missing(files: Download) -> str:
    """Where was looked, for what."""
    root = folder().absolute()
    unpacked = f" or the folder {files.unpacked}" if files.unpacked else ""
    other = f", or write images to try with: {files.otherwise}" if files.otherwise else ""
    return (
        f"source=local needs {files.file}{unpacked} in {root}, there is none: name their folder with "
        f"--data{other}"
    )


def _unofficial(files: Download, path: Path) -> str:
    """What is wrong with a file that is there."""
    sums = md5s(files, path)
    wanted = files.sums if path.is_dir() else (files.md5,)
    names = [path / name for name in files.members] if path.is_dir() else [path]
    where, got, want = next(row for row in zip(names, sums, wanted, strict=True) if row[1] != row[2])
    return (
        f"{where} is not the official file of {files.title}: its md5 must be {want}, it is {got}: move it "
        f"away and run the same command again to fetch the official one ({by_hand(files, folder())}); or, "
        f"{AS_THEY_ARE}"
    )


def stamped(files: Download, path: Path) -> tuple[Stamp, ...]:
    """The stamp of each file that is read, or of the folders of images."""
    if _in_folders(files, path):
        return tree(path).stamps
    paths = [path / name for name in files.members] if path.is_dir() else [path]
    try:
        stats = [(p, p.stat()) for p in paths]
    except FileNotFoundError as error:
        lost = Path(error.filename).name
        raise UserError(
            f"{path} must hold {', '.join(files.members)}; {lost} is missing: unpack {files.file} again"
        ) from error
    except OSError as error:
        raise explain(f"read {path.name}", path.parent, error) from error
    return tuple((p.absolute(), s.st_size, s.st_mtime_ns) for p, s in stats)


@lru_cache(maxsize=64)
def _md5(path: Path, size: int, changed: int) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise explain(f"read {path.name}", path.parent, error) from error


@lru_cache(maxsize=1)
def _arrays(name: str, path: Path, stamps: tuple[Stamp, ...]) -> Arrays:
    files = named(name)
    if not files.tree:
        return read(files, path)
    found, made = _images(files, path)
    count = sum(found.parts[:TEST])
    halves = [(made.images[part], found.labels[part]) for part in (slice(count), slice(count, None))]
    return Arrays(halves[0], None, halves[1])


def _images(files: Files, path: Path) -> tuple[Tree, Decoded]:
    """The images of a set that is a tree: those to train on, those held out of them, then the test set."""
    found = tree(path)
    if len(found.classes) != files.classes or found.validation:
        raise UserError(
            f"{path} must have the {files.classes} classes of {files.title}, in its layout, got "
            f"{len(found.classes)}: read a folder of your own as one, docs/data.md says how"
        )
    return found, decoded(found, files.size, resize=False, folder=folder())
