"""List the records of a results folder, or show one with its trace."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from typing import Any

from preheat.cli.options import common, whole
from preheat.core.errors import UserError, nearest

EXAMPLES = """examples:
  preheat results                       the newest 20 records
  preheat results --all --csv > runs.csv
  preheat results 3f2a9c                one record: its run, its summary (the first digits of the id do)
  preheat results 3f2a9c --trace train_loss > loss.csv
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("id", nargs="?", metavar="ID", help="a record's id or its first digits")
    parser.add_argument("--trace", metavar="NAME", help="print one measured series of the record as CSV")
    parser.add_argument("--csv", action="store_true", help="print the list as CSV")
    parser.add_argument("--last", metavar="N", type=whole, default=20, help="how many records (default: 20)")
    parser.add_argument("--all", action="store_true", help="every record")
    common(parser)


def run(args: argparse.Namespace) -> None:
    """Print."""
    from preheat.store.store import Store

    store = Store.open(args.results, create=False)
    for bad in store.damage():
        print(f"note: {bad}", file=sys.stderr)
    if args.id:
        _one(store, args)
        return
    heads = sorted(store.heads(), key=lambda h: (h.place.heads.name, h.place.line))  # in the order of writing
    rows = [_row(h) for h in (heads if args.all else heads[-args.last :])]
    if args.csv:
        out = csv.DictWriter(sys.stdout, list(_COLUMNS))
        out.writeheader()
        out.writerows(rows)
        return
    widths = {c: max([len(c), *(len(r[c]) for r in rows)]) for c in _COLUMNS}
    for row in [{c: c for c in _COLUMNS}, *rows]:
        print("  ".join(row[c].ljust(widths[c]) for c in _COLUMNS).rstrip())
    print(f"{len(rows)} of {len(heads)} records in {args.results}")


_COLUMNS = ("id", "task", "optimizer", "schedule", "peak_lr", "length", "seed", "outcome", "validation", "test")


def _row(head: Any) -> dict[str, str]:
    run, summary = head.run(), head.summary
    shown = {
        part: next(
            (f"{k.removeprefix(part + '_')} {v:.4g}" for k, v in sorted(summary.items()) if k.startswith(part) and v is not None),
            "",
        )
        for part in ("validation", "test")
    }
    warmup = getattr(run.schedule, "warmup", None)
    schedule = run.schedule.json()["name"] + (f" warmup {warmup}" if warmup else "")
    return {
        "id": head.id,
        "task": str(run.task.name),
        "optimizer": run.optimizer.name,
        "schedule": schedule,
        "peak_lr": f"{run.peak_lr:g}",
        "length": str(run.length),
        "seed": str(run.seed),
        "outcome": head.status.outcome,
        **shown,
    }


def _one(store: Any, args: argparse.Namespace) -> None:
    ids = sorted({h.id for h in store.heads()})
    found = [i for i in ids if i.startswith(args.id)]
    if len(found) != 1:
        match = nearest(args.id, ids)
        raise UserError(
            f"no single record begins with {args.id!r}: {len(found)} do" + (f"; did you mean {match}?" if match else "")
        )
    record = store.load(found[0])
    if args.trace is None:
        shown = {
            "run": record.run.json(),
            "status": record.status.json(),
            "summary": dict(record.summary),
            "provenance": dict(record.provenance),
        }
        print(json.dumps({**shown, "trace": {n: len(s.values) for n, s in record.trace.items()}}, indent=1))
        return
    if args.trace not in record.trace:
        raise UserError(f"record {record.id} has no series {args.trace!r}: it has {', '.join(sorted(record.trace))}")
    print("step,value")
    for step, value in zip(record.trace[args.trace].steps, record.trace[args.trace].values, strict=True):
        print(f"{step},{value!r}")
