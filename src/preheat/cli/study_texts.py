"""What `preheat study` says of its runs: how many, how they are trained, and what that costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from preheat.core.progress import clock
from preheat.core.run import Run
from preheat.core.study import Point
from preheat.core.words import count, listed

if TYPE_CHECKING:
    from preheat.lab.plan import Choice, Unit
    from preheat.lab.study import How, Todo

SUSTAINED = 1e14  # operations a second of a large GPU in bf16: what the projected hours assume
NAMED = 5  # runs named one by one
LEAST = 1e14  # operations of a study that is worth a GPU's name


def counted(points: Sequence[Point]) -> str:
    """How many runs are declared, and how many settings they are where some are the same.

    >>> counted([Point({}, 0, Run(), ("a", "b")), Point({}, 1, Run(seed=1), ("c",))])
    '3 settings declared, 2 distinct runs (1 is the same run as another)'
    """
    settings = sum(max(len(p.names), 1) for p in points)
    same = settings - len(points)
    if not same:
        return f"{count(len(points), 'run')} declared"
    are = "is the same run as another" if same == 1 else "are the same run as another"
    return f"{settings} settings declared, {len(points)} distinct runs ({same} {are})"


def planned(made: Todo, how: How) -> str:
    """What there is to do: runs, fleets, memory, time."""
    missing = sum(len(u.runs) for u in made.units)
    have = len(made.points) - missing + len(made.again)
    first = f"{have} {'has a record' if have == 1 else 'have records'}, {missing} to train"
    after = (
        f"then at most {count(made.most, 'run')} more, which stages choose by their records; memory, time "
        "and operations are told without these"
    )
    if not missing:
        return f"{first}{'; ' + after if made.most else ''}."
    kinds: dict[Choice, list[Unit]] = {}
    for unit in made.units:
        kinds.setdefault(unit.choice, []).append(unit)
    workers = how.workers_on(made.device)
    memory, time = made.memory * workers / 2**20, clock(made.seconds(workers))
    lines = [f"{first}:", *(_way(choice, some) for choice, some in kinds.items())]
    total = f"{count(workers, 'worker')}, about {memory:.0f} MiB for the runs and {time}"
    more = [f"  {after}"] if made.most else []
    return "\n".join([*lines, f"  on {made.device}: {total}", *_weights(made, how), *more])


def _weights(made: Todo, how: How) -> Iterator[str]:
    """The weights that will be kept, and the runs that are trained for them only."""
    kept = how.kept(made.study)
    if kept is None:
        return
    from preheat.lab.weights import weight_bytes

    runs = [r for u in made.units for r in u.runs]
    yield f"  {kept}: {count(len(runs), 'file')}, {weight_bytes(runs, kept):,} bytes"
    if made.again:
        names = [r.id for r in runs if r.id in made.again]
        more = [f"{len(names) - NAMED} more"] if len(names) > NAMED else []
        yield f"  trained again only for them, with a record already: {listed([*names[:NAMED], *more])}"


def _way(choice: Choice, units: Sequence[Unit]) -> str:
    """One way of training, and what is trained so."""
    sizes = sorted({len(u.runs) for u in units})
    size = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    fleets = f"{count(len(units), 'fleet')} of {size} runs"
    alone = f"{count(sum(len(u.runs) for u in units), 'run')} one by one"
    steps = sum(u.run_steps for u in units)
    many = fleets if choice.size > 1 else alone
    return f"  {many}, {choice.way}, {steps:,} run-steps at {choice.seconds * 1e6:.0f} us"


def gpu_hours(runs: Sequence[Run]) -> str:
    """What a GPU would need for all runs, as a line; nothing for what is no work for one."""
    from preheat.lab.flops import study_flops

    work = study_flops(runs)
    if work < LEAST:
        return ""
    size, unit = (1e18, "EFLOP") if work >= 1e17 else (1e15, "PFLOP")
    hours = work / SUSTAINED / 3600
    long = f"{hours:.1f} GPU hours" if hours >= 1 else f"{hours:.2g} GPU hours"
    pace = f"{SUSTAINED / 1e12:.0f} TFLOP/s sustained"
    return f"{work / size:.2f} {unit}: {long} at {pace}, which is assumed and not measured\n"


def probe_cost(runs: Sequence[Run], root: Path) -> str:
    """What the probes took of the training time, as a line; nothing where there are none."""
    probed = {run.id for run in runs if run.probes}
    if not probed:
        return ""
    from preheat.store.store import Store

    known = [h.provenance for h in Store.open(root, create=False).heads() if h.id in probed]
    spent = [
        (float(p["probe_seconds"]), float(p["seconds"]))
        for p in known
        if "probe_seconds" in p and p.get("seconds")
    ]
    if not spent:
        return ""
    inside, total = map(sum, zip(*spent, strict=True))
    return f"probes: {100 * inside / total:.0f} % of the training time\n"
