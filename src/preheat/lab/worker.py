"""One worker: it claims a unit of work, trains it, stores its records, and says how that goes."""

from __future__ import annotations

import signal
from contextlib import suppress
from functools import lru_cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from preheat.core.errors import UserError
from preheat.core.registry import import_file
from preheat.lab.claims import Claims
from preheat.lab.devices import broken, free, out_of_memory
from preheat.lab.plan import Unit
from preheat.store.segment import Writer
from preheat.store.store import Store
from preheat.store.weights import Kept, without_weights

# what a worker's pipe raises when the parent is gone
GONE = (EOFError, BrokenPipeError, ConnectionResetError)


class Job(NamedTuple):
    """What every worker needs to know."""

    root: Path
    imports: tuple[str, ...] = ()
    every: float = 20.0
    kept: Kept | None = None


class Failed(Exception):
    """`unit` could not be trained, the part of what was asked for that was still to do; the cause says
    why."""

    def __init__(self, unit: Unit) -> None:
        super().__init__()
        self.unit = unit


def work(job: Job, unit: Unit, say: Any, stop: Any) -> None:
    """Claim, train and store one unit; `say(kind, **facts)` tells how it goes, `stop()` asks whether to give
    up."""
    from preheat.lab.unit import Stopped, train_unit
    from preheat.lab.weights import keeper, store_trained

    claims, store, writer = _tools(job.root)
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
                beat=lambda b: say("beat", run_steps=b.run_steps) or stop(),
                every=job.every,
                warn=lambda text: say("retry", text=text),
                keeper=kept_by,
            )
            for text in store_trained(found, writer, store, kept=job.kept, kept_by=kept_by):
                say("unkept", text=text)
        if save:
            save.unlink(missing_ok=True)
        diverged = sum(r.status.outcome == "diverged" for r in found)
        kind = "done" if len(mine) == len(unit.runs) else "busy"
        say(kind, runs=len(todo.runs), diverged=diverged)
    except Stopped:
        say("stopped")
    except (UserError, *GONE):
        raise
    except Exception as error:
        raise Failed(todo) from error
    finally:
        for run in mine:
            claims.drop(run.id)


@lru_cache(maxsize=1)
def _tools(root: Path) -> tuple[Claims, Store, Writer]:
    """This process's claims, store and writer, kept: claims die with their file, and a writer owns a
    segment."""
    store = Store.open(root)
    return Claims(root), store, store.writer()


def live(pipe: Connection, job: Job) -> None:
    """A worker's life: take a unit, work, say what happened; end when told to, or when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import torch

    from preheat.lab.unit import share_checkpoint

    torch.set_num_threads(1)
    for file in job.imports:
        import_file(file)

    def say(kind: str, **facts: Any) -> None:
        pipe.send((kind, facts))

    def asked() -> bool:
        return pipe.poll() and pipe.recv() is None

    with suppress(*GONE):
        while (unit := pipe.recv()) is not None:
            failure = _attempt(job, unit, say, asked)
            if failure and failure.get("memory"):
                free()
                if len(failure["todo"].runs) > 1:
                    share_checkpoint(Store.open(job.root, create=False), failure["todo"])
            if failure:
                say("error", **failure)
                if failure.get("broken"):
                    return


def _attempt(job: Job, unit: Unit, say: Any, stop: Any) -> dict[str, Any] | None:
    """Work on a unit; what went wrong as plain data, for the error itself holds on to all that was in use."""
    try:
        work(job, unit, say, stop)
    except GONE:
        raise
    except UserError as error:
        return {"text": str(error), "user": True}
    except Exception as error:
        todo, cause = (error.unit, error.__cause__) if isinstance(error, Failed) else (unit, error)
        text = f"{type(cause).__name__}: {cause}"
        return {"text": text, "todo": todo, "memory": out_of_memory(cause), "broken": broken(cause)}
    return None
