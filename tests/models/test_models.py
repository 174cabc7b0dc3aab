"""Models: counts, layout and initialisation, oracles, and the law that a network is the same alone, in a
fleet and traced."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F
from trainings import OPTIONS

from preheat.core.errors import UserError
from preheat.core.registry import MODELS, TASKS
from preheat.core.run import Run
from preheat.core.spec import build, spec
from preheat.engine.keys import generator
from preheat.engine.placement import fleet, single
from preheat.engine.step import joined_gradients
from preheat.tasks.digits import Digits

TINY = {name: dict(MODELS[name].small) for name in MODELS.names()}
IMAGES = [name for name in TINY if MODELS[name].takes == "images"]
SERIES = [name for name in TINY if MODELS[name].takes == "series"]
KINDS = {
    "tokens": ((64,), 256),
    "series": ((50, 1, 50), 1),
    "functions": ((100,), 100),
}  # what a count is of, besides images
COUNT = re.compile(r"([\d,]{5,}) parameters")
OTHERS = [("resnet18", 32, 100, 11_220_132), ("resnet18", 28, 9, 11_173_449)]


def net(name, channels=3, size=32, classes=10, **options):
    return made_of(name, (channels, size, size), classes, **options)


def made_of(name, shape, outputs, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return build("model", spec(name, **options)).network(shape, outputs)


def tiny(name, **options):
    """A tiny task of what the model takes."""
    model = {"name": name, **TINY[name], **options}
    if name in IMAGES:
        return build("task", spec("digits", examples_per_class=1, model=model))
    if name in SERIES:
        return build("task", spec("osc", features="MS", hist=4, pred=3, model=model))
    if MODELS[name].takes == "functions":
        return build("task", spec("integral", **{**OPTIONS["integral"].options, "model": model}))
    return build("task", spec("source_text", corpus_bytes=3000, context=5, model=model))


def count(name, size, classes):
    shape, outputs = KINDS.get(MODELS[name].takes, ((3, size, size), classes))
    return sum(p.numel() for p in MODELS[name]().network(shape, outputs).parameters())


@pytest.mark.parametrize("name", TINY)
def test_the_count_that_a_model_tells_is_that_of_cifar10_of_bytes_of_one_quantity_or_of_100_sensors(name):
    said = COUNT.search(MODELS[name].__doc__.split("\n")[0])
    assert said and int(said[1].replace(",", "")) == count(name, 32, 10)


@pytest.mark.parametrize("name,size,classes,expected", OTHERS, ids=str)
def test_parameter_counts_with_other_images_and_classes(name, size, classes, expected):
    assert count(name, size, classes) == expected


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("channels,size,classes", [(3, 32, 100), (3, 28, 9), (1, 8, 10)])
def test_every_model_takes_every_image_size(name, channels, size, classes):
    made = net(name, channels, size, classes, **TINY[name]).eval()
    assert made(torch.randn(2, channels, size, size)).shape == (2, classes)


SCALED = [(n, {"parameterisation": "mu_adam"}) for n in ("fcn", "myrtle")]


@pytest.mark.parametrize("name,options", [*((n, {}) for n in TINY), *SCALED])
def test_a_fleet_and_a_traced_graph_give_the_losses_and_gradients_of_single_runs(name, options):
    made = tiny(name, **options)
    starts = [[doubled(part) for part in made.init(generator(s, "init"))] for s in range(2)]
    batches = [{n: t[s::100] for n, t in doubled(made.data().train).items()} for s in range(2)]
    alone = [
        joined_gradients(made.loss, single(), mean=True)(*start, batch)
        for start, batch in zip(starts, batches, strict=True)
    ]
    stacked = [stack(parts) for parts in zip(*starts, strict=True)] + [stack(batches)]
    for where in (fleet(), fleet("traced")):
        grads, (values, buffers) = where.realise(joined_gradients(made.loss, where, mean=True))(*stacked)
        for r, (one, (value, after)) in enumerate(alone):
            torch.testing.assert_close(values[r], value, rtol=1e-10, atol=0)
            size = max(float(g.abs().max()) for g in one.values())
            for found, exact in ((grads, one), (buffers, after)):
                for n, t in exact.items():
                    torch.testing.assert_close(found[n][r], t, rtol=1e-10, atol=1e-10 * size, msg=n)


def stack(parts):
    return {n: torch.stack([p[n] for p in parts]) for n in parts[0]}


def fused(task_class=Digits):
    """digits with a network whose attention is torch's fused kernel."""

    class Attention(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inside, self.out = torch.nn.Linear(8, 8), torch.nn.Linear(64, 10)

        def forward(self, x):
            x = self.inside(x.flatten(1, 2))
            return self.out(F.scaled_dot_product_attention(x, x, x).flatten(1))

    class Fused(task_class):
        def network(self):
            return Attention()

    return Fused(examples_per_class=1, model="cnn")


@pytest.mark.parametrize("task", [*TINY, "fused"])
def test_second_derivatives_alone_and_in_a_fleet(task):
    """Hessian-vector products of plain_loss by two reverse passes, against central differences of the
    gradient."""
    made = fused() if task == "fused" else tiny(task)
    seeded = torch.Generator().manual_seed(1)
    noise = lambda p: torch.randn(p.shape, generator=seeded, dtype=torch.float64)
    params, buffers = map(doubled, made.init(generator(0, "init")))
    params = {
        n: p + 0.1 * noise(p) for n, p in params.items()
    }  # biases of 0 leave black pixels in the kink of relu
    batch = doubled(made.data().train)
    batch = {n: t[:: len(t) // 12] for n, t in batch.items()}
    v = {n: noise(p) for n, p in params.items()}
    slope = grad(lambda p: made.plain_loss(p, buffers, batch))

    def product(p, kept, b):
        along = grad(lambda q: made.plain_loss(q, kept, b))
        return grad(lambda q: sum((g * v[n]).sum() for n, g in along(q).items()))(p)

    e = 1e-8
    ahead, behind = (slope({n: p + s * e * v[n] for n, p in params.items()}) for s in (1, -1))
    exact = product(params, buffers, batch)
    size = max(float(t.abs().max()) for t in exact.values())
    for n, p in exact.items():
        np.testing.assert_allclose(p, (ahead[n] - behind[n]) / (2 * e), atol=1e-5 * size, err_msg=n)
    both = vmap(product)(*(stack([part, part]) for part in (params, buffers, batch)))
    for n, p in exact.items():
        np.testing.assert_allclose(both[n][1], p, atol=1e-10 * size, err_msg=n)


def doubled(tensors):
    return {n: t.double() if t.is_floating_point() else t for n, t in tensors.items()}


@pytest.mark.parametrize(
    "name,counts", [("resnet18", (2, 2, 2, 2)), ("resnet34", (3, 4, 6, 3)), ("resnet50", (3, 4, 6, 3))]
)
def test_resnets_have_torchvisions_names_and_arithmetic(name, counts):
    made, x = net(name, width=4).double().eval(), torch.randn(2, 3, 32, 32, dtype=torch.float64)
    p = {**dict(made.named_parameters()), **dict(made.named_buffers())}
    seen = set()

    def unit(x, conv, bn, stride=1):
        w = p[f"{conv}.weight"]
        seen.update({f"{conv}.weight", f"{bn}.weight", f"{bn}.bias"})
        x = F.conv2d(x, w, None, stride, w.shape[-1] // 2)
        return F.batch_norm(
            x, p[f"{bn}.running_mean"], p[f"{bn}.running_var"], p[f"{bn}.weight"], p[f"{bn}.bias"]
        )

    out = unit(x, "conv1", "bn1").relu()
    for stage, count in enumerate(counts, 1):
        for i in range(count):
            at, stride = f"layer{stage}.{i}", 2 if stage > 1 and i == 0 else 1
            body, convs, strided = out, 3 if name == "resnet50" else 2, 2 if name == "resnet50" else 1
            for j in range(1, convs + 1):
                body = unit(
                    body.relu() if j > 1 else body,
                    f"{at}.conv{j}",
                    f"{at}.bn{j}",
                    stride if j == strided else 1,
                )
            if f"{at}.downsample.0.weight" in p:
                out = unit(out, f"{at}.downsample.0", f"{at}.downsample.1", stride)
            out = (body + out).relu()
    assert out.shape[-2:] == (4, 4)
    torch.testing.assert_close(
        made(x), out.mean((2, 3)) @ p["fc.weight"].T + p["fc.bias"], rtol=1e-10, atol=1e-10
    )
    assert seen | {"fc.weight", "fc.bias"} == {n for n, _ in made.named_parameters()}


def test_resnets_start_as_torchvisions_with_a_new_stem_and_head():
    made = dict(net("resnet18").named_parameters())
    spread = lambda n: float(made[n].detach().std())
    assert spread("layer1.0.conv1.weight") == pytest.approx(
        (2 / (9 * 64)) ** 0.5, rel=0.02
    )  # fan_out: 64 channels of 3 x 3
    assert spread("layer2.0.downsample.0.weight") == pytest.approx((2 / 128) ** 0.5, rel=0.02)
    assert float(made["conv1.weight"].detach().abs().max()) <= 27**-0.5 and spread(
        "conv1.weight"
    ) == pytest.approx(27**-0.5 / 3**0.5, rel=0.04)
    assert (
        float(made["fc.weight"].detach().abs().max()) <= 512**-0.5
        and float(made["fc.bias"].detach().abs().max()) > 0
    )
    assert all((made[n] == 1).all() for n in made if ".bn" in n and n.endswith("weight"))


def test_the_wide_resnet_normalises_over_channels_and_starts_by_the_papers_rule():
    made = net("wrn16_4")
    x = torch.randn(2, 16, 5, 5)
    middle = x - x.mean(1, keepdim=True)
    torch.testing.assert_close(
        made[1](x), middle / (x.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt(), rtol=1e-5, atol=1e-5
    )
    convs = [m for m in made.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [c.out_channels for c in convs if c.kernel_size == (3, 3)] == [
        16,
        *[64] * 4,
        *[128] * 4,
        *[256] * 4,
    ]
    for layer, gain in ((convs[1], 2.0), (convs[-2], 2.0), (made[-1], 1.0)):
        fan_in = layer.weight[0].numel()
        assert float(layer.weight.detach().std()) == pytest.approx((gain / fan_in) ** 0.5, rel=0.03)
        assert (
            float(layer.weight.detach().abs().max()) <= 2.28 * (gain / fan_in) ** 0.5 and not layer.bias.any()
        )
    assert not list(made.buffers())


def test_the_vision_transformer_equals_torchs_encoder():
    made = net("simplevit", dim=24, depth=2, heads=3).double()
    layer = torch.nn.TransformerEncoderLayer(24, 3, 96, 0.0, "gelu", batch_first=True, norm_first=True)
    encoder = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).double()
    names = {"qkv.weight": "self_attn.in_proj_weight", "qkv.bias": "self_attn.in_proj_bias"}
    names |= {
        f"{a}.{w}": f"{b}.{w}"
        for a, b in {"out": "self_attn.out_proj", "fc1": "linear1", "fc2": "linear2"}.items()
        for w in ("weight", "bias")
    }
    weights = made.layers.state_dict()
    encoder.load_state_dict({f"layers.{n[0]}.{names.get(n[2:], n[2:])}": t for n, t in weights.items()})
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    patches = (
        x.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).reshape(2, 64, 48)
        @ made.embed.weight.flatten(1).T
    )
    tokens = torch.cat([made.token.expand(2, 1, 24), patches + made.embed.bias], 1) + made.position
    torch.testing.assert_close(made(x), made.head(made.norm(encoder(tokens)[:, 0])), rtol=1e-10, atol=1e-10)
    assert float(made.token.detach().std()) == pytest.approx(0.02, rel=0.4)
    assert float(made.position.detach().std()) == pytest.approx(0.02, rel=0.1)
    assert not torch.equal(weights["0.qkv.weight"], weights["1.qkv.weight"]), "every layer is drawn anew"


@pytest.mark.parametrize(
    "task,message",
    [
        (spec("cifar10", model="resnet19"), "unknown model 'resnet19': did you mean 'resnet18'"),
        (
            spec("cifar10", model={"name": "resnet18", "widht": 8}),
            "unknown option of model 'resnet18' 'widht': did you mean 'width'",
        ),
        (
            spec("cifar10", model={"name": "resnet18", "width": 0}),
            "width of model 'resnet18' must be at least 1, got 0",
        ),
        (
            spec("cifar10", model={"name": "resnet18", "width": 1.5}),
            "option width of model 'resnet18' must be a whole number",
        ),
        (
            spec("cifar10", model={"name": "simplevit", "patch": 5}),
            "patch of model 'simplevit' must divide the image size 32, got 5",
        ),
        (
            spec("pathmnist", model={"name": "simplevit", "patch": 8}),
            "image size 28, got 8: write one of 1, 2, 4, 7, 14, 28",
        ),
        (
            spec("cifar10", model={"name": "simplevit", "heads": 5}),
            "heads of model 'simplevit' must divide dim",
        ),
        (
            spec("cifar10", model="gpt"),
            "model 'gpt' takes tokens, and this task has images: write one of fcn",
        ),
        (spec("digits", model="gpt"), "model 'gpt' takes tokens, and this task has images"),
        (
            spec("source_text", model="simplecnn"),
            "model 'simplecnn' takes images, and this task has tokens: write one of gpt",
        ),
        (
            spec("source_text", model={"width": 10, "heads": 4}),
            "heads of model 'gpt' must divide width, got heads=4 and width=10: write one of 1, 2, 5, 10",
        ),
        (spec("source_text", model={"width": 9, "heads": 3}), "width of model 'gpt' must be even"),
        (spec("source_text", model={"norm": "mid"}), "unknown norm of model 'gpt' 'mid'"),
        (spec("osc", model="gpt"), "model 'gpt' takes tokens, and this task has series: write one of lstm_"),
        (spec("osc", model={"depth": 0}), "depth of model 'lstm_seq2seq' must be at least 1, got 0"),
        (spec("osc", model={"layers": 2}), "unknown option of model 'lstm_seq2seq' 'layers'"),
        (
            spec("integral", model="gpt"),
            "model 'gpt' takes tokens, and this task has functions: write one of deeponet, tfonet",
        ),
        (spec("digits", model="tfonet"), "model 'tfonet' takes functions, and this task has images"),
        (
            spec("integral", model={"name": "tfonet", "nhead": 3}),
            "nhead of model 'tfonet' must divide d_model, got nhead=3 and d_model=128: write one of 1, 2, 4",
        ),
        (
            spec("integral", model={"name": "tfonet", "d_model": 9, "nhead": 3}),
            "d_model of model 'tfonet' must be even",
        ),
        (spec("integral", model={"num_branch": 0}), "num_branch of model 'deeponet' must be at least 1"),
        (spec("cifar10", model=5), "a model is a name or a name with options, got 5"),
        (
            spec("digits", model="cnnn"),
            "unknown model of task 'digits' 'cnnn': did you mean 'cnn'? Known: cnn, fcn, mlp, myrtle, resnet18",
        ),
        (spec("digits", model={"name": "mlp", "width": 3}), "model 'mlp' of task 'digits' has no options"),
    ],
    ids=lambda v: str(v)[:50],
)
def test_what_does_not_fit_is_an_error_when_the_run_is_declared(task, message):
    with pytest.raises(UserError) as caught:
        Run(task=task)
    assert message in str(caught.value)


def test_the_sequence_to_sequence_lstm_is_two_of_torchs_and_reads_what_it_wrote():
    made = made_of("lstm_seq2seq", (6, 3, 4), 2, hidden=5, depth=2).double()
    encoder, decoder = (torch.nn.LSTM(n, 5, 2, batch_first=True).double() for n in (3, 2))
    encoder.load_state_dict(made.encoder.state_dict())
    decoder.load_state_dict(made.decoder.state_dict())
    x = torch.randn(7, 6, 3, dtype=torch.float64)
    state, last, out = encoder(x)[1], torch.zeros(7, 1, 2, dtype=torch.float64), []
    for _ in range(4):
        seen, state = decoder(last, state)
        last = made.head(seen)
        out.append(last)
    torch.testing.assert_close(made(x), torch.cat(out, 1), rtol=1e-12, atol=1e-12)
    with pytest.raises(UserError, match=r"takes series \[L, F, K\].*got \[3, 8, 0\]"):
        MODELS["lstm_seq2seq"]().network((3, 8, 0), 1)


def test_a_network_too_small_for_its_images_is_an_error():
    with pytest.raises(UserError, match="must be 8 x 8 or larger, got 7 x 7"):
        MODELS["simplecnn"]().network((3, 7, 7), 10)


def test_models_of_digits_keep_the_ids_of_old_runs():
    assert Run(task=spec("digits")).json()["task"] == {
        "name": "digits",
        "examples_per_class": 100,
        "model": "mlp",
    }
    assert Run(task=spec("digits", model={"name": "cnn"})).id == Run(task=spec("digits", model="cnn")).id
    run = Run(task=spec("digits", model="simplecnn"))
    assert (
        run.json()["task"]["model"] == {"name": "simplecnn", "width": 128, "hidden": 512}
        and Run.from_json(run.json()) == run
    )
    made = build("task", run.task)
    params, buffers = made.init(generator(0, "init"))
    out = functional_call(made.network(), {**params, **buffers}, (made.data().test["x"][:3].float(),))
    assert out.shape == (3, 10)


def test_the_catalogue_names_every_task_and_model_with_its_count():
    text = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text(encoding="utf-8")
    for registry in (TASKS, MODELS):
        shipped = [n for n in registry.names() if registry[n].__module__.startswith("preheat.")]
        assert not [n for n in shipped if f"| `{n}` |" not in text]
    assert not [n for n in TINY if COUNT.search(MODELS[n].__doc__)[1] not in text]
    assert f"{sum(p.numel() for p in net('resnet18', width=16).parameters()):,} parameters" in text
    assert f"{sum(p.numel() for p in net('simplecnn', size=28, classes=9).parameters()):,}" in text
