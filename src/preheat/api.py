"""A study in Python: `run_study` declares, trains what is missing, writes the report and gives it back.

from preheat import run_study

result = run_study("my_study.yaml")
result.answer
result.plot(result.figures[0])
"""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preheat.core.errors import UserError, unknown
from preheat.core.options import flags, marks
from preheat.core.progress import Bar
from preheat.core.registry import STUDIES, only_when_run
from preheat.core.spec import Spec, as_spec, build
from preheat.core.study import Point, Study
from preheat.core.words import count

if TYPE_CHECKING:
    from preheat.report.plates import Drawn, Plate
    from preheat.report.report import Report

KIND = "study"


@dataclass(frozen=True)
class Figure:
    """A figure of a report, drawn: a notebook shows it.

    png, svg: bytes, the same as in the report's folder. caption: what its marks mean. text: the figure in
    words.
    """

    name: str
    title: str
    caption: str
    text: str = field(repr=False)
    png: bytes = field(repr=False)
    svg: bytes = field(repr=False)

    def save(self, path: str | Path) -> Path:
        """Write it as `path` says: name.png or name.svg."""
        from preheat.store.blobs import write_atomic

        path, kinds = Path(path), {".png": self.png, ".svg": self.svg}
        if path.suffix not in kinds:
            raise UserError(f"a figure is written as .png or .svg, got {str(path)!r}: write {path.stem}.png")
        write_atomic(path, kinds[path.suffix])
        return path

    def _repr_png_(self) -> bytes:
        return self.png

    def _repr_html_(self) -> str:
        source = f"data:image/svg+xml;base64,{base64.b64encode(self.svg).decode()}"
        title, caption, text = (html.escape(t, quote=True) for t in (self.title, self.caption, self.text))
        image = f'<img src="{source}" alt="{text}" style="max-width: 100%">'
        return f"<figure>{image}<figcaption><b>{title}</b> {caption}</figcaption></figure>"


@dataclass(frozen=True)
class StudyResult:
    """What came of a study. report: all that its page says, as data; path: the page.

    A notebook shows the answer, how sure it is, and what there is to look at.
    """

    report: Report
    path: Path

    @property
    def answer(self) -> str:
        """The answer in words, as the page opens with it."""
        return self.report.answer

    @cached_property
    def tables(self) -> Mapping[str, list[dict[str, Any]]]:
        """{name: rows} of every table, without those that are empty; `runs` has one row for each run."""
        return {name: rows for name, rows in self.report.tables().items() if rows}

    def table(self, name: str = "runs") -> list[dict[str, Any]]:
        """The rows of a table, each {column: value}; None where there is no number.

        Errors: UserError for a name that is not one of `tables`.
        """
        if name not in self.tables:
            raise unknown("table", name, self.tables)
        return self.tables[name]

    def frame(self, name: str = "runs") -> Any:
        """A table as a pandas DataFrame. Errors: UserError where pandas is not installed."""
        rows = self.table(name)
        try:
            pandas = import_module("pandas")
        except ImportError:
            raise UserError(
                f"frame({name!r}) needs pandas, which is not installed: pip install pandas, or take "
                f"table({name!r}), the same rows as a list"
            ) from None
        return pandas.DataFrame(rows)

    @property
    def figures(self) -> tuple[str, ...]:
        """The names of the figures, in the page's order."""
        return tuple(self._plates)

    def plot(self, name: str) -> Figure:
        """A figure, drawn. Errors: UserError for a name that is not one of `figures`."""
        from preheat.report.plates import describe, paint

        if name not in self._plates:
            raise unknown("figure", name, self._plates)
        plate = self._plates[name]
        drawn: Drawn = paint(plate)
        return Figure(name, plate.title, plate.caption, describe(plate), drawn.png, drawn.svg)

    @cached_property
    def _plates(self) -> dict[str, Plate]:
        from preheat.report.write import plates

        return {plate.name: plate for _, plate in plates(self.report)}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.report.results.study.name}: {self.answer}>"

    def _repr_html_(self) -> str:
        study = self.report.results.study
        lists = {"tables": self.tables, "figures": self.figures}
        look = [f"{what}: {', '.join(names)}" for what, names in lists.items() if names]
        sure = [*self.report.sure, *self.report.notes, *look]
        parts = [f"<p><b>{html.escape(study.question)}</b></p><p>{html.escape(self.answer)}</p>"]
        parts += [f"<ul>{''.join(f'<li>{html.escape(line)}</li>' for line in sure)}</ul>"]
        link = html.escape(self.path.absolute().as_uri(), quote=True)
        return "".join([*parts, f'<p><a href="{link}">{html.escape(str(self.path))}</a></p>'])


