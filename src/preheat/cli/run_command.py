"""Train one run with a live line of loss and rate, and keep its record.

The options of a task are flags too: preheat run TASK --help shows them.
"""

from __future__ import annotations

import argparse
import inspect
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from preheat.cli.live_line import LiveLine
from preheat.cli.options import (
    SUFFIXES,
    again,
    ask,
    common,
    data_folder,
    device,
    keep_weights,
    number,
    read_imports,
    settable,
    settings,
    track,
    use_data,
)
from preheat.cli.schedules import HELP, in_options, schedule_spec, word_spec
from preheat.cli.subject import given
from preheat.core.errors import UserError
from preheat.core.grid import Setting, merged
from preheat.core.progress import clock
from preheat.core.record import Record
from preheat.core.registry import OPTIMIZERS, PROBES, TASKS
from preheat.core.run import Precision, Run
from preheat.core.spec import build

if TYPE_CHECKING:
    from preheat.store.store import Store
    from preheat.store.weights import Kept

KIND = "task"
EXAMPLES = f"""examples:
  preheat run TASK --optimizer {OPTIMIZERS.default} --peak-lr 1e-3 --schedule cosine --warmup 5ep --epochs 50
  preheat run TASK --schedule wsd:warmup=5%,cooldown=20% --epochs 20
  preheat run TASK --set optimizer.OPTION=VALUE --peak-lr 0.1
  preheat run TASK --probe grad_norm --probe distance --epochs 10
  preheat run TASK --batch-size 128 --precision bf16 --device cuda
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's positional arguments."""
    parser.add_argument(
        "task",
        metavar="TASK",
        help="a task (see preheat list tasks), or a .yaml, .toml or .json file with the whole run",
    )


def about(name: str) -> str:
    """What the help says of a task: its description, which names models of its own, and the examples."""
    return f"task {name!r}:\n{inspect.getdoc(TASKS[name])}\n\n{EXAMPLES}"


def options(parser: argparse.ArgumentParser) -> None:
    """The command's own flags; those of the task come to them."""
    add = parser.add_argument
    add("--optimizer", metavar="NAME", help=f"default: {OPTIMIZERS.default}")
    add("--peak-lr", metavar="RATE", type=number, help="the highest learning rate (default: 1e-3)")
    add("--schedule", metavar="SCHEDULE", help=f"{HELP} (default: constant)")
    add("--warmup", metavar="LENGTH", help="500 (steps), 5ep (epochs) or 5%% (of the run)")
    add("--epochs", metavar="N", help="the run's length in epochs (default: 50)")
    add("--steps", metavar="N", help="the run's length in steps")
    add("--batch-size", metavar="N", type=int, help="examples per update (default: 32)")
    add(
        "--seed",
        metavar="N",
        type=int,
        help="of the initial weights, the data drawn and their order (default: 0)",
    )
    add("--precision", choices=get_args(Precision), help="default: float32")
    add("--clip-norm", metavar="NORM", type=number, help="clip the gradient to this global norm")
    add("--evaluate", metavar="LENGTH", help="the distance between evaluations (default: 5%%)")
    add(
        "--probe",
        metavar="PROBE",
        action="append",
        default=[],
        dest="probes",
        help="measure this while training: a name (see preheat list probes), with options as in "
        "NAME:every=10/decade (repeatable)",
    )
    settable(parser, "any other option, such as optimizer.momentum=0.9", pair="PATH=VALUE")
    device(parser)
    common(parser)
    data_folder(parser)
    keep_weights(parser, "by the task's first metric in validation")
    track(parser)
    ask(parser)


def run(args: argparse.Namespace) -> int:
    """Train, or show the record that there is. 1: the run diverged."""
    read_imports(args.imports)
    use_data(args)
    one = asked(args)
    from preheat.lab.origins import same_data
    from preheat.store.store import Store
    from preheat.store.weights import weights_path, without_weights

    store = Store.open(args.results)
    same_data([one], args.results)
    kept, known = _kept(one, args), store.ids(check=True, among=[one.id])
    again = without_weights(store.root, known, kept)
    if again:
        print(f"run {one.id} has a record, but not its {kept}: it is trained again only for them")
    if known and not again:
        print(f"run {one.id} has a record already; nothing is trained twice")
    elif not _train(one, store, kept, on=args.device, asked=args.track):
        return 130
    if kept:
        print(f"{kept}: {weights_path(store.root, one.id, kept)}")
    record = store.load(one.id)
    show(record)
    show_probes(record, args.results)
    return 0 if record.status.outcome == "done" else 1


def asked(args: argparse.Namespace) -> Run:
    """The run, with errors in words of the command line."""
    with in_options():
        return declared(args)


