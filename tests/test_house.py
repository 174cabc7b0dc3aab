"""The house rules: who may import whom, how long code may be, docstrings, doctests, and nothing
unfinished."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from preheat.core.registry import SCHEDULES

HOME = Path(__file__).parents[1]
SOURCE = HOME / "src" / "preheat"
MODULES = sorted(SOURCE.rglob("*.py"))
BODY, FILE, ARGUMENTS = 40, 300, 6

# floor: (the floors, or single modules of them, that it may import; what it may import from outside)
FLOORS: dict[str, tuple[set[str], set[str]]] = {
    "core": (set(), set()),
    "schedules": ({"core"}, {"numpy"}),
    "store": ({"core"}, set()),
    "analysis": ({"core", "schedules", "store"}, {"numpy", "scipy"}),
    "report": (
        {"core", "schedules", "analysis", "store"},
        {"numpy", "matplotlib", "jinja2", "markupsafe", "yaml"},
    ),
    "studies": ({"core", "schedules"}, {"pydantic", "pydantic_core", "yaml"}),
    "optim": ({"core"}, {"torch"}),
    "tasks": ({"core"}, {"torch", "numpy", "sklearn", "pooch", "requests", "tqdm"}),
    "models": ({"core"}, {"torch"}),
    "probes": ({"core"}, {"torch"}),
    "engine": ({"core", "schedules", "optim.base", "tasks.base", "probes.base"}, {"torch", "numpy"}),
    "adapters": ({"core", "schedules", "optim", "probes"}, {"torch", "numpy", "jax"}),
    "lab": ({"core", "schedules", "store", "engine"}, {"torch"}),
    "cli": (
        {"core", "schedules", "store", "analysis", "report", "studies", "lab", "engine", "tasks"},
        {"yaml"},
    ),
    "": ({"core", "schedules", "lab", "report", "cli"}, set()),  # preheat/__init__.py and __main__.py
}
# what may be imported before anyone calls anything; it must stay light
AT_IMPORT = {"cli": {"core", "cli"}, "": {"core", "cli"}}


def floor(path: Path) -> str:
    parts = path.relative_to(SOURCE).parts
    return parts[0] if len(parts) > 1 else ""


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """(module, whether a function or `if TYPE_CHECKING` holds it) of every import in a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    late = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node in late) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import in line {node.lineno}: name the module"
            names = (
                [f"{node.module}.{alias.name}" for alias in node.names]
                if node.module == "preheat"
                else [node.module or ""]
            )
            yield from ((name, node in late) for name in names)


def allowed(module: str, here: str, late: bool) -> bool:
    top, _, rest = module.partition(".")
    if top != "preheat":
        return top in sys.stdlib_module_names or (top in FLOORS[here][1] and (late or here not in AT_IMPORT))
    there = rest.split(".")[0]
    floors = FLOORS[here][0] if late or here not in AT_IMPORT else AT_IMPORT[here]
    return there == here or there in floors or rest in floors


@pytest.mark.parametrize("here", sorted({floor(p) for p in MODULES}))
def test_a_floor_imports_only_what_the_design_lets_it(here):
    files = [p for p in MODULES if floor(p) == here]
    assert here in FLOORS, "a new folder needs its line in the table above and in docs/design.md"
    wrong = [
        f"{p.relative_to(HOME)}: {m}{' (late)' * late}"
        for p in files
        for m, late in imports(p)
        if not allowed(m, here, late)
    ]
    assert not wrong


def test_inside_the_package_imports_name_the_defining_module():
    packages = {
        p.parent.relative_to(SOURCE.parent).as_posix().replace("/", ".")
        for p in MODULES
        if p.name == "__init__.py"
    }
    own = {SOURCE / "__init__.py", SOURCE / "schedules" / "__init__.py"}
    found = []
    for path in set(MODULES) - own:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module in packages:
                names = [f"{node.module}.{a.name}" for a in node.names]
                found += [f"{path.relative_to(HOME)}: {n}" for n in names if not _is_module(n)]
            elif isinstance(node, ast.Import):
                found += [f"{path.relative_to(HOME)}: {a.name}" for a in node.names if a.name in packages]
    assert not found


def _is_module(name: str) -> bool:
    path = SOURCE.parent.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def test_the_data_column_and_the_command_line_load_without_torch():
    data = (
        "",
        "core",
        "schedules",
        "store",
        "analysis",
        "report",
        "studies",
        "cli",
        "tasks",
        "models",
        "optim",
    )
    names = [name(p) for p in MODULES if floor(p) in data and p.stem != "__main__"]
    names += ["preheat.lab.study"]  # a study whose runs all have records needs no torch for its report
    code = f"import importlib, sys\nfor n in {names}: importlib.import_module(n)\nassert 'torch' not in sys.modules"
    use = "from preheat import Run, cosine; Run(task='digits', optimizer='adamw', schedule=cosine(warmup='5ep'))"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"{use}\n{code}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def name(path: Path) -> str:
    """The module's dotted name."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def body(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function's body, its docstring left out."""
    code = node.body[1:] if ast.get_docstring(node) else node.body
    return (code[-1].end_lineno or 0) - code[0].lineno + 1 if code else 0


