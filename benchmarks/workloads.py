"""The study's own workloads, as our runs and as what a plain loop needs: weights, batches' rows, rates.

All contenders of one workload train the same runs: same data, same first weights, same order of examples,
same rates. No contender evaluates or saves while it is timed, but for ours, which evaluates before a run's
first update and after its last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from preheat.core.run import Run

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

EPOCHS = 100
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"name": "sgd", "momentum": 0.9, "weight_decay": 5e-4},
    "adamw": {"name": "adamw", "weight_decay": 5e-4},
}
PEAKS = {"sgd": 0.05, "adamw": 0.003}


class Workload(NamedTuple):
    """A model of task digits, an optimizer, a batch size; device: cpu or cuda."""

    model: str
    optimizer: str
    device: str = "cpu"
    batch: int = 32

    def __str__(self) -> str:
        return f"{self.model.upper()}, {self.optimizer}"


class Plain(NamedTuple):
    """Runs without preheat's engine. x [N, ...], y [N]; rates: [R, T]; order(epoch): [R, n] rows of x and
    y."""

    runs: tuple[Run, ...]
    x: Tensor
    y: Tensor
    rates: np.ndarray
    starts: list[dict[str, Tensor]]
    order: Callable[[int], Tensor]


def runs_of(work: Workload, n: int, *, precision: str = "float32", per_class: int = 100) -> tuple[Run, ...]:
    """`n` runs of the study's kind: seeds 0 to n - 1, peak rates a little apart."""
    task = {"name": "digits", "model": work.model, "examples_per_class": per_class}
    common = {
        "length": f"{EPOCHS}ep",
        "evaluate": f"{EPOCHS}ep",
        "batch_size": work.batch,
        "precision": precision,
    }
    schedule = {"name": "cosine", "warmup": "5ep"}
    peak = PEAKS[work.optimizer]
    one = Run.from_json(
        {
            "task": task,
            "optimizer": OPTIMIZERS[work.optimizer],
            "schedule": schedule,
            "peak_lr": peak,
            **common,
        }
    )
    return tuple(one.but(seed=r, peak_lr=peak * (1 + r / 100)) for r in range(n))


def study_runs(work: Workload) -> list[Run]:
    """Every run of the study `regimes` with this optimizer, on this model and batch size."""
    from preheat.studies.regimes.study import Regimes

    runs = [r for r in Regimes().study().runs() if r.optimizer.name == work.optimizer]
    return [
        r.but(task={**r.task.json(), "model": work.model}, batch_size=work.batch, evaluate=r.length)
        for r in runs
    ]


def plain(runs: Sequence[Run], device: str) -> Plain:
    """What a loop of one's own needs to train `runs`."""
    import numpy as np
    import torch

    from preheat.core.spec import build
    from preheat.engine.keys import generator
    from preheat.engine.prepare import rates

    dtype = getattr(torch, runs[0].precision)
    tasks = [build("task", r.task) for r in runs]
    train = tasks[0].data().train
    subsets = [t.subset(generator(r.seed, "subset")) for t, r in zip(tasks, runs, strict=True)]

    def order(epoch: int) -> Tensor:
        drawn = [
            s[torch.randperm(len(s), generator=generator(r.seed, "order", index=epoch))]
            for s, r in zip(subsets, runs, strict=True)
        ]
        return torch.stack(drawn).to(device)

    starts = []
    for task, run in zip(tasks, runs, strict=True):
        params, buffers = task.init(generator(run.seed, "init"))
        whole = {**params, **buffers}
        starts.append(
            {n: t.to(device, dtype if t.is_floating_point() else t.dtype) for n, t in whole.items()}
        )
    return Plain(
        tuple(runs),
        train["x"].to(device, dtype),
        train["y"].to(device),
        np.stack([rates(r) for r in runs]),
        starts,
        order,
    )
