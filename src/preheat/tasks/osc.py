"""Damped oscillators: go on with a curve (Kim 2024, arXiv 2407.15200, and the code beside it).

    m x'' + c x' + k x = 0,  m = 1, k = 200, c = 2 zeta sqrt(k m), zeta = 0, 0.01, 0.02

from x = 0.1 and x' = 0, by Newmark's method with constant average acceleration (gamma 1/2, beta 1/4) in steps
of 0.001 up to t = 10: 10,001 rows for each zeta. N. M. Newmark, ASCE J. Eng. Mech. Div. 85 (1959) 67.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from preheat.core.errors import UserError, unknown
from preheat.core.registry import TASKS
from preheat.core.spec import build
from preheat.tasks.base import Data, Tensors, chosen
from preheat.tasks.regression import Regression

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

STEPS, DT, MASS, STIFFNESS = 10_000, 1e-3, 1.0, 200.0
ZETAS = (0.0, 0.01, 0.02)
TRAJECTORIES = {"simple": ZETAS[:1], "damped": ZETAS[1:2], "total": ZETAS}
FEATURES = {"S": ((0,), (0,)), "MS": ((0, 1, 2), (0,)), "M": ((0, 1, 2), (0, 1, 2))}  # read, predicted
BLOCK, STRATUM = 500, 10  # rows of a block; blocks of which one validates and one tests
BLOCKS = STEPS // BLOCK


@TASKS.register("osc")
@dataclass(frozen=True)
class Osc(Regression):
    """Damped oscillators: predict the next `pred` values of a curve from `hist` before them.

    trajectories: "simple" (zeta 0), "damped" (zeta 0.01) or "total" (zeta 0, 0.01 and 0.02). features: "S" (x
    from x), "MS" (x from x, v, a) or "M" (x, v, a from x, v, a). An example is a window of hist + pred values
    of one trajectory; spacing: rows of 0.001 from one value to the next. total_examples: how many windows a
    seed draws to train on; none for all. model: a registered model that takes series.

    The 10,000 rows before t = 10 are cut into 20 blocks of 500, the same for all trajectories. Of each ten
    blocks `split_seed` draws one for validation and one for test. A window lies inside one block, so none of
    one set shares a row with another set. Each quantity is scaled to 0..1 by its least and greatest value in
    the training blocks.

    leaky: the published protocol, whose validation loss is no measure of new data: all windows of all 10,001
    rows, a random 80 % to train on, so that nearly every row of the others is trained on too; scaled by all
    rows; the rest is validation set and test set at once. In the original the split differs between
    processes, here `split_seed` draws it.

    The loss is Huber's with delta 1, e^2 / 2 up to |e| = 1 and |e| - 1/2 beyond. Metrics: loss and
    log10_loss. By chance it is that of repeating the last value, the least of the three sets'.

    >>> Osc().examples, Osc().evaluated, Osc(leaky=True).examples, Osc(leaky=True).evaluated
    (6416, (802, 802), 7921, (1981, 1981))
    """

    trajectories: str = "simple"
    features: str = "S"
    hist: int = 50
    pred: int = 50
    spacing: int = 1
    total_examples: int | None = None
    model: Any = "lstm_seq2seq"
    leaky: bool = False
    split_seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("trajectories", TRAJECTORIES), ("features", FEATURES)):
            if getattr(self, name) not in known:
                raise unknown(f"{name} of task 'osc'", getattr(self, name), known)
        for name, low in (("hist", 1), ("pred", 1), ("spacing", 1), ("split_seed", 0)):
            if getattr(self, name) < low:
                raise UserError(f"{name} of task 'osc' must be at least {low}, got {getattr(self, name)}")
        _check_span(self)
        _check_examples(self)
        shape = (self.hist, len(FEATURES[self.features][0]), self.pred)
        object.__setattr__(self, "model", chosen(self.model, shape, default="lstm_seq2seq", takes="series"))

    @property
    def examples(self) -> int:
        """total_examples, or all training windows."""
        return self.total_examples or self.windows()[0]

    @property
    def evaluated(self) -> tuple[int, int]:
        _, validation, test = self.windows()
        return validation, test

    @property
    def span(self) -> int:
        """Rows from the first to the last value of a window, both counted."""
        return (self.hist + self.pred - 1) * self.spacing + 1

    def windows(self) -> tuple[int, int, int]:
        """How many windows there are to train on, for validation and for test."""
        curves = len(TRAJECTORIES[self.trajectories])
        if self.leaky:
            every = curves * (STEPS + 2 - self.span)
            rest = every - every * 4 // 5
            return every * 4 // 5, rest, rest
        held, inside = BLOCKS // STRATUM, curves * (BLOCK + 1 - self.span)
        return (BLOCKS - 2 * held) * inside, held * inside, held * inside

    def data(self) -> Data:
        """x: [N, hist, F], y: [N, pred, D], float64."""
        return _sets(_bare(self))

    def subset(self, generator: Generator) -> Tensor:
        """[N]: windows without replacement; for one seed a smaller subset lies inside a larger one."""
        import torch

        every = self.windows()[0]
        if self.total_examples is None:
            return torch.arange(every)
        return torch.randperm(every, generator=generator)[: self.total_examples]

    def network(self) -> nn.Module:
        given, out = map(len, FEATURES[self.features])
        made: nn.Module = build("model", self.model).network((self.hist, given, self.pred), out)
        return made

    def misfit(self, error: Tensor) -> Tensor:
        """Huber's, delta 1: e^2 / 2 up to |e| = 1, |e| - 1/2 beyond."""
        import torch

        size = error.abs()
        return torch.where(size < 1, error.square() / 2, size - 0.5)

    def chance(self) -> dict[str, float]:
        """Of the prediction that the last value stays: the least of the training, validation and test set's
        loss, so that a model with less has learnt whichever set it is measured on."""
        return dict(_repeated(_bare(self)))

    def origin(self) -> dict[str, str]:
        """The trajectories' checksum, and where the split leaks."""
        leaks = ", leaky: the test set is the validation set" if self.leaky else ""
        return {"data": f"damped oscillators sha256 {checksum()}, split {self.split_seed}{leaks}"}


