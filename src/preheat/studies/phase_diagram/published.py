"""What Kalra & Barkeshli 2024 state of the boundary of failure, and what their runs were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SOURCE = "Kalra and Barkeshli 2024, Why Warmup the Learning Rate? (arXiv 2406.09405)"
_RUNS: Mapping[str, Any] = {
    "task.name": ["cifar10"],
    "task.model.name": ["wrn16_4"],
    "batch_size": [128],
    "length": [{"steps": 100_000}],
}
_ADAM = "WRN-16-4 on CIFAR-10, cross-entropy, Adam, cosine to a tenth, 100,000 updates, 1 seed (their tables)"
_SGD = "WRN-16-4 on CIFAR-10, SGD, 100,000 updates, 1 seed (figure 3)"
_START = "WRN-16-4 on CIFAR-10, Adam (figures 28 and 29)"
_STATED = (
    ("A longer warmup moves Adam's boundary of failure to higher peak rates", _ADAM, "slope/adam"),
    ("GI-Adam without warmup has a higher boundary than Adam without", _ADAM, "raises/gi_adam"),
    (
        "GI-Adam without warmup reaches the boundary of Adam with the longest warmup (tested: not more than "
        "a step of the grid below)",
        *(_ADAM, "reaches/gi_adam"),
    ),
    ("A longer warmup moves SGD's boundary of divergence to higher peak rates", _SGD, "slope/sgd"),
    (
        "Away from the boundary, accuracy at a fixed peak rate hardly depends on the warmup (the verdict is "
        "on: it does)",
        *(_ADAM, "inside/adam/"),
    ),
    ("The longest warmup improves the best tuned accuracy over none", _ADAM, "tuned/adam/1024"),
    (
        "Starting at the critical rate saves warmup updates, in some cases eliminating the need for warmup "
        "(tested: in most seeds the warmup then takes one update in more than half of the runs that work; "
        "nothing was trained so)",
        *(_START, "one_step/adam"),
    ),
)


def _where(setting: str) -> dict[str, Any]:
    """What the runs were; how long those of figures 28 and 29 were is not known here."""
    return {path: v for path, v in _RUNS.items() if path != "length" or setting != _START}


PUBLISHED: tuple[Mapping[str, Any], ...] = tuple(
    {"claim": f"{text}.", "source": SOURCE, "setting": setting, "test": test, "where": _where(setting)}
    for text, setting, test in _STATED
)
