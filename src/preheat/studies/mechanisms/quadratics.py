"""The same optimizers on a quadratic loss: is the critical rate 2 / lambda, lambda along the step?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from preheat.core.grid import Block
from preheat.core.study import Study
from preheat.studies.mechanisms.published import QUADRATIC

RATES: Mapping[str, float] = {"gd": 0.5, "momentum": 0.1, "adam": 0.05, "gi_adam": 0.05}
WARMUP = {"steps": 64}
EVERY = 8
PASSES = 30


def on_quadratics(methods: Mapping[str, Mapping[str, Any]], seeds: Sequence[int]) -> Study:
    """Ten curvatures from 1 to 0.01, 16 examples with noise of their own in each batch, 256 updates with a
    warmup of 64; both measured 32 times. methods: {a key of RATES: the optimizer with its options}."""
    probes = [
        {"name": "critical_sharpness", "every": EVERY, "passes": PASSES},
        {"name": "directional_sharpness", "every": EVERY},
    ]
    blocks = tuple(
        Block(product={"schedule.warmup": [WARMUP]}, fixed={"optimizer": dict(own), "peak_lr": RATES[name]})
        for name, own in methods.items()
    )
    return Study(
        name="mechanisms",
        question="On a quadratic loss, is the critical rate 2 / lambda, lambda the curvature along the step?",
        fixed={
            "task": {"name": "quadratic", "sigma": 0.1},
            "precision": "float64",
            "schedule": {"name": "constant", "warmup_at": "right"},
            "batch_size": 16,
            "length": 256,
            "evaluate": 256,
            "probes": probes,
        },
        grid=blocks,
        scientific=("schedule.warmup", "optimizer"),
        seeds=tuple(seeds),
        metric="loss",
        chapters=("critical_rates", {"name": "published", "claims": list(QUADRATIC)}, "probes"),
        claims={"primary": ["agreement"]},
    )
