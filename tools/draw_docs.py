"""Draw the pictures of the documentation, docs/schedules/*.svg, with preheat's own plotting.

    python tools/draw_docs.py

Equal schedules give equal bytes. What a picture shows is written into its file, so that a test can say
whether it is still what would be drawn now.
"""

from __future__ import annotations

import io
import json
import math
import re
from pathlib import Path
from typing import Any, NamedTuple

from preheat.pictures.plot import schedule_figure
from preheat.schedules import (
    Piece,
    Pieces,
    constant,
    cosine,
    data_regimes,
    exp_hyperbolic,
    exponential,
    gi_adam,
    hyperbolic,
    inverse_sqrt,
    inverse_time,
    k_decay,
    linear,
    one_cycle,
    polynomial,
    power_law,
    radam,
    refined,
    resnet50_imagenet,
    restarts,
    rex,
    spline,
    step,
    tabulated,
    tanh,
    triangular,
    untuned_exponential,
    untuned_linear,
    wsd,
)

FOLDER = Path(__file__).parents[1] / "docs" / "schedules"
POINTS = 17  # factors of each schedule that are written into the picture


class Picture(NamedTuple):
    """Schedules by label on one run, and how they are drawn."""

    schedules: dict[str, Any]
    total: int = 1000
    per_epoch: int | None = None
    peak: float = 1.0
    log: bool = False
    unit: Any = "steps"


def rise(curve: str, start: float = 0.0, power: float | None = None) -> Any:
    """A warmup along a curve over the first 800 of 1000 steps."""
    return constant(warmup=800, warmup_curve=curve, warmup_start=start, warmup_power=power)


def fall(curve: str, power: float | None = None, final: float = 0.0) -> Any:
    """The last four fifths of the run as a cooldown along a curve."""
    return wsd(cooldown="80%", cooldown_curve=curve, cooldown_power=power, final=final)


SHORT = cosine(at="left").resolve(100)  # of the schedule that is extended
NORMS = [
    1 + 6 * math.exp(-t / 10) + 0.4 * (t / 200) ** 2 for t in range(200)
]  # large at first, and growing at the end
PICTURES = {
    "warmup": Picture(
        {
            "linear": rise("linear"),
            "cosine": rise("cosine"),
            "exponential, start 0.01": rise("exponential", 0.01),
            "polynomial, power 2": rise("polynomial", 0.0, 2.0),
            "sqrt": rise("sqrt"),
            "1-sqrt": rise("1-sqrt"),
            "square": rise("square"),
            "mirror_cosine": rise("mirror_cosine"),
            "constant, start 0.25": rise("constant", 0.25),
        }
    ),
    "damping": Picture(
        {
            "untuned_linear": untuned_linear(),
            "untuned_exponential": untuned_exponential(),
            "radam": radam(),
            "gi_adam": gi_adam(),
        },
        total=4000,
    ),
    "decay": Picture(
        {
            "linear": linear(),
            "cosine": cosine(),
            "polynomial": polynomial(),
            "exponential": exponential(),
            "inverse_time, timescale 10%": inverse_time(timescale="10%"),
            "rex": rex(),
            "tanh": tanh(),
            "k_decay, k 2": k_decay(k=2),
        }
    ),
    "drops": Picture(
        {
            "milestones 30ep, 60ep, 80ep": step(milestones=["30ep", "60ep", "80ep"], warmup="5ep"),
            "period 20ep, gamma 0.5": step(period="20ep", gamma=0.5),
        },
        per_epoch=10,
        unit="epochs",
        log=True,
    ),
    "stable": Picture(
        {
            "wsd": wsd(warmup="5%"),
            "inverse_sqrt": inverse_sqrt(warmup="5%"),
            "power_law, onset 20%": power_law(onset="20%", warmup="5%"),
        }
    ),
    "cooldown": Picture(
        {
            "linear": fall("linear"),
            "1-sqrt": fall("1-sqrt"),
            "square": fall("square"),
            "cosine": fall("cosine"),
            "mirror_cosine": fall("mirror_cosine"),
            "sqrt": fall("sqrt"),
            "polynomial, power 2": fall("polynomial", 2.0),
            "exponential, final 0.01": fall("exponential", None, 0.01),
        }
    ),
    "hyperbolic": Picture(
        {
            "hyperbolic, upper 100ep (= the run)": hyperbolic(upper="100ep"),
            "hyperbolic, upper 250ep": hyperbolic(upper="250ep"),
            "exp_hyperbolic, upper 100ep (= the run)": exp_hyperbolic(upper="100ep"),
            "exp_hyperbolic, upper 250ep": exp_hyperbolic(upper="250ep"),
        },
        per_epoch=10,
        unit="epochs",
    ),
    "cycles": Picture(
        {
            "one_cycle": one_cycle(),
            "triangular, cycle_mult 0.5": triangular(rise="12.5%", cycle_mult=0.5, base=0.02),
            "restarts, mult 2": restarts(period=143, mult=2),
        }
    ),
    "given": Picture(
        {
            "pieces": Pieces(
                [Piece("10%", 0, 1), Piece("30%", 1, 1), Piece(None, 1, 0.3, "cosine"), Piece("20%", 0.3, 0)]
            ),
            "tabulated, hold": tabulated(values=[0.25, 1, 0.5, 0.5, 0.25]),
            "tabulated, linear": tabulated(values=[0.25, 1, 0.5, 0.5, 0.25], between="linear"),
            "spline": spline(places=["0%", "15%", "60%", "100%"], factors=[0, 1, 0.6, 0]),
            "refined": refined(NORMS, between="linear"),
        }
    ),
    "combining": Picture(
        {
            "radam() * cosine()": radam() * cosine(),
            "linear().then(constant().scaled(0.1), at='60%')": linear().then(
                constant().scaled(0.1), at="60%"
            ),
            "wsd(warmup='5%').scaled(0.8)": wsd(warmup="5%").scaled(0.8),
        }
    ),
    "extending": Picture(
        {
            "wsd, continue": wsd(warmup=10, cooldown=20, at="left").resolve(100).extend(200, at=60).schedule,
            "cosine, rescale": SHORT.extend(200, at=60, how="rescale").schedule,
            "cosine, cooldown of 40": SHORT.extend(200, at=60, how="cooldown", length=40).schedule,
        },
        total=200,
    ),
    "recipes": Picture(
        {
            "data_regimes, decay step": data_regimes(per_epoch=1, decay="step").schedule,
            "resnet50_imagenet, T_0 = 100": resnet50_imagenet(per_epoch=1).schedule,
            "resnet50_imagenet, T_0 = 95": resnet50_imagenet(per_epoch=1, period=None).schedule,
        },
        total=100,
        per_epoch=1,
        peak=0.1,
        log=True,
        unit="epochs",
    ),
}


