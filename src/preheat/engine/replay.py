"""A function recorded once for each shape of its tensors, then replayed: as it was recorded, or compiled.

At 300 microseconds a step, what surrounds the kernels counts. So the graph's operators are called by their
C++ entry, the compiler is called without its guards, and the code that takes nested arguments apart and puts
results together is written once, as one expression.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any

import torch
from torch.fx.experimental.proxy_tensor import make_fx

Function = Callable[..., Any]


class Replay:
    """`function` on nested dicts and tuples of tensors, whose nesting must be the same at every call; dicts
    in any order."""

    def __init__(self, function: Function, *, compiled: bool) -> None:
        self.function, self.compiled = function, compiled
        self.leaves: Function | None = None
        self.nest: Function | None = None
        self.graphs: dict[Any, tuple[Function, Function]] = {}

    def __call__(self, *args: Any) -> Any:
        """The function's value, by the graph for these shapes."""
        if self.leaves is None:
            self.leaves, self.nest = reader(args), builder(args)
        flat = self.leaves(args)
        shapes = tuple([(t.shape, t.dtype) for t in flat])
        if shapes not in self.graphs:
            self.graphs[shapes] = self._record(self.nest, flat)
        graph, nested = self.graphs[shapes]
        return nested(graph(*flat))

    def _record(self, unflat: Any, flat: list[torch.Tensor]) -> tuple[Function, Function]:
        out = None

        def on_flat(*tensors: torch.Tensor) -> list[torch.Tensor]:
            nonlocal out
            out = self.function(*unflat(tensors))
            return [leaf for _, leaf in walk(out, "")]

        graph = make_fx(on_flat)(*flat)
        return (_compiled(graph, flat) if self.compiled else _direct(graph)), builder(out)


def walk(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """(expression, leaf) of every tensor in nested dicts and tuples, in order.

    >>> list(walk({"a": (1, 2)}, "x"))
    [("x['a'][0]", 1), ("x['a'][1]", 2)]
    """
    if isinstance(value, dict | tuple):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from walk(inner, f"{place}[{key!r}]")
    else:
        yield place, value


def reader(value: Any) -> Function:
    """The function that lists the leaves of anything nested like `value`.

    >>> reader({"a": (1, 2)})({"a": (3, 4)})
    [3, 4]
    """
    made: Function = eval(f"lambda v: [{', '.join(place for place, _ in walk(value, 'v'))}]")
    return made


def builder(value: Any) -> Function:
    """The function that nests a list of leaves like `value`.

    >>> builder({"a": (1, 2)})([3, 4])
    {'a': (3, 4)}
    """
    names: dict[str, Any] = {}
    made: Function = eval(f"lambda x: {_expression(value, count(), names)}", names)
    return made


def _expression(value: Any, index: Iterator[int], names: dict[str, Any]) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k!r}: {_expression(v, index, names)}" for k, v in value.items()) + "}"
    if not isinstance(value, tuple):
        return f"x[{next(index)}]"
    inside = "".join(_expression(v, index, names) + ", " for v in value)
    if type(value) is tuple:
        return f"({inside})"
    names[type(value).__name__] = type(value)
    return f"{type(value).__name__}({inside})"


_OPERATOR = re.compile(r"torch\.ops\.(\w+)\.(\w+)\.(\w+)")


def _direct(graph: torch.fx.GraphModule) -> Function:
    """The graph's own code with each operator bound to its C++ entry: a Python frame a call costs a fifth of
    a small step."""
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
    """The graph compiled by inductor; graphs of one text and one set of layouts are compiled once a
    process."""
    key = (graph.code, tuple((t.shape, t.stride(), t.dtype, t.device) for t in flat))
    constants = any(node.op == "get_attr" for node in graph.graph.nodes)
    if constants or key not in _COMPILED:
        import torch._inductor

        made: Function = torch._inductor.compile(graph, list(flat))
        if constants:
            return made
        _COMPILED[key] = made
    return _COMPILED[key]
