"""Errors that a user can mend: the rule, then the value, then what to write instead."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)


class UserError(ValueError):
    """A mistake in what was asked for. The command line prints it on one line and exits with 2."""


def nearest(name: object, choices: Iterable[str]) -> str | None:
    """The choice closest to `name`, or None where nothing is close.

    >>> nearest("cosin", ["linear", "cosine"])
    'cosine'
    >>> nearest("zzz", ["linear", "cosine"]) is None
    True
    """
    pool = list(choices)
    close = get_close_matches(str(name), pool, n=1, cutoff=0.55)
    if close:
        return close[0]
    lowered = {c.lower(): c for c in pool}
    return lowered.get(str(name).lower())


def unknown(kind: str, name: object, choices: Iterable[str]) -> UserError:
    """The error for a name that is not among `choices`, with the nearest match and the list.

    >>> print(unknown("schedule", "cosin", ["linear", "cosine"]))
    unknown schedule 'cosin': did you mean 'cosine'? Known: cosine, linear
    """
    known = sorted({*choices})
    match = nearest(name, known)
    hint = f"did you mean {match!r}? " if match else ""
    return UserError(f"unknown {kind} {name!r}: {hint}Known: {', '.join(known) or 'none'}")


def explain(what: str, path: Path, error: OSError) -> UserError:
    """The error of the system as one of ours. what: the failed act with its object, such as "write 3
    records".

    >>> print(explain("write the plan", Path("plan.json"), OSError(errno.ENOSPC, "No space left on device")))
    cannot write the plan in plan.json: the disk is full (No space left on device): free space and run the
    same command again
    """
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        return UserError(
            f"cannot {what} in {path}: the disk is full ({reason}): free space and run the same command again"
        )
    if error.errno in _REFUSED:
        return UserError(
            f"cannot {what} in {path}: it may not be changed ({reason}): name a folder that you may write to"
        )
    return UserError(f"cannot {what} in {path}: {reason}")


def called(what: str, step: str, call: Callable[[], T]) -> T:
    """What `call` gives. Errors: UserError where it raises, which says of what, in which step, and where.

    >>> called("stage 'best'", "most", lambda: 1 + 1)
    2
    """
    try:
        return call()
    except UserError:
        raise
    except Exception as error:
        at = traceback.extract_tb(error.__traceback__)[-1]
        text = " ".join(str(error).split())
        said = ": ".join(part for part in (type(error).__name__, text) if part)
        where = f"{Path(at.filename).name}, line {at.lineno}"
        raise UserError(f"{what} failed in {step}: {said} ({where})") from error
