"""The original's files: each number of a made-up record where it belongs, bad runs, twins, both protocols,
and real records."""

from __future__ import annotations

import json
from array import array
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from preheat import Block, Record, Run, Series, Status, Study, UserError, WarmupAnalyzer, cosine, spec, train
from preheat.cli import main as cli
from preheat.core.study import index_json
from preheat.store.store import Store
from preheat.studies.regimes.original_files import write_original_files

FIXED = {
    "task": "digits",
    "optimizer": {"name": "sgd", "momentum": 0.9},
    "schedule": {"name": "cosine"},
    "peak_lr": 0.1,
}
FIXED |= {"length": "2ep", "batch_size": 20, "evaluate": "1ep"}  # 50 examples: 3 updates an epoch, 6 in all


def a_study(*points, **changes):
    said = {
        "name": "made-up",
        "question": "?",
        "fixed": FIXED,
        "grid": (Block(points=points, fixed={"task.examples_per_class": 5}),),
        "scientific": ("task.examples_per_class", "schedule.warmup"),
        "seeds": (42,),
    }
    return Study(**{**said, **changes})


PATH = "schedule.warmup"
W0, W1 = ({PATH: {"epochs": w}} for w in (0, 1))


def series(values):
    return Series(array("q", values), array("d", values.values()))


TRACE = {
    "train_loss": series(dict(enumerate([6.0, 5.0, 4.0, 3.0, 2.0, 1.0]))),
    "train_accuracy": series(dict(enumerate([0.0, 0.25, 0.5, 0.5, 0.75, 1.0]))),
    "validation_loss": series({0: 2.5, 3: float("inf"), 6: 0.5}),
    "validation_accuracy": series({0: 0.1, 3: 0.75, 6: 0.5}),
    "grad_norm": series({0: 4.0, 2: 3.0, 4: 2.0}),
    "grad_norm.layer.weight": series({0: 3.0, 2: 2.0, 4: 1.0}),
    "grad_norm.layer.bias": series({0: 1.0, 2: 1.0, 4: 1.0}),
    "distance": series({0: 0.0, 4: 0.5}),
    "hessian_trace": series({0: 12.0}),
    "hessian_trace_se": series({0: 1.5}),
}
DONE = Status("done")
SUMMARY = {
    "total_steps": 6,
    "steps_per_epoch": 3,
    "chance_accuracy": 0.1,
    "validation_accuracy": 0.5,
    "test_accuracy": 0.625,
}


def a_record(run, trace=TRACE, status=DONE, **summary):
    return Record(run, status, trace, {**SUMMARY, **summary}, {"seconds": 1.5})


def write(tmp_path, study, records, edit=lambda data: data):
    """The files of a study with these records; `edit` may change what study.json holds."""
    store = Store.open(tmp_path / "results")
    with store.writer() as writer:
        writer.append(records)
    return write_original_files(edit(index_json(study, study.points())), store, tmp_path / "out").parent


def strict(path):
    """The JSON of a file, which must be standard JSON."""

    def refuse(word):
        raise AssertionError(f"{path} holds {word}")

    return json.loads(path.read_text(), parse_constant=refuse)


def one(tmp_path):
    """The files of one whole record, and its name."""
    study = a_study(W1)
    return write(tmp_path, study, [a_record(study.runs()[0])]), "digits_5epc_w1_sgd_s42"


def test_metrics_have_one_entry_an_epoch(tmp_path):
    out, name = one(tmp_path)
    assert strict(out / "metrics" / name / "metrics.json") == {
        "train_loss": [5.0, 2.0],
        "train_acc": [25.0, 75.0],
        "val_loss": [None, 0.5],
        "val_acc": [75.0, 50.0],
        "learning_rate": pytest.approx([0.1 / 6, 0.1 * (1 + 0.5 * 3**0.5) / 2]),
        "epoch": [0, 1],
    }


