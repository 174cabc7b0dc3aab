"""CurvatureMonitor in a plain loop, in Lightning and in transformers' Trainer; DDP, torch.compile and fused
attention."""

from __future__ import annotations

import csv
import importlib.util
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from documented import FENCE, imported, run
from torch import nn, optim
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint
from two_processes import in_two_processes

from preheat.adapters import monitor as module
from preheat.adapters.curvature import hessian_trace, sharpness
from preheat.adapters.monitor import CurvatureMonitor, training_step
from preheat.adapters.picture import picture
from preheat.core.errors import UserError

CLASSES = 3


def needs(name):
    return pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"{name} is not installed")


def loss_fn(model, batch):
    return cross_entropy(model(batch[0]), batch[1])


def made(seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, CLASSES))
    x = torch.randn(24, 4)
    return model, (x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long())


def train(model, batch, optimizer, steps, monitor=None, each=lambda: None):
    for _ in range(steps):
        optimizer.zero_grad()
        loss_fn(model, batch).backward()
        optimizer.step()
        each()
        if monitor:
            monitor.step(model, optimizer)


@pytest.fixture(params=["perf_counter", "process_time"])
def clock(monkeypatch, request):
    """Seconds that go on only where a test says so, and 5 at each measurement; the other clock stands."""
    now, true = [0.0], CurvatureMonitor._measured

    def slow(self, *rest):
        now[0] += 5
        return true(self, *rest)

    for name in ("perf_counter", "process_time"):
        monkeypatch.setattr(module.time, name, lambda name=name: now[0] if name == request.param else 0.0)
    monkeypatch.setattr(CurvatureMonitor, "_measured", slow)
    return now


# --- a plain loop ----------------------------------------------------------------------------------------


def test_it_tells_what_sharpness_tells_and_trains_as_without_it():
    model, batch = made()
    other, _ = made()
    ours, others = (optim.Adam(m.parameters(), lr=1e-2) for m in (model, other))
    monitor = CurvatureMonitor(loss_fn, batch, preconditioned=True, share=1.0, every=3, tol=1e-4)
    monitor.share = 1e9  # never waits
    train(model, batch, ours, 8, monitor)
    train(other, batch, others, 8)
    assert all(
        torch.equal(a, b)
        for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True)
    )
    assert [row["update"] for row in monitor.rows] == [1, 4, 7] and monitor.updates == 8
    last = CurvatureMonitor(loss_fn, batch, preconditioned=True).step(model, ours)
    for name, optimizer in (("sharpness", None), ("preconditioned_sharpness", others)):
        assert last[name] == pytest.approx(sharpness(other, loss_fn, batch, optimizer), rel=2e-2)
    assert last["lr"] == 1e-2 and last["error"] <= 1e-2 * last["sharpness"] and last["products"] > 1


def test_it_stays_under_its_share_of_the_training_time(clock):
    model, batch = made()
    monitor = CurvatureMonitor(loss_fn, batch)
    seconds = iter([*[0.5] * 400, *[4.0] * 300])

    def tick():
        clock[0] += next(seconds)
        spent = 5 * len(monitor.rows)
        assert len(monitor.rows) < 2 or spent <= 0.1 * (clock[0] - spent) + 1e-9

    train(model, batch, optim.SGD(model.parameters(), lr=0.1), 700, monitor, tick)
    spent = 5 * len(monitor.rows)
    assert 0.05 * (clock[0] - spent) < spent <= 0.1 * (clock[0] - spent)
    gaps = np.diff([row["update"] for row in monitor.rows])
    assert 100 <= gaps[1] <= 140 and gaps[-1] < 60, "more often where a training step takes longer"


def test_a_warm_start_saves_products():
    model, batch = made()
    optimizer = optim.SGD(model.parameters(), lr=1e-3)
    monitor = CurvatureMonitor(loss_fn, batch)
    monitor.share = 1e9
    train(model, batch, optimizer, 20, monitor)
    products = [row["products"] for row in monitor.rows]
    cold, warm = [products[0], products[10]], products[1:10] + products[11:]
    assert np.median(warm) < min(cold)


