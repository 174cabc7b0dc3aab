"""Options of every registered schedule that exercise its branches."""

from cases import once

from preheat.schedules import CURVES

WARMUPS = [
    {"warmup": "7%"},
    {"warmup": 0.1, "warmup_curve": "cosine", "warmup_start": 0.3},
    {"warmup": "13%", "warmup_curve": "exponential", "warmup_start": 1e-4},
    {"warmup": "13%", "warmup_curve": "polynomial", "warmup_power": 3},
    {"warmup": "13%", "warmup_curve": "sqrt"},
    {"warmup": "13%", "warmup_curve": "1-sqrt"},
]
COSINE = {"name": "cosine"}
BODIES = {
    "constant": [{}, {"warmup": "10%", "warmup_curve": "constant", "warmup_start": 0.1}],
    "cosine": [{}, {"final": 0.1}, {"power": 2}],
    "exp_hyperbolic": [{"upper": "100%"}, {"upper": "100%", "infimum": 0.1, "warmup": "20%"}],
    "exponential": [{}, {"final": 0.5}],
    "hyperbolic": [{"upper": "100%"}, {"upper": "100%", "infimum": 0.1, "warmup": "20%"}],
    "inverse_sqrt": [
        {"timescale": "20%"},
        {"timescale": "20%", "cooldown": "30%", "final": 0.1, "cooldown_curve": "1-sqrt"},
    ],
    "inverse_time": [{"timescale": "10%"}, {"timescale": "30%", "power": 0.5}],
    "k_decay": [{"k": 2}, {"k": 0.8, "curve": "1-sqrt", "final": 0.1}],
    "linear": [{}, {"final": 0.25}],
    "one_cycle": [{}, {"curve": "polynomial", "power": 2, "final": 0}, {"three_phase": True}],
    "pieces": [
        {"pieces": [{"length": "10%", "start": 0.5, "end": 1}, {"start": 1, "end": 0, "curve": "sqrt"}]}
    ],
    "polynomial": [{}, {"power": 0.5, "final": 0.1}],
    "power_law": [
        {"onset": "20%"},
        {"onset": "20%", "cooldown": 0},
        {"onset": "95%", "final": 0.1, "cooldown_curve": "1-sqrt"},
    ],
    "restarts": [
        {"period": "30%"},
        {"period": "10%", "mult": 2, "peak_mult": 0.5, "final": 0.1},
        {"period": "40%", "mult": 0.7, "curve": "polynomial", "power": 2},
    ],
    "rex": [{}, {"beta": -1, "final": 0.1}, {"beta": 0.9}],
    "spline": [
        {"places": ["20%", "50%", "100%"], "factors": [1, 0.3, 0]},
        {"places": ["20%", "40%", "60%", "90%"], "factors": [1, 1, 0.2, 0.5]},
    ],
    "step": [
        {},
        {"period": "30%", "gamma": 0.5, "warmup": "10%"},
        {"milestones": [0.3, 0.6, 0.9], "gamma": 0.3},
    ],
    "tabulated": [
        {"values": [1, 0.5, 0.7, 0]},
        {"values": [1, 0.2, 0.7, 0.1], "between": "linear"},
        {"values": [1.0]},
    ],
    "tanh": [{}, {"begin": 0.5, "end": 4, "final": 0.1}],
    "triangular": [{"rise": "20%"}, {"rise": "7%", "fall": "13%", "base": 0.1, "cycle_mult": 0.5}],
    "wsd": [{}]
    + [{"cooldown": "40%", "cooldown_curve": c, "final": 0.1} for c in sorted(CURVES) if c != "polynomial"],
}
# schedules of the HyperbolicLR experiments: their sampling is their own, and they need epochs and a peak rate
CODES = {
    "C": [{}, {"infimum": 1e-4}],
    "CY": [{}, {"rise": 60}, {"tuned_at": 10}],
    "E": [{}, {"gamma": 0.9}],
    "EH": [{}, {"upper": 400, "infimum": 1e-5}],
    "H": [{}, {"upper": 200, "infimum": 1e-4}],
    "L": [{}, {"end": 0.1}, {"infimum": 1e-4}],
    "N": [{}],
    "OC": [{}, {"pct_start": 0.5}],
    "P": [{}, {"power": 3}],
    "S": [{}, {"gamma": 0.5, "period": 7}, {"tuned_at": 30}],
    "WC": [{}, {"infimum": 1e-4}],
    "WEH": [{}, {"upper": 400, "infimum": 1e-5}],
    "WH": [{}, {"upper": 200}],
}
# schedules without a warmup of their own, or whose options count steps: they do not stretch with the run
LOOSE = {
    "constant": [{"warmup": "13%", "warmup_at": "right", "at": "left"}],
    "cosine": [{"warmup": "13%", "warmup_at": "left", "warmup_curve": "sqrt"}],
    "extended": [
        {"schedule": COSINE, "was": 77, "place": 50, "how": "rescale"},
        {"schedule": COSINE, "was": 60, "place": 50, "how": "cooldown"},
    ],
    "excerpt": [{"schedule": COSINE, "was": 3000, "begin": 50}],
    "floored": [{"schedule": COSINE, "floor": 0.3}, {"schedule": {"name": "step"}, "floor": 0.05}],
    "gi_adam": [{}],
    "product": [
        {"first": COSINE, "second": {"name": "radam", "beta2": 0.9}},
        {"first": COSINE, "second": {"name": "wsd"}},
        {"first": {"name": "step", "at": "right"}, "second": {"name": "radam", "at": "left"}},
    ],
    "radam": [{}, {"beta2": 0.9}],
    "scaled": [{"schedule": COSINE, "by": 0.3}],
    "spline": [{"places": ["0%", "30%", "100%"], "factors": [0.2, 1, 0]}],
    "tabulated": [{"values": [0.2, 1, 0.5], "between": "linear"}, {"values": [0.5, 0.25, 1, 0]}],
    "then": [{"first": COSINE, "second": {"name": "step"}, "place": 50}],
    "triangular": [{"rise": "20%", "step_mult": 0.999}],
    "untuned_exponential": [{"period": "10%"}, {}],
    "untuned_linear": [{}, {"beta2": 0.99}],
}
CASES = [(name, body) for name, bodies in BODIES.items() for body in bodies]
CASES += [(name, {**w, **bodies[0]}) for name, bodies in BODIES.items() if name != "pieces" for w in WARMUPS]
OTHERS = [*CASES, *((name, body) for name, bodies in LOOSE.items() for body in bodies)]
OF_CODES = [(name, body) for name, bodies in CODES.items() for body in bodies]
ANY = [*OTHERS, *OF_CODES]
COMBINED = {"excerpt", "extended", "floored", "product", "scaled", "then"}


def kinds(case):
    """A schedule's name, every option of it, and every word that an option can be; of a warmup its shape."""
    name, options = case
    shape = [("warmup", k, v) for k, v in options.items() if k.startswith("warmup_")]
    words = [(k, v) for k, v in options.items() if isinstance(v, str) and not v[0].isdigit()]
    return [name, *((name, k) for k in options if not k.startswith("warmup")), *shape, *words]


SOME = once(CASES, kinds)
SOME_OF_ANY = once(OTHERS, kinds)
