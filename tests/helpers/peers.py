"""The rates that other libraries' schedulers give, update by update, read from the optimizer they drive."""

from __future__ import annotations

import importlib
import json
import os
import sys
import types
import warnings
from importlib.machinery import ModuleSpec
from importlib.util import find_spec

import numpy as np
import torch
from cases import once

from preheat.adapters.torch import ScheduleLR
from preheat.core.registry import SCHEDULES

LENGTHS = (7, 100, 1000)


def optimizer(lr=0.1, groups=1):
    """Plain SGD with momentum, which OneCycleLR and CyclicLR move."""
    rates = [lr] if groups == 1 else lr
    return torch.optim.SGD(
        [{"params": [torch.zeros(1, requires_grad=True)], "lr": r} for r in rates], lr=rates[0], momentum=0.9
    )


def stepped(opt, scheduler, n, read=lambda group: group["lr"]):
    """What `read` finds in the first group at updates 0 to n - 1 under a scheduler of torch's kind: [n]."""
    out = []
    for k in range(n):
        out.append(float(read(opt.param_groups[0])))
        if k < n - 1:
            opt.step()
            scheduler.step()
    return np.array(out)


def ours(schedule, n, *, lr=1.0, total=None):
    """The rates of updates 0 to n - 1 under the adapter: [n]."""
    opt = optimizer(lr)
    return stepped(opt, ScheduleLR(opt, schedule, total or n), n)


def go(opt, scheduler, n):
    """n updates."""
    for _ in range(n):
        opt.step()
        scheduler.step()


def rates(opt):
    """The rate of each group."""
    return [float(g["lr"]) for g in opt.param_groups]


def torch_rates(make, n, lr=0.1):
    """The rates under `make(optimizer)`: [n]."""
    opt = optimizer(lr)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch tells that a factor of 0 can't be chained, and the like
        return stepped(opt, make(opt), n)


def close(ours, theirs):
    """Equal to 1e-12, or to 1e-15 (of rates of at most 0.3) where theirs has lost digits by cancellation near
    0."""
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-15)


def kept(made, lr=None):
    """A converted schedule comes back from its JSON, and stays within [0, 1].

    lr: the optimizer's rate, which is the peak where no rate is above it.
    """
    data = json.loads(json.dumps(made.schedule.json()))
    assert SCHEDULES.build(data.pop("name"), data) == made.schedule
    high = made.rates().max()
    assert made.rates().min() >= 0 and high <= made.peak * (1 + 1e-15)
    assert lr is None or high > lr or made.peak == lr


def cases(make, *, alone=True):
    """(length, name, arguments) of `make(length)` and their ids, all or some.

    Some: each name at every length, and (alone) each of its arguments at one.
    """
    lengths = sorted(LENGTHS, key=lambda n: n != 100)
    found = [(n, name, arguments, i) for n in lengths for i, (name, arguments) in enumerate(make(n))]
    kept = once(found, lambda case: [(case[0], case[1]), case[3] if alone else 0])
    return {"argvalues": [case[:3] for case in kept], "ids": [f"{n}-{name}-{i}" for n, name, _, i in kept]}


def timm_schedulers():
    """timm.scheduler without timm's models, which need torchvision; None where timm is not installed."""
    if find_spec("timm") is None:
        return None
    if "timm" not in sys.modules:
        home = os.path.dirname(find_spec("timm").origin)
        stub = types.ModuleType("timm")
        stub.__path__, stub.__spec__ = [home], ModuleSpec("timm", None, is_package=True)
        sys.modules["timm"] = stub
        try:
            return importlib.import_module("timm.scheduler")
        finally:
            del sys.modules["timm"]
    return importlib.import_module("timm.scheduler")