def test_every_number_of_a_summary_is_where_the_original_has_it(tmp_path):
    out, name = one(tmp_path)
    summary = strict(out / "metrics" / name / "summary.json")
    assert summary == {
        "experiment_name": name,
        "dataset": "digits",
        "examples_per_class": 5,
        "warmup_epochs": 1,
        "optimizer": "sgd",
        "seed": 42,
        "best_val_acc": 75.0,
        "final_val_acc": 50.0,
        "training_time_seconds": 1.5,
        "total_epochs": 2,
        "effective_examples_per_class": 5,
        "duplicate_of": None,
        "protocol": "preheat",
        "val_split": "validation",
        "test_acc": 62.5,
        "steps_per_epoch": 3,
        "warmup_steps": 3,
        "lr": 0.1,
        "outcome": "done",
        "selected": True,
    }
    assert strict(out / "all_results.json") == [summary]
    assert strict(out / "failed_experiments.json") == []


def test_what_probes_measured_is_at_the_updates_of_the_gradients_norm(tmp_path):
    out, name = one(tmp_path)
    inside = out / "interpretability" / name
    assert strict(inside / "interpretability_metrics.json") == {
        "gradient_norms": [4.0, 3.0, 2.0],
        "weight_changes": [0.0, None, 0.5],
        "loss_curvature": [12.0],
        "learning_rates": pytest.approx([0.1 / 6, 0.5 / 6, 0.05]),
        "losses": [6.0, 4.0, 2.0],
        "epochs": [0, 0, 1],
        "steps": [0, 2, 4],
        "loss_curvature_se": [1.5],
        "loss_curvature_steps": [0],
    }
    assert strict(inside / "layer_gradient_norms.json") == {"layer.weight": [3.0, 2.0, 1.0]}


def test_config_yaml_has_the_originals_parts_and_the_run_itself(tmp_path):
    study = a_study(W1)
    (run,) = study.runs()
    run = replace(run, optimizer=spec("sgd", momentum=0.9, weight_decay=1e-5))  # 1e-05 is a text in YAML 1.1
    out = write(tmp_path, replace(study, fixed={**FIXED, "optimizer": run.optimizer.json()}), [a_record(run)])
    config = yaml.safe_load((out / "metrics" / "digits_5epc_w1_sgd_s42" / "config.yaml").read_text())
    assert config["data"] == {"name": "digits", "examples_per_class": 5, "data_dir": "./data"}
    assert config["model"] == {"name": "mlp", "num_classes": 10}
    assert config["training"] == {
        "optimizer": "sgd",
        "lr": 0.1,
        "momentum": 0.9,
        "weight_decay": 1e-5,
        "batch_size": 20,
        "epochs": 2,
        "warmup_epochs": 1,
        "seed": 42,
    }
    assert Run.from_json(config["run"]) == run
    assert list(config) == ["experiment_name", "data", "model", "training", "output_dir", "run"]


def test_a_run_evaluated_less_often_and_without_probes_has_null_where_nothing_was_measured(tmp_path):
    study = a_study(W1)
    trace = {"train_loss": TRACE["train_loss"], "validation_accuracy": series({0: 0.1, 6: 0.5})}
    out = write(tmp_path, study, [a_record(study.runs()[0], trace)])
    found = strict(out / "metrics" / "digits_5epc_w1_sgd_s42" / "metrics.json")
    assert (found["val_acc"], found["val_loss"], found["train_acc"]) == (
        [None, 50.0],
        [None, None],
        [None, None],
    )
    assert not (out / "interpretability").exists()


