"""Search the best settings of a task's schedules with Optuna, train the best of each on fresh seeds, and
report.

Every trial is an ordinary run: nothing is trained twice, and the same command goes on with a search that was
stopped. With more --trials it goes on to so many in all. The options of a task are flags too: preheat search
TASK --help shows them.
"""

from __future__ import annotations

import argparse
import inspect

from preheat.cli.options import (
    ask,
    common,
    data_folder,
    keep_weights,
    number,
    placement,
    positive,
    read_imports,
    settable,
    settings,
    storage,
    track,
    use_data,
)
from preheat.cli.study_command import carried
from preheat.cli.subject import given
from preheat.core.errors import UserError
from preheat.core.options import marks
from preheat.core.registry import OPTIMIZERS, SCHEDULES, TASKS, Registry
from preheat.core.study import Study

KIND = "task"
EXAMPLES = """examples:
  preheat search TASK --schedulers EH,WEH,C --trials 25
  preheat search TASK --schedulers cosine,wsd --batch 1          one after the other
  preheat search TASK --schedulers EH --prune hyperband
  preheat search TASK --storage postgresql://user@host/database  shared by many machines
"""
PASSED = ("batch_size", "clip_norm", "precision")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's positional arguments."""
    parser.add_argument("task", metavar="TASK", help="a task (see preheat list tasks)")


def options(parser: argparse.ArgumentParser) -> None:
    """The command's own flags; those of the task come to them."""
    add = parser.add_argument
    codes = "N,P,C,E,L,S,OC,CY,H,EH,WH,WEH,WC"
    add("--schedulers", metavar="NAMES", help=f"schedules, each searched by itself (default: {codes})")
    add("--lr-free", metavar="NAMES", help="optimizers that set their rate themselves, searched too")
    add("--optimizer", metavar="NAME", help=f"of the schedules (default: {OPTIMIZERS.default})")
    add("--epochs", metavar="N", type=positive, default=50, help="the length of every run (default: 50)")
    add("--batch-size", metavar="N", type=int, help="examples per update (default: 32)")
    add("--peak-lr", metavar="RATE", type=number, default=1e-2, help="tried first (default: 0.01)")
    add("--trials", metavar="N", type=positive, default=25, help="of each schedule, in all (default: 25)")
    add("--batch", metavar="N", type=positive, default=5, help="trials at a time (default: 5)")
    add("--prune", metavar="PRUNER", default="", help="stop trials early: pfl or hyperband")
    add("--seeds", metavar="N", type=positive, default=1, help="that judge every trial (default: 1)")
    add("--again", metavar="N", type=positive, default=5, help="fresh seeds for the best (default: 5)")
    storage(parser)
    add(
        "--name",
        metavar="NAME",
        help="the name of the study's folder (default: search-TASK, with what differs)",
    )
    add("--dry-run", action="store_true", help="say what would be trained, and train nothing")
    add("--no-report", action="store_true", help="train only")
    settable(parser, "any other option of the runs, such as optimizer.momentum=0.9", pair="PATH=VALUE")
    common(parser)
    data_folder(parser)
    keep_weights(parser, "by the loss in validation")
    track(parser)
    placement(parser)
    ask(parser)


def about(name: str) -> str:
    """What the help says of a task: its description, and the examples."""
    return f"task {name!r}:\n{inspect.getdoc(TASKS[name])}\n\n{EXAMPLES}"


def run(args: argparse.Namespace) -> int:
    """Search, train the best again, report; exit codes as of a study."""
    from preheat.search.shared import going_on

    files = read_imports(args.imports)
    use_data(args)
    study = going_on(declared(args), args.results)
    return carried(study, study.points(), args=args, files=files)


def declared(args: argparse.Namespace) -> Study:
    """The search as a study."""
    from preheat.search.declare import Searched

    over = settings(args.pairs)
    said = {name: value for name in PASSED if (value := getattr(args, name, None)) is not None}
    task = {one.name: text for one, text in given(args, KIND, args.task)}
    names = args.schedulers
    chosen = Searched.schedules if names is None else _names(names, SCHEDULES, "--schedulers")
    searched = Searched(
        task={"name": TASKS.check(args.task), **task},
        schedules=chosen,
        free=_names(args.lr_free or "", OPTIMIZERS, "--lr-free"),
        optimizer={"name": OPTIMIZERS.check(args.optimizer or OPTIMIZERS.default)},
        **{name: getattr(args, name) for name in ("epochs", "peak_lr", "trials", "batch", "again")},
        pruner=args.prune,
        search_seeds=args.seeds,
        metric=str(over.pop("metric", "loss")),
        settings={**over, **said},
    )
    if args.name:
        return searched.study(args.name)
    return searched.study(f"search-{args.task}").called(_said(args))


def _names(text: str, known: Registry, flag: str) -> tuple[str, ...]:
    """The names of a list with commas, each once."""
    names = [word.strip() for word in text.split(",") if word.strip()]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{flag} names each once, got {name!r} twice in {text!r}: leave one out")
    return tuple(known.check(name) for name in names)


def _said(args: argparse.Namespace) -> list[str]:
    """What the study's name says of what changes its trials: a search goes on under the name it began
    with."""
    flags = given(args, KIND, args.task)
    said = [*marks(flags, several=True), *marks(flags, several=False), *args.pairs]
    said += [n for text in (args.schedulers, args.lr_free) if text for n in text.split(",")]
    for name, value, usual in (
        ("", args.optimizer, None),
        ("epochs", args.epochs, 50),
        ("peak", f"{args.peak_lr:g}", "0.01"),
        ("batch", args.batch_size, None),
        ("prune", args.prune, ""),
        ("seeds", args.seeds, 1),
    ):
        said += [f"{name}{value}"] if value not in (None, usual) else []
    return said
