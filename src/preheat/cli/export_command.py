"""Write a study's records in other people's files."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preheat.cli.options import read_imports
from preheat.cli.stored import arguments as stored
from preheat.cli.stored import index_and_store, located
from preheat.core.errors import UserError, called, explain, unknown
from preheat.core.registry import EXPORTERS, TRACKERS

if TYPE_CHECKING:
    from preheat.store.store import Store

EXAMPLES = """examples:
  preheat export STUDY --to FORMAT           a tracker's name with its mode, too: NAME:MODE
  preheat export STUDY --to FORMAT --out ./analysis_results
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    known = "; ".join(f"{name}: {line.removesuffix('.')}" for name, line in formats().items())
    parser.add_argument("--to", metavar="FORMAT", required=True, help=known.replace("%", "%%"))
    stored(parser, "RESULTS/STUDY/FORMAT")


def formats() -> dict[str, str]:
    """{name: its line} of every exporter, and of every tracker, which can be told a study's records."""
    return dict(sorted({**TRACKERS.describe(), **EXPORTERS.describe()}.items()))


def run(args: argparse.Namespace) -> None:
    """Export."""
    read_imports(args.imports)
    print(f"{args.to}: {export(*located(args), args.to, args.out)}")


def _by_tracker(to: str) -> Callable[[Any, Store, Path], Path]:
    """The exporter that tells a tracker, NAME or NAME:MODE, the records."""
    from preheat.adapters.trackers.hub import tracker
    from preheat.adapters.trackers.tracking import tell_records
    from preheat.analysis.results import read_index

    _, one = tracker(to)

    def exporter(data: Any, store: Store, folder: Path) -> Path:
        study, index = read_index(data)
        tell_records(study, [run_id for _, _, run_id in index], store, one.open(study.name, folder))
        return folder

    return exporter


def export(root: Path, name: str, to: str, out: Path | None) -> Path:
    """Write the files of the format `to` for the study `name` in the results folder `root`; gives the path to
    begin with. out: the folder, RESULTS/STUDY/FORMAT where it is None; made where it is not there.

    Errors: UserError where the exporter raises, takes something else or gives no path.
    """
    kind, _, mode = to.partition(":")
    if kind not in formats():
        raise UserError(f"{unknown('exporter', kind, formats())}{EXPORTERS.yours(kind)}")
    if kind in EXPORTERS.names():
        if mode:
            raise UserError(f"exporter {kind!r} has no modes, got {mode!r}: write --to {kind}")
        exporter = EXPORTERS[kind]
    else:
        exporter = _by_tracker(to)
    what, folder = f"exporter {kind!r}", out or root / name / kind
    given = (*index_and_store(root, name), folder)
    signature = inspect.signature(exporter)
    try:
        signature.bind(*given)
    except TypeError:
        raise UserError(f"{what} must take (data, store, folder), in this order, got {signature}") from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain("export", folder, error) from error
    written = called(what, "export", lambda: exporter(*given))
    if not isinstance(written, str | Path):
        raise UserError(f"{what} must give the path to begin with, got {written!r:.60}: write return path")
    return Path(written)
