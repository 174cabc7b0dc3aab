"""The study of regimes on images: the original's 155 experiments in its order, and what goes beyond them."""

from __future__ import annotations

import itertools
import json
import shlex
from collections import Counter

import numpy as np
import pytest

from preheat.cli import main as cli
from preheat.cli import study_command
from preheat.cli.study_texts import counted, gpu_hours, probe_cost
from preheat.core.errors import UserError
from preheat.core.grid import Block, label
from preheat.core.lengths import epochs, length
from preheat.core.record import Record, Status
from preheat.core.run import Run
from preheat.core.spec import Spec, build
from preheat.core.study import Study, distinct, index_json
from preheat.lab.origins import get_ready
from preheat.schedules.recipes.data_regimes import data_regimes
from preheat.store.store import Store
from preheat.tasks.images import Images

SIZES, WARMUPS = (5000, 1000, 500, 100, 50), (0, 1, 5, 10, 20)
PER_EPOCH = {  # of the original's protocol
    "cifar10": dict(zip(SIZES, (391, 79, 40, 8, 4), strict=True)),
    "cifar100": {500: 391, 100: 79, 50: 40},
    "pathmnist": dict(zip(SIZES, (352, 71, 36, 8, 4), strict=True)),
}


def regimes(**options) -> Study:
    return build("study", Spec("regimes", {"tasks": ["all"], **options})).study()


def parsed(line: str):
    return cli.build("study", shlex.split(line)).parse_args(shlex.split(line))


def the_originals_names() -> list[str]:
    """Its generator's loops, as the facts tell them."""
    out = [f"cifar10_{n}epc_w{w}_sgd_s{s}" for n in SIZES for w in WARMUPS for s in (42, 123, 456)]
    out += [f"{d}_{n}epc_w{w}_sgd_s42" for d in ("cifar100", "medmnist") for n in SIZES for w in WARMUPS]
    pairs = [(n, w) for n in (5000, 1000, 500) for w in (0, 5, 20)] + [(50, 0), (50, 1), (50, 5)]
    out += [f"{d}_{n}epc_w{w}_adamw_s42" for n, w in pairs for d in ("cifar10", "cifar100")]
    last = [(5000, 5), (1000, 5), (500, 5), (100, 1), (50, 1), (5000, 0)]
    return out + [f"medmnist_{n}epc_w{w}_adamw_s42" for n, w in last]


# --- the original's grid
# -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["preheat", "original"])
def test_the_155_settings_are_the_originals_in_its_order_and_139_distinct_runs(protocol):
    declared = regimes(protocol=protocol).declared()
    assert [p.names for p in declared] == [(name,) for name in the_originals_names()]
    points = distinct(declared)
    assert (len(declared), len(points)) == (155, 139)
    assert [n for p in points for n in p.names if p.names[0] == n] == [p.names[0] for p in points]
    assert sorted(n for p in points for n in p.names) == sorted(the_originals_names()), (
        "every name is some run's"
    )
    same = {p.names for p in points if len(p.names) > 1}
    assert len(same) == 8 and all(len(names) == 3 for names in same)
    assert (
        "cifar100_5000epc_w5_sgd_s42",
        "cifar100_1000epc_w5_sgd_s42",
        "cifar100_500epc_w5_sgd_s42",
    ) in same


def test_every_run_has_the_originals_settings_and_to_the_digit_its_rates():
    for p in regimes(protocol="original").points():
        run, task = p.run, p.run.task.options
        size, warmup = (
            int(task["examples_per_class"]),
            int(label(p.axes["schedule.warmup"]).removesuffix("ep")),
        )
        sgd = run.optimizer.name == "sgd"
        assert run.optimizer.options["weight_decay"] == 5e-4 and run.peak_lr == (0.1 if sgd else 1e-3)
        assert not sgd or run.optimizer.options == {"momentum": 0.9, "weight_decay": 5e-4, "nesterov": False}
        assert (run.batch_size, run.length, run.evaluate, run.precision) == (
            128,
            epochs(100),
            epochs(1),
            "float32",
        )
        assert task["model"] == {"name": "resnet18", "width": 64} and task["selection"] == "test"
        assert run.steps_per_epoch == PER_EPOCH[run.task.name][size]
        recipe = data_regimes(epochs=100, warmup=warmup, per_epoch=run.steps_per_epoch, peak=run.peak_lr)
        assert np.array_equal(run.peak_lr * run.factor(np.arange(run.total_steps)), recipe.rates()), p.names


