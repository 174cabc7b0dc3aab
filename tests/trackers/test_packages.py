"""What the trackers of other people's packages share; none of the packages is needed here."""

from __future__ import annotations

import sys

import pytest

from preheat.adapters.trackers.packages import Waiting
from preheat.core.errors import UserError
from preheat.core.registry import TRACKERS


@pytest.mark.parametrize(
    ("name", "module"), [("wandb", "wandb"), ("mlflow", "mlflow"), ("trackio", "trackio.sqlite_storage")]
)
def test_a_package_that_is_missing_is_named_with_what_installs_it(tmp_path, monkeypatch, name, module):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, name, None)
    for variable in ("WANDB_MODE", "MLFLOW_DISABLE_TELEMETRY", "MLFLOW_HTTP_REQUEST_MAX_RETRIES"):
        monkeypatch.setenv(variable, "offline" if variable == "WANDB_MODE" else "1")
    with pytest.raises(
        UserError, match=rf"tracker '{name}' needs the package.*pip install {name}.*preheat\[track\]"
    ):
        TRACKERS[name]().open("study", tmp_path)


@pytest.mark.parametrize(
    ("mode", "said", "text"),
    [
        ("ofline", "online", "mode of tracker wandb 'ofline': did you mean 'offline'"),
        ("", "shared", "WANDB_MODE 'shared'"),
    ],
)
def test_a_mode_that_wandb_does_not_know_is_refused_without_the_package(
    tmp_path, monkeypatch, mode, said, text
):
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setenv("WANDB_MODE", said)
    with pytest.raises(UserError, match=text):
        TRACKERS["wandb"](mode).open("study", tmp_path)


def test_rows_wait_until_the_oldest_is_old():
    written = []
    for seconds, expected in ((60, []), (0, [("a", [1]), ("a", [2]), ("b", [3])])):
        written.clear()
        waiting = Waiting(lambda run, rows: written.append((run, rows)), seconds=seconds)
        for run, row in (("a", 1), ("a", 2), ("b", 3)):
            waiting.add(run, row)
        assert written == expected
