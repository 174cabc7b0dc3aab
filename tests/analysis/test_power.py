"""What a study can show is said before it is run, and is what a t test then finds."""

from dataclasses import replace

import numpy as np
from scipy import stats

from preheat.analysis.power import can_show
from preheat.core.grid import Block
from preheat.core.study import Study
from preheat.stats.estimates import smallest_found


def test_the_smallest_difference_is_found_with_the_power_that_is_said():
    n, level, draw = 8, 0.01, np.random.default_rng(0)
    x = draw.normal(smallest_found(1.0, n, level=level), 1.0, (20_000, n))
    found = stats.ttest_1samp(x, 0, axis=1).pvalue < level
    assert abs(found.mean() - 0.8) < 0.05  # 0.84 is the normal's; with few seeds it is a little off


def test_a_study_says_what_its_seeds_can_show():
    grid = (Block(product={"schedule.warmup": [0, 2, 5], "peak_lr": [0.1, 0.2]}),)
    study = Study("s", "q", grid, {"task": "digits", "length": 20}, nuisance=("peak_lr",))
    told = can_show(study, study.points(), ())
    assert told.startswith("5 seeds can show (80 % power) a difference of about ")
    assert "1.0\N{NO-BREAK SPACE}points, as the margin (assumed)" in told and "single one" not in told
    assert can_show(study, study.points(), (), look=1) != told, "a later look has less to spend"
    assert can_show(replace(study, claims={"primary": ["main", "edge"]}), study.points(), ()) == told
    other = replace(study, claims={"primary": ["edge"]})
    assert can_show(other, study.points(), ()) == "", "what is claimed is no difference of accuracy"
    one = study.with_seeds(1)
    assert can_show(one, one.points(), ()) == "One seed can't show a difference: it describes."
    alone = Study(
        "s", "q", (Block(product={"peak_lr": [0.1]}),), {"task": "digits", "length": 20}, ("schedule.warmup",)
    )
    assert can_show(alone, alone.points(), ()) == ""
