"""The schedules of the projects on warmup, against the digits that their own code prints."""

import math
import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from preheat.cli.schedules import schedule_words
from preheat.core.errors import UserError
from preheat.core.registry import SCHEDULES
from preheat.core.spec import Spec, build
from preheat.schedules.recipes.data_regimes import data_regimes
from preheat.schedules.recipes.delayed_generalization import delayed_generalization
from preheat.schedules.recipes.hyperboliclr import CODES, hyperboliclr
from preheat.schedules.recipes.resnet50_imagenet import resnet50_imagenet

# peak 1e-2, infimum 1e-6, 50 epochs of 124 steps: the rate of the first batch of epochs 1, 2, 6, 11, 25, 40,
# 50, and afterwards
GOLDEN = """
N   1e-2 1e-2 1e-2 1e-2 1e-2 1e-2 1e-2 1e-2
P   1.000000e-2 9.899495e-3 9.486833e-3 8.944272e-3 7.211103e-3 4.690416e-3 1.414214e-3 0
C   1e-2 9.990135e-3 9.755307e-3 9.045180e-3 5.314421e-3 1.148319e-3 1.086537e-5 1e-6
E   1e-2 9.6e-3 8.153727e-3 6.648326e-3 3.754132e-3 2.035064e-3 1.352977e-3 1.298858e-3
L   1e-2 9.800020e-3 9.000100e-3 8.000200e-3 5.200480e-3 2.200780e-3 2.009800e-4 1e-6
S   1e-2 1e-2 1e-2 1e-2 1e-3 1e-4 1e-5 1e-5
OC  4.0e-4 5.050040e-4 2.802342e-3 7.604682e-3 8.452702e-3 2.242526e-3 1.984532e-5 -
CY  1e-6 8.009200e-4 4.000600e-3 8.000200e-3 8.009200e-4 8.800120e-3 8.009200e-4 1e-6
H   1e-2 9.933100e-3 9.660423e-3 9.306669e-3 8.209882e-3 6.689866e-3 4.801519e-3 4.000600e-3
EH  1e-2 9.402372e-3 7.314009e-3 5.280072e-3 1.922566e-3 4.740390e-4 8.325297e-5 3.981072e-5
WH  - 2.000800e-3 1.000000e-2 9.642964e-3 8.535337e-3 6.998723e-3 5.087781e-3 4.276937e-3
WEH - 2.000800e-3 1.000000e-2 7.197326e-3 2.594636e-3 6.300415e-4 1.083717e-4 5.135065e-5
WC  1.0e-4 2.08e-3 1.0e-2 9.698493e-3 6.209989e-3 1.404161e-3 1.317853e-5 1e-6
"""
ROWS = {line.split()[0]: line.split()[1:] for line in GOLDEN.strip().splitlines()}
EPOCHS = [1, 2, 6, 11, 25, 40, 50]


def digits(value, like):
    """`value` with as many decimals as the printed text has."""
    return f"{value:.{len(like.split('e')[0].partition('.')[2])}e}"


@pytest.mark.parametrize("code", CODES)
def test_every_printed_digit_of_the_13_codes(code):
    recipe = hyperboliclr(code, epochs=50, per_epoch=124)
    rates = recipe.rates()
    after = float(recipe.peak * recipe.resolve().curve(6200.0, after=True))
    seen = [rates[(e - 1) * 124] for e in EPOCHS] + [after]
    for value, text in zip(seen, ROWS[code], strict=True):
        if text == "0":
            assert value == 0
        elif text != "-":
            assert digits(value, text) == digits(float(text), text)


def test_one_cycle_ends_at_its_lowest_rate_and_stays_there():
    """torch's is at 4.13e-8 after the last step: its cosine has turned and climbs again."""
    recipe = hyperboliclr("OC", epochs=50, per_epoch=124)
    assert recipe.rates()[-1] == recipe.peak * recipe.resolve()(10**6) == pytest.approx(4e-8, rel=1e-12)


@pytest.mark.parametrize("code", ["WH", "WEH"])
def test_the_first_epoch_at_the_peak_is_an_option(code):
    fixed = hyperboliclr(code, epochs=50, per_epoch=124).rates()
    quirk = hyperboliclr(code, epochs=50, per_epoch=124, first_epoch_at_peak=True).rates()
    assert fixed[0] == pytest.approx(1e-6) and (quirk[:124] == 1e-2).all()
    np.testing.assert_allclose(quirk[124:], fixed[124:], rtol=1e-14)
    short = hyperboliclr(code, epochs=9, per_epoch=2, first_epoch_at_peak=True).rates()
    np.testing.assert_allclose(short[2:], hyperboliclr(code, epochs=9, per_epoch=2).rates()[2:], rtol=1e-14)


