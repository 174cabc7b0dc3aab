"""The command line: its help, its errors, its exit codes, what it writes, and the README's commands and
examples.

Golden files are in tests/golden. After a change that is meant, write them anew and read the difference:

    PREHEAT_GOLDEN=write python -m pytest tests/cli/test_cli.py
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import subprocess
import sys
from array import array
from dataclasses import replace
from pathlib import Path

import pytest

from preheat.cli import main as cli
from preheat.cli import run_command
from preheat.cli.schedules import schedule_words
from preheat.core.canon import digest
from preheat.core.progress import Bar
from preheat.core.record import Record, Series, Status
from preheat.core.registry import STUDIES
from preheat.core.run import Run
from preheat.schedules import constant, cosine, step, wsd
from preheat.store.store import Store

GOLDEN = Path(__file__).parents[1] / "golden"
README = Path(__file__).parents[2] / "README.md"

# one process of its own for all of these: nothing that other tests register is known in it, and torch must
# stay out
COMMANDS = """
import contextlib, io, json, sys
from preheat.cli.main import main
out = []
for line in json.loads(sys.argv[1]):
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        try:
            code = main(line)
        except SystemExit as end:
            code = end.code or 0
    out.append([code, text.getvalue()])
print(json.dumps([out, sorted(sys.modules)]))
"""


def commands(lines: list[list[str]], cwd: Path) -> tuple[list[tuple[int, str]], set[str]]:
    """(exit code, what was printed) of each command, and the modules that were loaded for them."""
    call = [sys.executable, "-c", COMMANDS, json.dumps(lines)]
    done = subprocess.run(call, capture_output=True, text=True, cwd=cwd, check=False)
    assert done.returncode == 0, done.stderr
    out, modules = json.loads(done.stdout)
    return [(code, text) for code, text in out], set(modules)


def golden(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("PREHEAT_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.is_file(), f"no golden file {name}: see the top of this file"
    assert text == path.read_text(encoding="utf-8"), f"{name} has changed: see the top of this file"


def shown(lines: list[list[str]], answers: list[tuple[int, str]]) -> str:
    """Commands and answers as a terminal shows them."""
    return "\n".join(
        f"$ {shlex.join(['preheat', *line])}\n{text}(exit code {code})\n"
        for line, (code, text) in zip(lines, answers, strict=True)
    )


# --- help and errors
# -------------------------------------------------------------------------------------------------


def test_help_and_list_are_as_in_the_golden_files_and_need_no_torch(tmp_path):
    lines = [["--help"], *([name, "--help"] for name in cli.COMMANDS), ["list"]]
    lines += [["study", "regimes", "--help"], ["original", "data-regimes", "--help"]]
    answers, modules = commands(lines, tmp_path)
    for line, answer in zip(lines, answers, strict=True):
        golden(f"{'-'.join(word.strip('-') for word in line)}.txt", shown([line], [answer]))
        assert answer[0] == 0
    assert not modules & {"torch", "matplotlib", "scipy", "sklearn", "pydantic"}


MISTAKES = """
stduy
study regims
study nowhere.yaml
study regimes --part smal
study regimes --jobs 0
study regimes --task digit
study regimes --set sizes=[101]
study regimes --set wamups=[0]
study regimes --set probes=[sharpness]
study regimes --task all --protocol seed
study regimes --tsak all
study bad.yaml --task all
study bad.yaml
run digit
run digits --optimizer adamm
run digits --optimiser sgd
run digits --probe gradnorm
run digits --schedule cosin --warmup 5ep
run digits --schedule cosine --warmup 6ep --epochs 5
run digits --schedule cosine --warmup soon
run digits --peak-lr -1
run digits --peak-lr nan
run digits --peak-lr much
run digits --batch-size 5000
run digits --set task.examples_per_class=101
run digits --set optimizer.momentom=0.9 --optimizer sgd
run digits --epochs 5 --steps 5
run digits --seed -1
run digits --import nowhere.py
report regimes
report regimes --format seed
export regimes --to orignal
original data-regime
original data-regimes --mode week
original why-warmup train_fcn.py
original why-warmup train_fcn_sgd_lobpcg.py --varw 1
results
plot cosin
plot wsd --warmup 200%
plot wsd --set finl=0
plot wsd --out picture.gif
plot
list schedulse
"""
BAD_STUDY = """
question: What is wrong here?
fixed: {task: digits, lenght: 20ep, optimizer: adamw}
grid:
  - product: {schedule.wamup: [0, 5ep], peak_lr: [0.1, -1]}
