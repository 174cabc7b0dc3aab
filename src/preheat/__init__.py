"""preheat: how should my learning rate rise, hold and fall?

from preheat import Run, cosine, train

record = train(Run(task="digits", optimizer="adamw", schedule=cosine(warmup="5ep"), peak_lr=1e-3))
record.summary["test_accuracy"]
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

# module: its public names; those of preheat.schedules come beside them
_NAMES = {
    "preheat.api": "run_study",
    "preheat.core.errors": "UserError",
    "preheat.core.grid": "Block",
    "preheat.core.lengths": "Length epochs fraction length steps",
    "preheat.core.record": "Record Series Status",
    "preheat.core.registry": "CHAPTERS EXPORTERS MODELS OPTIMIZERS PROBES RATE_RULES SCHEDULES STUDIES TASKS",
    "preheat.core.run": "Run",
    "preheat.core.spec": "Spec spec",
    "preheat.core.study": "Study",
    "preheat.lab.train": "train",
    "preheat.studies.regimes.original_analyzer": "WarmupAnalyzer",
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names.split()}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Everything is imported when first used, so that `import preheat` stays light."""
    home = _HOMES.get(name, "preheat.schedules")
    module = import_module(home)
    if name not in _HOMES and name not in module.__all__:
        raise AttributeError(f"module 'preheat' has no attribute {name!r}")
    return getattr(module, name)


def __dir__() -> list[str]:
    """The names that are there, and those that are imported when first used."""
    return sorted({*globals(), *__all__, *import_module("preheat.schedules").__all__})
