"""What critical_lr and lr_range_test tell of the rate that trains a small network best (docs/lr-finder.md).

    python benchmarks/lr_finder.py --seeds 10

Each seed has its own initial weights and order. A run is 300 updates with a rate that falls linearly to 0,
with and without a warmup of 30 updates, at rates a factor of 2 apart. "best": the rate of the lowest test
loss; "edge": the largest rate whose test loss is below 1 (chance is 2.3). About 2 minutes on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn, optim

from preheat.adapters.critical import critical_lr
from preheat.adapters.range_test import lr_range_test
from preheat.core.errors import UserError

STEPS, ORDERS, DRAWN, PROBE = 300, 5, 5, 1000  # updates, repeats, batches of critical_lr, the seed of those
Batch = tuple[Tensor, Tensor]
Make = Callable[[Iterable[Tensor]], optim.Optimizer]
KINDS: dict[str, tuple[Make, np.ndarray]] = {
    "SGD, momentum 0.9": (lambda ps: optim.SGD(ps, lr=0.1, momentum=0.9), 2.0 ** np.arange(-6, 3)),
    "AdamW": (lambda ps: optim.AdamW(ps, lr=1e-3), 2.0 ** np.arange(-8, 1)),
}


def data() -> tuple[Batch, Batch]:
    images, labels = load_digits(return_X_y=True)
    x, y = torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels)
    return (x[:1400], y[:1400]), (x[1400:], y[1400:])


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    sizes = (64, 32), (32, 32), (32, 10)
    first, second, last = (nn.Linear(*s) for s in sizes)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), last)


def loss_fn(model: nn.Module, batch: Batch) -> Tensor:
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


def drawn(train: Batch, seed: int, n: int) -> list[Batch]:
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.randint(len(train[1]), (64,), generator=generator) for _ in range(n)]
    return [(train[0][r], train[1][r]) for r in rows]


def trained(make: Make, batches: list[Batch], rate: float, *, seed: int, warmup: int = 0):
    """(model, optimizer) after a run."""
    model = network(seed)
    optimizer = make(model.parameters())
    for k, batch in enumerate(batches):
        optimizer.zero_grad()
        loss_fn(model, batch).backward()
        optimizer.param_groups[0]["lr"] = rate * min((k + 1) / max(warmup, 1), 1) * (1 - k / len(batches))
        optimizer.step()
    return model, optimizer


def table(kind: str, make: Make, rates: np.ndarray, seeds: range) -> np.ndarray:
    """[W, S, V]: the test losses of all runs, without and with warmup; infinite where not finite."""
    train, test = data()
    found = np.empty((2, len(seeds), len(rates)))
    for w, s, v in np.ndindex(found.shape):
        model, _ = trained(make, drawn(train, seeds[s], STEPS), rates[v], seed=seeds[s], warmup=30 * w)
        with torch.no_grad():
            found[w, s, v] = float(loss_fn(model, test))
    return np.where(np.isfinite(found), found, np.inf)


def critical(model: nn.Module, optimizer: optim.Optimizer, batches: list[Batch], start: float) -> list[float]:
    """A rate for each batch, NaN where the next update goes uphill."""
    out = []
    for batch in batches:
        try:
            out.append(float(critical_lr(model, loss_fn, batch, optimizer, start=start)))
        except UserError:
            out.append(np.nan)
    return out


def shown(label: str, values: object, where: str = "") -> None:
    """Median, range and n of what was found."""
    found = np.asarray(values, dtype=np.float64).ravel()
    some = found[np.isfinite(found)]
    line = f"{np.median(some):8.3g} {some.min():8.3g} {some.max():8.3g}"
    print(f"{label:<42}{line}  {len(some)} of {len(found)} {where}")


def one(kind: str, seeds: range) -> None:
    make, rates = KINDS[kind]
    train, _ = data()
    losses = table(kind, make, rates, seeds)
    print(f"\n{kind:<42}{'median':>8} {'least':>8} {'greatest':>8}  n")
    for w, words in enumerate(("without warmup", "10 % warmup")):
        shown(f"best rate, {words}", rates[losses[w].argmin(-1)], "seeds")
        shown(f"edge, {words}", [rates[np.flatnonzero(row < 1)[-1]] for row in losses[w]], "seeds")
    tests = []
    for s in seeds:
        model = network(s)
        optimizer = make(model.parameters())
        tests.append(lr_range_test(model, loss_fn, drawn(train, s, 100), optimizer, repeats=ORDERS))
    for name, words in (("fastest", "falls fastest"), ("lowest", "is lowest"), ("diverges", "diverges")):
        each = [getattr(t, name) for t in tests]
        shown(f"range test: {words}", each, "seeds x orders")
        spread = [t.spread(name) for t in tests]
        shown("  greatest / least of 5 orders", [s.greatest / s.least for s in spread], "seeds")
    probes, before, after = drawn(train, PROBE, DRAWN), [], []
    middle = float(np.median(rates[losses[0].argmin(-1)]))
    for s in seeds:
        model = network(s)
        before.append(critical(model, make(model.parameters()), probes, middle))
        after.append(critical(*trained(make, drawn(train, s, STEPS), middle, seed=s), probes, middle))
    shown("critical_lr before training", before, "seeds x batches")
    shown("  greatest / least of 5 batches", np.max(before, 1) / np.min(before, 1), "seeds")
    shown("critical_lr after a run at the best rate", after, "seeds x batches")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10)
    seeds = range(parser.parse_args().seeds)
    torch.set_num_threads(1)
    for kind in KINDS:
        one(kind, seeds)


if __name__ == "__main__":
    main()
