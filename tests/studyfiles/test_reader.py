"""Reading studies and runs from files: what is right gives equal studies, what is wrong is told at once, by
line."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preheat.core.errors import UserError
from preheat.core.grid import Block
from preheat.core.lengths import PATTERN, epochs, length
from preheat.core.registry import TASKS
from preheat.core.run import Run
from preheat.core.spec import spec
from preheat.core.study import Study
from preheat.studyfiles.reader import Document, read_run, read_study
from preheat.studyfiles.schema import study_schema
from preheat.studyfiles.syntax import PARSERS, LineMap

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = (
    "fixed: {schedule: cosine, length: 10ep}\n"
    "grid:\n  - product: {schedule.warmup: [0, 2ep], peak_lr: [0.01, 0.1]}\n"
)


def write(folder: Path, text: str | bytes, name: str = "s.yaml") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def told(path: Path, read: Any = read_study) -> list[str]:
    """The lines of the error, without the folder."""
    with pytest.raises(UserError) as caught:
        read(path)
    return str(caught.value).replace(f"{path.parent}/", "").splitlines()


def parsed(text: str, ending: str) -> tuple[Any, LineMap]:
    lines = LineMap()
    return PARSERS[ending](text, lines), lines


# What is right
# -------------------------------------------------------------------------------------------------------


def test_the_examples_are_one_study_with_runs() -> None:
    study = read_study(EXAMPLES / "my_study.yaml")
    assert study == read_study(EXAMPLES / "my_study.toml")
    runs = study.runs()
    assert len(runs) == 2 * 2 * 3 * 3 * 6 and len({r.id for r in runs}) == len(runs)
    assert {r.optimizer.name for r in runs} == {"sgd", "adamw"} and {r.peak_lr for r in runs} == {
        0.1,
        0.2,
        0.4,
        1e-3,
        1e-2,
    }
    assert study.scientific == ("optimizer.name", "task.examples_per_class", "schedule.warmup")


@pytest.mark.parametrize("name", ["my_study.yaml", "my_study.toml"])
def test_yaml_toml_and_json_of_one_study_are_equal(tmp_path: Path, name: str) -> None:
    study = read_study(EXAMPLES / name)
    again = read_study(write(tmp_path, json.dumps(study.json(), indent=2), "s.json"))
    assert again == study and [r.id for r in again.runs()] == [r.id for r in study.runs()]


def test_what_a_study_writes_as_json_is_read_back_as_the_same_runs(tmp_path: Path) -> None:
    grid = (
        Block(
            product={
                "schedule.warmup": [0, epochs(2), "5%"],
                "optimizer": ["adamw", {"name": "sgd", "momentum": 0.9}],
            }
        ),
    )
    fixed = {"task": spec("digits", examples_per_class=5), "schedule": "cosine", "length": epochs(20)}
    study = Study(
        "mine", "Why?", grid, fixed=fixed, scientific=("schedule.warmup", "optimizer"), seeds=(3, 4)
    )
    again = read_study(write(tmp_path, json.dumps(study.json()), "s.json"))
    assert [r.id for r in again.runs()] == [r.id for r in study.runs()]
    assert (again.scientific, again.seeds, again.condition) == (study.scientific, (3, 4), "")


def test_a_small_file_gets_its_defaults(tmp_path: Path) -> None:
    study = read_study(write(tmp_path, SMALL + "nuisance: [peak_lr]", "rates.yaml"))
    assert (study.name, study.scientific, study.nuisance) == ("rates", ("schedule.warmup",), ("peak_lr",))
    assert (study.seeds, study.choosing, study.treatment, study.condition) == (
        (0, 1, 2, 3, 4),
        0,
        "schedule.warmup",
        "",
    )
    assert study.question == "How does schedule.warmup change accuracy?" and len(study.runs()) == 20


def test_a_varied_path_is_scientific_unless_it_is_listed_as_nuisance(tmp_path: Path) -> None:
    study = read_study(write(tmp_path, SMALL + "seeds: [7]"))
    assert (study.scientific, study.condition, study.choosing) == (
        ("schedule.warmup", "peak_lr"),
        "peak_lr",
        0,
    )
    assert read_study(write(tmp_path, SMALL + "condition: ''")).condition == ""


def test_options_that_only_tell_optimizers_apart_are_not_varied(tmp_path: Path) -> None:
    text = """
    grid:
      - fixed: {optimizer: {name: sgd, momentum: 0.9}, peak_lr: 0.1}
        product: {task.examples_per_class: [5, 10]}
      - {fixed: {optimizer: adamw}, product: {task.examples_per_class: [5, 10]}}
    """
    study = read_study(write(tmp_path, text))
    assert (
        study.scientific == ("optimizer.name", "task.examples_per_class")
        and study.treatment == "optimizer.name"
    )
    assert study.condition == "task.examples_per_class" and len(study.runs()) == 20


def test_parts_are_read(tmp_path: Path) -> None:
    study = read_study(
        write(
            tmp_path,
            SMALL + "seeds: 3\nparts: {high: {peak_lr: [0.1]}, none: {schedule.warmup: 0, peak_lr: 0.1}}",
        )
    )
    assert (len(study.part("high")), len(study.part("none"))) == (6, 3)


def test_nested_and_dotted_settings_mean_the_same(tmp_path: Path) -> None:
    a = SMALL.replace("schedule: cosine", "schedule: {name: cosine, final: 0.1}")
    b = SMALL.replace("schedule: cosine", "schedule: cosine, schedule.final: 0.1")
    c = "[fixed]\nschedule.name = 'cosine'\nschedule.final = 0.1\nlength = '10ep'\n[[grid]]\n"
    c += "product = {schedule = {warmup = [0, '2ep']}, peak_lr = [0.01, 0.1]}"
    files = [write(tmp_path, t, n) for t, n in ((a, "s.yaml"), (b, "s.yml"), (c, "s.toml"))]
    one, two, three = map(read_study, files)
    assert one == two == three and one.fixed["schedule"] == {"name": "cosine", "final": 0.1}


def test_zip_points_where_and_exclude(tmp_path: Path) -> None:
    text = """
    grid:
      - zip: {batch_size: [16, 32], peak_lr: [0.01, 0.02]}
        points: [{schedule: {name: cosine, warmup: 1ep}}, {schedule: {name: linear, warmup: 0}}]
        product: {optimizer: [adamw, sgd]}
        where: {batch_size: [16, 32], optimizer: [adamw, sgd]}
        exclude: [{optimizer: sgd, schedule.name: linear}, {batch_size: [32], schedule: cosine}]
    scientific: [schedule.name, schedule.warmup, optimizer.name, batch_size]
    seeds: 1
    """
    runs = read_study(write(tmp_path, text)).runs()
    found = {(r.optimizer.name, r.schedule.json()["name"], r.batch_size, r.peak_lr) for r in runs}
    assert found == {
        ("adamw", "cosine", 16, 0.01),
        ("sgd", "cosine", 16, 0.01),
        ("adamw", "linear", 16, 0.01),
        ("adamw", "linear", 32, 0.02),
    }


@pytest.mark.parametrize("ending", ["json", "yaml"])
def test_a_run_is_read_from_what_it_writes(tmp_path: Path, ending: str) -> None:
    run = Run(
        task=spec("digits", examples_per_class=7),
        schedule="cosine",
        peak_lr=0.02,
        seed=3,
        probes=("grad_norm",),
        clip_norm=1.0,
    )
    assert read_run(write(tmp_path, json.dumps(run.json()), f"r.{ending}")) == run
    assert (
        read_run(write(tmp_path, "optimizer.momentum = 0.5\noptimizer.name = 'sgd'", "r.toml")).hyper[
            "momentum"
        ]
        == 0.5
    )


def test_what_yaml_1_1_would_misread(tmp_path: Path) -> None:
    text = "a: [1e-3, 1E5, +.5, 1_000, off, 1:30, 2024-01-01, 0x1F, ~, 5%, 'true', -7]\n"
    data, lines = parsed(text, ".yaml")
    assert data["a"] == [1e-3, 1e5, 0.5, 1000, "off", "1:30", "2024-01-01", "0x1F", None, "5%", "true", -7]
    assert isinstance(data["a"][0], float) and isinstance(data["a"][3], int) and not lines.faults
    data, _ = parsed("on: {a: &x {p: 1, q: 2}, b: {<<: *x, q: 3}}", ".yaml")
    assert data == {"on": {"a": {"p": 1, "q": 2}, "b": {"p": 1, "q": 3}}}


# Lines
# -----------------------------------------------------------------------------

_DATA = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("ab\n\"'[]{}:,=#\\ é.", max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.\"'#\\ :", max_size=4), inner, max_size=3)
    ),
    max_leaves=12,
)


def places(data: Any, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items = data.items() if isinstance(data, dict) else ()
    inside = enumerate(data) if isinstance(data, list) else items
    return [at, *(p for key, value in inside for p in places(value, (*at, key)))]


@settings(max_examples=150, deadline=None)
@given(_DATA)
def test_every_place_of_a_json_text_has_its_line(data: Any) -> None:
    text = json.dumps(data, indent=1)
    got, lines = parsed(text, ".json")
    assert got == data and not lines.faults and set(lines.lines) == set(places(data))
    rows = text.split("\n")
    for at in places(data):
        if at and isinstance(at[-1], str):
            assert rows[lines.lines[at] - 1].lstrip().startswith(json.dumps(at[-1]) + ":")


def test_every_place_of_a_toml_text_has_its_line() -> None:
    text = '''a = 1 # [x]
"b.c"."d#" = """
x = 1
[no]""""
e = [
  1, # one
  {f = '[', g.h = [1.5e3, 2]},
]
k = 1979-05-27T07:32:00
[t.u]
v = """ \\""" = """
'w]' = 2
[[t.x]]
y = 1
[t.x.z]
q = {}
[[t.x]]
y = [ [1,
2] ]
'''
    data, lines = parsed(text, ".toml")
    assert data == tomllib.loads(text) and set(lines.lines) | {()} == {*places(data), ()}
    want = {
        ("a",): 1,
        ("b.c", "d#"): 2,
        ("e", 0): 6,
        ("e", 1): 7,
        ("e", 1, "g", "h", 1): 7,
        ("k",): 9,
        ("t", "u", "w]"): 12,
    }
    want |= {
        ("t", "x", 0, "y"): 14,
        ("t", "x", 0, "z", "q"): 16,
        ("t", "x", 1): 17,
        ("t", "x", 1, "y", 0, 1): 19,
    }
    assert {at: lines.lines[at] for at in want} == want


def test_a_place_without_a_line_has_that_of_the_place_around_it() -> None:
    doc = Document("f", {}, {(): 1, ("grid",): 4})
    assert (
        doc.line(("grid", 0, "product")) == 4
        and doc.line(("x",)) == 1
        and Document("f", {}, {}).line(("x",)) == 1
    )


# What is wrong
# -------------------------------------------------------------------------------------------------------

ONE = [  # (what replaces a part of SMALL, the line of the error, the error)
    ("fixed", "fixd", "s.yaml:1: fixd: unknown key (got 'fixd') -- did you mean 'fixed'?"),
    (
        "length: 10ep",
        "lenght: 10ep",
        "s.yaml:1: fixed.lenght: unknown setting of a run (got 'lenght') -- did you mean 'length'?",
    ),
    (
        "length: 10ep",
        "warmup: 1ep",
        "s.yaml:1: fixed.warmup: unknown setting of a run (got 'warmup') -- did you mean 'schedule.warmup'?",
    ),
    (
        "length: 10ep",
        "length: 20%",
        "s.yaml:1: fixed.length: must be a number of steps or epochs above 0 (got 20%) "
        "-- write '50ep' or '700'",
    ),
    (
        "length: 10ep",
        "evaluate: 0",
        "s.yaml:1: fixed.evaluate: must be above 0 (got 0) -- write '5%' or '1ep'",
    ),
    ("length: 10ep", "batch_size: 0", "s.yaml:1: fixed.batch_size: must be a whole number >= 1 (got 0)"),
    ("length: 10ep", "batch_size: 1.5", "s.yaml:1: fixed.batch_size: must be a whole number (got 1.5)"),
    (
        "length: 10ep",
        "batch_size: {x: 1}",
        "s.yaml:1: fixed.batch_size: must be a whole number (got {'x': 1})",
    ),
    (
        "length: 10ep",
        "precision: float23",
        "must be float32 or float64 or bf16 (got 'float23') -- did you mean 'float32'?",
    ),
    (
        "length: 10ep",
        "clip_norm: '0.5'",
        "fixed.clip_norm: must be a number (got '0.5') -- write 0.5 without quotes",
    ),
    ("length: 10ep", "clip_norm: nan", "clip_norm: must be a number (got 'nan') -- write a finite number"),
    ("[0, 2ep]", "[0, 2ep, {epochs: 2}]", "s.yaml:3: grid[0].product.schedule.warmup[2]: must be different"),
    ("length: 10ep", "clip_norm: true", "fixed.clip_norm: must be a number (got True)"),
    ("length: 10ep", "seed: 1", "fixed.seed: seeds are an axis of their own -- write seeds:"),
    ("length: 10ep", "task: 5", "fixed.task: task must be a name or a name with options (got 5)"),
    ("length: 10ep", "task: digts", "fixed.task: unknown task (got 'digts') -- did you mean 'digits'?"),
    (
        "length: 10ep",
        "task: zzzzz",
        "fixed.task: unknown task (got 'zzzzz') -- known: {tasks}; import the file that",
    ),
    (
        "length: 10ep",
        "task: {name: digits, examples: 5}",
        "unknown option of task 'digits' (got 'examples') -- did you mean 'examples_per_class'?",
    ),
    (
        "length: 10ep",
        "task: {name: digits, model: 5}",
        "fixed.task.model: a model is a name or a name with options (got 5)",
    ),
    (
        "length: 10ep",
        "task.examples_per_class: 101",
        "fixed.task.examples_per_class: examples_per_class of digits must be 1 to 100",
    ),
    (
        "length: 10ep",
        "optimizer: {name: sgd, nesterov: yes}",
        "fixed.optimizer.nesterov: must be true or false (got 'yes') -- write true",
    ),
    (
        "length: 10ep",
        "optimizer: {name: sgd, momentum: 1:30}",
        "fixed.optimizer.momentum: must be a number (got '1:30')",
    ),
    (
        "length: 10ep",
        "optimizer: {name: adamw, beta3: 0}",
        "unknown option of optimizer 'adamw' (got 'beta3') -- did you mean 'beta",
    ),
    ("cosine", "cosin", "s.yaml:1: fixed.schedule: unknown schedule (got 'cosin') -- did you mean 'cosine'?"),
    (
        "cosine",
        "{name: cosine, wramup: 1}",
        "fixed.schedule.wramup: unknown option of schedule 'cosine' (got 'wramup') -- did you mean 'warmup'?",
    ),
    (
        "cosine",
        "{name: cosine, warmup: -1ep}",
        "fixed.schedule.warmup: must be a length (got '-1ep') -- write 500 (steps)",
    ),
    ("cosine", "{name: cosine, at: middle}", "fixed.schedule.at: "),
    (
        "cosine",
        "cosine, schedule: linear",
        "s.yaml:1: fixed.schedule: given twice (first on line 1) -- keep one of them",
    ),
    ("cosine", "cosine, schedule.name: linear", "fixed.schedule.name: schedule.name is given twice here"),
    (
        "length: 10ep",
        "probes: [grad_norm, grad]",
        "s.yaml:1: fixed.probes[1]: unknown probe (got 'grad') -- did you mean 'grad_norm'?",
    ),
    (
        "length: 10ep",
        "probes: [{name: grad_norm, evry: 5}]",
        "fixed.probes[0].evry: unknown option of probe 'grad_norm'",
    ),
    ("length: 10ep", "probes: grad_norm", "fixed.probes: must be a list of names (got 'grad_norm')"),
    (
        "product",
        "produce",
        "s.yaml:3: grid[0].produce: unknown key (got 'produce') -- did you mean 'product'?",
    ),
    (
        "schedule.warmup",
        "schedule.wramup",
        "s.yaml:3: grid[0].product.schedule.wramup: unknown option of schedule 'cosine'",
    ),
    (
        "schedule.warmup",
        "scedule.warmup",
        "unknown setting of a run (got 'scedule.warmup') -- did you mean 'schedule.warmup'?",
    ),
    ("[0, 2ep]", "[0, 2eps]", "s.yaml:3: grid[0].product.schedule.warmup[1]: must be a length (got '2eps')"),
    ("[0, 2ep]", "[0, no]", "s.yaml:3: grid[0].product.schedule.warmup[1]: must be a length (got 'no')"),
    (
        "[0.01, 0.1]",
        "0.1",
        "s.yaml:3: grid[0].product.peak_lr: needs a list with at least one value (got 0.1) -- write [0.1]",
    ),
    ("[0.01, 0.1]", "[]", "s.yaml:3: grid[0].product.peak_lr: needs a list with at least one value (got [])"),
    (
        "[0.01, 0.1]",
        "[0.01, -0.1]",
        "s.yaml:3: grid[0].product.peak_lr[1]: must be a finite number > 0 (got -0.1)",
    ),
    ("[0.01, 0.1]", "[.nan, 0.1]", "s.yaml:3: grid[0].product.peak_lr[0]: must be finite (got nan)"),
    (
        "[0.01, 0.1]",
        "[010, 0.1]",
        "grid[0].product.peak_lr[0]: a leading zero means octal in YAML 1.1 and nothing in 1.2 (got 010) -- "
        "write 10",
    ),
    (
        "peak_lr: [0.01, 0.1]",
        "optimizer: [sgd, agd]",
        "grid[0].product.optimizer[1]: unknown optimizer (got 'agd') -- did you mean 'sgd'?",
    ),
    (
        "peak_lr: [0.01, 0.1]",
        "optimizer.momentum: [0.9]",
        "grid[0].product.optimizer.momentum: unknown option of optimizer 'adamw'",
    ),
    (
        "peak_lr: [0.01, 0.1]",
        "optimizer.weight_decay: [0.1, -1]",
        "grid[0].product.optimizer.weight_decay[1]: weight_decay must be",
    ),
    (
        "peak_lr: [0.01, 0.1]",
        "optimizer.weight_decay: [0], optimizer: [sgd]",
        "grid[0].product.optimizer: optimizer would replace optimizer.weight_decay",
    ),
    (
        "peak_lr: [0.01, 0.1]}",
        "peak_lr: [0.01]}\n    zip: {seed: [1], batch_size: [1, 2]}",
        "s.yaml:4: grid[0].zip: needs lists of one length",
    ),
    (
        "0.1]}",
        "0.1]}\n    where: {peak_lr: [0.2]}",
        "s.yaml:4: grid[0].where.peak_lr[0]: never a value of peak_lr in this block (got 0.2)",
    ),
    (
        "0.1]}",
        "0.1]}\n    exclude: [{peek_lr: 0.1}]",
        "unknown path: this block varies nothing there (got 'peek_lr') -- did you mean 'peak_lr'?",
    ),
    (
        "0.1]}",
        "0.1]}\n    exclude: [{peak_lr: [0.1, 0.01]}]",
        "s.yaml:3: grid[0]: where and exclude leave no combination",
    ),
    (
        "0.1]}",
        "0.1]}\n    points: [{peak_lr: 0.1}]",
        "s.yaml:4: grid[0].points[0].peak_lr: peak_lr is given twice here",
    ),
    ("  - product", "  product", "s.yaml:2: grid: must be a list"),
    ("  - product", "  - 5\n  - product", "s.yaml:3: grid[0]: must be keys with values (got 5)"),
    (
        "fixed: {schedule: cosine, length: 10ep}",
        "fixed: 5",
        "s.yaml:1: fixed: must be keys with values (got 5)",
    ),
]


@pytest.mark.parametrize(("old", "new", "error"), ONE, ids=lambda v: v[:40])
def test_one_mistake_in_the_settings(tmp_path: Path, old: str, new: str, error: str) -> None:
    """Tests of other files may have registered tasks of their own."""
    lines = told(write(tmp_path, SMALL.replace(old, new, 1)))
    error = error.replace("{tasks}", ", ".join(TASKS.names()))
    assert any(error in line for line in lines), "\n".join(lines)
    assert all(line.startswith("s.yaml:") for line in lines)


ROLES = [
    (
        "scientific: [schedule.warmupp]",
        "s.yaml:4: scientific[0]: unknown path: this file sets nothing there (got 'schedule.warmupp')",
    ),
    (
        "scientific: [schedule.warmup]",
        "s.yaml:3: grid[0].product.peak_lr: peak_lr is varied, but neither scientific nor nuisance",
    ),
    (
        "scientific: [peak_lr, schedule.warmup]\nnuisance: [peak_lr]",
        "s.yaml:5: nuisance[0]: peak_lr has a role already",
    ),
    ("nuisance: peak_lr", "s.yaml:4: nuisance: must be a list of texts (got 'peak_lr')"),
    ("nuisance: [peak_lr, schedule.warmup]", "s.yaml:2: grid: varies nothing but nuisances"),
    (
        "treatment: warmup",
        "s.yaml:4: treatment: must be one of the scientific paths (got 'warmup') -- did you mean "
        "'schedule.warmup'?",
    ),
    (
        "nuisance: [peak_lr]\ncondition: peak_lr",
        "s.yaml:5: condition: must be one of the scientific paths (got 'peak_lr')",
    ),
    ("condition: length", "s.yaml:4: condition: must be one of the scientific paths"),
    (
        "condition: schedule.warmup",
        "s.yaml:4: condition: must be another path than treatment (got 'schedule.warmup' for both)",
    ),
    ("claims: {asid: {}}", "s.yaml:4: claims: unknown key of claims (got 'asid') -- did you mean 'aside'?"),
    ("baseline: 3ep", "s.yaml:4: baseline: must be a value of schedule.warmup: 0, 2ep (got '3ep')"),
    (
        "parts: {one: {peak_lrr: [0.1]}}",
        "s.yaml:4: parts.one.peak_lrr: unknown path: this study varies nothing there (got 'peak_lrr')",
    ),
    (
        "parts: {one: {peak_lr: [0.1, 1]}}",
        "s.yaml:4: parts.one.peak_lr[1]: never a value of peak_lr in this study (got 1)",
    ),
    ("parts: {one: 5}", "s.yaml:4: parts.one: must be keys with lists or a list of blocks (got 5)"),
    ("seeds: 0", "s.yaml:4: seeds: must be how many seeds or a list of whole numbers >= 0 (got 0)"),
    ("seeds: [1, -1]", "s.yaml:4: seeds: must be how many seeds"),
    ("seeds: [1, 1]", "s.yaml:4: seeds: must be different numbers (got [1, 1])"),
    ("seeds: true", "s.yaml:4: seeds: must be how many seeds"),
    ("seeds: 1000000000", "s.yaml:4: seeds: must be at most 1,000,000"),
    ("seeds: 900000", "s.yaml:2: grid: a study has at most 1,000,000 runs (got 3,600,000)"),
    ("seeds: 3\nchoosing: 3", "s.yaml:5: choosing: must leave a seed to report: 0 to 2 of 3 (got 3)"),
    ("choosing: -1", "s.yaml:4: choosing: must leave a seed to report: 0 to 4 of 5 (got -1)"),
    ("goal: maxx", "s.yaml:4: goal: must be max or min (got 'maxx') -- did you mean 'max'?"),
    ("margin: 0", "s.yaml:4: margin: must be above 0 (got 0) -- write the smallest difference"),
    ("name: my study", "s.yaml:4: name: a study's name is letters, digits, - and _ (got 'my study')"),
    ("name: 5", "s.yaml:4: name: must be a text (got 5)"),
    (
        "chapters: [metric, egde]",
        "s.yaml:4: chapters[1]: unknown chapter (got 'egde') -- did you mean 'edge'?",
    ),
    ("chapters: [{name: curves, rnus: []}]", "unknown option of chapter 'curves' (got 'rnus') -- did you"),
    ("gird: 5", "s.yaml:4: gird: unknown key (got 'gird') -- did you mean 'grid'?"),
]


@pytest.mark.parametrize(("more", "error"), ROLES, ids=lambda v: v[:40])
def test_one_mistake_in_the_roles(tmp_path: Path, more: str, error: str) -> None:
    lines = told(write(tmp_path, SMALL + more))
    assert len(lines) == 1 and error in lines[0], "\n".join(lines)


def test_all_mistakes_are_told_at_once_each_with_its_line(tmp_path: Path) -> None:
    text = """name: x
fixed:
  task: {name: digits, examples_per_clas: 5}
  optimizer:
    name: sgd
    momentum: 1.5
    weight_decay: -1
    nesterov: true
    beta1: 0.9
  lenght: 5ep
grid:
  - product:
      schedule.name: [cosine, linar]
      batch_size: [0, 16]
      peak_lr: [
        0.1,
        -1]
    zip: {}
sedes: 3
margin: -1
"""
    lines = told(write(tmp_path, text))
    assert [int(line.split(":")[1]) for line in lines] == [3, 6, 7, 9, 10, 13, 14, 17, 19, 20]


def test_an_option_is_checked_beside_the_others_and_only_the_guilty_one_is_named(tmp_path: Path) -> None:
    text = SMALL.replace("length: 10ep", "optimizer: {name: adamw, beta1: 2, beta2: 0.9, eps: -1}")
    lines = told(write(tmp_path, text))
    assert [line.split(": ")[1] for line in lines] == ["fixed.optimizer.beta1", "fixed.optimizer.eps"]


def test_what_shows_when_runs_are_built_is_told_by_line_too(tmp_path: Path) -> None:
    text = """fixed: {schedule: cosine, length: 10ep, task: {name: digits, examples_per_class: 5}}
grid:
  - product:
      schedule.warmup: [
        0,
        20ep]
      peak_lr: [0.1, 0.2]
  - product:
      batch_size: [32, 51]
      optimizer: [sgd, adamw]
      optimizer.momentum: [0.9]
"""
    lines = told(write(tmp_path, text))
    assert [line.split(": ")[:2] for line in lines] == [
        ["s.yaml:6", "grid[0].product.schedule.warmup[1]"],
        ["s.yaml:9", "grid[1].product.batch_size[1]"],
        ["s.yaml:11", "grid[1].product.optimizer.momentum[0]"],
    ]
    assert "20ep" in lines[0] and "must be at most the number of training examples (50) (got 51)" in lines[1]


def test_an_option_of_another_optimizer_is_blamed_where_it_stands(tmp_path: Path) -> None:
    text = "fixed:\n  optimizer: {name: sgd, momentum: 0.9}\n"
    text += "grid:\n  - product: {optimizer: [adamw, sgd], batch_size: [8, 16]}\n"
    (line,) = told(write(tmp_path, text))
    assert line.startswith(
        "s.yaml:2: fixed.optimizer.momentum: unknown option of optimizer 'adamw' (got 'momentum')"
    )


RUNS = [
    (
        "peek_lr = 0.1",
        "r.toml:1: peek_lr: unknown setting of a run (got 'peek_lr') -- did you mean 'peak_lr'?",
    ),
    (
        "peak_lr = 0.1\nsedd = 1",
        "r.toml:2: sedd: unknown setting of a run (got 'sedd') -- did you mean 'seed'?",
    ),
    ("peak_lr = 0.1\nseed = -1", "r.toml:2: seed: seed must be a whole number >= 0 (got -1)"),
    ("format = 99", "r.toml:1: format: a run of format 99 needs a newer preheat"),
    ("length = '2ep'\n[schedule]\nname = 'cosine'\nwarmup = '5ep'", "r.toml:4: schedule.warmup: "),
    ("peak_lr = 1979-05-27", "r.toml:1: peak_lr: must be a number"),
    ("batch_size = 2000", "r.toml:1: batch_size: batch_size must be at most the number of training examples"),
]


@pytest.mark.parametrize(("text", "error"), RUNS)
def test_one_mistake_in_a_run(tmp_path: Path, text: str, error: str) -> None:
    assert any(line.startswith(error) for line in told(write(tmp_path, text, "r.toml"), read_run))


SYNTAX = [
    ("a.yaml", "a: [1\nb: 2", "a.yaml:2: not YAML: expected ',' or ']', but got ':'"),
    (
        "a.yaml",
        "a: 1\n\tb: 2",
        "a.yaml:2: not YAML: found character '\\t' that cannot start any token -- indent with spaces",
    ),
    ("a.yaml", "a: 1\n---\nb: 2", "a.yaml:2: not YAML: but found another document"),
    ("a.yaml", "a: 1\nb: \0", "a.yaml:2: not YAML: special characters are not allowed"),
    ("a.yaml", "a: &x [1, *x]", "a.yaml:1: not YAML: an alias that contains itself"),
    (
        "a.yaml",
        "a: 1\nb: !!python/object/apply:os.getcwd []",
        "a.yaml:2: b: tags are not read (got 'tag:yaml.org,2002:python/",
    ),
    ("a.yaml", "a: 1\n? [1]\n: 2", "a.yaml:2: a key must be a text"),
    ("a.yaml", "[" * 5000, "a.yaml:1: nested too deeply"),
    ("a.toml", "a = 1\nb = \n", "a.toml:2: not TOML: Invalid value"),
    ("a.toml", "a = 1\na = 2\n", "a.toml:2: not TOML: Cannot overwrite a value"),
    ("a.toml", "a = 1\nb = [", "a.toml:2: not TOML: "),
    ("a.json", '{"a": 1,\n "a": [1,\n {}}', "a.json:3: not JSON: Expecting ',' delimiter"),
    ("a.json", '{"a": 1,\n "a": 2}', "a.json:2: a: given twice (first on line 1)"),
    ("a.json", '{"a": ' + "9" * 5000 + "}", "a.json:1: not JSON: a number has too many digits"),
    ("a.json", "[1]", "a.json:1: a file must be keys with values, got list"),
    ("a.json", "[" * 100_000, "a.json:1: nested too deeply"),
    *(
        (f"a.{ending}", text, f"a.{ending}:1: the file is empty")
        for ending in ("yaml", "yml", "toml", "json")
        for text in ("", " \n")
    ),
    ("a.yaml", "# nothing\n", "a.yaml:1: the file is empty"),
    ("a.txt", "a: 1", "a.txt: a file must end in .yaml, .yml, .toml, .json, got '.txt'"),
    ("a", "a: 1", "a: a file must end in .yaml, .yml, .toml, .json, got 'no ending'"),
]


@pytest.mark.parametrize(("name", "text", "error"), SYNTAX, ids=lambda v: v[:30])
def test_what_is_no_document(tmp_path: Path, name: str, text: str, error: str) -> None:
    assert any(line.startswith(error) for line in told(write(tmp_path, text, name)))


def test_aliases_of_aliases_do_not_fill_the_memory(tmp_path: Path) -> None:
    rows = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"] + [
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)
    ]
    assert "more than 100,000 values with all aliases" in told(write(tmp_path, "\n".join(rows)))[0]


def test_files_that_can_not_be_read(tmp_path: Path) -> None:
    write(tmp_path, SMALL, "study.yaml")
    assert told(tmp_path / "studdy.yaml")[0].endswith(
        f"studdy.yaml: no such file -- did you mean '{tmp_path / 'study.yaml'}'?".replace(f"{tmp_path}/", "")
    )
    assert "no such file" in told(tmp_path / "no" / "where.yaml")[0]
    assert "a folder, where a file is needed" in told(tmp_path)[0]
    assert told(write(tmp_path, b"a: 1\nb: \xff", "u.yaml")) == [
        "u.yaml:2: must be UTF-8 text, got byte 0xff: save the file as UTF-8"
    ]
    assert (
        "at most 10,000,000 bytes are read, got 10,000,001"
        in told(write(tmp_path, b" " * 10_000_001, "big.toml"))[0]
    )
    (tmp_path / "folder.yaml").mkdir()
    assert "a folder, where a file is needed" in told(tmp_path / "folder.yaml")[0]


def test_files_of_other_systems_are_read(tmp_path: Path) -> None:
    """A mark at the start (BOM), line ends of Windows, names with spaces and letters beyond ASCII."""
    (tmp_path / "Étude nº 1").mkdir()
    texts = {
        "s.yaml": SMALL,
        "s.toml": "[[grid]]\nproduct = {peak_lr = [0.1, 0.2]}\n",
        "s.json": '{"grid": [\n{"product": {"seed": 1}}]}',
    }
    for name, text in texts.items():
        here = write(tmp_path / "Étude nº 1", b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(), name)
        if name == "s.json":
            assert told(here)[0].startswith("s.json:2: grid[0].product.seed: ")
        else:
            assert read_study(here).name == "s" and read_study(here) == read_study(
                write(tmp_path, text, name)
            )


@pytest.mark.parametrize("name", ["records", "Claims"])
def test_a_studys_name_may_not_be_one_of_the_stores(tmp_path: Path, name: str) -> None:
    (line,) = told(write(tmp_path, SMALL, f"{name}.yaml"))
    assert (
        f"{name}.yaml:1: a study's name must not be one of records, checkpoints, claims, weights, trackers, format"
        in line
    )
    (line,) = told(write(tmp_path, f"\nname: {name}\n{SMALL}"))
    assert line.startswith("s.yaml:2: name: ") and line.endswith(f"(got '{name}') -- write my-study")


# The schema, and what is imported
# ------------------------------------------------------------------------------------


def test_the_schema_describes_the_file_and_knows_the_names() -> None:
    schema = study_schema()
    assert set(schema["properties"]) == {f for f in Study.__dataclass_fields__} and schema["required"] == [
        "grid"
    ]
    assert schema["additionalProperties"] is False and json.loads(json.dumps(schema)) == schema
    run = schema["properties"]["fixed"]["properties"]
    assert set(run) == {f for f in Run.__dataclass_fields__} - {"seed", "trusted"}
    assert run["length"]["anyOf"][1]["pattern"] == f"^{PATTERN}$" and length("5.5ep") == epochs(5.5)
    assert "digits" in run["task"]["anyOf"][0]["enum"] and "cosine" in run["schedule"]["anyOf"][0]["enum"]


def test_yaml_waits_until_a_file_is_read_and_torch_is_never_asked_for() -> None:
    code = "import sys, preheat.studyfiles.reader, preheat.studyfiles.schema as s; s.study_schema(); "
    code += "assert not {'yaml', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_metric_without_points_is_told_which_margin_was_not_chosen(tmp_path: Path) -> None:
    text = "name: s\ngrid: [{product: {schedule.warmup: [0, 2ep]}}]\nfixed: {task: digits, optimizer: sgd, length: 5ep}\n"
    note = "No margin was chosen: a difference of 0.01 in loss counts."
    assert read_study(write(tmp_path, text + "metric: loss\n")).notes == (note,)
    assert read_study(write(tmp_path, text + "metric: loss\nmargin: 0.1\n")).notes == ()
    assert read_study(write(tmp_path, text)).notes == ()
