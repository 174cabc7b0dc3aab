"""--ask: the options of a command as prompts; the answers are a command line."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from preheat.cli import ask, run_command, study_command
from preheat.cli.main import main
from preheat.cli.options import again
from preheat.cli.parsers import build
from preheat.core.grid import Block
from preheat.core.options import option
from preheat.core.registry import STUDIES, TASKS
from preheat.core.study import Study
from preheat.tasks.quadratic import Quadratic

ENTER, DOWN, CTRL_C, CTRL_D, ERASE = "\r", "\x1b[B", "\x03", "\x04", "\x15"


@pytest.fixture
def typed(monkeypatch):
    """A function that types keys into what asks, and gives the exit code and what was asked."""

    @contextmanager
    def session(keys):
        with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
            pipe.send_text(keys)
            yield

    def give(line: list[str], keys: str) -> tuple[int, list[str]]:
        messages, prompt = [], ask._prompt

        def recorded(kind, message, **options):
            messages.append(message.partition(":")[0].split(" ")[0])
            return prompt(kind, message, **options)

        # where more is asked than is answered, it ends
        with session(keys + CTRL_C * 60), monkeypatch.context() as patch:
            patch.setattr(ask, "_prompt", recorded)
            patch.setattr(ask, "terminal", lambda: True)
            patch.setattr(sys, "argv", ["preheat", *line])
            return main(line), messages

    return give


@pytest.fixture
def ran(monkeypatch):
    """The arguments with which commands ran; none does what it would."""
    found = []
    for module in (run_command, study_command):
        monkeypatch.setattr(module, "run", lambda args: found.append((args, again())) or 0)
    return found


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """A task and a study with an option or two, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    @dataclass(frozen=True)
    class Bowl(Quadratic):
        """A bowl."""

        noisy: bool = False

    @dataclass(frozen=True)
    class Question:
        """Is it so?"""

        warmups: tuple[int, ...] = option("--warmup-of", default=(0, 5), help="in steps, 100%% of them")
        must: str = option("--must", default="")

        def study(self):
            if self.must not in ("", "be"):
                raise ask.UserError(f"must takes be, got {self.must!r}: write --must be")
            fixed = {"task": "small_bowl", "length": 10}
            grid = (Block(product={"schedule.warmup": list(self.warmups)}),)
            return Study("small-question", "?", grid, metric="loss", fixed=fixed)

    mine = ((TASKS, "small_bowl", Bowl), (STUDIES, "small_question", Question))
    for registry, name, made in mine:
        registry.register(name)(made)
    yield
    for registry, name, _ in mine:
        registry._objects.pop(name)


OWN_OF_RUN = (
    *("--optimizer", "--peak-lr", "--schedule", "--warmup", "--epochs", "--steps", "--batch-size", "--seed"),
    *("--precision", "--clip-norm", "--evaluate", "--probe", "--set", "--device", "--results", "--import"),
    *("--data", "--keep-weights", "--track"),
)


def test_answers_are_a_command_line_that_is_shown_and_run(typed, ran, capsys):
    told = {
        "--dim": "3\r",
        "--noisy": "y",
        "--peak-lr": "-1\r" + ERASE + "0.1\r",  # asked again
        "--precision": "bf\r",
        "--probe": "grad_norm\rdistance\r\r",
        "--keep-weights": DOWN + DOWN + "\r",
    }
    own = ("--dim", "--condition", "--sigma", "--start", "--examples", "--noisy")
    keys = "".join(told.get(flag, ENTER) for flag in (*own, *OWN_OF_RUN))
    code, messages = typed(["run", "small_bowl", "--ask"], keys + ENTER)
    asked_for = [m for i, m in enumerate(messages) if m != "another" and m != messages[i - 1]]
    assert asked_for == [*own, *OWN_OF_RUN, "run"] and messages.count("--peak-lr") == 2
    ((args, again_said),) = ran
    line = (
        "preheat run small_bowl --dim 3 --noisy --peak-lr 0.1 --precision bf16 --probe grad_norm "
        "--probe distance --keep-weights best"
    )
    out, err = capsys.readouterr()
    assert code == 0 and line in out.splitlines() and again_said == line
    assert err.startswith("preheat: peak_lr must be a finite number > 0, got -1.0: ") and err.count("\n") == 1
    words = line.split()[2:]
    assert vars(args) == vars(build("run", words).parse_args(words)) and args.probes == [
        "grad_norm",
        "distance",
    ]


