"""Parameterisations: initial variances, what a layer computes, rate factors as multipliers, and what grows with
width."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from preheat.core.errors import UserError
from preheat.core.registry import MODELS
from preheat.core.run import Run
from preheat.core.spec import build, spec
from preheat.models.parameterisation import PARAMETERISATIONS, rule

WIDTHS = (64, 256, 1024)
X = torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(0))
Y = F.one_hot(torch.arange(16) % 10, 10)


def net(name, parameterisation, seed=0, size=8, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        one = spec(name, parameterisation=parameterisation, **options)
        return build("model", one).network((1, size, size), 10)


def scaled(made):
    """Its layers that a parameterisation scales, each with fan_in, fan_out and place."""
    layers = [m for m in made.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    places = ["input", *["hidden"] * (len(layers) - 2), "output"]
    kernels = [m.weight[0, 0].numel() for m in layers]
    fans = [(m.weight.shape[1] * k, m.weight.shape[0] * k) for m, k in zip(layers, kernels, strict=True)]
    return [(m, *f, p) for m, f, p in zip(layers, fans, places, strict=True)]


def factor(fan_in, fan_out, place):
    return {"input": fan_out**-0.5, "hidden": 1 / fan_in, "output": fan_in**-0.5}[place]


@pytest.mark.parametrize("parameterisation", PARAMETERISATIONS)
@pytest.mark.parametrize("name,options", [("fcn", {"width": 128}), ("myrtle", {}), ("wrn16_4", {"widen": 2})])
def test_initial_weights_have_the_variance_of_the_rule(name, options, parameterisation):
    for layer, fan_in, fan_out, place in scaled(net(name, parameterisation, **options)):
        if parameterisation == "standard":
            variance = (1 if place == "output" else 2) / fan_in
        else:
            variance = 1 / fan_in if place == "output" else 2 / fan_out
        if parameterisation == "mu_adam":
            variance /= factor(fan_in, fan_out, place) ** 2
        w = layer.weight.detach()
        assert float(w.var()) == pytest.approx(variance, rel=6 / w.numel() ** 0.5)
        assert float(w.abs().max()) <= 2.28 * variance**0.5 and not layer.bias.any()


@pytest.mark.parametrize("parameterisation", PARAMETERISATIONS)
def test_an_fcn_computes_what_the_rule_says(parameterisation):
    made = net("fcn", parameterisation, depth=3, width=32).double()
    out = X.double().flatten(1)
    for layer, fan_in, fan_out, place in scaled(made):
        nn.init.normal_(layer.bias)
        s = c = 1.0
        if parameterisation != "standard":
            s = fan_in**-0.5 if place == "output" else (fan_out / fan_in) ** 0.5
        if parameterisation == "mu_adam":
            c = factor(fan_in, fan_out, place)
        out = s * (c * out @ layer.weight.T + layer.bias)
        out = out if place == "output" else out.relu()
    torch.testing.assert_close(made(X.double()), out, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("depth,counts", [(5, (2, 1, 1)), (7, (2, 2, 2)), (10, (3, 3, 3))])
def test_myrtle_pools_after_each_stage_and_takes_the_mean(depth, counts):
    made, out = (
        net("myrtle", "mu", size=32, depth=depth, width=4).double(),
        torch.randn(2, 1, 32, 32).double(),
    )
    x, layers = out, iter(scaled(made))
    for count in counts:
        for _, (layer, fan_in, fan_out, _) in zip(range(count), layers, strict=False):
            out = ((fan_out / fan_in) ** 0.5 * F.conv2d(out, layer.weight, padding=1)).relu()
        out = out.unflatten(2, (-1, 2)).unflatten(4, (-1, 2)).mean((3, 5))
    last = made[-1]
    assert out.shape[2:] == (4, 4) and len(scaled(made)) == depth
    torch.testing.assert_close(made(x), out.mean((2, 3)) @ last.weight.T / 2, rtol=1e-12, atol=1e-12)


def test_a_multiplier_is_adams_rate_factor():
    """mu_adam under one rate, against mu under torch's Adam with a rate for each weight; biases have the rate."""
    given, plain = (net("fcn", p, depth=4, width=32).double() for p in ("mu_adam", "mu"))
    rates, biases = [], []
    for (a, *where), (b, *_) in zip(scaled(given), scaled(plain), strict=True):
        b.weight.data = a.weight.data * factor(*where)
        rates.append({"params": [b.weight], "lr": 1e-2 * factor(*where)})
        biases.append(b.bias)
    both = (
        (given, torch.optim.Adam(given.parameters(), 1e-2, eps=1e-30)),
        (plain, torch.optim.Adam([*rates, {"params": biases}], 1e-2, eps=1e-30)),
    )
    before = given(X.double()).detach()
    for _ in range(5):
        for made, optimizer in both:
            optimizer.zero_grad()
            F.mse_loss(made(X.double()), Y.double()).backward()
            optimizer.step()
    after = given(X.double()).detach()
    torch.testing.assert_close(plain(X.double()).detach(), after, rtol=1e-6, atol=1e-6)
    assert float((after - before).abs().max()) > 0.01
    for (a, *where), (b, *_) in zip(scaled(given), scaled(plain), strict=True):
        torch.testing.assert_close(b.weight, factor(*where) * a.weight, rtol=1e-6, atol=1e-6)


