"""From a function to its integral: smooth random functions, and what an operator network makes of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from preheat.core.errors import UserError
from preheat.core.registry import TASKS
from preheat.core.spec import build
from preheat.tasks.base import Data, Tensors, chosen
from preheat.tasks.random_fields import antiderivative, random_fields
from preheat.tasks.regression import Regression

if TYPE_CHECKING:
    from torch import nn

POINTS = 1000  # of the grid on which functions are drawn
SEED = 0
BLOCK = 250  # functions that are drawn at once
LEAST_SCALE, MOST_SCALE = 0.01, 1.0


class FunctionSets(NamedTuple):
    """What the functions and their integrals follow from; the options of the task that say so."""

    examples: int
    held_out: int
    scales: tuple[float, float]
    sensors: int
    queries: int
    leaky: bool

    @property
    def grid(self) -> tuple[np.ndarray, np.ndarray, float]:
        """(x [1000], where the functions are integrated; points [Q]; the distance at which two neighbours are
        drawn)."""
        x, points = (np.linspace(0, 1, n) for n in (POINTS, self.queries))
        if self.leaky:
            return x.round(3), points.round(3), 1 / POINTS
        return x, points, 1 / (POINTS - 1)


@TASKS.register("integral")
@dataclass(frozen=True)
class Integral(Regression):
    """Operator learning: from a smooth random function u on [0, 1] to its integral from 0 to y, no download.

    u: a Gaussian field on 1,000 points with the covariance exp(-d^2 / (2 l^2)), l uniform from `shortest` to
    `longest`, brought to about -1 to 1 by u = 2 (g - m) / (M - m) - 1, where M is the mean of the training
    functions' largest values plus their deviation and m the mean of the least minus theirs. The network is
    given u at `sensors` evenly spaced points, from 0 on, and the points y: `queries` from 0 to 1. Its target
    is the exact integral of the cubic spline through all 1,000 points. Metrics: loss (the mean squared error)
    and log10_loss; by chance, those of the training functions' mean integral on the test functions.

    examples: training functions; held_out: those of the validation set, and as many of the test set. All
    follow from one fixed seed; fewer examples are the first of more, and the held-out ones stay the same.
    leaky: the protocol that was published: m and M of all functions, held-out ones included; one set of 2
    held_out functions for both validation and test; points rounded to 3 decimals, so that the 1,000 lie at
    all thousandths but 0.500. model: a registered model that takes functions. Kim 2024, arXiv 2407.15200.

    >>> Integral(examples=128, held_out=50).evaluated
    (50, 50)
    """

    inputs: ClassVar[tuple[str, ...]] = ("u", "points")

    examples: int = 8000
    held_out: int = 1000
    shortest: float = 0.1
    longest: float = 0.4
    sensors: int = 100
    queries: int = 100
    model: Any = "deeponet"
    leaky: bool = False

    def __post_init__(self) -> None:
        for name, least in (("examples", 2), ("held_out", 1), ("queries", 2)):
            if getattr(self, name) < least:
                raise UserError(
                    f"{name} of task 'integral' must be at least {least}, got {getattr(self, name)}"
                )
        if not LEAST_SCALE <= self.shortest <= self.longest <= MOST_SCALE:
            raise UserError(
                f"shortest and longest of task 'integral' are length scales, {LEAST_SCALE:g} <= shortest <= "
                f"longest <= {MOST_SCALE:g}, got shortest={self.shortest:g} and longest={self.longest:g}"
            )
        if self.sensors < 1 or POINTS % self.sensors:
            fits = ", ".join(str(s) for s in range(1, POINTS + 1) if POINTS % s == 0)
            raise UserError(
                f"sensors of task 'integral' must divide the {POINTS} points of the grid, got "
                f"{self.sensors}: write one of {fits}"
            )
        model = chosen(self.model, (self.sensors,), default="deeponet", takes="functions")
        object.__setattr__(self, "model", model)

    @property
    def evaluated(self) -> tuple[int, int]:
        count = 2 * self.held_out if self.leaky else self.held_out
        return count, count

    def data(self) -> Data:
        """u: [N, sensors], points: [N, queries], y: [N, queries], float32."""
        return _made(self._sets)[0]

    def origin(self) -> dict[str, str]:
        """A checksum of the functions and integrals to three digits: what rounds differently is the same."""
        return {"data": f"random functions sha256 {_made(self._sets)[1]}"}

    def network(self) -> nn.Module:
        made: nn.Module = build("model", self.model).network((self.sensors,), self.queries)
        return made

    def called(
        self, params: Tensors, buffers: Tensors, batch: Tensors, *, training: bool
    ) -> tuple[Any, Tensors]:
        """All functions are asked at the same points: the network is given them once, [1, queries]."""
        once = {**batch, "points": batch["points"][:1]}
        return super().called(params, buffers, once, training=training)

    def chance(self) -> dict[str, float]:
        """Of the training functions' mean integral to each point."""
        train, _, test = self.data()
        loss = float((test["y"].double() - train["y"].double().mean(0)).square().mean())
        return {"loss": loss, "log10_loss": float(np.log10(loss))}

    @property
    def _sets(self) -> FunctionSets:
        counts = (self.examples, self.held_out)
        return FunctionSets(*counts, (self.shortest, self.longest), self.sensors, self.queries, self.leaky)