BUDGETS = {  # (code, epochs): the rates at epochs 0, 1, 10, 25, 50 and the end; upper bound 250
    ("H", 100): [1e-2, 9.949948e-3, 9.494048e-3, 8.708333e-3, 7.291773e-3, 2.000800e-3],
    ("EH", 100): [1e-2, 9.549428e-3, 6.274788e-3, 3.042857e-3, 8.252795e-4, 6.309573e-6],
    ("H", 200): [1e-2, 9.959176e-3, 9.591438e-3, 8.977108e-3, 7.948213e-3, 2.030208e-4],
    ("EH", 200): [1e-2, 9.630941e-3, 6.863706e-3, 3.897644e-3, 1.510786e-3, 1.204527e-6],
}


@pytest.mark.parametrize(("code", "epochs"), BUDGETS)
def test_hyperbolic_rates_at_other_budgets(code, epochs):
    recipe = hyperboliclr(code, epochs=epochs, per_epoch=1)
    seen = [*recipe.rates()[[0, 1, 10, 25, 50]], recipe.peak * recipe.resolve().curve(float(epochs))]
    assert [f"{v:.6e}" for v in seen] == [f"{v:.6e}" for v in BUDGETS[code, epochs]]


def test_momentum_cycles_against_the_rate_as_torchs_does():
    torch = pytest.importorskip("torch")
    schedulers = torch.optim.lr_scheduler
    for code in ("OC", "CY"):
        recipe = hyperboliclr(code, epochs=10, per_epoch=13)
        optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1e-2)
        if code == "OC":
            theirs = schedulers.OneCycleLR(optimizer, 1e-2, 130)
        else:
            theirs = schedulers.CyclicLR(optimizer, 1e-6, 1e-2, step_size_up=130 // 4)
        rates, betas = [], []
        for _ in range(130):
            rates.append(optimizer.param_groups[0]["lr"])
            betas.append(optimizer.param_groups[0]["betas"][0])
            optimizer.step()
            theirs.step()
        np.testing.assert_allclose(recipe.rates(), rates, rtol=1e-11)
        np.testing.assert_allclose(recipe.values("beta1"), betas, rtol=1e-12)


def test_step_and_cyclic_keep_the_counts_they_were_tuned_with():
    assert hyperboliclr("S", epochs=200, per_epoch=1, tuned_at=50).rates()[[15, 16, 32]].round(
        9
    ).tolist() == [1e-2, 1e-3, 1e-4]
    assert hyperboliclr("CY", epochs=200, per_epoch=4, tuned_at=50).rates()[[50, 100]].round(9).tolist() == [
        1e-2,
        1e-6,
    ]
    assert hyperboliclr("S", epochs=200, per_epoch=1).rates()[65] == pytest.approx(1e-2)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SCHEDULES["EH"](infimum=-1), "infimum is a rate of at least 0, got -1: write 1e-6"),
        (lambda: SCHEDULES["H"](upper=0), "upper must be above 0, got 0: write 250"),
        (lambda: SCHEDULES["E"](gamma=1.5), "gamma must be above 0 and at most 1, got 1.5: write 0.96"),
        (lambda: SCHEDULES["S"](tuned_at=2.5), "tuned_at must be a whole number >= 1, got 2.5"),
        (lambda: hyperboliclr("X", epochs=5, per_epoch=1), "code"),
        (lambda: hyperboliclr("H", epochs=5, per_epoch=1, powr=2), "option of code H"),
        (lambda: hyperboliclr("C", epochs=5, per_epoch=1, first_epoch_at_peak=True), "only WH and WEH"),
        (lambda: hyperboliclr("H", epochs=300, per_epoch=1).rates(), "upper"),
        (lambda: hyperboliclr("C", epochs=5, per_epoch=1, peak=1e-7).rates(), "above the peak"),
        (lambda: data_regimes(per_epoch=5, decay="exp"), "decay"),
        (lambda: resnet50_imagenet(reading="twice"), "reading"),
        (lambda: resnet50_imagenet(warmup=100), "shorter than the run"),
        (lambda: delayed_generalization("poly", warmup=5, total=9), "kind"),
        (lambda: delayed_generalization(warmup=5, total=4), "fit in the run"),
    ],
)
def test_mistakes(make, words):
    with pytest.raises(UserError, match=words):
        make()


@pytest.mark.parametrize("warmup", [0, 1, 5, 20])
@pytest.mark.parametrize("decay", ["cosine", "step", "none"])
def test_the_data_regimes_formula(warmup, decay):
    base, total, per_epoch = 0.1, 100, 3
    for low in (0.0, 1e-4):
        recipe = data_regimes(warmup=warmup, per_epoch=per_epoch, decay=decay, final=low)
        seen = recipe.rates().reshape(total, per_epoch)
        assert (seen == seen[:, :1]).all()
        for e, rate in enumerate(seen[:, 0]):
            u = (e - warmup) / (total - warmup)
            cos = low + (base - low) * (1 + math.cos(math.pi * u)) / 2
            stairs = base * 0.1 ** sum(u >= place for place in (0.5, 0.75))
            body = {"cosine": cos, "step": stairs, "none": base}[decay]
            assert rate == pytest.approx(base * e / warmup if e < warmup else body, rel=1e-12, abs=1e-17)