def arguments(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return len([a for a in every if a.arg not in ("self", "cls")])


# "file" or "file:function": why it may be longer
LONGER: dict[str, str] = {
    "src/preheat/adapters/torch.py:__init__": "what is scheduled, and five options with defaults: users read "
    "them in one signature",
}


def test_files_functions_and_argument_lists_are_short():
    """Tests are held to the limits on functions; a file of them is as long as its subject."""
    code = [
        *MODULES,
        *(p for folder in ("benchmarks", "tools") for p in sorted((HOME / folder).glob("*.py"))),
    ]
    long = []
    for path in [*code, *sorted((HOME / "tests").glob("*.py"))]:
        where = path.relative_to(HOME).as_posix()
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > FILE and path in code:
            long.append((where, f"{lines} lines, at most {FILE}"))
        for node in functions(path):
            if body(node) > BODY:
                long.append((f"{where}:{node.name}", f"a body of {body(node)} lines, at most {BODY}"))
            if arguments(node) > ARGUMENTS:
                long.append((f"{where}:{node.name}", f"{arguments(node)} arguments, at most {ARGUMENTS}"))
    assert not [entry for entry in long if entry[0] not in LONGER]
    assert set(LONGER) <= {where for where, _ in long}, "an exception that is no longer needed"


def test_everything_public_has_a_docstring():
    """Modules, classes, functions and methods; names with an underscore and what is nested in functions are
    private."""
    bare = []
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        public = [
            n
            for n in tree.body
            if isinstance(n, ast.FunctionDef | ast.ClassDef) and not n.name.startswith("_")
        ]
        public += [
            m
            for n in public
            if isinstance(n, ast.ClassDef)
            for m in n.body
            if isinstance(m, ast.FunctionDef) and not m.name.startswith("_")
        ]
        bare += [f"{path.relative_to(HOME)}:{n.lineno}: {n.name}" for n in public if not ast.get_docstring(n)]
        bare += [] if ast.get_docstring(tree) else [f"{path.relative_to(HOME)}"]
    assert not bare


def test_the_examples_in_docstrings_run():
    finder, ran = doctest.DocTestFinder(), 0
    failures: list[str] = []
    for path in MODULES:
        if path.stem == "__main__":
            continue
        for case in finder.find(importlib.import_module(name(path))):
            runner = doctest.DocTestRunner(verbose=False)
            ran += runner.run(case, out=failures.append).attempted
    assert not failures, "".join(failures)
    assert ran > 50


UNFINISHED = re.compile(r"\bTODO\b|\bFIXME\b|\bXXX\b|\bNotImplementedError\b")
MACHINE = re.compile(
    "|".join(rf"(?<![\w.])/{first}/" for first in ("work", "tmp/w", "root", "home", "Users"))
)


def written(*where: str) -> Iterator[tuple[str, str]]:
    """(file:line, text) of every line of the files and folders named."""
    for path in (p for name in where for p in [HOME / name, *sorted((HOME / name).rglob("*"))]):
        if path.is_file() and not any("cache" in part for part in path.parts):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                yield f"{path.relative_to(HOME)}:{number}", line


SHIPPED = (
    "src/preheat",
    "docs",
    ".ci",
    "examples",
    "tools",
    "README.md",
    "Makefile",
    "pyproject.toml",
    "constraints.txt",
)


def test_nothing_shipped_is_unfinished():
    assert not [f"{at}: {line.strip()}" for at, line in written(*SHIPPED) if UNFINISHED.search(line)]


def test_no_path_of_one_machine_is_written_anywhere():
    assert not [
        f"{at}: {line.strip()}"
        for at, line in written(*SHIPPED, "tests", "benchmarks")
        if MACHINE.search(line)
    ]


def test_no_module_hides_a_public_name_of_its_package():
    """Importing preheat.schedules.tanh would put the module where `preheat.schedules.tanh` is looked for."""
    import preheat.schedules

    names = {p.stem for p in (SOURCE / "schedules").glob("*.py")}
    assert not names & set(preheat.schedules.__all__)
    assert not {p.stem for p in SOURCE.iterdir()} & set(importlib.import_module("preheat").__all__)
    missing = [n for n in SCHEDULES.names() if n not in preheat.schedules.__all__ and n != "pieces"]
    shipped = [n for n in missing if SCHEDULES[n].__module__.startswith("preheat.")]
    assert not shipped, "a registered schedule that `from preheat.schedules import ...` does not find"
