"""What is not a speed: do the contenders train the same thing, what did the planner see, the first step,
memory."""

from __future__ import annotations

import inspect
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any, NamedTuple
from unittest import mock

from preheat.lab.plan import Choice
from racers import Contender, Lane, environment, ours, trainer
from workloads import Workload, runs_of, study_runs

AGREE, CHECKED_STEPS = 1e-6, 20
FEW, MANY = 8, 128


def disagreement(kept: dict[Any, Any], work: Workload, others: Sequence[Contender]) -> dict[str, float]:
    """{name: the greatest |loss - plain loop's loss|} over 20 float64 steps.

    Of 10 examples a class, so that these are some epochs with their smaller last batches.
    """
    import numpy as np

    def first(who: Contender) -> Any:
        made = trainer(who, work, precision="float64", per_class=10)
        count, total = 0, runs_of(work, 1, per_class=10)[0].total_steps
        wanted = (
            (who.runs - 1) * total + CHECKED_STEPS
            if who.kind in ("plain", "fused")
            else who.runs * CHECKED_STEPS
        )
        for taken in made.steps():
            count += taken
            if count >= wanted:
                break
        made.wait()
        return made.losses()[:, :CHECKED_STEPS]

    plain = {n: first(Contender("plain", "plain", n)) for n in {w.runs for w in others}}
    return {w.name: float(np.abs(first(w) - plain[w.runs]).max()) for w in others}


class Chosen(NamedTuple):
    """What the planner chose for `runs` runs of `run_steps` in all, on `jobs` workers.

    tried: (size, realise, seconds a run-step, seconds before the first step).
    """

    choice: Choice
    tried: list[tuple[int, str, float, float]]
    runs: int
    run_steps: int
    jobs: int


def chosen(kept: dict[Any, Any], work: Workload, n: int | None, jobs: int) -> Chosen | None:
    """Ask the planner: for `n` runs, or (None) for the whole study; None where it can't plan for the
    device."""
    from preheat.lab import measure

    more = {"device": work.device} if "device" in inspect.signature(measure.choose).parameters else {}
    if work.device != "cpu" and not more:
        return None
    runs = list(runs_of(work, n)) if n else study_runs(work)
    tried: list[tuple[int, str, float, float]] = []
    plainly, pick = measure.seconds_per_run_step, measure.placement
    names: list[Choice] = []

    def place(choice: Choice, *args: Any) -> Any:
        names.append(choice)
        return pick(choice, *args)

    def timed(*args: Any) -> tuple[float, float]:
        found = plainly(*args)
        tried.append((names[-1].size, names[-1].realise, *found))
        return found

    with (
        mock.patch.object(measure, "placement", place),
        mock.patch.object(measure, "seconds_per_run_step", timed),
    ):
        memory = (
            os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2 // jobs
            if hasattr(os, "sysconf")
            else 2 << 30
        )
        choice = measure.choose(runs, jobs=jobs, memory=memory, **more)
    return Chosen(choice, tried, len(runs), sum(r.total_steps for r in runs), jobs)


def why(c: Chosen) -> str:
    """The choice's reason in words, from the planner's own figures."""
    from preheat.lab.measure import COMPILE_SECONDS

    before = [t for t in c.tried if t[1] != "compiled"]
    left = min(t[2] for t in before) * c.run_steps / c.jobs
    compiled = next((t for t in c.tried if t[1] == "compiled"), None)
    if compiled is None:
        least = f"{2 * COMPILE_SECONDS:.0f} s"
        return f"fastest of those tried; the whole takes {left:.1f} s, too little to try compiling ({least})"
    whole = f"{compiled[2] * c.run_steps / c.jobs:.1f} s + {COMPILE_SECONDS:.0f} s a worker"
    verdict = "pays" if c.choice.realise == "compiled" else "does not pay"
    return f"compiling {verdict}: {whole}, against {left:.1f} s (it took {compiled[3]:.1f} s now)"


