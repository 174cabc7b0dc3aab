"""Show what there is of the published sets, fetch the official files and check them, or write images that
imitate them."""

from __future__ import annotations

import argparse

from preheat.cli.options import data_folder, positive, use_data
from preheat.core.errors import UserError, explain

PER_CLASS = 500
EXAMPLES = """examples:
  preheat data                                what is there, and how the sets are called
  preheat data NAME OTHER                     fetch what is missing, check the checksums
  preheat data all --data /big/disk
  preheat data NAME --imitate --per-class 100     images to try with, made here, in the official format

Imitated images are not the official ones, and train only with source=local: docs/data.md.
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="a set as preheat data calls it, or all (default: show what is there)",
    )
    data_folder(parser)
    parser.add_argument(
        "--imitate", action="store_true", help="write images with learnable structure in the official format"
    )
    parser.add_argument(
        "--per-class",
        metavar="N",
        type=positive,
        help=f"imitated training images a class (default: {PER_CLASS}); a fifth for test",
    )


def run(args: argparse.Namespace) -> None:
    """Show, fetch or imitate."""
    from preheat.tasks.files import folder, ready
    from preheat.tasks.sets import SETS, every, published

    use_data(args)
    whole = list(SETS if args.imitate else every())  # only images can be imitated
    names = whole if "all" in args.names else [published(name).name for name in args.names]
    if args.per_class is not None and not args.imitate:
        raise UserError("--per-class is for imitated images: add --imitate")
    if args.imitate and not names:
        raise UserError(f"--imitate needs the set to imitate: write preheat data {min(SETS)} --imitate")
    for name in names:
        if args.imitate:
            imitate(name, args.per_class or PER_CLASS)
        else:
            ready(name, "official")
    print(f"data sets in {folder().absolute()}:")
    for name in names or every():
        print(f"  {name:<13} {state(name)}")


def state(name: str) -> str:
    """What there is of a set, on one line."""
    from preheat.tasks.files import counts, found, official
    from preheat.tasks.sets import published

    files = published(name)
    places = found(files)
    if not places:
        return f"not there; preheat data {name} fetches {files.megabytes} MB"
    try:
        for path in places:
            if official(files, path):
                return f"official: {_held(files.counts, files.unit)} ({path.name})"
        there = counts(files, places[0])
    except UserError as error:
        return f"not usable: {error}"
    return f"not the official files, for source=local: {_held(there, files.unit)} ({places[0].name})"


def _held(counts: tuple[int, ...], unit: str) -> str:
    """What each split that there is holds.

    >>> _held((50_000, 0, 10_000), "images")
    '50,000 training, 10,000 test images'
    """
    kinds = zip(counts, ("training", "validation", "test"), strict=True)
    return ", ".join(f"{count:,} {kind}" for count, kind in kinds if count) + f" {unit}"


def imitate(name: str, per_class: int) -> None:
    """Write the imitated files of a set. Errors: UserError where the set is there, or too many images are
    asked for."""
    from preheat.store.blobs import write_atomic
    from preheat.tasks.files import folder, found
    from preheat.tasks.imitation import imitation
    from preheat.tasks.sets import named

    files = named(name)
    if places := found(files):
        raise UserError(
            f"imitated images never replace a file, {places[0]} is there: move it away, or name another "
            "--data folder"
        )
    most = files.counts[0] // files.classes
    if per_class > most:
        raise UserError(
            f"--per-class of {name} must be at most {most:,}, as in {files.title}, got {per_class:,}"
        )
    root = folder()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain(f"write {files.file}", root, error) from error
    file, content = imitation(name, per_class)
    write_atomic(root / file, content)
