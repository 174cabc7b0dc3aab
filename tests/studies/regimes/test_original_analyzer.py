"""`WarmupAnalyzer` on small examples worked out by hand, on what the original's own code writes, and on what
is no such file."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from preheat import UserError, WarmupAnalyzer
from preheat.studies.regimes.original import Summary, hypotheses, piecewise
from preheat.studies.regimes.original_analyzer import heat


def rows_of(dataset, optimizer, table):
    """Summaries as the original's own code writes them, from {size: {warmup: [accuracy for seeds 42, 123,
    ...]}}."""
    return [
        {
            "experiment_name": f"{dataset}_{size}epc_w{w}_{optimizer}_s{seed}",
            "dataset": dataset,
            "examples_per_class": size,
            "warmup_epochs": w,
            "optimizer": optimizer,
            "seed": seed,
            "best_val_acc": acc,
            "final_val_acc": acc - 1,
            "training_time_seconds": 9.5,
            "total_epochs": 100,
        }
        for size, warmups in table.items()
        for w, accs in warmups.items()
        for seed, acc in zip((42, 123, 456), accs, strict=False)
    ]


CIFAR10 = {
    1000: {0: [80.0, 82.0], 5: [84.0, 84.0]},
    500: {0: [70.0, 70.0], 5: [71.0, 77.0]},
    100: {0: [50.0, 52.0], 1: [50.0, 50.0]},
}
SAME = {0: [60.0], 5: [63.0]}
CIFAR100 = {5000: SAME, 1000: SAME, 500: SAME, 100: {0: [20.0], 5: [24.0]}}
ADAMW = {1000: {0: [81.0], 5: [82.0]}, 100: {0: [50.0], 1: [53.0]}}
ALL = [
    *rows_of("cifar10", "sgd", CIFAR10),
    *rows_of("cifar100", "sgd", CIFAR100),
    *rows_of("cifar10", "adamw", ADAMW),
]


def folder(tmp_path, rows):
    (tmp_path / "all_results.json").write_text(rows if isinstance(rows, str) else json.dumps(rows))
    return tmp_path


@pytest.fixture
def seen(tmp_path):
    return WarmupAnalyzer(folder(tmp_path, ALL))


def test_the_best_warmup_of_each_size_is_that_of_the_highest_mean(seen):
    found = seen.find_optimal_warmup("cifar10", "sgd")
    assert [tuple(f)[:5] for f in found] == [
        (1000, 5, 84.0, 81.0, 3.0),
        (500, 5, 74.0, 70.0, 4.0),
        (100, 0, 51.0, 51.0, 0.0),
    ]
    assert found[0]._fields[:5] == (
        "examples_per_class",
        "optimal_warmup",
        "optimal_acc",
        "baseline_acc",
        "improvement",
    )
    assert [f.seeds for f in found] == [2, 2, 2]


def test_cifar100_has_500_examples_per_class_and_one_heat_map_row_says_so(seen):
    found = seen.find_optimal_warmup("cifar100", "sgd")
    assert [(f.examples_per_class, f.effective_examples_per_class) for f in found] == [
        (5000, 500),
        (1000, 500),
        (500, 500),
        (100, 100),
    ]
    data = heat([r for r in seen.rows if r.dataset == "cifar100"])
    assert data.rows == ("5000 (500)", "1000 (500)", "500", "100")
    assert data.row_label == "examples per class (there are)"


def test_of_equal_means_the_shorter_warmup_is_best_and_without_a_baseline_there_is_no_improvement(tmp_path):
    rows = rows_of("cifar10", "sgd", {500: {10: [70.0], 5: [70.0]}})
    (found,) = WarmupAnalyzer(folder(tmp_path, rows)).find_optimal_warmup("cifar10", "sgd")
    assert tuple(found)[:5] == (500, 5, 70.0, None, None)


def test_the_line_is_scipys_and_the_fixed_rule_misses_by_hand_counted_errors(seen):
    rule = seen.derive_empirical_rule("cifar10", "sgd")
    line = stats.linregress(np.log([1001, 501, 101]), [5, 5, 0])
    assert rule["linear"] == pytest.approx(
        {"slope": line.slope, "intercept": line.intercept, "r2": line.rvalue**2}, rel=1e-10
    )
    assert rule["piecewise"]["mae"] == pytest.approx((0 + 3 + 1) / 3)
    assert (rule["n"], [p["piecewise_warmup"] for p in rule["points"]]) == (3, [5, 2, 1])
    assert [p["examples_per_class"] for p in seen.derive_empirical_rule("cifar100", "sgd")["points"]] == [
        500,
        100,
    ]


def test_the_recommended_warmup_is_the_fitted_rule_of_the_pair_that_is_asked_for(seen):
    for pair in (("cifar10", "sgd"), ("cifar100", "sgd")):
        line = seen.derive_empirical_rule(*pair)["linear"]
        for n in (20, 101, 5000):
            told = seen.recommended_warmup(n, pair[0], optimizer=pair[1])
            assert told == pytest.approx(max(0.0, line["intercept"] + line["slope"] * np.log(n + 1)))
    fitted = np.polyfit(np.log([1001, 501, 101]), [5, 5, 0], 1)
    assert seen.recommended_warmup(300, "cifar10", optimizer="sgd") == pytest.approx(
        np.polyval(fitted, np.log(301))
    )
    assert seen.recommended_warmup(1, "cifar10", optimizer="sgd") == 0.0, "no warmup is shorter than none"


def test_of_one_pair_it_need_not_be_named_and_what_has_no_rule_is_an_error(seen, tmp_path):
    lone = WarmupAnalyzer(folder(tmp_path, rows_of("cifar10", "sgd", {500: {5: [1.0]}, 100: {1: [1.0]}})))
    line = lone.derive_empirical_rule("cifar10", "sgd")["linear"]
    assert lone.recommended_warmup(500) == pytest.approx(5) and lone.recommended_warmup(100) == pytest.approx(
        1
    )
    assert lone.recommended_warmup(200) == pytest.approx(line["intercept"] + line["slope"] * np.log(201))
    with pytest.raises(UserError, match="a rule for each dataset: write dataset= one of cifar10"):
        seen.recommended_warmup(500)
    with pytest.raises(UserError, match="above 0"):
        lone.recommended_warmup(0)
    with pytest.raises(UserError, match="did you mean 'cifar10'"):
        lone.recommended_warmup(500, "cifar1")
    one = WarmupAnalyzer(folder(tmp_path, rows_of("cifar10", "sgd", {500: {5: [1.0]}})))
    with pytest.raises(UserError, match="a rule needs two data sizes"):
        one.recommended_warmup(500)


def test_a_rule_needs_two_sizes_and_r2_two_different_best_warmups(tmp_path):
    flat = WarmupAnalyzer(folder(tmp_path, rows_of("cifar10", "sgd", {500: {5: [1.0]}, 100: {5: [1.0]}})))
    assert flat.derive_empirical_rule("cifar10", "sgd")["linear"] == pytest.approx(
        {"slope": 0, "intercept": 5, "r2": None}, abs=1e-12
    )
    one = WarmupAnalyzer(folder(tmp_path, rows_of("cifar10", "sgd", {500: {5: [1.0]}})))
    assert one.derive_empirical_rule("cifar10", "sgd")["linear"] == {
        "slope": None,
        "intercept": None,
        "r2": None,
    }


def test_the_fixed_rule_is_the_originals():
    assert [piecewise(n) for n in (5000, 1000, 999, 500, 399, 200, 100, 99, 50)] == [
        5,
        5,
        4,
        2,
        1,
        1,
        1,
        1,
        1,
    ]


def test_h1_counts_runs_without_warmup_as_nothing_gained_and_each_training_set_once(tmp_path):
    h1 = WarmupAnalyzer(folder(tmp_path, rows_of("cifar10", "sgd", CIFAR10))).test_hypotheses()["H1"]
    assert (h1["peak_dataset_size"], h1["peak_improvement"], h1["n"]) == (500, (1 + 7 + 0 + 0) / 4, 6)
    assert [b["mean_improvement"] for b in h1["by_size"]] == [(4 + 2) / 4, 2.0, (0 - 2) / 4]
    both = WarmupAnalyzer(folder(tmp_path, ALL)).test_hypotheses()["H1"]
    assert {b["examples_per_class"]: (b["mean_improvement"], b["n"]) for b in both["by_size"]} == {
        1000: (1.5, 2),
        500: ((1 + 7 + 3) / 6, 3),
        100: ((0 - 2 + 4) / 6, 3),
    }


def test_h2_is_scipys_rank_correlation_and_its_exact_p_value_counts_all_orders(seen):
    h2 = seen.test_hypotheses()["H2"]
    x, y = [1000, 500, 100], [5, 5, 0]
    found = stats.spearmanr(x, y)
    assert (h2["correlation"], h2["p_value"]) == pytest.approx((found.statistic, found.pvalue), rel=1e-10)
    others = [stats.spearmanr(x, order).statistic for order in permutations(y)]
    assert h2["exact_p_value"] == np.mean([abs(o) >= abs(found.statistic) - 1e-9 for o in others])
    assert (h2["n"], h2["conclusion"]) == (3, f"no trend is shown (p = {h2['exact_p_value']:.2g})")
    assert "3 data sizes" in h2["note"]


def test_h2_on_five_sizes_and_h3(tmp_path):
    best = {5000: 5, 1000: 10, 500: 5, 100: 1, 50: 0}
    table = {n: {w: [70.0 + (w == b)] for w in (0, 1, 5, 10, 20)} for n, b in best.items()}
    two = {
        n: {w: [60.0 + (w == b)] for w in (0, 1, 5, 10, 20)}
        for n, b in {5000: 5, 1000: 5, 500: 5, 100: 1, 50: 5}.items()
    }
    rows = [
        *rows_of("cifar10", "sgd", table),
        *rows_of("cifar100", "sgd", two),
        *rows_of("medmnist", "sgd", table),
    ]
    said = WarmupAnalyzer(folder(tmp_path, rows)).test_hypotheses()
    found = stats.spearmanr(list(best), list(best.values()))
    assert (said["H2"]["correlation"], said["H2"]["p_value"]) == pytest.approx(
        (found.statistic, found.pvalue), rel=1e-10
    )
    assert (said["H3"]["consistency_c10_c100"], said["H3"]["n"]) == (pytest.approx(2 / 3), 3)
    assert (said["H3"]["consistency_c10_medmnist"], said["H3"]["n_medmnist"]) == (1.0, 5)
    assert "one size in 5" in said["H3"]["note"]


def test_h4_is_the_originals_number_and_beside_it_what_warmup_alone_does(seen):
    h4 = seen.test_hypotheses()["H4"]
    std = lambda *v: np.std(v, ddof=1)
    sgd = [std(80, 82, 84, 84), std(70, 70, 71, 77, 60, 63), std(50, 52, 50, 50, 20, 24)]
    assert h4["sgd_std"] == pytest.approx(np.mean(sgd))
    assert h4["adamw_std"] == pytest.approx((std(81, 82) + std(50, 53)) / 2)
    assert h4["sgd_warmup_std"] == pytest.approx((std(81, 84) + std(51, 50)) / 2)
    assert h4["adamw_warmup_std"] == pytest.approx((std(81, 82) + std(50, 53)) / 2)
    assert (h4["n"], h4["n_cells"]) == (6 * 2 + 4 + 4, 2)
    assert "distance between the datasets" in h4["note"]


def test_the_distance_between_datasets_makes_h4s_number_and_not_the_warmup_one():
    def rows(gap):
        near = [
            Summary("", "a", 500, 500, w, o, 42, 70.0 + w * (o == "sgd"))
            for w in (0, 1)
            for o in ("sgd", "adamw")
        ]
        return near + [
            r._replace(dataset="b", accuracy=r.accuracy - gap) for r in near if r.optimizer == "adamw"
        ]

    alone, apart = hypotheses(rows(0))["H4"], hypotheses(rows(40))["H4"]
    assert alone["adamw_std"] < alone["sgd_std"] < apart["adamw_std"]
    assert alone["adamw_warmup_std"] == apart["adamw_warmup_std"] == 0.0 < apart["sgd_warmup_std"]


def test_without_the_runs_a_hypothesis_needs_it_says_so(tmp_path):
    said = WarmupAnalyzer(folder(tmp_path, rows_of("digits", "adamw", {10: {5: [80.0]}}))).test_hypotheses()
    assert [
        said[h][k]
        for h, k in (("H1", "peak_dataset_size"), ("H2", "correlation"), ("H3", "consistency_c10_c100"))
    ] == [None] * 3
    assert (said["H4"]["sgd_std"], said["H4"]["conclusion"]) == (
        None,
        "no spread over all runs of a size for SGD and AdamW",
    )
    assert [said[h]["n"] for h in ("H1", "H2", "H3")] == [0, 0, 0]


def test_the_heat_map_shows_the_means_and_is_written_as_a_png(seen, tmp_path):
    data = heat([r for r in seen.rows if (r.dataset, r.optimizer) == ("cifar10", "sgd")])
    assert (data.rows, data.columns, data.row_label) == (
        ("1000", "500", "100"),
        ("0", "1", "5"),
        "examples per class",
    )
    assert data.values == ((81.0, None, 84.0), (70.0, None, 74.0), (51.0, 50.0, None))
    assert (data.texts[0], data.low, data.high) == (("81.0", "", "84.0"), 50.0, 84.0)
    path = tmp_path / "new" / "map.png"
    figure = seen.plot_warmup_heatmap("cifar10", "sgd", save_path=path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert figure.axes[0].get_title().startswith("cifar10, sgd")
    assert [t.get_text() for t in figure.axes[0].texts] == [t for row in data.texts for t in row]


def test_the_summary_report_is_valid_json_of_plain_numbers(seen, tmp_path):
    """The original's own json.dump fails here: a fitted estimator, arrays and numpy integers."""
    out = tmp_path / "report"
    report = seen.create_summary_report(out)
    assert json.loads((out / "summary_report.json").read_text()) == report
    assert json.dumps(report, allow_nan=False)
    assert (report["total_experiments"], report["datasets"], report["optimizers"]) == (
        24,
        ["cifar10", "cifar100"],
        ["sgd", "adamw"],
    )
    assert (report["data_regimes"], report["warmup_values"]) == ([5000, 1000, 500, 100], [0, 1, 5])
    assert list(report["empirical_rules"]) == ["cifar10_adamw", "cifar10_sgd", "cifar100_sgd"]
    assert set(report["hypothesis_tests"]) == {"H1", "H2", "H3", "H4"}
    assert {p.name for p in out.glob("*.png")} == {
        f"heatmap_{pair}.png" for pair in report["empirical_rules"]
    }


