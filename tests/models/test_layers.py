"""Plain attention and LSTM: torch's numbers, second derivatives, and rules under vmap."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, jvp, vjp, vmap
from torch.nn.functional import scaled_dot_product_attention

from preheat.models.attention import attention
from preheat.models.lstm import lstm


def test_attention_is_torchs():
    q, k = torch.randn(2, 2, 3, 5, 4, dtype=torch.float64).unbind(0)
    v = torch.randn(2, 3, 5, 6, dtype=torch.float64)
    for causal in (False, True):
        expected = scaled_dot_product_attention(q, k, v, is_causal=causal)
        torch.testing.assert_close(attention(q, k, v, causal=causal), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("layers", [1, 3])
def test_the_lstm_is_torchs_with_its_parameters(layers):
    ours, theirs = lstm(3, 5, layers=layers).double(), nn.LSTM(3, 5, layers, batch_first=True).double()
    theirs.load_state_dict(ours.state_dict())
    x, state = torch.randn(2, 7, 3).double(), tuple(torch.randn(2, layers, 2, 5).double().unbind(0))
    for given in (None, state):
        (out, ends), (expected, expected_ends) = ours(x, given), theirs(x, given)
        for a, b in zip((out, *ends), (expected, *expected_ends), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


class Head(nn.Module):
    def __init__(self, inside):
        super().__init__()
        self.inside = inside

    def forward(self, x):
        out = self.inside(x)
        return out[0] if isinstance(out, tuple) else attention(*out.chunk(3, -1), causal=True)


@pytest.mark.parametrize("inside", [lstm(3, 4, layers=2), nn.Linear(3, 12)], ids=["lstm", "attention"])
def test_second_derivatives_in_every_order_alone_and_in_a_fleet(inside):
    net = Head(inside).double()
    params = {n: p.detach() for n, p in net.named_parameters()}
    x = torch.randn(2, 6, 3, dtype=torch.float64)
    loss = lambda p: (functional_call(net, p, (x,)) ** 2).mean()
    v = {n: torch.randn_like(p) for n, p in params.items()}
    reverse = vjp(grad(loss), params)[1](v)[0]
    forward = jvp(grad(loss), (params,), (v,))[1]
    stacked = {n: torch.stack([p, 2 * p]) for n, p in params.items()}
    many = vmap(lambda p, d: vjp(grad(loss), p)[1](d)[0])(
        stacked, {n: torch.stack([d, d]) for n, d in v.items()}
    )
    for n in params:
        torch.testing.assert_close(forward[n], reverse[n], rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(many[n][0], reverse[n], rtol=1e-9, atol=1e-12)