def declared(args: argparse.Namespace) -> Run:
    """The run that the command line describes."""
    said: Setting = {
        k: v
        for k in ("optimizer", "peak_lr", "batch_size", "seed", "precision", "clip_norm", "evaluate")
        if (v := getattr(args, k)) is not None
    }
    if args.epochs is not None and args.steps is not None:
        raise UserError("--epochs and --steps both give the run's length: write one of them")
    if args.epochs is not None:
        said["length"] = f"{args.epochs}ep"
    if args.steps is not None:
        said["length"] = args.steps
    if schedule := _schedule(args):
        said["schedule"] = schedule
    if args.probes:
        said["probes"] = [word_spec(word, PROBES).json() for word in args.probes]
    over = settings(args.pairs)
    if args.task.endswith(SUFFIXES):
        from preheat.studyfiles.reader import read_run

        whole = (args.schedule or "").startswith("@")  # then the run's own schedule has no say
        left_out = ("format", "schedule") if whole else ("format",)
        base = {k: v for k, v in read_run(args.task).json().items() if k not in left_out}
    else:
        base = {"task": {"name": args.task, **{one.name: text for one, text in given(args, KIND, args.task)}}}
    return Run.from_json(merged(merged(base, said), over))


def _schedule(args: argparse.Namespace) -> dict[str, Any]:
    """What --schedule and --warmup say."""
    said = {} if args.schedule is None else schedule_spec(args.schedule).json()
    if args.warmup is None:
        return said
    if "warmup" in said:
        raise UserError(
            f"the warmup is given once, got --warmup {args.warmup} beside --schedule {args.schedule}, which "
            "has one: leave one out"
        )
    return {**said, "warmup": args.warmup}


def _kept(one: Run, args: argparse.Namespace) -> Kept | None:
    """The weights asked for; the first metric of the task decides which are the best."""
    from preheat.core.metrics import metric
    from preheat.store.weights import Kept

    first = ""
    if args.keep_weights == "best":
        from preheat.lab.measure import metrics

        first = metrics(one)[0]
    return Kept.of(args.keep_weights, first, metric(first).goal)


def _train(one: Run, store: Store, kept: Kept | None, *, on: str, asked: Sequence[str]) -> bool:
    """Train on a device and store, and tell the trackers asked for; False if it was stopped, with a
    checkpoint from which the same command goes on."""
    from preheat.adapters.trackers.tracking import tracking

    with tracking(asked, one.task.name, store.root, within="trackers") as hearer:
        if hearer:
            hearer.expect([one], always=("peak_lr",))
            hearer.begin(one)
        line = LiveLine(one, hearer)
        if not _trained(one, store, kept, on=on, line=line):
            return False
        if hearer:
            hearer.over(store.load(one.id))
    return True


def _trained(one: Run, store: Store, kept: Kept | None, *, on: str, line: LiveLine) -> bool:
    """Train on a device and store; False if it was stopped."""
    from preheat.lab.claims import Claims
    from preheat.lab.measure import alone
    from preheat.lab.plan import Unit
    from preheat.lab.unit import Stopped, train_unit
    from preheat.lab.weights import keeper, store_trained

    save = store.checkpoint_path(one.id)
    with closing(Claims(store.root)) as claims, _asked_to_stop() as stop, store.writer() as writer:
        if not claims.take(one.id):
            raise UserError(
                f"run {one.id} is being trained by another process: wait for it, then its record is here"
            )
        build(KIND, one.task).ready()  # data are fetched and checked before anything is timed
        print(f"run {one.id}: {one}, {one.total_steps} steps of {one.steps_per_epoch} per epoch", flush=True)
        unit = Unit((one,), alone(one, on))
        try:
            found = train_unit(
                unit,
                save,
                beat=lambda b: line.hear(b) or bool(stop),
                keeper=(kept_by := keeper(kept)),
            )
            unkept = store_trained(found, writer, store, kept=kept, kept_by=kept_by)
        except Stopped:
            line.end()
            print(f"stopped; the same command goes on from the checkpoint: {again()}", file=sys.stderr)
            return False
        line.end()
    save.unlink(missing_ok=True)
    if unkept:
        raise UserError(unkept[0])
    return True


@contextmanager
def _asked_to_stop() -> Iterator[list[int]]:
    """A list that Ctrl-C makes non-empty, in place of an exception in the middle of a step."""
    asked: list[int] = []
    old = signal.signal(signal.SIGINT, lambda number, _: asked.append(number))
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, old)


def show(record: Record) -> None:
    """The record's end in words."""
    status = record.status
    if status.outcome == "diverged":
        print(
            f"diverged at step {status.step} of {record.summary['total_steps']:.0f}: the loss was no longer "
            "finite. A lower peak rate or a longer warmup may help."
        )
    else:
        values = {k: v for k, v in record.summary.items() if k.startswith(("train_", "validation_", "test_"))}
        print("  ".join(f"{k} {v:.4f}" for k, v in values.items() if v is not None))
    seconds = record.provenance.get("seconds")
    print(f"{status.outcome}{f' in {clock(float(seconds))}' if seconds else ''}; record {record.id}")


def show_probes(record: Record, results: Path) -> None:
    """What the probes measured last, and how to read the rest."""
    skipped = ("train_", "validation_", "test_", "chance_")
    names = [n for n, s in record.trace.items() if len(s.values) and not n.startswith(skipped)]
    if not record.run.probes or not names:
        return
    print(
        "last measured: " + "  ".join(f"{n} {record.trace[n].values[-1]:.4g}" for n in names if "." not in n)
    )
    where = "" if results == Path("results") else f" --results {results}"
    print(f"all of one: preheat results {record.id} --trace {names[0]}{where}")
