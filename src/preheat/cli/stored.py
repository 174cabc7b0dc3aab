"""A study as it lies in a results folder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preheat.cli.options import common, folder
from preheat.core.errors import UserError, unknown

if TYPE_CHECKING:
    from preheat.store.store import Store


def arguments(parser: argparse.ArgumentParser, out: str) -> None:
    """STUDY, --out, --results and --import. out: where --out is by default."""
    parser.add_argument("study", metavar="STUDY", help="the study's name: its folder in the results folder")
    parser.add_argument("--out", metavar="DIR", type=folder, help=f"where to write (default: {out})")
    common(parser)


def located(args: argparse.Namespace) -> tuple[Path, str]:
    """The results folder and the study's name in it; STUDY may be the study's folder itself.

    Errors: UserError where --out is a file.
    """
    if args.out is not None and args.out.exists() and not args.out.is_dir():
        raise UserError(f"--out must be a folder's name, got the file {args.out}: name a folder")
    path = Path(args.study)
    return (path.parent, path.name) if (path / "study.json").is_file() else (args.results, args.study)


def index_and_store(root: Path, name: str) -> tuple[Any, Store]:
    """What study.json of a study holds, and the records; damage is told."""
    from preheat.store.blobs import read_json
    from preheat.store.store import Store

    index = root / name / "study.json"
    if not index.is_file():
        have = sorted(p.parent.name for p in root.glob("*/study.json"))
        none = UserError(f"no study in {root}: run one first, with preheat study NAME")
        raise unknown(f"study in {root}", name, have) if have else none
    data, store = read_json(index), Store.open(root, create=False)
    for bad in store.damage():
        print(f"note: {bad}")
    return data, store
