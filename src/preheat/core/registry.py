"""Registries: one file and one decorator add a task, model, schedule, optimizer, probe or study.

    @OPTIMIZERS.register("adamw", label="AdamW")
    @dataclass(frozen=True)
    class AdamW: ...

A registry knows its names without importing anything: the folder's files are read as text and their
decorators found by `ast`. A module is imported when its name is first used, so listing what exists,
drawing a schedule or reading records never loads torch. Third parties come by entry point (group
`preheat.tasks`, `preheat.schedules`, ...; the entry's name is the registered name) or by
`preheat ... --import my_tasks.py`.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from preheat.core.discovery import Registered, described, registered
from preheat.core.errors import UserError, nearest, unknown
from preheat.core.options import check_flags
from preheat.core.words import listed

T = TypeVar("T", bound=Callable[..., Any])


class Registry:
    """Names of one kind and what they stand for.

    kind: the noun in messages ("task"); variable: the registry's own name in decorators ("TASKS");
    packages: the folders to discover ("preheat.tasks"), with all that is in them; group: that of the entry
    points, the first package where it is left out.
    """

    def __init__(self, kind: str, variable: str, *packages: str, group: str = "") -> None:
        self.kind, self.variable, self.packages = kind, variable, packages
        self.group = group or packages[0]
        self._objects: dict[str, Any] = {}
        self._said: dict[str, Registered] = {}  # what the decorators of `_objects` say
        self.edition = 0  # how often a name was registered again, as in a notebook

    def register(self, name: str, *, label: str = "", default: bool = False) -> Callable[[T], T]:
        """The decorator. A second object under one name raises, and so does a missing docstring.

        label: what it is called on a page ("AdamW"), the name itself where it is left out. default: it is
        what a run takes that names none; one of each kind may say so.
        """

        def add(obj: T) -> T:
            old = self._objects.get(name)
            where = (obj.__module__, obj.__qualname__)
            if old is not None and (old.__module__, old.__qualname__) != where:
                raise UserError(
                    f"{self.kind} {name!r} is registered twice: by {old.__module__} and by {obj.__module__}"
                )
            homes = tuple(f"{package}." for package in self.packages)
            inside = obj.__module__.startswith(homes)  # its folder is looked through when it is listed
            shipped = None if inside else self._shipped.get(name)
            if shipped is not None and shipped.module != obj.__module__:
                raise UserError(
                    f"{self.kind} {name!r} is registered twice: by {shipped.module} and by {obj.__module__}"
                )
            if not obj.__doc__:
                raise UserError(f"{self.kind} {name!r} needs a docstring: its first line is its description")
            if default and self.default not in ("", name):
                raise UserError(f"{self.kind} {name!r} can't be the default: {self.default!r} is already")
            check_flags(self.kind, name, obj)
            self.edition += name in self._said
            self._objects[name] = obj
            self._said[name] = Registered(obj.__module__, described(inspect.getdoc(obj)), label, default)
            return obj

        return add

    @cached_property
    def _shipped(self) -> dict[str, Registered]:
        """{name: Registered} of the packages' own folders, read as text."""
        found: dict[str, Registered] = {}
        for package in self.packages:
            spec = importlib.util.find_spec(package)
            assert spec is not None and spec.submodule_search_locations, package
            home = Path(spec.submodule_search_locations[0])
            for path in sorted(home.rglob("*.py")):
                module = ".".join((package, *path.relative_to(home).with_suffix("").parts))
                for name, entry in registered(path.read_text(encoding="utf-8"), self.variable, module):
                    assert name not in found, f"{self.kind} {name!r} twice: {found[name].module} and {module}"
                    found[name] = entry
        return found

    @cached_property
    def _plugins(self) -> dict[str, Any]:
        from importlib.metadata import entry_points  # slow to import, and not needed to draw a schedule

        return {e.name: e for e in entry_points(group=self.group)}

    def names(self) -> list[str]:
        """Every known name, sorted. Nothing is imported."""
        return sorted({*self._shipped, *self._plugins, *self._objects})

    def shipped(self) -> dict[str, str]:
        """{name: module} of what the packages' own folders register, sorted. Nothing is imported."""
        return {name: found.module for name, found in sorted(self._shipped.items())}

    def describe(self) -> dict[str, str]:
        """{name: one-line description}, sorted by name. Nothing shipped is imported."""
        lines = {name: f"from {entry.value}" for name, entry in self._plugins.items()}
        return dict(
            sorted({**lines, **{name: entry.line for name, entry in self._entries().items()}}.items())
        )

    def label(self, name: str) -> str:
        """What `name` is called on a page; the name itself where nothing else is said or it is unknown."""
        entry = self._said.get(name) or self._shipped.get(name)
        return entry.label if entry and entry.label else name

    @property
    def default(self) -> str:
        """The name that is taken where none is given; "" where there is none. Nothing is imported."""
        return next((name for name, entry in self._entries().items() if entry.default), "")

    def _entries(self) -> dict[str, Registered]:
        return {**self._shipped, **{n: entry for n, entry in self._said.items() if n in self._objects}}

    def check(self, name: object) -> str:
        """`name` itself, or the error with the nearest match and the list."""
        if name not in self.names():
            raise UserError(f"{unknown(self.kind, name, self.names())}{self.yours(name)}")
        return str(name)

    def yours(self, name: object) -> str:
        """How a name that is near to none becomes known, as the end of an error."""
        return "" if nearest(name, self.names()) else "; import the file that registers yours: --import FILE"

    def __getitem__(self, name: str) -> Any:
        self.check(name)
        if name not in self._objects:
            if name in self._shipped:
                importlib.import_module(self._shipped[name].module)
            else:
                self._objects[name] = self._plugins[name].load()
        return self._objects[name]

    def build(self, name: str, options: Mapping[str, Any]) -> Any:
        """What is registered under `name`, called with `options`; an unknown option names the nearest.

        Errors: UserError, too, for a class that lacks a method of its kind.
        """
        made = self[name]
        if lacking := sorted(getattr(made, "__abstractmethods__", ())):
            raise UserError(
                f"{self.kind} {name!r} must have {listed(lacking)}: write {', '.join(lacking)} in "
                f"{made.__qualname__}"
            )
        known = {p.name: p for p in inspect.signature(made).parameters.values()}
        for key in options:
            if key not in known:
                raise unknown(f"option of {self.kind} {name!r}", key, known)
        missing = [n for n, p in known.items() if p.default is p.empty and n not in options]
        if missing:
            raise UserError(f"{self.kind} {name!r} needs {', '.join(missing)}: write {missing[0]}=...")
        return made(**options)