def test_our_protocol_selects_on_validation_images_and_steps_with_every_update():
    study = regimes()
    for p in study.points():
        assert p.run.task.options["selection"] == "validation"
        rates = p.run.factor(np.arange(p.run.total_steps))
        assert rates[0] > 0 and len(np.unique(rates)) > p.run.total_steps / 4
    assert study.nuisance == () and study.seeds == (42, 123, 456) and study.choosing == 0
    assert study.notes == (
        "cifar10: 4500 per class in place of 5000: that is all there is beside the validation images",
        "cifar100: 5000, 1000 and 500 per class are one and the same set: 450 is all there is beside the "
        "validation images",
    )
    (only,) = regimes(protocol="original").notes
    assert only == "cifar100: 5000, 1000 and 500 per class are one and the same set: 500 is all there is"


def test_probes_measure_at_least_once_in_each_of_the_first_ten_epochs_and_can_be_left_out():
    for p in regimes().points():
        every = {probe.name: probe.options["every"]["steps"] for probe in p.run.probes}
        often = min(50, p.run.steps_per_epoch)
        assert every == {"grad_norm": often, "distance": often, "hessian_trace": 5 * often}
        assert (
            all(probe.options["until"] == {"epochs": 10.0} for probe in p.run.probes)
            and p.run.probes[0].options["layers"]
        )
    bare = regimes(no_probes=True).points()
    assert len(bare) == 139 and not any(p.run.probes for p in bare)


def test_how_often_and_how_long_probes_measure_may_be_said():
    words = "regimes --task cifar10 --probe-every 20 --probe-until 3ep"
    for p in study_command.declared(parsed(words)).points()[:3]:
        every = {probe.name: probe.options["every"]["steps"] for probe in p.run.probes}
        assert every == {"grad_norm": 20, "distance": 20, "hessian_trace": 100}
        assert all(probe.options["until"] == {"epochs": 3.0} for probe in p.run.probes)
    for wrong, error in (
        ({"probe_every": 0}, "probe_every of study 'regimes' must be a whole number >= 1, got 0"),
        ({"probe_until": "3eps"}, "not a length: '3eps'"),
        ({"probe_until": "3ep", "no_probes": True}, "is of the probes, got '3ep' with no_probes: leave one"),
        ({"probe_every": 5, "tasks": ["digits"]}, "probe_every of study 'regimes' is for cifar10"),
    ):
        with pytest.raises(UserError, match=error):
            regimes(**wrong)


def test_parts_are_the_test_and_the_timetable_that_the_original_means():
    study = regimes()
    assert {name: (len(study.declared(name)), len(study.part(name))) for name in study.parts} == {
        "test": (3, 3),
        "week1": (25, 25),
        "week2": (50, 50),
        "week3": (80, 64),
    }
    names = {part: [p.names[0] for p in study.declared(part)] for part in study.parts}
    assert names["test"] == [f"test_{d}_500epc_w5_sgd" for d in ("cifar10", "cifar100", "medmnist")]
    assert all(n.startswith("cifar10_") and n.endswith("sgd_s42") for n in names["week1"])
    assert names["week3"] == the_originals_names()[75:]
    assert sorted(names["week1"] + names["week2"] + names["week3"]) == sorted(the_originals_names())
    for p in study.part("test"):
        assert (p.run.length, p.seed, label(p.axes["schedule.warmup"])) == (epochs(10), 42, "5ep")