def test_a_loss_that_diverges_is_a_row_and_does_not_stop_training():
    model, batch = made()
    optimizer = optim.Adam(model.parameters())
    monitor = CurvatureMonitor(loss_fn, batch, preconditioned=True)
    monitor.share = 1e9
    train(model, batch, optimizer, 2, monitor)
    with torch.no_grad():
        model[3].weight.fill_(math.nan)
    train(model, batch, optimizer, 1, monitor)
    assert math.isfinite(monitor.rows[1]["sharpness"]) and math.isnan(
        monitor.rows[2]["preconditioned_sharpness"]
    )
    monitor.figure()


def test_its_results_are_a_table_and_a_picture(tmp_path):
    model, batch = made()
    monitor = CurvatureMonitor(loss_fn, batch, preconditioned=True)
    with pytest.raises(UserError, match="there must be a measurement, got none"):
        monitor.write_csv(tmp_path / "rows.csv")
    monitor.share = 1e9
    train(model, batch, optim.Adam(model.parameters()), 3, monitor)
    monitor.write_csv(tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open(encoding="utf-8") as file:
        told = [{n: float(v) for n, v in row.items()} for row in csv.DictReader(file)]
        assert str(told) == str([{n: float(v) for n, v in row.items()} for row in monitor.rows])
    figure = monitor.figure()
    assert [a.get_ylabel() for a in figure.axes] == ["sharpness", "preconditioned sharpness", "learning rate"]
    line = figure.axes[0].containers[0].lines[0]
    assert line.get_xydata().tolist() == [[row["update"], row["sharpness"]] for row in monitor.rows]
    figure.savefig(tmp_path / "rows.png")


def test_the_picture_shows_thresholds_what_is_not_finite_and_p_1_once(tmp_path):
    model, batch = made()
    made_by = [
        (optim.SGD(model.parameters(), lr=0.1, momentum=0.9), 2, [(0, 38.0)]),
        (optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True), 2, [(0, 38 / 2.8)]),
        (optim.AdamW(model.parameters(), lr=0.1), 3, [(1, 380.0)]),
        (optim.NAdam(model.parameters(), lr=0.1), 3, []),
    ]
    for optimizer, panels, lines in made_by:
        monitor = CurvatureMonitor(loss_fn, batch, preconditioned=True)
        monitor.share = 1e9
        train(model, batch, optimizer, 2, monitor)
        figure = monitor.figure()
        assert len(figure.axes) == panels
        dashed = [(k, a.lines) for k, a in enumerate(figure.axes)]
        found = [
            (k, line.get_ydata()[0]) for k, many in dashed for line in many if line.get_linestyle() == "--"
        ]
        assert found == [(k, pytest.approx(value)) for k, value in lines]
        least = monitor.rows[-1]["preconditioner_min"]
        assert least == 1 if panels == 2 else 0 < least < 1
    with torch.no_grad():
        model[3].weight.fill_(math.nan)
    train(model, batch, optimizer, 1, monitor)
    crosses = [line.get_xdata() for line in monitor.figure().axes[0].lines if line.get_marker() == "x"]
    assert [list(x) for x in crosses] == [[3]]
    near = [
        {**monitor.rows[0], "sharpness": 2.7 + k / 10, "error": 0.01, "threshold": math.nan} for k in range(3)
    ]
    assert picture(near).axes[0].get_yscale() == "linear"
    monitor.figure().savefig(tmp_path / "rows.png")


