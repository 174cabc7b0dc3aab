"""What a run's precision means: the dtype of its state, and whether its loss is computed under autocast.

float32, float64: everything in that dtype. bf16: parameters, optimizer state, running statistics and what is
measured are float32; the loss and the metrics run under `torch.autocast` to bfloat16 (matrix products and
convolutions in bfloat16; what autocast holds to need float32, in float32). Second derivatives are always
taken without it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from preheat.core.run import Precision
from preheat.engine.placement import Placement

DTYPES: dict[Precision, torch.dtype] = {
    "float32": torch.float32,
    "float64": torch.float64,
    "bf16": torch.float32,
}


def computed(function: Callable[..., Any], precision: Precision, where: Placement) -> Callable[..., Any]:
    """A loss or metrics of one run as this precision computes it; floating results have the state's dtype."""
    if precision != "bf16":
        return function

    def in_bfloat16(*args: Any) -> Any:
        # the cache would keep casts of one call's parameters, which inside a transformation are its own
        with (
            torch.autocast(where.device.type, torch.bfloat16, cache_enabled=False),
            _Norms() if where.stacked else nullcontext(),
        ):
            out = function(*args)
        return pytree.tree_map(lambda t: t.to(DTYPES[precision]) if t.is_floating_point() else t, out)

    return in_bfloat16


class _Norms(TorchFunctionMode):
    """In a fleet batch norm takes its input in float32 and returns what autocast's would: vmap's rule wants
    one dtype for all."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is functional.batch_norm and args[0].dtype == torch.bfloat16:
            return func(args[0].float(), *args[1:], **(kwargs or {})).to(args[0].dtype)
        return func(*args, **(kwargs or {}))
