"""preheat: how should my learning rate rise, hold and fall?

from preheat import Run, cosine, train

record = train(Run(task="digits", optimizer="adamw", schedule=cosine(warmup="5ep"), peak_lr=1e-3))
record.summary["test_accuracy"]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from preheat.core.errors import UserError
from preheat.core.grid import Block
from preheat.core.lengths import Length, epochs, fraction, length, steps
from preheat.core.record import Record, Series, Status
from preheat.core.registry import OPTIMIZERS, PROBES, SCHEDULES, STUDIES, TASKS
from preheat.core.run import Run
from preheat.core.spec import Spec, spec
from preheat.core.study import Study

if TYPE_CHECKING:
    from preheat.lab.train import train

__all__ = [
    "OPTIMIZERS",
    "PROBES",
    "SCHEDULES",
    "STUDIES",
    "TASKS",
    "Block",
    "Length",
    "Record",
    "Run",
    "Series",
    "Spec",
    "Status",
    "Study",
    "UserError",
    "epochs",
    "fraction",
    "length",
    "spec",
    "steps",
    "train",
]


def __getattr__(name: str) -> Any:
    """`train` and the named schedules are imported when first used, so that `import preheat` stays light."""
    if name == "train":
        from preheat.lab.train import train

        return train
    import preheat.schedules

    if name in preheat.schedules.__all__:
        return getattr(preheat.schedules, name)
    raise AttributeError(f"module 'preheat' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The names that are there, and those that are imported when first used."""
    import preheat.schedules

    return sorted({*globals(), *__all__, *preheat.schedules.__all__})