def test_diverged_failed_and_missing_runs_are_told_and_what_was_measured_stays(tmp_path):
    grid = [{"schedule.warmup": {"epochs": w}} for w in (0, 0.5, 1, 1.5)]
    study = a_study(*grid)
    done, diverged, failed, _ = study.runs()
    cut = {
        "train_loss": series({0: 6.0, 1: 5.0, 2: 4.0, 3: 9.0}),
        "validation_accuracy": series({0: 0.1, 3: 0.75}),
    }
    records = [
        a_record(done),
        a_record(diverged, cut, Status("diverged", 4)),
        Record(failed, Status("failed", None, "out of memory")),
    ]
    out = write(tmp_path, study, records)
    assert [
        (f["index"], f["experiment_name"], f["error"].split(":")[0])
        for f in strict(out / "failed_experiments.json")
    ] == [
        (1, "digits_5epc_w0.5_sgd_s42", "diverged"),
        (2, "digits_5epc_w1_sgd_s42", "out of memory"),
        (3, "digits_5epc_w1.5_sgd_s42", "not trained yet"),
    ]
    first, second = strict(out / "all_results.json")
    assert (first["outcome"], second["outcome"], second["best_val_acc"], second["final_val_acc"]) == (
        "done",
        "diverged",
        75.0,
        75.0,
    )
    found = strict(out / "metrics" / "digits_5epc_w0.5_sgd_s42" / "metrics.json")
    assert (found["train_loss"], found["val_acc"], found["epoch"]) == ([5.0, 9.0], [75.0, None], [0, 1])


def test_a_run_that_diverges_at_once_has_a_summary_without_numbers(tmp_path):
    study = a_study(W0, W1)
    one, two = study.runs()
    out = write(tmp_path, study, [a_record(one), a_record(two, {}, Status("diverged", 0))])
    assert strict(out / "all_results.json")[1]["best_val_acc"] is None
    assert strict(out / "metrics" / "digits_5epc_w1_sgd_s42" / "metrics.json")["epoch"] == []
    assert WarmupAnalyzer(out).find_optimal_warmup("digits", "sgd")[0].optimal_warmup == 0


def test_one_run_of_several_names_has_files_under_each(tmp_path):
    sizes = (5000, 1000, 500)
    names = [f"cifar100_{n}epc_w1_sgd_s42" for n in sizes]
    study = a_study(*({**W1, "name": name} for name in names))
    out = write(tmp_path, study, [a_record(study.runs()[0])])
    rows = strict(out / "all_results.json")
    assert [
        (r["experiment_name"], r["examples_per_class"], r["effective_examples_per_class"], r["duplicate_of"])
        for r in rows
    ] == [
        (names[0], 5000, 5, None),
        (names[1], 1000, 5, names[0]),
        (names[2], 500, 5, names[0]),
    ]
    assert all(
        (out / "metrics" / n / f).is_file()
        for n in names
        for f in ("metrics.json", "summary.json", "config.yaml")
    )
    assert WarmupAnalyzer(out).derive_empirical_rule("digits", "sgd")["n"] == 1


def test_names_of_ones_own_have_the_runs_size_and_two_names_of_one_setting_count_once(tmp_path):
    study = a_study({**W1, "name": "mine"}, {**W1, "name": "mine_too"}, W0)
    out = write(tmp_path, study, [a_record(run) for run in study.runs()])
    assert [
        (r["experiment_name"], r["examples_per_class"], r["duplicate_of"])
        for r in strict(out / "all_results.json")
    ] == [
        ("mine", 5, None),
        ("mine_too", 5, "mine"),
        ("digits_5epc_w0_sgd_s42", 5, None),
    ]
    assert [row.name for row in WarmupAnalyzer(out).rows] == ["mine", "digits_5epc_w0_sgd_s42"]
    assert {best.seeds for best in WarmupAnalyzer(out).find_optimal_warmup("digits", "sgd")} == {1}


def test_an_index_written_before_settings_had_names_is_read(tmp_path):
    def old(data):
        return {**data, "points": [{k: v for k, v in p.items() if k != "names"} for p in data["points"]]}

    study = a_study(W1)
    out = write(tmp_path, study, [a_record(study.runs()[0])], old)
    assert [r["experiment_name"] for r in strict(out / "all_results.json")] == ["digits_5epc_w1_sgd_s42"]