@pytest.mark.parametrize(
    ("task", "settings", "runs"), [("cifar10", 87, 87), ("cifar100", 37, 21), ("pathmnist", 31, 31)]
)
def test_one_dataset_keeps_its_rows_in_order(task, settings, runs):
    study = regimes(tasks=[task])
    written = {"pathmnist": "medmnist"}.get(task, task)
    names = [p.names[0] for p in study.declared()]
    assert names == [n for n in the_originals_names() if n.startswith(f"{written}_")]
    assert (len(names), len(study.points())) == (settings, runs) and "task.name" not in study.axes
    assert [len(study.part("test")), "week1" in study.parts] == [1, task == "cifar10"]


# --- beyond it
# -------------------------------------------------------------------------------------------------------


def test_both_protocols_are_two_grids_told_apart_by_the_selection():
    study = regimes(protocol="both")
    declared = study.declared()
    assert "task.selection" in study.scientific and len(declared) == 310 and len(study.points()) == 278
    assert [p.names[0] for p in declared] == the_originals_names() + [
        f"{n}_validation" for n in the_originals_names()
    ]
    alone = {p.run.id for name in ("original", "preheat") for p in regimes(protocol=name).points()}
    assert {p.run.id for p in study.points()} == alone, "nothing is trained twice"
    assert [p.names[0] for p in study.part("test")][3:] == [
        f"test_{d}_500epc_w5_sgd_validation" for d in ("cifar10", "cifar100", "medmnist")
    ]


def test_every_seed_of_a_tuned_grid_has_every_rate_and_the_originals_seeds_are_among_them():
    study = regimes(tune_lr=True)
    assert (study.nuisance, study.seeds, study.choosing) == (("peak_lr",), (42, 123, 456, 0, 1), 0)
    declared = study.declared()
    assert len(declared) == 3 * 2 * 25 * 5 * 5 and len(distinct(declared)) == (25 + 15 + 25) * 2 * 5 * 5
    rates = {
        name: sorted({p.run.peak_lr for p in declared if p.run.optimizer.name == name})
        for name in ("sgd", "adamw")
    }
    assert rates["sgd"] == pytest.approx([0.025, 0.05, 0.1, 0.2, 0.4])
    assert rates["adamw"] == pytest.approx([2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3])
    ids = {p.run.id for p in declared}
    assert all(p.run.id in ids for p in regimes().points()), "the original's runs are among them"
    names = Counter(p.names[0] for p in declared)
    assert set(names.values()) == {1} and {
        "cifar10_50epc_w5_sgd_s42",
        "cifar10_50epc_w5_sgd_lr0.2_s0",
    } <= set(names)
    few = regimes(tune_lr=True, seeds=4, adamw_rates=[1e-3], tasks=["cifar10"])
    assert few.seeds == (42, 123, 456, 0) and len(few.declared()) == 25 * (5 + 1) * 4


def test_warmups_in_updates_fit_their_run_or_are_left_out_and_said():
    study = regimes(unit="updates", tasks=["cifar10"])
    fit = Counter(
        (p.axes["task.examples_per_class"], label(p.axes["schedule.warmup"])) for p in study.declared()
    )
    assert set(fit) == {
        (n, w) for n in (4500, 1000, 500, 100, 50) for w in ("0", "20", "80", "400", "2000")
    } - {
        (100, "2000"),
        (50, "400"),
        (50, "2000"),
    }
    assert study.notes[1:] == (
        "cifar10: no warmup of 2000 updates at 100 per class, where the run has 800 updates",
        "cifar10: no warmup of 400 and 2000 updates at 50 per class, where the run has 400 updates",
    )
    both = regimes(unit="both", tasks=["cifar10"]).declared()
    assert [p.names[0] for p in both][:87] == [p.names[0] for p in regimes(tasks=["cifar10"]).declared()]
    assert both[87].names == ("cifar10_5000epc_u20_sgd_s42",)
    tuned = regimes(unit="both", tasks=["cifar10"], tune_lr=True)
    assert len({label(p.axes["schedule.warmup"]) for p in tuned.declared()}) == 9
    with pytest.raises(UserError, match="write --protocol preheat"):
        regimes(unit="updates", protocol="original")


