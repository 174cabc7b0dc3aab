"""torch.optim.lr_scheduler: by class name and arguments, or from a scheduler. Checked against torch 2.13."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from itertools import pairwise
from math import prod
from typing import Any, overload

from preheat.adapters.conversions.arguments import Conversion, convert, library, takes
from preheat.adapters.conversions.checks import whole_number
from preheat.adapters.conversions.grouped import GroupRecipes
from preheat.adapters.conversions.joining import join, shortened, standing
from preheat.adapters.conversions.torch_classes import TORCH_CLASSES
from preheat.adapters.conversions.torch_reading import TorchScheduler, told
from preheat.core.errors import UserError
from preheat.schedules.recipes.recipe import Recipe


@overload
def from_torch(what: str, *, lr: float | None = None, total: int | None = None, **arguments: Any) -> Recipe:
    """By a class's name."""


@overload
def from_torch(
    what: Any, *, lr: float | None = None, total: int | None = None, **arguments: Any
) -> Recipe | GroupRecipes:
    """By a scheduler."""


def from_torch(
    what: Any, *, lr: float | None = None, total: int | None = None, **arguments: Any
) -> Recipe | GroupRecipes:
    """A scheduler of torch's as a schedule: `what` is its class's name, with the class's arguments, or a
    scheduler.

    lr: the optimizer's rate; read from the scheduler where there is one, and not given to OneCycleLR and
    CyclicLR, which set their own. total: the updates, or epochs, of the run; not needed where the class ends
    by itself (CosineAnnealingLR, OneCycleLR, PolynomialLR, a falling LinearLR), which it may cut.
    SequentialLR and ChainedScheduler by name take schedulers=[("LinearLR", {"total_iters": 5}), ...].
    LambdaLR and MultiplicativeLR become tables.

    The peak is `lr` where no factor is above 1, so that the schedule is right on the optimizer as it is; else
    it is the highest rate. Where the parameter groups of a scheduler differ, `GroupRecipes` has a recipe for
    each; a name is converted for one group.

    >>> made = from_torch("CosineAnnealingLR", lr=0.1, T_max=100, eta_min=1e-3)
    >>> print(made.schedule, made.peak, made.total)
    cosine(at=left, final=0.001lr) 0.1 100
    >>> print(from_torch("LinearLR", lr=0.1, total=50, start_factor=0.1).schedule)
    constant(warmup=5, warmup_start=0.1, at=left)

    Errors: UserError where the class listens to training, where its rates are negative, or where its
    behaviour is a defect that is not imitated (see `docs/schedules-differences.md`).
    """
    total = None if total is None else whole_number("total", total)
    first, *others = told(what, lr, arguments).groups()
    if not others:
        return _group(first, total)
    if isinstance(what, str):
        got = (
            f"got lists for {1 + len(others)}: convert it once for each, and write GroupRecipes((one, other))"
        )
        raise UserError(f"a scheduler by name is converted for one parameter group, {got}")
    made = [_in_words(i, one, total) for i, one in enumerate([first, *others])]
    return made[0] if all(one == made[0] for one in made) else GroupRecipes(tuple(made))


def _in_words(i: int, one: TorchScheduler, total: int | None) -> Recipe:
    """The recipe of group i; its errors say which group it is."""
    try:
        return _group(one, total)
    except UserError as error:
        raise UserError(f"group {i}: {error}") from error


def _group(one: TorchScheduler, total: int | None) -> Recipe:
    made = shortened(_made(one, total), total)
    if one.beta1 and "momentum" in made.also:
        made = replace(made, also={"beta1": made.also["momentum"]})
    return made if one.name in ("OneCycleLR", "CyclicLR") else standing(made, one.lr)


def _made(one: TorchScheduler, total: int | None) -> Recipe:
    """The schedule of one group, on its own length where that is more than `total`."""
    if one.arguments.get("last_epoch", -1) != -1:
        raise UserError("a schedule starts at update 0, got last_epoch: leave it out, and resume by the step")
    torchs = library("torch", _KNOWN, {"lr": None, "total": None, "last_epoch": -1}, refused=_REFUSED)
    written = one.written if total is None else (*one.written, "total")
    return convert(torchs, one.name, {**one.arguments, "total": total}, told=written)


_ALONE = {
    "SequentialLR": "torch steps a sequence inside another when it is built",
    "ChainedScheduler": "torch steps a chain inside another scheduler when it is built",
    "OneCycleLR": "it changes the rate that torch gives to all the others",
    "CyclicLR": "it changes the rate that torch gives to all the others",
}
_OWN_RATE = ("LambdaLR", "CosineAnnealingWarmRestarts")  # of the others each multiplies the rate it finds


def _parts(a: Any) -> list[TorchScheduler]:
    """The parts of a sequence or chain, each of which may be one."""
    for part in a.schedulers:
        if part.name in _ALONE:
            why = _ALONE[part.name]
            raise UserError(f"torch's {part.name} can't be converted inside another scheduler: {why}")
    parts: list[TorchScheduler] = a.schedulers
    return parts


def _sequence(a: Any) -> Recipe:
    parts = _parts(a)
    places = [whole_number("each of milestones", m) for m in a.milestones]
    if any(p.name == "MultiplicativeLR" for p in parts[1:]):
        why = "goes on from the rate before it, so it can only come first in a SequentialLR"
        raise UserError(f"torch's MultiplicativeLR {why}")
    lengths: list[int | None] = [b - a for a, b in pairwise([0, *places])]
    if len(lengths) != len(parts) - 1 or any(n is not None and n < 1 for n in lengths):
        raise UserError(
            f"{len(parts)} schedulers need {len(parts) - 1} rising milestones above 0, got {a.milestones}: "
            "say where each begins"
        )
    last = None if a.total is None else max(a.total - sum(n or 0 for n in lengths), 1)
    return join([_made(p, n) for p, n in zip(parts, [*lengths, last], strict=True)], places)


def _chain(a: Any) -> Recipe:
    parts = _parts(a)
    for p in parts:
        if p.name in _OWN_RATE:
            raise UserError(
                f"torch's {p.name} sets a rate of its own in a chain, whatever came before it: leave it out"
            )
        if low := p.arguments.get("eta_min"):
            raise UserError(
                f"a chain with eta_min={low:g} is no product of its parts in torch: write eta_min=0"
            )
    made = [_made(p, a.total) for p in parts]
    total = max(m.total for m in made)
    made = [m if m.total == total else _made(p, total) for p, m in zip(parts, made, strict=True)]
    peak = (parts[0].lr or 0.0) * prod(m.peak / (p.lr or 1.0) for p, m in zip(parts, made, strict=True))
    return Recipe(reduce(lambda one, other: one * other, [m.schedule for m in made]), peak, total)


_COMPOSED = {
    "SequentialLR": Conversion(_sequence, takes("schedulers", "milestones")),
    "ChainedScheduler": Conversion(_chain, takes("schedulers")),
}
_KNOWN = {**TORCH_CLASSES, **_COMPOSED}
_REFUSED = {
    "ReduceLROnPlateau": "it listens to the training, so its rates are not known beforehand; write a step or "
    "a cosine",
    "LRScheduler": "it is the base of the others; write the name of one of them",
    "SWALR": "it starts from whatever rate it finds; write the schedule and then a constant, with `then`",
}
