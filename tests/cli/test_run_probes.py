"""`preheat run --probe` says what was measured last, and where the rest is."""

from __future__ import annotations

from array import array
from pathlib import Path

from preheat.cli.run_command import show_probes
from preheat.core.record import Record, Series, Status
from preheat.core.run import Run
from preheat.core.spec import spec


def test_a_run_says_what_its_probes_measured_last(capsys):
    series = Series(array("q", [0, 5]), array("d", [3.0, 1.23456]))
    trace = {"train_loss": series, "grad_norm": series, "grad_norm.0.weight": series}
    run = Run("digits", probes=(spec("grad_norm"),))
    show_probes(Record(run, Status("done"), trace), Path("results"))
    assert capsys.readouterr().out == (
        f"last measured: grad_norm 1.235\nall of one: preheat results {run.id} --trace grad_norm\n"
    )
    show_probes(Record(run, Status("done"), trace), Path("elsewhere"))
    assert capsys.readouterr().out.endswith("--trace grad_norm --results elsewhere\n")
    show_probes(Record(Run("digits"), Status("done"), {"train_loss": series}), Path("results"))
    assert not capsys.readouterr().out
