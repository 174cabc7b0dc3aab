"""The language model against torch's own encoder, what it sees, and how it starts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from preheat.models.gpt import Gpt
from preheat.models.parts import sinusoids

SMALL = {"depth": 2, "width": 24, "heads": 3}
NAMES = {"qkv.weight": "self_attn.in_proj_weight", "qkv.bias": "self_attn.in_proj_bias"}
NAMES |= {
    f"{a}.{w}": f"{b}.{w}"
    for a, b in {"out": "self_attn.out_proj", "fc1": "linear1", "fc2": "linear2"}.items()
    for w in ("weight", "bias")
}


def net(length=7, vocabulary=11, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return Gpt(**{**SMALL, **options}).network((length,), vocabulary).double()


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("final", [True, False])
def test_it_equals_torchs_encoder(norm, final):
    made = net(norm=norm, final_norm=final)
    layer = torch.nn.TransformerEncoderLayer(
        24, 3, 96, 0.0, "gelu", batch_first=True, norm_first=norm == "pre"
    )
    encoder = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).double()
    for p in made.parameters():
        p.data += 0.1 * torch.randn(p.shape, dtype=p.dtype, generator=torch.Generator().manual_seed(1))
    theirs = {f"layers.{n[0]}.{NAMES.get(n[2:], n[2:])}": t for n, t in made.blocks.state_dict().items()}
    if norm == "post":  # the last norm of theirs is our final one
        encoder.layers[1].norm2 = made.norm
        theirs |= {f"layers.1.norm2.{n}": t for n, t in made.norm.state_dict().items()}
    encoder.load_state_dict(theirs)
    tokens = torch.randint(11, (2, 7), generator=torch.Generator().manual_seed(0))
    mask = torch.nn.Transformer.generate_square_subsequent_mask(7, dtype=torch.float64)
    out = encoder(made.embed.weight[tokens] + made.positions, mask, is_causal=True)
    want = made.head(made.norm(out) if norm == "pre" else out)
    torch.testing.assert_close(made(tokens), want, rtol=1e-10, atol=1e-10)
    norms = sum(isinstance(m, torch.nn.LayerNorm) for m in made.modules())
    assert norms == {"pre": 4, "post": 3}[norm] + final


def test_a_place_sees_itself_and_what_is_before_it():
    made, tokens = net(), torch.arange(7)[None] % 11
    other = tokens.clone()
    other[0, 4] = 10
    moved = (made(tokens) - made(other)).abs().amax((0, 2))
    assert (moved[:4] == 0).all() and (moved[4:] > 0).all()


def test_it_starts_by_its_rule():
    made = Gpt(width=256, heads=8).network((64,), 512)
    for weight, deviation in (
        (made.embed.weight, 1.0),
        (made.head.weight, 256**-0.5),
        (made.blocks[0].qkv.weight, 256**-0.5),
        (made.blocks[3].fc2.weight, 1024**-0.5),
    ):
        assert float(weight.detach().std()) == pytest.approx(deviation, rel=0.02)
        assert float(weight.detach().abs().max()) <= 2.28 * deviation
    assert not any(m.bias.any() for m in made.modules() if isinstance(m, torch.nn.Linear))


def test_positions_are_those_of_the_paper():
    table = sinusoids(50, 8).numpy()
    for i, k in ((0, 0), (7, 1), (49, 3)):
        angle = i / 10000 ** (2 * k / 8)
        np.testing.assert_allclose(table[i, 2 * k : 2 * k + 2], [np.sin(angle), np.cos(angle)], atol=1e-6)