def test_both_readings_of_the_imagenet_guide():
    def cosine(t, period):
        return 1e-5 + (0.1 - 1e-5) * (1 + math.cos(math.pi * t / period)) / 2

    zero = resnet50_imagenet(per_epoch=1).rates()
    one = resnet50_imagenet(per_epoch=1, reading="from 1").rates()
    np.testing.assert_allclose(zero[:6], [1e-4, 0.02008, 0.04006, 0.06004, 0.08002, 0.1], rtol=1e-12)
    np.testing.assert_allclose(one[:6], [0.02008, 0.04006, 0.06004, 0.08002, 0.1, 0.1], rtol=1e-12)
    for table in (zero, one):
        np.testing.assert_allclose(table[5:], [cosine(t, 100) for t in range(95)], rtol=1e-12)
    assert one[8] == pytest.approx(0.09978, abs=5e-6), "the guide's check: 0.099... in epoch 9"


def test_the_period_that_ends_with_the_run():
    guide, meant = resnet50_imagenet(per_epoch=7), resnet50_imagenet(per_epoch=7, period=None)
    assert 0.1 * guide.resolve().curve(700.0) == pytest.approx(6.25e-4, rel=1e-2)
    assert 0.1 * float(meant.resolve().curve(700.0, after=False)) == pytest.approx(1e-5, rel=1e-12)


@pytest.mark.parametrize("kind", ["linear", "cosine", "exponential"])
def test_the_three_formulas_of_delayed_generalisation(kind):
    peak, w = 3e-4, 40
    formula = {
        "linear": lambda s: peak * s / w,
        "cosine": lambda s: peak * 0.5 * (1 + math.cos(math.pi * (1 - s / w))),
        "exponential": lambda s: peak * 2 ** (s / w - 1),
    }[kind]
    rates = delayed_generalization(kind, warmup=w, total=60, peak=peak).rates()
    np.testing.assert_allclose(
        rates, [formula(s) if s < w else peak for s in range(60)], rtol=1e-12, atol=1e-19
    )


# --- the words of the codes ------------------------------------------------------------------------------

ROW = re.compile(r"^\| (\w+) \| `(\w+:[^`]+)` \|", re.MULTILINE)
WORDS = dict(
    ROW.findall((Path(__file__).parents[2] / "docs" / "schedules" / "codes.md").read_text(encoding="utf-8"))
)


@pytest.mark.parametrize("code", CODES)
def test_a_code_is_a_name_with_the_table_of_its_recipe(code):
    """On the experiments' runs, on a short one, and with every option."""
    more = {"infimum": 3e-5, "upper": 300, "power": 2.0, "gamma": 0.93, "end": 0.02, "pct_start": 0.4}
    more |= {"period": 7, "rise": 5, "tuned_at": 40}
    known = {f.name for f in fields(SCHEDULES[code])}
    runs = [(50, 124, {}), (200, 7, {}), (200, 7, {"tuned_at": 50}), (2, 3, {}), (23, 10, more)]
    for n, per_epoch, given in runs:
        options = {k: v for k, v in given.items() if k in known}
        recipe = hyperboliclr(code, epochs=n, per_epoch=per_epoch, **options)
        made = build("schedule", Spec(code, options))
        table = 1e-2 * made.resolve(n * per_epoch, per_epoch, peak=1e-2).table()
        np.testing.assert_array_equal(table, recipe.rates())
        assert made.also(n * per_epoch, per_epoch) == recipe.also


def test_a_code_says_what_it_needs_to_know():
    for name in CODES:
        made = SCHEDULES[name]()
        if made.every == "epoch":
            with pytest.raises(
                UserError, match=r"needs the steps per epoch, got None: give per_epoch=\.\.\.$"
            ):
                made.resolve(100, peak=1e-2)
        if "infimum" in {f.name for f in fields(made)}:
            with pytest.raises(
                UserError, match=f"the infimum of {name} is a rate, 1e-06, and needs the peak"
            ):
                made.resolve(100, 10)
    with pytest.raises(UserError, match="CY counts epochs and needs the steps per epoch"):
        SCHEDULES["CY"](tuned_at=50).resolve(100, peak=1e-2)
    cut = SCHEDULES["EH"]().floored(0.5) * SCHEDULES["N"]()
    assert cut.resolve(100, 10, peak=1e-2).table()[-1] == 0.5


@pytest.mark.parametrize("code", CODES)
def test_the_word_that_the_page_gives_for_a_code_has_its_table(code):
    assert len(WORDS) == len(CODES) == 13
    made = hyperboliclr(code, epochs=50, per_epoch=124)
    (schedule,) = schedule_words([WORDS[code]]).values()
    table = 1e-2 * schedule.resolve(6200, 124, peak=1e-2).table()
    np.testing.assert_array_equal(table, made.rates())
