"""From a study to records: plans, workers, failures, kills, Ctrl-C, two commands at once. What was trained is
never lost."""

from __future__ import annotations

import json
import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preheat.cli import main as cli
from preheat.cli.report_command import write
from preheat.core.errors import UserError
from preheat.core.grid import Block
from preheat.core.registry import TASKS, import_file
from preheat.core.run import Run
from preheat.core.spec import spec
from preheat.core.study import Study
from preheat.lab import measure
from preheat.lab import study as lab
from preheat.lab.claims import Claims
from preheat.lab.plan import START_SECONDS, TRACE_SECONDS, Choice, fits, groups, total_seconds, units
from preheat.lab.study import How, carry_out, plan
from preheat.lab.train import train
from preheat.store.store import Store
from preheat.studyfiles.reader import read_study

FLEET = Choice(4, "traced", 1e-4, 0.0, 1000)
QUADRATIC = {"name": "quadratic", "dim": 4, "sigma": 0.1, "examples": 64}
PATIENCE = 120  # seconds after which a test that waits gives up


def a_study(name: str, **changes) -> Study:
    fixed = {
        "task": QUADRATIC,
        "optimizer": "sgd",
        "schedule": {"name": "cosine"},
        "length": 30,
        "batch_size": 16,
    }
    settings = {
        "question": "?",
        "fixed": {**fixed, **changes.pop("fixed", {})},
        "grid": (Block(product={"schedule.warmup": [{"steps": 0}, {"steps": 10}], "peak_lr": [0.5, 1.0]}),),
        "nuisance": ("peak_lr",),
        "seeds": (0, 1, 2, 3),
        "choosing": 1,
        "metric": "loss",
        "goal": "min",
        "margin": 0.01,
    }
    return Study(**{"name": name, **settings, **changes})


def chosen(root: Path, study: Study, choice: Choice, runs: list[Run] | None = None) -> Path:
    """A results folder in which the planner's choice is made already."""
    Store.open(root)
    (root / study.name).mkdir()
    known: dict = {}
    for group in groups(runs or study.runs()):
        entry = known.setdefault(measure.signature(group[0]), {"run_steps": 0, "choice": choice.json()})
        entry["run_steps"] += sum(r.total_steps for r in group)
    (root / study.name / "plan.json").write_text(json.dumps(known))
    return root


def do(study: Study, root: Path, **how) -> list:
    """Plan and train; every event but the beats."""
    way = How(**{"jobs": 1, "compile": "off", **how})
    return [e for e in carry_out(plan(study, study.points(), root, way), root, way) if e.kind != "beat"]


def attempts(root: Path, study: Study) -> dict[str, list[str]]:
    """{run id: outcomes of every record of it}."""
    store = Store.open(root, create=False)
    return {r.id: [h.status.outcome for h in store.attempts(r.id)] for r in study.runs()}


def contents(root: Path, study: Study) -> list:
    """All that is measured of every run, to the bit."""
    store = Store.open(root, create=False)
    assert not store.damage(check=True)
    found = [store.load(r.id) for r in study.runs()]
    return [
        (r.id, r.status, dict(r.summary), {n: (s.steps, s.values.tobytes()) for n, s in r.trace.items()})
        for r in found
    ]


# --- plans
# -----------------------------------------------------------------------------------------------------------

MANY = [
    Run(task=spec("quadratic"), optimizer="sgd", peak_lr=0.1, length=n, seed=s)
    for n, seeds in (("10", 13), ("20", 6), ("30", 1))
    for s in range(seeds)
]
DONE = st.lists(st.sampled_from([r.id for r in MANY])).map(frozenset)


@given(st.integers(1, 20), DONE)
def test_every_missing_run_is_in_one_unit_and_the_cut_does_not_depend_on_what_is_done(size, done):
    choice = FLEET._replace(size=size)
    whole, left = (units(MANY, lambda run: choice, done=d) for d in (frozenset(), done))
    planned = [r.id for u in left for r in u.runs]
    assert sorted(planned) == sorted({r.id for r in MANY} - done)
    home = {r.id: u.id for u in whole for r in u.runs}
    for unit in left:
        assert len({home[r.id] for r in unit.runs}) == 1 and len({r.stack_key for r in unit.runs}) == 1
    untouched = [u.id for u in whole if not done & {r.id for r in u.runs}]
    assert set(untouched) <= {u.id for u in left}, "a checkpoint must find its unit again"
    assert [u.seconds for u in left] == sorted((u.seconds for u in left), reverse=True)