ONE_RATE = {"tune_lr": True, "sgd_rates": [0.1], "adamw_rates": [1e-3]}


@pytest.mark.parametrize(
    "options", [{"tasks": ["all"]}, {"tasks": ["cifar10"], "sizes": [500, 50], **ONE_RATE}]
)
def test_a_warmup_in_updates_that_equals_one_in_epochs_is_that_run_under_both_names(options):
    study = regimes(unit="both", **options)
    names = {name: p for p in study.points() for name in p.names}
    one = names["cifar10_500epc_w10_sgd_s42"]
    assert one is names["cifar10_500epc_u400_sgd_s42"] and label(one.axes["schedule.warmup"]) == "10ep"
    assert {len(p.names) for p in study.points()} >= {1, 2} and len(names) == len(study.declared())
    rates = [(p.run.stack_key, p.seed, p.run.task, *told(p.run)) for p in study.points()]
    assert len(set(map(str, rates))) == len(rates), "no two runs have the same rates and all else"
    assert study.notes[-1] == (
        "a warmup in updates that equals one in epochs, as 400 updates and 10 epochs at 500 per class of "
        "cifar10, is one run, "
        "shown in epochs"
    )


def told(run: Run) -> tuple:
    """What tells the rates of runs of one schedule apart."""
    return (
        run.optimizer,
        run.peak_lr,
        length(run.schedule.json()["warmup"]).resolve(run.total_steps, run.steps_per_epoch),
    )


def test_the_small_grid_takes_warmups_in_updates_too():
    few = {"tasks": ["digits"], "sgd_rates": [0.1], "adamw_rates": [0.01], "seeds": 1}
    study = regimes(**few, unit="both")
    lengths = {(p.axes["task.examples_per_class"], label(p.axes["schedule.warmup"])) for p in study.points()}
    assert (
        (100, "2000") in lengths
        and (50, "2000") not in lengths
        and (5, "80") in lengths
        and (5, "400") not in lengths
    )
    assert (
        (100, "10ep") in lengths
        and (100, "400") not in lengths
        and "400 updates and 10 epochs at 100 per" in study.notes[-1]
    )
    assert (100, "400") in {
        (p.axes["task.examples_per_class"], label(p.axes["schedule.warmup"]))
        for p in regimes(**few, unit="updates").points()
    }
    assert (
        "digits: no warmup of 400 and 2000 updates at 5 per class, where the run has 200 updates"
        in study.notes
    )
    assert {p.run.id for p in regimes(**few).points()} <= {p.run.id for p in study.points()}


def test_regimes_of_equal_totals_are_capped_to_the_smallest_task():
    study = regimes(regimes="total")
    sizes = {(p.run.task.name, p.axes["task.total_examples"]) for p in study.points()}
    assert sizes == set(itertools.product(PER_EPOCH, (45_000, 10_000, 5_000, 1_000, 500)))
    assert study.notes == (
        "45000 in place of 50000 images in all, so that totals are equal: the smallest task has no more",
    )
    assert study.condition == "task.total_examples" and study.declared()[0].names == (
        "cifar10_50000total_w0_sgd_s42",
    )
    assert len(study.declared()) == len(study.points()) == 75 + 25 + 25 + 75
    assert regimes(regimes="total", tasks=["pathmnist"]).notes == ()