def edition() -> int:
    """A number that is another one after anything was registered again: caches of what is built carry it."""
    return sum(registry.edition for registry in REGISTRIES.values())


def import_file(path: str | Path) -> None:
    """Import a user's Python file, so that its decorators register what it defines.

    The module's name is the file's stem. Worker processes import the same files again.
    """
    file = Path(path)
    if not file.is_file():
        raise UserError(f"--import needs a Python file, got {str(path)!r}: no such file")
    name = f"preheat_user_{file.stem}"
    if name in sys.modules and Path(str(sys.modules[name].__file__)) == file.resolve():
        return
    spec = importlib.util.spec_from_file_location(name, file.resolve())
    if spec is None or spec.loader is None:
        raise UserError(f"--import needs a Python file (name.py), got {str(path)!r}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    _reading.append(str(path))
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        sys.modules.pop(name, None)
        if isinstance(error, UserError) or not isinstance(error, Exception | SystemExit):
            raise
        raise UserError(f"--import {path}: {type(error).__name__}: {error}") from error
    finally:
        _reading.pop()


_reading: list[str] = []  # the files that are being imported


def only_when_run(what: str) -> None:
    """Errors: UserError where `what` is called by a file that is imported for what it registers."""
    if _reading:
        raise UserError(
            f"a file that is imported for what it registers must not call {what}, got {_reading[-1]}, which "
            'calls it when it is read: write the call below if __name__ == "__main__":'
        )


def importable(data: Any) -> dict[str, str]:
    """{module: what another process imports of it} of what is not preheat's own and `data`, runs as JSON,
    names.

    A file, or a module's name; "" where there is neither: a session or a notebook registered it.
    """
    said = [(name, e.module) for r in _ALL for name, e in r._said.items() if name in r._objects]
    foreign = {(name, module) for name, module in said if not module.startswith("preheat.")}
    words = _words(data) if foreign else frozenset()
    return {module: _source(module) for name, module in sorted(foreign) if name in words}


def _words(data: Any) -> frozenset[str]:
    if isinstance(data, str):
        return frozenset((data,))
    parts = data.values() if isinstance(data, Mapping) else data
    return frozenset().union(*map(_words, parts)) if isinstance(parts, Iterable) else frozenset()


def _source(module: str) -> str:
    file = str(getattr(sys.modules.get(module), "__file__", None) or "")
    if module == "__main__" or module.startswith("preheat_user_"):
        return file if Path(file).is_file() else ""  # <stdin> is none
    return module if file else ""


def import_again(source: str) -> None:
    """Import what `importable` says, or a user's file."""
    if source.endswith(".py"):
        return import_file(source)
    try:
        importlib.import_module(source)
    except Exception as error:
        raise UserError(f"a worker can't import {source}: {type(error).__name__}: {error}") from error


TASKS = Registry("task", "TASKS", "preheat.tasks")
SCHEDULES = Registry("schedule", "SCHEDULES", "preheat.schedules")
OPTIMIZERS = Registry("optimizer", "OPTIMIZERS", "preheat.optim")
PROBES = Registry("probe", "PROBES", "preheat.probes")
RATE_RULES = Registry("rate rule", "RATE_RULES", "preheat.optim", group="preheat.rate_rules")
STUDIES = Registry("study", "STUDIES", "preheat.studies")
MODELS = Registry("model", "MODELS", "preheat.models")
# what a report says about one matter: see `preheat.report.chapter`
CHAPTERS = Registry(
    *("chapter", "CHAPTERS", "preheat.report", "preheat.studies", "preheat.search"), group="preheat.chapters"
)
# a study's records in other people's files: exporter(index, store, folder, which is there) -> path to name
EXPORTERS = Registry(
    *("exporter", "EXPORTERS", "preheat.studies", "preheat.report", "preheat.adapters"),
    group="preheat.exporters",
)
# other people's files of learning curves: importer(path) -> list of `LearningCurve`
IMPORTERS = Registry("importer", "IMPORTERS", "preheat.analysis.importers", group="preheat.importers")
# who listens while runs train: see `preheat.adapters.trackers.base`
TRACKERS = Registry("tracker", "TRACKERS", "preheat.adapters", group="preheat.trackers")
# an original project's own command line: see `preheat.core.originals`
ORIGINALS = Registry("original", "ORIGINALS", "preheat.studies", group="preheat.originals")
# a batch of runs that a study asks for when the earlier ones have records: see `preheat.analysis.stages`
STAGES = Registry("stage", "STAGES", "preheat.studies", "preheat.search", group="preheat.stages")
# who trains units of work, and where: see `preheat.lab.executors.base`
EXECUTORS = Registry("executor", "EXECUTORS", "preheat.lab.executors", group="preheat.executors")
_ALL = (
    TASKS,
    MODELS,
    SCHEDULES,
    OPTIMIZERS,
    RATE_RULES,
    PROBES,
    STUDIES,
    CHAPTERS,
    EXPORTERS,
    IMPORTERS,
    ORIGINALS,
    STAGES,
    EXECUTORS,
    TRACKERS,
)
REGISTRIES = {r.kind: r for r in _ALL}