def test_options_that_make_no_sense_are_refused():
    model, batch = made()
    for options, message in (
        ({"every": 0}, "every must be"),
        ({"share": 0}, "share must be"),
        ({"tol": 2}, "tol must"),
        ({"every": "10ep"}, "every must be a whole number of updates"),
        ({"share": "5%"}, "share must"),
    ):
        with pytest.raises(UserError, match=message):
            CurvatureMonitor(loss_fn, batch, **options)
    with pytest.raises(
        AttributeError, match=r"no attribute 'on_exception': write callbacks=.monitor.lightning"
    ):
        CurvatureMonitor(loss_fn, batch).on_exception()
    with pytest.raises(UserError, match=r"needs the optimizer, got none: write step\(model, optimizer\)"):
        CurvatureMonitor(loss_fn, batch, preconditioned=True).step(model)


# --- what networks are wrapped in, and fused attention ---------------------------------------------------


@pytest.mark.filterwarnings("ignore")
def test_what_is_compiled_is_measured_without():
    model, batch = made()
    plain = sharpness(model, loss_fn, batch)
    compiled = torch.compile(model, backend="aot_eager")
    loss_fn(compiled, batch).backward()
    assert sharpness(compiled, loss_fn, batch) == plain
    function = torch.compile(loss_fn, backend="aot_eager")
    assert sharpness(model, function, batch) == plain
    assert sharpness(nn.DataParallel(model), loss_fn, batch) == plain


def test_checkpointing_counts_where_it_has_a_second_derivative():
    model, batch = made()
    part = lambda again: (
        lambda model, batch: loss_fn(
            lambda x: checkpoint(model, x + 0 * model[0].bias.sum(), use_reentrant=again), batch
        )
    )
    assert sharpness(model, part(False), batch) == pytest.approx(sharpness(model, loss_fn, batch), rel=1e-4)
    with pytest.raises(UserError, match=r"must have a second derivative, got: .* write use_reentrant=False"):
        sharpness(model, part(True), batch)


@pytest.mark.filterwarnings("ignore")
@needs("transformers")
def test_a_transformers_model_with_its_default_attention_in_the_trainer(tmp_path, monkeypatch):
    import transformers

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    torch.manual_seed(0)
    sizes = {"n_layer": 1, "n_head": 2, "n_embd": 8, "vocab_size": 16, "n_positions": 8}
    config = transformers.GPT2Config(**sizes, bos_token_id=0, eos_token_id=0)
    model = transformers.GPT2LMHeadModel(config)
    assert model.config._attn_implementation == "sdpa"
    ids = torch.randint(16, (4, 6))
    batch = {"input_ids": ids, "labels": ids}
    loss_fn = lambda model, batch: model(**batch)
    assert sharpness(model, loss_fn, batch) > 0 and hessian_trace(model, loss_fn, batch, vectors=2).error > 0

    flash = lambda model, batch: with_backend(lambda: model(**batch))
    with pytest.raises(UserError, match=r"second derivative, got: .*flash.* attn_implementation='sdpa'"):
        sharpness(model.eval(), flash, batch)

    monitor = CurvatureMonitor(loss_fn, batch, preconditioned=True, every=2)
    monitor.share = 1e9
    quiet = {
        "report_to": [],
        "use_cpu": True,
        "disable_tqdm": True,
        "logging_strategy": "no",
        "save_strategy": "no",
    }
    arguments = transformers.TrainingArguments(
        str(tmp_path), max_steps=3, gradient_accumulation_steps=2, bf16=True, **quiet
    )
    rows = [{"input_ids": row, "labels": row} for row in torch.randint(16, (64, 6))]
    transformers.Trainer(model, arguments, train_dataset=rows, callbacks=[monitor.trainer()]).train()
    assert [row["update"] for row in monitor.rows] == [1, 3]
    assert all(row["preconditioned_sharpness"] > 0 and row["lr"] > 0 for row in monitor.rows[:1])


def with_backend(call):
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        return call()


