"""An LSTM in plain operations: the kernels of `nn.LSTM` have no rule under vmap, and on a CPU no second
derivative in every direction."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

State = tuple["Tensor", "Tensor"]


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
            for n in range(self.layers):
                x, end = self.layer(x, n, (h0[n], c0[n]))
                ends.append(end)
            h, c = (torch.stack(part) for part in zip(*ends, strict=True))
            return x, (h, c)

        def layer(self, x: Tensor, n: int, state: State) -> tuple[Tensor, State]:
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            w_x, w_h, b_x, b_h = (getattr(self, f"{name}_l{n}") for name in names)
            (h, c), out = state, []
            for given in (x @ w_x.T + b_x).unbind(1):
                i, f, g, o = (given + h @ w_h.T + b_h).chunk(4, -1)
                c = f.sigmoid() * c + i.sigmoid() * g.tanh()
                h = o.sigmoid() * c.tanh()
                out.append(h)
            return torch.stack(out, 1), (h, c)

    return LSTM