def test_nan_in_the_file_of_the_originals_code_is_an_unknown_accuracy(tmp_path):
    rows = rows_of("cifar10", "sgd", {500: {0: [70.0, math.nan], 5: [math.nan]}})
    (found,) = WarmupAnalyzer(folder(tmp_path, rows)).find_optimal_warmup("cifar10", "sgd")
    assert (found.optimal_warmup, found.optimal_acc, found.seeds) == (0, 70.0, 1)


def test_rows_that_chose_a_peak_rate_are_left_out(tmp_path):
    rows = rows_of("cifar10", "sgd", {500: {0: [70.0]}})
    tuned = [{**rows[0], "selected": True}, {**rows[0], "best_val_acc": 99.0, "selected": False}]
    (found,) = WarmupAnalyzer(folder(tmp_path, tuned)).find_optimal_warmup("cifar10", "sgd")
    assert found.optimal_acc == 70.0


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("[", "must hold JSON"),
        ({"a": 1}, "must hold a list of summaries"),
        ([], "at least one run's summary"),
        ([{"dataset": "cifar10", "best_val_accuracy": 1}], "lacks examples_per_class"),
        (
            [{k if k != "best_val_acc" else "best_acc": v for k, v in ALL[0].items()}],
            "did you mean 'best_val_acc' by 'best_acc'",
        ),
        ([{**ALL[0], "warmup_epochs": None}], "warmup_epochs must be a number"),
        ([{**ALL[0], "best_val_acc": "70 %"}], "best_val_acc must be a number in percent"),
        ([{**ALL[0], "seed": "first"}], "seed must be a whole number"),
    ],
)
def test_a_file_that_is_none_of_the_originals_is_explained(tmp_path, rows, says):
    with pytest.raises(UserError, match=says):
        WarmupAnalyzer(folder(tmp_path, rows))


