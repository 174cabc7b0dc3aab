"""A study in Python: what `run_study` gives, what it trains where, and what it says of scripts and notebooks."""

from __future__ import annotations

import io
import signal
import sys
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.spawn import get_preparation_data
from types import ModuleType

import pytest

from preheat import Block, Spec, Study, UserError, run_study, spec, train
from preheat.api import _declared
from preheat.cli import main as cli
from preheat.cli import study_command
from preheat.core.progress import Bar
from preheat.core.registry import TASKS, import_file
from preheat.lab import study as lab
from preheat.lab import unit
from preheat.lab.devices import offered
from preheat.lab.executors.processes import _no_main, live
from preheat.lab.executors.thread import InThread
from preheat.lab.follow import follow
from preheat.lab.plan import Choice, Unit
from preheat.lab.study import How, Todo, here
from preheat.lab.work import Job
from preheat.store.store import Store
from preheat.tasks.quadratic import Quadratic

ALONE = Choice(1, "eager", 1e-4, 0.0, 1000)


def a_study(**fixed) -> Study:
    grid = (Block(product={"peak_lr": [0.1, 0.5]}),)
    said = {
        "task": {"name": "quadratic", "dim": 3},
        "optimizer": "sgd",
        "length": 20,
        "evaluate": 10,
        **fixed,
    }
    roles = {"scientific": ("peak_lr",), "treatment": "peak_lr", "metric": "loss", "seeds": (0, 1)}
    return Study("rates", "Which rate?", grid, said, chapters=("metric",), **roles)


def todo(study: Study) -> Todo:
    return Todo(study, study.points(), frozenset(), [Unit((run,), ALONE) for run in study.runs()], {}, {})


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return run_study(a_study(), results=tmp_path_factory.mktemp("results"))


def test_the_result_has_answer_tables_figures_and_page(result):
    assert result.path.read_text(encoding="utf-8").count("Which rate?") and result.path.name == "report.html"
    assert result.answer == result.report.answer and result.answer.split(".")[0] in result._repr_html_()
    rows = result.table()
    assert [(row["peak_lr"], row["seed"]) for row in rows] == [(0.1, 0), (0.1, 1), (0.5, 0), (0.5, 1)]
    assert [row["test_loss"] for row in rows] == [train(run).summary["test_loss"] for run in a_study().runs()]
    figure = result.plot(result.figures[0])
    beside = result.path.parent / "figures" / f"{figure.name}.png"
    assert figure._repr_png_() == beside.read_bytes() and "base64," in figure._repr_html_()
    assert figure.save(result.path.parent / "mine.svg").read_bytes() == figure.svg
    with pytest.raises(UserError, match=r"write mine\.png"):
        figure.save("mine.pdf")
    with pytest.raises(UserError, match="unknown figure 'los': did you mean 'loss'"):
        result.plot("los")
    with pytest.raises(UserError, match="unknown table 'run': did you mean 'runs'"):
        result.table("run")


def test_a_frame_is_made_where_pandas_is_and_else_says_what_to_do(result, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UserError, match=r"pip install pandas, or take table\('runs'\)") as caught:
        result.frame()
    assert caught.value.__suppress_context__
    pandas = ModuleType("pandas")
    pandas.DataFrame = lambda rows: ("frame", rows)
    monkeypatch.setitem(sys.modules, "pandas", pandas)
    assert result.frame() == ("frame", result.table())


def test_nothing_is_trained_twice(result, monkeypatch):
    monkeypatch.setattr(unit, "train_unit", None)
    again = run_study(a_study(), results=result.path.parents[1])
    assert again.table() == result.table() and again.path == result.path


def test_a_registered_study_has_the_folder_that_the_command_gives_it():
    options = {"tasks": ("cifar10",), "sizes": (20,), "epochs": 60}
    for words, declared in (
        ("regimes --part small --seeds 3", _declared("regimes", "small", 3)),
        (
            "regimes --task cifar10 --set sizes=[20] --set epochs=60",
            _declared(spec("regimes", **options), "", None),
        ),
    ):
        args = cli.build("study", words.split()).parse_args(words.split())
        assert declared == study_command.asked(args), words
    with pytest.raises(UserError, match="did you mean 'regimes'"):
        run_study("regime")
    with pytest.raises(UserError, match="option of study 'regimes'"):
        run_study(Spec("regimes", {"epoch": 2}))
    with pytest.raises(UserError, match="seeds must be a whole number above 0"):
        run_study("regimes", seeds=0)
    for wrong in ("two", 1.5, True, [0, "1"]):
        with pytest.raises(
            UserError, match=r"or a list of seeds, got .*: write seeds=3, or seeds=\[0, 1, 2\]"
        ):
            run_study(a_study(), seeds=wrong)
    study, points = _declared(a_study(), "", [3, 5, 4])
    assert study.name == "rates-seeds3-5-4" and [p.seed for p in points] == [3, 5, 4] * 2
    with pytest.raises(UserError, match="got 'gpu': write cpu, as in device=\"cpu\""):
        offered("gpu")
    with pytest.raises(UserError, match=r"nowhere\.yaml"):
        run_study("nowhere.yaml")