def test_tuned_peak_rates_have_names_of_their_own_and_each_seed_is_at_the_rate_that_it_chose(tmp_path):
    """Seed 0 likes a rate of 0.1, seed 1 one of 0.2: each setting and seed has one run that counts."""
    grid = (
        Block(
            product={"schedule.warmup": [{"epochs": 0}, {"steps": 2}], "peak_lr": [0.1, 0.2]},
            fixed={"task.examples_per_class": 5},
        ),
    )
    study = a_study(grid=grid, nuisance=("peak_lr",), seeds=(0, 1))
    best = {0: 0.1, 1: 0.2}
    records = [
        a_record(
            run,
            {"validation_accuracy": series({3: good, 6: good})},
            validation_accuracy=good,
            test_accuracy=good,
        )
        for run in study.runs()
        if (good := 0.5 + 0.1 * run.seed + 0.2 * (run.peak_lr == best[run.seed]))
    ]
    out = write(tmp_path, study, records)
    rows = strict(out / "all_results.json")
    assert [r["experiment_name"] for r in rows][:2] == [
        "digits_5epc_w0_sgd_s0_lr0.1",
        "digits_5epc_w0_sgd_s1_lr0.1",
    ]
    assert rows[-1]["experiment_name"] == "digits_5epc_u2_sgd_s1_lr0.2"
    kept = [(r["warmup_epochs"], r["seed"], r["lr"]) for r in rows if r["selected"]]
    assert len(rows) == 8 and {(s, lr) for _, s, lr in kept} == {(0, 0.1), (1, 0.2)} and len(kept) == 4
    seen = WarmupAnalyzer(out)
    (found,) = seen.find_optimal_warmup("digits", "sgd")
    assert (found.optimal_warmup, found.optimal_acc, found.seeds) == (0, pytest.approx(75.0), 2)
    assert len({(r.warmup, r.seed) for r in seen.rows}) == len(seen.rows) == 4


def test_a_seed_of_which_no_run_has_a_result_is_at_no_rate(tmp_path):
    grid = (Block(product={"peak_lr": [0.1, 0.2]}, fixed={"task.examples_per_class": 5, **W0}),)
    study = a_study(grid=grid, nuisance=("peak_lr",), scientific=("schedule.warmup",), seeds=(0, 1))
    records = [a_record(run) for run in study.runs() if run.seed == 0]
    rows = strict(write(tmp_path, study, records) / "all_results.json")
    assert [(r["seed"], r["lr"], r["selected"]) for r in rows] == [(0, 0.1, True), (0, 0.2, False)], (
        "equal rates: the lower one"
    )


def test_both_protocols_lie_apart(tmp_path):
    task = {"name": "cifar10", "total_examples": 20, "source": "random", "model": "simplecnn"}
    points = [
        {
            "task.selection": s,
            "name": f"cifar10_20total_w1_sgd_s42{'_validation' if s == 'validation' else ''}",
        }
        for s in ("test", "validation")
    ]
    study = a_study(
        grid=(Block(points=points, fixed={**W1}),),
        fixed={**FIXED, "task": task, "batch_size": 7},
        scientific=("task.selection", "schedule.warmup"),
    )
    out = write(tmp_path, study, [a_record(run) for run in study.runs()])
    (theirs,), (ours,) = strict(out / "all_results.json"), strict(out / "preheat" / "all_results.json")
    assert (theirs["protocol"], theirs["val_split"], theirs["test_acc"]) == ("original", "test", None)
    assert (ours["protocol"], ours["val_split"], ours["test_acc"]) == ("preheat", "validation", 62.5)
    assert theirs["examples_per_class"] == theirs["effective_examples_per_class"] == 2
    assert (out / "heatmap_cifar10_sgd.png").is_file()
    assert (out / "preheat" / "heatmap_cifar10_sgd.png").is_file()


