"""The command lines of Kalra and Barkeshli 2024, *Why Warmup the Learning Rate?*: their `train_*.py`."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from preheat.core.errors import UserError, unknown
from preheat.core.originals import Meant, Original
from preheat.core.registry import ORIGINALS

DIAGRAM, MECHANISMS = "phase-diagram", "mechanisms"
HIGHEST, TOP_EXP = 1.0, 11  # of a diagram's rates: of Adam; of SGD 2^11 / lambda_0
LEAST_EXP, LEAST_STEP = -20, 0.05
IMAGES = 50_000  # of CIFAR-10 and CIFAR-100

_SHARED: dict[str, Any] = {
    "abc": "sp",
    "dataset": "cifar-10",
    "loss_name": "xent",
    "warmup_steps": 1,
    "num_steps": 2048,
    "batch_size": 128,
    "augment": "True",
    "decay_exponent": 0.0,
    "init_seed": 1,
    "sgd_seed": 1,
}
_FCN = {**_SHARED, "width": 512, "depth": 4, "num_examples": IMAGES, "batch_size": 512, "augment": "False"}
_WRN = {**_SHARED, "width": 16, "widening_factor": 4, "depth": 16}
_SGD, _ADAM = {"lr_exp": 0.0, "momentum": 0.0}, {"b1": 0.9, "b2": 0.999}


class Script(NamedTuple):
    """One of the original's scripts: the study that does the same, the model, the defaults of the flags that
    it heeds; idle: those that it takes and that change nothing but names of files, or how it measures."""

    study: str
    model: str
    defaults: Mapping[str, Any]
    idle: frozenset[str]


def _idle(more: str) -> frozenset[str]:
    return frozenset(f"cluster out_dim scale {more}".split())


_LOBPCG = "topk sharpness_method tol m_iter lr_step measure_batches"
SCRIPTS = {
    "train_fcn_sgd_lobpcg.py": Script(
        MECHANISMS,
        "fcn",
        {**_FCN, **_SGD, "warmup_steps": 512},
        _idle(f"{_LOBPCG} widening_factor opt_name"),
    ),
    "train_fcn_grads_adam_lobpcg.py": Script(
        MECHANISMS,
        "fcn",
        {**_FCN, **_ADAM, "opt_name": "grads_adam", "lr_trgt": 0.0},
        _idle(f"{_LOBPCG} widening_factor"),
    ),
    "train_resnet_sgd_lobpcg.py": Script(
        MECHANISMS,
        "wrn16_4",
        {**_WRN, **_SGD},
        _idle(f"{_LOBPCG} num_examples opt_name lr_trgt eval_interval"),
    ),
    "train_resnet_grads_adam_lobpcg.py": Script(
        MECHANISMS,
        "wrn16_4",
        {**_WRN, **_ADAM, "opt_name": "grads_adam", "lr_trgt": 1e-4},
        _idle(f"{_LOBPCG} num_examples eval_interval"),
    ),
    "train_resnet_adam.py": Script(
        DIAGRAM,
        "wrn16_4",
        {**_WRN, **_ADAM, "num_steps": 10, "lr_start": 1e-6},
        _idle("num_examples opt_name lr_step lr_trgt eval_interval"),
    ),
    "train_resnet_sgd.py": Script(
        DIAGRAM,
        "wrn16_4",
        {**_WRN, **_SGD, "width": 64, "widening_factor": 1, "depth": 5, "lr_init": 1e-4, "lr_step": 1.0}
        | {"warmup_steps": 512, "num_steps": 10_000, "batch_size": 512},
        _idle("opt_name lr_trgt eval_interval topk sharpness_method measure_batches"),
    ),
}
KINDS: dict[str, Any] = dict.fromkeys(("abc", "dataset", "loss_name", "augment", "opt_name"), str)
KINDS |= dict.fromkeys(("num_examples", "width", "widening_factor", "depth"), int)
KINDS |= dict.fromkeys(("warmup_steps", "num_steps", "batch_size", "init_seed", "sgd_seed"), int)
KINDS |= dict.fromkeys(("lr_exp", "lr_step", "lr_trgt", "lr_start", "lr_init", "momentum"), float)
KINDS |= dict.fromkeys(("b1", "b2", "decay_exponent", "warmup_exponent", "varw"), float)
KINDS |= {"bias": str, "act_name": str}
KINDS |= {name: str for one in SCRIPTS.values() for name in sorted(one.idle) if name not in KINDS}
# the one value that has a counterpart here
ONLY: dict[str, Any] = {"bias": "True", "act_name": "relu", "varw": 2.0, "warmup_exponent": 1.0}
ONLY |= {"lr_init": 0.0}
TASKS = {"cifar-10": "cifar10", "cifar10": "cifar10", "cifar-100": "cifar100", "cifar100": "cifar100"}
WORDS: Mapping[str, Mapping[str, Any]] = {
    "abc": {"sp": "standard", "mup": "mu"},
    "dataset": TASKS,
    "loss_name": {"xent": "cross_entropy", "mse": "mse"},
    "augment": {"True": True, "False": False},
}


@ORIGINALS.register("why-warmup")
class WhyWarmup(Original):
    """Kalra & Barkeshli 2024, Why Warmup the Learning Rate?: SCRIPT is one of their train_*.py.

    A call is one warmup and one seed, as there. Flags that have one value with a counterpart here are refused
    at any other; those that name files, folders of a cluster, or how sharpness is measured have no effect.
    """

    def arguments(self, parser: argparse._ActionsContainer) -> None:
        parser.add_argument("script", metavar="SCRIPT", help=", ".join(SCRIPTS))
        for name, kind in KINDS.items():
            parser.add_argument(f"--{name}", type=kind, metavar="VALUE", help="as in the script")
        parser.add_argument(
            "--output",
            type=Path,
            default=Path("results"),
            metavar="DIR",
            help="the folder of the records (default: ./results)",
        )

    def meant(self, args: argparse.Namespace) -> Meant:
        name = Path(args.script).name
        if name not in SCRIPTS:
            raise unknown("script of original 'why-warmup'", name, SCRIPTS)
        script = SCRIPTS[name]
        asked = {**script.defaults, **_given(args, script)}
        _check(script, asked)
        own = _diagram(asked) if script.study == DIAGRAM else _mechanisms(asked)
        pairs = {**_model(script, asked), **_task(asked), **own, "warmups": f"[{asked['warmup_steps']}]"}
        pairs |= {"steps": asked["num_steps"], "batch_size": asked["batch_size"]}
        words = [script.study, "--task", TASKS[asked["dataset"]]]
        words += ["--no-persistent"] if script.study == MECHANISMS else []
        for option, value in {**pairs, "seeds": f"[{asked['init_seed']}]"}.items():
            words += ["--set", f"{option}={value}"]
        return Meant(tuple(words), None, args.output)


def _given(args: argparse.Namespace, script: Script) -> dict[str, Any]:
    """The flags that the command line gives: those of the script, with a counterpart here."""
    found = {name: getattr(args, name) for name in KINDS if getattr(args, name) is not None}
    for name, value in {**script.defaults, **found}.items():
        if name in ONLY and value != ONLY[name]:
            raise UserError(f"--{name} must be {ONLY[name]} here, got {value}: write --{name} {ONLY[name]}")
        if name not in {*ONLY, *script.defaults, *script.idle}:
            raise UserError(f"--{name} is no flag of {args.script}, got {value}: leave it out")
    return {name: value for name, value in found.items() if name in script.defaults}


def _check(script: Script, asked: Mapping[str, Any]) -> None:
    """What the studies here can't do, in the original's words."""
    for name, known in WORDS.items():
        if asked[name] not in known:
            raise unknown(f"--{name}", asked[name], known)
    init, batches = asked["init_seed"], asked["sgd_seed"]  # one seed here draws parameters and batches
    if init != batches or init < 1:
        raise UserError(
            f"--init_seed and --sgd_seed must be one number from 1 on here, got {init} and {batches}: write "
            "--init_seed 1 --sgd_seed 1"
        )
    if script.model != "fcn" and asked["depth"] != 16:
        got = asked["depth"]
        raise UserError(f"--depth of a residual network must be 16 here, got {got}: write --depth 16")
    decays = (0.0, 1.0) if script.study == DIAGRAM else (0.0,)
    if asked["decay_exponent"] not in decays:
        said = " or ".join(f"{one:g}" for one in decays)
        raise UserError(
            f"--decay_exponent must be {said} here, got {asked['decay_exponent']:g}: write --decay_exponent 0"
        )


def _model(script: Script, asked: Mapping[str, Any]) -> dict[str, Any]:
    last = ("depth", "depth") if script.model == "fcn" else ("widen", "widening_factor")
    return {"model.name": script.model, "model.width": asked["width"], f"model.{last[0]}": asked[last[1]]}


def _task(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Images are standardised one by one, which both studies do by themselves."""
    drawn = {"crop": 4, "flip": "true", "mixup": 1} if asked["augment"] == "True" else {}
    said = {"objective": WORDS["loss_name"][asked["loss_name"]], "selection": "test"}
    said |= drawn or {"crop": 0, "flip": "false", "mixup": 0}
    return {f"task_options.{name}": value for name, value in said.items()}