def test_a_thread_stops_with_a_checkpoint_and_goes_on_to_the_same_record(tmp_path, monkeypatch):
    """Ctrl-C in the main thread: what is being trained writes a checkpoint first; the next call resumes it."""
    monkeypatch.setattr(unit, "BEAT_SECONDS", 0.0)
    study, how = a_study(length=60), How(executor="thread")
    add = Bar.add

    def interrupted(bar, **facts):
        add(bar, **facts)
        if bar.taken > 20:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Bar, "add", interrupted)
        follow(todo(study), tmp_path, how, again="the same call")
    store = Store.open(tmp_path, create=False)
    first = study.runs()[0]
    assert not store.ids() and store.checkpoint_path(Unit((first,), ALONE).id).exists()
    resumed = []
    resume = unit._resume
    monkeypatch.setattr(unit, "_resume", lambda *a: resumed.append(resume(*a)) or resumed[-1])
    assert follow(todo(study), tmp_path, how, again="the same call") == 0
    assert [now.step > 20 for now in resumed] == [True, False, False, False]
    assert [store.load(r.id).trace for r in study.runs()] == [train(r).trace for r in study.runs()]


def test_what_only_this_session_knows_is_trained_in_it(monkeypatch):
    @dataclass(frozen=True)
    class Mine(Quadratic):
        """One that a notebook registers."""

    Mine.__module__ = "__main__"
    monkeypatch.setattr(lab, "START_SECONDS", -1.0)  # else seconds of work are done here anyway
    monkeypatch.setattr(TASKS, "_objects", dict(TASKS._objects))
    monkeypatch.setattr(TASKS, "_said", dict(TASKS._said))
    TASKS.register("mine")(Mine)
    shipped, own, how = todo(a_study()), todo(a_study(task="mine")), How(jobs=2)
    for file in (None, "<stdin>"):
        monkeypatch.setattr(sys.modules["__main__"], "__file__", file, raising=False)
        assert here(own, how).executor == "thread" and here(shipped, how) == how
    monkeypatch.setattr(sys.modules["__main__"], "__file__", __file__)
    assert here(own, how) == how and list(own.sources) == [__file__]


UNGUARDED = """
from dataclasses import dataclass
from preheat import TASKS, run_study
from preheat.tasks.quadratic import Quadratic

@TASKS.register("of_a_script")
@dataclass(frozen=True)
class OfAScript(Quadratic):
    "A task of a script."

"""


def test_workers_see_no_main_script_and_import_what_the_runs_name(tmp_path, monkeypatch):
    """What spawn tells a new process names no script, which may be what started it; the job names the task's file."""
    main = ModuleType("__main__")
    main.__file__ = str(tmp_path / "script.py")
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert get_preparation_data("worker")["init_main_from_path"] == main.__file__
    with _no_main():
        told = get_preparation_data("worker")
    assert (
        not {"init_main_from_path", "init_main_from_name"} & told.keys() and sys.modules["__main__"] is main
    )
    (tmp_path / "its_task.py").write_text(UNGUARDED)
    monkeypatch.setattr(TASKS, "_objects", dict(TASKS._objects))
    monkeypatch.setattr(TASKS, "_said", dict(TASKS._said))
    import_file(tmp_path / "its_task.py")
    made = todo(a_study(task="of_a_script"))
    jobs, execute = [], InThread.execute

    def seen(self, units, job, *, workers):
        jobs.append(job)
        return execute(self, units, job, workers=workers)

    monkeypatch.setattr(InThread, "execute", seen)
    assert follow(made, tmp_path / "results", How(executor="thread"), again="") == 0
    assert [job.imports for job in jobs] == [(str(tmp_path / "its_task.py"),)]


def test_a_file_that_runs_a_study_when_it_is_read_is_told_what_to_write(tmp_path, monkeypatch):
    """In a worker that imports a script for its task, too: nothing is recorded as failed."""
    file = tmp_path / "unguarded.py"
    file.write_text(f"{UNGUARDED}run_study('regimes')")
    monkeypatch.setattr(TASKS, "_objects", dict(TASKS._objects))
    monkeypatch.setattr(TASKS, "_said", dict(TASKS._said))
    monkeypatch.setattr(signal, "signal", lambda *a: None)
    ours, theirs = Pipe()
    todo = Unit(tuple(a_study().runs()), ALONE)
    ours.send(todo)
    ours.send(None)
    live(theirs, Job(tmp_path, (str(file),)))
    kind, facts = ours.recv()
    assert kind == "error" and facts["failure"].user and facts["failure"].todo == todo
    assert "unguarded.py" in facts["failure"].text and '__name__ == "__main__":' in facts["failure"].text


def test_progress_in_a_notebook_is_one_line_written_over(monkeypatch):
    cell = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()
    monkeypatch.setattr(sys, "stdout", cell)
    bar = Bar(4, 100)
    bar.draw()
    bar.note("retry: a run")
    bar.add(work=100, runs=4)
    bar.end()
    lines = cell.getvalue().split("\r")
    assert lines[0] == "" and all(len(line.rstrip("\n")) == 100 for line in lines[1:])
    assert "\033" not in cell.getvalue() and "4/4 runs" in lines[-1] and lines[-2].startswith("retry: a run")
