"""A reader of pickles of data, which makes nothing but numbers, text, lists, dictionaries and uint8 arrays.

Anything else in a pickle is refused before it is called.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np

from preheat.core.errors import UserError


class _Kind:
    """Stands in for a dtype: its code, u1 for bytes."""

    def __init__(self, code: object = "", *_: object) -> None:
        self.code = code.decode("latin1") if isinstance(code, bytes) else code

    def __setstate__(self, _: object) -> None:
        pass  # byte order, of which bytes have none


class Pickled:
    """Stands in for an array: what its pickle says it holds. numpy's own making of one crashes on damaged
    pickles."""

    def __init__(self, *_: object) -> None:
        self.state: Any = ()

    def __setstate__(self, state: Any) -> None:
        self.state = state[-4:]  # before them a version; then shape, dtype, whether columns come first, bytes

    def made(self, what: str) -> np.ndarray:
        """The uint8 array. Errors: UserError where shape and bytes don't agree, or are of another kind."""
        try:
            shape, kind, columns, raw = self.state
            if kind.code == "u1" and isinstance(raw, bytes | bytearray) and all(n >= 0 for n in shape):
                return np.frombuffer(raw, np.uint8).reshape(shape, order="F" if columns else "C").copy()
        except (AttributeError, TypeError, ValueError):
            pass
        raise UserError(f"{what} must hold an array of uint8, got another or a damaged one: fetch it again")


def _from_buffer(raw: object, kind: object, shape: object, order: object) -> Pickled:
    """An array as protocol 5 has it."""
    out = Pickled()
    out.state = (shape, kind, order == "F", raw)
    return out


def _latin1(text: str, _: str) -> bytes:
    return text.encode("latin1")


class _Plain(pickle.Unpickler):
    """Reads pickles of plain values and arrays; every other name in one is refused, not looked up."""

    def find_class(self, module: str, name: str) -> Any:
        """What numpy's pickles name, under the module names of its versions, and nothing else."""
        known = {
            "multiarray._reconstruct": Pickled,
            "numeric._frombuffer": _from_buffer,
            "ndarray": Pickled,
            "dtype": _Kind,
        }
        full = f"{module}.{name}"
        if full == "_codecs.encode":  # how Python 3 writes bytes for Python 2
            return _latin1
        for root in ("numpy._core.", "numpy.core.", "numpy."):
            if full.startswith(root) and full.removeprefix(root) in known:
                return known[full.removeprefix(root)]
        raise pickle.UnpicklingError(f"it asks for {full}; data are numbers, text, lists and arrays")


def unpickled(data: bytes, what: str) -> dict[str, Any]:
    """The dictionary of a pickle, as Python 2 or 3 wrote it, its keys as text. what: its name in errors.

    >>> unpickled(pickle.dumps({b"labels": [3, 1]}), "a file")
    {'labels': [3, 1]}
    >>> unpickled(pickle.dumps(print), "a file")
    Traceback (most recent call last):
    preheat.core.errors.UserError: a file is not a pickle of plain data (it asks for builtins.print; data are
    numbers, text, lists and arrays): remove it and fetch it again
    """
    try:
        found = _Plain(io.BytesIO(data), encoding="bytes").load()
    except Exception as error:  # a damaged pickle raises nearly anything
        reason = str(error) or type(error).__name__
        raise UserError(
            f"{what} is not a pickle of plain data ({reason}): remove it and fetch it again"
        ) from error
    if not isinstance(found, dict):
        raise UserError(
            f"{what} must be a pickled dictionary, got {type(found).__name__}: put an official file there"
        )
    return {k.decode("latin1") if isinstance(k, bytes) else str(k): v for k, v in found.items()}
