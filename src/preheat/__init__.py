"""preheat: how should my learning rate rise, hold and fall?

from preheat import Run, cosine, train

record = train(Run(task="digits", optimizer="adamw", schedule=cosine(warmup="5ep"), peak_lr=1e-3))
record.summary["test_accuracy"]
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from preheat.core.errors import UserError
    from preheat.core.grid import Block
    from preheat.core.lengths import Length, epochs, fraction, length, steps
    from preheat.core.record import Record, Series, Status
    from preheat.core.registry import MODELS, OPTIMIZERS, PROBES, SCHEDULES, STUDIES, TASKS
    from preheat.core.run import Run
    from preheat.core.spec import Spec, spec
    from preheat.core.study import Study
    from preheat.lab.train import train
    from preheat.studies.regimes.original_analyzer import WarmupAnalyzer

_HOMES = {
    "preheat.core.errors": ("UserError",),
    "preheat.core.grid": ("Block",),
    "preheat.core.lengths": ("Length", "epochs", "fraction", "length", "steps"),
    "preheat.core.record": ("Record", "Series", "Status"),
    "preheat.core.registry": ("MODELS", "OPTIMIZERS", "PROBES", "SCHEDULES", "STUDIES", "TASKS"),
    "preheat.core.run": ("Run",),
    "preheat.core.spec": ("Spec", "spec"),
    "preheat.core.study": ("Study",),
    "preheat.lab.train": ("train",),
    "preheat.studies.regimes.original_analyzer": ("WarmupAnalyzer",),
}
__all__ = [
    "MODELS",
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
    "WarmupAnalyzer",
    "epochs",
    "fraction",
    "length",
    "spec",
    "steps",
    "train",
]


def __getattr__(name: str) -> Any:
    """Everything is imported when first used, so that `import preheat` stays light."""
    home = next((module for module, names in _HOMES.items() if name in names), "preheat.schedules")
    module = import_module(home)
    if home == "preheat.schedules" and name not in module.__all__:
        raise AttributeError(f"module 'preheat' has no attribute {name!r}")
    return getattr(module, name)


def __dir__() -> list[str]:
    """The names that are there, and those that are imported when first used."""
    import preheat.schedules

    return sorted({*globals(), *__all__, *preheat.schedules.__all__})
