"""Options of what is registered are flags of its command, and an original's command line is a study's."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest

from preheat.cli import main as cli
from preheat.cli import original_command, report_command, run_command, search_command, study_command
from preheat.core.errors import UserError
from preheat.core.options import OWN, flags, option
from preheat.core.originals import Meant, Original
from preheat.core.registry import ORIGINALS, STUDIES, TASKS, Registry
from preheat.core.run import Run
from preheat.lab.executors.base import Event
from preheat.lab.follow import follow
from preheat.store.store import Store

MINE = '''
from dataclasses import dataclass
from preheat import STUDIES, TASKS, Block, Study
from preheat.core.options import option
from preheat.tasks.quadratic import Quadratic

@TASKS.register("my_bowl")
@dataclass(frozen=True)
class Bowl(Quadratic):
    """A bowl."""
    noisy: bool = False
    smooth: bool = True
    label: str = "plain"

@STUDIES.register("my_question")
@dataclass(frozen=True)
class Question:
    """Is it so?"""
    warmups: tuple[int, ...] = option("--warmup-of", default=(0, 5), help="in steps")
    quiet: bool = option(default=False)
    hidden: int = 3

    def study(self):
        grid = (Block(product={"schedule.warmup": list(self.warmups)}),)
        return Study("my-question", "?", grid, metric="loss", fixed={"task": "my_bowl", "length": 10})
'''


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A folder with a file that registers a task and a study, which are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    Path("flags_of_mine.py").write_text(MINE)
    yield "--import flags_of_mine.py"
    for registry, name in ((TASKS, "my_bowl"), (STUDIES, "my_question")):
        registry._objects.pop(name, None)


def parsed(line: str) -> argparse.Namespace:
    command, *words = shlex.split(line)
    return cli.build(command, words).parse_args(words)


def test_a_tasks_fields_are_flags_of_run_also_those_of_an_imported_file(mine):
    def task(line):
        return run_command.declared(parsed(line)).task

    assert task("run digits --examples-per-class 20").options["examples_per_class"] == 20
    probed = "run digits --probe grad_norm:every=10/decade,layers=true --probe distance"
    said = [{"name": "grad_norm", "every": "10/decade", "layers": True}, "distance"]
    assert run_command.declared(parsed(probed)) == Run(probes=said)
    for wrong, told in (
        ("grad_norm:every", "write grad_norm:option=value"),
        ("gradnorm", "did you mean 'grad"),
    ):
        with pytest.raises(UserError, match=told):
            task(f"run digits --probe {wrong}")
    assert task("run --model cnn digits --examples-per-class 20").options["model"] == "cnn"
    bowl = task(f"run my_bowl {mine} --noisy --no-smooth --label 5 --dim 3")
    assert bowl.options == {**task(f"run my_bowl {mine}").options, **bowl.options}
    assert [bowl.options[n] for n in ("noisy", "smooth", "label", "dim")] == [True, False, "5", 3]
    with pytest.raises(UserError, match="unknown option --dim: "):
        task("run digits --dim 3")
    with pytest.raises(UserError, match="option dim of task 'my_bowl' must be a whole number, got 'many'"):
        task(f"run my_bowl {mine} --dim many")
    with pytest.raises(UserError, match="unknown option --dim; unknown task 'my_bwl': did you mean"):
        task("run my_bwl --dim 3")
    with pytest.raises(UserError, match="unknown option --optimizer: did you mean --set optimizers=VALUE"):
        parsed("study mechanisms --optimizer adam")


def test_a_studys_options_are_flags_where_they_say_so_and_in_its_folders_name(mine, capsys):
    args = parsed(f"study my_question {mine} --warmup-of 0 --warmup-of 7 --quiet --set hidden=4 --part x")
    study = study_command.declared(args)
    assert [p.axes["schedule.warmup"] for p in study.declared()][:: len(study.seeds)] == [0, 7]
    assert study_command.under_its_name(study, args).name == "my-question-0-7-hidden-4-quiet-x"
    with pytest.raises(UserError, match="unknown option --hidden"):
        parsed(f"study my_question {mine} --hidden 4")
    with pytest.raises(SystemExit):
        cli.main(shlex.split(f"study my_question {mine} --help"))
    assert "options of study 'my_question'" in (told := capsys.readouterr().out) and "in steps" in told


def test_a_flag_that_would_hide_one_of_the_commands_own_raises_at_registration():
    kinds = {kind: Registry(kind, "X", "preheat.probes") for kind in OWN}

    @dataclass(frozen=True)
    class Task:
        """A task."""

        steps: int = 3

    @dataclass(frozen=True)
    class Study:
        """A study."""

        parts: str = option("--part", default="")

    @dataclass(frozen=True)
    class Twice:
        """A study."""

        one: int = option("--same", default=1)
        other: int = option("--same", default=1)

    with pytest.raises(UserError, match="option steps of task 't' would hide --steps, a flag of the command"):
        kinds["task"].register("t")(Task)
    with pytest.raises(UserError, match="option parts of study 's' would hide --part"):
        kinds["study"].register("s")(Study)
    with pytest.raises(UserError, match="options one and other of study 's' both have the flag --same"):
        kinds["study"].register("s")(Twice)
    assert kinds["study"].names() == []
    assert flags("probe", Task) == []


@pytest.mark.parametrize(
    ("flag", "default", "rule"),
    [
        (
            "-h",
            1,
            """two dashes and a word, got '-h' for one_thing of study 's': write option("--one-thing")""",
        ),
        ("tune", 1, "two dashes and a word, got 'tune'"),
        ("--a b", 1, "two dashes and a word"),
        ("--z", True, """begins with --no-, got '--z': write option("--no-one-thing")"""),
    ],
)
def test_a_flag_that_is_none_raises_at_registration(flag, default, rule):
    @dataclass(frozen=True)
    class Asked:
        """A study."""

        one_thing: bool = option(flag, default=default)

    with pytest.raises(UserError, match=re.escape(rule)):
        Registry("study", "X", "preheat.probes").register("s")(Asked)


@pytest.mark.parametrize("run", ["123456", "012345", "12e456", "1234e5", "3f2a9c", "0x12", "null"])
def test_the_digits_of_a_run_stay_as_they_are_typed(run):
    for word in (f"curves:runs=[{run}]", f"curves:runs={run}", f"curves:runs=['{run}']"):
        assert report_command._chapter(word).options == {"runs": [run]}
    assert report_command._chapter(f"curves:runs=[a,{run}]").options == {"runs": ["a", run]}


def test_the_flags_that_may_not_be_hidden_are_all_the_commands_have():
    for kind, modules in (("task", (run_command, search_command)), ("study", (study_command,))):
        known = set()
        for module in modules:
            parser = argparse.ArgumentParser()
            module.options(parser)
            known |= {
                o.removeprefix("--") for a in parser._actions for o in a.option_strings if o[:2] == "--"
            }
        assert known == set(OWN[kind])


def test_an_originals_command_line_is_a_study_and_its_files(tmp_path):
    project = ORIGINALS["data-regimes"]()

    def meant(line):
        return project.meant(parsed(f"original data-regimes {line}"))

    base = ("regimes", "--task", "all", "--protocol", "original")
    assert meant("") == meant("--mode all") == (base, "original", Path("results"))
    assert meant("--mode test --output /a/b") == ((*base, "--part", "test"), "original", Path("/a/b_test"))
    assert meant("--mode week --week 2").study == (*base, "--part", "week2")
    assert meant("--mode range --start 0 --end 25").study == (*base, "--range", "0:25")
    assert meant("--mode range --start 149").study == (*base, "--range", "149:")
    for line, rule in (
        ("--mode week", "needs the week"),
        ("--week 1", "--week is of --mode week, got --mode all"),
        ("--mode week --week 1 --end 3", "--end is of --mode range"),
        ("--mode range --start 5 --end 2", "below --end, got --start 5 --end 2: write"),
        ("--mode range --start -5", "--start must be at least 0 and below --end, got --start -5: write"),
    ):
        with pytest.raises(UserError, match=rule):
            meant(line)


def test_an_original_is_listed_and_an_unknown_one_names_the_nearest(capsys):
    with pytest.raises(SystemExit):
        cli.main(["original", "--help"])
    assert "data-regimes: Agrawal 2025" in capsys.readouterr().out
    for line in ("original data-regime", "original data-regime --mode test"):
        assert cli.main(shlex.split(line)) == 2
        assert "unknown original 'data-regime': did you mean 'data-regimes'" in capsys.readouterr().err


def test_what_an_original_says_itself_is_not_set_to_something_else(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["original", "data-regimes", "--set", "protocol=preheat", "--dry-run"]) == 2
    assert "protocol is what original 'data-regimes' says itself" in capsys.readouterr().err


@pytest.fixture
def small_project():
    """A project whose words hold --set, and that has no files."""

    class Small(Original):
        """Two updates of the quadratic."""

        def arguments(self, parser):
            parser.add_argument("--steps", type=int, default=2)

        def meant(self, args):
            words = ("phase-diagram", "--set", f"steps={args.steps}", "--set", "warmups=[1]")
            return Meant((*words, "--set", "peak_rates=[0.1,0.2]"), None, Path("kept"))

    ORIGINALS.register("small-project")(Small)
    yield "original small-project"
    for known in (ORIGINALS._objects, ORIGINALS._said):
        known.pop("small-project")


def test_what_a_project_sets_is_kept_beside_the_users_and_files_are_not_needed(
    tmp_path, monkeypatch, capsys, small_project
):
    monkeypatch.chdir(tmp_path)
    asked = []
    monkeypatch.setattr(study_command, "run", lambda args: asked.append(args) or 0)
    assert cli.main(shlex.split(f"{small_project} --steps 3 --set seeds=1")) == 0
    assert asked[0].pairs == ["steps=3", "warmups=[1]", "peak_rates=[0.1,0.2]", "seeds=1"]
    assert asked[0].results == Path("kept")
    study, points = study_command.asked(asked[0])
    assert {p.run.total_steps for p in points} == {3} and {p.seed for p in points} == {1}
    assert capsys.readouterr().out == f"its report: preheat report {study.name} --results kept\n"
    assert cli.main(shlex.split(f"{small_project} --set steps=5")) == 2
    assert "steps is what original 'small-project' says itself" in capsys.readouterr().err


def test_a_reason_for_which_many_runs_failed_is_told_once_with_their_number(monkeypatch, capsys):
    unit = argparse.Namespace(runs=("a run",), run_steps=1)
    events = [Event("failed", unit, runs=1, text=text) for text in ("why", "why", "other", "why")]
    monkeypatch.setattr("preheat.lab.follow.carry_out", lambda *_: (e for e in events))
    made = argparse.Namespace(units=[e.unit for e in events])
    assert follow(made, Path("."), None, again="again") == 4
    said = capsys.readouterr().err
    assert said.count(": why\n") == 2 and "failed: 3 runs for the same reason: why" in said
    assert said.count(": other\n") == 1


SMALL = (
    "--set source=random --set sizes=[10] --set warmups=[0,1] --set epochs=2 --set batch_size=50 "
    "--set model.name=simplecnn --set model.width=2 --set model.hidden=4 --device cpu --jobs 1 "
    "--placement single --compile off"
)


def test_an_original_is_trained_and_its_files_are_where_it_writes_them(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    line = f"original data-regimes --mode range --start 0 --end 1 --output out {SMALL}"
    assert cli.main(shlex.split(f"{line} --dry-run")) == 0
    assert "1 to train" in capsys.readouterr().out and not Path("out").exists()
    assert cli.main(shlex.split(line)) == 0
    (row,) = json.loads(Path("out/all_results.json").read_text())
    assert row["experiment_name"] == "cifar10_10epc_w0_sgd_s42" and row["protocol"] == "original"
    assert len(Store.open("out", create=False).ids()) == 1
    assert original_command.INTERRUPTED == 130
