"""How much memory one run needs: what its tensors are, counted while a step and an evaluation are carried out."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from preheat.core.run import Run
from preheat.engine.loop import EVALUATED, begin, evaluate, set_up, train
from preheat.engine.placement import single


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the bytes of every tensor that an operation makes; views make none."""

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for t in pytree.tree_leaves(out):
            if isinstance(t, torch.Tensor) and not t._is_view():
                self.total += t.numel() * t.element_size()
        return out


def run_bytes(run: Run) -> int:
    """Bytes that one more run adds to a fleet, from above: as if nothing were freed within a step or an evaluation.

    In a fleet of many runs an evaluation takes fewer examples at once (`EVALUATED`), so one of 64 runs is counted.
    """
    setup = set_up([run.but(probes=(), evaluate=run.length)], single())
    state = sum(t.numel() * t.element_size() for t in pytree.tree_leaves(setup.fleet.start))
    with _Counter() as evaluation:  # type: ignore[no-untyped-call]
        evaluate(setup, begin(setup).state, "validation")
    rows = len(next(iter(setup.fleet.validation.values())))
    share = min(1.0, EVALUATED / 64 / rows)
    with _Counter() as step:  # type: ignore[no-untyped-call]
        progress = train(setup)
        next(progress), next(progress, None)
    return int(2 * state + max(step.total - evaluation.total, evaluation.total * share))
