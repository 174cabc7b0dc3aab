"""The range test: what it finds, how much it varies, and that nothing is changed."""

from __future__ import annotations

import math
import random
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn, optim
from untouched import loss_fn, picture, setting

from preheat.adapters.range_test import RangeTest, lr_range_test
from preheat.core.errors import UserError

RATES = np.geomspace(1e-3, 100, 40)


def parts(batch, size=6):
    return list(zip(batch[0].split(size), batch[1].split(size), strict=True))


@pytest.mark.parametrize(
    "make", [lambda ps: optim.SGD(ps, lr=0.1, momentum=0.9), lambda ps: optim.AdamW(ps, lr=0.01)]
)
def test_everything_is_as_it_was_also_where_it_fails(make):
    model, batch, optimizer = setting(make)
    before = picture(model, optimizer)
    found = lr_range_test(model, loss_fn, parts(batch), optimizer, rates=RATES, repeats=2)
    assert picture(model, optimizer) == before and found.losses.shape == (2, 40)

    def fails(model, part):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lr_range_test(model, fails, parts(batch), optimizer)
    assert picture(model, optimizer) == before


def test_it_is_training_with_the_optimizer_at_growing_rates():
    """Against a loop that does it by hand, with the optimizer's momentum so far."""
    model, batch, optimizer = setting(lambda ps: optim.SGD(ps, lr=0.1, momentum=0.9))
    found = lr_range_test(model, loss_fn, [batch], optimizer, rates=RATES[:12], repeats=2)
    assert not np.array_equal(found.losses[0], found.losses[1]), "dropout draws from each repeat's seed"
    torch.manual_seed(1)
    for k, rate in enumerate(RATES[:12]):
        optimizer.zero_grad()
        loss = loss_fn(model, batch)
        loss.backward()
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        assert found.losses[1, k] == pytest.approx(float(loss.detach()), rel=1e-12)


