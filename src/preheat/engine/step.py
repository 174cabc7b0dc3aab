"""One update, written for one run and lifted to many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.func import grad_and_value
from torch.utils import _pytree as pytree

from preheat.engine.placement import Placement
from preheat.optim.base import Optimizer, RateRule, TrialRule
from preheat.probes.base import Moment

Tensors = dict[str, Tensor]
Loss = Callable[[Tensors, Tensors, Tensors], tuple[Tensor, Tensors]]
Step = Callable[["State", Tensors, Tensors, Tensor], tuple["State", Tensor, Tensor]]


class State(NamedTuple):
    """All that changes during training; in a fleet every tensor has a leading run axis R.

    rule: {} without a rate rule, else {"state": its state, "lr": the rate of the last update}.
    """

    params: Tensors
    buffers: Tensors
    opt: dict[str, Any]
    rule: dict[str, Any] = {}  # noqa: RUF012


class Kind(NamedTuple):
    """What one kind of run computes. mean_loss: whether its loss is a mean over examples; plain: the loss for
    second derivatives; searches: whether the rule looks at trial updates in this step."""

    loss: Loss
    optimizer: Optimizer
    clip: bool = False
    mean_loss: bool = True
    rule: RateRule | None = None
    plain: Callable[[Tensors, Tensors, Tensors], Tensor] | None = None
    searches: bool = False


class Given(NamedTuple):
    """What an update starts from; batch: {} where no rate rule looks at it."""

    state: State
    batch: Tensors
    hyper: Tensors


def joined_gradients(loss: Loss, where: Placement, *, mean: bool) -> Callable[..., Any]:
    """(params, buffers, batch) -> (grads, (value, buffers)), lifted over runs, of all ranks together.

    Ranks that share a batch average gradients and loss, or add them up where the loss is not a mean; what
    their buffers hold of it (running statistics, watched numbers) is averaged.
    """
    own = where.lift(grad_and_value(loss, has_aux=True), (0, 0, 0))
    joined = where.joined(mean=mean)

    def grads_of(params: Tensors, buffers: Tensors, batch: Tensors) -> Any:
        grads, (value, new) = own(params, buffers, batch)
        floats = where.mean({n: b for n, b in new.items() if b.is_floating_point()})
        return joined(grads), (joined(value), {**new, **floats})

    return grads_of


def make_step(kind: Kind, where: Placement) -> Step:
    """step(state, batch, hyper, alive) -> (state, value, alive).

    hyper: {"lr": [R], "momentum": [R], ...}; value: [R], the batch's loss before the update; alive: [R] bool.
    A run whose loss is not finite is dead from then on and keeps the state it had; the others do not notice.
    """
    grads_of = joined_gradients(kind.loss, where, mean=kind.mean_loss)
    joined = where.joined(mean=kind.mean_loss)

    def advance(
        grads: Tensors, value: Tensor, buffers: Tensors, given: Given, alive: Tensor
    ) -> tuple[State, Tensor]:
        state, hyper, rule = given.state, given.hyper, given.state.rule
        if kind.rule:
            hyper, rule = _listened(kind, given, grads, value, joined)
        if kind.clip:
            grads = clipped(grads, hyper["clip_norm"])
        params, opt = kind.optimizer.update(grads, state.opt, state.params, hyper)
        alive = alive & torch.isfinite(value)
        new = State(params, buffers, opt, rule)
        return (new if where.looks else keep(alive, new, state)), alive

    update = where.lift(advance, 0)

    def step(state: State, batch: Tensors, hyper: Tensors, alive: Tensor) -> tuple[State, Tensor, Tensor]:
        grads, (value, buffers) = grads_of(state.params, state.buffers, batch)
        given = Given(state, batch if kind.rule else {}, hyper)
        new, alive = update(where.laid_out(grads), value, buffers, given, alive)
        return new, value, alive

    return step


def _listened(
    kind: Kind, given: Given, grads: Tensors, value: Tensor, joined: Callable[[Any], Any]
) -> tuple[Tensors, dict[str, Any]]:
    """(hyper with the rule's rate, what the state keeps of the rule)."""
    assert kind.rule is not None and kind.plain is not None
    state, batch, hyper = given
    moment = Moment(
        params=state.params,
        buffers=state.buffers,
        batch=batch,
        grads=grads,
        after=state.params,
        start={},
        lr=hyper["lr"],
        loss=value,
        drawn={},
        function=kind.plain,
        opt=state.opt,
        hyper=hyper,
    )

    def loss_on_batch(params: Tensors) -> Tensor:
        found: Tensor = joined(kind.loss(params, state.buffers, batch)[0])
        return found

    kept = state.rule["state"]
    if kind.searches:
        kept = _searched(kind, moment, kept, loss_on_batch)
    factor, kept = kind.rule.rate(kept, moment, loss_on_batch)
    lr = hyper["lr"] * factor
    return {**hyper, "lr": lr}, {"state": kept, "lr": lr}


def _searched(
    kind: Kind, moment: Moment, kept: Tensors, loss_on_batch: Callable[[Tensors], Tensor]
) -> Tensors:
    """What a rule keeps after its search, in runs that are due."""
    rule, at = kind.rule, updated(kind.optimizer, kind.clip, moment)
    assert isinstance(rule, TrialRule)

    def loss_after(lr: Tensor) -> Tensor:
        return loss_on_batch(at(lr))

    due = rule.warming(kept, moment.lr) & rule.due(kept, moment.lr, moment.loss)
    new = rule.search(kept, moment, loss_after)
    return {n: torch.where(due, new[n], old) for n, old in kept.items()}


def updated(optimizer: Optimizer, clip: bool, moment: Moment) -> Callable[[Tensor], Tensors]:
    """lr -> the parameters after a moment's update at that rate."""
    grads = clipped(moment.grads, moment.hyper["clip_norm"]) if clip else moment.grads
    return lambda lr: optimizer.update(grads, moment.opt, moment.params, {**moment.hyper, "lr": lr})[0]


def searching(kind: Kind, where: Placement, realise: Callable[[Step], Step]) -> Step:
    """The step of a kind whose rule looks at trial updates: that with a search where a run is due, else that
    without."""
    rule = kind.rule
    assert isinstance(rule, TrialRule)
    joined = where.joined(mean=kind.mean_loss)

    def warming(state: State, hyper: Tensors) -> Tensor:
        return rule.warming(state.rule["state"], hyper["lr"])

    def due(state: State, batch: Tensors, hyper: Tensors) -> Tensor:
        loss = joined(kind.loss(state.params, state.buffers, batch)[0])
        return rule.due(state.rule["state"], hyper["lr"], loss)

    open_, now = where.lift(warming, (0, 0)), where.lift(due, (0, 0, 0))
    quiet, full = (realise(make_step(kind._replace(searches=s), where)) for s in (False, True))

    def step(state: State, batch: Tensors, hyper: Tensors, alive: Tensor) -> tuple[State, Tensor, Tensor]:
        may = alive & open_(state, hyper)
        looks = bool(may.any()) and bool((may & now(state, batch, hyper)).any())
        return (full if looks else quiet)(state, batch, hyper, alive)

    return step


def looked_at(step: Step) -> Step:
    """For one run on a CPU: freeze it by a look at `alive`, which is cheaper there than a `where` over the
    state."""

    def looking(state: State, batch: Tensors, hyper: Tensors, alive: Tensor) -> tuple[State, Tensor, Tensor]:
        new, value, alive = step(state, batch, hyper, alive)
        return (new if alive else state), value, alive

    return looking


def clipped(grads: Tensors, clip_norm: Tensor) -> Tensors:
    """grads * min(1, clip_norm / (||grads|| + 1e-6)), the norm over all parameters (torch's
    clip_grad_norm_)."""
    norm = torch.stack([(g * g).sum() for g in grads.values()]).sum().sqrt()
    scale = (clip_norm / (norm + 1e-6)).clamp(max=1.0)
    return {n: g * scale for n, g in grads.items()}


def keep(alive: Tensor, new: State, old: State) -> State:
    """`new` where the run is alive, else `old`."""
    kept: State = pytree.tree_map(lambda n, o: torch.where(alive, n, o), new, old)
    return kept
