"""Where a run happens: alone or in a fleet, eager, traced or compiled, on which device.

lift: identity for one run, `torch.func.vmap` for a fleet. mean, sum: over the ranks that share a batch,
identity on one.
realise: how a step's operations are issued. `eager` runs Python and vmap's dispatch at every step. `traced`
records the operations once for each shape (`make_fx`) and replays them: the same kernels on the same numbers
without the dispatch. `compiled` gives the traced graph to `torch.compile`: fewer, fused kernels, for some
seconds a shape.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import torch
from torch.utils import _pytree as pytree

from preheat.engine.replay import Replay

Realise = Literal["eager", "traced", "compiled"]
Function = Callable[..., Any]


class Placement(NamedTuple):
    """lift(function, in_dims) -> function; mean, sum: tensors -> tensors; the rest as in the module's text.

    rarely: like realise, for shapes too rare to be worth compiling (an epoch's last, smaller batch).
    channels_last: the weights of convolutions lie in memory as torch.channels_last, and so the layers between
    them too: faster on some machines, equal up to rounding.
    """

    lift: Callable[[Function, Any], Function]
    mean: Callable[[Any], Any]
    sum: Callable[[Any], Any]
    realise: Callable[[Function], Function]
    rarely: Callable[[Function], Function]
    stacked: bool
    device: torch.device
    channels_last: bool = False

    def joined(self, *, mean: bool) -> Callable[[Any], Any]:
        """What makes a batch's loss, and all that is linear in it, of the parts that ranks hold: their mean,
        or their sum where the loss is no mean over examples."""
        return self.mean if mean else self.sum

    @property
    def looks(self) -> bool:
        """Whether Python may look at a value at every step: for one run on a CPU that is cheap."""
        return not self.stacked and self.device.type == "cpu"

    def laid_out(self, tensors: Any) -> Any:
        """Nested tensors as they should lie in memory: with channels_last, 4-D ones so; else as they are."""
        if not self.channels_last:
            return tensors
        return pytree.tree_map(
            lambda t: t.contiguous(memory_format=torch.channels_last) if t.dim() == 4 else t, tensors
        )


@lru_cache(maxsize=16)
def single(realise: Realise = "eager", device: str = "cpu", *, channels_last: bool = False) -> Placement:
    """One run, without a run axis."""
    return Placement(_alone, _same, _same, *_realisers(realise), False, _ready(device), channels_last)


@lru_cache(maxsize=16)
def fleet(realise: Realise = "eager", device: str = "cpu") -> Placement:
    """Many runs of one stack key; every tensor of the state has a leading run axis."""
    return Placement(_vmap, _same, _same, *_realisers(realise), True, _ready(device))


def _ready(device: str) -> torch.device:
    """The device. For CUDA the process is set up too, whatever it was set to: results must not depend on
    that.

    float32 means float32 (no TF32, no bfloat16 sums inside products), and cuDNN takes algorithms that repeat
    themselves.
    """
    found = torch.device(device)
    if found.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    return found


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