def test_a_folder_without_results_names_the_command_and_a_studys_folder_is_taken(tmp_path):
    with pytest.raises(UserError, match="preheat export NAME --to original"):
        WarmupAnalyzer(tmp_path)
    (tmp_path / "original").mkdir()
    folder(tmp_path / "original", ALL)
    assert len(WarmupAnalyzer(str(tmp_path)).rows) == len(ALL)


def test_unknown_names_have_the_nearest_match_and_pathmnist_is_medmnist(seen, tmp_path):
    with pytest.raises(UserError, match="unknown dataset 'cifar11': did you mean 'cifar1"):
        seen.find_optimal_warmup("cifar11", "sgd")
    with pytest.raises(UserError, match="unknown optimizer 'adam': did you mean 'adamw'"):
        seen.derive_empirical_rule("cifar10", "adam")
    with pytest.raises(
        UserError, match="no run of cifar100 with adamw has an accuracy; there is cifar10 with sgd"
    ):
        seen.plot_warmup_heatmap("cifar100", "adamw")
    rows = rows_of("medmnist", "sgd", {50: {0: [70.0]}})
    assert (
        WarmupAnalyzer(folder(tmp_path, rows)).find_optimal_warmup("pathmnist", "sgd")[0].optimal_acc == 70.0
    )


def test_the_class_is_imported_when_first_used_without_torch():
    code = "import preheat, sys; assert 'matplotlib' not in sys.modules; preheat.WarmupAnalyzer; "
    code += "assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
