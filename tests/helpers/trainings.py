"""Small runs, trained to their records, and what equal records are."""

from __future__ import annotations

import numpy as np

from preheat.core.run import Run
from preheat.core.spec import build, spec
from preheat.engine.finish import records
from preheat.engine.loop import set_up, train

DIGITS = spec("digits", examples_per_class=5)
CNN = spec("digits", examples_per_class=5, model="cnn")
IMAGES = {"source": "random", "total_examples": 40, "model": {"name": "simplecnn", "width": 4, "hidden": 8}}
TEXT = {"context": 5, "model": {"name": "gpt", "depth": 1, "width": 4, "heads": 2}}
OPERATOR = {"name": "deeponet", "hidden": 4, "num_layers": 2, "num_branch": 2}
FUNCTIONS = {"held_out": 10, "shortest": 0.1, "longest": 0.1, "sensors": 8, "queries": 4}
OPTIONS = {
    "integral": spec("integral", examples=40, model=OPERATOR, **FUNCTIONS),
    "quadratic": spec("quadratic", sigma=1.0, examples=100),
    **{name: spec(name, **IMAGES) for name in ("cifar10", "cifar100", "pathmnist")},
    "tiny_imagenet": spec(
        "tiny_imagenet", **{**IMAGES, "model": {"name": "simplecnn", "width": 1, "hidden": 2}}
    ),
    "image_folder": spec("image_folder", pixels=16, **IMAGES),
    "source_text": spec("source_text", corpus_bytes=3000, **TEXT),
    "own_text": spec("own_text", text_file=__file__, **TEXT),
    "wikitext2": spec("wikitext2", source="random", **TEXT),
    "osc": spec("osc", hist=4, pred=3, total_examples=40, model={"hidden": 3, "depth": 1}),
}


def a_run(**changes) -> Run:
    base = {
        "task": DIGITS,
        "optimizer": spec("sgd", momentum=0.9),
        "schedule": {"name": "cosine", "warmup": "2ep"},
    }
    fixed = {"peak_lr": 0.05, "length": "6ep", "precision": "float64", "evaluate": "3"}
    return Run(**{**base, **fixed, **changes})


def finish(runs, where, start=None):
    setup = set_up(runs, where)
    for now in train(setup, start(setup) if start else None):
        last = now
    return setup, last, records(setup, last)


def same_trace(a, b, rtol=1e-10):
    assert a.trace.keys() == b.trace.keys() and a.status == b.status
    for name in a.trace:
        assert a.trace[name].steps == b.trace[name].steps
        np.testing.assert_allclose(
            a.trace[name].values, b.trace[name].values, rtol=rtol, atol=rtol, err_msg=name
        )
    for name, value in a.summary.items():
        np.testing.assert_allclose(value, b.summary[name], rtol=rtol, atol=rtol, err_msg=name)


def bitwise(a, b):
    return (
        a.status == b.status
        and a.summary == b.summary
        and {n: s.values.tobytes() for n, s in a.trace.items()}
        == {n: s.values.tobytes() for n, s in b.trace.items()}
    )


def differing(optimizer: str, task=DIGITS) -> list[Run]:
    """Three runs in which every float option, the rate, the schedule, the clipping and the seed differ."""
    plain = build("optimizer", spec(optimizer))
    out = []
    for i in range(3):
        numbers = {
            f: min(0.97, getattr(plain, f) * (1 - 0.07 * i) + 0.001 * i)
            for f in ("beta1", "beta2")
            if hasattr(plain, f)
        }
        numbers |= {
            f: 0.01 * (i + 1) for f in ("weight_decay", "momentum", "momentum_decay") if hasattr(plain, f)
        }
        numbers |= {"eps": 10.0 ** -(6 + i)} if hasattr(plain, "eps") else {}
        others = {"beta3": 0.98 - 0.03 * i, "d0": 1e-3 * (i + 1), "d_coef": 1.5 - 0.4 * i}
        others |= {"growth_rate": 1.1 + 0.4 * i, "r": 0.5 * i, "weight_lr_power": 2.0 - 0.7 * i}
        numbers |= {f: value for f, value in others.items() if hasattr(plain, f)}
        schedule = [
            {"name": "cosine", "warmup": "1ep"},
            {"name": "linear"},
            {"name": "constant", "warmup": "3ep"},
        ][i]
        out.append(
            a_run(
                task=task,
                optimizer=spec(optimizer, **numbers),
                schedule=schedule,
                peak_lr=0.01 * (i + 1),
                seed=i,
                clip_norm=0.5 + i,
                probes=[spec(n, every=3) for n in ("grad_norm", "distance")],
            )
        )
    return out
