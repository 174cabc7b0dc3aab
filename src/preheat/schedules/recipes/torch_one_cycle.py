"""One cycle as torch places it, which differs from `one_cycle` by a step at each end."""

from __future__ import annotations

from preheat.core.errors import UserError
from preheat.core.lengths import fraction, is_number, steps
from preheat.schedules.pieces import Piece, Pieces


def torch_one_cycle(
    total: float,
    *,
    pct_start: float = 0.3,
    curve: str = "cosine",
    start: float = 1 / 25,
    final: float | None = None,
    three_phase: bool = False,
) -> Pieces:
    """The table of torch's OneCycleLR with `total` steps (T), at="left".

    From `start` (1/div_factor) to 1 at step p T - 1, p = `pct_start`; then to `final` (start/1e4, torch's
    final_div_factor) at step T - 1. three_phase: back to `start` at step 2 p T - 2, and then to `final`.
    curve: cosine or linear. `start=0, final=0` gives the swing that torch's momentum follows. Errors:
    UserError where a phase has no width; torch divides by zero there, or starts near the peak.

    >>> torch_one_cycle(10).resolve(10).table().round(3).tolist()
    [0.04, 0.52, 1.0, 0.95, 0.812, 0.611, 0.389, 0.188, 0.05, 0.0]

    Smith and Topin 2017, arXiv 1708.07120.
    """
    if not is_number(pct_start) or not 0 < pct_start < 1:
        raise UserError(f"pct_start must lie between 0 and 1, got {pct_start!r}: write pct_start=0.3")
    low = start / 1e4 if final is None else final
    ends = [pct_start * total - 1, *([2 * pct_start * total - 2] if three_phase else []), total - 1.0]
    widths = [b - a for a, b in zip([0.0, *ends[:-1]], ends, strict=True)]
    if min(widths) <= 0:
        raise UserError(
            f"every phase of a cycle of {total:g} steps must take time, got phases that end at steps "
            f"{', '.join(f'{e:g}' for e in ends)}: write another pct_start, or more steps"
        )
    turns = [start, 1.0, *([start] if three_phase else []), low]
    pairs = zip(widths, turns[:-1], turns[1:], strict=True)
    return Pieces(
        (*(Piece(fraction(w / total), a, b, curve) for w, a, b in pairs), Piece(steps(1), low, low)),
        at="left",
    )
