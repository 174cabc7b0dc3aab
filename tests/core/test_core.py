"""Lengths, specs, runs, grids, studies, registries: what is declared is what is trained, or an error says why
not."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preheat.analysis.results import read_index
from preheat.core.errors import UserError, nearest
from preheat.core.grid import Block, get
from preheat.core.lengths import epochs, fraction, length, steps
from preheat.core.registry import MODELS, REGISTRIES, TASKS, import_file
from preheat.core.run import Run
from preheat.core.spec import build, spec
from preheat.core.study import Study, index_json
from preheat.models.base import Model

QUADRATIC = spec("quadratic")


def run(**changes) -> Run:
    return Run(**{"task": QUADRATIC, "optimizer": "sgd", "peak_lr": 0.1, "length": "100", **changes})


@given(st.integers(0, 10**6), st.floats(0, 1), st.floats(0, 1e4, allow_nan=False))
def test_lengths_read_back_from_text_and_json(n, share, passes):
    for one in (steps(n), fraction(share), epochs(passes)):
        assert length(one.json()) == one
    assert length(f"{n}") == steps(n) and length(f"{passes!r}ep") == epochs(passes)


@pytest.mark.parametrize(
    "bad",
    [
        *(-1, math.nan, math.inf, 10**400, True, 1.5, None, {"weeks": 3}, [5]),
        *(
            "5 apples",
            "",
            "-5ep",
            "200%",
            "1.2.3%",
            ".",
            ".%",
            "..5",
            "5.5.5",
            "1e",
            "e5",
            "5e",
            "1e999",
            "9" * 400,
            "٣ep",
        ),
    ],
)
def test_bad_lengths_say_what_to_write(bad):
    with pytest.raises(UserError, match="5ep"):
        length(bad)


def test_length_resolves_without_rounding():
    assert length("5%").resolve(333, None) == pytest.approx(16.65, abs=1e-12)
    with pytest.raises(UserError, match="steps per epoch"):
        epochs(1).resolve(10, None)


def test_numbers_as_text():
    wanted = {
        "5.ep": epochs(5),
        " .5 % ": fraction(0.005),
        "1e2": steps(100),
        "1.5e-1 epochs": epochs(0.15),
        "7 st": steps(7),
    }
    assert {text: length(text) for text in wanted} == wanted


@given(st.integers(1, 10**4), st.integers(1, 10**4))
def test_a_length_that_is_whole_but_for_rounding_is_whole(part, per_epoch):
    """0.07 * 100 is 7.000000000000001; what is really not whole stays so."""
    assert epochs(part / per_epoch).resolve(0, per_epoch) == part
    assert epochs(part / per_epoch).resolve(0, per_epoch + 1 / 7) != part
    assert fraction(part / (part + per_epoch)).resolve(part + per_epoch, None) == part


def test_a_run_of_a_fraction_of_an_epoch_takes_its_steps():
    one = run(
        task=spec("quadratic", examples=100), batch_size=1, length="0.07ep", schedule={"warmup": "0.07ep"}
    )
    assert one.total_steps == 7 and one.but(length="0.14ep").schedule.resolve(14, 100).warmup == 7
    with pytest.raises(UserError, match=r"whole number of steps.*is 7\.00001 steps"):
        run(task=spec("quadratic", examples=100), batch_size=1, length="0.0700001ep")


def test_options_without_a_name_belong_to_the_default():
    assert Run(optimizer={"beta1": 0.8}) == Run(optimizer=spec("adamw", beta1=0.8))
    assert Run(task={"examples_per_class": 5}, schedule={"warmup": "5%"}) == Run(
        task=spec("digits", examples_per_class=5), schedule={"name": "constant", "warmup": "5%"}
    )
    with pytest.raises(UserError, match="unknown option of optimizer 'adamw' 'momentum'"):
        Run(optimizer={"momentum": 0.9})
    with pytest.raises(UserError, match="an optimizer is a name or a name with options, got 5"):
        Run(optimizer=5)
    with pytest.raises(UserError, match=r"a probe is a name or a name with options, got .'every': 5"):
        Run(probes=({"every": 5},))


def test_run_id_ignores_how_it_was_written_and_sees_what_matters():
    written = run(optimizer=spec("sgd", momentum=0, nesterov=False))
    assert written.id == run().id and Run.from_json(run().json()).id == run().id
    others = [
        run(seed=1),
        run(peak_lr=0.2),
        run(length="101"),
        run(schedule="cosine"),
        run(precision="float64"),
        run(probes=("distance",)),
    ]
    assert len({r.id for r in [run(), *others]}) == len(others) + 1


def test_stack_key_is_free_of_rates_seeds_schedules_and_numbers_only():
    same = [run(seed=3), run(peak_lr=7.0), run(schedule="cosine"), run(optimizer=spec("sgd", momentum=0.9))]
    assert {r.stack_key for r in same} == {run().stack_key}
    other = [
        run(optimizer=spec("sgd", nesterov=True, momentum=0.9)),
        run(length="99"),
        run(batch_size=8),
        run(clip_norm=1.0),
        run(optimizer="adam"),
    ]
    assert len({r.stack_key for r in [run(), *other]}) == len(other) + 1


BAD_RUNS = {
    "unknown task 'digit'.*did you mean 'digits'": {"task": "digit"},
    "unknown optimizer 'adamm'.*did you mean": {"optimizer": "adamm"},
    "unknown schedule 'cosin'.*did you mean 'cosine'": {"schedule": "cosin"},
    "unknown probe 'gradnorm'.*did you mean 'grad_norm'": {"probes": ("gradnorm",)},
    "unknown option of optimizer 'sgd' 'momentom'": {"optimizer": spec("sgd", momentom=0.9)},
    "unknown option of task": {"task": spec("quadratic", dims=3)},
    "momentum must be at least 0 and below 1": {"optimizer": spec("sgd", momentum=1.0)},
    "option momentum of optimizer 'sgd' must be a number": {"optimizer": spec("sgd", momentum="high")},
    "peak_lr must be a finite number > 0, got -1": {"peak_lr": -1},
    "peak_lr must be a finite number > 0, got nan": {"peak_lr": math.nan},
    "options of task 'quadratic' must be plain finite data.*inf": {"task": spec("quadratic", sigma=math.inf)},
    "batch_size must be at most the number of training examples": {"batch_size": 10**6},
    "batch_size must be a whole number": {"batch_size": 2.5},
    "seed must be a whole number >= 0, got -1": {"seed": -1},
    "length must be a number of steps or epochs": {"length": "50%"},
    "length must be a number of steps or epochs above 0": {"length": 0},
    "a whole number of steps": {"length": epochs(0.01), "batch_size": 16},
    "at most 10,000,000 steps": {"length": "1e9ep"},
    "at most 10,000,000 steps, got 1e.308ep = inf": {"length": "1e308ep"},
    "peak_lr must be a finite number > 0, got 1000": {"peak_lr": 10**400},
    "option momentum of optimizer 'sgd' must be a number, got 1000": {
        "optimizer": spec("sgd", momentum=10**400)
    },
    "unknown precision 'float16'": {"precision": "float16"},
    "clip_norm must be a finite number > 0": {"clip_norm": 0},
    "examples_per_class of digits must be 1 to 100": {"task": spec("digits", examples_per_class=101)},
    "(?s)warmup.*101": {"schedule": {"name": "cosine", "warmup": "101"}},
}


@pytest.mark.parametrize("message", BAD_RUNS)
def test_a_run_that_cannot_be_trained_is_an_error_when_it_is_declared(message):
    with pytest.raises(UserError, match=message):
        run(**BAD_RUNS[message])


def test_unknown_keys_and_newer_formats_of_runs_are_refused():
    with pytest.raises(UserError, match="did you mean 'peak_lr'"):
        Run.from_json({"peak_rl": 0.1})
    with pytest.raises(UserError, match="newer"):
        Run.from_json({**run().json(), "format": 99})


def test_records_of_tasks_that_are_not_installed_can_be_read():
    data = {**run().json(), "task": {"name": "elsewhere", "size": 3}}
    with pytest.raises(UserError):
        Run.from_json(data)
    assert Run.from_json(data, trusted=True).task == spec("elsewhere", size=3)


@pytest.mark.parametrize(
    "stored", [{"name": "elsewhere", "warmup": {"epochs": 5}, "x": 0.1}, {"name": "cosine", "of_old": 1}]
)
def test_records_of_schedules_that_are_not_installed_can_be_read_but_not_trained(stored):
    data = {**run().json(), "schedule": stored}
    with pytest.raises(UserError):
        Run.from_json(data)
    old = Run.from_json(data, trusted=True)
    assert old.json() == data and old == Run.from_json(data, trusted=True) and old.id != run().id
    for use in (lambda: old.schedule.resolve(100), lambda: old.but(seed=1)):
        with pytest.raises(UserError, match=r"unknown .*; the file that registers it is given by --import"):
            use()


def test_grid_blocks_combine_product_zip_points_where_and_exclude():
    block = Block(
        product={"a": [1, 2], "b": [3, 4]},
        zip={"c.d": ["x", "y"], "c.e": [0, 1]},
        points=[{"f": True}, {"f": False}],
        where={"a": [1]},
        exclude=[{"b": [4], "f": [True]}],
    )
    rows = list(block.settings())
    assert len(rows) == 2 * 2 * 2 - 2
    assert [get(r, "c") for r in rows[:4]] == [
        {"d": "x", "e": 0},
        {"d": "x", "e": 0},
        {"d": "y", "e": 1},
        {"d": "y", "e": 1},
    ]
    with pytest.raises(UserError, match="one length"):
        Block(zip={"a": [1], "b": [1, 2]})
    with pytest.raises(UserError, match="list"):
        Block(product={"a": "sgd"})


def small_study(**changes) -> Study:
    fixed = {"task": "quadratic", "optimizer": "sgd", "schedule": {"name": "cosine"}, "length": 20}
    grid = (Block(product={"schedule.warmup": [{"steps": 0}, {"steps": 5}], "peak_lr": [0.1, 0.2]}),)
    settings = {
        "name": "small",
        "question": "?",
        "grid": grid,
        "fixed": fixed,
        "nuisance": ("peak_lr",),
        "seeds": (0, 1),
        "metric": "loss",
        "goal": "min",
    }
    return Study(**{**settings, **changes})


def test_study_declares_every_run_beforehand_once_and_in_order():
    points = small_study().points()
    assert len(points) == 8 and len({p.run.id for p in points}) == 8
    assert [p.seed for p in points[:2]] == [0, 1] and points[0].axes == {
        "schedule.warmup": {"steps": 0},
        "peak_lr": 0.1,
    }
    assert Study.from_json(small_study().json()) == Study.from_json(
        Study.from_json(small_study().json()).json()
    )
    assert [p.run.id for p in Study.from_json(small_study().json()).points()] == [p.run.id for p in points]
    assert len(index_json(small_study(), points)["points"]) == 8


def test_study_refuses_what_would_mislead():
    with pytest.raises(UserError, match="neither scientific nor nuisance"):
        small_study(nuisance=()).points()
    with pytest.raises(UserError, match="choosing must leave a seed"):
        small_study(choosing=2)
    with pytest.raises(UserError, match="treatment must be one of"):
        small_study(treatment="peak_lr")
    for name in ("records", "Checkpoints", "claims", "format"):
        with pytest.raises(
            UserError, match="name must not be one of records, checkpoints, claims, weights, trackers, format"
        ):
            small_study(name=name)
    with pytest.raises(UserError, match="seeds must be different"):
        small_study(seeds=(1, 1))
    staged = small_study(seeds=(0, 1, 2, 3), choosing=3, stages=("again",))
    assert (staged.choosing, staged.with_seeds(2).choosing, staged.with_seeds(1).choosing) == (3, 1, 0)
    old = small_study(seeds=(0, 1, 2, 3), choosing=3)
    assert old.choosing == 0 and old.notes[-1].startswith("The study says that 3 of its seeds choose")
    assert Study.from_json(old.json()).notes == old.notes, "the note is told once"


@pytest.mark.parametrize(
    ("primary", "said"),
    [("main", "a list of families .*, got 'main'"), ([], "at least one"), (["a", "a"], "different families")],
)
def test_primary_families_are_a_list_of_different_names(primary, said):
    with pytest.raises(UserError, match=rf"claims: primary must be {said}|{said}.*write primary: \[main\]"):
        small_study(claims={"primary": primary})
    kept = small_study(claims={"primary": ["edge", "mine"]})
    assert read_index(index_json(kept, kept.points()))[0].claims == {"primary": ["edge", "mine"]}


@pytest.mark.parametrize("kind", REGISTRIES)
def test_registries_list_without_importing_and_agree_with_what_is_imported(kind):
    registry = REGISTRIES[kind]
    before = registry.describe()
    assert all(line and line.endswith(("?", ".")) for line in before.values())
    for name in registry.names():
        assert registry[name].__doc__
    assert registry.describe() == before


def test_a_name_can_be_registered_only_once():
    with pytest.raises(UserError, match="registered twice"):

        @TASKS.register("digits")
        @dataclass(frozen=True)
        class Again:
            """A second one."""


def test_importing_a_users_file(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        import_file(tmp_path / "none.py")
    bad = tmp_path / "bad.py"
    bad.write_text("1 / 0")
    with pytest.raises(UserError, match="ZeroDivisionError"):
        import_file(bad)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("TASKS.register('digits')(type('Own', (), {'__doc__': 'Mine.'}))", "registered twice"),
        ("raise SystemExit(0)", "SystemExit: 0"),
        ("(", "SyntaxError"),
    ],
)
def test_a_users_file_that_failed_can_be_mended_and_imported(tmp_path, line, message):
    """A module that was left half-made would make the second import a silent nothing."""
    file = tmp_path / f"mended_{abs(hash(line))}.py"
    file.write_text(f"from preheat.core.registry import TASKS\n{line}\n")
    for _ in range(2):
        with pytest.raises(UserError, match=message):
            import_file(file)
    assert f"preheat_user_{file.stem}" not in sys.modules
    file.write_text("done = True\n\n")
    import_file(file)
    assert sys.modules.pop(f"preheat_user_{file.stem}").done


def test_nearest_does_not_guess_wildly():
    assert nearest("xyz", ["cosine", "linear"]) is None and nearest("COSINE", ["cosine"]) == "cosine"


def test_a_field_that_hides_a_tasks_method_is_refused():
    from preheat.tasks.base import Classification

    with pytest.raises(UserError, match="field 'noise' of task class Loud hides"):

        class Loud(Classification):
            noise: float = 0.1


def test_a_class_that_lacks_what_its_kind_must_have_is_told_so(monkeypatch):
    monkeypatch.setattr(MODELS, "_objects", dict(MODELS._objects))
    monkeypatch.setattr(MODELS, "_said", dict(MODELS._said))

    @MODELS.register("half_made")
    class HalfMade(Model):
        """A model without its network."""

    with pytest.raises(UserError, match=r"model 'half_made' must have network: write network in .*HalfMade"):
        build("model", spec("half_made"))


@pytest.mark.parametrize(
    "said, told",
    [
        ({"condition": "schedule.warmup"}, "condition must be another path than treatment"),
        ({"claims": {"asid": {}}}, "unknown key of claims 'asid': did you mean 'aside'?"),
        (
            {"claims": {"aside": {"task.selection": "test"}}},
            "paths with lists of values, got .*: write aside:",
        ),
        ({"claims": {"aside": ["test"]}}, "paths with lists of values, got"),
    ],
)
def test_what_had_no_effect_is_an_error_now_and_read_of_an_older_study(said, told):
    with pytest.raises(UserError, match=told):
        small_study(**said)
    old = index_json(small_study(), small_study().points())
    again, _ = read_index({**old, "study": {**old["study"], **said}})
    assert again.json() in (small_study().json(), small_study(claims={"aside": {}}).json())
