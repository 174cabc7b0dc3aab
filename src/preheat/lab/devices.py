"""Which devices there are, how much memory a process may use on each, and what running out of it looks
like."""

from __future__ import annotations

import gc
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from preheat.core.errors import UserError

SHARE = 0.8  # of a GPU's memory: the rest is for what its libraries take beside our tensors


def offered(asked: str) -> tuple[str, ...]:
    """The devices that `asked` leaves to choose from: auto is the CPU, and the GPU where there is one.

    asked: auto, cpu, cuda or cuda:1. Errors: UserError where it is none of these, or torch finds no such
    device.

    >>> offered("cpu")
    ('cpu',)
    """
    found = re.fullmatch(r"auto|cpu|cuda(?::(\d+))?", asked)
    if not found:
        raise UserError(
            f"a device is auto, cpu, cuda or cuda:1 (a GPU's number), got {asked!r}: write cpu, as in "
            'device="cpu" or --device cpu'
        )
    if asked == "cpu":
        return ("cpu",)
    import torch

    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if asked == "auto":
        return ("cpu", "cuda") if there else ("cpu",)
    if int(found[1] or 0) >= there:
        last = f" to cuda:{there - 1}" if there > 1 else ""
        other = f"cuda:0{last}" if there else "cpu"
        raise UserError(
            f"the device {asked} needs a GPU that torch can use, and {_reason(there)}: write {other}"
        )
    return (asked,)


def _reason(there: int) -> str:
    """Why there is no such GPU, as torch says it."""
    import torch

    if there:
        return f"it finds {there}"
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        return f"it says: {str(error).splitlines()[0]}"
    return "it finds none"


@contextmanager
def one_thread() -> Iterator[None]:
    """torch computes on one thread inside, as in each of several workers, and then on as many as before."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def room(device: str, workers: int) -> int:
    """Bytes that one of `workers` processes may use: half of the machine's memory, or four fifths of the
    GPU's, shared."""
    if device == "cpu":
        pages = (
            os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4 << 30
        )
        return pages // 2 // workers
    import torch

    free, total = torch.cuda.mem_get_info(device)
    return min(free, int(SHARE * total)) // workers


def out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, says that memory ran out: on a GPU, or in torch's or Python's
    own allocator."""
    import torch

    while error is not None:
        if isinstance(error, MemoryError | torch.OutOfMemoryError):
            return True
        if isinstance(error, RuntimeError) and re.search(
            "can't allocate memory|out of memory|ALLOC_FAILED", str(error)
        ):
            return True
        error = error.__cause__
    return False


def broken(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, says that a GPU failed (an illegal access, a lost device),
    memory apart.

    Such an error stays: every later call of the process on that GPU fails too, whatever it computes.

    >>> broken(RuntimeError("CUDA driver error: an illegal memory access was encountered"))
    True
    >>> broken(RuntimeError("shapes"))
    False
    """
    if out_of_memory(error):
        return False
    while error is not None:
        if isinstance(error, RuntimeError) and re.search(
            r"(CUDA( driver)?|HIP|cu[A-Za-z]+) error|Triton Error", str(error)
        ):
            return True
        error = error.__cause__
    return False


def free() -> None:
    """Give back what nothing refers to any more, and data held for the next fleet, so that a smaller fleet
    finds room."""
    import torch

    from preheat.engine.prepare import held

    held.cache_clear()
    gc.collect()
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        with suppress(RuntimeError):  # a GPU that failed has nothing to give back
            torch.cuda.empty_cache()