def _check_span(task: Osc) -> None:
    most = STEPS - 3 if task.leaky else BLOCK
    if task.span > most:
        why = "five windows are the least" if task.leaky else f"it lies inside a block of {BLOCK} rows"
        raise UserError(
            f"a window of task 'osc' must span at most {most} rows ({why}), got {task.span}: (hist + pred - "
            f"1) spacing + 1 with hist={task.hist}, pred={task.pred}, spacing={task.spacing}"
        )


def _check_examples(task: Osc) -> None:
    most = task.windows()[0]
    if task.total_examples is not None and not 1 <= task.total_examples <= most:
        raise UserError(f"total_examples of task 'osc' must be 1 to {most}, got {task.total_examples}")


def _bare(task: Osc) -> Osc:
    """The task whose data are the same and whose other options are the defaults."""
    return replace(task, total_examples=None, model="lstm_seq2seq")


@lru_cache(maxsize=len(ZETAS))
def trajectory(zeta: float) -> np.ndarray:
    """[10001, 3]: x, v and a of one oscillator at t = 0, 0.001, ..., 10; read only.

        a' = -(k x + (c + k h) v + ((1 - gamma) c h + (1/2 - beta) k h^2) a) / (m + gamma c h + beta k h^2)
        v' = v + h ((1 - gamma) a + gamma a')
        x' = x + h v + h^2 ((1/2 - beta) a + beta a')

    with gamma = 1/2 and beta = 1/4, which for c = 0 keeps the energy.

    >>> [round(float(trajectory(zeta)[1000, 0]), 10) for zeta in ZETAS]
    [-0.000473297, 0.0005186606, 0.0013640492]
    """
    h, m, k, c = DT, MASS, STIFFNESS, 2 * zeta * math.sqrt(STIFFNESS * MASS)
    x, v = 0.1, 0.0
    a = -(c * v + k * x) / m
    by_v, by_a = c + k * h, c * h / 2 + k * h * h / 4
    whole = m + c * h / 2 + k * h * h / 4
    rows = [(x, v, a)]
    for _ in range(STEPS):
        new = -(k * x + by_v * v + by_a * a) / whole
        x, v, a = x + h * v + h * h * (a + new) / 4, v + h * (a + new) / 2, new
        rows.append((x, v, a))
    out = np.array(rows)
    out.flags.writeable = False
    return out


