"""`preheat compare` and the words that name schedules on a command line."""

import json
from inspect import isfunction

import pytest

from preheat import schedules
from preheat.cli.main import main
from preheat.cli.schedules import _is_recipe, schedule_words
from preheat.core.errors import UserError
from preheat.core.lengths import epochs, fraction
from preheat.core.registry import SCHEDULES
from preheat.schedules import cosine, linear, step, wsd


def said(capsys, *words):
    """(exit code, printed, complained)."""
    code = main(["compare", *words])
    return code, *capsys.readouterr()


def test_a_word_is_a_name_and_its_options():
    words = [
        "cosine",
        "wsd:cooldown=20%,cooldown_curve=1-sqrt",
        "step:milestones=[50%,75%], gamma=5e-1",
        "cosine:final=0,at=left",
    ]
    made = schedule_words(words, {"warmup": "5ep"})
    assert list(made) == words
    assert list(made.values()) == [
        cosine(warmup=epochs(5)),
        wsd(warmup=epochs(5), cooldown=fraction(0.2), cooldown_curve="1-sqrt"),
        step(warmup=epochs(5), milestones=["50%", "75%"], gamma=0.5),
        cosine(warmup=epochs(5), final=0, at="left"),
    ]


def test_the_words_own_options_go_before_those_of_all():
    made = schedule_words(["linear", "linear:warmup=3"], {"warmup": 7, "final": 0.5})
    assert list(made.values()) == [linear(warmup=7, final=0.5), linear(warmup=3, final=0.5)]


def test_commas_inside_brackets_belong_to_the_value():
    fall = "{length: null, start: 1, end: 0.5, curve: cosine}"
    given = f"pieces:pieces=[{{length: 10%, start: 0, end: 1}}, {fall}],at=left"
    (made,) = schedule_words([given]).values()
    assert made.resolve(10).table()[[0, 1]].tolist() == [0, 1] and made.at == "left"


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (["cosin"], "unknown schedule 'cosin': did you mean 'cosine'"),
        (["cosin:final=1"], "unknown schedule 'cosin': did you mean 'cosine'"),
        (["cosine:finl=0.1"], "unknown option of schedule 'cosine' 'finl': did you mean 'final'"),
        (["cosine:final"], "options are option=value, got 'final' in 'cosine:final'"),
        (["cosine:final="], "options are option=value, got 'final='"),
        (["cosine:"], "options are option=value, got ''"),
        (["cosine:final=0,"], "options are option=value, got ''"),
        (["cosine:=1"], "options are option=value, got '=1'"),
        (["cosine:final=0,final=1"], "given once, got final twice"),
        (["cosine", "linear", "cosine"], "named once, got 'cosine' twice"),
        (["step:milestones=[50%"], r"brackets must match, got '\[' alone"),
        (["step:milestones=50%]"], r"brackets must match, got '\]' alone"),
        (["step:milestones=[50%}"], "brackets must match, got '}' alone"),
        (["cosine:final=a"], "final"),
        (["step:milestones=50%"], "milestones .*a list"),
        ([""], "unknown schedule ''"),
    ],
)
def test_mistakes_in_words(words, rule):
    with pytest.raises(UserError, match=rule):
        schedule_words(words)


def test_the_table(capsys):
    code, out, err = said(capsys, "cosine", "linear", "constant")
    assert (code, err) == (0, "")
    head, blank, columns, *rows = out.splitlines()
    assert head == "1000 steps; insensitivity and shared start over 250, 500, 750, 1000 steps" and not blank
    assert columns.split() == [
        "mean",
        "first",
        "last",
        "fall",
        "insensitivity",
        "shared",
        "start",
        "bound",
        "best",
        "peak",
    ]
    cells = {row.split()[0]: row.split()[1:] for row in rows}
    assert cells["linear"] == [
        "0.5",
        "0.9995",
        "0.0005",
        "0.001",
        "75",
        "50",
        "25",
        "0",
        "%",
        "1",
        "2",
        "4",
        "100",
        "%",
        "1.000",
        "1.000",
    ]
    assert cells["cosine"][0] == "0.5" and float(cells["cosine"][-2]) == pytest.approx(1.028, abs=0.002)
    assert cells["constant"][:4] == ["1", "1", "1", "0"] and float(cells["constant"][-2]) > 1.4
    assert len({len(row) for row in (columns, *rows)}) == 1


def test_two_schedules_are_set_against_each_other(capsys):
    _, out, _ = said(capsys, "constant", "wsd:cooldown=50%", "--steps", "100", "--peak-lr", "0.1")
    assert "wsd:cooldown=50% against constant: they differ from step 50 on, most at step 99, by 0.099" in out
    assert "on average by 0.025; budget -25 steps at the peak rate" in out
    *_, first, middle, last = out.splitlines()
    assert first.split() == ["0", "0.1", "0.1", "+0"]
    assert middle.split() == ["50", "0.1", "0.099", "-0.001"] and last.split()[0] == "99"
    assert "\nstep  first  second  second - first\n" in out
    _, out, _ = said(capsys, "linear", "polynomial:power=1")
    assert out.splitlines()[-1] == "polynomial:power=1 against linear: every update has the same rate"