def run_study(
    study: Study | Spec | str | Path,
    *,
    part: str = "",
    seeds: int | Sequence[int] | None = None,
    results: str | Path = "results",
    jobs: int = 0,
    device: str = "auto",
    track: str | Sequence[str] = (),
) -> StudyResult:
    """Train every run of a study that has no record in the folder `results`, write its report and give both.

    study: a declaration; a registered name, with options as spec("name", option=...); or a study file's path.
    part, seeds: a named part of it, and seeds 0 to seeds - 1, as `preheat study --part --seeds`, or a list of
    seeds. jobs: worker processes, one a core where it is 0. What takes seconds is trained in this process,
    and so is what only this session knows, such as a task that a notebook registers. device: auto, cpu, cuda
    or cuda:1. track: trackers that are told how the runs go, as `preheat study --track`.

    Nothing is trained twice, and Ctrl-C keeps what was trained: the same call goes on from there. A run that
    fails is recorded so, and the answer says how many did. Errors: UserError for what can't be declared or
    trained.

    >>> from tempfile import TemporaryDirectory
    >>> from preheat import Block
    >>> grid = (Block(product={"peak_lr": [0.1, 0.5]}),)
    >>> fixed = {"task": "quadratic", "optimizer": "sgd", "length": 20}
    >>> roles = {"scientific": ("peak_lr",), "treatment": "peak_lr", "metric": "loss"}
    >>> with TemporaryDirectory() as folder:
    ...     result = run_study(Study("rates", "Which?", grid, fixed, seeds=(0,), **roles), results=folder)
    >>> [(row["peak_lr"], row["outcome"]) for row in result.table()]
    [(0.1, 'done'), (0.5, 'done')]
    """
    only_when_run("run_study")
    from preheat.lab.study import How
    from preheat.report.stored import reported

    root = Path(results)
    asked, first = _declared(study, part, seeds)
    told = (track,) if track and isinstance(track, str) else track
    _train(asked, first, root, How(jobs=jobs, device=device), told)
    return StudyResult(*reported(root, asked.name))


def _declared(
    study: Study | Spec | str | Path, part: str, seeds: int | Sequence[int] | None
) -> tuple[Study, list[Point]]:
    """The study under the name of its folder, and the points that are wanted of it."""
    made, said = _made(study)
    if seeds is not None:
        made = made.with_seeds(_checked(seeds))
    said += [part] if part else []
    if seeds is not None:
        said.append(f"seeds{seeds if isinstance(seeds, int) else '-'.join(map(str, seeds))}")
    points = made.part(part) if part else made.points()
    return made.with_seeds_of(points).called(said), points


def _checked(seeds: int | Sequence[int]) -> int | Sequence[int]:
    """Errors: UserError where it is neither a number of seeds nor a list of seeds."""
    listed = isinstance(seeds, list | tuple | range) and all(type(seed) is int for seed in seeds)
    if listed or (type(seeds) is int and seeds > 0):
        return seeds
    raise UserError(
        f"seeds must be a whole number above 0, or a list of seeds, got {seeds!r}: write seeds=3, or "
        "seeds=[0, 1, 2]"
    )


def _made(study: Study | Spec | str | Path) -> tuple[Study, list[str]]:
    """The declaration, and what its folder's name says of a registered study's options."""
    if isinstance(study, Study):
        return study, []
    if isinstance(study, Path) or (isinstance(study, str) and Path(study).suffix):
        from preheat.studyfiles.reader import read_study

        return read_study(study), []
    spec = as_spec(study, KIND)
    return build(KIND, spec).study(), _marks(spec)


def _marks(study: Spec) -> list[str]:
    """What the folder's name says of a study's options: the same as where the command gives them."""
    known = {one.name: one for one in flags(KIND, STUDIES[study.name])}
    given = [(known[name], value) for name, value in study.options.items() if name in known]
    pairs = [f"{name}={value}" for name, value in study.options.items() if name not in known]
    return [*marks(given, several=True), *pairs, *marks(given, several=False)]


def _train(study: Study, first: list[Point], root: Path, how: Any, track: Sequence[str]) -> None:
    """Train what has no record."""
    from preheat.adapters.trackers.tracking import tracking
    from preheat.analysis.stages import Asked, staged
    from preheat.lab.follow import follow
    from preheat.lab.origins import prepare
    from preheat.lab.study import here, plans

    def wanted() -> Asked:
        found = staged(study, first, root)
        prepare([p.run for p in found.points if p.stage], root)
        return found

    prepare([p.run for p in first], root)
    Bar(0, 0).note(f"{study.name}: {count(len(first), 'run')}; planning what has no record ...")
    with tracking(track, study.name, root) as hearer:
        for made in plans(study, wanted, root, how):
            follow(made, root, here(made, how), again="the same call", hearer=hearer)
