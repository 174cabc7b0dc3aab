"""An executor is a small class: another one than the shipped, with claims of its own, carries out a study."""

from __future__ import annotations

import pytest
from in_process import TAKEN, Named, registered

from preheat.core.errors import UserError
from preheat.core.grid import Block
from preheat.core.registry import EXECUTORS
from preheat.core.study import Study
from preheat.lab import study as lab
from preheat.lab import unit
from preheat.lab.plan import Choice, Unit
from preheat.lab.study import How, Todo, carry_out
from preheat.store.store import Store

FIXED = {"task": {"name": "quadratic", "dim": 3}, "optimizer": "sgd", "length": 8, "evaluate": 4}
FLEET = Choice(4, "eager", 1e-4, 0.0, 1000)


@pytest.fixture
def here():
    with registered() as name:
        yield name


def begun(root, name: str):
    """(runs, the events of a study of one fleet, but for beats)."""
    grid = (Block(product={"schedule.warmup": [0, 2]}),)
    study = Study("four", "?", grid, fixed=FIXED, seeds=(0, 1), metric="loss", margin=0.01)
    made = Todo(study, study.points(), frozenset(), [Unit(tuple(study.runs()), FLEET)], {}, {})
    events = carry_out(made, root, How(executor=name))
    return study.runs(), (e for e in events if e.kind != "beat")


def test_a_unit_that_fails_is_tried_again_and_recorded_as_any_executor_does(here, tmp_path, monkeypatch):
    train = unit.train_unit

    def cursed(some, *args, **kwargs):
        if any((r.seed, str(r.schedule)) == bad for r in some.runs):
            raise RuntimeError("cursed")
        return train(some, *args, **kwargs)

    monkeypatch.setattr(unit, "train_unit", cursed)
    runs, events = begun(tmp_path, here)
    bad = (runs[1].seed, str(runs[1].schedule))
    told = [(e.kind, len(e.unit.runs), e.runs) for e in events]
    each = [("done", 1, 1), ("retry", 1, 0), ("done", 1, 1), ("done", 1, 1)]
    assert told == [("retry", 4, 0), *each, ("failed", 1, 1)]
    heads = {h.id: h.status for h in Store.open(tmp_path, create=False).heads()}
    assert [heads[r.id].outcome for r in runs] == ["done", "failed", "done", "done"]
    assert heads[runs[1].id].reason == "RuntimeError: cursed" and not TAKEN


def test_what_another_process_has_is_waited_for_by_the_executors_own_claims(here, tmp_path, monkeypatch):
    runs, events = begun(tmp_path, here)
    other = Named(tmp_path, "another process")
    assert other.take(runs[0].id) and other.take(runs[1].id)
    first = next(events)
    assert (first.kind, first.runs) == ("busy", 2)
    monkeypatch.setattr(lab.time, "sleep", lambda seconds: other.close())
    assert [(e.kind, e.runs) for e in events] == [("done", 2)]
    assert Store.open(tmp_path, create=False).ids() == {r.id for r in runs}


def test_processes_are_the_default_and_an_unknown_executor_is_named(tmp_path):
    assert EXECUTORS.default == "processes"
    with pytest.raises(UserError, match="did you mean 'processes'"):
        next(begun(tmp_path, "proceses")[1])
