"""`ScheduleLR` inside the loops that people run: plain PyTorch, Lightning, transformers' Trainer, Accelerate.
And optax."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from preheat.adapters.optax import as_optax
from preheat.adapters.torch import ScheduleLR
from preheat.core.between import Between
from preheat.core.errors import UserError
from preheat.core.levels import rate
from preheat.schedules import cosine, wsd

PEAK, TOTAL = 0.1, 24  # 3 epochs of 8 batches
SHAPE = wsd(warmup=5, cooldown=0.4, final=0.01)
WANTED = [float(PEAK * f) for f in SHAPE.resolve(TOTAL).table()]


def data(batches=8):
    x = torch.linspace(-1, 1, 2 * batches).reshape(-1, 1)
    return TensorDataset(x, 2 * x + 1)


def loss(model, batch):
    x, y = batch
    return nn.functional.mse_loss(model(x), y)


# --- Plain PyTorch ---------------------------------------------------------------------------------------


def plain(epochs, state=None):
    """(rates used, weights, state) of a loop that one writes by hand."""
    torch.manual_seed(0)
    model = nn.Linear(1, 1)
    opt = torch.optim.AdamW(model.parameters(), lr=PEAK)
    scheduler = ScheduleLR(opt, SHAPE, TOTAL, also={"beta1": Between(SHAPE, 0.95, 0.85)})
    if state:
        for part, saved in zip((model, opt, scheduler), state, strict=True):
            part.load_state_dict(saved)
    used = []
    for _ in epochs:
        for batch in DataLoader(data(), batch_size=2):
            opt.zero_grad()
            loss(model, batch).backward()
            used.append(opt.param_groups[0]["lr"])
            opt.step()
            scheduler.step()
    return used, model.weight.item(), [part.state_dict() for part in (model, opt, scheduler)]


def test_a_plain_loop_saved_and_resumed(tmp_path):
    used, weight, _ = plain(range(3))
    assert used == WANTED
    first, _, state = plain(range(1))
    torch.save(state, tmp_path / "state.pt")
    rest, end, _ = plain(range(1, 3), torch.load(tmp_path / "state.pt", weights_only=True))
    assert first + rest == WANTED and end == weight


def test_a_scheduler_that_is_stepped_once_an_epoch():
    opt = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=PEAK)
    scheduler = ScheduleLR(opt, cosine(), 3, count="calls")
    for epoch in range(3):
        assert opt.param_groups[0]["lr"] == PEAK * cosine().resolve(3)(epoch)
        for _ in range(8):
            opt.step()
        scheduler.step()


# --- Lightning -------------------------------------------------------------------------------------------


def lightning_rates(folder, epochs, accumulate=1, resume=None):
    """({update: rate used}, the trainer) of Lightning's Trainer."""
    lightning = pytest.importorskip("lightning.pytorch")
    used = {}

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = nn.Linear(1, 1)

        def training_step(self, batch, _):
            return loss(self.model, batch)

        def on_before_optimizer_step(self, optimizer):
            used[self.global_step] = optimizer.param_groups[0]["lr"]

        def configure_optimizers(self):
            opt = torch.optim.AdamW(self.parameters(), lr=PEAK)
            scheduler = ScheduleLR(opt, SHAPE, TOTAL // accumulate)
            return {"optimizer": opt, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    lightning.seed_everything(0, verbose=False)
    monitor = lightning.callbacks.ModelCheckpoint(folder, filename="{step}", save_top_k=-1, every_n_epochs=1)
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[monitor],
        accumulate_grad_batches=accumulate,
    )
    trainer.fit(Module(), DataLoader(data(), batch_size=2), ckpt_path=resume)
    return used


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::UserWarning:lightning", "ignore::FutureWarning:lightning"
)
def test_lightning_takes_every_rate_and_resumes(tmp_path):
    """Under interval="step" (pytorch-lightning issue 20436)."""
    assert lightning_rates(tmp_path / "whole", 3) == dict(enumerate(WANTED))
    lightning_rates(tmp_path / "first", 1)
    resumed = lightning_rates(tmp_path / "rest", 3, resume=tmp_path / "first" / "step=8.ckpt")
    assert resumed == dict(list(enumerate(WANTED))[8:])


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::UserWarning:lightning", "ignore::FutureWarning:lightning"
)
def test_lightning_with_accumulated_gradients_goes_on_once_an_update(tmp_path):
    table = [float(PEAK * f) for f in SHAPE.resolve(TOTAL // 2).table()]
    assert lightning_rates(tmp_path, 3, accumulate=2) == dict(enumerate(table))


# --- Transformers ----------------------------------------------------------------------------------------


def trainer_rates(folder, resume=None):
    """{update: rate used} of transformers' Trainer, which saves every 8 updates."""
    transformers = pytest.importorskip("transformers")
    used = {}

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(1, 1)

        def forward(self, x, labels):
            return {"loss": nn.functional.mse_loss(self.layer(x), labels)}

    class Watch(transformers.TrainerCallback):
        def on_pre_optimizer_step(self, args, state, control, optimizer=None, **_):
            used[state.global_step] = optimizer.param_groups[0]["lr"]

    torch.manual_seed(0)
    model = Model()
    opt = torch.optim.AdamW(model.parameters(), lr=PEAK)
    scheduler = ScheduleLR(opt, SHAPE, TOTAL)
    arguments = transformers.TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=3,
        per_device_train_batch_size=2,
        save_steps=8,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        logging_strategy="no",
        dataloader_pin_memory=False,
    )
    rows = [{"x": x, "labels": y} for x, y in data()]
    trainer = transformers.Trainer(
        model, arguments, train_dataset=rows, optimizers=(opt, scheduler), callbacks=[Watch()]
    )
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.train(resume_from_checkpoint=resume)
    return used, scheduler


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning:transformers"
)
def test_the_trainer_of_transformers_takes_every_rate_and_resumes(tmp_path, monkeypatch):
    """torch's jump on resume (transformers issues 23099, 27749 and 34053)."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    used, scheduler = trainer_rates(tmp_path)
    assert used == dict(enumerate(WANTED)) and scheduler.last_epoch == TOTAL
    resumed, _ = trainer_rates(tmp_path, resume=str(tmp_path / "checkpoint-8"))
    assert resumed == dict(list(enumerate(WANTED))[8:])


# --- Accelerate ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("processes", [1, 3])
@pytest.mark.parametrize("after", [False, True], ids=["built before prepare", "built after prepare"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_accelerate_goes_on_once_for_each_real_update(processes, after, monkeypatch):
    """Accelerate steps a scheduler once for each process, and torch's then run ahead: its issues 662, 1382, 2142,
    2165, 2318, 2773 and 2926, transformers pull request 24088, diffusers issue 9633."""
    accelerate = pytest.importorskip("accelerate")
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=4)
    model = nn.Linear(1, 1)
    opt = torch.optim.AdamW(model.parameters(), lr=PEAK)
    scheduler = None if after else ScheduleLR(opt, SHAPE, TOTAL)
    model, opt, batches = accelerator.prepare(model, opt, DataLoader(data(32), batch_size=2))
    scheduler = accelerator.prepare(ScheduleLR(opt, SHAPE, TOTAL) if after else scheduler)
    used = []
    for _ in range(3):
        for batch in batches:
            with accelerator.accumulate(model):
                accelerator.backward(loss(model, batch))
                if accelerator.sync_gradients:
                    used.append(opt.param_groups[0]["lr"])
                opt.step()
                with monkeypatch.context() as patch:
                    many = property(lambda self: processes)
                    patch.setattr(accelerate.state.AcceleratorState, "num_processes", many, raising=False)
                    scheduler.step()
                opt.zero_grad()
    assert used == WANTED
    assert scheduler.state_dict()["last_epoch"] == TOTAL


# --- optax -----------------------------------------------------------------------------------------------


def test_an_optax_schedule_is_the_table_also_under_jit():
    jax = pytest.importorskip("jax")
    one = as_optax(SHAPE, TOTAL, peak=PEAK)
    counts = np.arange(TOTAL + 5)
    expected = np.float32([*WANTED, *[WANTED[-1]] * 5])
    np.testing.assert_array_equal(one(counts), expected)
    np.testing.assert_array_equal([jax.jit(one)(k) for k in counts], expected)
    floored = as_optax({"name": "cosine", "final": "0.01lr", "at": "right"}, "2ep", peak=0.5, per_epoch=10)
    assert floored(19) == np.float32(0.01)
    assert as_optax(cosine(final=rate(0.01)), 20, peak=0.5)(0) == np.float32(
        0.5 * cosine(final=0.02).resolve(20)(0)
    )


def test_optax_trains_with_it():
    jax, optax = pytest.importorskip("jax"), pytest.importorskip("optax")
    optimizer = optax.sgd(learning_rate=as_optax(SHAPE, TOTAL, peak=PEAK))

    @jax.jit
    def update(params, state):
        moves, state = optimizer.update(jax.numpy.ones(()), state, params)
        return optax.apply_updates(params, moves), state

    params = jax.numpy.zeros(())
    state = optimizer.init(params)
    for k in range(TOTAL):
        params, state = update(params, state)
        assert float(params) == pytest.approx(-sum(WANTED[: k + 1]), rel=1e-5)


def test_as_optax_says_what_is_missing_or_wrong(monkeypatch):
    with pytest.raises(UserError, match="peak must be a finite rate >= 0, got -1"):
        as_optax(SHAPE, TOTAL, peak=-1)
    monkeypatch.setitem(sys.modules, "jax.numpy", None)
    with pytest.raises(UserError, match=r"as_optax needs jax.*pip install jax optax"):
        as_optax(SHAPE, TOTAL, peak=PEAK)
