"""The study of mechanisms: what a trace tells, what is claimed, and a tiny study from runs to page."""

from __future__ import annotations

import numpy as np
import pytest
from carried import trained
from reported import found, shown

from preheat.analysis.results import Row, collect
from preheat.core.canon import digest
from preheat.core.errors import UserError
from preheat.core.grid import Block, get
from preheat.core.record import Record, Series, Status
from preheat.core.run import Run
from preheat.core.spec import build, spec
from preheat.report.report import report
from preheat.store.store import Store
from preheat.studies.mechanisms.study import METHODS, Mechanisms
from preheat.studies.mechanisms.traces import course

TINY = {
    "model": {"name": "fcn", "width": 8, "depth": 3},
    "examples": 20,
    "steps": 24,
    "warmups": (1, 16),
    "seeds": 2,
}


def record(loss, sharp, ratio, at, *, name="sharpness", rates=None):
    trace = {
        "train_loss": Series(list(range(len(loss))), list(loss)),
        name: Series(list(at), list(sharp)),
        f"{name}_to_threshold": Series(list(at), list(ratio)),
    }
    if rates is not None:
        trace["train_learning_rate"] = Series(list(range(len(rates))), list(rates))
    return Record(Run(task="quadratic"), Status("done"), trace, {}, {})


def told(warmup, **given):
    axes = {"schedule.warmup": {"steps": warmup}}
    row = Row("r", axes, 0, "done", None, {"total_steps": 8, "steps_per_epoch": 1})
    return course(record(**given), row)


def test_a_course_is_cut_at_the_warmups_end_and_told_from_the_first_crossing():
    at, sharp = [0, 1, 2, 3, 4, 5, 6, 7], [8.0, 6, 4, 4, 4, 4, 2, 2]
    ratio = [0.1, 0.3, 0.5, 1.1, 1.0, 1.2, 0.1, 0.1]
    one = told(6, loss=[1.0] * 8, sharp=sharp, ratio=ratio, at=at)
    assert one.crossing == 3 and one.change == pytest.approx(np.log2(4 / 8))
    assert one.ridden == pytest.approx(np.log2(1.1)) and one.kind == "sharpness reduction"
    assert one.start == 8.0 and one.reached == 6 and one.level == 0.0
    none = told(3, loss=[1.0] * 8, sharp=sharp, ratio=ratio, at=at)
    assert none.crossing is None and none.change == pytest.approx(-1) and np.isnan(none.ridden)


def test_a_rate_rules_warmup_ends_where_its_rate_is_highest():
    rates = [0.1, 0.2, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4]
    one = told(1, loss=[1.0] * 8, sharp=[1.0] * 8, ratio=[0.5] * 8, at=range(8), rates=rates)
    assert one.reached == 3 and one.change == 0.0


def test_what_is_not_finite_or_after_a_divergence_is_left_out():
    one = told(8, loss=[1.0, 1.0, np.nan], sharp=[1.0, np.nan, 3.0, 4.0], ratio=[0.1] * 4, at=[0, 1, 2, 3])
    assert one.steps.tolist() == [0] and np.isnan(one.change)
    assert told(8, loss=[1.0], sharp=[], ratio=[], at=[]) is None


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    root = tmp_path_factory.mktemp("mechanisms")
    peaks = {"gd": {"standard": 2.0, "mu": 2.0}}
    study = Mechanisms(**TINY, optimizers=("gd", "adam", "gi_adam"), peaks=peaks, probe_every=4).study()
    return study, root, *trained(study, root)


def test_a_tiny_study_from_its_measurement_to_its_page(tiny):
    study, root, points, records = tiny
    measured = [p for p in points if p.run.total_steps == 10]
    assert {p.seed for p in measured} == {0} and len(measured) == 2
    for p in (p for p in points if p.stage):
        at = p.axes["task.model.parameterisation"]
        (own,) = (m for m in measured if m.axes["task.model.parameterisation"] == at)
        sharp = np.mean(records[own.run.id].trace["sharpness"].values)
        assert p.run.peak_lr == pytest.approx(2 * 2.0 / sharp, rel=5e-3), "to three digits"
    assert sum(p.run.rate_rule is not None for p in points) == 4, "two parameterisations, two seeds"
    index = [(p.axes, p.seed, p.run.id) for p in points]
    store = Store.open(root, create=False)
    page = report(collect(study, index, store.heads()), store.load)
    titles = {plate.title for plate in shown(page, "mechanisms").plates}
    assert "gd" in titles and "rides/gd" in page.verdicts, "headings and claims have the study's word"
    assert not any("SGD" in t for t in titles) and "sgd" not in page.setting
    settings = found(page, "mechanisms", "settings")
    assert len(settings) == 2 * (2 * 3 + 1) and all(s.n == 2 for s in settings)
    assert {"reduction/gd", "rides/gd", "starts/standard", "persistent/mu/16"} <= {*page.verdicts}


