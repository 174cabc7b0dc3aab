"""The keys of a file are those of the types: a new field needs no line of ours, and docs/studies.md has every
one."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

import preheat
from preheat.cli import run_command
from preheat.cli.parsers import build as parser_of
from preheat.core.between import Between
from preheat.core.errors import UserError
from preheat.core.grid import Block
from preheat.core.lengths import Length, epochs, length
from preheat.core.registry import TASKS
from preheat.core.run import Run
from preheat.core.spec import Spec
from preheat.core.study import Study
from preheat.studies.regimes.study import Regimes
from preheat.studyfiles.keys import keys
from preheat.studyfiles.reader import read_run, read_study
from preheat.studyfiles.schema import study_schema
from preheat.tasks.quadratic import Quadratic

HOME = Path(__file__).parents[2]
SMALL = (
    "fixed: {task: quadratic, optimizer: sgd, length: 10}\n"
    "grid:\n  - product: {schedule.warmup: [0, 2], peak_lr: [0.01, 0.1]}\n"
)


@dataclass(frozen=True)
class WiderRun(Run):
    """A run that has gained fields.

    pause: the distance between pauses. `2ep`
    """

    pause: Length = epochs(1)
    cap: float | None = None
    mood: Literal["calm", "bold"] = "calm"
    rule: Spec | None = None

    def __post_init__(self, trusted: bool) -> None:
        object.__setattr__(self, "pause", length(self.pause))
        if self.cap is not None and not self.cap > 0:
            raise UserError(f"cap must be above 0, got {self.cap!r}: write 1.0")
        super().__post_init__(trusted)


@dataclass(frozen=True)
class WiderStudy(Study):
    """A study that has gained a field."""

    readers: tuple[str, ...] = ()


@dataclass(frozen=True)
class WiderBlock(Block):
    """A block that has gained a field."""

    weight: int = 1


@dataclass(frozen=True)
class WiderTask(Quadratic):
    """A task that has gained an option."""

    tilt: float = 0.0


@pytest.fixture
def wider(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every module takes the types that have gained fields for its own."""
    monkeypatch.setitem(TASKS._objects, "quadratic", WiderTask)
    for old, new in ((Run, WiderRun), (Study, WiderStudy), (Block, WiderBlock)):
        for module in [m for name, m in sys.modules.items() if name.startswith(preheat.__name__)]:
            if vars(module).get(old.__name__) is old:
                monkeypatch.setattr(module, old.__name__, new)


def write(folder: Path, text: str, ending: str = "yaml") -> Path:
    path = folder / f"s.{ending}"
    path.write_text(text, encoding="utf-8")
    return path


def told(path: Path, read: Any = read_study) -> list[str]:
    with pytest.raises(UserError) as caught:
        read(path)
    return str(caught.value).replace(f"{path.parent}/", "").splitlines()


RUNS = {
    "yaml": "task: {name: quadratic, tilt: 0.5}\npause: 3ep\ncap: 2\nmood: bold\nrule: {name: mine, x: 1}\n",
    "toml": "task = {name = 'quadratic', tilt = 0.5}\npause = '3ep'\ncap = 2\nmood = 'bold'\n"
    "rule = {name = 'mine', x = 1}\n",
    "json": '{"task": {"name": "quadratic", "tilt": 0.5},\n"pause": {"epochs": 3}, "cap": 2,\n'
    '"mood": "bold", "rule": {"name": "mine", "x": 1}}',
}


@pytest.mark.parametrize("ending", RUNS)
@pytest.mark.usefixtures("wider")
def test_a_new_field_of_a_run_and_a_new_option_of_a_task_are_read(tmp_path: Path, ending: str) -> None:
    run: Any = read_run(write(tmp_path, RUNS[ending], ending))
    assert (run.pause, run.cap, run.mood) == (epochs(3), 2, "bold")
    assert run.task.options["tilt"] == 0.5 and run.rule == {"name": "mine", "x": 1}
    words = [
        "quadratic",
        "--set",
        "pause=3ep",
        "--set",
        "cap=2",
        "--set",
        "mood=bold",
        "--set",
        "rule.name=mine",
    ]
    words += ["--set", "rule.x=1", "--set", "task.tilt=0.5"]
    assert run_command.declared(parser_of("run", words).parse_args(words)).id == run.id


@pytest.mark.usefixtures("wider")
def test_new_fields_of_a_study_and_a_block_are_read_and_mistakes_in_them_are_told_by_line(
    tmp_path: Path,
) -> None:
    whole = SMALL + "    weight: 3\n  - {product: {cap: [1, 2], schedule.warmup: [1]}}\nreaders: [a]\n"
    study: Any = read_study(
        write(tmp_path, whole + "scientific: [schedule.warmup, cap]\nnuisance: [peak_lr]")
    )
    assert study.readers == ["a"] and [b.weight for b in study.grid] == [3, 1]
    assert {r.cap for r in study.runs()} == {None, 1, 2}
    wrong = whole.replace("[a]", "a").replace("weight: 3", "weight: x").replace("[1, 2]", "[1, -2]")
    wrong = wrong.replace("length: 10", "length: 10, mood: bolt, rule: 5, puase: 1ep")
    assert told(write(tmp_path, wrong)) == [
        "s.yaml:1: fixed.mood: must be calm or bold (got 'bolt') -- did you mean 'bold'?",
        "s.yaml:1: fixed.puase: unknown setting of a run (got 'puase') -- did you mean 'pause'?",
        "s.yaml:4: grid[0].weight: must be a whole number (got 'x')",
        "s.yaml:5: grid[1].product.cap[1]: must be above 0 (got -2) -- write 1.0",
        "s.yaml:6: readers: must be a list of texts (got 'a')",
    ]
    assert {"readers"} <= set(study_schema()["properties"])


