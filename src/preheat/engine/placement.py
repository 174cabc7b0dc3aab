"""Where a run happens: alone or in a fleet, eager, traced or compiled, on which device.

lift: identity for one run, `torch.func.vmap` for a fleet. mean: identity on one rank.
realise: how a step's operations are issued. `eager` runs Python and vmap's dispatch at every step. `traced` records
the operations once for each shape (`make_fx`) and replays them: the same kernels on the same numbers without the
dispatch. `compiled` gives the traced graph to `torch.compile`: fewer, fused kernels, for some seconds a shape.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import torch

from preheat.engine.replay import Replay

Realise = Literal["eager", "traced", "compiled"]
Function = Callable[..., Any]


class Placement(NamedTuple):
    """lift(function, in_dims) -> function; mean(tensors) -> tensors; the rest as in the module's text.

    rarely: like realise, for shapes too rare to be worth compiling (an epoch's last, smaller batch).
    """

    lift: Callable[[Function, Any], Function]
    mean: Callable[[Any], Any]
    realise: Callable[[Function], Function]
    rarely: Callable[[Function], Function]
    stacked: bool
    device: torch.device

    @property
    def looks(self) -> bool:
        """Whether Python may look at a value at every step: for one run on a CPU that is cheap."""
        return not self.stacked and self.device.type == "cpu"


@lru_cache(maxsize=16)
def single(realise: Realise = "eager", device: str = "cpu") -> Placement:
    """One run, without a run axis."""
    return Placement(_alone, _same, *_realisers(realise), False, torch.device(device))


@lru_cache(maxsize=16)
def fleet(realise: Realise = "eager", device: str = "cpu") -> Placement:
    """Many runs of one stack key; every tensor of the state has a leading run axis."""
    return Placement(_vmap, _same, *_realisers(realise), True, torch.device(device))


def _alone(function: Function, in_dims: Any = 0) -> Function:
    return function


def _same(tensors: Any) -> Any:
    return tensors


def _vmap(function: Function, in_dims: Any = 0) -> Function:
    lifted: Function = torch.func.vmap(function, in_dims=in_dims, randomness="error")
    return lifted


def _realisers(name: Realise) -> tuple[Callable[[Function], Function], Callable[[Function], Function]]:
    if name == "eager":
        return _same, _same
    return (lambda f: Replay(f, compiled=name == "compiled")), (lambda f: Replay(f, compiled=False))