@pytest.mark.parametrize("draw", [random.random, np.random.random])
def test_noise_of_every_global_generator_differs_between_repeats(draw):
    model, batch = nn.Linear(1, 1), torch.ones(1, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    loss = lambda m, x: (m(x) - draw()).square().sum()
    found = lr_range_test(model, loss, [batch], optimizer, rates=RATES[:12], repeats=2)
    assert found.losses[0, 0] != found.losses[1, 0]


def test_the_marks_on_a_quadratic():
    """One parameter, curvature 1: no rate below 2 diverges, and it falls fastest before that."""
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(model.weight, 3.0)
    targets = [torch.tensor([[t]], dtype=torch.float64) for t in (-0.1, 0.1)]
    found = lr_range_test(
        model,
        lambda m, t: ((m.weight - t) ** 2).sum() / 2,
        targets,
        optim.SGD(model.parameters(), lr=1.0),
        rates=RATES,
    )
    fastest, lowest, diverges = (found.spread(n) for n in ("fastest", "lowest", "diverges"))
    assert (
        fastest.greatest <= lowest.least and 2 < diverges.least <= diverges.greatest < 20 and diverges.n == 5
    )
    assert "diverges" in str(found) and "of 5" in str(found)


def test_a_constant_added_to_the_loss_moves_no_mark():
    found = []
    for add in (0.0, -100.0, 100.0):
        model, batch, optimizer = setting(lambda ps: optim.SGD(ps, lr=0.1, momentum=0.9))
        raised = lambda m, b: loss_fn(m, b) + add  # noqa: B023
        found.append(lr_range_test(model, raised, parts(batch), optimizer, rates=RATES))
    for name in ("fastest", "lowest", "diverges"):
        one, *others = (getattr(f, name) for f in found)
        assert all(np.array_equal(one, other, equal_nan=True) for other in others), name
    assert found[0].spread("diverges").n == 5


def test_a_loss_that_still_falls_at_the_end_has_not_diverged():
    model = nn.Linear(1, 1, bias=False).double()
    found = lr_range_test(
        model,
        lambda m, x: -torch.sigmoid(m(x)).mean(),
        [torch.ones(3, 1).double()],
        optim.SGD(model.parameters(), lr=0.1),
    )
    assert found.spread("diverges").n == 0 and (found.lowest == found.rates[-1]).all()


def test_noise_is_no_divergence():
    """Losses that the rates are too small to change, from batches of very different difficulty."""
    g = torch.Generator().manual_seed(0)
    batches = list((0.15 * torch.randn(100, 1, 1, generator=g).double()).exp())
    model = nn.Linear(1, 1, bias=False).double()
    found = lr_range_test(
        model,
        lambda m, x: (m(x) - x).square().mean(),
        batches,
        optim.SGD(model.parameters(), lr=0.1),
        rates=np.geomspace(1e-9, 1e-7, 100),
        repeats=20,
    )
    assert found.spread("diverges").n == 0


def test_a_batch_that_is_not_finite_is_named():
    model, batch, optimizer = setting(lambda ps: optim.SGD(ps, lr=0.1))
    some = parts(batch)
    some[2] = (some[2][0] * math.nan, some[2][1])
    with pytest.raises(UserError, match=r"finite before the test, got nan for batches\[2\]"):
        lr_range_test(model, loss_fn, some, optimizer, rates=RATES)


def test_an_autocast_around_it_is_one_inside_loss_fn():
    model, batch, optimizer = setting(lambda ps: optim.SGD(ps, lr=0.1), dtype=torch.float32)
    mixed = torch.autocast("cpu", torch.bfloat16)
    inside = lr_range_test(model, mixed(loss_fn), [batch], optimizer, rates=RATES, repeats=2)
    with mixed:
        around = lr_range_test(model, loss_fn, [batch], optimizer, rates=RATES, repeats=2)
    assert np.array_equal(inside.losses, around.losses, equal_nan=True)


def test_a_mark_that_is_not_there_is_not_made_up():
    blank = np.full(2, np.nan)
    one = RangeTest(RATES, np.ones((2, 40)), blank, np.ones(2), blank)
    assert one.spread("diverges").n == 0 and math.isnan(one.spread("fastest").median)
    model, batch, _ = setting(lambda ps: optim.SGD(ps, lr=0.1))
    calm = lr_range_test(
        model, loss_fn, parts(batch), optim.SGD(model.parameters(), lr=1.0), rates=RATES[:10] * 1e-6
    )
    assert calm.spread("diverges").n == 0


def test_mistakes_are_told_in_words():
    model, batch, optimizer = setting(lambda ps: optim.SGD(ps, lr=0.1))
    for text, call in {
        "at least 10 that ascend": lambda: lr_range_test(
            model, loss_fn, [batch], optimizer, rates=[1.0, 0.1]
        ),
        "a list with at least one, got list_iterator": lambda: lr_range_test(
            model, loss_fn, iter([batch]), optimizer
        ),
        "for a spread, got 1": lambda: lr_range_test(model, loss_fn, [batch], optimizer, repeats=1),
        "scalar": lambda: lr_range_test(model, lambda m, b: m(b[0]), [batch], optimizer),
        "must be finite": lambda: lr_range_test(
            model, lambda m, b: loss_fn(m, b) * math.nan, [batch], optimizer
        ),
    }.items():
        with pytest.raises(UserError, match=text):
            call()
    with pytest.raises(UserError, match="got 'median'"):
        RangeTest(RATES, *[np.ones((1, 1))] * 4).spread("median")


def test_the_page_prints_what_it_shows():
    page = (Path(__file__).parents[2] / "docs" / "lr-finder.md").read_text(encoding="utf-8")
    shown = re.findall(r"^```python\n(.*?)^```\n+```text\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    lines: list[str] = []
    names = {"print": lambda *words: lines.append(" ".join(map(str, words)))}
    for code, _ in shown:
        exec(code, names)
    assert len(shown) == 2 and "\n".join(lines).split() == "".join(text for _, text in shown).split()
