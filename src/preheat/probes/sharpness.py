"""Sharpness: the largest eigenvalue of the training loss's Hessian, as it is and preconditioned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from preheat.core.errors import UserError, unknown
from preheat.core.lengths import Length, steps
from preheat.core.registry import PROBES
from preheat.core.spec import LATER
from preheat.probes.base import Moment, Probe, Tensors, at_least
from preheat.probes.hessian import first, hessian
from preheat.probes.lanczos import largest_eigenvalue, warmed

if TYPE_CHECKING:
    from torch import Generator, Size


Measured = Literal["update", "first"]
_HELD = "batch/"  # in memory: of a batch that is kept


@dataclass(frozen=True)
class _TopEigenvalue(Probe):
    """What both sharpnesses share: the size of the measurement, its batch, and the vector that it starts
    from."""

    called: ClassVar[str]
    every: Length = steps(400)
    products: int = 12
    examples: int = 128
    batch: Measured = field(default="update", metadata=LATER)

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self.products, "products", self.called)
        at_least(1, self.examples, "examples", self.called)
        if self.batch not in get_args(Measured):
            raise unknown(f"batch of probe {self.called!r}", self.batch, get_args(Measured))

    def draw(self, generator: Generator, shapes: Mapping[str, Size]) -> Tensors:
        """{parameter: its shape}, normal: the noise of the start."""
        return normal(generator, shapes)

    def start(self, moment: Moment) -> Tensors:
        """No vector yet: zeros of the parameters' shapes; and the batch, where the first is kept."""
        import torch

        kept = first(moment.batch, self.examples) if self.batch == "first" else {}
        empty = {n: torch.zeros_like(p) for n, p in moment.params.items()}
        return empty | {f"{_HELD}{n}": t for n, t in kept.items()}

    def product(self, moment: Moment, memory: Tensors) -> Callable[[Tensors], Tensors]:
        """v -> H v on this update's batch, or on the one that is kept."""
        held = {n.removeprefix(_HELD): t for n, t in memory.items() if n.startswith(_HELD)}
        return hessian(moment, held or first(moment.batch, self.examples))


@PROBES.register("sharpness")
@dataclass(frozen=True)
class Sharpness(_TopEigenvalue):
    """The sharpness, the largest eigenvalue of the training loss's Hessian, and how near it is to the
    stability threshold.

    Largest means most positive: a negative eigenvalue may be larger in size. Lanczos with `products`
    products H v from the vector of the last measurement plus a tenth of noise; sharpness_error is the
    relative residual |H v - s v| / |s|, within which an eigenvalue lies. sharpness_to_threshold: s over
    the value above which a quadratic loss would diverge, sharpness_to_first_threshold: over that of a first
    step, from an optimizer without history; both only where the optimizer has a threshold and no
    preconditioner. The loss is that of training (its mode, augmentation and noise) on the first `examples` of
    a batch, in float32 or float64: that of the update, or with batch="first" that of the first measurement,
    its noise included, at all of them. There the last vector fits, and changes are those of the parameters
    alone. A product costs 1 to 3 training steps of `examples` examples.

    C. Lanczos, J. Res. Natl. Bur. Stand. 45 (1950) 255; J. Cohen et al., arXiv 2103.00065.
    """

    called: ClassVar[str] = "sharpness"

    def measure(self, moment: Moment, memory: Tensors) -> tuple[Tensors, Tensors]:
        """sharpness and sharpness_error, and the two ratios."""
        product = self.product(moment, memory)
        plain = moment.preconditioner is None
        return _measured(self.called, product, moment, memory, products=self.products, threshold=plain)


@PROBES.register("preconditioned_sharpness")
@dataclass(frozen=True)
class PreconditionedSharpness(_TopEigenvalue):
    """The largest eigenvalue of P^-1/2 H P^-1/2: the sharpness that an adaptive optimizer's stability
    depends on.

    H: the Hessian of `sharpness`; P: the diagonal preconditioner of the update that follows, whose second
    moment has this batch's gradient in it already. Adam's is (1 - beta1^t) (sqrt(v / (1 - beta2^t)) + eps),
    t = 1 at the first update. The matrix is symmetric and has the eigenvalues of P^-1 H. The error and the
    two ratios are those of `sharpness`. preconditioner_min: the smallest entry of P; where it is near eps (in
    the first updates) the value tells of eps and not of the loss.

    J. Cohen et al., arXiv 2207.14484; D. Kalra, M. Barkeshli, arXiv 2406.09405.
    """

    called: ClassVar[str] = "preconditioned_sharpness"

    def measure(self, moment: Moment, memory: Tensors) -> tuple[Tensors, Tensors]:
        """preconditioned_sharpness and its error, the two ratios, and preconditioner_min."""
        import torch

        if moment.preconditioner is None:
            raise UserError(
                "probe 'preconditioned_sharpness' needs an optimizer with a preconditioner, and this run's "
                "has none: write 'sharpness'"
            )
        diagonal = moment.preconditioner(moment.opt_after, moment.hyper)
        product = preconditioned(self.product(moment, memory), diagonal)
        found, kept = _measured(self.called, product, moment, memory, products=self.products, threshold=True)
        return {**found, "preconditioner_min": torch.stack([t.min() for t in diagonal.values()]).min()}, kept


def preconditioned(product: Callable[[Tensors], Tensors], diagonal: Tensors) -> Callable[[Tensors], Tensors]:
    """v -> P^-1/2 H P^-1/2 v, for v -> H v and the positive diagonal of P, shaped like the parameters.

    >>> import torch
    >>> double = preconditioned(lambda v: v, {"w": torch.tensor([4.0, 0.25])})
    >>> double({"w": torch.ones(2)})["w"]
    tensor([0.2500, 4.0000])
    """
    scale = {n: p.rsqrt() for n, p in diagonal.items()}

    def both(v: Tensors) -> Tensors:
        found = product({n: scale[n] * t for n, t in v.items()})
        return {n: scale[n] * t for n, t in found.items()}

    return both


def normal(generator: Generator, shapes: Mapping[str, Size]) -> Tensors:
    """{name: standard normal numbers of its shape}, in float32."""
    import torch

    return {n: torch.randn(shape, generator=generator) for n, shape in shapes.items()}


def _measured(
    name: str,
    product: Callable[[Tensors], Tensors],
    moment: Moment,
    memory: Tensors,
    *,
    products: int,
    threshold: bool,
) -> tuple[Tensors, Tensors]:
    """The eigenvalue from the vector in memory, its error, its share of the thresholds; the new vector."""
    import torch

    vector = {n: memory[n] for n in moment.params}
    pair = largest_eigenvalue(product, warmed(vector, moment.drawn), products=products)
    found = {name: pair.value, f"{name}_error": pair.error}
    if threshold and moment.threshold is not None:
        one_step, lasting = moment.threshold(moment.hyper)
        found[f"{name}_to_threshold"] = pair.value / lasting
        found[f"{name}_to_first_threshold"] = pair.value / one_step
    sound = pair.value.isfinite()
    return found, memory | {n: torch.where(sound, v, memory[n]) for n, v in pair.vector.items()}
