"""A study from its declaration to records: what is missing is planned, trained and stored; nothing is trained
twice."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from preheat.core.errors import UserError, explain, nearest
from preheat.core.metrics import SPLITS
from preheat.core.registry import EXECUTORS, importable
from preheat.core.run import Run
from preheat.core.study import Point, Study, index_json
from preheat.lab.claims import Sharing
from preheat.lab.devices import offered, one_thread, room
from preheat.lab.executors.base import Event, Executor
from preheat.lab.plan import START_SECONDS, Choice, Unit, fits, total_seconds, units
from preheat.lab.work import Job
from preheat.store.blobs import read_json, write_atomic
from preheat.store.folder import exists
from preheat.store.store import Store
from preheat.store.weights import Kept, without_weights

BUSY_SECONDS = 1.0


@dataclass(frozen=True)
class How:
    """What may differ without changing a result: workers, device, placement, compilation, memory,
    checkpoints.

    device: auto (what is estimated to be done first: the CPU, or the GPU where there is one), cpu, cuda or
    cuda:1. executor: a registered name, the default one where it is left out. keep_weights:
    "final" or "best" (by the study's metric): runs without such a file are trained. told: somebody listens,
    so that beats tell what is new. shared: with others, who train runs of the same study elsewhere.
    """

    jobs: int = 0
    device: str = "auto"
    mode: str = "auto"
    compile: str = "auto"
    memory: int = 0
    checkpoint_seconds: float = 20.0
    imports: tuple[str, ...] = ()
    executor: str = ""
    keep_weights: str = ""
    told: bool = False
    shared: Sharing | None = None

    @property
    def workers(self) -> int:
        """The number of worker processes on a CPU."""
        return self.workers_on("cpu")

    def workers_on(self, device: str) -> int:
        """The number of worker processes: as asked, or one a core; on a GPU one."""
        if self.jobs or device != "cpu":
            return self.jobs or 1
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    def kept(self, study: Study) -> Kept | None:
        """The weights that are kept of a study's runs."""
        return Kept.of(self.keep_weights, study.metric, study.goal)

    def asked(self, device: str) -> dict[str, Any]:
        """What the planner is asked for on a device; memory: bytes that one worker may use."""
        memory = self.memory or room(device, self.workers_on(device))
        return {"memory": memory, "mode": self.mode, "compile_mode": self.compile}


class Todo(NamedTuple):
    """What a study still has to do: units and how each group is trained; `known` is what the planner
    measured; `most`: how many runs stages may ask for after these; `again`: the runs with a record that are
    trained for their weights only."""

    study: Study
    points: Sequence[Point]
    done: frozenset[str]
    units: Sequence[Unit]
    choices: dict[str, Choice]
    known: dict[str, Any]
    most: int = 0
    again: frozenset[str] = frozenset()

    def seconds(self, jobs: int) -> float:
        """The estimated wall time."""
        return total_seconds(self.units, jobs)

    @property
    def device(self) -> str:
        """Where the units are trained: on one device all of them."""
        return next((u.choice.device for u in self.units), "cpu")

    @property
    def sources(self) -> Collection[str]:
        """What a process must import to train the units; "" is what it can't import."""
        return importable(r.json() for u in self.units for r in u.runs).values()

    @property
    def memory(self) -> int:
        """Bytes of the largest unit."""
        return max((len(u.runs) * u.choice.run_bytes for u in self.units), default=0)


def folder(root: Path, study: Study) -> Path:
    """Where a study's own files are: its declaration, its plan, its report."""
    return root / study.name


def plan(study: Study, points: Sequence[Point], root: Path, how: How, *, tried: Collection[str] = ()) -> Todo:
    """Plan what is missing. The folder is read, not written; measured choices of an earlier plan are kept.

    tried: runs that are not missing, whether they have records or not. Only the batches of stages that have a
    missing run are measured and cut, each by itself: so a study that was stopped in a stage continues there.
    """
    there = exists(root) or root.is_file()
    store = Store.open(root, create=False) if there else None
    done = frozenset(store.ids(check=True)) if store else frozenset[str]()
    again = frozenset(without_weights(root, done & {p.run.id for p in points}, how.kept(study))) - set(tried)
    done = (done - again) | frozenset(tried)
    saved = folder(root, study) / "plan.json"
    before = read_json(saved) if saved.exists() else {}
    known = {name: c for name, c in before.items() if _readable(c)}
    batches = [b for b in _batches(points) if any(r.id not in done for r in b)]
    if not batches:
        runs = [p.run for p in points]
        if store and not _measured(study.metric, runs, store):
            _check_metric(study, runs)
        return Todo(study, points, done, [], {}, known)
    devices = offered(how.device)
    known = {name: c for name, c in known.items() if _still_fits(Choice(**c["choice"]), how, devices)}
    runs = [r for batch in batches for r in batch]
    with one_thread():
        _check_metric(study, runs)  # before anything is timed
        chosen = _fastest(runs, known, how, devices)
    todo = [u for batch in batches for u in units(batch, lambda run: chosen[run.stack_key], done=done)]
    return Todo(study, points, done, todo, chosen, known, again=again)


def plans(
    study: Study, asked: Callable[[], tuple[Sequence[Point], int]], root: Path, how: How
) -> Iterator[Todo]:
    """The plans of a study with stages, one after the other: carry each out before the next is asked for.

    asked: all points that the study asks for as far as its records tell, and how many may follow
    (`analysis.stages.staged`). What failed in one plan is not tried again in the next.
    """
    (points, most), tried = asked(), set[str]()
    while True:
        yield plan(study, points, root, how, tried=tried)._replace(most=most)
        before, (points, most) = points, asked()
        if [p.run.id for p in points] == [p.run.id for p in before]:
            return
        tried |= {p.run.id for p in before}


def _batches(points: Sequence[Point]) -> list[list[Run]]:
    """The runs known beforehand, then those of each batch of a stage."""
    found: dict[int, list[Run]] = {}
    for p in points:
        found.setdefault(p.stage, []).append(p.run)
    return list(found.values())


def _still_fits(choice: Choice, how: How, devices: Sequence[str]) -> bool:
    """Whether a measured choice may be kept; those for a device that is not asked about now are."""
    return choice.device not in devices or fits(choice, **how.asked(choice.device))


def _fastest(
    runs: Sequence[Run], known: dict[str, Any], how: How, devices: Sequence[str]
) -> dict[str, Choice]:
    """{stack key: choice} on the device that is estimated to be done first with all runs, whether they are
    trained or not.

    So a study that was stopped goes on where it was. A GPU is measured first: where it can train the runs and
    a glance says that one of them is heavy on a CPU, the CPU is not measured, which would take long to find
    it slower.
    """
    from preheat.lab.measure import choices, heavy  # torch: not for a study that only needs its report

    def measured(device: str) -> tuple[float, dict[str, Choice]]:
        jobs = how.workers_on(device)
        made = choices(runs, known, jobs=jobs, device=device, **how.asked(device))
        return total_seconds(units(runs, lambda run: made[run.stack_key]), jobs), made

    found = [measured(device) for device in devices if device != "cpu"]
    trained = any(choice.run_bytes for _, made in found for choice in made.values())
    if "cpu" in devices and not (trained and heavy(runs)):
        found.append(measured("cpu"))
    return min(found, key=lambda one: one[0])[1]


def _measured(metric: str, runs: Sequence[Run], store: Store) -> bool:
    """Whether a run's record holds the metric: then the tasks, which load torch, need not be asked."""
    ids, names = {r.id for r in runs}, {f"{split}_{metric}" for split in SPLITS}
    return any(head.id in ids and names & set(head.summary) for head in store.heads())


def _check_metric(study: Study, runs: Sequence[Run]) -> None:
    """A study asks for a metric that its tasks measure."""
    from preheat.lab.measure import metrics

    for run in {r.task.name: r for r in runs}.values():
        try:
            names = sorted(metrics(run))
        except UserError:
            raise
        except Exception:  # its records will say why
            continue
        if study.metric not in names:
            match = nearest(study.metric, names) or names[0]
            raise UserError(
                f"study {study.name!r} asks for the metric {study.metric!r}, which task {run.task.name!r} "
                f"does not measure: it measures {', '.join(names)}; write --set metric={match}, or in a "
                f"study file metric: {match}, its goal: min or max, and its margin"
            )


def _readable(entry: Any) -> bool:
    """Whether an entry of plan.json is one of this version's, or of an earlier one's that knew no devices."""
    if not isinstance(entry, dict) or set(entry) != {"run_steps", "choice"}:
        return False
    names = set(entry["choice"])
    return set(Choice._fields) - set(Choice._field_defaults) <= names <= set(Choice._fields)


def here(made: Todo, how: How) -> How:
    """How to train a plan from Python: in this process where, on a CPU, workers would cost more time than
    they save, and where only this process knows what the runs name."""
    saved = made.seconds(1) - made.seconds(how.workers)
    alone = made.device == "cpu" and saved < START_SECONDS
    return replace(how, executor="thread") if alone or "" in made.sources else how


def carry_out(made: Todo, root: Path, how: How) -> Generator[Event, None, None]:
    """Train a plan's units; what other processes are training is waited for. Closing the iterator stops
    cleanly."""
    store = Store.open(root)
    _write(made, folder(root, made.study))
    executor: Executor = EXECUTORS.build(how.executor or EXECUTORS.default, {})
    imports = (*how.imports, *filter(None, made.sources))
    claimed = (how.shared and how.shared.claims) or executor.claims
    job = Job(root, imports, how.checkpoint_seconds, claimed, how.kept(made.study), how.told)
    over: set[str] = set()
    exchange: Callable[[], object] = how.shared.exchange if how.shared else list
    workers = how.workers_on(made.device)
    with closing(claimed(root)) as claims:
        todo: Sequence[Unit] = made.units
        while todo:
            told = 0
            if any(claims.free(r.id) for u in todo for r in u.runs):
                with closing(executor.execute(todo, job, workers=workers)) as events:
                    for event in events:
                        told += event.runs
                        if event.kind in ("done", "failed"):
                            over |= {r.id for r in event.unit.runs}
                            exchange()
                        yield event
            else:
                time.sleep(BUSY_SECONDS)
            exchange()
            ended = store.ids(("done", "diverged", "failed"))
            asked = store.ids(among=[r.id for u in todo for r in u.runs])
            ended -= without_weights(root, asked, job.kept) - over
            left = [
                Unit(some, u.choice) for u in todo if (some := tuple(r for r in u.runs if r.id not in ended))
            ]
            elsewhere = _count(todo) - _count(left) - told
            if elsewhere > 0:
                yield Event("done", todo[0], elsewhere * todo[0].run_steps // len(todo[0].runs), elsewhere)
            todo = left


def _count(some: Sequence[Unit]) -> int:
    return sum(len(u.runs) for u in some)


def _write(made: Todo, here: Path) -> None:
    """The study's declaration and its plan."""
    try:
        here.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain("keep the study's files", here, error) from error
    index = here / "study.json"
    before = None
    with suppress(UserError):  # a damaged one is written anew
        before = read_json(index) if index.exists() else None
    write_atomic(index, json.dumps(index_json(made.study, made.points, before=before)).encode())
    write_atomic(here / "plan.json", json.dumps(made.known, indent=1).encode())
