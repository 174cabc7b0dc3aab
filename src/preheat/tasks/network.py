"""`Network`: any module as pure functions of one run's tensors, dropout included."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

Tensors = dict[str, "Tensor"]
KEY = "dropout"  # the name of the number that keys an update's masks, in a batch


@dataclass(frozen=True)
class Network:
    """A module that `make` builds, called with any tensors as its parameters and any number of inputs.

    Its own weights are never used. `nn.Dropout` layers, and `torch.nn.functional.dropout`, take their masks
    from numbers in the batch, one for each example, which `noise` draws: so a run sees the same masks alone,
    in a fleet, resumed, and where a batch is divided. A mask is a hash of its example's number, of how many
    were drawn before it in the call, and of the place in the example. Where the first axis of what is dropped
    is no multiple of the batch, the first example's number is that of all.

    >>> import torch
    >>> from torch import nn
    >>> net = Network(lambda: nn.Bilinear(2, 3, 1))
    >>> params, buffers = net.init(torch.Generator().manual_seed(0))
    >>> out, buffers = net(params, buffers, torch.ones(4, 2), torch.ones(4, 3))
    >>> out.shape
    torch.Size([4, 1])
    """

    make: Callable[[], nn.Module]

    def init(self, generator: Generator) -> tuple[Tensors, Tensors]:
        """(params, buffers): the module's own initialisation under the generator's seed; the global generator
        is left as it was."""
        import torch

        for training in (True, False):
            _skeleton(self, training)  # made here, since modules can't be made inside a function transform
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(generator.initial_seed())
            net = self.make()
        params = {n: p.detach().clone() for n, p in net.named_parameters()}
        return params, {n: b.detach().clone() for n, b in net.named_buffers()}

    def noise(self, generator: Generator, batch: int) -> Tensors:
        """{"dropout": [B] int64} for an update's batch; {} where the module has no dropout."""
        import torch

        if not _drops(self):
            return {}
        return {KEY: torch.randint(2**62, (batch,), generator=generator)}

    def __call__(
        self,
        params: Tensors,
        buffers: Tensors,
        *inputs: Any,
        training: bool = False,
        key: Tensor | None = None,
    ) -> tuple[Any, Tensors]:
        """(what the module gives, at least float32; new buffers, the same ones outside training). key: the
        numbers that `noise` drew, in training. Buffers that are not the module's are passed on."""
        import torch
        from torch.func import functional_call

        own = {n: buffers[n].clone() if training else buffers[n] for n in _buffer_names(self)}
        with keyed(key):
            out = functional_call(_skeleton(self, training), {**params, **own}, inputs)
        half = isinstance(out, torch.Tensor) and out.dtype == torch.bfloat16
        return (out.float() if half else out), {**buffers, **own}


