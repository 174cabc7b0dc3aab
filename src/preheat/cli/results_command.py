"""List the records of a results folder, or show one with its trace."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from typing import Any

from preheat.cli.options import common, positive
from preheat.core.errors import UserError, nearest
from preheat.core.grid import get, label
from preheat.core.words import count

EXAMPLES = """examples:
  preheat results                       the newest 20 records
  preheat results --all --csv > runs.csv
  preheat results 3f2a9c                one record: its run, its summary (the first digits of the id do)
  preheat results 3f2a9c --trace train_loss > loss.csv
  preheat results --prune-weights       remove all kept weights; the records stay
  preheat results NAME --prune-weights  those of the runs of the study NAME
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("id", nargs="?", metavar="ID", help="a record's id or its first digits")
    parser.add_argument("--trace", metavar="NAME", help="print one measured series of the record as CSV")
    parser.add_argument("--csv", action="store_true", help="print the list as CSV, what was measured in full")
    parser.add_argument(
        "--last", metavar="N", type=positive, default=20, help="how many records (default: 20)"
    )
    parser.add_argument("--all", action="store_true", help="every record")
    parser.add_argument(
        "--prune-weights",
        action="store_true",
        help="remove the kept weights: of the record ID, of the study of this name, or of all",
    )
    common(parser)


def run(args: argparse.Namespace) -> None:
    """Print."""
    from preheat.store.store import Store
    from preheat.store.weights import prune

    store = Store.open(args.results, create=False)
    for bad in store.damage():
        print(f"note: {bad}", file=sys.stderr)
    if args.prune_weights:
        files, size = prune(store.root, _ids(store, args.id) if args.id else None)
        print(f"removed {count(files, 'file')} of weights, {size:,} bytes; the records stay")
        return
    if args.id:
        _one(store, args)
        return
    heads = sorted(store.heads(), key=lambda h: (h.place.heads.name, h.place.line))  # in the order of writing
    chosen = heads if args.all else heads[-args.last :]
    if args.csv:
        _csv(chosen)
        return
    rows = [_row(h) for h in chosen]
    widths = {c: max([len(c), *(len(r[c]) for r in rows)]) for c in _COLUMNS}
    for row in [{c: c for c in _COLUMNS}, *rows]:
        print("  ".join(row[c].ljust(widths[c]) for c in _COLUMNS).rstrip())
    print(f"{len(rows)} of {len(heads)} records in {args.results}")


def _csv(heads: Sequence[Any]) -> None:
    """The list as CSV: what was measured in a column for each metric of each split, in full."""
    measured = sorted({k for h in heads for k in h.summary if k.startswith(_SPLITS)}, key=_order)
    out = csv.DictWriter(sys.stdout, [*_COLUMNS[:-2], *measured])
    out.writeheader()
    for head in heads:
        told = {k: v for k, v in _row(head).items() if k not in _COLUMNS[-2:]}
        out.writerow({**told, **{k: head.summary.get(k) for k in measured}})


_SPLITS = ("validation_", "test_")


def _order(name: str) -> tuple[bool, str]:
    return name.startswith(_SPLITS[1]), name


_COLUMNS = (
    "id",
    "task",
    "optimizer",
    "schedule",
    "peak_lr",
    "length",
    "seed",
    "outcome",
    "validation",
    "test",
)


def _row(head: Any) -> dict[str, str]:
    """From the run as it was stored: neither its task nor its schedule need be known here."""
    run, summary = head.run_json, head.summary
    shown = {
        part: next(
            (
                f"{k.removeprefix(part + '_')} {v:.4g}"
                for k, v in sorted(summary.items())
                if k.startswith(part) and v is not None
            ),
            "",
        )
        for part in ("validation", "test")
    }
    warmup = get(run, "schedule.warmup")
    some = warmup and (not isinstance(warmup, dict) or any(warmup.values()))
    names = {
        kind: label(get(run, kind, default="?"))
        for kind in ("task", "optimizer", "schedule", "peak_lr", "length")
    }
    return {
        "id": head.id,
        **names,
        "schedule": names["schedule"] + (f" warmup {label(warmup)}" if some else ""),
        "seed": str(run.get("seed", "?")),
        "outcome": head.status.outcome,
        **shown,
    }


def _ids(store: Any, name: str) -> set[str]:
    """The runs of the study of this name, else the one record whose id begins so."""
    from preheat.store.blobs import read_json

    index = store.root / name / "study.json"
    if not index.is_file():
        return {_found(store, name).id}
    return {p["run"] for p in read_json(index)["points"]}


def _found(store: Any, start: str) -> Any:
    """The head of the one record whose id begins so."""
    heads = {h.id: h for h in store.heads()}
    found = [i for i in heads if i.startswith(start)]
    if len(found) != 1:
        match = nearest(start, heads)
        raise UserError(
            f"an id must begin one record, {start!r} begins {len(found) or 'none'}"
            + (": write more of it" if found else "")
            + (f"; did you mean {match}?" if match and not found else "")
        )
    return heads[found[0]]


def _one(store: Any, args: argparse.Namespace) -> None:
    head = _found(store, args.id)
    if args.trace is None:
        shown = {
            "run": head.run_json,
            "status": head.status.json(),
            "summary": head.summary,
            "provenance": head.provenance,
        }
        counts = {name: group["n"] for group in head.groups for name in group["series"]}
        print(json.dumps({**shown, "trace": counts}, indent=1))
        return
    if args.trace not in head.series:
        raise UserError(
            f"record {head.id} has no series {args.trace!r}: it has "
            f"{', '.join(sorted(head.series)) or 'none'}"
        )
    print("step,value")
    series = store.trace(head, only=[args.trace])[args.trace]
    for step, value in zip(series.steps, series.values, strict=True):
        print(f"{step},{value!r}")
