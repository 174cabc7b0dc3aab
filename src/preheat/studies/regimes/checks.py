"""What the options of the study of regimes may be, alone and together. asked: the study."""

from __future__ import annotations

import inspect
from typing import Any

from preheat.core.errors import UserError, unknown
from preheat.core.registry import TASKS
from preheat.studies.regimes.grid import IMAGES

_CHOICES = {
    "protocol": ("preheat", "original", "both"),
    "unit": ("epochs", "updates", "both"),
    "regimes": ("per_class", "total"),
}
_PROBES = ("probe_every", "probe_until")
_IMAGES_ONLY = ("protocol", "tune_lr", "regimes", "source", *_PROBES)


def check_tasks(asked: Any) -> None:
    """Tasks that can be studied, and together."""
    for name in asked.tasks:
        if "examples_per_class" not in inspect.signature(TASKS[name]).parameters:
            raise UserError(
                f"study 'regimes' varies examples_per_class, an option that task {name!r} does not have: "
                "write --task digits"
            )
    others = [t for t in asked.tasks if t not in IMAGES]
    if others and len(others) < len(asked.tasks):
        raise UserError(
            f"study 'regimes' has a grid for {', '.join(IMAGES)} and another for {', '.join(others)}: study "
            "them apart"
        )
    for name in _IMAGES_ONLY if others else ():
        if getattr(asked, name) != getattr(type(asked), name):
            raise UserError(
                f"{name} of study 'regimes' is for {', '.join(IMAGES)}, got it with task {others[0]!r}: "
                "write --task all"
            )


def check_options(asked: Any) -> None:
    """Words among their choices, and whole numbers."""
    if asked.protocol == "seed":
        raise UserError("protocol 'seed' of study 'regimes' is called 'original': write --protocol original")
    for name, choices in _CHOICES.items():
        if getattr(asked, name) not in choices:
            raise unknown(f"{name} of study 'regimes'", getattr(asked, name), choices)
    for name, least in (("batch_size", 1), ("seeds", 1), ("probe_every", 1)):
        value = getattr(asked, name)
        if value is not None and (type(value) is not int or value < least):
            raise UserError(f"{name} of study 'regimes' must be a whole number >= {least}, got {value!r}")


def check_images(asked: Any) -> None:
    """What the original's grid leaves open."""
    if asked.unit != "epochs" and asked.protocol != "preheat":
        raise UserError(
            "protocol original steps the rate once an epoch, so its warmup can't be a number of updates, "
            f"got unit {asked.unit!r}: write --protocol preheat"
        )
    for name in () if asked.tune_lr else ("sgd_rates", "adamw_rates", "seeds"):
        if getattr(asked, name) not in ((), None):
            raise UserError(
                f"{name} of the original's grid is fixed, got {getattr(asked, name)!r}: write --tune-lr to "
                "vary it"
            )
    if said := [name for name in _PROBES if asked.no_probes and getattr(asked, name)]:
        raise UserError(
            f"{said[0]} of study 'regimes' is of the probes, got {getattr(asked, said[0])!r} with no_probes: "
            "leave one of them out"
        )
