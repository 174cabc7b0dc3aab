"""The study of regimes on images: the original's rows as settings of runs, capped to what the data hold.

A dataset that has fewer examples than a row asks for gives what it has: rows that so become one and the same
run are trained once, under all their names, and `Study.notes` says it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from preheat.core.grid import Block
from preheat.core.lengths import Length, epochs, length, steps
from preheat.core.registry import TASKS
from preheat.core.spec import Spec, build
from preheat.core.study import Part, Study
from preheat.core.words import listed
from preheat.studies.regimes.grid import (
    OPTIMIZERS,
    QUESTION,
    RATES,
    REPORTED,
    SEEDS,
    GridRow,
    called,
    claims,
    fixed,
    one_run,
    original_rows,
    tuned_rows,
    unfit,
    update_rows,
)

INSIDE, PROBED_STEPS = 10, 50
# protocol: where it selects, and how its schedule steps
PROTOCOLS: Mapping[str, Mapping[str, str]] = {
    "original": {"task.selection": "test", "schedule.at": "left", "schedule.every": "epoch"},
    "preheat": {"task.selection": "validation"},
}
OTHER_IMAGES = (
    "the images are not the official ones but local files, or random numbers: no result is one of the data "
    "set's name"
)


@dataclass(frozen=True)
class ImageGrid:
    """What the study's options come to.

    tasks: in the original's order. size: the task's option that `sizes` are of. updates: warmups in updates.
    rates: those of each optimizer where the rate is tuned, else none.
    """

    tasks: tuple[str, ...]
    protocols: tuple[str, ...]
    size: str
    sizes: tuple[int, ...]
    unit: str
    warmups: tuple[float, ...]
    updates: tuple[int, ...]
    rates: Mapping[str, Sequence[float]]
    seeds: tuple[int, ...]
    epochs: int
    batch: int
    model: Any
    source: str
    precision: str
    probed: bool
    probe_every: int | None
    probe_until: str

    def study(self) -> Study:
        """The declaration."""
        rows = self.rows()
        task = {"name": self.tasks[0], "model": self.model, "source": self.source}
        many = {"task.name": len(self.tasks) > 1, "task.selection": len(self.protocols) > 1}
        return Study(
            name="regimes",
            question=QUESTION,
            fixed={
                **fixed(task, self.epochs, self.batch),
                "evaluate": {"epochs": 1},
                "precision": self.precision,
            },
            grid=self.blocks(rows),
            scientific=(
                f"task.{self.size}",
                "schedule.warmup",
                "optimizer.name",
                *(path for path, is_so in many.items() if is_so),
            ),
            nuisance=("peak_lr",) if self.rates else (),
            seeds=self.seeds,
            condition=f"task.{self.size}",
            parts=self.parts(rows),
            notes=tuple(self.notes(rows)),
            chapters=REPORTED,
            labels=called(f"task.{self.size}", self.sizes, total=self.size != "examples_per_class"),
            claims=claims(("peak_lr",) if self.rates else ()),
        )

    def rows(self) -> list[GridRow]:
        """What is asked for, in order."""
        tasks, sizes = self.tasks, self.sizes
        warmups = () if self.unit == "updates" else self.warmups
        if self.rates:
            rises = [*map(epochs, warmups), *map(steps, self.updates)]
            return self.shared(tuned_rows(tasks, sizes, rises, self.rates, self.seeds))
        first = original_rows(tasks, sizes, warmups=warmups) if warmups else []
        return self.shared(first + update_rows(tasks, sizes, self.updates))

    def shared(self, rows: list[GridRow]) -> list[GridRow]:
        """The rows; a warmup in updates that equals one in epochs of the same cell gets that one's run, and
        keeps its name."""
        if self.unit != "both":
            return rows
        (protocol,) = self.protocols

        def cell(row: GridRow) -> tuple[object, ...]:
            each = self.per_epoch(row, protocol)
            updates = row.warmup.resolve(self.epochs * each, each)
            return row.task, self.has(row, protocol), row.optimizer, row.rate, updates

        known = {cell(row): row.warmup for row in rows if row.warmup.unit == "epochs"}
        return [
            row if row.warmup.unit == "epochs" else row._replace(same=known.get(cell(row))) for row in rows
        ]

    # What the data hold
    # ----------------------------------------------------------------------------------------------

    def most(self, task: str, protocol: str) -> int:
        """The largest size there is: of the task, or for sizes in all of the smallest task, so that totals
        are equal."""
        selection = PROTOCOLS[protocol]["task.selection"]
        if self.size == "examples_per_class":
            return int(TASKS[task].most_per_class(selection))
        return min(
            int(TASKS[t].most_per_class(selection)) * int(build("task", Spec(t)).classes) for t in self.tasks
        )

    def has(self, row: GridRow, protocol: str) -> int:
        """The size that the row gets."""
        return min(row.size, self.most(row.task, protocol))

    def per_epoch(self, row: GridRow, protocol: str) -> int:
        """Updates in an epoch."""
        options = {self.size: self.has(row, protocol), "selection": PROTOCOLS[protocol]["task.selection"]}
        return math.ceil(int(build("task", Spec(row.task, options)).examples) / self.batch)

    def fits(self, row: GridRow, protocol: str) -> bool:
        """Whether a warmup in updates ends before the run does."""
        return row.warmup.unit != "steps" or row.warmup.value < self.epochs * self.per_epoch(row, protocol)

    # Settings
    # --------------------------------------------------------------------------------------------------------

    def blocks(self, rows: Iterable[GridRow]) -> tuple[Block, ...]:
        """The rows in order as blocks of one optimizer and its seeds, under each protocol."""
        groups = [(key, list(some)) for key, some in groupby(rows, lambda row: (row.optimizer, row.seeds))]
        return tuple(
            Block(fixed={"optimizer": dict(OPTIMIZERS[name]), **PROTOCOLS[p]}, points=settings, seeds=seeds)
            for p in self.protocols
            for (name, seeds), some in groups
            if (settings := [self.setting(row, p) for row in some if self.fits(row, p)])
        )

    def setting(self, row: GridRow, protocol: str) -> dict[str, Any]:
        """One row as a setting; where there are two protocols the names of ours say so."""
        mark = "_validation" if protocol == "preheat" and len(self.protocols) > 1 else ""
        return {
            "task.name": row.task,
            f"task.{self.size}": self.has(row, protocol),
            "schedule.warmup": (row.same or row.warmup).json(),
            "peak_lr": row.rate,
            **({"probes": self.probes(row, protocol)} if self.probed else {}),
            "name": row.name("epc" if self.size == "examples_per_class" else "total") + mark,
        }

    def probes(self, row: GridRow, protocol: str) -> list[dict[str, Any]]:
        """Every 50 updates, or once an epoch where it has fewer, unless it is said how often; the curvature
        every fifth time."""
        every = self.probe_every or min(PROBED_STEPS, self.per_epoch(row, protocol))
        usual = {"epochs": min(INSIDE, self.epochs)}
        until = length(self.probe_until).json() if self.probe_until else usual
        return [
            {"name": "grad_norm", "every": every, "until": until, "layers": True},
            {"name": "distance", "every": every, "until": until},
            {"name": "hessian_trace", "every": 5 * every, "until": until},
        ]

    def parts(self, rows: list[GridRow]) -> dict[str, Part]:
        """test: one short run of each task. week1 to week3: the original's timetable, where the grid is the
        original's."""
        first = {"task.name": ["cifar10"]} if len(self.tasks) > 1 else {}
        out: dict[str, Part] = {"test": self.test()}
        if self.rates or (self.unit, self.size) != ("epochs", "examples_per_class"):
            return {**out, **{name: {"optimizer.name": [name]} for name in RATES}}
        if "cifar10" in self.tasks:
            for week, seeds in (("week1", SEEDS[:1]), ("week2", SEEDS[1:])):
                out[week] = {**first, "optimizer.name": ["sgd"], "seed": seeds}
        return {
            **out,
            "week3": self.blocks(row for row in rows if (row.task, row.optimizer) != ("cifar10", "sgd")),
        }

    def test(self) -> tuple[Block, ...]:
        """500 examples a class, 5 epochs of warmup, 10 epochs, SGD, the first seed; the middle of sizes of
        one's own."""
        size = self.sizes[len(self.sizes) // 2]
        rise = 5 if 5 in self.warmups else self.warmups[len(self.warmups) // 2]
        length = {"epochs": min(10, self.epochs)}
        made = self.blocks(GridRow(t, size, epochs(rise), "sgd", RATES["sgd"], SEEDS[:1]) for t in self.tasks)
        return tuple(
            Block(
                fixed={**b.fixed, "length": length},
                points=[{**p, "name": f"test_{_unseeded(p['name'])}"} for p in b.points],
                seeds=b.seeds,
            )
            for b in made
        )

    # What must be said
    # -----------------------------------------------------------------------------------------------

    def notes(self, rows: list[GridRow]) -> list[str]:
        """What the study trains in place of what was asked for, and what it leaves out."""
        out = [
            note
            for p in self.protocols
            for note in (self._classes(p) if self.size == "examples_per_class" else self._totals(p))
        ]
        for p in self.protocols:
            for task in self.tasks:
                left: dict[int, dict[Length, None]] = {}
                for row in rows:
                    if row.task == task and not self.fits(row, p):
                        left.setdefault(row.size, {})[row.warmup] = None
                out += [self._unfit(task, size, list(some), p) for size, some in left.items()]
        out += [OTHER_IMAGES] if self.source != "official" else []
        return out + [self._one_run(row) for row in rows if row.same][:1]

    def _classes(self, protocol: str) -> list[str]:
        out = []
        beside = " beside the validation images" if protocol == "preheat" else ""
        for task in self.tasks:
            most = self.most(task, protocol)
            same = [size for size in self.sizes if size >= most]
            if len(same) > 1:
                out.append(
                    f"{task}: {listed(same)} per class are one and the same set: {most} is all there "
                    f"is{beside}"
                )
            elif same and same[0] > most:
                out.append(f"{task}: {most} per class in place of {same[0]}: that is all there is{beside}")
        return out

    def _totals(self, protocol: str) -> list[str]:
        most = self.most(self.tasks[0], protocol)
        more = [size for size in self.sizes if size > most]
        what = "images in all, so that totals are equal: the smallest task has no more"
        return [f"{most} in place of {listed(more)} {what}" for _ in more[:1]]

    def _where(self, size: int) -> str:
        return f"{size} {'per class' if self.size == 'examples_per_class' else 'in all'}"

    def _one_run(self, row: GridRow) -> str:
        assert row.same is not None
        return one_run(f"{self._where(row.size)} of {row.task}", row.warmup.value, row.same.value)

    def _unfit(self, task: str, size: int, some: list[Length], protocol: str) -> str:
        of = GridRow(task, size, some[0], "sgd", RATES["sgd"], ())
        total = self.epochs * self.per_epoch(of, protocol)
        return unfit(task, self._where(size), some, total)


def _unseeded(name: str) -> str:
    end = "_validation" if name.endswith("_validation") else ""
    return name.removesuffix(end).removesuffix("_s{seed}") + end
