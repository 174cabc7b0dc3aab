"""Scores over data size and warmup: which warmups, which seeds, the favourites."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fake_regimes import IN_EPOCHS, hill, joined, regimes
from fake_results import noisy, results

from preheat.analysis.tabulate import tabulate
from preheat.studies.regimes.surface import favourites, lines, surfaces


def test_favourites_average_ties_and_slopes_are_least_squares() -> None:
    test = np.zeros((1, 5, 5, 1, 4))
    for c, best in enumerate((4, 3, 2, 1, 1)):
        test[0, c, best] = 1.0
    test[0, 0, 3] = 1.0
    (s,) = surfaces(tabulate(results(test, panels=("sgd",), rates=(0.1,))))
    assert s.labels == ("5", "10", "20", "50", "100")
    assert favourites(s.warmup, s.judged)[:, 0].tolist() == [1, 1, 5, 10, 15]
    assert lines(s)[1][0] == pytest.approx(np.polyfit(np.log2([5, 10, 20, 50, 100]), [1, 1, 5, 10, 15], 1)[0])


def test_surface_keeps_warmups_in_epochs_and_one_seed_panels_beside_those_of_more() -> None:
    (s,) = surfaces(tabulate(regimes(hill(lambda n: 40.0))))
    assert s.names == ("0ep", "1ep", "5ep", "10ep", "20ep") and (np.diff(s.warmup, axis=1) > 0).all()
    many, few = (
        regimes(hill(lambda n: 40.0), IN_EPOCHS, seeds=n, **{"task.name": name})
        for n, name in ((3, "a"), (1, "b"))
    )
    both = surfaces(tabulate(joined(many, few)))
    assert [(x.panel, x.n) for x in both] == [("a", 3), ("b", 1)]


def test_the_line_is_of_the_warmups_that_are_best_on_the_validation_set() -> None:
    validation, test = noisy((1, 3, 4, 1, 6), 1), noisy((1, 3, 4, 1, 6), 2)
    axes: dict[str, Any] = {"panels": ("sgd",), "sizes": (100, 20, 5), "rates": (0.1,)}
    (s,) = surfaces(tabulate(results(validation, test, **axes)))
    _, slope, floor = lines(s)
    other = replace(s, judged=-s.judged)
    assert lines(other)[1].tolist() == slope.tolist() and lines(other)[2] == floor
    assert slope == pytest.approx(np.polyfit(s.doublings, favourites(s.warmup, s.validation), 1)[0])
    assert not np.allclose(slope, np.polyfit(s.doublings, favourites(s.warmup, s.judged), 1)[0])