"""


def test_mistakes_are_told_in_one_way_with_exit_code_2_and_change_nothing(tmp_path):
    (tmp_path / "bad.yaml").write_text(BAD_STUDY)
    lines = [shlex.split(line) for line in MISTAKES.strip().splitlines()]
    answers, _ = commands(lines, tmp_path)
    for line, (code, text) in zip(lines, answers, strict=True):
        assert code == 2 and text.startswith("preheat: ") and "Traceback" not in text, (line, text)
    assert [p.name for p in tmp_path.iterdir()] == ["bad.yaml"], "a mistake leaves nothing behind"
    golden("mistakes.txt", shown(lines, answers))


def test_the_runs_of_the_study_regimes_are_those_of_the_golden_file():
    """A change of what is trained must be seen: every run's id is in the digest."""
    study = STUDIES.build("regimes", {}).study()
    points = study.points()
    ids = [p.run.id for p in points]
    counts = {"runs": len(ids), "runs of the part small": len(study.part("small"))}
    per_axis = {path: len({json.dumps(p.axes[path]) for p in points}) for path in study.axes}
    rows = [f"{name}: {n}" for name, n in {**counts, **per_axis, "seeds": len(study.seeds)}.items()]
    rows += [f"digest of the ids in order: {digest(ids)}", f"digest of the declaration: {digest(study)}"]
    rows += [f"{p.run.id} {p.run}" for p in (*points[:3], *points[-3:])]
    golden("regimes.txt", "\n".join(rows) + "\n")
    assert len(ids) == len(set(ids)) >= 1500


def test_the_settings_of_the_image_study_are_those_of_the_golden_file():
    """The original's 155 names in its order, each with its run's id under our protocol and under its own."""
    ours, theirs = (
        STUDIES.build("regimes", {"tasks": ("all",), "protocol": protocol}).study().declared()
        for protocol in ("preheat", "original")
    )
    assert [p.names for p in ours] == [p.names for p in theirs]
    golden(
        "original_grid.txt",
        "".join(f"{a.run.id} {b.run.id} {a.names[0]}\n" for a, b in zip(ours, theirs, strict=True)),
    )


# --- run, results, plot
# ----------------------------------------------------------------------------------------------


DECLARED = shlex.split(
    "run quadratic --optimizer sgd --steps 25 --schedule cosine --warmup 20% --probe grad_norm"
)