def test_sizes_and_models_of_ones_own_make_a_study_that_a_cpu_can_train():
    own = {
        "sizes": [40, 20],
        "warmups": [0, 1],
        "epochs": 3,
        "batch_size": 16,
        "source": "local",
        "precision": "bf16",
    }
    study = regimes(**own, model={"name": "resnet18", "width": 8})
    points = study.points()
    assert len(points) == 4 * 3 + 4 + 4 + 3 * 4, "AdamW has every combination"
    run = study.part("test")[0].run
    assert run.task.options["model"] == {"name": "resnet18", "width": 8} and run.length == epochs(3)
    assert (run.task.options["examples_per_class"], run.precision, run.batch_size) == (20, "bf16", 16)
    assert all(probe.options["until"] == {"epochs": 3.0} for p in points for probe in p.run.probes)


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"protocol": "orignal"}, "unknown protocol of study 'regimes' 'orignal': did you mean 'original'"),
        ({"protocol": "seed"}, "is called 'original': write --protocol original"),
        (
            {"tasks": ["digits"], "protocol": "original"},
            "protocol of study 'regimes' is for cifar10, cifar100, pathmnist",
        ),
        ({"tasks": ["digits"], "tune_lr": True}, "tune_lr of study 'regimes' is for"),
        ({"tasks": ["digits", "cifar10"]}, "study them apart"),
        ({"sgd_rates": [0.1, 0.2]}, "sgd_rates of the original's grid is fixed, got .* write --tune-lr"),
        ({"seeds": 3}, "seeds of the original's grid is fixed"),
        ({"batch_size": 0}, "batch_size of study 'regimes' must be a whole number >= 1, got 0"),
        (
            {"tune_lr": True, "seeds": "two"},
            "seeds of study 'regimes' must be a whole number >= 1, got 'two'",
        ),
        ({"tune_lr": True, "choosing": 2}, "unknown option of study 'regimes' 'choosing'"),
        ({"model": "resnet81"}, "did you mean 'resnet18'"),
        ({"source": "ofical"}, "did you mean 'official'"),
        ({"precision": "bf8"}, "did you mean 'bf16'"),
        ({"sizes": [0]}, "examples_per_class"),
        ({"unit": "updates", "updates": [], "tasks": ["cifar10"]}, "has no grid"),
        ({"epochs": 10}, "warmup 10ep = 3520 steps of 3520: shorten"),
    ],
)
def test_what_cannot_be_meant_is_refused(options, rule):
    with pytest.raises(UserError, match=rule):
        regimes(**options).points()


# --- declarations
# ----------------------------------------------------------------------------------------------------


def small(**changes) -> Study:
    row = {"peak_lr": 0.1, "schedule.warmup": {"steps": 0}}
    grid = (
        Block(points=[{**row, "name": "a_s{seed}"}, {**row, "peak_lr": 0.2, "name": "b"}], seeds=(4, 5)),
        Block(points=[{**row, "name": "again"}]),
    )
    fixed = {"task": "quadratic", "optimizer": "sgd", "schedule": {"name": "cosine"}, "length": 20}
    roles = {"nuisance": ("peak_lr",), "seeds": (5,), "metric": "loss", "goal": "min"}
    return Study(**{"name": "small", "question": "?", "grid": grid, "fixed": fixed, **roles, **changes})


def test_a_setting_has_a_name_that_is_no_part_of_its_run():
    study = small()
    assert [(p.seed, *p.names) for p in study.declared()] == [
        (4, "a_s4"),
        (5, "a_s5"),
        (4, "b_s4"),
        (5, "b_s5"),
        (5, "again"),
    ]
    points = study.points()
    assert [p.names for p in points] == [("a_s4",), ("a_s5", "again"), ("b_s4",), ("b_s5",)]
    plain = {
        "task": "quadratic",
        "optimizer": "sgd",
        "schedule": {"name": "cosine", "warmup": 0},
        "length": 20,
    }
    assert points[0].run == Run(**plain, peak_lr=0.1, seed=4)
    assert [row["names"] for row in index_json(study, points)["points"]][1] == ["a_s5", "again"]
    assert [p.seed for p in study.with_seeds(2).declared()] == [0, 1, 0, 1, 0, 1]
    with pytest.raises(UserError, match="seeds of a block must be different"):
        Block(seeds=(1, 1))


