"""The modules that a loss function reaches besides its model, and calls of it that leave all of them as they
were."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any

from torch import Tensor, nn
from torch.nn.modules import module as everywhere
from torch.utils.hooks import RemovableHandle

_DEPTH, _MANY = 4, 1000
_PLAIN = (list, dict, set)
_HOOKS = ("_backward_hooks", "_backward_pre_hooks")
_EVERYWHERE = ("_global_backward_hooks", "_global_backward_pre_hooks")


def modules_of(model: nn.Module, loss_fn: Any) -> list[nn.Module]:
    """All modules of the model and of what loss_fn closes over: in its closure, its defaults, the globals
    that it names, the object that it is bound to or is, and the functions, lists and dicts among these."""
    roots: dict[int, nn.Module] = {id(model): model}
    seen: set[int] = set()
    ahead = [(loss_fn, 0)]
    while ahead:
        thing, depth = ahead.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, nn.Module):
            roots[id(thing)] = thing
        elif depth < _DEPTH:
            ahead += [(part, depth + 1) for part in _parts(thing, depth)]
    return [*{id(m): m for root in roots.values() for m in root.modules()}.values()]


def _parts(thing: Any, depth: int) -> Iterable[Any]:
    if isinstance(thing, list | tuple | set | frozenset | dict):
        held = thing.values() if isinstance(thing, dict) else thing
        return held if len(thing) <= _MANY else ()
    library = str(getattr(thing, "__module__", "")).partition(".")[0]
    if isinstance(thing, type | ModuleType) or library == "torch":
        return ()
    if hasattr(thing, "__func__"):  # a bound method
        return [thing.__self__, thing.__func__]
    code = getattr(thing, "__code__", None)
    if code is not None:
        named = getattr(thing, "__globals__", {})
        cells = [cell.cell_contents for cell in thing.__closure__ or () if _filled(cell)]
        defaults = [*(thing.__defaults__ or ()), *(thing.__kwdefaults__ or {}).values()]
        return [*cells, *defaults, *(named[n] for n in _names(code) if n in named), _wrapped(thing)]
    if hasattr(thing, "func"):  # functools.partial
        return [thing.func, getattr(thing, "args", ()), getattr(thing, "keywords", {})]
    own = vars(thing) if hasattr(thing, "__dict__") and depth < 2 else {}
    return [*own.values(), *([type(thing).__call__] if callable(thing) and not depth else [])]


def _wrapped(thing: Any) -> Any:
    return getattr(thing, "__wrapped__", None)


def _filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _names(code: Any) -> set[str]:
    """The names in a function's code, and in that of the functions inside it."""
    inner = [part for part in code.co_consts if hasattr(part, "co_names")]
    return {*code.co_names, *(name for part in inner for name in _names(part))}


@contextmanager
def restored(modules: list[nn.Module]) -> Iterator[None]:
    """Attributes, buffers and .grad come back, bitwise; a loss in between works on copies of the tensors
    among them, which its graph may keep."""
    copies: dict[int, Tensor] = {}
    with ExitStack() as stack:
        for module in modules:
            own, buffers = vars(module), module._buffers
            stack.callback(_again, own, dict(own))
            for name, value in own.items():
                if type(value) in _PLAIN and not name.startswith("_"):
                    stack.callback(_again, value, copy.copy(value))
                elif _still(value):
                    own[name] = copies.setdefault(id(value), value.clone())
            stack.callback(_again, buffers, dict(buffers))
            for name, value in [(n, b) for n, b in buffers.items() if b is not None]:
                buffers[name] = copies.setdefault(id(value), value.clone())
        for p in {p for module in modules for p in module._parameters.values() if p is not None}:
            stack.callback(setattr, p, "grad", p.grad)
            p.grad = None
        yield


def _still(value: Any) -> bool:
    """Whether it is a tensor with numbers of its own, in no graph."""
    return isinstance(value, Tensor) and not isinstance(value, nn.Parameter) and not value.requires_grad


def _again(holder: Any, before: Any) -> None:
    """A list, dict or set as it was."""
    if isinstance(holder, list):
        holder[:] = before
        return
    for name in [name for name in holder if name not in before]:
        holder.pop(name) if isinstance(holder, dict) else holder.remove(name)
    holder.update(before)


@contextmanager
def unhooked(modules: list[nn.Module]) -> Iterator[None]:
    """No hook changes a gradient: those on parameters and modules, and those that a forward registers."""

    def register_hook(*_: Any, **__: Any) -> RemovableHandle:
        return RemovableHandle(OrderedDict())

    tables = [vars(m)[name] for m in modules for name in _HOOKS if vars(m).get(name)]
    tables += [t for name in _EVERYWHERE if (t := getattr(everywhere, name, None))]
    for p in [p for m in modules for p in m._parameters.values() if p is not None]:
        tables += [t for t in (p._backward_hooks, p._post_accumulate_grad_hooks) if t]
    with ExitStack() as stack:
        for table in {id(t): t for t in tables}.values():
            stack.callback(_again, table, dict(table))
            table.clear()
        stack.callback(setattr, Tensor, "register_hook", Tensor.register_hook)
        Tensor.register_hook = register_hook  # type: ignore[method-assign]
        yield
