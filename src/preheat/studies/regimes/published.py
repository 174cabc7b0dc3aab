"""What Agrawal 2025, *Learning Rate Warmup Across Data Regimes*, states, and what its runs were.

It states four hypotheses and gives no result; each is tested by the claim of that name on the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SOURCE = "Agrawal 2025, Learning Rate Warmup Across Data Regimes"
_RUNS: Mapping[str, Any] = {
    "task.name": ["cifar10", "cifar100", "pathmnist"],
    "task.model": ["resnet18"],
    "task.selection": ["test"],
    "task.examples_per_class": [5000, 1000, 500, 100, 50],
    "peak_lr": [0.1, 0.001],
    "batch_size": [128],
    "length": [{"epochs": 100}],
}
_OF_CIFAR = "ResNet-18 on CIFAR-10, SGD at 0.1, 3 seeds"
_STATED = {
    "H1": ("Warmup benefit peaks at intermediate dataset sizes (500-5K examples)", _OF_CIFAR),
    "H2": ("Optimal warmup duration decreases as dataset size decreases", _OF_CIFAR),
    "H3": (
        "Patterns replicate across CIFAR-100 and MedMNIST",
        "ResNet-18 on CIFAR-100 and PathMNIST, SGD at 0.1, 1 seed",
    ),
    "H4": (
        "AdamW shows reduced warmup sensitivity compared to SGD (read here as: warmup helps AdamW less)",
        "ResNet-18 on all three sets, SGD at 0.1, AdamW at 0.001",
    ),
}
PUBLISHED: tuple[Mapping[str, Any], ...] = tuple(
    {
        "claim": f"{code}, a hypothesis: {text}.",
        "source": SOURCE,
        "setting": setting,
        "test": f"hypotheses/{code}",
        "where": dict(_RUNS),
    }
    for code, (text, setting) in _STATED.items()
)