def test_a_run_that_is_not_trained_yet_is_of_the_protocol_of_the_others(tmp_path):
    task = {"name": "cifar10", "total_examples": 20, "source": "random", "model": "simplecnn"}
    block = Block(points=[W0, W1], fixed={"task.selection": "test"})
    study = a_study(fixed={**FIXED, "task": task}, grid=(block,), scientific=("schedule.warmup",))
    out = write(tmp_path, study, [a_record(study.runs()[0])])
    assert len(strict(out / "all_results.json")) == 1
    (missing,) = strict(out / "failed_experiments.json")
    assert (missing["index"], missing["experiment_name"]) == (1, "cifar10_20total_w1_sgd_s42")
    assert not (out / "preheat").exists()


def test_a_damaged_trace_is_a_failed_experiment_and_the_others_are_written(tmp_path):
    study = a_study(W0, W1)
    store = Store.open(tmp_path / "results")
    for run in study.runs():
        with store.writer() as writer:
            writer.append([a_record(run)])
    bad = next(h for h in store.heads() if h.id == study.runs()[1].id).place.traces
    bad.write_bytes(b"\0" * bad.stat().st_size)
    out = write_original_files(index_json(study, study.points()), store, tmp_path / "out").parent
    assert [r["warmup_epochs"] for r in strict(out / "all_results.json")] == [0]
    (failed,) = strict(out / "failed_experiments.json")
    assert failed["experiment_name"] == "digits_5epc_w1_sgd_s42"
    assert "checksums" in failed["error"]


def test_what_can_not_be_written_is_refused(tmp_path):
    study = a_study(W1)
    with pytest.raises(UserError, match="no run of study 'made-up' has been trained"):
        write(tmp_path / "none", study, [])
    for name in ("../up", "a/b", ".hidden"):
        bad = a_study({**W1, "name": name})
        with pytest.raises(UserError, match="names a folder"):
            write(tmp_path / "names", bad, [a_record(bad.runs()[0])])
    twice = a_study({**W0, "name": "one"}, {**W1, "name": "one"})
    with pytest.raises(UserError, match="are named 'one'"):
        write(tmp_path / "twice", twice, [a_record(run) for run in twice.runs()])
    bare = a_study({"schedule": {"name": "radam"}}, scientific=("schedule",), treatment="schedule")
    with pytest.raises(UserError, match="schedule 'radam' of run"):
        write(tmp_path / "bare", bare, [a_record(bare.runs()[0])])
    bowl = a_study(W1, fixed={**FIXED, "task": "quadratic"}, grid=(Block(points=[W1]),), scientific=(PATH,))
    with pytest.raises(UserError, match=r"task .quadratic. of run .* does not"):
        write(tmp_path / "bowl", bowl, [a_record(run, chance_accuracy=None) for run in bowl.runs()])
    assert not (tmp_path / "bare" / "out").exists() and not (tmp_path / "bowl" / "out").exists()
    (tmp_path / "file").write_text("")
    store = Store.open(tmp_path / "twice" / "results")
    with store.writer() as writer:
        writer.append([a_record(study.runs()[0])])
    with pytest.raises(UserError, match="cannot write"):
        write_original_files(index_json(study, study.points()), store, tmp_path / "file")