# What was read nowhere, or only by one way
# -----------------------------------------------------------------------------------------------------------


def test_every_precision_is_read(tmp_path: Path) -> None:
    assert read_run(write(tmp_path, "precision: bf16")).precision == "bf16"


FEW = {"seeds": 3, "sgd_rates": (0.1,), "adamw_rates": (0.01,)}


@pytest.mark.parametrize(
    "options", [FEW, {"tasks": ("cifar10",), "sizes": (50, 100)}], ids=["small", "images"]
)
def test_the_studies_that_ship_are_read_from_their_json(tmp_path: Path, options: dict[str, Any]) -> None:
    """Blocks with seeds of their own, names of points, parts that are grids, seeds kept by a part."""
    study = Regimes(**options).study()
    again = read_study(write(tmp_path, json.dumps(study.json(), indent=1), "json"))
    assert again.declared() == study.declared() and (again.claims, again.notes) == (study.claims, study.notes)
    assert {p: again.part(p) for p in study.parts} == {p: study.part(p) for p in study.parts}


def test_seeds_of_a_block_are_checked_at_their_line(tmp_path: Path) -> None:
    assert told(write(tmp_path, SMALL + "    seeds: [1, -1]")) == [
        "s.yaml:4: grid[0].seeds: seeds of a block must be different whole numbers >= 0 (got [1, -1])"
    ]
    part = "parts: {one: [{product: {peak_lr: [0.1],\n  schedule.wramup: [1]}}]}"
    (line,) = told(write(tmp_path, SMALL + part))
    assert line.startswith("s.yaml:5: parts.one[0].product.schedule.wramup: unknown option")


JSON = """{"fixed": {"task": "quadratic",
\t"lenght": 5},
 "grid": [{"product": {"peak_lr": [0.1,
   -1]}}], "name": "\\ud83d\\ude00",
 "margin": 0, "margin": 1,
 "notes": ["\\ud83d\\ude00 \\\\ud83d"], "sedes": 3}"""


def test_all_mistakes_of_a_json_file_are_told_at_once_each_with_its_line(tmp_path: Path) -> None:
    lines = told(write(tmp_path, JSON, "json"))
    assert [line.split(": ")[0] for line in lines] == [f"s.json:{n}" for n in (2, 4, 4, 5, 6)]
    assert "did you mean 'length'?" in lines[0] and "given twice (first on line 5)" in lines[3]
    fine = JSON.replace("lenght", "length").replace("-1", "1").replace('"margin": 0, ', "")
    fine = fine.replace(', "sedes": 3', "").replace('"name": "\\ud83d\\ude00",', "")
    assert read_study(write(tmp_path, fine, "json")).notes == ("\U0001f600 \\ud83d",)


# docs/studies.md
# -----------------------------------------------------------------------------------------------------------


def test_the_page_of_keys_is_what_the_types_say() -> None:
    found = importlib.util.spec_from_file_location("write_docs", HOME / "tools" / "write_docs.py")
    assert found and found.loader
    tool = importlib.util.module_from_spec(found)
    found.loader.exec_module(tool)
    assert tool.PAGE.read_text(encoding="utf-8") == tool.page(), "run: python tools/write_docs.py"


@pytest.mark.parametrize("of", [Study, Block, Run, Between])
def test_every_key_has_a_sentence_and_an_example_that_is_read(tmp_path: Path, of: type) -> None:
    grid = "{product: {schedule.warmup: [0, 2ep], peak_lr: [0.01, 0.1]}}"
    for name, key in keys(of).items():
        assert key.says and key.example, f"write {name}: ... `example` in the docstring of {of.__name__}"
        line = f"{name}: {key.example}\n"
        if of is Run:
            read_run(write(tmp_path, line))
        elif of is Between:
            rest = {"schedule": "linear", "at_zero": "0.9", "at_peak": "0.8", name: key.example}
            inside = ", ".join(f"{k}: {v}" for k, v in rest.items())
            read_run(write(tmp_path, f"optimizer: sgd\nalso: {{momentum: {{{inside}}}}}\n"))
        elif of is Study:
            rest = {
                "fixed": "{length: 10ep}",
                "grid": f"[{grid}]",
                "scientific": "[schedule.warmup, peak_lr]",
            }
            rest |= (
                {"nuisance": "[peak_lr]", "scientific": "[schedule.warmup]"} if name != "condition" else {}
            )
            rest[name] = key.example
            read_study(write(tmp_path, "".join(f"{k}: {v}\n" for k, v in rest.items())))
        else:
            rates = "" if name in ("zip", "points") else ", peak_lr: [0.01, 0.1]"
            rest = {"product": f"{{schedule.warmup: [0, 2ep]{rates}}}", name: key.example}
            inside = ", ".join(f"{k}: {v}" for k, v in rest.items())
            read_study(write(tmp_path, f"grid: [{{{inside}}}]\n"))
