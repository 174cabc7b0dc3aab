"""Compare schedules without training: what they spend, how they fall, how they change with the budget."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preheat.cli.columns import aligned
from preheat.cli.options import file, imports, read_imports
from preheat.cli.schedules import (
    Viewed,
    budgets_in_steps,
    in_options,
    look,
    options_of_all,
    schedule_words,
    viewed,
)
from preheat.core.errors import UserError

if TYPE_CHECKING:
    from preheat.schedules.measures.curve import Known
    from preheat.schedules.resolved import Resolved
    from preheat.schedules.rule import Rule

EXAMPLES = """examples:
  preheat compare cosine linear wsd constant --warmup 5%
  preheat compare wsd:cooldown=20% wsd:cooldown=10%,cooldown_curve=1-sqrt --steps 5000 --peak-lr 3e-4
  preheat compare cosine 'step:milestones=[50%,75%]' --epochs 90 --budgets 30ep,60ep,90ep --json
  preheat compare cosine hyperbolic:upper=1000 --steps 200 --budgets 50,100,200,500 --out figures.svg

columns:
  mean            of the factor over the run: the budget, in steps at the peak rate, over the number of steps
  first, last     rate of the first and of the last update
  fall            the largest fall of the rate from one update to the next
  insensitivity   of each budget: how much the area above 0.8 of the peak, until the rate first falls below
                  that, differs from that of the longest budget (arXiv 2407.15200). A plateau that grows with
                  the budget counts as much
  shared start    of each budget: the part of its run that is also the beginning of the longest one, to 0.01
                  of the peak
  bound           on the last iterate's suboptimality with the best peak rate, over the least bound of these
                  schedules (convex functions, one gradient norm all along; arXiv 2501.18965). It counts a
                  warmup as lost
  best peak       the peak rate of that bound, over that of the schedule with the least bound
