"""Where a run happens: alone or in a fleet, eager, traced or compiled, on which device.

lift: identity for one run, `torch.func.vmap` for a fleet. mean: identity on one rank.
realise: how a step's operations are issued. `eager` runs Python and vmap's dispatch at every step. `traced` records
the operations once for each shape (`make_fx`) and replays them: the same kernels on the same numbers without the
dispatch. `compiled` gives the traced graph to `torch.compile`: fewer, fused kernels, for some seconds a shape.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Literal, NamedTuple

import torch
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

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
    return (lambda f: _Replay(f, compiled=name == "compiled")), (lambda f: _Replay(f, compiled=False))


class _Replay:
    """A function recorded once for each shape of its tensors, then replayed."""

    def __init__(self, function: Function, *, compiled: bool) -> None:
        self.function, self.compiled = function, compiled
        self.graphs: dict[Any, tuple[Function, Any]] = {}

    def __call__(self, *args: Any) -> Any:
        flat, tree = pytree.tree_flatten(args)
        shapes = tuple([(t.shape, t.dtype) for t in flat])
        if shapes not in self.graphs:
            self.graphs[shapes] = self._record(flat, tree)
        graph, out_tree = self.graphs[shapes]
        return pytree.tree_unflatten(graph(*flat), out_tree)

    def _record(self, flat: list[torch.Tensor], tree: Any) -> tuple[Function, Any]:
        out_tree = None

        def on_flat(*tensors: torch.Tensor) -> list[torch.Tensor]:
            nonlocal out_tree
            out, out_tree = pytree.tree_flatten(self.function(*pytree.tree_unflatten(list(tensors), tree)))
            return out

        graph = make_fx(on_flat)(*flat)
        return (_compiled(graph, flat) if self.compiled else _direct(graph)), out_tree


_OPERATOR = re.compile(r"torch\.ops\.(\w+)\.(\w+)\.(\w+)")


def _direct(graph: torch.fx.GraphModule) -> Function:
    """The graph's own code with each operator bound to its C++ entry: a Python frame a call costs a fifth of a small step."""
    names: dict[str, Any] = dict(type(graph).forward.__globals__)

    def bind(found: re.Match[str]) -> str:
        space, operator, overload = found.groups()
        target = getattr(getattr(getattr(torch.ops, space), operator), overload)
        name = f"_{space}_{operator}_{overload}"
        names[name] = getattr(target, "_op", target)
        return name

    exec(compile(_OPERATOR.sub(bind, graph.code), "<traced step>", "exec"), names)
    return partial(names["forward"], graph)


_COMPILED: dict[Any, Function] = {}


def _compiled(graph: torch.fx.GraphModule, flat: list[torch.Tensor]) -> Function:
    """`torch.compile` of a graph; graphs of one text and one set of shapes are compiled once a process."""
    made: Function = torch.compile(graph, dynamic=False)
    if any(node.op == "get_attr" for node in graph.graph.nodes):
        return made
    return _COMPILED.setdefault((graph.code, tuple((t.shape, t.dtype, t.device) for t in flat)), made)
