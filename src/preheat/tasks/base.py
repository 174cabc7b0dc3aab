"""A task: data, a model, a loss and metrics, as pure functions of one run's tensors.

`Classification`, `Regression` and `Grouped` are the short ways: give `data()` and `network()`, and the rest
follows. What needs more is a `Task` itself (see `quadratic`). Tasks must not import torch when they are
imported: declaring a run, listing what exists and reading records never load it.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from preheat.core.errors import UserError
from preheat.core.registry import MODELS
from preheat.core.spec import Spec, as_spec, build, complete
from preheat.tasks.network import KEY, Network
from preheat.tasks.objectives import chance_loss, objective

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

Tensors = dict[str, "Tensor"]
WATCHED = "watch.accuracy"  # a buffer that is recorded at every step


class Data(NamedTuple):
    """Three sets of examples, each {name: [N, ...]}. `train` may be a pool of which a seed uses a subset.

    validation chooses; test is looked at once, at the end. Floating tensors are cast to the run's precision.
    """

    train: Tensors
    validation: Tensors
    test: Tensors


class Task(ABC):
    """What the engine asks of a task: a frozen dataclass whose fields are the task's options.

    What is not abstract has a default that is right for data that the declaration determines. mean_loss:
    whether the loss is a mean over examples. One that is not (weights of groups, a ranking) says False, and
    its `loss` takes `total` too, a function that adds up tensors over all processes that share a batch, the
    identity on one: it is applied to what has no gradient, such as counts, and the value is this process's
    part of a sum. What such a loss remembers, such as weights, are buffers.
    """

    each: ClassVar[tuple[str, ...]] = ()
    mean_loss: ClassVar[bool] = True

    def __init_subclass__(cls) -> None:
        """A field must not hide a method of the task: `noise: float` would."""
        for name in inspect.get_annotations(cls):
            if any(inspect.isfunction(base.__dict__.get(name)) for base in cls.__mro__[1:]):
                raise UserError(
                    f"field {name!r} of task class {cls.__name__} hides the method of that name: choose "
                    "another name"
                )
        given = cls.__dict__.get("metrics")
        if given is not None and len(inspect.signature(given).parameters) > 2:
            raise UserError(
                f"metrics of task class {cls.__name__} must take (self, sums): write statistics(self, "
                "params, buffers, batch), sums over a batch's examples, and metrics(self, sums) of a set"
            )

    @property
    @abstractmethod
    def examples(self) -> int:
        """How many training examples an epoch passes over; a field or a property."""

    @abstractmethod
    def data(self) -> Data:
        """The data on the CPU; called once a process."""

    @abstractmethod
    def init(self, generator: Generator) -> tuple[Tensors, Tensors]:
        """(params, buffers) of one run."""

    @abstractmethod
    def loss(self, params: Tensors, buffers: Tensors, batch: Tensors) -> tuple[Tensor, Tensors]:
        """(mean loss over the batch, new buffers). Buffers are never changed in place."""

    @abstractmethod
    def statistics(self, params: Tensors, buffers: Tensors, batch: Tensors) -> Tensors:
        """{name: tensor} of a chunk of a set in evaluation mode: sums over its examples; those that `each`
        names have an entry for every example, [B, ...], and are joined instead."""

    @abstractmethod
    def metrics(self, sums: Tensors) -> Tensors:
        """{name: scalar}: the metrics of a whole set from its statistics."""

    def subset(self, generator: Generator) -> Tensor:
        """[N] int64: which rows of `data().train` this seed trains on; all of them by default."""
        import torch

        return torch.arange(self.examples)

    def noise(self, generator: Generator, batch: int) -> Tensors | None:
        """Random numbers of one update, merged into its batch; None where training draws none."""
        return None

    def plain_loss(self, params: Tensors, buffers: Tensors, batch: Tensors, **total: Any) -> Tensor:
        """The loss for second derivatives, scalar: without kernels that have none. It takes `total` where the
        loss does."""
        return self.loss(params, buffers, batch, **total)[0]

    def outputs(self, params: Tensors, buffers: Tensors, batch: Tensors) -> Tensors:
        """{name: tensor}: what the network gives for a training batch in training mode; {} without one."""
        return {}

    def chance(self) -> dict[str, float]:
        """The metrics of a model that has learnt nothing, where that is known."""
        return {}

    # not abstract: most tasks have nothing to do here
    def ready(self, *, fetch: bool = True) -> None:  # noqa: B027
        """Whatever `data` needs is here, and right; what is missing is fetched if that may be done.

        Errors: UserError where it can't be had.
        """

    def origin(self) -> dict[str, str]:
        """What the data are, for a record's provenance: {"data": text} where the task does not tell."""
        return {}

    @property
    def at_hand(self) -> bool:
        """Whether the data are what lies on this machine: then `origin` tells them from others."""
        return False

    @property
    def evaluated(self) -> tuple[int, int]:
        """How many examples the validation and the test set hold."""
        _, *parts = self.data()
        validation, test = (len(next(iter(part.values()))) for part in parts)
        return validation, test

    def stand_in(self) -> Task:
        """A task whose steps cost the same and whose data are made up, to measure on; itself where none are
        read from files."""
        return self


def losses(task: Task, total: Callable[[Tensor], Tensor]) -> tuple[Callable[..., Any], Callable[..., Tensor]]:
    """The task's `loss` and `plain_loss` of (params, buffers, batch); total: what adds up over processes."""
    if task.mean_loss:
        return task.loss, task.plain_loss
    loss: Callable[..., Any] = task.loss
    return partial(loss, total=total), partial(task.plain_loss, total=total)


