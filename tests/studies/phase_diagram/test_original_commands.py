"""The command lines of Kalra and Barkeshli 2024: each script's study, and flags that are refused or change nothing."""

from __future__ import annotations

import shlex
from itertools import pairwise

import pytest

from preheat.cli import main as cli
from preheat.cli import study_command
from preheat.cli.options import settings
from preheat.core.errors import UserError
from preheat.core.registry import ORIGINALS
from preheat.core.spec import build
from preheat.studies.phase_diagram.original_commands import KINDS, ONLY, SCRIPTS

# what each script needs beside its defaults, which train nothing or have no counterpart
NEEDED = {
    "train_fcn_grads_adam_lobpcg.py": "--lr_trgt 0.001",
    "train_resnet_sgd.py": "--lr_init 0.0 --width 16 --widening_factor 4 --depth 16",
}
FCN_SGD, FCN_ADAM, WRN_SGD, WRN_ADAM, MAP_ADAM, MAP_SGD = SCRIPTS


def meant(script, line=""):
    """The words of `preheat study`."""
    words = shlex.split(f"why-warmup {script} {NEEDED.get(script, '')} {line}")
    found = ORIGINALS["why-warmup"]().meant(cli.build("original", words).parse_args(words))
    assert found.to is None
    return found.study


def said(script, line=""):
    """The options that the words set."""
    words = meant(script, line)
    return settings([value for word, value in pairwise(words) if word == "--set"])


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_is_a_study_that_can_be_declared(script):
    words = meant(script)
    study, points = study_command.asked(cli.build("study", words).parse_args(words))
    assert words[0] == SCRIPTS[script].study == study.name[: len(words[0])] and points
    assert study.seeds == ((0, 1) if "sgd" in script else (1,))
    runs = [p.run for p in points]
    assert {r.total_steps for r in runs} == {10 if "sgd" in script else SCRIPTS[script].defaults["num_steps"]}
    assert {r.batch_size for r in runs} == {SCRIPTS[script].defaults["batch_size"]}
    task = build("task", runs[0].task)
    assert (task.standardise, task.selection, task.objective) == ("image", "test", "cross_entropy")
    drawn = (0, False, 0.0) if "fcn" in script else (4, True, 1.0)
    assert (task.crop, task.flip, task.mixup) == drawn
    assert all(r.schedule.warmup_at == "right" for r in runs)


def test_the_line_that_the_authors_submit():
    line = (
        "--cluster zaratan --abc sp --scale 0.0 --loss_name xent --widening_factor 1 --depth 16 "
        "--num_examples 50000 --batch_size 512 --opt_name base_adam --lr_trgt 0.001 --warmup_steps 1"
    )
    found = said(WRN_ADAM, line)
    assert found["optimizers"] == [{"name": "adam", "beta1": 0.9, "beta2": 0.999}]
    assert found["peaks"] == {"adam": {"standard": 0.001}} and found["warmups"] == [1]
    assert found["model"] == {"name": "wrn16_4", "width": 16, "widen": 1} and found["batch_size"] == 512


def test_the_full_batch_of_the_papers_first_figure():
    line = "--abc mup --loss_name mse --num_examples 5000 --batch_size 5000 --warmup_steps 64"
    found = said(FCN_SGD, line)
    assert (found["examples"], found["batch_size"], found["warmups"]) == (5000, 5000, [64])
    assert found["parameterisations"] == ["mu"] and found["task_options"]["objective"] == "mse"
    assert found["peaks"] == {"gd": {"mu": 0.5}}, "2^0 / lambda_0 in units of 2 / lambda_0"
    assert said(FCN_SGD, "--lr_exp 5")["peaks"] == {"gd": {"standard": 16.0}}
    assert said(FCN_SGD, "--augment True")["task_options"]["mixup"] == 1


