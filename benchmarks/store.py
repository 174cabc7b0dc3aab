"""Which format for 100,000 runs x 1,000 steps x 8 columns? Ours against what one would pick instead.

    python benchmarks/store.py                                                  a minute, 300 runs
    python benchmarks/store.py --runs 100000 --formats segments,sqlite          the full size, 3.3 GB a format

Each round does every measure with every format, beginning with another format each time; printed are the
median over the rounds (least to greatest) in milliseconds, and the ratio to ours within a round. Losses are
noisy exponentials in float32; records are appended in batches, as fleets end, all by one process.
Cold: the files' pages are dropped from memory before, where the system can do that.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from math import exp
from pathlib import Path
from typing import Any

from preheat.core.record import Record, Series, Status
from preheat.core.run import Run
from preheat.core.spec import Spec
from store_formats import FORMATS, Format

OURS = "segments"
MEASURES = {
    "write": "append all records",
    "bytes": "size on disk, MB",
    "heads": "all heads, parsed",
    "heads cold": "the same, files not in memory",
    "last": "last value of one column of every run",
    "last cold": "the same, files not in memory",
    "first load": "one run by id, newly opened",
    "next loads": "a further run by id, each",
}


@dataclass(frozen=True)
class Cosine:
    """Stands for a schedule: only its JSON is stored."""

    warmup: float

    def json(self) -> dict[str, Any]:
        return {"name": "cosine", "warmup": {"fraction": self.warmup}, "end": 0.0}

    def resolve(self, total: int, per_epoch: float | None = None, **more: Any) -> Any:
        raise NotImplementedError("nothing is trained here")


def traces(n: int, steps: int, columns: int) -> list[dict[str, Series]]:
    """`n` traces of noisy exponentials, all at steps 0, 1, ..."""
    draw = random.Random(0)
    at = array("q", range(steps))

    def noisy(scale: float) -> array[float]:
        return array("f", [exp(-k / (0.3 * steps)) + scale * draw.gauss(0, 1) for k in range(steps)])

    return [{f"c{i}": Series(at, noisy(0.05 + 0.02 * i)) for i in range(columns)} for _ in range(n)]


def batches(args: argparse.Namespace, pool: list[dict[str, Series]]) -> Iterator[list[Record]]:
    """Records of different runs; the traces of the pool come round and round."""
    provenance = {
        "preheat": "0.1.0",
        "torch": "2.13.0",
        "python": "3.11",
        "device": "cpu",
        "commit": "0" * 40,
        "seconds": 1.25,
    }
    summary: dict[str, float | None] = {
        "total_steps": args.steps,
        "steps_per_epoch": 32,
        "validation_accuracy": 0.9612345,
    }
    summary |= {"validation_loss": 0.1234567, "test_accuracy": 0.9512345, "test_loss": 0.1456789}
    optimizer = Spec("adamw", {"weight_decay": 1e-4, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8})
    task = Spec("digits", {"per_class": 50, "model": "mlp", "width": 64, "depth": 3, "split": 0})
    for start in range(0, args.runs, args.batch):
        out = []
        for i in range(start, min(start + args.batch, args.runs)):
            run = Run(task, optimizer, Cosine(i % 5 / 20), 1e-3, 1000, 32, seed=i, trusted=True)  # type: ignore[arg-type]
            out.append(Record(run, Status("done"), pool[i % len(pool)], summary, provenance))
            assert out[-1].id
        yield out


def timed(work: Any) -> float:
    start = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - start)


def write(
    form: Format, folder: Path, args: argparse.Namespace, pool: list[dict[str, Series]]
) -> tuple[float, list[str]]:
    """Milliseconds to append everything, and some of the ids."""
    spent, ids = 0.0, []
    with contextmanager(form.write)(folder, args.sync) as append:
        for batch in batches(args, pool):
            spent += timed(lambda batch=batch: append(batch))
            ids.append(batch[-1].id)
        last = time.perf_counter()
    return spent + 1000 * (time.perf_counter() - last), ids


def drop(folder: Path) -> bool:
    """Drop the pages of all files from memory; False where that can't be done."""
    if not hasattr(os, "posix_fadvise"):
        return False
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return True


def measure(
    form: Format, folder: Path, args: argparse.Namespace, pool: list[dict[str, Series]]
) -> dict[str, float]:
    """All measures of one format in one round."""
    spent, ids = write(form, folder, args, pool)
    found = {"write": spent, "bytes": sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e6}
    assert len(form.heads(folder)) == args.runs
    found["heads"] = timed(lambda: form.heads(folder))
    found["last"] = timed(lambda: form.last(folder))
    values = args.steps * args.columns
    one = form.load(folder)
    assert one(ids[0]) == values
    first = form.load(folder)
    found["first load"] = timed(lambda: first(ids[-1]))
    some = ids[:: max(len(ids) // 8, 1)]
    found["next loads"] = timed(lambda: [one(i) for i in some]) / len(some)
    if drop(folder):
        found["heads cold"] = timed(lambda: form.heads(folder))
    if drop(folder):
        found["last cold"] = timed(lambda: form.last(folder))
    return found


def spread(values: list[float], digits: str) -> str:
    return f"{statistics.median(values):{digits}} ({min(values):{digits}} to {max(values):{digits}})"


def table(rounds: list[dict[str, dict[str, float]]]) -> None:
    for name, meaning in MEASURES.items():
        print(f"\n{name}: {meaning}")
        for form in rounds[0]:
            values = [r[form][name] for r in rounds if name in r[form]]
            ratios = [r[form][name] / r[OURS][name] for r in rounds if name in r[form]]
            if values:
                print(f"  {form:12} {spread(values, '10.2f'):36} x ours {spread(ratios, '.2f')}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (("runs", 300), ("steps", 1000), ("columns", 8), ("batch", 32), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--formats", default=",".join(FORMATS), help="some of: %(default)s; ours always is")
    parser.add_argument("--sync", action="store_true", help="wait for the disk at the end of each batch")
    parser.add_argument(
        "--folder", default=None, help="where to write (default: the system's folder for temporary files)"
    )
    args = parser.parse_args()
    names = list(dict.fromkeys([OURS, *args.formats.split(",")]))
    if "parquet" in names and not find_spec("pyarrow"):
        names.remove("parquet")
        print("parquet: left out, pyarrow is not installed")
    pool = traces(256, args.steps, args.columns)
    print(f"{args.runs} runs x {args.steps} steps x {args.columns} columns, n={args.rounds}")
    print(f"batches of {args.batch}, sync={args.sync}")
    rounds = []
    for i in range(args.rounds):
        found = {}
        for name in names[i % len(names) :] + names[: i % len(names)]:
            folder = Path(tempfile.mkdtemp(dir=args.folder))
            try:
                found[name] = measure(FORMATS[name], folder, args, pool)
            finally:
                shutil.rmtree(folder)
            print(
                f"round {i + 1}, {name}: written in {found[name]['write'] / 1000:.2f} s",
                file=sys.stderr,
                flush=True,
            )
        rounds.append({name: found[name] for name in names})
    table(rounds)


if __name__ == "__main__":
    main()
