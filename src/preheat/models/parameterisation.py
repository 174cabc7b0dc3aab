"""Parameterisations: how a network's initial weights, and what its layers give, scale with width.

A layer computes y = s (c W x + b). With fan_in the inputs of one output unit (k k C_in for a k x k
convolution) and fan_out its counterpart (k k C_out), weights are drawn from a normal cut at two deviations:

- "standard": variance 2 / fan_in, the last layer 1 / fan_in; s = c = 1 (He et al. 2015, arXiv 1502.01852).
- "mu": variance 2 / fan_out and s = sqrt(fan_out / fan_in); the last layer 1 / fan_in and s = sqrt(1 /
  fan_in). No rate factors: mu-P for SGD (Yang et al. 2021, arXiv 2203.03466), and what Kalra and Barkeshli
  2024 (arXiv 2406.09405) call simple mu-P with Adam.
- "mu_adam": "mu" with rate factors for Adam, written as c: 1 / sqrt(fan_out) for the first layer, 1 / fan_in
  for hidden ones, 1 / sqrt(fan_in) for the last, with which a step changes the outputs alike at every width.
  A weight starts at w / c. Adam's step does not depend on the gradient's scale, so it moves c W as a rate of
  c times the rate would, up to eps, which acts as eps / c. Biases have the rate itself. An update's decay,
  clipping and probes see W, not c W.

Kalra and Barkeshli print the factors of hidden layers and the last the other way round (their figures use
none): with those a step of Adam changes the outputs more in a wider network. Their code takes the size of the
feature map, H W C, for a convolution's fan_in; here it is k k C.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from preheat.core.errors import unknown
from preheat.models.parts import truncated_normal

if TYPE_CHECKING:
    from torch import nn

PARAMETERISATIONS = ("standard", "mu", "mu_adam")


class LayerRule(NamedTuple):
    """A layer's parameterisation: the variance of c W at the start, s and c."""

    variance: float
    scale: float
    rate: float


def rule(parameterisation: str, fans: tuple[int, int], place: str) -> LayerRule:
    """How one layer is parameterised. fans: (fan_in, fan_out); place: "input", "hidden" or "output".

    >>> rule("mu", (64, 256), "hidden")
    LayerRule(variance=0.0078125, scale=2.0, rate=1.0)
    """
    fan_in, fan_out = fans
    last = place == "output"
    if parameterisation == "standard":
        return LayerRule((1.0 if last else 2.0) / fan_in, 1.0, 1.0)
    factors = {"input": fan_out**-0.5, "hidden": 1 / fan_in, "output": fan_in**-0.5}
    rate = factors[place] if parameterisation == "mu_adam" else 1.0
    return (
        LayerRule(1 / fan_in, fan_in**-0.5, rate)
        if last
        else LayerRule(2 / fan_out, (fan_out / fan_in) ** 0.5, rate)
    )


def known_parameterisation(model: str, value: str) -> None:
    """Raise where a model's option `parameterisation` is none of `PARAMETERISATIONS`.

    >>> known_parameterisation("fcn", "mu")
    """
    if value not in PARAMETERISATIONS:
        raise unknown(f"parameterisation of model {model!r}", value, PARAMETERISATIONS)


def linear(wide: int, out: int) -> nn.Module:
    """A linear layer whose parameterisation `initialise` chooses: [B, wide] -> [B, out]."""
    made: nn.Module = _classes()[0](wide, out)
    return made


def convolution(wide: int, out: int, kernel: int, *, stride: int = 1) -> nn.Module:
    """A convolution with biases, padded to keep the size at stride 1, whose parameterisation `initialise`
    chooses: [B, wide, S, S] -> [B, out, S / stride, S / stride]."""
    made: nn.Module = _classes()[1](wide, out, kernel, stride, padding=kernel // 2)
    return made


def initialise(net: nn.Module, parameterisation: str) -> nn.Module:
    """The network, its `linear` and `convolution` layers drawn anew by torch's global generator and scaled;
    biases are 0. The first of them is the input layer, the last the output layer."""
    from torch import nn

    layers: list[Any] = [m for m in net.modules() if isinstance(m, _classes())]
    for n, layer in enumerate(layers):
        inner = "hidden" if n else "input"
        place = "output" if n == len(layers) - 1 else inner
        weight = layer.weight
        chosen = rule(parameterisation, (weight[0].numel(), weight[:, 0].numel()), place)
        truncated_normal(weight, chosen.variance / chosen.rate**2)
        nn.init.zeros_(layer.bias)
        layer.scale, layer.rate = chosen.scale, chosen.rate
    return net


@lru_cache(maxsize=1)
def _classes() -> tuple[Any, Any]:
    from torch import Tensor, nn
    from torch.nn.functional import linear as matrix

    class ScaledLinear(nn.Linear):
        scale = rate = 1.0

        def forward(self, x: Tensor) -> Tensor:
            if self.scale == self.rate == 1:
                return super().forward(x)
            out: Tensor = matrix(x, self.scale * self.rate * self.weight, self.scale * self.bias)
            return out

    class ScaledConvolution(nn.Conv2d):
        scale = rate = 1.0

        def forward(self, x: Tensor) -> Tensor:
            if self.scale == self.rate == 1 or self.bias is None:
                return super().forward(x)
            weight, bias = self.scale * self.rate * self.weight, self.scale * self.bias
            out: Tensor = self._conv_forward(x, weight, bias)
            return out

    return ScaledLinear, ScaledConvolution