def test_optimizers_and_rates():
    assert said(WRN_SGD, "--momentum 0.9")["optimizers"] == [{"name": "momentum", "momentum": 0.9}]
    assert said(FCN_ADAM)["optimizers"][0]["name"] == "gi_adam", "its default opt_name is grads_adam"
    assert said(WRN_ADAM, "--b2 0.99")["optimizers"][0]["beta2"] == 0.99
    ours = said(MAP_ADAM, "--lr_start 1e-5 --decay_exponent 1 --dataset cifar100")
    assert (
        ours["peak_rates"][:2] == [1e-5, 2e-5]
        and 0.5 < ours["peak_rates"][-1] <= 1
        and 0.16384 in ours["peak_rates"]
    )
    assert ours["schedule"] == "cosine" and said(MAP_ADAM)["schedule"] == "constant"
    assert meant(MAP_ADAM, "--dataset cifar-100")[:3] == ("phase-diagram", "--task", "cifar100")
    theirs = said(MAP_SGD, "--lr_exp 2 --lr_step 0.5")
    assert theirs["unit"] == "sharpness" and theirs["optimizers"] == [{"name": "sgd", "momentum": 0.0}]
    assert (
        theirs["peak_rates"][:3] == pytest.approx([2, 2 * 2**0.5, 4], rel=1e-5)
        and theirs["peak_rates"][-1] == 1024
    )
    assert said(MAP_SGD, "--init_seed 3 --sgd_seed 3")["seeds"] == [3]


@pytest.mark.parametrize("script", SCRIPTS)
def test_flags_that_change_nothing_and_flags_of_another_script(script):
    known = SCRIPTS[script]
    assert meant(script, " ".join(f"--{name} 7" for name in sorted(known.idle))) == meant(script)
    assert meant(script, " ".join(f"--{name} {ONLY[name]}" for name in ONLY)) == meant(script)
    for name in {*KINDS} - {*ONLY} - known.idle - {*known.defaults}:
        with pytest.raises(UserError, match=f"--{name} is no flag of {script}, got 1.*: leave it out"):
            meant(script, f"--{name} 1")


@pytest.mark.parametrize("name", ONLY)
def test_a_flag_with_one_value_here_is_refused_at_others(name):
    with pytest.raises(UserError, match=f"--{name} must be {ONLY[name]} here, got 3.*: write --{name}"):
        meant(FCN_SGD, f"--{name} 3")


@pytest.mark.parametrize(
    "script,line,rule",
    [
        ("train_fcn_sgd.py", "", "unknown script of original 'why-warmup' 'train_fcn_sgd.py': did you mean"),
        (FCN_SGD, "--abc ntp", "unknown --abc 'ntp': Known: mup, sp"),
        (FCN_SGD, "--dataset cifar", "unknown --dataset 'cifar': did you mean"),
        (FCN_SGD, "--loss_name mae", "unknown --loss_name 'mae': did you mean 'mse'"),
        (FCN_SGD, "--augment yes", "unknown --augment 'yes'"),
        (FCN_SGD, "--sgd_seed 2", "must be one number from 1 on here, got 1 and 2: write --init_seed 1"),
        (FCN_SGD, "--init_seed 0 --sgd_seed 0", "must be one number from 1 on here, got 0 and 0"),
        (FCN_SGD, "--decay_exponent 1", "--decay_exponent must be 0 here, got 1: write --decay_exponent 0"),
        (MAP_ADAM, "--decay_exponent 2", "--decay_exponent must be 0 or 1 here, got 2"),
        (WRN_SGD, "--depth 28", "--depth of a residual network must be 16 here, got 28: write --depth 16"),
        (FCN_SGD, "--lr_exp nan", "--lr_exp must be -20 to 10 here, got nan"),
        (MAP_SGD, "--lr_exp 11", "--lr_exp must be -20 to 10 here, got 11"),
        (MAP_SGD, "--lr_step 0", "--lr_step must be 0.05 to 1 here, got 0: write --lr_step 1"),
        (MAP_ADAM, "--lr_start 1", "--lr_start must be 5e-07 to 0.5 here, got 1: write --lr_start 1e-5"),
        (FCN_ADAM, "--lr_trgt 0", "--lr_trgt must be above 0, got 0: write --lr_trgt 0.001"),
        (FCN_SGD, "--lr_trgt 1", f"--lr_trgt is no flag of {FCN_SGD}, got 1.0: leave it out"),
    ],
)
def test_what_has_no_counterpart_is_refused(script, line, rule):
    with pytest.raises(UserError, match=rule):
        meant(script, line)


def test_what_the_script_says_is_not_set_to_something_else(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(study_command, "run", lambda args: 0)
    line = ["original", "why-warmup", MAP_ADAM, "--set"]
    for pair in ("steps=5", "task_options={crop: 0}", "model.name=fcn", "task_options.crop.x=1"):
        assert cli.main([*line, pair]) == 2
        path = pair.partition("=")[0]
        assert f"{path} is what original 'why-warmup' says itself" in capsys.readouterr().err
    assert cli.main([*line, "task_options.source=random"]) == 0
    assert "its report: preheat report phase-diagram-model-name-wrn16_4" in capsys.readouterr().out