def test_parts_keep_seeds_or_are_grids_of_their_own():
    own = (Block(points=[{"peak_lr": 0.3, "name": "own"}], seeds=(7,)),)
    study = small(parts={"five": {"seed": [5]}, "own": own}, notes=("so it is",))
    assert [p.names for p in study.part("five")] == [("a_s5", "again"), ("b_s5",)]
    assert [(p.names, p.seed) for p in study.part("own")] == [(("own",), 7)]
    assert [p.seed for p in study.with_seeds(2).part("own")] == [0, 1]
    for one in (study, small(), regimes(protocol="both")):
        again = Study.from_json(json.loads(json.dumps(one.json())))
        assert again.json() == one.json() and [p.names for p in again.points()] == [
            p.names for p in one.points()
        ]
        assert all([p.run.id for p in again.part(n)] == [p.run.id for p in one.part(n)] for n in one.parts)


def test_a_declaration_without_names_notes_and_seeds_reads_and_is_written_as_before():
    study = regimes(tasks=["digits"], sizes=[20], warmups=[0])
    data = study.json()
    assert "notes" not in data and all("seeds" not in block for block in data["grid"])
    assert Study.from_json(data).json() == data and Study.from_json(data).notes == ()


# --- the command
# -----------------------------------------------------------------------------------------------------


def test_a_range_counts_the_declared_settings_as_the_original_does():
    study = regimes()
    for text, names in (
        ("0:25", slice(0, 25)),
        ("149:", slice(149, 155)),
        (":3", slice(0, 3)),
        ("75:100", slice(75, 100)),
    ):
        points = study_command.chosen(study, parsed(f"regimes --range {text}"))
        assert sorted(n for p in points for n in p.names) == sorted(the_originals_names()[names])
    assert len(study_command.chosen(study, parsed("regimes --part week3 --range 0:25 --limit 4"))) == 4


WRONG = {
    "--range 0:156": "a range must lie within 0:155, the settings declared here, got 0:156",
    "--range 155:": "a range must lie within 0:155, the settings declared here, got 155:",
    "--range 5:5": "must be A:B with A below B, such as 0:25, got '5:5'",
    "--range 5": "must be A:B with A below B, such as 0:25, got '5'",
    "--part week4": "did you mean 'week3'? Known: test, week1, week2, week3",
    "--protocol seed": "protocol 'seed' of study 'regimes' is called 'original': write --protocol original",
    "--data pyproject.toml": "--data must be a folder, got the file",
}


def test_mistakes_in_the_commands_options_are_told(capsys, monkeypatch, tmp_path, registries):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").touch()
    for words, rule in WRONG.items():
        assert cli.main(["study", "regimes", "--task", "all", *words.split(), "--dry-run"]) == 2
        assert rule in (told := capsys.readouterr().err), told
    (tmp_path / "mine.yaml").write_text("grid: [{product: {peak_lr: [0.1, 0.2]}}]")
    assert cli.main(["study", "mine.yaml", "--tune-lr", "--protocol", "original"]) == 2
    told = (
        "unknown option --tune-lr; the options of a study are flags of registered ones only: edit mine.yaml"
    )
    assert told in capsys.readouterr().err
    assert cli.main(["study", "mine.yaml", "--set", "tune_lr=true"]) == 2
    assert "--set: for registered studies only; edit mine.yaml instead" in capsys.readouterr().err
    registries("bare", small)
    assert cli.main(["study", "bare", "--no-probes"]) == 2
    assert "unknown option --no-probes" in capsys.readouterr().err


@pytest.fixture
def registries():
    """Register a study that is forgotten after the test."""
    from preheat.core.registry import STUDIES

    before = dict(STUDIES._objects)

    def add(name, study):
        made = type(name, (), {"__doc__": "Why?", "study": lambda _: study()})
        STUDIES._objects[name] = made

    yield add
    STUDIES._objects.clear()
    STUDIES._objects.update(before)


def test_a_studys_name_says_what_was_changed():
    def name(line):
        args = parsed(line)
        return study_command.under_its_name(regimes(), args).name

    assert name("regimes --task cifar10 --protocol original") == "regimes-cifar10-protocol-original"
    assert name("regimes --task all --tune-lr --no-probes") == "regimes-all-tune-lr-no-probes"
    assert name("regimes --task all --part week1 --seeds 2 --limit 3") == "regimes-all-week1-seeds2-limit3"
    assert (
        name("regimes --range 0:25") == "regimes-range0-25"
        and name("regimes --range 25:") == "regimes-range25-end"
    )


