"""One unit's work: it is claimed, trained and stored, and how that goes is said.

In which process it is done, and who hears of it, is an executor's matter (`lab.executors`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from preheat.core.errors import UserError
from preheat.core.run import Run
from preheat.lab.beginnings import forget
from preheat.lab.claims import Claiming, Claims
from preheat.lab.devices import broken, free, out_of_memory
from preheat.lab.plan import Unit
from preheat.schedules.combine.beginning import whole
from preheat.store.segment import Writer
from preheat.store.store import Store
from preheat.store.weights import Kept, without_weights

if TYPE_CHECKING:
    from preheat.lab.unit import Beat

# what a worker's pipe raises when the parent is gone
GONE = (EOFError, BrokenPipeError, ConnectionResetError)


class Job(NamedTuple):
    """What whoever trains a unit needs to know.

    root: the results folder; imports: the user's files; every: seconds between checkpoints; claims: how its
    process claims runs in `root`; kept: the weights that are kept; told: whether beats tell what is new.
    """

    root: Path
    imports: tuple[str, ...] = ()
    every: float = 20.0
    claims: Callable[[Path], Claiming] = Claims
    kept: Kept | None = None
    told: bool = False


class Failure(NamedTuple):
    """Why a unit could not be trained, as plain data: an error holds on to all that was in use.

    todo: the part of it that was still to do; user: it is the user's to mend; memory: memory ran out; broken:
    nothing more can be computed in this process.
    """

    text: str
    todo: Unit
    user: bool = False
    memory: bool = False
    broken: bool = False


class _Failed(Exception):
    """`unit` could not be trained, the part of what was asked for that was still to do; the cause says
    why."""

    def __init__(self, unit: Unit) -> None:
        super().__init__()
        self.unit = unit


def attempt(job: Job, unit: Unit, *, say: Callable[..., Any], stop: Callable[[], bool]) -> Failure | None:
    """Claim, train and store one unit; what went wrong, where something did.

    say(kind, **facts): told how it goes: `beat`, `retry` and `unkept` while it does, then one of `done`,
    `busy` and `stopped`. stop(): asks whether to give up, which writes a checkpoint.
    """
    failure = _attempt(job, unit, say, stop)
    if failure and failure.memory:  # only now is the error gone, and what it held
        free()
        if len(failure.todo.runs) > 1:
            from preheat.lab.unit import share_checkpoint

            share_checkpoint(Store.open(job.root, create=False), failure.todo)
    return failure


def _attempt(job: Job, unit: Unit, say: Callable[..., Any], stop: Callable[[], bool]) -> Failure | None:
    try:
        _work(job, unit, say, stop)
    except GONE:
        raise
    except UserError as error:
        return Failure(str(error), unit, user=True)
    except Exception as error:
        todo, cause = (error.unit, error.__cause__) if isinstance(error, _Failed) else (unit, error)
        text = f"{type(cause).__name__}: {cause}"
        return Failure(text, todo, memory=out_of_memory(cause), broken=broken(cause))
    return None


def _work(job: Job, unit: Unit, say: Callable[..., Any], stop: Callable[[], bool]) -> None:
    from preheat.lab.unit import Stopped, train_unit
    from preheat.lab.weights import keeper, store_trained

    claims, store, writer = _tools(job.root, job.claims)
    mine = tuple(r for r in unit.runs if claims.take(r.id))
    done = store.ids(check=True, among=[r.id for r in mine])
    done -= without_weights(job.root, done, job.kept)
    todo = Unit(tuple(r for r in mine if r.id not in done), unit.choice)
    save = store.checkpoint_path(todo.id) if todo.runs else None
    try:
        found, kept_by = [], keeper(job.kept)
        if todo.runs:
            found = train_unit(
                todo,
                save,
                beat=_beat(todo.runs if job.told else (), say, stop),
                every=job.every,
                warn=lambda text: say("retry", text=text),
                keeper=kept_by,
            )
            for text in store_trained(found, writer, store, kept=job.kept, kept_by=kept_by):
                say("unkept", text=text)
        if save:
            save.unlink(missing_ok=True)
            forget(save.parent, [r for r in todo.runs if not whole(r)])
        diverged = sum(r.status.outcome == "diverged" for r in found)
        kind = "done" if len(mine) == len(unit.runs) else "busy"
        say(kind, runs=len(todo.runs), diverged=diverged)
    except Stopped:
        say("stopped")
    except (UserError, *GONE):
        raise
    except Exception as error:
        raise _Failed(todo) from error
    finally:
        for run in mine:
            claims.drop(run.id)


def _beat(told: Sequence[Run], say: Callable[..., Any], stop: Callable[[], bool]) -> Callable[[Beat], bool]:
    """What says a unit's beats, with what is new of the runs that are told of."""
    if not told:
        return lambda b: say("beat", run_steps=b.run_steps) or stop()
    from preheat.lab.telling import Newsreel

    reel = Newsreel(told)

    def beat(b: Beat) -> bool:
        begun = b.progress.step - b.run_steps // len(told)
        say("beat", run_steps=b.run_steps, news=reel.since(begun, b.progress))
        return stop()

    return beat


def let_go(job: Job) -> None:
    """Close what this process keeps for the units of a job, where it lives on without them."""
    claims, _, writer = _tools(job.root, job.claims)
    claims.close()
    writer.close()
    _tools.cache_clear()


@lru_cache(maxsize=1)
def _tools(root: Path, claim: Callable[[Path], Claiming]) -> tuple[Claiming, Store, Writer]:
    """This process's claims, store and writer, kept: claims die with their file, and a writer owns a
    segment."""
    store = Store.open(root)
    return claim(root), store, store.writer()