def test_the_command_writes_real_records_and_the_class_reads_them(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    probes = ({"name": "grad_norm", "every": 1, "layers": True}, {"name": "distance", "every": 1})
    study = a_study(W0, W1, name="tiny", fixed={**FIXED, "probes": probes}, seeds=(0, 1))
    store = Store.open("results")
    records = [train(run) for run in study.runs()]
    with store.writer() as writer:
        writer.append(records)
    Path("results/tiny").mkdir()
    Path("results/tiny/study.json").write_text(json.dumps(index_json(study, study.points())))
    assert cli.main(["report", "tiny", "--format", "original"]) == 0
    assert capsys.readouterr().out == f"original: {Path('results/tiny/original/all_results.json')}\n"
    for record, (name, *_, accuracy) in zip(records, WarmupAnalyzer("results/tiny").rows, strict=True):
        measured = record.trace["validation_accuracy"]
        values = dict(zip(measured.steps, measured.values, strict=True))
        assert accuracy == 100 * max(values[3], values[6])
        inside = strict(
            Path("results/tiny/original/interpretability") / name / "interpretability_metrics.json"
        )
        assert inside["gradient_norms"] == list(record.trace["grad_norm"].values)
        assert inside["losses"] == list(record.trace["train_loss"].values)
    everything = sorted(p for p in Path("results/tiny/original").rglob("*") if p.suffix == ".json")
    assert len(everything) == 3 + 4 * 4
    assert all(strict(p) is not None for p in everything)
    before = [p.read_bytes() for p in everything]
    assert cli.main(["report", "tiny", "--format", "original", "--out", "again"]) == 0
    assert [p.read_bytes() for p in sorted(Path("again").rglob("*.json"))] == before
    assert cli.main(["export", "tiny", "--to", "original", "--out", "third"]) == 0
    assert [p.read_bytes() for p in sorted(Path("third").rglob("*.json"))] == before
    assert cli.main(["report", "tiny", "--format", "seed"]) == 2
    assert "unknown format 'seed': Known: csv, html, mlflow, original" in capsys.readouterr().err
    assert cli.main(["export", "tiny", "--to", "orignal"]) == 2
    assert "did you mean 'original'?" in capsys.readouterr().err


def test_a_real_image_run_has_its_training_accuracy_and_curvature(tmp_path):
    task = {
        "name": "cifar10",
        "total_examples": 20,
        "source": "random",
        "selection": "test",
        "model": {"name": "resnet18", "width": 4},
    }
    probes = (
        {"name": "grad_norm", "every": 1, "layers": True},
        {"name": "hessian_trace", "every": 2, "vectors": 2, "examples": 4},
    )
    fixed = {**FIXED, "task": task, "batch_size": 10, "probes": probes}
    study = a_study(fixed=fixed, grid=(Block(points=[W1]),), scientific=("schedule.warmup",))
    (run,) = study.runs()
    record = train(run)
    out = write(tmp_path, study, [record])
    (summary,) = strict(out / "all_results.json")
    name = summary["experiment_name"]
    assert (name, summary["protocol"], summary["examples_per_class"]) == (
        "cifar10_20total_w1_sgd_s42",
        "original",
        2,
    )
    metrics = strict(out / "metrics" / name / "metrics.json")
    watched = list(record.trace["train_accuracy"].values)
    assert metrics["train_acc"] == pytest.approx([100 * (a + b) / 2 for a, b in (watched[:2], watched[2:])])
    assert summary["best_val_acc"] == max(metrics["val_acc"])
    inside = strict(out / "interpretability" / name / "interpretability_metrics.json")
    assert inside["loss_curvature"] == list(record.trace["hessian_trace"].values)
    assert (inside["loss_curvature_steps"], len(inside["loss_curvature_se"])) == ([0, 2], 2)
    assert all("weight" in n for n in strict(out / "interpretability" / name / "layer_gradient_norms.json"))


def test_the_originals_schedule_trains_its_first_epoch_at_rate_zero(tmp_path):
    study = a_study(W1)
    (run,) = study.runs()
    run = run.but(schedule=cosine(warmup="1ep", every="epoch", at="left"))
    study = replace(study, fixed={**FIXED, "schedule": {"name": "cosine", "every": "epoch", "at": "left"}})
    out = write(tmp_path, study, [a_record(run)])
    assert strict(out / "metrics" / "digits_5epc_w1_sgd_s42" / "metrics.json")["learning_rate"] == [0.0, 0.1]
