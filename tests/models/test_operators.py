"""Operator networks: their formulas, torch's own transformer, and that every parameter is trained."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from preheat.core.errors import UserError
from preheat.core.registry import MODELS
from preheat.models.parts import sinusoids

SIZES = {"d_model": 12, "nhead": 2, "dim_feedforward": 20, "num_layers": 2}
OPERATORS = {"deeponet": {"hidden": 6, "num_layers": 3, "num_branch": 4}, "tfonet": SIZES}
U, POINTS = torch.linspace(-1, 1, 14).double().reshape(2, 7), torch.linspace(0, 1, 5).double().expand(2, 5)


def net(name, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        return MODELS[name](**{**OPERATORS[name], **options}).network((7,), 5).double()


def test_deeponet_is_the_sum_of_branch_times_trunk_point_by_point():
    made = net("deeponet")
    for i, u in enumerate(U):
        for j, y in enumerate(POINTS[i]):
            inside, at = u, y.reshape(1)
            for layer in (0, 2, 4):
                inside, at = made.branch[layer](inside), made.trunk[layer](at)
                if layer < 4:
                    inside, at = nn.functional.gelu(inside), nn.functional.gelu(at)
            torch.testing.assert_close(made(U, POINTS)[i, j], inside @ at + made.bias[0], rtol=1e-12, atol=0)
    assert [m.out_features for m in made.branch if isinstance(m, nn.Linear)] == [6, 6, 4]


def test_tfonet_equals_torchs_encoder_and_decoder():
    made, sizes = net("tfonet"), (12, 2, 20, 0.0)
    encoder = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(*sizes, batch_first=True), 2, enable_nested_tensor=False
    ).double()
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(*sizes, batch_first=True), 2).double()
    for p in made.parameters():
        p.data += 0.1 * torch.randn(p.shape, dtype=p.dtype, generator=torch.Generator().manual_seed(1))
    encoder.load_state_dict({f"layers.{n}": t for n, t in made.encoder.state_dict().items()})
    decoder.load_state_dict({f"layers.{n}": t for n, t in made.decoder.state_dict().items()})

    def embedded(x, linear):
        return (x[..., None] @ linear.weight.T + linear.bias) * 12**0.5 + sinusoids(x.shape[1], 12).double()

    memory = encoder(embedded(U, made.branch.linear))
    want = made.head(decoder(embedded(POINTS, made.trunk.linear), memory))[..., 0]
    torch.testing.assert_close(made(U, POINTS), want, rtol=1e-10, atol=1e-10)
    first, second = (made.encoder[i].self_attn.in_proj_weight for i in (0, 1))
    assert not torch.equal(first, second), "every layer is drawn anew"


@pytest.mark.parametrize("name", OPERATORS)
def test_every_parameter_is_trained_and_registered(name):
    """Those of the original hold a bias that is no parameter on a GPU, and layers that nothing uses."""
    made = net(name)
    held = {id(p) for p in made.parameters()}
    for module in made.modules():
        found = [t for t in vars(module).values() if isinstance(t, torch.Tensor)]
        assert not found, "a tensor that is neither a parameter nor a buffer"
    made(U, POINTS).square().sum().backward()
    untrained = [n for n, p in made.named_parameters() if p.grad is None or not p.grad.any()]
    assert held and not untrained


@pytest.mark.parametrize("name", OPERATORS)
def test_points_that_all_functions_share_may_be_given_once(name):
    made = net(name)
    torch.testing.assert_close(made(U, POINTS[:1]), made(U, POINTS), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", OPERATORS)
def test_images_are_refused(name):
    with pytest.raises(UserError, match=rf"model '{name}' takes a function's values \[S\] at sensors"):
        MODELS[name]().network((3, 8, 8), 10)