@lru_cache(maxsize=4)
def _made(sets: FunctionSets) -> tuple[Data, str]:
    """The three sets, and the checksum of what they hold."""
    counts = (sets.examples, sets.held_out, sets.held_out)
    fields = [_drawn(sets, count, part) for part, count in enumerate(counts)]
    lowest, highest = _range(np.concatenate(fields) if sets.leaky else fields[0])
    for u in fields:
        u -= lowest
        u *= 2 / (highest - lowest)
        u -= 1
    train, *held_out = (_part(sets, u) for u in fields)
    if sets.leaky:
        held_out = [{name: np.concatenate([part[name] for part in held_out]) for name in train}] * 2
    digest = hashlib.sha256()
    for part in (train, *held_out):
        for values in part.values():
            digest.update(values.astype("<f2").tobytes())
    return Data(*map(_tensors, (train, *held_out))), digest.hexdigest()


def _drawn(sets: FunctionSets, count: int, part: int) -> np.ndarray:
    """[count, 1000]: the first functions of a part, 0 to train on, 1 for validation, 2 to test."""
    (shortest, longest), (_, _, spacing) = sets.scales, sets.grid
    out = np.empty((count, POINTS))
    for i in range(0, count, BLOCK):
        rng, rows = np.random.default_rng([SEED, part, i]), out[i : i + BLOCK]
        scales = rng.uniform(shortest, longest, BLOCK)[: len(rows)]
        rows[:] = random_fields(scales, POINTS, spacing=spacing, longest=longest, rng=rng)
    return out


def _range(fields: np.ndarray) -> tuple[float, float]:
    """(m, M): the least and the largest value of a field, their means less and plus one deviation."""
    least, largest = fields.min(1), fields.max(1)
    return float(least.mean() - least.std(ddof=1)), float(largest.mean() + largest.std(ddof=1))


def _part(sets: FunctionSets, u: np.ndarray) -> dict[str, np.ndarray]:
    x, points, _ = sets.grid
    found = {
        "u": u[:, :: POINTS // sets.sensors],
        "points": np.broadcast_to(points, (len(u), sets.queries)),
        "y": antiderivative(x, u, points),
    }
    return {name: np.ascontiguousarray(values, np.float32) for name, values in found.items()}


def _tensors(part: dict[str, np.ndarray]) -> Tensors:
    import torch

    return {name: torch.from_numpy(values) for name, values in part.items()}
