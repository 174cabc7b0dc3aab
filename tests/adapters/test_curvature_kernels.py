"""Custom functions in a loss: refused where their backward has no derivative, measured where it has."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd.function import Function, once_differentiable
from torch.nn.functional import cross_entropy

from preheat.adapters.curvature import hessian_trace, sharpness
from preheat.core.errors import UserError


class Fused(Function):
    """Cross-entropy whose gradient is computed in the forward, as fused kernels do."""

    @staticmethod
    def forward(ctx, z, y):
        with torch.enable_grad():
            own = z.detach().requires_grad_()
            loss = cross_entropy(own, y)
            ctx.save_for_backward(*torch.autograd.grad(loss, own))
        return loss.detach()

    @staticmethod
    def backward(ctx, u):
        return u * ctx.saved_tensors[0], None


class Outside(Function):
    """tanh in NumPy."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.from_numpy(np.tanh(x.detach().numpy()))

    @staticmethod
    def backward(ctx, u):
        return torch.from_numpy(u.detach().numpy() / np.cosh(ctx.saved_tensors[0].detach().numpy()) ** 2)


class Linear(Function):
    """Twice its input, by NumPy: no curvature of its own, and none passes through it."""

    @staticmethod
    def forward(ctx, x):
        return torch.from_numpy(2 * x.detach().numpy())

    @staticmethod
    def backward(ctx, u):
        return torch.from_numpy(2 * u.detach().numpy())


class Once(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    @once_differentiable
    def backward(ctx, u):
        return 2 * ctx.saved_tensors[0] * u


class Reversed(Function):
    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, u):
        return -u


class Square(Function):
    """A true one."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, u):
        return 2 * ctx.saved_tensors[0] * u


class Kinked(Function):
    """A linear layer and ReLU in one, true."""

    @staticmethod
    def forward(ctx, x, weight):
        out = x @ weight.T
        ctx.save_for_backward(x, weight, out)
        return out.clamp(min=0)

    @staticmethod
    def backward(ctx, u):
        x, weight, out = ctx.saved_tensors
        u = u * (out > 0)
        return u @ weight, u.T @ x


class Apart(Function):
    """A true one whose forward has no ctx, and that changes its input."""

    @staticmethod
    def forward(x, times):
        return x.mul_(times)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.times = inputs[1]
        ctx.mark_dirty(inputs[0])

    @staticmethod
    def backward(ctx, u):
        return ctx.times * u, None


def made(dtype, examples=40):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).to(dtype)
    return model, (torch.randn(examples, 4, dtype=dtype), torch.randint(3, (examples,)))


def plain(model, batch):
    return cross_entropy(model(batch[0]), batch[1])


def inner(kernel):
    return lambda model, batch: cross_entropy(model[2](kernel(model[0](batch[0]))), batch[1])


WRONG = {
    "Fused": lambda model, batch: Fused.apply(model(batch[0]), batch[1]),
    "Outside": inner(Outside.apply),
    "Linear": inner(Linear.apply),
    "Once": lambda model, batch: Once.apply(model(batch[0])).mean(),
    "Reversed": inner(Reversed.apply),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", WRONG)
def test_one_without_a_second_derivative_is_refused(name, dtype):
    for measure in (sharpness, hessian_trace):
        with pytest.raises(
            UserError, match=f"second derivative, got the custom function {name}, .*torch's own"
        ):
            measure(made(dtype)[0], WRONG[name], made(dtype)[1])
    assert "recording" not in repr(vars(globals()[name])["forward"])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_true_one_is_measured_whatever_its_kinks(dtype):
    pairs = [
        (inner(Square.apply), inner(torch.square)),
        (inner(lambda x: Apart.apply(x + 0, 3.0)), inner(lambda x: 3.0 * x)),
        *[
            (inner(lambda x, w=w: Kinked.apply(x, w)), inner(lambda x, w=w: (x @ w.T).relu()))
            for w in torch.randn(2, 8, 8, dtype=dtype)
        ],
    ]
    for examples in (40, 8000):
        model, batch = made(dtype, examples)
        for own, truth in pairs:
            assert sharpness(model, own, batch, tol=1e-4) == pytest.approx(
                sharpness(model, truth, batch, tol=1e-4), rel=1e-3
            )


@pytest.mark.parametrize("true", [True, False])
def test_one_of_torch_library_counts_as_well(true):
    name = f"preheat_test::square_{true}"
    square = torch.library.custom_op(name, lambda x: x * x, mutates_args=(), schema="(Tensor x) -> Tensor")
    square.register_autograd(
        lambda ctx, u: 2 * (ctx.x if true else ctx.x.detach()) * u,
        setup_context=lambda ctx, inputs, output: setattr(ctx, "x", inputs[0]),
    )
    model, batch = made(torch.float64)
    if true:
        assert sharpness(model, inner(square), batch) == sharpness(model, inner(torch.square), batch)
    else:
        with pytest.raises(UserError, match="got the custom function"):
            sharpness(model, inner(square), batch)