def shown(picture: Picture) -> dict[str, Any]:
    """What the picture shows, as data: each schedule's JSON and a few of its factors, and the run."""
    run = {"total": picture.total, "per_epoch": picture.per_epoch, "peak": picture.peak}
    places = [i * (picture.total - 1) // (POINTS - 1) for i in range(POINTS)]
    lines = {}
    for label, schedule in picture.schedules.items():
        rate = schedule.resolve(**run)
        digest = {"name": schedule.json()["name"], "factors": [round(rate(k), 4) for k in places]}
        lines[label] = digest
    return {**run, "log": picture.log, "unit": picture.unit, "steps": places, "lines": lines}


def svg(picture: Picture) -> bytes:
    """The picture as an SVG file."""
    from matplotlib import rc_context

    run = {"total": picture.total, "per_epoch": picture.per_epoch, "peak": picture.peak}
    out = io.StringIO()
    with rc_context({"svg.hashsalt": "preheat", "path.simplify_threshold": 0.2}):
        figure = schedule_figure(picture.schedules, **run, log=picture.log, unit=picture.unit)
        figure.set_facecolor("white")  # a page may be dark
        for words in figure.axes[
            0
        ].texts:  # a box where the plot has a halo, which would write each letter out twice
            words.set_path_effects([])
            words.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.6})
        figure.savefig(out, format="svg", metadata={"Date": None, "Description": json.dumps(shown(picture))})
    paths = re.sub(r' d="[^"]*"', lambda found: re.sub(r"(\.\d)\d+", r"\1", found[0]), out.getvalue())
    return "\n".join(line.rstrip() for line in paths.splitlines()).encode() + b"\n"


def main() -> None:
    """Draw all."""
    for name, picture in PICTURES.items():
        data = svg(picture)
        (FOLDER / f"{name}.svg").write_bytes(data)
        print(f"{name}.svg {len(data) / 1024:.0f} KB")


if __name__ == "__main__":
    main()
