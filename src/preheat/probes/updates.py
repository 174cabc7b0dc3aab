"""How far one update turns the parameters and changes what the network gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from preheat.core.errors import UserError
from preheat.core.registry import PROBES
from preheat.probes.base import Moment, Probe, Tensors, at_least, norm
from preheat.probes.hessian import first

if TYPE_CHECKING:
    from torch import Tensor


@PROBES.register("angular_update")
@dataclass(frozen=True)
class AngularUpdate(Probe):
    """The angle in radians by which one update turns the parameters, all together and (layers=true) each
    tensor.

    angle(p, p') of the vectors before and after it. Where weights are followed by a normalisation only their
    direction matters, and this is the size of the update. NaN where one of the two vectors is zero.

    A. Kosson, B. Messmer, M. Jaggi, arXiv 2305.17212 and 2410.23922.
    """

    layers: bool = False

    def measure(self, moment: Moment, memory: Tensors) -> tuple[Tensors, Tensors]:
        """angular_update, and angular_update.<parameter> for each."""
        found = {"angular_update": angle(moment.params, moment.after)}
        if self.layers:
            found |= {
                f"angular_update.{n}": angle({n: p}, {n: moment.after[n]}) for n, p in moment.params.items()
            }
        return found, memory


def angle(a: Tensors, b: Tensors) -> Tensor:
    """The angle between two vectors that are given as tensors, a scalar in [0, pi]; NaN where one is zero.

    2 atan2(|u - v|, |u + v|) of the unit vectors u and v: exact where the arc cosine loses all digits, at
    small angles. W. Kahan, "How futile are mindless assessments of roundoff", 2006, section 12.

    >>> import torch
    >>> one, other = torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1e-5])
    >>> f"{angle({'w': one}, {'w': other}):.3g}, {float((one @ other / other.norm()).acos()):.3g}"
    '1e-05, 0'
    """
    import torch

    u, v = norm(a), norm(b)
    less = norm({n: t / u - b[n] / v for n, t in a.items()})
    more = norm({n: t / u + b[n] / v for n, t in a.items()})
    return 2 * torch.atan2(less, more)


@PROBES.register("representation_change")
@dataclass(frozen=True)
class RepresentationChange(Probe):
    """How much one update changes what the network gives, relative to that.

    representation_change: ||f(p') - f(p)|| / ||f(p)||, Euclidean norms over all outputs of the batch's first
    `examples`, in training mode (BatchNorm's statistics of the batch, the same dropout before and after). f
    is the network as a whole; the changes of single layers are not measured. Costs two forward passes.

    A. Kosson, B. Messmer, M. Jaggi, arXiv 2410.23922.
    """

    examples: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self.examples, "examples", "representation_change")

    def measure(self, moment: Moment, memory: Tensors) -> tuple[Tensors, Tensors]:
        """representation_change."""
        batch = first(moment.batch, self.examples)
        before, after = (moment.outputs(p, moment.buffers, batch) for p in (moment.params, moment.after))
        if not before:
            raise UserError(
                "probe 'representation_change' needs a task that has a network, and outputs() of this one "
                "gives {}: leave the probe out, or write outputs()"
            )
        change = {n: after[n] - y for n, y in before.items()}
        square = moment.joined({"change": norm(change) ** 2, "size": norm(before) ** 2})
        return {"representation_change": (square["change"] / square["size"]).sqrt()}, memory