def test_gi_adam_starts_at_a_32th_of_adams_preconditioned_sharpness(tiny):
    *_, points, records = tiny
    first = {}
    for p in points:
        trace = records[p.run.id].trace
        if "preconditioned_sharpness" in trace:
            key = p.axes["task.model.parameterisation"], str(p.axes["schedule.warmup"]), p.seed
            first.setdefault(key, {})[p.run.optimizer.name] = trace["preconditioned_sharpness"].values[0]
    assert first
    for pair in first.values():
        assert pair["adam"] / pair["gi_adam"] == pytest.approx((1 - 0.999) ** -0.5, rel=0.05)


@pytest.mark.parametrize(
    "options,message",
    [
        ({"optimizers": ("gdd",)}, "unknown optimizer of study 'mechanisms' 'gdd': did you mean 'gd'"),
        ({"seeds": 0}, "seeds of study 'mechanisms' must be at least 1: .*, got 0: write 3 or"),
        ({"seeds": [0, 1]}, r"seeds of study 'mechanisms' must be at least 1: .*, got \[0, 1\]"),
        ({"seeds": [2, 2]}, "seeds of study 'mechanisms' must be different"),
        ({"task_options": 3}, "task_options of study 'mechanisms' must be a mapping, got 3: write"),
        ({"task_options": {"mixup": 1}}, "unknown option of task 'digits' 'mixup'"),
        ({"optimizers": ("gd", {"name": "gd"})}, "each name once, got .'gd', 'gd'.: write"),
        ({"optimizers": ()}, "must be one or more, each name once, got ..: write one or more"),
        ({"warmups": (1, 4096)}, r"must be 1 to steps=2048 updates, got \[4096\]"),
        ({"parameterisations": ("mu_adam",)}, "peaks of study 'mechanisms' lack 'gd' with 'mu_adam'"),
        ({"examples": 5}, "must be a multiple of the 10 classes of task 'digits', got 5: write 10"),
        ({"peaks": 3}, "peaks of study 'mechanisms' must be {optimizer: .*, got 3: write peaks.gd"),
        ({"peaks": {"gd": 16}}, "peaks of study 'mechanisms' must be {optimizer"),
        ({"peaks": {"gdd": {}}}, "unknown optimizer in peaks of study 'mechanisms' 'gdd': did you mean 'gd'"),
        ({"peaks": {"gd": {"muu": 1}}}, "unknown parameterisation in peaks.gd .* 'muu': did you mean 'mu'"),
        ({"peaks": {"gd": {"mu": 0}}}, "peaks.gd.mu of study 'mechanisms' must be a number above 0, got 0"),
        ({"task": "quadratic"}, "got 'quadratic' without model and objective: write digits"),
        ({"task": "source_text"}, "got 'source_text' without objective: write digits"),
    ],
)
def test_bad_options_are_errors(options, message):
    with pytest.raises(UserError, match=message):
        Mechanisms(**options).study()


def test_every_method_is_an_optimizer_that_is_registered():
    for method in METHODS.values():
        build("optimizer", spec(**method))


def wanted(**options):
    """The runs that are known beforehand, then those of the stage in units of sharpness."""
    study = Mechanisms(**options).study()
    later = [Block(**b) for stage in study.stages for b in stage["blocks"]]
    return study, [*study.points(), *study.placed(later)]


def test_the_runs_of_the_default_study_are_what_they_were():
    """A change of what is trained must be seen."""
    _, points = wanted()
    assert (len(points), digest([p.run.id for p in points])[:16]) == (122, "6376eb3b0241e5e3")


def test_options_of_the_task_and_the_optimizer_are_those_of_every_run():
    own = {"name": "momentum", "momentum": 0.5}
    options = {"total_examples": 3000, "crop": 4, "flip": True, "mixup": 1, "selection": "test"}
    study, points = wanted(
        task="cifar10",
        model={"width": 16},
        examples=5000,
        batch_size=100,
        seeds=[7],
        optimizers=(own,),
        task_options=options,
    )
    assert {p.run.task.options["model"]["name"] for p in points} == {"fcn"}
    assert study.seeds == (0, 7) and {p.seed for p in points} == {0, 7}
    assert all(get(p.run.task.options, name) == value for p in points for name, value in options.items())
    trained_ = [p.run for p in points if p.run.total_steps == 2048]
    assert {r.optimizer.options["momentum"] for r in trained_} == {0.5}
    assert {probe.options["examples"] for p in points for probe in p.run.probes} == {100}, "a batch of them"
    assert study.notes[0].startswith("A batch holds 100 of 3,000 examples: the loss is that of each update's")
    assert not Mechanisms().study().notes
