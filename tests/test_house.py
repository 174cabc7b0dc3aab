"""The house rules (docs/design.md): who may import whom, how long code may be, how it is written, and nothing
unfinished."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

from preheat.core.registry import SCHEDULES

HOME = Path(__file__).parents[1]
SOURCE = HOME / "src" / "preheat"
BODY, FILE, ARGUMENTS, COLUMNS = 40, 300, 6, 110

# a floor: what of preheat it may import: what else. In brackets: inside a function or `if TYPE_CHECKING`
# only.
TABLE = """
core       :                                                              :
stats      :                                                              : numpy (scipy statsmodels)
schedules  : core                                                         : numpy
store      : core                                                         : (psycopg)
studyfiles : core schedules                                               : yaml
analysis   : core schedules store stats                                   : numpy
report     : core schedules store stats analysis                          : numpy matplotlib jinja2 markupsafe yaml
pictures   : core schedules store report.drawing                          : numpy matplotlib jinja2 markupsafe
studies    : core schedules store stats analysis report                   : numpy scipy matplotlib yaml (torch safetensors)
search     : core schedules store stats analysis report adapters.optuna   : numpy (optuna)
optim      : core                                                         : (torch prodigyopt dadaptation schedulefree)
models     : core                                                         : (torch)
tasks      : core                                                         : numpy (torch sklearn pooch requests tqdm PIL tokenizers)
probes     : core                                                         : (torch)
engine     : core schedules optim.base models.base tasks.base probes.base : torch numpy
adapters   : core schedules optim probes store (pictures)                 : torch numpy (jax matplotlib optuna wandb mlflow trackio)
api        : core (lab analysis report studyfiles store adapters.trackers):
data       : core (engine lab analysis report tasks)                      : (torch)
lab        : core schedules store engine                                  : torch numpy safetensors
advisor    : core lab analysis probes                                     : torch
cli        : core (*)                                                     : (yaml questionary)
preheat    : core cli (*)                                                 :
"""  # the last is preheat/__init__.py and __main__.py, what users import
ROWS = [line.split(":") for line in TABLE.strip().splitlines()]
FLOORS = {here.strip(): (inside, outside) for here, inside, outside in ROWS}


def dotted(path: Path) -> str:
    """The module's name."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def floor(path: Path) -> str:
    first = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    return "preheat" if first.startswith("__") else first


MODULES = {dotted(path): path for path in sorted(SOURCE.rglob("*.py"))}
CODE = [*MODULES.values(), *(p for n in ("tools", "benchmarks") for p in sorted((HOME / n).glob("*.py")))]
WRITTEN = [*CODE, *(p for n in ("tests", "examples") for p in sorted((HOME / n).rglob("*.py")))]
Def = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def at(path: Path, node: ast.expr | ast.stmt | None = None) -> str:
    where = path.relative_to(HOME).as_posix()
    return f"{where}:{node.lineno}" if node else where


def none(found: Iterable[object]) -> None:
    assert not found, "\n" + "\n".join(map(str, found))


def imports(path: Path) -> Iterator[tuple[ast.stmt, str, bool]]:
    """(statement, module, whether a function or `if TYPE_CHECKING` holds it) of every import in a file."""
    late = {
        inner
        for node in ast.walk(tree(path))
        if isinstance(node, Def) or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name, node in late) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{at(path, node)}: a relative import: name the module"
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                yield node, module if module in MODULES else str(node.module), node in late


def allowed(module: str, here: str, late: bool) -> bool:
    inside, outside = (re.sub(r"[()]" if late else r"\(.*\)", "", words).split() for words in FLOORS[here])
    name = module.removeprefix("preheat.")
    if name == module:
        return name.partition(".")[0] in {*outside, *sys.stdlib_module_names}
    return any(fnmatch(name, word) or name.startswith(f"{word}.") for word in [*inside, here])


@pytest.mark.parametrize("here", sorted({floor(p) for p in MODULES.values()}))
def test_a_floor_imports_only_what_the_design_lets_it(here):
    assert here in FLOORS, "a new folder needs its line in the table above and in docs/design.md"
    files = [p for p in MODULES.values() if floor(p) == here]
    none([(at(p, node), m) for p in files for node, m, late in imports(p) if not allowed(m, here, late)])


def test_no_module_imports_itself_by_way_of_others():
    """Inside functions and for types, too: who has to be read first is otherwise nobody."""
    graph = {m: {other for _, other, _ in imports(p)} & MODULES.keys() - {m} for m, p in MODULES.items()}

    def reached(module: str) -> set[str]:
        found, ahead = set(), [module]
        while ahead:
            ahead += (new := graph[ahead.pop()] - found)
            found |= new
        return found

    none([m for m in graph if m in reached(m)])


def test_what_a_study_needs_alone_is_imported_in_its_folder_alone():
    def study(module: str) -> str | None:
        found = re.match(r"preheat\.studies\.(\w+)\.", f"{module}.")
        return found[1] if found else None

    inside = {m: study(m) for m in MODULES if m != "preheat"}  # its names for users are imported late
    every = [(at(MODULES[m], n), other, inside[m]) for m in inside for n, other, _ in imports(MODULES[m])]
    none([(where, other) for where, other, mine in every if study(other) not in (None, mine)])