def first_step(kept: dict[Any, Any], who: Contender, work: Workload) -> tuple[float, float]:
    """(seconds to import, seconds from there to the end of the first update) in a fresh process."""
    begun = time.perf_counter()
    if who.kind in ("jax", "scan"):
        import jax  # noqa: F401
    else:
        import torch.func  # noqa: F401
    ready = time.perf_counter()
    made = trainer(who, work)
    next(made.steps())
    made.wait()
    return ready - begun, time.perf_counter() - ready


def cold_and_warm(who: Contender, work: Workload) -> tuple[float, float]:
    """Seconds to the first step with empty compiler caches, and again in another process with what the first
    left there."""
    with tempfile.TemporaryDirectory() as folder:
        caches = {"TORCHINDUCTOR_CACHE_DIR": f"{folder}/torch", "JAX_COMPILATION_CACHE_DIR": f"{folder}/jax"}
        env = {**caches, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
        found = []
        for _ in range(2):
            lane = Lane(env=env)
            found.append(lane.call(first_step, who, work)[1])
            lane.close()
    return found[0], found[1]


def peak(kept: dict[Any, Any], who: Contender, work: Workload) -> tuple[float, float]:
    """(the process's peak of resident or CUDA memory in bytes, bytes of the contender's state) after an epoch
    of training."""
    made = trainer(who, work)
    count, steps = 0, made.steps()
    while count <= runs_of(work, 1)[0].steps_per_epoch * who.runs:
        count += next(steps)
    made.wait()
    return peak_bytes(who, work.device), made.state_bytes()


def peak_bytes(who: Contender, device: str) -> float:
    """The peak of the device's memory, or this process's of resident memory.

    On Linux from /proc, since getrusage there also counts the parent before it became this process.
    """
    if device.startswith("cuda"):
        return cuda_bytes(who)
    if os.path.exists("/proc/self/status"):
        with open("/proc/self/status") as file:
            line = next(text for text in file if text.startswith("VmHWM"))
        return float(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1.0 if sys.platform == "darwin" else 1024.0)


def cuda_bytes(who: Contender) -> float:
    """The peak of memory that the contender's library held on the first CUDA device."""
    if who.kind in ("jax", "scan"):
        import jax

        return float(jax.devices()[0].memory_stats()["peak_bytes_in_use"])
    import torch

    return float(torch.cuda.max_memory_allocated())


class Memory(NamedTuple):
    """Bytes: state of one run, peaks of a process with few and with many runs (None where runs are not held
    together)."""

    state: float
    few: float
    many: float | None

    @property
    def each(self) -> float | None:
        """What one more run adds to the peak."""
        return None if self.many is None else (self.many - self.few) / (MANY - FEW)


def memory(kind: str, realise: str, work: Workload) -> Memory:
    """Memory of one kind of contender, each size in a process of its own."""
    found = []
    for n in (FEW, MANY) if kind != "plain" else (1,):
        who = ours(n, realise) if kind == "ours" else Contender(kind, kind, n)
        lane = Lane()
        found.append((*lane.call(peak, who, work), n))
        lane.close()
    few, state, n = found[0]
    return Memory(state / n, few, found[1][0] if len(found) > 1 else None)


def estimate(work: Workload) -> int:
    """What the planner counts for one run."""
    from preheat.lab.measure import run_bytes

    return run_bytes(runs_of(work, 1)[0])


def check(work: Workload, others: Sequence[Contender]) -> dict[str, float]:
    """Stop unless all contenders train what the plain loop trains."""
    with environment({"JAX_ENABLE_X64": "1"}):
        lane = Lane()
    found: dict[str, float] = lane.call(disagreement, work, others)
    lane.close()
    wrong = {n: d for n, d in found.items() if not d <= AGREE}
    if wrong:
        raise SystemExit(
            f"{work}: after {CHECKED_STEPS} float64 steps these losses are not those of the plain loop: "
            f"{wrong}"
        )
    return found
