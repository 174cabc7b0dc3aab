"""What one would use instead: a loop in plain PyTorch, one run after the other, and JAX's vmap + jit.

A trainer has `steps()`, which trains for ever and gives the number of run-steps taken since it last did;
`wait()`, which returns when all of them are done; `losses()`, [R, steps] of the runs in training; and
`state_bytes()`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from preheat.core.run import Run
from workloads import Plain

Tree = Any


class Trainer(Protocol):
    """See the module's text."""

    def steps(self) -> Iterator[int]: ...

    def wait(self) -> None: ...

    def losses(self) -> np.ndarray: ...

    def state_bytes(self) -> float: ...


def network(model: str) -> Any:
    """The same networks as the task's, as one writes them."""
    from torch import nn

    if model == "mlp":
        return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    one = (nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2))
    two = (nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2))
    return nn.Sequential(*one, *two, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))


def torch_optimizer(run: Run, params: Any, fused: bool) -> Any:
    """torch's own optimizer, with its default settings or fused."""
    import torch

    o, more = run.optimizer.options, {"fused": True} if fused else {}
    if run.optimizer.name == "sgd":
        return torch.optim.SGD(
            params, lr=run.peak_lr, momentum=o["momentum"], weight_decay=o["weight_decay"], **more
        )
    betas = (o["beta1"], o["beta2"])
    return torch.optim.AdamW(
        params, lr=run.peak_lr, betas=betas, eps=o["eps"], weight_decay=o["weight_decay"], **more
    )