def test_options_of_all_and_the_units_of_lengths(capsys):
    line = [
        "wsd",
        "cosine:warmup=0",
        "--epochs",
        "20",
        "--steps-per-epoch",
        "5",
        "--warmup",
        "2ep",
        "--set",
        "final=0.5",
    ]
    code, out, _ = said(capsys, *line, "--budgets", "50,100%,10ep,15ep", "--json")
    data = json.loads(out)
    assert code == 0 and (data["total"], data["per_epoch"], data["budgets"]) == (100, 5, [50, 75, 100])
    flat, wave = data["schedules"].values()
    assert (
        flat["schedule"] == wsd(warmup="2ep", final=0.5).json()
        and wave["schedule"] == cosine(final=0.5).json()
    )
    assert flat["budget"] == pytest.approx(5 + 70 + 15) and flat["mean"] == pytest.approx(0.9)
    assert flat["fall"] == pytest.approx(0.5 / 20) and wave["first"] == pytest.approx(1, abs=1e-3)
    assert [r["total"] for r in wave["insensitivity"]["runs"]] == [50, 75, 100]
    assert min(row["bound"]["over_least"] for row in (flat, wave)) == 1.0
    assert data["difference"]["budget"] == pytest.approx(wave["budget"] - flat["budget"])


def test_a_file_is_read_as_it_is_and_takes_no_options_of_all(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = cosine(final="1e-6lr").then(linear(), at="50%")
    (tmp_path / "mine.json").write_text(json.dumps(made.json()))
    code, out, _ = said(capsys, "@mine.json", "linear", "--warmup", "5%", "--peak-lr", "1e-3", "--json")
    both = json.loads(out)["schedules"]
    assert code == 0 and list(both) == ["@mine.json", "linear"]
    assert (
        both["@mine.json"]["schedule"] == made.json()
        and both["linear"]["schedule"] == linear(warmup="5%").json()
    )


def test_the_functions_of_python_that_give_a_schedule_are_known_as_such():
    public = {name: getattr(schedules, name) for name in schedules.__all__ if name not in SCHEDULES.names()}
    given = {
        n
        for n, f in public.items()
        if isfunction(f) and f.__annotations__.get("return") in ("Recipe", "Pieces", "tabulated")
    }
    assert given == {name for name in public if _is_recipe(name)}


def test_a_budget_that_a_schedule_does_not_fit(capsys):
    code, out, _ = said(capsys, "wsd:warmup=400", "linear")
    assert (
        code == 0
        and "note: wsd:warmup=400 has no insensitivity: a schedule's pieces must fit in the run" in out
    )
    code, out, err = said(capsys, "wsd:warmup=400", "linear", "--budgets", "100,1000")
    assert (code, out) == (2, "") and err.startswith(
        "preheat: wsd:warmup=400 and --budgets: a schedule's pieces must fit"
    )


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (["cosine", "--budgets", "100"], "needs two or more lengths"),
        (["cosine", "--budgets", "100,0"], "whole steps"),
        (["cosine", "--budgets", "100,0.3%,33.33%", "--steps", "100"], "whole steps"),
        (["cosine", "--budgets", "1,a"], "not a length: 'a'"),
        (["cosine", "--budgets", "1,2ep"], "steps per epoch"),
        (["cosine", "--steps", "5", "--epochs", "5"], "write one of them"),
        (["cosine", "--peak-lr", "0"], "--peak-lr must be"),
        (["cosine:final=1e-6lr"], "needs the peak rate: give --peak-lr RATE, or write a factor"),
        (
            ["cosine", "--budgets", "5ep,10ep"],
            "needs the steps per epoch: give --steps-per-epoch N, or write steps",
        ),
        (["cosine:warmup=3e9tok"], "needs the tokens per step: write steps, epochs or % of the run"),
        (
            ["cosine", "--steps", "1000000000"],
            "at most 10,000,000 steps, got 1,000,000,000: write a shorter --steps",
        ),
        (
            ["cosine", "--budgets", "10,20000000"],
            "at most 10,000,000 steps, got 20,000,000 in --budgets: write shorter",
        ),
        (["cosine", "@nofile.yaml"], "nofile.yaml: no such file"),
        (["torch_one_cycle"], "got 'torch_one_cycle', a function of Python"),
        (["cosine", "--json=1"], "--json"),
        ([], "SCHEDULE"),
    ],
)
def test_mistakes(capsys, line, rule):
    code, out, err = said(capsys, *line)
    assert (code, out) == (2, "") and rule in err and len(err.splitlines()) == 1


def test_one_step_is_a_run(capsys):
    code, out, _ = said(capsys, "cosine", "constant", "linear", "--steps", "1")
    assert code == 0 and out.startswith("1 step; ")
