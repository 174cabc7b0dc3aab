"""Peak rates in units of a measured sharpness; of the quadratic task it is known."""

from __future__ import annotations

import pytest
from carried import trained

from preheat.core.errors import UserError
from preheat.core.grid import Block
from preheat.core.spec import spec
from preheat.core.study import Study
from preheat.studies.stages.in_sharpness import InSharpness

PROBE = {"name": "sharpness", "every": 1, "products": 20}
STARTS, UNITS = [1.0, 2.0], [0.25, 1.0, 1.5]


def a_study(probes=(PROBE,), **options) -> Study:
    product = {"task.start": STARTS, "schedule.warmup": [0]}
    measuring = {"peak_lr": 1e-12, "length": 3, "probes": list(probes)}
    blocks = [{"product": {**product, "peak_lr": UNITS}}]
    return Study(
        "units",
        "Where does it diverge?",
        (Block(product=product, fixed=measuring, seeds=(0, 1)),),
        {"task": {"name": "quadratic", "dim": 4}, "optimizer": "sgd", "schedule": "constant", "length": 60},
        scientific=("task.start", "schedule.warmup"),
        nuisance=("peak_lr",),
        seeds=(0, 1, 2, 3),
        choosing=2,
        metric="loss",
        stages=({"name": "in_sharpness", "blocks": blocks, "per": ["task.start"], **options},),
    )


def test_rates_are_multiples_of_two_over_the_sharpness(tmp_path):
    points, records = trained(a_study(), tmp_path)
    late = [p for p in points if p.stage]
    assert {p.run.peak_lr for p in late} == {2 * x for x in UNITS}, "the sharpness is 1"
    assert {p.seed for p in late} == {2, 3} and len(late) == len(STARTS) * len(UNITS) * 2
    ended = {p.run.peak_lr: records[p.run.id].summary["test_loss"] for p in late}
    assert ended[0.5] < 0.1 and ended[3.0] > 1, "above 2 / sharpness the loss grows"


@pytest.mark.parametrize(
    "options,message",
    [
        ({"blocks": ()}, "needs blocks of settings with a peak_lr, got none"),
        ({"blocks": [{"product": {"peak_lr": [0.0]}}]}, "needs a peak_lr above 0 in units of 2 / sharpness"),
        ({"blocks": [{"product": {"peak_lr": [1.0]}}], "unit": 0.0}, "unit must be above 0"),
    ],
)
def test_bad_options_are_errors(options, message):
    with pytest.raises(UserError, match=message):
        InSharpness(**options)


def test_without_a_measurement_it_says_what_to_add(tmp_path):
    with pytest.raises(UserError, match=r"needs a sharpness above 0 of task.start=1, .* the probe 'sharp"):
        trained(a_study(probes=[spec("grad_norm")]), tmp_path)