@given(st.integers(1, 20))
def test_fleets_of_a_group_are_as_even_as_can_be(size):
    for group in groups(MANY):
        sizes = [len(u.runs) for u in units(group, lambda run: FLEET._replace(size=size))]
        assert sum(sizes) == len(group) and max(sizes) <= size and max(sizes) - min(sizes) <= 1
        least = -(-len(group) // size)
        assert least <= len(sizes) <= least + least // 2 and (len(sizes) == least or len(set(sizes)) == 1)


def test_how_a_unit_is_trained_is_part_of_its_checkpoints_name():
    ids = [
        units(MANY, lambda run, c=c: c)[0].id
        for c in (FLEET, FLEET._replace(realise="eager"), FLEET._replace(seconds=9.0))
    ]
    assert ids[0] != ids[1] and ids[0] == ids[2]


def test_the_estimate_counts_work_workers_and_compilation():
    todo = units(MANY[:12], lambda run: FLEET._replace(realise="compiled", compile_seconds=3.0))
    assert sum(u.run_steps for u in todo) == 120 and len(todo) == 3
    assert total_seconds(todo, 1) == pytest.approx(START_SECONDS + TRACE_SECONDS + 3.0 + 120 * 1e-4)
    assert total_seconds(todo, 8) == pytest.approx(START_SECONDS + TRACE_SECONDS + 3.0 + 40 * 1e-4)
    assert total_seconds([], 2) == 0


# --- the planner's choice
# --------------------------------------------------------------------------------------------


@pytest.fixture
def timed(monkeypatch):
    """The planner with a made-up clock: `cost[size, realise]` seconds for a step of a run, 1e-3 where it says
    nothing."""
    cost: dict = {}
    monkeypatch.setattr(measure, "placement", lambda choice, device="cpu": choice)
    monkeypatch.setattr(
        measure, "seconds_per_run_step", lambda runs, c: (cost.get((c.size, c.realise), 1e-3), 5.0)
    )
    return cost


ASK = {"jobs": 1, "memory": 1 << 40}


@pytest.mark.parametrize("best", [(1, "eager"), (1, "traced"), (7, "traced"), (13, "traced")])
def test_the_planner_takes_what_measured_fastest(timed, best):
    timed.update({(size, realise): 1.0 for size in range(64) for realise in ("eager", "traced", "compiled")})
    timed[best] = 0.1
    choice = measure.choose(MANY, **ASK)
    assert (choice.size, choice.realise, choice.seconds) == (*best, 0.1)


def test_the_planner_respects_placement_compilation_and_memory(timed):
    timed[7, "traced"] = timed[1, "compiled"] = timed[7, "compiled"] = 1e-6
    assert measure.choose(MANY, **ASK, mode="single").size == 1
    assert measure.choose(MANY, **ASK, mode="fleet").size == 7
    timed[1, "eager"] = 1e-7
    assert measure.choose(MANY, **ASK, mode="fleet").size > 1
    assert measure.choose(MANY, **ASK, compile_mode="on").realise == "compiled"
    assert measure.choose(MANY, **ASK, compile_mode="off").realise != "compiled"
    tight = measure.choose(MANY, jobs=1, memory=3 * measure.run_bytes(MANY[0]) + 1, mode="fleet")
    assert tight.size == 3 and tight.size * tight.run_bytes <= 3 * measure.run_bytes(MANY[0]) + 1


def test_the_planner_compiles_only_where_enough_steps_follow(timed):
    timed[7, "compiled"] = timed[13, "compiled"] = timed[1, "compiled"] = 1e-6
    assert measure.choose(MANY, **ASK).realise != "compiled"
    assert measure.choose([r.but(length="1000000") for r in MANY[:2]], **ASK).realise == "compiled"


def test_a_choice_of_an_earlier_plan_is_kept_unless_another_is_asked_for(tmp_path, monkeypatch):
    study = a_study("kept")
    chosen(tmp_path, study, FLEET)
    seen: list[dict] = []
    monkeypatch.setattr(
        measure,
        "choices",
        lambda runs, known, **how: seen.append(known) or {r.stack_key: FLEET for r in runs},
    )
    for mode, compile_mode in (("auto", "auto"), ("fleet", "off"), ("single", "auto"), ("auto", "on")):
        plan(study, study.points(), tmp_path, How(jobs=1, mode=mode, compile=compile_mode))
    assert [len(known) for known in seen] == [1, 1, 0, 0]
    assert not fits(FLEET, mode="auto", compile_mode="auto", memory=4 * FLEET.run_bytes - 1)


# --- training
# --------------------------------------------------------------------------------------------------------


def test_a_studys_records_are_those_of_its_runs_trained_alone_and_nothing_is_trained_twice(tmp_path):
    warmups = [{"steps": 0}, {"steps": 2}]
    study = a_study(
        "both",
        fixed={"task": "quadratic", "precision": "float64", "evaluate": 2},
        grid=(
            Block(fixed={"length": 12}, product={"schedule.warmup": warmups, "peak_lr": [0.5, 1e200]}),
            Block(
                fixed={
                    "task": {"name": "digits", "examples_per_class": 3},
                    "length": "3ep",
                    "optimizer": "adamw",
                },
                product={"schedule.warmup": warmups, "peak_lr": [0.01]},
            ),
        ),
        scientific=("schedule.warmup", "task.name"),
        seeds=(0, 1),
    )
    events = do(study, tmp_path, mode="fleet")
    assert sum(e.runs for e in events) == 12 and sum(e.diverged for e in events) == 4
    store = Store.open(tmp_path, create=False)
    for run in study.runs():
        alone, stored = train(run), store.load(run.id)
        assert stored.status == alone.status and stored.trace.keys() == alone.trace.keys()
        for name, series in alone.trace.items():
            assert series.steps == stored.trace[name].steps
            np.testing.assert_allclose(
                stored.trace[name].values, series.values, rtol=1e-10, atol=1e-10, err_msg=name
            )
        numbers = {k: v for k, v in alone.summary.items() if v is not None}
        assert numbers == pytest.approx(
            {k: v for k, v in stored.summary.items() if v is not None}, rel=1e-10, abs=1e-10
        )
        assert "fleet of" in stored.provenance["placement"]
    assert do(study, tmp_path) == []
    with pytest.raises(UserError, match=r"asks for the metric 'acuracy', .* write --set metric=loss"):
        plan(replace(study, metric="acuracy"), study.points(), tmp_path, How())
    assert set(map(len, attempts(tmp_path, study).values())) == {1}
    assert not any(store.checkpoints.iterdir())


TASK_FILE = '''
"""A quadratic that takes its time, and that some seeds can't start."""
import os
import time
from dataclasses import dataclass

from preheat.core.registry import TASKS
from preheat.tasks.quadratic import Quadratic


@TASKS.register("fragile")
@dataclass(frozen=True)
class Fragile(Quadratic):
    """Each seed waits `pause` seconds a step; where `breaks`, seed 1 raises and seed 5 ends the process."""

    pause: float = 0.0
    breaks: bool = False

    def init(self, generator):
        from preheat.engine.keys import key

        if self.breaks and generator.initial_seed() == key(1, "init"):
            raise RuntimeError("seed 1 is cursed")
        if self.breaks and generator.initial_seed() == key(5, "init"):
            os._exit(3)
        return super().init(generator)

    def noise(self, generator, batch):
        time.sleep(self.pause)
        return super().noise(generator, batch)
'''
STUDY_FILE = """
name: long
question: Does it survive?
fixed:
  task: {name: fragile, dim: 4, sigma: 0.1, examples: 64, pause: 0.001}
  optimizer: sgd
  schedule: {name: cosine}
  length: 500
  batch_size: 16
grid:
  - product: {schedule.warmup: [0, 10], peak_lr: [0.5, 1.0]}
nuisance: [peak_lr]
seeds: [0, 1]
choosing: 1
metric: loss
goal: min
"""


class Files(NamedTuple):
    """A user's task, a study of it of two fleets, and the script that carries it out."""

    task: Path
    study: Path
    script: Path

    def changed(self, path: Path, *changes: tuple[str, str]) -> Path:
        """The study's file with other words."""
        text = STUDY_FILE
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path.write_text(text)
        return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    here = tmp_path_factory.mktemp("files")
    found = Files(here / "fragile_task.py", here / "long.yaml", here / "script.py")
    for path, text in zip(found, (TASK_FILE, STUDY_FILE, SCRIPT), strict=True):
        path.write_text(text)
    import_file(found.task)
    yield found
    TASKS._objects.pop("fragile")  # what tests of other files list is what is shipped


def command(files: Files, study: Path, root: Path) -> list[str]:
    options = [
        "--import",
        str(files.task),
        "--results",
        str(root),
        "--jobs",
        "1",
        "--compile",
        "off",
        "--no-report",
    ]
    return ["study", str(study), *options]


def test_a_run_that_raises_or_kills_its_worker_is_recorded_as_failed_and_the_rest_are_done(
    files, tmp_path, capsys
):
    changes = (("pause: 0.001", "breaks: true"), ("length: 500", "length: 20"), ("[0.5, 1.0]", "[0.1]"))
    file = files.changed(tmp_path / "broken.yaml", *changes, ("seeds: [0, 1]", "seeds: 8"))
    study = read_study(file)
    part = replace(study, name=f"{study.name}-limit8")
    root = chosen(tmp_path / "results", part, FLEET._replace(realise="eager"), study.runs()[:8])
    assert cli.main([*command(files, file, root), "--limit", "8"]) == 1, "without warmup, every seed"
    outcomes = {run.seed: attempts(root, study)[run.id] for run in study.runs()[:8]}
    assert outcomes == {s: ["failed"] if s in (1, 5) else ["done"] for s in range(8)}
    heads = {h.run().seed: h for h in Store.open(root, create=False).heads()}
    assert heads[1].status.reason == "RuntimeError: seed 1 is cursed"
    assert "the worker process died (exit code 3)" in heads[5].status.reason
    err = capsys.readouterr().err
    told = [line for line in err.splitlines() if line.startswith(("retry: ", "failed: "))]
    assert sum(" and others: " in line for line in told) == 2, "each fleet is tried again run by run"
    assert sum(line.startswith("failed: ") for line in told) == 2 and len(told) == 6
    assert "8/8 runs, 2 failed" in err


# --- claims
# ----------------------------------------------------------------------------------------------------------

HOLDER = """
import sys
from pathlib import Path
from preheat.lab.claims import Claims
claims = Claims(Path(sys.argv[1]))
print(*[claims.take(run_id) for run_id in sys.argv[2:]], flush=True)
sys.stdin.read()
"""


def holder(root: Path, *ids: str) -> tuple[subprocess.Popen, list[str]]:
    """A process that has claimed runs and sits on them; what its claims gave."""
    command = [sys.executable, "-c", HOLDER, str(root), *ids]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().split()


def end(process: subprocess.Popen) -> None:
    process.kill()
    process.communicate()


def test_a_claimed_run_is_nobody_elses_until_it_is_dropped_or_its_process_dies(tmp_path):
    a, b = MANY[0].id, MANY[1].id
    mine = Claims(tmp_path)
    other, got = holder(tmp_path, a)
    try:
        assert got == ["True"] and not mine.take(a) and not mine.free(a)
        assert mine.take(b) and mine.take(b)
    finally:
        end(other)
    assert mine.take(a), "death frees a claim"
    other, got = holder(tmp_path, a, b)
    end(other)
    assert got == ["False", "False"]
    mine.drop(a)
    other, got = holder(tmp_path, a, b)
    end(other)
    assert got == ["True", "False"]
    mine.close()


def test_runs_of_another_process_are_waited_for_and_taken_over_when_it_dies(tmp_path, monkeypatch):
    monkeypatch.setattr(lab, "BUSY_SECONDS", 0.05)
    study = a_study(
        "shared",
        seeds=(0, 1),
        choosing=0,
        nuisance=(),
        grid=(Block(product={"schedule.warmup": [{"steps": 0}]}),),
    )
    root = chosen(tmp_path, study, FLEET)
    held, free = (r.id for r in study.runs())
    other, got = holder(root, held)
    assert got == ["True"]
    try:
        how = How(jobs=1, compile="off")
        events = carry_out(plan(study, study.points(), root, how), root, how)
        first = next(e for e in events if e.kind != "beat")
        assert (first.kind, first.runs) == ("busy", 1)
        assert attempts(root, study) == {held: [], free: ["done"]}
    finally:
        end(other)
    rest = [e for e in events if e.kind != "beat"]
    assert [(e.kind, e.runs) for e in rest] == [("done", 1)]
    assert attempts(root, study) == {held: ["done"], free: ["done"]}


# --- kills, Ctrl-C, two at once
# --------------------------------------------------------------------------------------

# carries out the plan of a results folder; to measure nothing spares it the import of torch
SCRIPT = """
import json, sys
from pathlib import Path
from preheat.core.registry import import_file
from preheat.lab.plan import START_SECONDS, TRACE_SECONDS, Choice, units
from preheat.lab.study import How, Todo, carry_out
from preheat.studyfiles.reader import read_study
if __name__ == "__main__":
    import_file(sys.argv[3])
    study, root = read_study(sys.argv[1]), Path(sys.argv[2])
    known = json.loads((root / study.name / "plan.json").read_text())
    (choice,) = [Choice(**c["choice"]) for c in known.values()]
    how = How(jobs=1, checkpoint_seconds=0.01, imports=(sys.argv[3],))
    made = Todo(study, study.points(), frozenset(), units(study.runs(), lambda run: choice), {}, known)
    print("ready", flush=True)
    sys.stdin.readline()
    for event in carry_out(made, root, how):
        pass
"""


@pytest.fixture(scope="module")
def whole(files, tmp_path_factory):
    """A results folder of the study that nothing interrupted."""
    study = read_study(files.study)
    root = chosen(tmp_path_factory.mktemp("long") / "whole", study, FLEET)
    do(study, root, imports=(str(files.task),))
    return root


def begun(files: Files, whole: Path, root: Path) -> subprocess.Popen:
    """The script on a results folder with the same plan, in a process group of its own."""
    Store.open(root)
    (root / "long").mkdir(exist_ok=True)
    shutil.copy(whole / "long" / "plan.json", root / "long" / "plan.json")
    return launch([sys.executable, str(files.script), str(files.study), str(root), str(files.task)])


def launch(command: list[str]) -> subprocess.Popen:
    """In a process group of its own, which hears Ctrl-C even where a shell's background job does not."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return subprocess.Popen(command, **pipes, text=True, start_new_session=True, env=env)


def go(process: subprocess.Popen) -> None:
    assert process.stdin and process.stdout
    assert process.stdout.readline() == "ready\n", process.stderr and process.stderr.read()
    process.stdin.write("\n")
    process.stdin.flush()


def wait_until(true, what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def nobody_left(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def test_kill_9_in_the_middle_of_a_study_changes_no_record_and_no_byte_of_the_report(files, whole, tmp_path):
    study = read_study(files.study)
    root = tmp_path / "killed"
    process = begun(files, whole, root)
    go(process)
    saved = lambda: any(not p.name.startswith(".") for p in (root / "checkpoints").iterdir())
    second = [u.id for u in units(study.runs(), lambda run: FLEET)]
    left = lambda: {p.name for p in (root / "checkpoints").iterdir()} & set(second)
    before = set[str]()  # the first unit's, which may lie there a moment longer than its records are read

    def half() -> bool:
        if len(Store.open(root, create=False).ids()) < 4:
            before.update(left())
            return False
        return bool(left() - before)

    wait_until(lambda: half() or process.poll() is not None, "no checkpoint of the second unit")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    before = attempts(root, study)
    assert sorted(map(len, before.values())) == [0] * 4 + [1] * 4 and saved()
    wait_until(lambda: nobody_left(process.pid), "workers are left")
    how = How(jobs=1, compile="off", imports=(str(files.task),))
    events = list(carry_out(plan(study, study.points(), root, how), root, how))
    assert sum(e.runs for e in events) == 4
    assert 0 < sum(e.run_steps for e in events) < 4 * 500, (
        "it goes on from the checkpoint, not from the start"
    )
    assert set(map(len, attempts(root, study).values())) == {1} and not saved()
    assert contents(root, study) == contents(whole, study)
    pages = [write(r, study.name)[0].read_bytes() for r in (root, whole)]
    assert pages[0] == pages[1] and b"</html>" in pages[0]


def locked(path: Path) -> bool:
    """Whether any process holds a lock on the file, read from the system: to try a claim could take it from a
    worker."""
    held = Path("/proc/locks").read_text(encoding="utf-8")
    return path.exists() and f":{path.stat().st_ino} " in held


def test_ctrl_c_stops_cleanly_and_the_same_command_finishes(files, whole, tmp_path, capsys):
    study = read_study(files.study)
    root = chosen(tmp_path / "stopped", study, FLEET)
    words = command(files, files.study, root)
    process = launch([sys.executable, "-m", "preheat", *words])
    first = units(study.runs(), lambda run: FLEET)[0].runs[0].id
    wait_until(lambda: locked(root / "claims") or process.poll() is not None, "no worker began")
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the command and to its workers
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    assert f"To continue: preheat {shlex.join(words)}" in err and "Traceback" not in err + out
    wait_until(lambda: nobody_left(process.pid), "workers are left")
    assert any((root / "checkpoints").iterdir()) and not attempts(root, study)[first]
    assert cli.main(words) == 0
    assert "have records" in capsys.readouterr().out
    assert set(map(len, attempts(root, study).values())) == {1}
    assert not any((root / "checkpoints").iterdir())
    assert contents(root, study) == contents(whole, study)


def test_two_studies_writing_to_one_folder_at_once_train_every_run_once(files, whole, tmp_path):
    study = read_study(files.study)
    root = tmp_path / "two"
    both = [begun(files, whole, root), begun(files, whole, root)]
    for process in both:
        go(process)
    for process in both:
        _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, err
    assert attempts(root, study) == {r.id: ["done"] for r in study.runs()}
    assert contents(root, study) == contents(whole, study)


# --- folders that can't be used
# --------------------------------------------------------------------------------------


def refuse(files: Files, root: Path, capfd) -> str:
    """The one line that `preheat study` says about a results folder, with exit code 2."""
    assert cli.main([*command(files, files.study, root), "--placement", "single"]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    return line.removeprefix("preheat: ")


def test_results_folders_that_cannot_be_used_are_refused_before_anything_is_trained(files, tmp_path, capfd):
    (tmp_path / "file").write_text("mine")
    assert "must be a folder" in refuse(files, tmp_path / "file", capfd)
    assert "cannot keep results" in refuse(files, tmp_path / "file" / "below", capfd)
    assert "must be new, empty or have a format.json" in refuse(files, tmp_path, capfd)
    newer = tmp_path / "newer"
    newer.mkdir()
    (newer / "format.json").write_text('{"preheat-store": 99}')
    assert "install a newer preheat" in refuse(files, newer, capfd)
    assert {p.name for p in newer.iterdir()} == {"format.json"} and (tmp_path / "file").read_text() == "mine"
    taken = Store.open(tmp_path / "taken").root
    (taken / "long").write_text("a file where the study's folder would be")
    assert "cannot keep the study's files" in refuse(files, taken, capfd)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused(files, tmp_path, capfd):
    closed = Store.open(tmp_path / "closed").root
    (closed / "records").chmod(0o500)
    assert "it may not be changed" in refuse(files, closed, capfd)


@contextmanager
def full_disk(room: int):
    """No file may grow beyond `room` bytes; the system then says so as it does for a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_one_clear_error_and_what_was_stored_before_stays(files, whole, tmp_path, capfd):
    study, root = read_study(files.study), tmp_path / "full"
    shutil.copytree(whole, root)
    before = contents(root, study)
    file = files.changed(
        tmp_path / "more.yaml",
        ("name: long", "name: more"),
        ("length: 500", "length: 2500"),
        ("0.001", "0.0"),
    )
    chosen(root, read_study(file), FLEET)
    with full_disk(20_000):
        assert cli.main(command(files, file, root)) == 2
    err = capfd.readouterr().err
    assert (
        len(
            [
                line
                for line in err.splitlines()
                if "the disk is full" in line and "run the same command again" in line
            ]
        )
        == 1
    )
    assert "Traceback" not in err
    assert contents(root, study) == before and len(Store.open(root, create=False).ids()) == len(before)
