"""Whether somebody's autograd.Function has a second derivative: its backward may save a gradient, or leave
the graph, without an error, and the Hessian then lacks a part.

Each is called again on the inputs that it had, and its derivatives are compared with differences. A kink in
it makes differences of two step lengths disagree; it is then left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction, Function

from preheat.core.errors import UserError

_APART, _ALIKE = 0.05, 0.3
_ROUNDINGS = 50.0


class Call(NamedTuple):
    """kernel: the Function; given: its arguments, tensors as copies."""

    kernel: Any
    given: list[Any]


def nodes(loss: Tensor) -> Iterator[Any]:
    """All nodes of a graph, each once."""
    seen, ahead = set(), [loss.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is not None and node not in seen:
            seen.add(node)
            ahead += [before for before, _ in node.next_functions]
            yield node


def dtypes(loss: Tensor) -> set[torch.dtype]:
    """Those of floating point that a graph computes in."""
    found = {known.dtype for node in nodes(loss) for known in node._input_metadata}
    return {dtype for dtype in found if dtype.is_floating_point}


def kernels(loss: Tensor) -> set[Any]:
    """The autograd.Functions in a graph, those of torch.library too; one written in C++ is not seen."""
    own: Iterator[Any] = (type(node) for node in nodes(loss) if isinstance(node, BackwardCFunction))
    return {kind._forward_cls for kind in own}


@contextmanager
def recorded(found: set[Any]) -> Iterator[list[Call]]:
    """A list of their calls meanwhile, the first with each set of numbers and names among the arguments."""
    calls: dict[Any, Call] = {}
    with ExitStack() as stack:
        for kernel in found:
            own, true = vars(kernel).get("forward"), kernel.forward
            kernel.forward = staticmethod(_recording(kernel, true, calls))
            stack.callback(_put, kernel, own)
        out: list[Call] = []
        yield out
        out += calls.values()


def check(calls: Sequence[Call]) -> None:
    """Errors: UserError for one whose backward is not differentiated, or is not its derivative."""
    for call in calls:
        try:
            wrong = _wrong(call)
        except UserError:
            raise
        except Exception:  # it can't be called again alone, so nothing is known
            continue
        if wrong:
            raise _without(call, "differences of its results say otherwise")


def _put(kernel: Any, own: Any) -> None:
    if own is None:
        del kernel.forward
    else:
        kernel.forward = own


def _recording(kernel: Any, true: Any, calls: dict[Any, Call]) -> Any:
    apart = kernel.setup_context is not Function.setup_context  # then forward has no ctx

    def forward(*args: Any, **given: Any) -> Any:
        inputs = args if apart else args[1:]
        plain = tuple(a for a in inputs if isinstance(a, bool | int | float | str | None))
        if not given and (kernel, plain) not in calls and any(map(_moves, inputs)):
            calls[kernel, plain] = Call(kernel, [_copied(a) for a in inputs])
        return true(*args, **given)

    return forward


def _moves(value: Any) -> bool:
    return isinstance(value, Tensor) and value.requires_grad and value.is_floating_point()


def _copied(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    return value.detach().clone().requires_grad_(value.requires_grad)


def _outputs(call: Call, at: Sequence[Tensor]) -> list[Tensor]:
    """Its results that have a gradient, with `at` in place of the inputs that have one."""
    left = iter(at)
    given = [next(left).clone() if _moves(a) else _copied(a) for a in call.given]
    torch.manual_seed(0)
    out = call.kernel.apply(*given)
    return [t for t in (out if isinstance(out, tuple) else (out,)) if _moves(t)]


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([t.detach().reshape(-1) for t in tensors])


def _wrong(call: Call) -> bool:
    """With F its results, w a direction of its inputs x and u one of F: whether the derivatives of
    <dF/dx' u, w> by u and by x are not the differences of F and of dF/dx' u along w."""
    with torch.enable_grad():
        x = [a.detach().requires_grad_() for a in call.given if _moves(a)]
        results = _outputs(call, x)
        u = [torch.randn_like(t).requires_grad_() for t in results]
        w = [torch.randn_like(t) * (t.detach().square().mean().sqrt() + 1e-12) for t in x]
        g = torch.autograd.grad(results, x, u, create_graph=True, materialize_grads=True)
        slope = torch.stack([(a * b).sum() for a, b in zip(g, w, strict=True)]).sum()
        both = [torch.zeros_like(t) for t in [*u, *x]]
        if slope.requires_grad:
            try:
                both = [*torch.autograd.grad(slope, [*u, *x], materialize_grads=True)]
            except RuntimeError as error:
                raise _without(call, str(error).splitlines()[0]) from error

    def moved(step: float) -> tuple[Tensor, Tensor]:
        there = [(a.detach() + step * b).requires_grad_() for a, b in zip(x, w, strict=True)]
        with torch.enable_grad():
            out = _outputs(call, there)
            grads = torch.autograd.grad(out, there, [t.detach() for t in u], materialize_grads=True)
        return _flat(out), _flat(grads)

    eps = torch.finfo(slope.dtype).eps
    steps = eps ** (1 / 3), eps**0.6
    sides = [(moved(step), moved(-step)) for step in steps]
    claims = _flat(both[: len(u)]), _flat(both[len(u) :])
    for k, (claim, size) in enumerate(zip(claims, (_flat(results), _flat(g)), strict=True)):
        slopes = [(a[k] - b[k]) / (2 * step) for step, (a, b) in zip(steps, sides, strict=True)]
        lacks = [float((one - claim).norm()) for one in slopes]
        noise = _ROUNDINGS * eps * float(size.norm()) / steps[0]
        alike = float((slopes[0] - slopes[1]).norm()) < _ALIKE * lacks[0]
        if lacks[0] > _APART * float(slopes[0].norm()) + noise and alike:
            return True
    return False


def _without(call: Call, said: str) -> UserError:
    return UserError(
        f"the loss must have a second derivative, got the custom function {call.kernel.__name__}, whose "
        f"backward is not differentiated rightly ({said}): give a loss_fn with torch's own operations in "
        "its place"
    )