"""
_HEAD = ("", "mean", "first", "last", "fall", "insensitivity", "shared start", "bound", "best peak")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add = parser.add_argument
    look(parser, "+")
    lengths = "lengths to compare, such as 50,100,200 or 5ep,10ep (default: 25%%,50%%,75%%,100%%)"
    add("--budgets", metavar="LENGTHS", help=lengths)
    out = (
        "draw two pictures (.png, .svg or .pdf), for a.png a-decay.png (the rates and how fast they fall, on "
        "the run itself) and a-budget.png (when the budgets of all lengths are spent)"
    )
    add("--out", metavar="FILE", type=file, help=out)
    add("--json", action="store_true", help="print everything as JSON")
    imports(parser)


def run(args: argparse.Namespace) -> None:
    """Measure and print."""
    read_imports(args.imports)
    with in_options():
        total, per_epoch, peak = viewed(args)
        known: Known = {"per_epoch": per_epoch, "peak": peak}
        budgets = budgets_in_steps(args.budgets, total, per_epoch)
        schedules = schedule_words(args.schedules, options_of_all(args))
        data = measured(schedules, total, budgets=budgets, strict=bool(args.budgets), known=known)
        files = _drawn(args.out, schedules, budgets=budgets, run=viewed(args)) if args.out else []
    print(json.dumps(data, indent=1) if args.json else "\n".join([*lines(data), *_wrote(files)]))


def _drawn(out: Path, schedules: Mapping[str, Rule], *, budgets: Sequence[int], run: Viewed) -> list[Path]:
    """The two pictures, written."""
    from preheat.pictures.budgets import View, decay_figure, spent_figure
    from preheat.pictures.plot import save_figure

    view = View(run.per_epoch, run.peak or 1.0)
    figures = {
        "decay": decay_figure(schedules, run.total, view=view),
        "budget": spent_figure(schedules, budgets, view=view),
    }
    suffix = out.suffix or ".png"
    return [save_figure(one, out.with_name(f"{out.stem}-{name}{suffix}")) for name, one in figures.items()]


def _wrote(files: Sequence[Path]) -> list[str]:
    return ["", *(f"wrote {path}" for path in files)] if files else []


def measured(
    schedules: Mapping[str, Rule], total: int, *, budgets: Sequence[int], strict: bool, known: Known
) -> dict[str, Any]:
    """All that is printed, as JSON data: a mapping for each schedule and, of two, their difference.

    strict: a schedule that does not fit one of the budgets is an error; else a note says what it lacks.
    """
    from preheat.schedules.measures.budget import budget
    from preheat.schedules.measures.convex_bound import convex_bound
    from preheat.schedules.measures.difference import difference
    from preheat.schedules.measures.insensitivity import insensitivity
    from preheat.schedules.measures.shared_start import shared_start

    rows: dict[str, dict[str, Any]] = {}
    notes = []
    for word, schedule in schedules.items():
        rows[word] = _row(schedule.resolve(total, **known), known.get("peak") or 1.0)
        rows[word]["bound"] = convex_bound(schedule, total, **known).json()
        try:
            rows[word]["insensitivity"] = insensitivity(schedule, budgets, **known).json()
            rows[word]["shared_start"] = [s._asdict() for s in shared_start(schedule, budgets, **known)]
            rows[word]["budgets"] = budget(schedule, budgets, **known)
        except UserError as error:
            if strict:
                raise UserError(f"{word} and --budgets: {error}") from error
            rows[word] |= dict.fromkeys(("insensitivity", "shared_start", "budgets"))
            notes.append(f"{word} has no insensitivity: {error}")
    best = min((row["bound"] for row in rows.values()), key=lambda b: float(b["value"]))
    for row in rows.values():
        row["bound"] |= {
            "over_least": row["bound"]["value"] / best["value"],
            "peak_over_its": row["bound"]["best_peak"] / best["best_peak"],
        }
    head = {"total": total, **known, "budgets": list(budgets), "schedules": rows, "notes": notes}
    if len(schedules) == 2:
        a, b = schedules.values()
        head["difference"] = difference(a, b, total, **known).json()
    return head


def _row(run: Resolved, peak: float) -> dict[str, Any]:
    """What the updates get and spend."""
    table = peak * run.table()
    return {
        "schedule": run.schedule.json(),
        "mean": run.mean(),
        "budget": run.mean() * run.total,
        "first": float(table[0]),
        "last": float(table[-1]),
        "fall": float((table[:-1] - table[1:]).max(initial=0.0)),
    }


def lines(data: Mapping[str, Any]) -> list[str]:
    """The table, its notes, and the difference of two schedules."""
    peak = f", peak rate {data['peak']:g}" if data["peak"] else ""
    steps = "steps" if data["total"] > 1 else "step"
    over = ", ".join(map(str, data["budgets"]))
    out = [f"{data['total']} {steps}{peak}; insensitivity and shared start over {over} {steps}", ""]
    cells = [list(_HEAD)]
    for word, row in data["schedules"].items():
        seen = row["insensitivity"]
        changes = " ".join(f"{100 * r['change']:.3g}" for r in seen["runs"]) + " %" if seen else "-"
        shared = " ".join(f"{100 * s['part']:.0f}" for s in row["shared_start"]) + " %" if seen else "-"
        numbers = [f"{row[name]:.4g}" for name in ("mean", "first", "last", "fall")]
        bound = [f"{row['bound'][name]:.3f}" for name in ("over_least", "peak_over_its")]
        cells.append([word, *numbers, changes, shared, *bound])
    out += aligned(cells) + [f"note: {note}" for note in data["notes"]]
    if "difference" in data:
        out += ["", *_difference(list(data["schedules"]), data["difference"], data["peak"] or 1.0)]
    return out


def _difference(words: list[str], d: Mapping[str, Any], peak: float) -> list[str]:
    """What sets the second schedule apart from the first."""
    a, b = words
    if d["first_step"] is None:
        return [f"{b} against {a}: every update has the same rate"]
    cells = [["step", "first", "second", "second - first"]]
    for row in d["rows"]:
        x, y = peak * row["a"], peak * row["b"]
        cells.append([str(row["step"]), f"{x:.4g}", f"{y:.4g}", f"{y - x:+.4g}"])
    return [
        f"{b} against {a}: they differ from step {d['first_step']} on, most at step {d['largest_step']}, by "
        f"{peak * d['largest']:.4g}; on average by {peak * d['l1'] / d['total']:.4g}; budget "
        f"{d['budget']:+.4g} steps at the peak rate",
        "",
        *aligned(cells),
    ]