class PlainLoop:
    """The loop a careful user writes: data and losses on the device, batches gathered by index, one run after
    the other."""

    def __init__(self, job: Plain, *, fused: bool = False) -> None:
        self.job, self.fused = job, fused
        self.kept: list[Any] = []

    def steps(self) -> Iterator[int]:
        """One run after the other, then all again."""
        while True:
            self.kept = []
            for r in range(len(self.job.runs)):
                yield from self._run(r)

    def _run(self, r: int) -> Iterator[int]:
        from torch.nn.functional import cross_entropy

        job, run = self.job, self.job.runs[r]
        net = network(run.task.options["model"]).to(job.x)
        net.load_state_dict(job.starts[r])
        net.train()
        optimizer = torch_optimizer(run, net.parameters(), self.fused)
        self.net, self.optimizer = net, optimizer
        rates = job.rates[r].tolist()
        losses = job.x.new_full((run.total_steps,), np.nan)
        self.kept.append(losses)
        k = 0
        for epoch in range(run.total_steps // run.steps_per_epoch):
            for rows in job.order(epoch)[r].split(run.batch_size):
                for group in optimizer.param_groups:
                    group["lr"] = rates[k]
                optimizer.zero_grad()
                loss = cross_entropy(net(job.x[rows]), job.y[rows])
                loss.backward()
                optimizer.step()
                losses[k] = loss.detach()
                k += 1
                yield 1

    def wait(self) -> None:
        """Wait for the device."""
        torch_wait(str(self.job.x.device))

    def losses(self) -> np.ndarray:
        """[runs begun, T], NaN where not yet trained."""
        return np.stack([t.cpu().numpy() for t in self.kept])

    def state_bytes(self) -> float:
        """Bytes of weights, statistics and the optimizer's tensors."""
        inner = [t for s in self.optimizer.state.values() for t in s.values() if hasattr(t, "numel")]
        return float(sum(t.numel() * t.element_size() for t in [*self.net.state_dict().values(), *inner]))


def torch_wait(device: str) -> None:
    """Wait until a CUDA device has done all it was given."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize()


def forward(model: str, p: Tree, stats: Tree, x: Any) -> tuple[Any, Tree]:
    """(logits [B, C], new running statistics) of one run, in plain JAX; images are [B, 8, 8, C]."""
    import jax
    from jax import numpy as jnp

    if model == "mlp":
        for i in (0, 2):
            x = jax.nn.relu(x @ p[f"{i}.weight"] + p[f"{i}.bias"])
        return x @ p["4.weight"] + p["4.bias"], stats
    new = {}
    for conv, norm in (("0", "1"), ("4", "5")):
        x = jax.lax.conv_general_dilated(
            x, p[f"{conv}.weight"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        mean, var, n = x.mean((0, 1, 2)), x.var((0, 1, 2)), x.size // x.shape[-1]
        for name, now in (("mean", mean), ("var", var * n / (n - 1))):
            new[f"{norm}.running_{name}"] = 0.9 * stats[f"{norm}.running_{name}"] + 0.1 * now
        x = jax.nn.relu((x - mean) * jax.lax.rsqrt(var + 1e-5) * p[f"{norm}.weight"] + p[f"{norm}.bias"])
        pairs = jnp.maximum(x[:, ::2], x[:, 1::2])
        x = jnp.maximum(pairs[:, :, ::2], pairs[:, :, 1::2])  # faster here than lax.reduce_window
    return x.mean((1, 2)) @ p["10.weight"] + p["10.bias"], new


def jax_optimizer(run: Run) -> tuple[Callable[[Tree], Tree], Callable[..., tuple[Tree, Tree]]]:
    """(init, update) of the run's optimizer in plain JAX."""
    import jax
    from jax import numpy as jnp

    o, each = run.optimizer.options, jax.tree.map

    def sgd(g: Tree, s: Tree, p: Tree, lr: Any) -> tuple[Tree, Tree]:
        m = each(lambda m, g, p: o["momentum"] * m + g + o["weight_decay"] * p, s["m"], g, p)
        return each(lambda p, m: p - lr * m, p, m), {"m": m}

    def adamw(g: Tree, s: Tree, p: Tree, lr: Any) -> tuple[Tree, Tree]:
        t, b1, b2 = s["t"] + 1, o["beta1"], o["beta2"]
        m = each(lambda m, g: b1 * m + (1 - b1) * g, s["m"], g)
        v = each(lambda v, g: b2 * v + (1 - b2) * g * g, s["v"], g)
        one, two = 1 - b1**t, jnp.sqrt(1 - b2**t)
        new = each(
            lambda p, m, v: p * (1 - lr * o["weight_decay"]) - lr / one * m / (jnp.sqrt(v) / two + o["eps"]),
            p,
            m,
            v,
        )
        return new, {"m": m, "v": v, "t": t}

    def zeros(p: Tree) -> Tree:
        return each(jnp.zeros_like, p)

    if run.optimizer.name == "sgd":
        return (lambda p: {"m": zeros(p)}), sgd
    return (lambda p: {"m": zeros(p), "v": zeros(p), "t": jnp.zeros((), next(iter(p.values())).dtype)}), adamw


class JaxFleet:
    """All runs together: jit(vmap(step)), one call an update; with `scan`, one call for an epoch's full
    batches."""

    def __init__(self, job: Plain, *, scan: bool) -> None:
        import jax
        from jax import numpy as jnp

        self.job, self.scan = job, scan
        self.kept: list[Any] = []
        model = job.runs[0].task.options["model"]
        self.init, update = jax_optimizer(job.runs[0])
        x = job.x.cpu().numpy()
        self.data = (
            jnp.asarray(x if model == "mlp" else x.transpose(0, 2, 3, 1)),
            jnp.asarray(job.y.cpu().numpy()),
        )

        def one(state: Tree, data: Tree, rows: Any, lr: Any) -> tuple[Tree, Any]:
            params, stats, opt = state
            labels = data[1][rows]

            def loss(p: Tree) -> tuple[Any, Tree]:
                logits, new = forward(model, p, stats, data[0][rows])
                return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1).mean(), new

            (value, stats), grads = jax.value_and_grad(loss, has_aux=True)(params)
            params, opt = update(grads, opt, params, lr)
            return (params, stats, opt), value

        many = jax.vmap(one, in_axes=(0, None, 0, 0))
        self.step = jax.jit(many, donate_argnums=0)
        self.block = jax.jit(
            lambda s, d, rows, lr: jax.lax.scan(lambda s, e: many(s, d, *e), s, (rows, lr)), donate_argnums=0
        )

    def steps(self) -> Iterator[int]:
        """All runs together to their end, then all again."""
        run, runs = self.job.runs[0], len(self.job.runs)
        n, size = run.steps_per_epoch, run.batch_size
        rates = self.job.rates.T.astype(self.data[0].dtype)
        while True:
            self.state, self.kept = self._start(), []
            for epoch in range(run.total_steps // n):
                rows = self.job.order(epoch).cpu().numpy().astype(np.int32)
                k = rows.shape[1] // size if self.scan else 0
                lr = rates[epoch * n : (epoch + 1) * n]
                if k:
                    full = np.ascontiguousarray(rows[:, : k * size].reshape(runs, k, size).swapaxes(0, 1))
                    self.state, value = self.block(self.state, self.data, full, lr[:k])
                    self.kept.append(value)
                    yield runs * k
                for i in range(k, n):
                    self.state, value = self.step(
                        self.state, self.data, rows[:, i * size : (i + 1) * size], lr[i]
                    )
                    self.kept.append(value)
                    yield runs

    def _start(self) -> Tree:
        import jax
        from jax import numpy as jnp

        def join(wanted: Callable[[str], bool]) -> Tree:
            names = [n for n in self.job.starts[0] if wanted(n) and "num_batches" not in n]
            return {n: jnp.stack([_turned(s[n].cpu().numpy()) for s in self.job.starts]) for n in names}

        params = join(lambda n: "running" not in n)
        return params, join(lambda n: "running" in n), jax.vmap(self.init)(params)

    def wait(self) -> None:
        """Wait for what was dispatched."""
        import jax

        jax.block_until_ready(self.state)

    def losses(self) -> np.ndarray:
        """[R, steps taken]."""
        return np.concatenate([np.atleast_2d(np.asarray(v)) for v in self.kept]).T

    def state_bytes(self) -> float:
        """Bytes of all runs' state."""
        import jax

        return float(sum(t.nbytes for t in jax.tree.leaves(self.state)))


def _turned(w: np.ndarray) -> np.ndarray:
    """torch's weights in JAX's order: [out, in] to [in, out], [O, I, H, W] to [H, W, I, O]."""
    return w.transpose(2, 3, 1, 0) if w.ndim == 4 else w.T
