"""The study of regimes on images: the seed's rows as settings of runs, capped to what the data hold.

A dataset that has fewer examples than a row asks for gives what it has: rows that so become one and the same
run are trained once, under all their names, and `Study.notes` says it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any

from preheat.core.errors import UserError
from preheat.core.grid import Block
from preheat.core.lengths import Length, epochs, steps
from preheat.core.registry import TASKS
from preheat.core.spec import Spec, build
from preheat.core.study import Part, Study
from preheat.studies.regimes.grid import (
    CLAIMS,
    FACTORS,
    IMAGES,
    OPTIMIZERS,
    QUESTION,
    RATES,
    REPORTED,
    SEEDS,
    SIZES,
    TOTALS,
    WARMUPS,
    Row,
    fixed,
    judged_by_the_seeds,
    listed,
    one_run,
    seed_rows,
    tuned_rows,
    unfit,
    update_rows,
)

if TYPE_CHECKING:
    from preheat.studies.regimes.study import Regimes

BATCH, INSIDE, PROBED_STEPS, TUNED_SEEDS, TUNED_CHOOSING = 128, 10, 50, 5, 2
# protocol: where it selects, and how its schedule steps
PROTOCOLS: Mapping[str, Mapping[str, str]] = {
    "seed": {"task.selection": "test", "schedule.at": "left", "schedule.every": "epoch"},
    "preheat": {"task.selection": "validation"},
}


OTHER_IMAGES = "the images are not the official ones but local files, or random numbers: no result is one of the data set's name"


@dataclass(frozen=True)
class ImageRegimes:
    """What the options `asked` come to, and the study of it."""

    asked: Regimes

    def __post_init__(self) -> None:
        r = self.asked
        if r.unit != "epochs" and r.protocol != "preheat":
            raise UserError(
                "protocol seed steps the rate once an epoch, so its warmup can't be a number of updates, "
                f"got unit {r.unit!r}: write --protocol preheat"
            )
        if not r.tune_lr:
            for name in ("sgd_rates", "adamw_rates", "seeds", "choosing"):
                if getattr(r, name) not in ((), None):
                    raise UserError(
                        f"{name} of the seed's grid is fixed, got {getattr(r, name)!r}: write --tune-lr to "
                        "vary it"
                    )

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """Those asked for, in the seed's order."""
        return tuple(name for name in IMAGES if name in self.asked.tasks)

    @property
    def protocols(self) -> tuple[str, ...]:
        """One or both."""
        return tuple(PROTOCOLS) if self.asked.protocol == "both" else (self.asked.protocol,)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Examples a class, or in all."""
        return self.asked.sizes or (SIZES if self.size == "examples_per_class" else TOTALS)

    @property
    def size(self) -> str:
        """The task's option that is the size."""
        return "examples_per_class" if self.asked.regimes == "per_class" else "total_examples"

    @property
    def warmups(self) -> tuple[float, ...]:
        """In epochs."""
        return self.asked.warmups or WARMUPS

    @property
    def choosing(self) -> int:
        """How many of the seeds choose the rate: none where there is nothing to choose."""
        return (
            (TUNED_CHOOSING if self.asked.choosing is None else self.asked.choosing)
            if self.asked.tune_lr
            else 0
        )

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of every row where the rate is tuned; the seed's own otherwise, of which a row may have fewer."""
        many = TUNED_SEEDS if self.asked.seeds is None else self.asked.seeds
        return judged_by_the_seeds(many, self.choosing) if self.asked.tune_lr else SEEDS

    @property
    def batch(self) -> int:
        """Examples per update."""
        return BATCH if self.asked.batch_size is None else self.asked.batch_size

    def study(self) -> Study:
        """The declaration."""
        r, rows = self.asked, self.rows()
        task = {"name": self.tasks[0], "model": r.model or "resnet18", "source": r.source}
        many = {"task.name": len(self.tasks) > 1, "task.selection": len(self.protocols) > 1}
        return Study(
            name="regimes",
            question=QUESTION,
            fixed={**fixed(task, r.epochs, self.batch), "evaluate": {"epochs": 1}, "precision": r.precision},
            grid=self.blocks(rows),
            scientific=(
                f"task.{self.size}",
                "schedule.warmup",
                "optimizer.name",
                *(path for path, is_so in many.items() if is_so),
            ),
            nuisance=("peak_lr",) if r.tune_lr else (),
            seeds=self.seeds,
            choosing=self.choosing,
            condition=f"task.{self.size}",
            parts=self.parts(rows),
            notes=tuple(self.notes(rows)),
            chapters=REPORTED,
            claims=CLAIMS,
        )

    def rows(self) -> list[Row]:
        """What is asked for, in order."""
        r, tasks = self.asked, self.tasks
        updates = [u for u in r.updates if u or r.unit == "updates"] if r.unit != "epochs" else []
        if not r.tune_lr:
            first = seed_rows(tasks, self.sizes, self.warmups) if r.unit != "updates" else []
            return self.shared(first + update_rows(tasks, self.sizes, updates))
        rises = [*(epochs(w) for w in self.warmups if r.unit != "updates"), *(steps(u) for u in updates)]
        rates = {
            n: given or [f * RATES[n] for f in FACTORS]
            for n, given in (("sgd", r.sgd_rates), ("adamw", r.adamw_rates))
        }
        return self.shared(tuned_rows(tasks, self.sizes, rises, rates, self.seeds))

    def shared(self, rows: list[Row]) -> list[Row]:
        """The rows; a warmup in updates that equals one in epochs of the same cell gets that one's run, and
        keeps its name."""
        if self.asked.unit != "both":
            return rows
        (protocol,) = self.protocols

        def cell(row: Row) -> tuple[object, ...]:
            each = self.per_epoch(row, protocol)
            updates = row.warmup.resolve(self.asked.epochs * each, each)
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

    def has(self, row: Row, protocol: str) -> int:
        """The size that the row gets."""
        return min(row.size, self.most(row.task, protocol))

    def per_epoch(self, row: Row, protocol: str) -> int:
        """Updates in an epoch."""
        options = {self.size: self.has(row, protocol), "selection": PROTOCOLS[protocol]["task.selection"]}
        return math.ceil(int(build("task", Spec(row.task, options)).examples) / self.batch)

    def fits(self, row: Row, protocol: str) -> bool:
        """Whether a warmup in updates ends before the run does."""
        return row.warmup.unit != "steps" or row.warmup.value < self.asked.epochs * self.per_epoch(
            row, protocol
        )

    # Settings
    # --------------------------------------------------------------------------------------------------------

    def blocks(self, rows: Iterable[Row]) -> tuple[Block, ...]:
        """The rows in order as blocks of one optimizer and its seeds, under each protocol."""
        groups = [(key, list(some)) for key, some in groupby(rows, lambda row: (row.optimizer, row.seeds))]
        return tuple(
            Block(fixed={"optimizer": dict(OPTIMIZERS[name]), **PROTOCOLS[p]}, points=settings, seeds=seeds)
            for p in self.protocols
            for (name, seeds), some in groups
            if (settings := [self.setting(row, p) for row in some if self.fits(row, p)])
        )

    def setting(self, row: Row, protocol: str) -> dict[str, Any]:
        """One row as a setting; where there are two protocols the names of ours say so."""
        mark = "_validation" * (protocol == "preheat" and len(self.protocols) > 1)
        return {
            "task.name": row.task,
            f"task.{self.size}": self.has(row, protocol),
            "schedule.warmup": (row.same or row.warmup).json(),
            "peak_lr": row.rate,
            **({} if self.asked.no_probes else {"probes": self.probes(row, protocol)}),
            "name": row.name("epc" if self.size == "examples_per_class" else "total") + mark,
        }

    def probes(self, row: Row, protocol: str) -> list[dict[str, Any]]:
        """Every 50 updates of the first ten epochs, and at least once in each of them; the curvature every
        fifth time."""
        every, until = (
            min(PROBED_STEPS, self.per_epoch(row, protocol)),
            {"epochs": min(INSIDE, self.asked.epochs)},
        )
        return [
            {"name": "grad_norm", "every": every, "until": until, "layers": True},
            {"name": "distance", "every": every, "until": until},
            {"name": "hessian_trace", "every": 5 * every, "until": until},
        ]

    def parts(self, rows: list[Row]) -> dict[str, Part]:
        """test: one short run of each task. week1 to week3: the seed's timetable, where the grid is the
        seed's."""
        r, first = self.asked, {"task.name": ["cifar10"]} if len(self.tasks) > 1 else {}
        out: dict[str, Part] = {"test": self.test()}
        if r.tune_lr or (r.unit, r.regimes) != ("epochs", "per_class"):
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
        length = {"epochs": min(10, self.asked.epochs)}
        made = self.blocks(Row(t, size, epochs(rise), "sgd", RATES["sgd"], SEEDS[:1]) for t in self.tasks)
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

    def notes(self, rows: list[Row]) -> list[str]:
        """What the study trains in place of what was asked for, and what it leaves out."""
        out = [
            note
            for p in self.protocols
            for note in (self._totals(p) if self.asked.regimes == "total" else self._classes(p))
        ]
        for p in self.protocols:
            for task in self.tasks:
                left: dict[int, dict[Length, None]] = {}
                for row in rows:
                    if row.task == task and not self.fits(row, p):
                        left.setdefault(row.size, {})[row.warmup] = None
                out += [self._unfit(task, size, list(some), p) for size, some in left.items()]
        out += [OTHER_IMAGES] if self.asked.source != "official" else []
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

    def _one_run(self, row: Row) -> str:
        assert row.same is not None
        return one_run(f"{self._where(row.size)} of {row.task}", row.warmup.value, row.same.value)

    def _unfit(self, task: str, size: int, some: list[Length], protocol: str) -> str:
        of = Row(task, size, some[0], "sgd", RATES["sgd"], ())
        total = self.asked.epochs * self.per_epoch(of, protocol)
        return unfit(task, self._where(size), some, total)


def _unseeded(name: str) -> str:
    return name.removesuffix("_validation").removesuffix("_s{seed}") + "_validation" * name.endswith(
        "_validation"
    )