def test_inside_the_package_imports_name_the_defining_module():
    packages = {m for m, p in MODULES.items() if p.name == "__init__.py"}
    own = {SOURCE / "__init__.py", SOURCE / "schedules" / "__init__.py"}
    none([(at(p, n), m) for p in {*MODULES.values()} - own for n, m, _ in imports(p) if m in packages])


def test_the_data_column_and_the_command_line_load_without_torch():
    """What needs no torch at import, and a study whose runs all have records needs none for its report."""
    names = [m for m, p in MODULES.items() if not allowed("torch", floor(p), False) and p.stem != "__main__"]
    use = "from preheat import Run, cosine; Run(task='digits', optimizer='adamw', schedule=cosine(warmup='5ep'))"
    load = f"import importlib, sys\nfor n in {[*names, 'preheat.lab.study']}: importlib.import_module(n)"
    code = f"{use}\n{load}\nassert 'torch' not in sys.modules"
    call = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# --- how long code may be --------------------------------------------------------------------------------


def functions(path: Path) -> Iterator[Def]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, Def))


def body(node: Def) -> int:
    """The lines of a function's body, its docstring left out."""
    code = node.body[1:] if ast.get_docstring(node) else node.body
    return (code[-1].end_lineno or 0) - code[0].lineno + 1 if code else 0


def positional(node: Def) -> list[ast.arg]:
    every = [*node.args.posonlyargs, *node.args.args]
    return [a for a in every if a.arg not in ("self", "cls")]


# "file" or "file:function": why it may be longer
LONGER: dict[str, str] = {
    "src/preheat/api.py:run_study": "what is asked, and where, how and told to whom it is trained: users read "
    "them in one signature",
    "src/preheat/adapters/torch.py:__init__": "what is scheduled, and five options with defaults: users read "
    "them in one signature",
}


def test_files_functions_and_argument_lists_are_short():
    """Tests are held to the limits on functions; a file of them is as long as its subject."""
    long = {at(p): n for p in CODE if (n := len(p.read_text(encoding="utf-8").splitlines())) > FILE}
    for path in WRITTEN:
        for node in functions(path):
            count = len(positional(node)) + len(node.args.kwonlyargs)
            if body(node) > BODY or count > ARGUMENTS:
                long[f"{at(path)}:{node.name}"] = (body(node), count)
    none([(where, size) for where, size in long.items() if where not in LONGER])
    assert long.keys() >= LONGER.keys(), "an exception that is no longer needed"


def test_lines_are_short():
    """Of all but tests, whose expectations are written as they are printed; without `# type: ignore` and the like."""
    texts = [(p, p.read_text(encoding="utf-8").splitlines()) for p in CODE]
    bare = re.compile(r"  # (type:|noqa|fmt:).*")
    none(
        [
            f"{at(p)}:{i}"
            for p, text in texts
            for i, line in enumerate(text, 1)
            if len(bare.sub("", line)) > COLUMNS
        ]
    )


# --- how code is written ---------------------------------------------------------------------------------


def public(path: Path) -> Iterator[tuple[Def | ast.ClassDef, ast.ClassDef | None]]:
    """(definition, its class) of classes, functions and methods; what has an underscore or is nested in
    functions is private."""
    for node in tree(path).body:
        if isinstance(node, Def | ast.ClassDef) and not node.name.startswith("_"):
            yield node, None
            if isinstance(node, ast.ClassDef):
                yield from ((m, node) for m in node.body if isinstance(m, Def) and not m.name.startswith("_"))


def test_everything_public_has_a_docstring():
    """A method may have its base's, or that of the protocol which its kind keeps."""
    kept = {
        m.name
        for p in MODULES.values()
        for m, owner in public(p)
        if owner and any("Protocol" in ast.unparse(b) for b in owner.bases) and ast.get_docstring(m)
    }
    bare = [at(p) for p in MODULES.values() if not ast.get_docstring(tree(p))]
    for module, path in MODULES.items():
        for node, owner in public(path):
            if not ast.get_docstring(node) and not (
                owner and (node.name in kept or inherited(module, owner.name, node.name))
            ):
                bare.append(f"{at(path, node)} {node.name}")
    none(bare)


def inherited(module: str, owner: str, name: str) -> bool:
    """Whether a base of the class has a docstring for this method."""
    bases = getattr(importlib.import_module(module), owner).__mro__[1:]
    return any(inspect.getdoc(vars(base).get(name)) for base in bases if name in vars(base))


# "file:function: argument": why it may be given by place
PLACED: dict[str, str] = {
    "src/preheat/adapters/curvature.py:sharpness: optimizer": "the order of all that measure a loop of one's "
    "own; others of them need the optimizer",
}


def test_options_after_the_second_argument_are_named_by_who_calls():
    """Of public functions: what has a default and comes after two others is keyword-only."""
    found = []
    for path in MODULES.values():
        for node, _ in public(path):
            if isinstance(node, Def):
                every = positional(node)
                given = len(every) - len(node.args.defaults)
                found += [f"{at(path)}:{node.name}: {a.arg}" for a in every[max(2, given) :]]
    none([name for name in found if name not in PLACED])
    assert {*found} >= PLACED.keys(), "an exception that is no longer needed"