class Networked(Task):
    """A task whose loss is of what one `nn.Module` gives, BatchNorm and dropout included.

    inputs: the names of the data that the network is called with, in its arguments' order.
    """

    inputs: ClassVar[tuple[str, ...]] = ("x",)

    @abstractmethod
    def network(self) -> nn.Module:
        """A freshly initialised network."""

    @property
    def net(self) -> Network:
        """The network as a function."""
        return Network(self.network)

    def init(self, generator: Generator) -> tuple[Tensors, Tensors]:
        """The network's own initialisation under the generator's seed."""
        return self.net.init(generator)

    def noise(self, generator: Generator, batch: int) -> Tensors | None:
        """The numbers that key dropout, where the network has some."""
        return self.net.noise(generator, batch) or None

    def called(
        self, params: Tensors, buffers: Tensors, batch: Tensors, *, training: bool
    ) -> tuple[Any, Tensors]:
        """(what the network gives for the batch's `inputs`, new buffers)."""
        given = [batch[name] for name in self.inputs]
        return self.net(params, buffers, *given, training=training, key=batch.get(KEY))

    def outputs(self, params: Tensors, buffers: Tensors, batch: Tensors) -> Tensors:
        """What the network gives for the batch's `inputs` in training mode, its tensors by their place."""
        from torch.utils._pytree import tree_leaves

        given, _ = self.called(params, buffers, batch, training=True)
        return {str(i): t for i, t in enumerate(tree_leaves(given))}

    def plain_loss(self, params: Tensors, buffers: Tensors, batch: Tensors, **total: Any) -> Tensor:
        """The loss for second derivatives, scalar: attention as plain matrix products, since fused kernels
        have none."""
        from torch.nn.attention import SDPBackend, sdpa_kernel

        with sdpa_kernel(SDPBackend.MATH):
            return self.loss(params, buffers, batch, **total)[0]


class Classification(Networked):
    """A classifier: a loss and accuracy.

    A subclass is a frozen dataclass with `examples`, `classes`, `data()` and `network()`: x [B, ...] ->
    logits [B, C]. Data hold `x` [N, ...] (or what `inputs` names) and `y` [N] int64. objective: one of
    `preheat.tasks.objectives.OBJECTIVES`, the cross entropy where a subclass says nothing. watch: record the
    accuracy on each update's batch before it, as train_accuracy.
    """

    objective: str = "cross_entropy"
    watch: bool = False

    @property
    @abstractmethod
    def classes(self) -> int:
        """The number of classes C."""

    def init(self, generator: Generator) -> tuple[Tensors, Tensors]:
        """The network's parameters and buffers, and the accuracy that is watched, 0 before the first
        update."""
        import torch

        params, buffers = super().init(generator)
        return params, {**buffers, WATCHED: torch.zeros(())} if self.watch else buffers

    def loss(self, params: Tensors, buffers: Tensors, batch: Tensors) -> tuple[Tensor, Tensors]:
        """The mean objective in training mode; running statistics are cloned and returned."""
        logits, fresh = self.called(params, buffers, batch, training=True)
        value = objective(self.objective, logits, batch["y"])
        if self.watch:
            right = (logits.detach().argmax(-1) == batch["y"]).to(buffers[WATCHED].dtype)
            fresh = {**fresh, WATCHED: right.mean()}
        return value, fresh

    def statistics(self, params: Tensors, buffers: Tensors, batch: Tensors) -> Tensors:
        """Sums over the examples: of the objective, of those that are right, and of all."""
        return self.scored(self.called(params, buffers, batch, training=False)[0], batch["y"])

    def scored(self, logits: Tensor, y: Tensor) -> Tensors:
        """The `statistics` of logits [B, C] and labels [B]."""
        if logits.shape != (len(y), self.classes):
            raise ValueError(
                f"a network's output must be [B, classes], {[len(y), self.classes]}, got {list(logits.shape)}"
            )
        right = (logits.argmax(-1) == y).to(logits.dtype)
        loss = objective(self.objective, logits, y, reduction="sum")
        return {"loss": loss, "right": right.sum(), "examples": logits.new_tensor(len(y))}

    def metrics(self, sums: Tensors) -> Tensors:
        """loss (the mean objective) and accuracy (fraction right)."""
        return {n: sums[of] / sums["examples"] for n, of in (("loss", "loss"), ("accuracy", "right"))}

    def chance(self) -> dict[str, float]:
        """1 / C; the loss where the objective is not the cross entropy."""
        loss = chance_loss(self.objective, self.classes)
        return {"accuracy": 1.0 / self.classes, **({} if loss is None else {"loss": loss})}


def chosen(model: Any, shape: tuple[int, ...], *, default: str | None = None, takes: str = "images") -> Spec:
    """A registered model with every option written out; it must take inputs of this kind and shape. default:
    of options without a name."""
    found = complete("model", as_spec(model, "model", default=default))
    made = build("model", found)
    if made.takes != takes:
        raise UserError(
            f"model {found.name!r} takes {made.takes}, and this task has {takes}: write one of "
            f"{', '.join(taking(takes))}"
        )
    made.check(shape)
    return found


def taking(takes: str) -> list[str]:
    """The registered models that take this kind of input."""
    return [name for name in MODELS.names() if MODELS[name].takes == takes]