@pytest.mark.filterwarnings("ignore")
@needs("lightning")
def test_a_lightning_module_under_bf16(tmp_path):
    import lightning.pytorch as pl
    from torch.utils.data import DataLoader, TensorDataset
    from torchmetrics import MeanMetric

    class Module(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.net, self.mean = made()[0], MeanMetric()

        def training_step(self, batch, index):
            loss = loss_fn(self.net, batch)
            self.log("loss", loss)
            self.mean(loss)
            return {"loss": loss}

        def configure_optimizers(self):
            return optim.AdamW(self.parameters(), lr=1e-2)

    batch, ends = made()[1], []
    loader = DataLoader(TensorDataset(*batch), batch_size=4)
    monitors = [None, CurvatureMonitor(training_step, batch, preconditioned=True, every=2)]
    monitors[1].share = 1e9
    for monitor in monitors:
        own = Module()
        trainer = pl.Trainer(
            max_epochs=2, accelerator="cpu", precision="bf16-mixed", accumulate_grad_batches=2, logger=False,
            enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
            callbacks=[monitor.lightning()] if monitor else [],
        )  # fmt: skip
        trainer.fit(own, loader)
        ends.append(own)
    assert all(torch.equal(a, b) for a, b in zip(*(e.state_dict().values() for e in ends), strict=True))
    assert ends[0].mean.compute() == ends[1].mean.compute()
    assert [row["update"] for row in monitors[1].rows] == [1, 3, 5] and monitors[1].updates == 6
    last = sharpness(ends[1].train(), training_step, batch)
    assert last == pytest.approx(sharpness(ends[1].net, loss_fn, batch), rel=1e-4)
    assert "log" not in vars(ends[1])
    ends[1].automatic_optimization = False
    with pytest.raises(UserError, match="got automatic_optimization=False: write a loss_fn"):
        sharpness(ends[1], training_step, batch)


@needs("lightning")
def test_a_second_fit_counts_no_micro_batch_and_one_from_a_checkpoint_goes_on_counting():
    model, batch = made()
    strategy, plugin = SimpleNamespace(model=model), SimpleNamespace(convert_input=lambda batch: batch)
    trainer = SimpleNamespace(strategy=strategy, precision_plugin=plugin, optimizers=[])
    for begin in (0, 40):
        monitor = CurvatureMonitor(loss_fn, batch, every=10**6)
        callback = monitor.lightning()
        for step, fit in ((begin, 1), (begin + 2, 1), (0, 2)):
            trainer.global_step = step
            callback.on_train_start(trainer, model)
            callback.on_train_batch_end(trainer, model, None, None, 0)  # gradients are being accumulated
            for _ in range(fit):
                trainer.global_step += 1
                callback.on_train_batch_end(trainer, model, None, None, 1)
        assert monitor.updates == begin + 4 and [row["update"] for row in monitor.rows] == [begin + 1]


def test_a_gradient_that_is_not_finite_is_a_row_and_a_layer_that_begins_to_train_is_measured():
    model, batch = made()
    model[0].requires_grad_(False)
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    train(model, batch, optimizer, 1)
    monitor = CurvatureMonitor(loss_fn, batch, preconditioned=True)
    monitor.share = 1e9
    monitor.step(model, optimizer)
    model.requires_grad_(True)
    assert monitor.step(model, optimizer)["sharpness"] > monitor.rows[0]["sharpness"] > 0
    monitor.loss_fn = lambda model, batch: loss_fn(model, batch) + (0 * model[0].bias).sqrt().sum()
    row = monitor.step(model, optimizer)
    assert math.isfinite(row["loss"]) and math.isnan(row["sharpness"])
    assert math.isnan(row["preconditioned_sharpness"])


@pytest.mark.filterwarnings("ignore")
@needs("lightning")
def test_a_lightning_module_whose_parameters_are_not_float32():
    import lightning.pytorch as pl
    from torch.utils.data import DataLoader, TensorDataset

    class Module(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = made()[0]

        def training_step(self, batch, index):
            return loss_fn(self.net, batch)

        def configure_optimizers(self):
            return optim.SGD(self.parameters(), lr=1e-2)

    def fit(precision):
        monitor = CurvatureMonitor(training_step, made()[1])
        trainer = pl.Trainer(
            max_steps=1, accelerator="cpu", precision=precision, logger=False, enable_progress_bar=False,
            enable_model_summary=False, enable_checkpointing=False, callbacks=[monitor.lightning()],
        )  # fmt: skip
        trainer.fit(Module(), DataLoader(TensorDataset(*made()[1]), batch_size=24))
        return monitor.rows

    assert fit("64-true")[0]["sharpness"] > 0
    with pytest.raises(
        UserError, match=r"got torch.bfloat16 in .* in Lightning write precision='bf16-mixed'"
    ):
        fit("bf16-true")


IMPORTS = """
from torch.distributed.fsdp import fully_shard
from preheat.adapters.curvature import hessian_trace, sharpness
from preheat.adapters.monitor import CurvatureMonitor
"""
DDP = """
whole = [sharpness(model, loss_fn, x), sharpness(model, loss_fn, x, optim.Adam(model.parameters())), hessian_trace(model, loss_fn, x)]
wrapped, mine = nn.parallel.DistributedDataParallel(model), x.chunk(2)[rank]
optimizer = optim.Adam(model.parameters())
parts = [sharpness(wrapped, loss_fn, mine), sharpness(wrapped, loss_fn, mine, optimizer), hessian_trace(wrapped, loss_fn, mine)]
assert all(abs(a - b) < 1e-9 * abs(a) for a, b in zip(whole, parts)), (whole, parts)
monitor = CurvatureMonitor(loss_fn, mine)
for _ in range(30):
    loss_fn(wrapped, mine).backward()
    optimizer.step()
    optimizer.zero_grad()
    if rank:
        sum(range(100_000))  # processes of different speed measure together
    monitor.step(wrapped, optimizer)
rows = [None, None]
dist.all_gather_object(rows, [(row["update"], row["sharpness"]) for row in monitor.rows])
assert rows[0] == rows[1] and rows[0], rows
try:
    sharpness(fully_shard(nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 1))), loss_fn, mine)
except ValueError as error:
    assert "got a sharded" in str(error), error
else:
    sys.exit("a sharded model was measured")
seen = []
for poor in (mine * float("nan") if rank else mine, mine if rank else mine[:0]):
    seen.append(CurvatureMonitor(loss_fn, poor).step(wrapped, optimizer)["sharpness"])
    try:
        sharpness(wrapped, loss_fn, poor)
    except ValueError as error:
        assert "finite, got nan: look at the batch" in str(error), error
        seen.append(None)
assert str(seen) == "[nan, None, nan, None]", seen
try:
    sharpness(wrapped, (lambda model, x: 1 / 0) if rank else loss_fn, mine)
except (ZeroDivisionError, ValueError) as error:
    assert rank or "every process" in str(error), error
if not rank:
    try:
        CurvatureMonitor(loss_fn, mine).step(wrapped, optimizer)
    except ValueError as error:
        assert "every process must measure at the same update" in str(error), error
        print("told")
    else:
        sys.exit("one process measured alone")
dist.destroy_process_group()
if child and os.waitpid(child, 0)[1]:
    sys.exit("the second process failed")
os._exit(0)  # what Python would free takes a second each
"""


def test_under_ddp_the_processes_measure_their_batches_together():
    done = in_two_processes(IMPORTS, DDP)
    assert done.returncode == 0 and "told" in done.stdout, done.stderr


def test_the_page_s_loops_run(tmp_path, monkeypatch):
    """All blocks whose library is installed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    page = (Path(__file__).parents[2] / "docs" / "curvature.md").read_text(encoding="utf-8")
    chapter = page.split("## In a loop of your own")[1].split("\n## ")[0]
    texts = [text for language, text in FENCE.findall(chapter) if language == "python"]
    assert {"torch", "lightning", "transformers"} < set().union(*map(imported, texts))
    run([text for text in texts if all(map(importlib.util.find_spec, imported(text)))], "curvature.md")
    assert Path("curvature.csv").is_file() and Path("curvature.png").is_file()