@lru_cache(maxsize=64)
def _skeleton(network: Network, training: bool) -> Any:
    """The module as a shape to call."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # a tensor that is neither a parameter nor a buffer is the same in every process
        return network.make().train(training)


@lru_cache(maxsize=64)
def _buffer_names(network: Network) -> tuple[str, ...]:
    return tuple(n for n, _ in _skeleton(network, True).named_buffers())


@lru_cache(maxsize=64)
def _drops(network: Network) -> bool:
    """Whether a layer is one of torch's dropout layers, at a rate above 0, or a module's own `forward` names
    dropout: looked at once, not at every update."""
    from torch import nn

    kinds = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
    return any(
        m.p > 0 if isinstance(m, kinds) else _names_dropout(type(m))
        for m in _skeleton(network, True).modules()
    )


def _names_dropout(made: type) -> bool:
    """Whether the code of a module's `forward`, unless it is torch's, calls something by a name with dropout
    in it."""
    code = getattr(getattr(made, "forward", None), "__code__", None)
    if made.__module__.startswith("torch.") or code is None:
        return False
    words = (w for const in code.co_consts if isinstance(const, tuple) for w in const)
    return any("dropout" in str(word) for word in (*code.co_names, *words))


@contextmanager
def keyed(key: Tensor | None) -> Iterator[None]:
    """Dropout within takes its masks from `key`; without one, everything is as torch has it."""
    if key is None:
        yield
        return
    with _mode()(key):
        yield


def uniform(key: Tensor, place: int, like: Tensor) -> Tensor:
    """[like's shape] in [0, 1), float32: 24 bits of the splitmix64 hash of (key, place, entry).

    key: [B], one for each of the B equal parts of the first axis, or a scalar: one for all.

    G. Steele, D. Lea, C. Flood, OOPSLA 2014, doi 10.1145/2660193.2660195.

    >>> import torch
    >>> u = uniform(torch.arange(500), 0, torch.empty(1000, 100))
    >>> u.shape, abs(float(u.mean()) - 0.5) < 0.01
    (torch.Size([1000, 100]), True)
    >>> torch.equal(uniform(torch.arange(250, 500), 0, torch.empty(500, 100)), u[500:])
    True
    """
    import torch

    parts = len(key) if key.dim() and like.dim() and len(like) % len(key) == 0 else 1
    entries = torch.arange(like.numel() // parts, device=like.device)
    keys = (key if parts > 1 else key.flatten()[:1]) + _wrapped(place * _GOLDEN)
    bits = _mixed(_mixed(keys)[:, None] + entries * _GOLDEN).reshape(like.shape)
    return (bits.bitwise_right_shift(40) & 0xFFFFFF).to(torch.float32) * 2.0**-24


_GOLDEN = 0x9E3779B97F4A7C15 - 2**64


def _wrapped(number: int) -> int:
    """The number as int64 holds it.

    >>> _wrapped(2**63), _wrapped(-1)
    (-9223372036854775808, -1)
    """
    return (number + 2**63) % 2**64 - 2**63


def _mixed(x: Tensor) -> Tensor:
    """splitmix64's finaliser; a shift of int64 keeps the sign, so it is masked."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9 - 2**64), (27, 0x94D049BB133111EB - 2**64)):
        x = (x ^ (x.bitwise_right_shift(shift) & (2 ** (64 - shift) - 1))) * factor
    return x ^ (x.bitwise_right_shift(31) & (2**33 - 1))


@lru_cache(maxsize=1)
def _mode() -> Any:
    """The class of the mode, made late: torch is not imported with a task."""
    from torch.nn import functional
    from torch.overrides import TorchFunctionMode

    channels = {getattr(functional, f"dropout{n}d"): n for n in (1, 2, 3)}  # whole ones, [.., C, *axes]

    class Keyed(TorchFunctionMode):
        def __init__(self, key: Tensor) -> None:
            super().__init__()
            self.key, self.count = key, 0

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            given = kwargs or {}
            if func is functional.dropout or func in channels:
                return self.dropped(*args, axes=channels.get(func, 0), **given)
            if func is functional.scaled_dot_product_attention:
                names = dict(zip(("attn_mask", "dropout_p", "is_causal"), args[3:], strict=False)) | given
                rate = names.pop("dropout_p", 0.0)
                if rate:
                    return self.dropped(weights(*args[:2], **names), rate, axes=0) @ args[2]
            return func(*args, **given)

        def dropped(
            self, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, axes: int
        ) -> Tensor:
            if not training or p == 0:
                return input
            shape = input.new_empty((*input.shape[: input.dim() - axes], *(1,) * axes))
            kept = uniform(self.key, self.count, shape) >= p
            self.count += 1
            return input * (kept.to(input.dtype) / (1 - p) if p < 1 else kept.to(input.dtype))

    return Keyed


def weights(
    query: Tensor, key: Tensor, *, attn_mask: Any = None, is_causal: bool = False, scale: float | None = None
) -> Tensor:
    """softmax(query key' scale + mask), [..., L, S], as `scaled_dot_product_attention` defines them."""
    import torch

    scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=query.device).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, float("-inf"))
    elif attn_mask is not None:
        scores = scores + attn_mask
    return scores.softmax(-1)
