"""What trackers call runs: {optimizer}_{schedule}({epochs})[what else differs], and with the seed one run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from preheat.adapters.trackers.base import Told
from preheat.core.canon import canonical
from preheat.core.grid import leaves
from preheat.core.run import Run
from preheat.schedules.combine.beginning import whole

NAME, SEED = ".name", "seed"
OPTIMIZER, SCHEDULE, LENGTH = f"optimizer{NAME}", f"schedule{NAME}", "length"


def named(runs: Sequence[Run], *, always: Collection[str] = (), spans: Mapping[str, int]) -> dict[str, Told]:
    """{run id: what trackers are told of it} of runs that belong together.

    A group tells in brackets the settings in which the runs differ, but for those of another optimizer,
    schedule or task, and what its schedule moves beside the rate. A run that is the beginning of a longer one
    goes by that one's settings. always: paths that it tells wherever a run has them. spans: {run id: updates
    in an epoch}.
    """
    longer = {run.id: whole(run) or run for run in runs}
    flats = {run.id: flat(longer[run.id]) for run in runs}
    shown = _shown(flats.values(), always)
    words = _short(shown)
    found = {}
    for run in runs:
        settings, moved = flats[run.id], _moved(run)
        told = [p for p in shown if settings.get(p) is not None and not (moved and p.startswith("also."))]
        inside = ",".join(f"{words[p]}={text(settings[p])}" for p in told)
        of = longer[run.id]
        long = length(run) if of is run else f"{length(run)} of {length(of)}"
        optimizer, schedule = settings[OPTIMIZER], settings[SCHEDULE]
        group = f"{optimizer}_{schedule}({long})" + (f"[{inside}]" if inside else "")
        name = f"{group}[{run.seed}]"
        tags = (f"{long} epochs" if run.length.unit == "epochs" else long, optimizer, schedule)
        found[run.id] = Told(run, group, name, settings, spans.get(run.id, 0), tags)
    return found


def _moved(run: Run) -> bool:
    """Whether what moves beside the rate is what the schedule says of itself."""
    of = whole(run) or run
    said = getattr(of.schedule, "also", None)
    if not of.also or said is None:
        return False
    return bool({**said(of.total_steps, of.steps_per_epoch)} == {**of.also})


def flat(run: Run) -> dict[str, Any]:
    """A run's settings, {path: value}; a length as its text, a list as JSON.

    >>> settings = flat(Run(task="quadratic", optimizer="sgd", length="20"))
    >>> settings["optimizer.name"], settings["length"], settings["evaluate"]
    ('sgd', '20', '5%')
    """
    data = {k: v for k, v in run.json().items() if k not in ("format", LENGTH, "evaluate")}
    settings = {path: canonical(v) if isinstance(v, list) else v for path, v in leaves(data)}
    return {**settings, LENGTH: str(run.length), "evaluate": str(run.evaluate)}


def length(run: Run) -> str:
    """A run's length in epochs, else with its unit."""
    number = f"{run.length.value:g}"
    return number if run.length.unit == "epochs" else f"{number} {run.length.unit}"


def text(value: Any) -> str:
    """A value as a name tells it."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _shown(flats: Iterable[Mapping[str, Any]], always: Collection[str]) -> list[str]:
    """The paths that a group tells, in the order of settings."""
    flats = list(flats)
    paths = dict.fromkeys(path for settings in flats for path in settings)
    left_out = (OPTIMIZER, SCHEDULE, LENGTH, SEED)
    return [p for p in paths if p not in left_out and (p in always or _differs(flats, p))]


def _differs(flats: Sequence[Mapping[str, Any]], path: str) -> bool:
    """Whether runs of one owner, such as a schedule, have different values there, or some of them none."""
    parts = path.split(".")
    owners = [".".join(parts[:i]) + NAME for i in range(1, len(parts))]
    seen: dict[tuple[Any, ...], set[Any]] = {}
    for settings in flats:
        owner = tuple(settings.get(one) for one in owners if one != path)
        seen.setdefault(owner, set()).add(settings.get(path))
    return any(len(values) > 1 for values in seen.values())


def _short(paths: Sequence[str]) -> dict[str, str]:
    """Each path's last word, or the whole path where two have the same."""
    last = {path: path.removesuffix(NAME).rpartition(".")[2] for path in paths}
    words = list(last.values())
    return {path: word if words.count(word) == 1 else path for path, word in last.items()}