def test_what_is_said_already_is_not_asked_and_the_subject_is_chosen(typed, ran, capsys):
    said = [
        word for flag in OWN_OF_RUN if flag not in ("--precision", "--keep-weights") for word in (flag, "1")
    ]
    left_out = (
        *("--steps", "--warmup", "--probe", "--set", "--import", "--schedule", "--optimizer", "--data"),
        "--track",
    )
    given = [
        w for flag, w in zip(said[::2], said[1::2], strict=True) if flag not in left_out for w in (flag, w)
    ]
    code, messages = typed(["run", "--ask", *given], "small\r" + ENTER * 17 + "n")
    assert messages[0] == "task" and not {*messages} & {*given[::2]}
    assert code == 0 and not ran
    assert f"preheat run small_bowl {' '.join(given)}\n" in capsys.readouterr().out


def test_a_study_is_asked_too_and_a_wrong_option_of_it_again(typed, ran, capsys):
    keys = "0\r7\r\r" + "not\r" + "be\r" + ENTER * 30
    code, messages = typed(["study", "small_question", "--dry-run", "--ask"], keys)
    assert code == 0 and messages[:5] == ["--warmup-of", "another", "another", "--must", "--must"]
    assert capsys.readouterr().err == "preheat: must takes be, got 'not': write --must be\n"
    assert ran[0][1] == "preheat study small_question --dry-run --warmup-of 0 --warmup-of 7 --must be"


@pytest.mark.parametrize("keys", [CTRL_C, CTRL_D, "3\r" + CTRL_C, ENTER * 24 + CTRL_C])
def test_ctrl_c_and_ctrl_d_leave_with_130_and_nothing_ran(typed, ran, capsys, keys):
    assert typed(["run", "small_bowl", "--ask"], keys)[0] == 130 and not ran
    assert "stopped; to go on: preheat run small_bowl --ask" in capsys.readouterr().err


def test_without_a_terminal_or_questionary_and_with_wrong_words_it_says_so(monkeypatch, ran, typed, capsys):
    def told(code):
        assert code == 2 and not ran
        return capsys.readouterr().err

    rule = "preheat: --ask needs a terminal, got none: give the options as flags, which preheat run --help shows\n"
    assert told(main(["run", "small_bowl", "--ask"])) == rule
    assert "unknown task 'small_bwl': did you mean 'small_bowl'" in told(
        typed(["run", "small_bwl", "--ask"], "")[0]
    )
    assert "--jobs: must be a whole" in told(
        typed(["study", "small_question", "--ask", "--jobs", "0"], "")[0]
    )
    assert "unknown option --ask" in told(main(["results", "--ask"]))
    monkeypatch.setitem(sys.modules, "questionary", None)
    assert "pip install 'preheat[ask]'" in told(typed(["run", "small_bowl", "--ask"], "")[0])


MINE = """question: is it?
fixed: {task: quadratic, length: 10}
grid: [{product: {peak_lr: [0.1, 0.2]}}]
metric: loss
"""


def test_a_file_has_no_options_of_its_own_and_is_right_before_anything_is_asked(typed, ran, capsys):
    Path("mine.yaml").write_text(MINE)
    code, messages = typed(["study", "mine.yaml", "--ask"], "x\r" + ENTER * 30)
    assert code == 0 and messages[:3] == ["--part", "--part", "--range"] and ran[0][0].study == "mine.yaml"
    Path("mine.yaml").write_text(MINE.replace("grid", "gird"))
    assert typed(["study", "mine.yaml", "--ask"], "") == (2, []) and len(ran) == 1
    assert "mine.yaml:3: gird" in capsys.readouterr().err


def test_what_is_missing_is_shown_first_and_an_answer_mends_it(typed, ran, capsys):
    """A task that needs two options: each answer is taken, though the other is missing still."""

    @TASKS.register("needing")
    @dataclass(frozen=True)
    class Needing(Quadratic):
        """Needs two."""

        one: str = ""
        other: str = ""

        def __post_init__(self):
            for name in ("one", "other"):
                if not getattr(self, name):
                    raise ask.UserError(f"needs {name}: write --{name} X")

    try:
        code, _ = typed(["run", "needing", "--ask"], ENTER * 5 + "a\rb\r" + ENTER * 30)
        assert code == 0 and ran[0][1] == "preheat run needing --one a --other b"
        assert capsys.readouterr().err == "preheat: needs one: write --one X\n"
        assert typed(["run", "needing", "--ask"], ENTER * 5 + "a\r" + ENTER * 30)[0] == 2
        out, err = capsys.readouterr()
        assert out.splitlines()[-1] == "preheat run needing --one a", "the answers are not lost"
        assert err.splitlines()[-1] == "preheat: needs other: write --other X"
    finally:
        TASKS._objects.pop("needing")


def test_help_is_shown_also_with_ask(capsys):
    with pytest.raises(SystemExit):
        main(["run", "small_bowl", "--ask", "--help"])
    assert "--ask" in capsys.readouterr().out
