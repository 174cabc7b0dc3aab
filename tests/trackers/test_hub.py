"""Trackers that fail, that are slow, that are not installed: training goes on, and the person is told."""

from __future__ import annotations

import time

import pytest
from hearing import CALLS, calls, curves, fakes

from preheat.adapters.trackers import hub as module
from preheat.adapters.trackers.base import Told
from preheat.adapters.trackers.hub import Hub
from preheat.adapters.trackers.rows import OwnRun
from preheat.core.errors import UserError

RUN = Told(OwnRun("a1"), "group", "group[0]", {"peak_lr": 0.1}, 10)


@pytest.fixture
def two():
    with fakes("fake", "other"):
        yield


def told(hub: Hub, steps=3) -> list[str]:
    """The notes of one run told to a hub."""
    hub.begin(RUN)
    for step in range(steps):
        hub.log("a1", step, {"loss": float(step)})
    hub.end("a1", "done", {"validation_loss": 0.5})
    return hub.close()


def test_a_run_is_told_in_order_to_all_and_each_step_once(two, tmp_path):
    hub = Hub(["fake", "other:any"], "project", tmp_path)
    hub.begin(RUN)
    hub.log("a1", 5, {"loss": 1.0})
    hub.begin(RUN)  # it is trained again, from its checkpoint
    hub.log("a1", 4, {"loss": 9.0})
    hub.log("a1", 5, {"loss": 9.0})
    hub.log("a1", 6, {"loss": 0.5})
    hub.end("a1", "done", {})
    hub.end("a1", "failed", {})
    hub.log("a1", 7, {"loss": 9.0})
    assert hub.close() == []
    assert sorted(calls("open")) == [("open", "project", tmp_path / n) for n in ("fake", "other")]
    log = [("log", "a1", 5, {"loss": 1.0}), ("log", "a1", 6, {"loss": 0.5})]
    one = [("begin", RUN), *log, ("end", "a1", "done", {}), ("close",)]
    assert [c for c in CALLS if c[0] != "open"].count(("close",)) == 2
    for call in one:
        assert CALLS.count(call) == 2, call


@pytest.mark.parametrize("fails", ["begin", "log", "end", "close", "nokey"])
def test_one_that_raises_is_dropped_with_one_note_and_the_others_hear_all(two, tmp_path, fails):
    notes = told(Hub([f"fake:{fails}", "other"], "p", tmp_path))
    why = "ConnectionError: no key" if fails == "nokey" else "OSError: [Errno 28] No space left on device"
    assert notes == [f"tracker fake is dropped: {why}; training goes on"]
    assert list(curves()) == ["a1"] if fails == "begin" else True
    assert calls("end")[-1] == ("end", "a1", "done", {"validation_loss": 0.5}) and ("close",) in CALLS


@pytest.mark.parametrize(
    ("asked", "rule"),
    [
        (["fakd"], "unknown tracker 'fakd': did you mean 'fake'?"),
        (["fake", "fake:slow"], "each tracker is named once, got 'fake' twice: leave one out"),
        (["other", "fake:nopackage"], "needs the package fake: pip install fake"),
    ],
)
def test_what_the_user_must_mend_is_an_error_before_training(two, tmp_path, asked, rule):
    with pytest.raises(UserError) as caught:
        Hub(asked, "p", tmp_path)
    assert rule in str(caught.value)
    assert len(calls("close")) == len(calls("open"))


def test_a_slow_one_slows_nobody_and_what_it_was_not_told_is_counted(two, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST", 2)
    monkeypatch.setattr(module, "CLOSE_SECONDS", 0.3)
    begun = time.monotonic()
    hub = Hub(["fake:slow"], "p", tmp_path)
    hub.begin(RUN)
    for step in range(1000):
        hub.log("a1", step, {"loss": 0.0})
    assert time.monotonic() - begun < 0.15
    (note,) = hub.close()
    assert time.monotonic() - begun < 1.5
    lost = 1000 - len(calls("log")) - 2
    assert f"tracker fake was too slow: {lost} steps were not told; it is still busy, and " in note


def test_one_that_hangs_is_not_waited_for(two, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.1)
    monkeypatch.setattr(module._Ear, "_next", lambda self: time.sleep(1))
    begun = time.monotonic()
    (note,) = told(Hub(["fake"], "p", tmp_path))
    assert time.monotonic() - begun < 0.6 and "too slow: training is over; it is still busy" in note


def test_one_that_is_behind_is_waited_for_while_it_gets_on(two, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.5)
    assert told(Hub(["fake:slow"], "p", tmp_path)) == []
    assert [c[0] for c in CALLS] == ["open", "begin", "log", "log", "log", "end", "close"]
