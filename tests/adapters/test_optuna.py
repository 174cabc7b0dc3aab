"""Schedules in a search with Optuna: what is tried, and what comes back from a storage."""

from __future__ import annotations

import sys

import pytest

from preheat.adapters.optuna import choice, distribution, suggest_schedule, suggest_warmup, suggested
from preheat.core.errors import UserError
from preheat.core.lengths import epochs, fraction
from preheat.core.registry import SCHEDULES
from preheat.core.space import Among, Range
from preheat.schedules import EH, cosine, hyperbolic

optuna = pytest.importorskip("optuna")
optuna.logging.set_verbosity(optuna.logging.WARNING)
ONES = [
    Range(1e-4, 5e-2, log=True),
    Range(0.5, 3.0),
    Range(0.1, 0.35, step=0.1),
    Range(1, 10, step=4),
    Among((250, 200, 300)),
    Among((None, "5ep", 3)),
    Among(([0.9, 0.999], [0.9, 0.95])),
    Among((1, True, 1.0)),
    Among((epochs(5), {"name": "cosine"})),
]


def test_values_survive_the_storage(tmp_path):
    """Suggested, and told as those of trials that were made elsewhere, by way of a file."""
    store = f"sqlite:///{tmp_path / 'study.db'}"
    study = optuna.create_study(storage=store, sampler=optuna.samplers.RandomSampler(seed=1))
    space = {str(i): one for i, one in enumerate(ONES)}
    told = {name: distribution(one) for name, one in space.items()}
    lasts = {name: one.values[-1] if isinstance(one, Among) else one.low for name, one in space.items()}
    for tried in ({name: one.first for name, one in space.items()}, lasts):
        params = {name: choice(one, tried[name]) for name, one in space.items()}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=told, value=0.0))
        kept = optuna.load_study(study_name=study.study_name, storage=store).trials[-1]
        again = {
            name: suggested(optuna.trial.FixedTrial(kept.params), name, one) for name, one in space.items()
        }
        assert kept.distributions == told and again == tried
        assert [*map(type, again.values())] == [*map(type, tried.values())]
    for _ in range(3):
        trial = study.ask()
        for name, one in space.items():
            value = suggested(trial, name, one)
            known = isinstance(one, Among) and any(value is v for v in one.values)
            assert known or one.low <= value <= one.high
        assert trial.distributions == told
        study.tell(trial, 1.0)


def test_a_schedule_of_several_is_suggested_and_builds():
    def objective(trial):
        names = ["S", "CY", "OC", "WEH", "wsd", {"name": "hyperbolic", "upper": "50ep"}]
        made = suggest_schedule(trial, names, epochs=50, per_epoch=124)
        return float(made.resolve(6200, 124, peak=trial.suggest_float("peak", 1e-3, 0.1))(3000))

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(objective, n_trials=30)
    names = {t.params["schedule"] for t in study.trials}
    assert names == {"S", "CY", "OC", "WEH", "wsd", "hyperbolic"}
    for t in study.trials:
        own = {f"{t.params['schedule']}.{key}" for key in SCHEDULES[t.params["schedule"]].space(50, 124)}
        own -= {"hyperbolic.upper"}  # it is given
        assert set(t.params) == {"schedule", "peak"} | own


def test_options_may_be_given_or_tried_otherwise():
    trial = optuna.trial.FixedTrial({"a cosine.final": 0.05})
    assert suggest_schedule(trial, {"name": "cosine", "warmup": "5ep"}, prefix="a ") == cosine(
        warmup="5ep", final=0.05
    )
    trial = optuna.trial.FixedTrial(
        {"hyperbolic.upper": "250ep", "hyperbolic.warmup": 0.1, "hyperbolic.infimum": 1e-3}
    )
    tried = {"name": "hyperbolic", "upper": Among(("250ep", "500ep"))}
    assert suggest_schedule(trial, tried) == hyperbolic(upper="250ep", warmup=0.1, infimum=1e-3)
    twice = ["cosine", {"name": "cosine", "warmup": 0}]
    trial = optuna.trial.FixedTrial({"schedule": "cosine(warmup=0)", "cosine(warmup=0).final": 0.1})
    assert suggest_schedule(trial, twice) == cosine(final=0.1)
    trial = optuna.trial.FixedTrial({"EH.infimum": 1e-5})
    assert suggest_schedule(trial, {"name": "EH", "upper": 300}) == EH(infimum=1e-5, upper=300)
    assert suggest_warmup(optuna.trial.FixedTrial({"x.warmup": 0.2}), prefix="x.") == fraction(0.2)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda t: suggest_schedule(t, "S"),
            "what is tried of S depends on the run's length.*give epochs=50",
        ),
        (lambda t: suggest_schedule(t, "cosin"), "did you mean 'cosine'"),
        (lambda t: suggest_schedule(t, {"name": "cosine", "finl": 0, "warmup": 0}), "did you mean 'final'"),
        (lambda t: suggest_schedule(t, []), "needs the names of schedules"),
        (lambda t: choice(Among((200, 250)), 300), "must be one of 200, 250, got 300"),
    ],
)
def test_mistakes(call, words):
    with pytest.raises(UserError, match=words):
        call(optuna.trial.FixedTrial({"cosine.final": 0.1, "cosine.warmup": 0.1}))


def test_without_optuna_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError, match=r'needs Optuna.*: pip install "preheat\[search\]"'):
        distribution(Range(1e-4, 1e-2))