def test_run_trains_once_and_keeps_the_record(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main([*DECLARED, "--peak-lr", "0.5"]) == 0
    out, err = capsys.readouterr()
    (head,) = Store.open("results", create=False).heads()
    assert f"record {head.id}" in out and "step 25/25" in err and "loss" in err and "rate" in err
    assert cli.main([*DECLARED, "--peak-lr", "0.5"]) == 0
    assert "nothing is trained twice" in capsys.readouterr().out
    assert len(Store.open("results", create=False).attempts(head.id)) == 1
    Path("run.yaml").write_text(
        "{task: quadratic, optimizer: sgd, peak_lr: 0.5, length: 25, probes: [grad_norm]}"
    )
    assert cli.main(["run", "run.yaml", "--schedule", "cosine", "--warmup", "20%"]) == 0, (
        "the same run from a file"
    )
    assert "nothing is trained twice" in capsys.readouterr().out


def test_run_reads_a_schedule_as_plot_and_compare_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = "run quadratic --optimizer sgd --steps 40 --peak-lr 1e-2"
    Path("mine.json").write_text(json.dumps(wsd(warmup="5%", cooldown="20%", final="1e-6lr").json()))
    Path("whole.yaml").write_text(
        "{task: quadratic, optimizer: sgd, peak_lr: 1e-2, length: 40, schedule: {warmup: 3}}"
    )

    def meant(line):
        words = shlex.split(line)[1:]
        return run_command.declared(cli.build("run", words).parse_args(words)).schedule

    for word in ("wsd:warmup=5%,cooldown=20%,final=1e-6lr", "@mine.json"):
        (made,) = schedule_words([word]).values()
        assert meant(f"{small} --schedule {word}") == made
        assert meant(f"run whole.yaml --schedule {word}") == made
        assert meant(f"{small} --schedule {word} --set schedule.final=0.1") == replace(made, final=0.1)
    assert meant(f"{small} --schedule cosine:final=0.5 --warmup 3") == cosine(final=0.5, warmup=3)
    assert meant(f"{small} --schedule 'step:milestones=[50%,75%]'") == step(milestones=["50%", "75%"])
    assert meant("run whole.yaml --schedule cosine:final=0.5") == cosine(final=0.5, warmup=3)
    assert meant(f"{small} --warmup 3") == constant(warmup=3)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A results folder with a run that is done and then one that diverged, and their ids."""
    root = tmp_path_factory.mktemp("two") / "results"
    codes = [cli.main([*DECLARED, "--peak-lr", rate, "--results", str(root)]) for rate in ("0.5", "1e30")]
    assert codes == [0, 1], "a diverged run is exit code 1"
    heads = sorted(Store.open(root, create=False).heads(), key=lambda h: h.run().peak_lr)
    return root, *(h.id for h in heads)


def test_results_lists_records_in_the_order_of_writing(two, capsys):
    root, done, diverged = two
    assert cli.main(["results", "--results", str(root)]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert (
        len(rows) == 4 and done in rows[1] and diverged in rows[2] and rows[3] == f"2 of 2 records in {root}"
    )
    assert cli.main(["results", "--last", "1", "--results", str(root)]) == 0
    out = capsys.readouterr().out
    assert diverged in out and done not in out, "the newest is the last that was written"
    assert cli.main(["results", "--all", "--csv", "--results", str(root)]) == 0
    table = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [(r["id"], r["outcome"], r["peak_lr"]) for r in table] == [
        (done, "done", "0.5"),
        (diverged, "diverged", "1e+30"),
    ]
    summary = Store.open(root, create=False).load(done).summary
    assert float(table[0]["test_loss"]) == summary["test_loss"] and table[1]["test_loss"] == ""
    assert {"validation_loss", "test_loss"} <= set(table[0]) and "test" not in table[0]


def test_results_shows_one_record_and_its_trace(two, capsys):
    root, done, _ = two
    assert cli.main(["results", done[:8], "--results", str(root)]) == 0
    one = json.loads(capsys.readouterr().out)
    assert one["run"]["seed"] == 0 and one["status"]["outcome"] == "done"
    assert one["trace"]["train_loss"] == 25 and one["trace"]["grad_norm"] > 0
    assert cli.main(["results", done, "--trace", "train_loss", "--results", str(root)]) == 0
    head, *series = [line.split(",") for line in capsys.readouterr().out.splitlines()]
    stored = Store.open(root, create=False).load(done).trace["train_loss"]
    assert head == ["step", "value"] and [(int(k), float(v)) for k, v in series] == list(
        zip(*stored, strict=True)
    )
    assert cli.main(["results", done, "--trace", "train_los", "--results", str(root)]) == 2
    assert "train_loss" in capsys.readouterr().err
    assert cli.main(["results", "zzz", "--results", str(root)]) == 2
    assert "an id must begin one record, 'zzz' begins none" in capsys.readouterr().err


def test_results_shows_records_of_what_is_not_imported_here_and_of_damaged_traces(tmp_path, capsys):
    store, small = (
        Store.open(tmp_path),
        {"task": "quadratic", "optimizer": "sgd", "length": 20, "seed": 1234567},
    )
    plain = Run.from_json({**small, "schedule": {"name": "cosine", "warmup": "2ep"}, "length": "10ep"})
    foreign = {
        "task": {"name": "nobodys"},
        "optimizer": {"name": "ours", "x": 1},
        "schedule": {"name": "theirs", "warmup": {"steps": 5}},
    }
    strange = Run.from_json({**plain.json(), **foreign, "length": {"steps": 20}}, trusted=True)
    trace = {"train_loss": Series(array("q", range(20)), array("f", range(20)))}
    with store.writer() as writer:
        writer.append([Record(run, Status("done"), trace) for run in (plain, strange)])
    assert cli.main(["results", "--all", "--csv", "--results", str(tmp_path)]) == 0
    table = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [[r[c] for c in ("task", "optimizer", "schedule", "length", "seed")] for r in table] == [
        ["quadratic", "sgd", "cosine warmup 2ep", "10ep", "1234567"],
        ["nobodys", "ours", "theirs warmup 5", "20", "1234567"],
    ]
    for path in store.records.glob("*.bin"):
        path.write_bytes(bytes(path.stat().st_size))
    assert cli.main(["results", strange.id, "--results", str(tmp_path)]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["run"] == strange.json() and shown["trace"] == {"train_loss": 20}
    assert cli.main(["results", strange.id, "--trace", "train_loss", "--results", str(tmp_path)]) == 2
    assert f"that of run {strange.id} does not" in capsys.readouterr().err


def test_paths_with_spaces_and_letters_beyond_ascii_and_terminals_without_them(tmp_path):
    root = tmp_path / "Ergebnisse für Zoë 学"
    assert cli.main(["run", "quadratic", "--steps", "5", "--results", str(root)]) == 0
    assert (
        cli.main(["plot", "cosine", "--out", str(root / "é 学.svg")]) == 0 and (root / "é 学.svg").is_file()
    )
    call = [sys.executable, "-m", "preheat", "results", "--results", str(root)]
    for encoding, end in (("utf-8", str(root)), ("ascii", r"Ergebnisse f\xfcr Zo\xeb \u5b66")):
        done = subprocess.run(
            call, capture_output=True, env={**os.environ, "PYTHONIOENCODING": encoding}, check=True
        )
        assert done.stdout.decode().splitlines()[-1].endswith(end)


WRONG = {
    "run digits --peak-lr -1e-3": "peak_lr must be a finite number > 0, got -0.001: write",
    "run digits --peak-lr -.5 --seed 3": "peak_lr must be a finite number > 0, got -0.5: write",
    "run digits --peak-lr -inf": "peak_lr must be a finite number > 0, got -inf: write",
    "run digits --clip-norm -2E5": "clip_norm must be a finite number > 0, got -200000.0: write",
    "run digits --warmup -5%": "not a length: '-5%': write 500",
    "run digits --warmup -5ep --schedule cosine": "not a length: '-5ep': write 500",
    "plot cosine --peak-lr -1e-3": "above 0, got -0.001: write",
    "plot cosine --steps -5": "argument --steps: must be a whole number above 0, got '-5'",
    "results --last -3": "argument --last: must be a whole number above 0, got '-3'",
    "run digits --peak-lr --seed 3": "argument --peak-lr: expected one argument",
    "run digits --warmup 1.2.3%": "not a length: '1.2.3%': write 500",
    "run digits --schedule cosine:warmup=5% --warmup 3": "given once, got --warmup 3 beside --schedule "
    "cosine:warmup=5%, which",
    "run digits --schedule cosine:warmup=3e9tok": "needs the tokens per step: write steps, epochs or % of "
    "the run",
    "run digits --schedule cosine:finl=0": "unknown option of schedule 'cosine' 'finl': "
    "did you mean 'final'?",
    "run digits --schedule @none.yaml": "none.yaml: no such file",
    "run digits --schedule hyperboliclr": "got 'hyperboliclr', a function of Python: save",
    "run digits --epochs .": "not a length: '.ep': write 500",
    "run digits --set optimizer.momentum=0.9": "unknown option of optimizer 'adamw' 'momentum': "
    "Known: beta1,",
    "run digits --set optimizer=5": "an optimizer is a name or a name with options, got 5: write {name:",
    "run digits --results ''": "argument --results: must be a folder's name, got '': write . for",
    "study regimes --results ' '": "argument --results: must be a folder's name, got ' ': write . for",
    "study x.yaml": "x.yaml: a folder, where a file is needed",
    "run x.yaml": "x.yaml: a folder, where a file is needed",
    "study claims.toml": "claims.toml:1: a study's name must not be one of records, checkpoints, claims, weights, "
    "trackers, format",
}


def test_strange_values_and_files_are_told_with_their_rule(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("x.yaml").mkdir()
    Path("claims.toml").write_bytes(b"\xef\xbb\xbf[[grid]]\r\nproduct = {peak_lr = [0.1, 0.2]}\r\n")
    for line, rule in WRONG.items():
        assert cli.main(shlex.split(line)) == 2 and rule in (err := capsys.readouterr().err), (line, err)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["claims.toml", "x.yaml"], (
        "a mistake leaves nothing behind"
    )


def test_an_option_of_the_default_optimizer_needs_no_name(tmp_path, capsys):
    line = ["run", "quadratic", "--steps", "5", "--results", str(tmp_path)]
    assert cli.main([*line, "--set", "optimizer.beta1=0.8"]) == 0
    (head,) = Store.open(tmp_path).heads()
    assert head.run_json["optimizer"]["name"] == "adamw" and head.run_json["optimizer"]["beta1"] == 0.8


def test_the_bar_says_runs_done_per_second_and_only_once_there_are_some():
    out = io.StringIO()
    bar = Bar(2800, 2_800_000, out)
    bar.add(work=600_000)
    assert bar.text(10.0).startswith(" 21%  0/2800 runs  10 s so far, ")
    bar.add(work=1000, runs=40, diverged=3, failed=1)
    assert bar.text(10.0).startswith(" 21%  40/2800 runs, 3 diverged, 1 failed  4 runs/s  10 s so far, ")
    assert "  0.05 runs/s  13 min 20 s so far" in bar.text(800.0)
    bar.add(work=2_199_000, runs=2760)
    bar.end()
    assert (
        out.getvalue().startswith("100%  2800/2800 runs, 3 diverged, 1 failed  ")
        and out.getvalue().count("\n") == 1
    )


def test_plot_writes_png_svg_and_pdf_without_torch(tmp_path):
    lines = [
        ["plot", "wsd", "--warmup", "5%", "--out", "wsd.png"],
        [
            "plot",
            "cosine",
            "linear",
            "--warmup",
            "10ep",
            "--epochs",
            "100",
            "--unit",
            "epochs",
            "--out",
            "two.svg",
        ],
        ["plot", "exponential", "--set", "final=0.001", "--log", "--peak-lr", "0.1", "--out", "decay.pdf"],
    ]
    answers, modules = commands(lines, tmp_path)
    assert answers == [(0, f"wrote {line[-1]}\n") for line in lines]
    starts = {"wsd.png": b"\x89PNG", "two.svg": b"<?xml", "decay.pdf": b"%PDF"}
    for name, start in starts.items():
        data = (tmp_path / name).read_bytes()
        assert data.startswith(start) and len(data) > 2000
    assert not modules & {"torch", "scipy", "sklearn", "pydantic"}


# --- studies
# ---------------------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_would_be_trained_and_writes_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (
        cli.main(
            [
                "study",
                "regimes",
                "--dry-run",
                "--limit",
                "6",
                "--placement",
                "fleet",
                "--compile",
                "off",
                "--jobs",
                "2",
            ]
        )
        == 0
    )
    out = capsys.readouterr().out
    assert "6 runs declared" in out and "0 have records, 6 to train" in out
    assert re.search(r"\d fleets? of \d runs, traced, [\d,]+ run-steps at \d+ us", out), out
    assert re.search(r"2 workers, about \d+ MiB for the runs and \d+ s", out)
    assert not any(tmp_path.iterdir())