def _mechanisms(asked: Mapping[str, Any]) -> dict[str, Any]:
    """One optimizer at one peak: SGD's in units of 2 / lambda_0, 2^lr_exp there in units of 1 / lambda_0."""
    if "lr_exp" in asked:
        own = {"momentum": asked["momentum"]} if asked["momentum"] else {}
        one, peak = {"name": "momentum" if own else "gd", **own}, 2.0 ** (_exponent(asked) - 1)
    else:
        flat = asked["opt_name"] != "base_adam"  # any other name is GI-Adam there
        one, peak = _adam("gi_adam" if flat else "adam", asked), asked["lr_trgt"]
        if not 0 < peak < math.inf:
            raise UserError(f"--lr_trgt must be above 0, got {peak:g}: write --lr_trgt 0.001")
    where = WORDS["abc"][asked["abc"]]
    return {
        "examples": min(asked.get("num_examples", IMAGES), IMAGES),
        "parameterisations": f"[{where}]",
        "optimizers": _optimizers(one),
        f"peaks.{one['name']}.{where}": peak,
    }


def _diagram(asked: Mapping[str, Any]) -> dict[str, Any]:
    """One optimizer at rates that go up; the original stops where one fails, these are said beforehand."""
    if "lr_exp" in asked:
        first, step = _exponent(asked), asked["lr_step"]
        if not LEAST_STEP <= step <= 1:
            raise UserError(f"--lr_step must be {LEAST_STEP} to 1 here, got {step:g}: write --lr_step 1")
        ups = range(math.floor((TOP_EXP - first) / step + 1e-9) + 1)
        unit, rates = "sharpness", [2.0 ** (first + k * step - 1) for k in ups]
        one = {"name": "sgd", "momentum": asked["momentum"]}
    else:
        least, start = HIGHEST * 2.0**LEAST_EXP / 2, asked["lr_start"]
        if not least <= start <= HIGHEST / 2:
            within = f"{least:.1g} to {HIGHEST / 2:g}"
            raise UserError(f"--lr_start must be {within} here, got {start:g}: write --lr_start 1e-5")
        ups = range(math.floor(math.log2(HIGHEST / start)) + 1)
        unit, rates, one = "rate", [start * 2.0**k for k in ups], _adam("adam", asked)
    return {
        "parameterisation": WORDS["abc"][asked["abc"]],
        "optimizers": _optimizers(one),
        "unit": unit,
        "peak_rates": f"[{', '.join(f'{rate:.6g}' for rate in rates)}]",
        "schedule": "cosine" if asked["decay_exponent"] else "constant",
    }


def _adam(name: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "beta1": asked["b1"], "beta2": asked["b2"]}


def _optimizers(one: Mapping[str, Any]) -> str:
    return f"[{{{', '.join(f'{name}: {value}' for name, value in one.items())}}}]"


def _exponent(asked: Mapping[str, Any]) -> float:
    found = float(asked["lr_exp"])
    if not LEAST_EXP <= found <= TOP_EXP - 1:
        raise UserError(
            f"--lr_exp must be {LEAST_EXP} to {TOP_EXP - 1} here, got {found:g}: write --lr_exp 0, which is "
            "1 / lambda_0"
        )
    return found
