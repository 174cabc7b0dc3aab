"""What measuring the sharpness adds to training: the monitor in a plain loop, the probe in a run."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import nn, optim
from torch.nn.functional import cross_entropy

from preheat.adapters.monitor import CurvatureMonitor
from preheat.core.spec import build, spec
from preheat.engine.keys import generator
from preheat.engine.loop import set_up, train
from preheat.engine.placement import single
from workloads import Workload, runs_of

BATCH = 32


def used(device: str) -> float:
    """CPU seconds of this process; on a GPU wall seconds."""
    if device == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def loop(model: str, steps: int, device: str) -> tuple[float, int]:
    """(what the monitor's calls took, in % of the rest of the loop; measurements) of a plain loop with AdamW
    on the task digits."""
    torch.manual_seed(0)
    task = build("task", spec("digits", model=model))
    data, net = task.data().train, task.network().to(device)
    x, y = data["x"].to(device, torch.float32), data["y"].to(device)
    optimizer, seeded = optim.AdamW(net.parameters(), lr=1e-3), generator(0, "order")
    rows = torch.randint(len(y), (steps, BATCH), generator=seeded).to(device)
    watching, spent, before = CurvatureMonitor(loss_fn, (x[:128], y[:128])), 0.0, used(device)
    for picked in rows:
        optimizer.zero_grad()
        loss_fn(net, (x[picked], y[picked])).backward()
        optimizer.step()
        begun = used(device)
        watching.step(net, optimizer)
        spent += used(device) - begun
    return 100 * spent / (used(device) - before - spent), len(watching.rows)


def loss_fn(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    return cross_entropy(model(batch[0]), batch[1])


def engine(model: str, epochs: int, device: str, realise: str, probe: bool) -> tuple[float, int]:
    """(seconds, measurements) of a run of ours, prepared before; it measures where the probe does by
    default."""
    one = runs_of(Workload(model, "adamw", device), 1)[0].but(length=f"{epochs}ep", evaluate=f"{epochs}ep")
    if probe:
        one = one.but(probes=[spec("sharpness")])
    setup = set_up([one], single(realise, device))
    before = used(device)
    for _ in train(setup):
        pass
    return used(device) - before, sum(len(p.steps) for p in setup.probes)


def added(model: str, epochs: int, device: str, realise: str) -> tuple[float, int]:
    """(what the probe adds to the same run without, in %; measurements), in either order."""
    taken = {on: engine(model, epochs, device, realise, on) for on in random.sample((True, False), 2)}
    return (taken[True][0] / taken[False][0] - 1) * 100, taken[True][1]


def report(device: str, rounds: int, *, quick: bool = False) -> None:
    """A Markdown table: the share that tracking adds, round by round."""
    print(f"\n## Tracking, n = {rounds}\n\n| training | tracked by | measurements | adds to training, % |")
    print("|---|---|---|---|")
    for model in ("mlp", "cnn"):
        steps, epochs = (300, 10) if quick else {"mlp": (3000, 60), "cnn": (2000, 32)}[model]
        cases: dict[tuple[str, str], Callable[[], tuple[float, int]]] = {}
        key = f"plain loop, {model.upper()}, {steps} updates", "CurvatureMonitor"
        cases[key] = partial(loop, model, steps, device)
        for realise in ("eager", "traced"):
            key = f"a run of ours, {realise}, {model.upper()}, {epochs} epochs", "probe sharpness"
            cases[key] = partial(added, model, epochs, device, realise)
        for (training, by), case in cases.items():
            case()  # what is done once a process
            shares, counts = zip(*(case() for _ in range(rounds)), strict=True)
            middle = f"{statistics.median(shares):.1f} ({min(shares):.1f} to {max(shares):.1f})"
            print(f"| {training} | {by} | {min(counts)} to {max(counts)} | {middle} |", flush=True)
