"""Any task's data as torch DataLoaders, in the order in which a run of the same seed sees them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from preheat.core.errors import UserError, unknown
from preheat.core.run import Precision
from preheat.core.spec import Spec, as_spec, build, complete

if TYPE_CHECKING:
    from torch import Tensor, dtype
    from torch.utils.data import DataLoader

    from preheat.tasks.base import Task

Tensors = dict[str, "Tensor"]
Rows = tuple[int, "Tensor"]  # the update, and rows of the set


class Loaders(NamedTuple):
    """Three loaders. A batch is {name: [B, ...]}: what the task's loss and metrics take."""

    train: DataLoader[Tensors]
    validation: DataLoader[Tensors]
    test: DataLoader[Tensors]


def loaders(
    task: str | Mapping[str, Any] | Spec | Task,
    *,
    batch_size: int = 32,
    seed: int | None = None,
    precision: Precision = "float32",
    workers: int = 0,
) -> Loaders:
    """The training, validation and test data of a task.

    task: a registered name, `spec(name, **options)`, its mapping, or a task itself. workers: processes that
    make batches; 0 for none. What is missing of the data is fetched.

    With a seed the training batches are those of a run of this seed, batch size and precision, one for one:
    the rows that it trains on, their order in every epoch, a smaller last batch, and the numbers drawn for
    augmentation, which the task's loss applies. The k-th pass is epoch k, from 0;
    `train.sampler.set_epoch(k)` goes to another. Not the same: the batches lie on the CPU, and in a run that
    evaluates them validation and test batches have another size. Without a seed, one is drawn by torch's own
    generator. Validation and test come in the order of the data.

    Errors: UserError for an unknown task, precision or option, a batch size that is not 1 to the number of
    training examples, and a seed or a number of workers that is not a whole number >= 0.

    >>> train, validation, test = loaders("digits", batch_size=20, seed=0)
    >>> batch = next(iter(train))
    >>> batch["x"].shape, batch["y"].dtype, len(train)
    (torch.Size([20, 64]), torch.int64, 50)
    >>> sum(len(b["y"]) for b in test)
    427
    """
    import torch
    from torch.utils.data import DataLoader

    from preheat.engine.keys import generator
    from preheat.engine.precision import DTYPES
    from preheat.tasks.base import Task

    made = task if isinstance(task, Task) else _built(task)
    if precision not in get_args(Precision):
        raise unknown("precision", precision, get_args(Precision))
    for what, number in (("seed", 0 if seed is None else seed), ("workers", workers)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise UserError(f"{what} must be a whole number >= 0, got {number!r}")
    made.ready()
    seed = int(torch.randint(2**31, ())) if seed is None else seed
    train, *others = made.data()
    subset = made.subset(generator(seed, "subset"))
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or not 1 <= batch_size <= len(subset):
        raise UserError(
            f"batch_size must be 1 to the number of training examples ({len(subset)}), got {batch_size!r}"
        )
    kind = DTYPES[precision]
    parts: list[Any] = [_Part(made, train, kind, seed), *(_Part(made, part, kind, None) for part in others)]
    orders: list[Any] = [_Shuffled(subset, batch_size, seed)]
    orders += [_InOrder(len(next(iter(part.values()))), batch_size) for part in others]
    return Loaders(
        *(
            DataLoader(part, batch_size=None, sampler=rows, num_workers=workers)
            for part, rows in zip(parts, orders, strict=True)
        )
    )


def _built(task: str | Mapping[str, Any] | Spec) -> Task:
    made: Task = build("task", complete("task", as_spec(task, "task")))
    return made


@dataclass(frozen=True)
class _Part:
    """One set: asked for rows of it, it gives their batch. seed: of the noise, None for none."""

    task: Task
    data: Tensors
    kind: dtype
    seed: int | None

    def __getitem__(self, asked: Rows) -> Tensors:
        from preheat.engine.keys import generator
        from preheat.engine.prepare import cast

        step, rows = asked
        batch = {name: t[rows] for name, t in self.data.items()}
        if self.seed is not None:
            batch |= self.task.noise(generator(self.seed, "noise", index=step), len(rows)) or {}
        return {n: cast(t, self.kind) for n, t in batch.items()}


class _Shuffled:
    """The rows of each update, in the order of a run of this seed; each pass is the next epoch."""

    def __init__(self, subset: Tensor, size: int, seed: int) -> None:
        self.subset, self.size, self.seed, self.epoch = subset, size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """The epoch of the next pass, from 0."""
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(len(self.subset) / self.size)

    def __iter__(self) -> Iterator[Rows]:
        from preheat.engine.batches import permutation

        epoch, self.epoch = self.epoch, self.epoch + 1
        rows = self.subset[permutation(len(self.subset), self.seed, epoch)]
        for i in range(len(self)):
            yield epoch * len(self) + i, rows[i * self.size : (i + 1) * self.size]


class _InOrder:
    """All rows in the order of the data."""

    def __init__(self, count: int, size: int) -> None:
        self.count, self.size = count, size

    def __len__(self) -> int:
        return math.ceil(self.count / self.size)

    def __iter__(self) -> Iterator[Rows]:
        import torch

        for i in range(len(self)):
            yield i, torch.arange(i * self.size, min((i + 1) * self.size, self.count))