def test_a_part_with_fewer_seeds_is_a_study_of_those():
    study = regimes()
    assert study.with_seeds_of(study.part("week1")).seeds == (42,)
    assert study.with_seeds_of(study.part("week2")).seeds == (123, 456)
    tuned = regimes(tune_lr=True, tasks=["cifar10"])
    assert tuned.with_seeds_of(tuned.declared()[:1]).seeds == (42,)


def test_data_are_asked_for_before_anything_is_measured_and_only_for_what_is_to_train(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(Images, "ready", lambda task, fetch: fetch and asked.append(task.about().name))
    points = regimes(protocol="original").part("test")
    with Store.open(tmp_path).writer() as writer:
        writer.append([Record(points[0].run, Status("done"))])
    runs = [p.run for p in points]
    get_ready(runs, tmp_path, fetch=True)
    assert asked == ["cifar100", "pathmnist"]
    get_ready(small().runs(), tmp_path / "none", fetch=True)
    get_ready(runs, tmp_path, fetch=False)
    assert len(asked) == 2, "official files are not asked for without fetching"
    assert not (tmp_path / "none").exists()


def test_missing_images_stop_a_study_before_it_begins(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    line = "study regimes --task cifar10 --part test --set source=local --data here --device cpu"
    assert cli.main(shlex.split(line)) == 2
    assert "cifar" in capsys.readouterr().err.lower()
    assert not list(tmp_path.glob("results/*/study.json"))
    assert (
        cli.main(shlex.split("run cifar10 --epochs 1 --set task.source=local --data here --device cpu")) == 2
    )


def test_the_probes_cost_is_told_from_the_records(tmp_path):
    runs = [p.run.but(probes=({"name": "grad_norm"},)) for p in small().points()]
    Store.open(tmp_path)
    assert probe_cost(small().runs(), tmp_path) == probe_cost(runs, tmp_path) == ""
    spent = [
        {"seconds": 10.0, "probe_seconds": 0.5},
        {"seconds": 30.0, "probe_seconds": 1.9},
        {"seconds": 5.0},
    ]
    with Store.open(tmp_path).writer() as writer:
        writer.append([Record(r, Status("done"), provenance=p) for r, p in zip(runs, spent, strict=False)])
    assert probe_cost(runs, tmp_path) == "probes: 6 % of the training time\n"


def test_the_command_says_how_many_settings_are_the_same_run():
    assert counted(regimes().points()) == (
        "155 settings declared, 139 distinct runs (16 are the same run as another)"
    )
    assert counted(regimes(tasks=["digits"], sizes=[20]).points()[:6]) == "6 runs declared"


def test_the_gpu_hours_of_the_grid_are_counted_and_those_of_a_small_task_are_not_told():
    points = regimes(protocol="original", tasks=["cifar10"]).points()
    epoch = sum(p.run.task.options["examples_per_class"] * 10 for p in points) * 3 * 0.557e9 * 2
    tests = len(points) * (101 + 1) * 10_000 / 100 * 0.557e9 * 2
    said = gpu_hours([p.run for p in points])
    assert said.endswith(" at 100 TFLOP/s sustained, which is assumed and not measured\n")
    number, unit, hours = said.split()[:3]
    assert unit == "EFLOP:" and float(number) == pytest.approx(100 * (epoch + tests) / 1e18, rel=0.02)
    assert float(hours) == pytest.approx(float(number) * 1e18 / 1e14 / 3600, abs=0.06)
    assert gpu_hours([p.run for p in small().points()]) == ""


def test_a_file_may_tell_its_reader_something_too(tmp_path):
    from preheat.studyfiles.reader import read_study

    (tmp_path / "mine.yaml").write_text("{notes: [By hand.], grid: [{product: {peak_lr: [0.1, 0.2]}}]}")
    assert read_study(tmp_path / "mine.yaml").notes == ("By hand.",)