@lru_cache(maxsize=1)
def checksum() -> str:
    """The sha256 of all trajectories, one after the other, as little-endian float64."""
    every = np.concatenate([trajectory(zeta) for zeta in ZETAS])
    return hashlib.sha256(every.astype("<f8").tobytes()).hexdigest()


def blocks(seed: int) -> tuple[list[int], list[int], list[int]]:
    """The numbers of the blocks to train on, for validation and for test, each in order: of each ten one
    validates and one tests.

    >>> train, validation, test = blocks(0)
    >>> len(train), [b // 10 for b in validation], [b // 10 for b in test]
    (16, [0, 1], [0, 1])
    """
    draw = np.random.default_rng(seed)
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for first in range(0, BLOCKS, STRATUM):
        mixed = (first + draw.permutation(STRATUM)).tolist()
        for part, some in zip(parts, (sorted(mixed[2:]), mixed[:1], mixed[1:2]), strict=True):
            part.extend(some)
    return parts


@lru_cache(maxsize=2)
def _sets(task: Osc) -> Data:
    curves = [trajectory(zeta) for zeta in TRAJECTORIES[task.trajectories]]
    if task.leaky:
        scaled = _scaled(curves, curves)
        every = np.concatenate([_windows(curve, task) for curve in scaled])
        mixed, cut = np.random.default_rng(task.split_seed).permutation(len(every)), task.windows()[0]
        train, rest = _tensors(every[mixed[:cut]], task), _tensors(every[mixed[cut:]], task)
        return Data(train, rest, rest)
    parts = blocks(task.split_seed)
    cuts = [[c[b * BLOCK : (b + 1) * BLOCK] for c in curves for b in part] for part in parts]
    whole = [[_windows(rows, task) for rows in _scaled(cut, cuts[0])] for cut in cuts]
    return Data(*(_tensors(np.concatenate(some), task) for some in whole))


def _scaled(some: list[np.ndarray], by: list[np.ndarray]) -> list[np.ndarray]:
    """Each column from 0 to 1 between its least and greatest value in the rows of `by`."""
    known = np.concatenate(by)
    low, high = known.min(axis=0), known.max(axis=0)
    return [(rows - low) / (high - low) for rows in some]


def _windows(rows: np.ndarray, task: Osc) -> np.ndarray:
    """[N, hist + pred, 3] of rows [n, 3]: all windows, a view."""
    inside = np.lib.stride_tricks.sliding_window_view(rows, task.span, axis=0)
    return inside[..., :: task.spacing].transpose(0, 2, 1)


def _tensors(windows: np.ndarray, task: Osc) -> Tensors:
    import torch

    given, out = FEATURES[task.features]
    x, y = windows[:, : task.hist, given], windows[:, task.hist :, out]
    return {n: torch.from_numpy(np.ascontiguousarray(part)) for n, part in (("x", x), ("y", y))}


@lru_cache(maxsize=16)
def _repeated(task: Osc) -> tuple[tuple[str, float], ...]:
    out = len(FEATURES[task.features][1])  # what is predicted is read too, and comes first
    sets = task.data()
    loss = min(float(task.misfit(part["x"][:, -1:, :out] - part["y"]).mean()) for part in sets)
    return ("loss", loss), ("log10_loss", math.log10(loss))
