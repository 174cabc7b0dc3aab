"""What Kalra & Barkeshli 2024 state of the mechanisms, and what their runs were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SOURCE = "Kalra and Barkeshli 2024, Why Warmup the Learning Rate? (arXiv 2406.09405)"
_RUNS: Mapping[str, Any] = {
    "task.name": ["cifar10"],
    "task.model.name": ["fcn"],
    "task.model.width": [512],
    "batch_size": [5000],
    "length": [{"steps": 2048}],
}
_GD = "FCN-4-512 on 5,000 images of CIFAR-10, squared error, gradient descent, 2048 updates (figure 1)"
_ADAM = "the same with Adam and augmentation (figure 2)"
_FLAT = "the same with GI-Adam (figure 6)"
_PERSISTENT = "the same with gradient descent (figure 7)"
_STATED = (
    (
        "In standard parameterisation sharpness falls before it first meets 2 / rate",
        *(_GD, "reduction/gd"),
    ),
    ("In mu-P sharpness rises before it first meets 2 / rate", _GD, "sharpening/gd"),
    ("In mu-P sharpness then stays at 2 / rate while the rate rises", _GD, "rides/gd"),
    (
        "Adam's preconditioned sharpness falls at first, also in standard parameterisation",
        *(_ADAM, "reduction/adam"),
    ),
    (
        "GI-Adam's first preconditioned sharpness is sqrt(1 - beta2) = 1/32 of Adam's (standard)",
        *(_FLAT, "starts/standard"),
    ),
    ("GI-Adam's first preconditioned sharpness is 1/32 of Adam's (mu)", _FLAT, "starts/mu"),
    (
        "Persistent catapult warmup has fewer instabilities than a short linear warmup (64 updates, "
        "standard)",
        *(_PERSISTENT, "calmer/standard/64"),
    ),
)
PUBLISHED: tuple[Mapping[str, Any], ...] = tuple(
    {"claim": f"{text}.", "source": SOURCE, "setting": setting, "test": test, "where": dict(_RUNS)}
    for text, setting, test in _STATED
)

_NETWORKS = "stated of the loss of networks such as those on CIFAR-10, not of a quadratic one alone"
QUADRATIC: tuple[Mapping[str, Any], ...] = tuple(
    {
        "claim": f"The critical rate is 2 / lambda (tested with {name} on quadratic losses, lambda the "
        "curvature along the step; the verdict is on: at some update they differ by 1 %).",
        **{"source": SOURCE, "setting": _NETWORKS, "test": f"agrees/{test}"},
        "where": {"task.name": ["cifar10"]},
    }
    for name, test in (("gradient descent", "gd"), ("momentum", "momentum"), ("Adam", "adam"))
)