def test_a_public_class_name_has_one_meaning():
    homes = defaultdict(list)
    for path in MODULES.values():
        for node, owner in public(path):
            if isinstance(node, ast.ClassDef) and not owner:
                homes[node.name].append(at(path, node))
    none([(name, where) for name, where in homes.items() if len(where) > 1])


def test_no_conditional_expression_holds_another():
    def nested(node: ast.AST) -> bool:
        return isinstance(node, ast.IfExp) and any(
            isinstance(inner, ast.IfExp) for inner in ast.walk(node) if inner is not node
        )

    none([at(p, node) for p in WRITTEN for node in ast.walk(tree(p)) if nested(node)])


def test_no_text_or_list_is_multiplied_by_a_truth():
    """`"s" * (n != 1)`: write what is meant, `"s" if n != 1 else ""`."""
    found = []
    for path in WRITTEN:
        truth = truths(tree(path))
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
                sides = node.left, node.right
                if any(map(truth, sides)) and any(map(sequence, sides)):
                    found.append(at(path, node))
    none(found)


def sequence(node: ast.expr) -> bool:
    text = isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
    return text or isinstance(node, ast.JoinedStr | ast.List | ast.Tuple | ast.ListComp)


def truths(module: ast.Module) -> Callable[[ast.expr], bool]:
    """What says whether an expression is true or false: by its form, or by a name that the file says is."""
    names: set[str] = set()

    def truth(node: ast.expr) -> bool:
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func).rpartition(".")[2]
            return called in ("bool", "any", "all", "isinstance", "startswith", "endswith") or called in names
        if isinstance(node, ast.Name | ast.Attribute):
            return (node.id if isinstance(node, ast.Name) else node.attr) in names
        negated = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
        return negated or isinstance(node, ast.Compare | ast.BoolOp)

    for node in ast.walk(module):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation:
            if ast.unparse(node.annotation).strip("'\"") == "bool":
                names.add(node.arg if isinstance(node, ast.arg) else ast.unparse(node.target))
        elif isinstance(node, Def) and node.returns and ast.unparse(node.returns) == "bool":
            names.add(node.name)
        elif isinstance(node, ast.Assign) and truth(node.value):
            names |= {ast.unparse(target) for target in node.targets}
    return truth


def test_the_examples_in_docstrings_run():
    """An answer may be wrapped, as any text of this width."""
    finder, wrapped, ran = doctest.DocTestFinder(), doctest.NORMALIZE_WHITESPACE, 0
    failures: list[str] = []
    for name, path in MODULES.items():
        if path.stem != "__main__":
            for case in finder.find(importlib.import_module(name)):
                runner = doctest.DocTestRunner(verbose=False, optionflags=wrapped)
                ran += runner.run(case, out=failures.append).attempted
    assert not failures, "".join(failures)
    assert ran > 50


# --- what is shipped -------------------------------------------------------------------------------------

UNFINISHED = re.compile(r"\bTODO\b|\bFIXME\b|\bXXX\b|\bNotImplementedError\b")
PLACES = "|".join(rf"(?<![\w.])/{first}/" for first in ("work", "tmp/w", "root", "home", "Users"))
FILES = "README.md", "Makefile", "pyproject.toml", "constraints.txt"
SHIPPED = "src/preheat", "docs", ".ci", "examples", "tools", *FILES


def lines(*where: str) -> Iterator[tuple[str, str]]:
    """(file:line, text) of every line of the files and folders named; of those that are text."""
    for path in (p for name in where for p in [HOME / name, *sorted((HOME / name).rglob("*"))]):
        if path.is_file() and not any("cache" in part for part in path.parts):
            data = path.read_bytes()
            text = "" if b"\0" in data else data.decode()
            for number, line in enumerate(text.splitlines(), 1):
                yield f"{at(path)}:{number}", line


def test_nothing_shipped_is_unfinished():
    none([(where, line) for where, line in lines(*SHIPPED) if UNFINISHED.search(line)])


def test_no_path_of_one_machine_is_written_anywhere():
    every = lines(*SHIPPED, "tests", "benchmarks")
    none([(where, line) for where, line in every if re.search(PLACES, line)])


def test_no_module_hides_a_public_name_of_its_package():
    """Importing preheat.schedules.tanh would put the module where `preheat.schedules.tanh` is looked for."""
    import preheat.schedules

    names = {p.stem for p in (SOURCE / "schedules").glob("*.py")}
    assert not names & set(preheat.schedules.__all__)
    assert not {p.stem for p in SOURCE.iterdir()} & set(importlib.import_module("preheat").__all__)
    missing = [n for n in SCHEDULES.names() if n not in preheat.schedules.__all__ and n != "pieces"]
    shipped = [n for n in missing if SCHEDULES[n].__module__.startswith("preheat.")]
    assert not shipped, "a registered schedule that `from preheat.schedules import ...` does not find"
