"""Nothing general knows anything special: no registered name of a task, an optimizer, a model or a study, and
no option of one, is a text in a folder that is for all of them."""

from __future__ import annotations

import ast
import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import get_args

import pytest

from preheat.core.grid import Block
from preheat.core.lengths import _TEXT, _UNITS, Unit
from preheat.core.record import Record
from preheat.core.registry import MODELS, OPTIMIZERS, REGISTRIES, STUDIES, TASKS
from preheat.core.run import Run
from preheat.core.study import Study

SRC = Path(__file__).parents[2] / "src" / "preheat"
GENERAL = ("core", "stats", "analysis", "report", "lab", "engine", "store", "cli")
SPECIAL = (TASKS, OPTIMIZERS, MODELS, STUDIES)
# words that every declaration and every length has, whatever it is of, and the kinds of what is registered
SHARED = {f.name for kind in (Run, Study, Record, Block) for f in fields(kind)} | {*REGISTRIES}
SHARED |= {word for unit in get_args(Unit) for word in (unit, unit.removesuffix("s"))}
SHARED |= {*_UNITS, *_TEXT.values()}


def special() -> dict[str, str]:
    """{name or option: what it is of}, of all that is shipped."""
    found: dict[str, str] = {}
    for registry in SPECIAL:
        for name in registry._shipped:
            found[name] = f"{registry.kind} {name}"
            made = registry[name]
            for one in fields(made) if is_dataclass(made) else ():
                found.setdefault(one.name, f"option of {registry.kind} {name}")
    return {word: what for word, what in found.items() if word not in SHARED}


def texts(tree: ast.Module) -> list[ast.Constant]:
    """The texts of a module that are not docstrings, nor the words of a type."""
    left_out = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            left_out.add(id(body[0].value))
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in left_out
    ]


@pytest.mark.parametrize("folder", GENERAL)
def test_a_general_folder_names_nothing_special(folder):
    words, wrong = special(), []
    for path in sorted((SRC / folder).rglob("*.py")):
        for node in texts(ast.parse(path.read_text(encoding="utf-8"))):
            head, _, option = node.value.partition(".")
            word = option if head in REGISTRIES and option else node.value
            if word in words:
                wrong.append(f"{path.relative_to(SRC)}:{node.lineno}: {node.value!r} is the {words[word]}")
    assert not wrong, "\n".join(wrong)


ENGLISH = (
    "digits",
    "quadratic",
    "integral",
)  # names that are words too: looked for only where a command or an option names one
BEFORE = r"(?:preheat \w+|--\w[\w-]*|\b(?:task|model|optimizer|study)s?:?|=)\s*"


def inside(text: str) -> list[str]:
    """The registered names within a text, such as an example of the help."""
    names = [name for registry in SPECIAL for name in registry.shipped()]
    plain = [n for n in names if n not in ENGLISH and re.search(rf"(?<![\w-]){re.escape(n)}(?![\w-])", text)]
    return plain + [n for n in ENGLISH if re.search(rf"{BEFORE}{n}\b", text)]


@pytest.mark.parametrize("folder", GENERAL)
def test_a_text_of_a_general_folder_has_no_registered_name_inside(folder):
    wrong = [
        f"{path.relative_to(SRC)}:{node.lineno}: {name!r} in {node.value[:60]!r}"
        for path in sorted((SRC / folder).rglob("*.py"))
        for node in texts(ast.parse(path.read_text(encoding="utf-8")))
        for name in inside(node.value)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_special_words_are_found():
    assert inside("preheat run digits --optimizer sgd") == ["sgd", "digits"]
    assert not inside("the first digits of the id, and a quadratic bound")
    words = special()
    assert {*TASKS._shipped, *OPTIMIZERS._shipped, *MODELS._shipped, *STUDIES._shipped} <= set(words)
    assert "examples_per_class" in words and "momentum" in words and "peak_lr" not in words
    tree = ast.parse('"""sgd"""\ndef f():\n    """adamw"""\n    return "digits"\n')
    assert [node.value for node in texts(tree)] == ["digits"]
