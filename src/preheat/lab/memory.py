"""How much memory one run needs: what its tensors are, counted while a step and an evaluation are carried
out."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from preheat.core.run import Run
from preheat.engine.loop import EVALUATED, begin, evaluate, train
from preheat.engine.placement import single
from preheat.lab.timing import FEW_ROWS, cut, twin, unevaluated


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the bytes of every tensor that an operation makes; views make none."""

    total: int = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for t in pytree.tree_leaves(out):
            if isinstance(t, torch.Tensor) and not t._is_view():
                self.total += t.numel() * t.element_size()
        return out


def run_bytes(run: Run) -> int:
    """Bytes that one more run adds to a fleet, from above: as if nothing were freed within a step or an
    evaluation.

    Counted on few rows, so that a heavy model does not take long: a part is the same for every batch, the
    rest grows with its rows. In a fleet of many runs an evaluation takes fewer examples at once
    (`EVALUATED`): one of 64 is counted.
    """
    many = _step_bytes(run, FEW_ROWS)
    if run.batch_size > FEW_ROWS:
        each = (many - _step_bytes(run, FEW_ROWS // 2)) / (FEW_ROWS - FEW_ROWS // 2)
        many += int(max(each, 0) * (run.batch_size - FEW_ROWS))
    setup = unevaluated([twin(run, FEW_ROWS)], single())
    state = sum(t.numel() * t.element_size() for t in pytree.tree_leaves(setup.fleet.start))
    rows = len(next(iter(setup.fleet.validation.values())))
    seen = min(rows, FEW_ROWS)
    with _Counter() as evaluation:  # type: ignore[no-untyped-call]
        evaluate(cut(setup, seen), begin(setup).state, "validation")
    return int(2 * state + max(many, evaluation.total * min(rows, EVALUATED // 64) / seen))


def _step_bytes(run: Run, rows: int) -> int:
    progress = train(unevaluated([twin(run, rows)], single()))
    with _Counter() as step:  # type: ignore[no-untyped-call]
        next(progress), next(progress)
    return int(step.total)