def moved(parameterisation, optimizer, width, seed):
    """(root mean square of the outputs at the start, of their change by one step)."""
    made = net("fcn", parameterisation, seed, width=width)
    rule_of = optimizer(made)
    before = made(X)
    (0.5 * (before - Y).square().mean()).backward()
    rule_of.step()
    change = made(X).detach() - before.detach()
    return torch.stack([before.detach().square().mean().sqrt(), change.square().mean().sqrt()])


def over_widths(parameterisation, optimizer, widths=WIDTHS):
    return [
        torch.stack([moved(parameterisation, optimizer, w, s) for s in range(3)]).mean(0).tolist()
        for w in widths
    ]


def test_under_mu_a_step_of_sgd_changes_outputs_alike_at_every_width_and_under_standard_it_does_not():
    sgd = lambda made: torch.optim.SGD(made.parameters(), 1e-4)
    mu, standard = over_widths("mu", sgd), over_widths("standard", sgd)
    for (narrow, _), (wide, _) in pairwise(mu):
        assert narrow / wide == pytest.approx(2, rel=0.3), (
            "initial outputs shrink as one over the root of width"
        )
    assert max(s for s, _ in standard) / min(s for s, _ in standard) < 1.5
    assert max(c for _, c in mu) / min(c for _, c in mu) < 2.5
    assert standard[-1][1] / standard[0][1] > 5


def test_under_mu_adam_a_step_of_adam_changes_outputs_alike_at_every_width_and_with_the_printed_factors_more():
    """As the docstring says: the paper has the factors of hidden layers and the last the other way round."""

    def printed(made):
        factors = {
            "input": lambda i, o: o**-0.5,
            "hidden": lambda i, o: i**-0.5,
            "output": lambda i, o: 1 / i,
        }
        groups = [{"params": [m.weight], "lr": 1e-3 * factors[p](i, o)} for m, i, o, p in scaled(made)]
        return torch.optim.Adam(groups)

    ours = lambda made: torch.optim.Adam([m.weight for m, *_ in scaled(made)], 1e-2, eps=1e-30)
    ends = (64, 1024)
    (_, narrow), (_, wide) = over_widths("mu_adam", ours, ends)
    assert 0.67 < wide / narrow < 1.5
    (_, narrow), (_, wide) = over_widths("mu", printed, ends)
    assert wide / narrow > 1.6


def test_the_rule_of_square_hidden_layers_is_that_of_standard_but_for_the_place():
    assert rule("mu", (9, 9), "hidden") == rule("standard", (9, 9), "hidden") == (2 / 9, 1.0, 1.0)
    assert rule("mu_adam", (9, 16), "input") == (2 / 16, 4 / 3, 1 / 4)
    assert rule("mu_adam", (4, 10), "output") == (1 / 4, 1 / 2, 1 / 2)


def test_what_a_model_cannot_take_is_an_error():
    for name in ("fcn", "myrtle", "wrn16_4"):
        with pytest.raises(
            UserError, match=f"unknown parameterisation of model '{name}' 'mup': did you mean 'mu'"
        ):
            MODELS[name](parameterisation="mup")
    with pytest.raises(UserError, match="width of model 'fcn' must be at least 1, got 0"):
        MODELS["fcn"](width=0)
    with pytest.raises(UserError, match="depth of model 'myrtle' must be 5, 7 or 10, got 6"):
        MODELS["myrtle"](depth=6)
    with pytest.raises(UserError, match="must be 8 x 8 or larger, got 7 x 7"):
        MODELS["myrtle"]().network((3, 7, 7), 10)


def test_the_parameterisation_of_the_wide_resnet_keeps_the_ids_of_old_runs():
    plain = Run(task=spec("cifar10", model="wrn16_4"))
    assert plain.json()["task"]["model"] == {"name": "wrn16_4", "width": 16, "widen": 4}
    same = Run(task=spec("cifar10", model={"name": "wrn16_4", "parameterisation": "standard"}))
    other = Run(task=spec("cifar10", model={"name": "wrn16_4", "parameterisation": "mu"}))
    assert same.id == plain.id != other.id and Run.from_json(other.json()) == other
