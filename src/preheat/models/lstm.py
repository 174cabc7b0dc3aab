"""An LSTM in plain operations: the kernels of `nn.LSTM` have no rule under vmap, and on a CPU no second
derivative in every direction."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

State = tuple["Tensor", "Tensor"]
Weights = list[tuple["Tensor", "Tensor", "Tensor"]]


def lstm(inputs: int, hidden: int, *, layers: int = 1) -> nn.Module:
    """A module: (x [B, T, inputs], state or None) -> (out [B, T, hidden], (h, c), each [layers, B, hidden]).

    With i, f, g, o the four parts of W_ih x_t + b_ih + W_hh h + b_hh: c <- sigmoid(f) c + sigmoid(i) tanh(g)
    and h <- sigmoid(o) tanh(c). Parameters have the names, shapes and initialisation of torch's
    `nn.LSTM(batch_first=True)`, whose state_dict it takes. Hochreiter & Schmidhuber, Neural Computation 9
    (1997) 1735.
    """
    made: nn.Module = _class()(inputs, hidden, layers)
    return made


@lru_cache(maxsize=1)
def _class() -> Any:
    import torch
    from torch import nn

    class LSTM(nn.Module):
        def __init__(self, inputs: int, hidden: int, layers: int) -> None:
            super().__init__()
            self.hidden, self.layers = hidden, layers
            for n in range(layers):
                wide = inputs if n == 0 else hidden
                shapes = {"weight_ih": (4 * hidden, wide), "weight_hh": (4 * hidden, hidden)}
                shapes |= {"bias_ih": (4 * hidden,), "bias_hh": (4 * hidden,)}  # type: ignore[dict-item]
                for name, shape in shapes.items():
                    weight = nn.Parameter(torch.empty(shape).uniform_(-(hidden**-0.5), hidden**-0.5))
                    self.register_parameter(f"{name}_l{n}", weight)

        def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
            zeros = x.new_zeros(self.layers, len(x), self.hidden)
            ends, (h0, c0) = [], state or (zeros, zeros)
            for (w_x, w_h, bias), h, c in zip(self.weights(), h0.unbind(0), c0.unbind(0), strict=True):
                out = []
                for given in (x @ w_x + bias).unbind(1):
                    h, c = _cell(given + h @ w_h, c)
                    out.append(h)
                x = torch.stack(out, 1)
                ends.append((h, c))
            h, c = (torch.stack(part) for part in zip(*ends, strict=True))
            return x, (h, c)

        def weights(self) -> Weights:
            """Of each layer: [inputs, 4 hidden], [hidden, 4 hidden] and [4 hidden], for a step at a time."""
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            every = ((getattr(self, f"{name}_l{n}") for name in names) for n in range(self.layers))
            return [(w_x.T, w_h.T, b_x + b_h) for w_x, w_h, b_x, b_h in every]

    return LSTM


def lstm_step(x: Tensor, states: list[State], weights: Weights) -> list[State]:
    """One step of the module that gave `weights`: x [B, inputs] and each layer's (h, c), [B, hidden], to
    those after it. The last layer's h is the output."""
    out: list[State] = []
    for (w_x, w_h, bias), (h, c) in zip(weights, states, strict=True):
        out.append(_cell(x @ w_x + bias + h @ w_h, c))
        x = out[-1][0]
    return out


def _cell(gates: Tensor, c: Tensor) -> State:
    """(h, c) after a step, from W_ih x + b_ih + W_hh h + b_hh and the c before it."""
    i, f, g, o = gates.chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c
