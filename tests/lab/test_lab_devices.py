"""Where runs are trained: devices, what the planner does for heavy models, running out of memory and of disk,
arithmetic."""

from __future__ import annotations

import errno
import json
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from preheat.cli import main as cli
from preheat.core.canon import digest
from preheat.core.errors import UserError, explain
from preheat.core.grid import Block
from preheat.core.registry import TASKS, import_file
from preheat.core.run import Run
from preheat.core.spec import build
from preheat.core.study import Study
from preheat.engine.placement import single
from preheat.lab import devices, measure, timing, unit
from preheat.lab import study as lab
from preheat.lab.devices import broken, offered, out_of_memory, room
from preheat.lab.executors.base import Queue
from preheat.lab.flops import row_flops, study_flops
from preheat.lab.plan import Choice, Unit, halves, total_seconds, units
from preheat.lab.study import How, Todo, carry_out, plan
from preheat.lab.train import train
from preheat.lab.unit import Stopped, share_checkpoint, train_unit
from preheat.lab.work import Job, attempt
from preheat.store.store import Store
from preheat.tasks.imitation import imitation

HOME = Path(__file__).parents[2]
TRACED = Choice(4, "traced", 1e-4, 0.0, 1000)
QUADRATIC = {"name": "quadratic", "dim": 4, "sigma": 0.1, "examples": 64}


def runs(count: int, **changes) -> tuple[Run, ...]:
    settings = {
        "task": QUADRATIC,
        "optimizer": "sgd",
        "peak_lr": 0.1,
        "length": 40,
        "batch_size": 16,
        **changes,
    }
    return tuple(Run(**settings, seed=s) for s in range(count))


def a_study(seeds: int, task=QUADRATIC) -> Study:
    fixed = {"task": task, "optimizer": "sgd", "peak_lr": 0.1, "length": 20, "batch_size": 16}
    grid = (Block(product={"schedule.warmup": [{"steps": 0}]}),)
    return Study(
        "small",
        "?",
        fixed=fixed,
        grid=grid,
        seeds=tuple(range(seeds)),
        choosing=0,
        metric="loss",
        goal="min",
        margin=0.1,
    )


@pytest.fixture
def two_gpus(monkeypatch):
    """A torch that says it has two GPUs; nothing can be computed on them."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (90 << 30, 100 << 30))


# --- devices
# ---------------------------------------------------------------------------------------------------------


def test_auto_offers_what_there_is(two_gpus):
    assert [offered(d) for d in ("auto", "cpu", "cuda", "cuda:1")] == [
        ("cpu", "cuda"),
        ("cpu",),
        ("cuda",),
        ("cuda:1",),
    ]
    assert room("cuda", 2) == 40 << 30 and room("cpu", 2) == room("cpu", 1) // 2
    with pytest.raises(UserError, match="it finds 2: write cuda:0 to cuda:1"):
        offered("cuda:2")


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without a GPU")
def test_without_a_gpu_auto_is_the_cpu_and_a_gpu_is_refused(tmp_path, capsys):
    assert offered("auto") == ("cpu",)
    with pytest.raises(UserError, match=r"needs a GPU that torch can use.*: write cpu"):
        offered("cuda")
    with pytest.raises(UserError, match="a device is auto, cpu, cuda or cuda:1"):
        offered("gpu")
    words = ["digits", "--device", "cuda", "--results", str(tmp_path / "results")]
    for command in (["run", *words, "--epochs", "1"], ["study", "regimes", *words[1:], "--limit", "1"]):
        assert cli.main(command) == 2
        assert "the device cuda needs a GPU" in capsys.readouterr().err


@pytest.mark.parametrize("faster", ["cpu", "cuda"])
def test_auto_takes_the_device_that_is_done_first_for_the_whole_plan(two_gpus, tmp_path, monkeypatch, faster):
    asked = []

    def choices(runs, known, *, jobs, device, **how):
        asked.append((device, jobs, how["memory"]))
        choice = TRACED._replace(device=device, seconds=1.0 if device == faster else 10.0)
        return {r.stack_key: choice for r in runs}

    monkeypatch.setattr(measure, "choices", choices)
    study, how = a_study(8), How(jobs=0, memory=1 << 30)
    made = plan(study, study.points(), tmp_path, how)
    assert asked == [("cuda", 1, 1 << 30), ("cpu", how.workers, 1 << 30)]
    assert made.device == faster and {u.choice.device for u in made.units} == {faster}
    assert How(jobs=3).workers_on("cuda") == 3


@pytest.mark.parametrize("trained", [True, False], ids=["the GPU can train it", "it can't"])
def test_the_cpu_is_not_measured_for_what_is_heavy_on_it(two_gpus, tmp_path, monkeypatch, trained):
    asked = []

    def choices(runs, known, *, device, **how):
        asked.append(device)
        choice = (TRACED if trained or device == "cpu" else measure.UNMEASURED)._replace(device=device)
        return {r.stack_key: choice for r in runs}

    monkeypatch.setattr(measure, "choices", choices)
    study, looks = a_study(8), []
    light = timing.glance(study.runs()[0])
    monkeypatch.setattr(
        measure, "glance", lambda run, device="cpu": looks.append(run) or light._replace(heavy=True)
    )
    plan(study, study.points(), tmp_path, How(memory=1 << 30))
    assert asked == (["cuda"] if trained else ["cuda", "cpu"]) and len(looks) == trained, (
        "one look for eight seeds"
    )
    assert plan(study, study.points(), tmp_path, How(device="cpu", memory=1 << 30)).device == "cpu"


def test_one_run_is_not_measured_on_a_cpu_where_it_is_heavy(two_gpus, monkeypatch):
    tried = []
    light = timing.glance(runs(1)[0])
    monkeypatch.setattr(measure, "glance", lambda run, device="cpu": light._replace(heavy=device == "cpu"))
    monkeypatch.setattr(measure, "_try", lambda choice, first: tried.append(choice.device) or choice)
    threads = torch.get_num_threads()
    try:
        assert measure.alone(runs(1)[0]).device == "cuda" and set(tried) == {"cuda"}
        assert measure.alone(runs(1)[0], "cpu").device == "cpu"
    finally:
        torch.set_num_threads(threads)


def test_several_processes_on_one_gpu_are_not_taken_to_be_faster_than_one():
    on = {
        device: units(runs(8), lambda run, d=device: TRACED._replace(device=d))
        for device in ("cpu", "cuda:1")
    }
    assert total_seconds(on["cpu"], 2) < total_seconds(on["cpu"], 1)
    assert total_seconds(on["cuda:1"], 2) == total_seconds(on["cuda:1"], 1) == total_seconds(on["cpu"], 1)


def test_measured_choices_of_a_gpu_have_keys_of_their_own_and_cpu_keys_stay(two_gpus, monkeypatch):
    monkeypatch.setattr(measure, "choose", lambda runs, device, **how: TRACED._replace(device=device))
    monkeypatch.setattr(measure, "_with_evaluation", lambda run, choice: choice)
    known: dict = {}
    for device in ("cpu", "cuda"):
        measure.choices(runs(4), known, device=device, jobs=1, memory=1 << 30)
    (key,) = {measure.signature(r) for r in runs(4)}
    assert set(known) == {key, f"{key}@cuda"}


def test_choices_of_earlier_plans_are_read_and_their_checkpoints_found(tmp_path):
    old = {k: v for k, v in TRACED.json().items() if k not in ("device", "channels_last")}
    assert lab._readable({"run_steps": 1, "choice": old}) and Choice(**old) == TRACED
    assert not lab._readable({"run_steps": 1, "choice": {**old, "colour": 1}})
    assert not lab._readable({"run_steps": 1, "choice": {"size": 1}})
    mine = Unit(runs(4), TRACED)
    assert mine.id == digest([[r.id for r in mine.runs], "traced", True])
    others = {
        mine._replace(choice=TRACED._replace(**c)).id for c in ({"device": "cuda"}, {"channels_last": True})
    }
    assert len(others | {mine.id}) == 3


def test_a_choice_names_its_placement():
    where = measure.placement(Choice(1, "traced", 0.0, 0.0, 0, channels_last=True))
    assert where.channels_last and not where.stacked and where.device.type == "cpu"
    assert (
        measure.placement(TRACED).stacked
        and measure.placement(TRACED._replace(device="cuda:1")).device.index == 1
    )


# --- heavy models
# ----------------------------------------------------------------------------------------------------


def test_planning_a_task_of_images_needs_no_files(tmp_path, monkeypatch):
    monkeypatch.setenv("PREHEAT_DATA", str(tmp_path / "nothing"))
    task = {"name": "cifar10", "model": {"name": "simplecnn"}, "examples_per_class": 50}
    image = Run(task=task, optimizer="sgd", batch_size=16, length="2ep")
    assert measure.metrics(image) == ["loss", "accuracy"]
    assert measure.signature(image) == measure.signature(image.but(task={**task, "examples_per_class": 100}))
    assert timing.evaluated(image) == (5000, 10_000), "as many as there are in truth, not in the twin"
    assert timing.evaluated(image.but(task={**task, "selection": "test"})) == (10_000, 10_000)


def test_of_local_files_the_images_are_counted_that_they_hold(tmp_path, monkeypatch):
    monkeypatch.setenv("PREHEAT_DATA", str(tmp_path))
    name, data = imitation("pathmnist", 10)
    (tmp_path / name).write_bytes(data)
    task = {"name": "pathmnist", "source": "local", "examples_per_class": 4, "model": {"name": "simplecnn"}}
    held = [len(part["y"]) for part in build("task", Run(task=task, batch_size=8).task).data()[1:]]
    assert timing.evaluated(Run(task=task, batch_size=8)) == tuple(held) and held[0] < 1000, (
        "not the official 10,004"
    )


def test_an_evaluation_is_timed_on_as_many_rows_as_are_taken_at_once(monkeypatch):
    task = {
        "name": "cifar10",
        "model": {"name": "simplecnn", "width": 4, "hidden": 8},
        "examples_per_class": 50,
    }
    image, seen = Run(task=task, optimizer="sgd", batch_size=16, length="2ep"), []
    whole = timing.evaluate
    count = lambda setup, *rest: seen.append(len(setup.fleet.validation["y"])) or whole(setup, *rest)
    monkeypatch.setattr(timing, "evaluate", count)
    monkeypatch.setattr(timing, "HEAVY", 1e9)
    assert timing.seconds_per_evaluation([image], single(device="meta")) > 0
    assert max(seen) == 2048, "off the CPU: the twin's 256 rows over again"
    x = timing.cut(timing.unevaluated([timing.twin(image)], single()), 600).fleet.validation["x"]
    assert torch.equal(x[:256], x[256:512]) and len(x) == 600


def test_heavy_models_are_trained_alone_and_measured_on_few_rows(monkeypatch):
    some = runs(16, batch_size=64)
    monkeypatch.setattr(timing, "HEAVY", 0.0)
    assert measure.choose(some, jobs=2, memory=1 << 40, compile_mode="off").size == 1
    assert measure.choose(some, jobs=2, memory=1 << 40, compile_mode="off", mode="fleet").size > 1
    assert timing.glance(some[0]) == timing.Glance(some[0], 1.0, True)
    monkeypatch.setattr(timing, "VERY_HEAVY", 0.0)
    assert timing.glance(some[0]).run.batch_size == timing.FEW_ROWS and timing.glance(some[0]).scale == 4.0
    assert timing.glance(some[0], "cuda") == timing.Glance(some[0])
    assert measure.choose(some, jobs=2, memory=1, compile_mode="off").size == 1, (
        "one run is never refused for its memory"
    )


def test_where_kernels_are_larger_than_one_pixel_channels_last_is_measured_too():
    digits = Run(task={"name": "digits", "model": "cnn"}, optimizer="sgd")
    assert measure._convolves(digits) and not measure._convolves(runs(1)[0])
    tried = [
        (c.size, c.way) for c in measure._candidates([1, 4], TRACED._replace(size=1, realise="eager"), True)
    ]
    assert tried == [(1, "eager"), (1, "traced"), (1, "traced with channels last"), (4, "traced")]


# --- memory
# ----------------------------------------------------------------------------------------------------------

GREEDY = '''
"""A quadratic that runs out of memory with more than `room` runs together."""
from dataclasses import dataclass

import torch
from torch._C._functorch import get_unwrapped, is_functorch_wrapped_tensor

from preheat.core.registry import TASKS
from preheat.tasks.quadratic import Quadratic


@TASKS.register("greedy")
@dataclass(frozen=True)
class Greedy(Quadratic):
    """A quadratic with room for so many."""

    room: int = 2

    def loss(self, params, buffers, batch):
        plain = alone = next(iter(params.values()))
        while is_functorch_wrapped_tensor(plain):
            plain = get_unwrapped(plain)
        together = len(plain) if plain.dim() > alone.dim() else 1
        if together > self.room:
            raise torch.OutOfMemoryError(f"tried to allocate {together} GiB")
        return super().loss(params, buffers, batch)
'''


@pytest.fixture(scope="module")
def greedy(tmp_path_factory):
    file = tmp_path_factory.mktemp("greedy") / "greedy_task.py"
    file.write_text(GREEDY)
    import_file(file)
    yield str(file)
    TASKS._objects.pop("greedy")


def carried_out(study: Study, root: Path, choice: Choice, imports: str) -> list:
    todo = units(study.runs(), lambda run: choice)
    made = Todo(study, study.points(), frozenset(), todo, {}, {})
    return [e for e in carry_out(made, root, How(jobs=1, imports=(imports,))) if e.kind != "beat"]


def test_a_fleet_that_does_not_fit_is_halved_until_it_does_and_gives_the_same_records(greedy, tmp_path):
    study = a_study(7, {**QUADRATIC, "name": "greedy"})
    events = carried_out(study, tmp_path, TRACED._replace(size=7), greedy)
    told = [e.text for e in events if e.kind == "retry"]
    assert told == [
        "out of memory with 7 runs together: going on with 4 and 3",
        "out of memory with 4 runs together: going on with 2 and 2",
        "out of memory with 3 runs together: going on with 2 and 1",
    ]
    assert [e.runs for e in events if e.kind == "done"] == [2, 2, 2, 1]
    store = Store.open(tmp_path, create=False)
    for run in study.runs():
        alone, stored = train(run), store.load(run.id)
        np.testing.assert_allclose(
            stored.trace["train_loss"].values, alone.trace["train_loss"].values, rtol=1e-5
        )
    assert not any(store.checkpoints.iterdir())


def test_a_run_that_does_not_fit_alone_fails_and_its_record_says_what_to_write(greedy, tmp_path):
    study = a_study(1, {**QUADRATIC, "name": "greedy", "room": 0})
    events = carried_out(study, tmp_path, TRACED._replace(size=1), greedy)
    assert [e.kind for e in events] == ["retry", "failed"]
    (head,) = Store.open(tmp_path, create=False).heads()
    assert head.status.outcome == "failed"
    assert head.status.reason.startswith(
        "out of memory with one run alone on cpu: write a smaller batch_size (it is 16) or precision bf16"
    )


def test_what_running_out_of_memory_looks_like():
    cause = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1000000 bytes")
    wrapped = ValueError("a compiler gave up")
    wrapped.__cause__ = cause
    for error in (
        torch.OutOfMemoryError("x"),
        MemoryError(),
        cause,
        wrapped,
        RuntimeError("CUDA error: out of memory"),
    ):
        assert out_of_memory(error)
    assert not out_of_memory(RuntimeError("shapes do not match")) and not out_of_memory(
        UserError("out of memory")
    )
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert out_of_memory(caught.value), "what torch's CPU allocator says"
    devices.free()


@pytest.mark.parametrize("count", [2, 5])
def test_halves_go_on_from_the_checkpoint_of_their_fleet(tmp_path, monkeypatch, count):
    monkeypatch.setattr(unit, "BEAT_SECONDS", 0.0)
    store = Store.open(tmp_path)
    whole = Unit(runs(count, precision="float64", probes=("distance",)), TRACED._replace(size=count))
    with pytest.raises(Stopped):
        train_unit(whole, store.checkpoint_path(whole.id), beat=lambda b: b.progress.step >= 10, every=1e9)
    share_checkpoint(store, whole)
    parts = halves(whole)
    assert {p.name for p in store.checkpoints.iterdir()} == {p.id for p in parts}
    for part in parts:
        steps = []
        found = train_unit(
            part, store.checkpoint_path(part.id), beat=lambda b, s=steps: s.append(b.run_steps), every=1e9
        )
        assert 0 < sum(steps) < part.run_steps, "not from the start"
        for record in found:
            alone = train(record.run)
            assert record.trace.keys() == alone.trace.keys()
            for name, series in alone.trace.items():
                assert series.steps == record.trace[name].steps
                np.testing.assert_allclose(
                    record.trace[name].values, series.values, rtol=1e-10, atol=1e-12, err_msg=name
                )


def test_the_checkpoint_of_a_fleet_stays_until_both_halves_have_theirs(tmp_path, monkeypatch):
    monkeypatch.setattr(unit, "BEAT_SECONDS", 0.0)
    store = Store.open(tmp_path)
    whole = Unit(runs(4), TRACED)
    with pytest.raises(Stopped):
        train_unit(whole, store.checkpoint_path(whole.id), beat=lambda b: b.progress.step >= 10, every=1e9)
    written, write = [], unit.write_atomic

    def full(path, data):
        if written:
            raise explain(f"write {path.name}", path.parent, OSError(errno.ENOSPC, "No space left on device"))
        written.append(path)
        write(path, data)

    monkeypatch.setattr(unit, "write_atomic", full)
    share_checkpoint(store, whole)
    assert {p.name for p in store.checkpoints.iterdir()} == {whole.id, halves(whole)[0].id}


def test_the_unit_that_is_halved_is_the_part_that_was_still_to_do(greedy, tmp_path):
    study = a_study(5, {**QUADRATIC, "name": "greedy"})
    store, choice = Store.open(tmp_path), TRACED._replace(size=5)
    whole = Unit(tuple(study.runs()), choice)
    with store.writer() as writer:
        writer.append([train(whole.runs[0])])
    said = attempt(Job(tmp_path), whole, say=lambda *a, **k: None, stop=lambda: False)
    assert said and said.memory and not said.broken and said.todo == Unit(whole.runs[1:], choice)
    queue = Queue((), tmp_path)
    event = queue.failed(whole, said)
    assert event.text == "out of memory with 4 runs together: going on with 2 and 2"
    assert tuple(queue.todo) == halves(said.todo), "those that its checkpoint is cut into"


# --- a GPU that fails
# ------------------------------------------------------------------------------------------------

STICKY = '''
"""A quadratic whose seed 0 breaks the process for good, as an illegal access breaks a GPU's context."""
from dataclasses import dataclass

from preheat.core.registry import TASKS
from preheat.engine.keys import key
from preheat.tasks.quadratic import Quadratic

BROKEN = []


@TASKS.register("sticky")
@dataclass(frozen=True)
class Sticky(Quadratic):
    """A quadratic that breaks."""

    def subset(self, generator):
        if generator.initial_seed() == key(0, "subset"):
            BROKEN.append(True)
        return super().subset(generator)

    def loss(self, params, buffers, batch):
        if BROKEN:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return super().loss(params, buffers, batch)
'''


@pytest.fixture
def sticky(tmp_path):
    file = tmp_path / "sticky_task.py"
    file.write_text(STICKY)
    import_file(file)
    yield str(file)
    TASKS._objects.pop("sticky")


def test_a_worker_whose_gpu_failed_is_replaced_and_only_the_guilty_run_fails(sticky, tmp_path):
    study = a_study(3, {**QUADRATIC, "name": "sticky"})
    events = carried_out(study, tmp_path / "results", TRACED._replace(size=1, realise="eager"), sticky)
    assert all("CUDA error" in e.text for e in events if e.kind in ("retry", "failed"))
    heads = Store.open(tmp_path / "results", create=False).heads()
    assert {h.run().seed: h.status.outcome for h in heads} == {0: "failed", 1: "done", 2: "done"}


def test_what_a_gpu_that_failed_looks_like():
    lost = RuntimeError("CUDA error: device-side assert triggered")
    wrapped = ValueError("a compiler gave up")
    wrapped.__cause__ = lost
    assert (
        broken(lost)
        and broken(wrapped)
        and broken(RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"))
    )
    assert not broken(RuntimeError("CUDA error: out of memory")) and not broken(
        torch.OutOfMemoryError("CUDA error")
    )
    assert not broken(RuntimeError("shapes do not match")) and not broken(UserError("CUDA error"))


# --- disk
# ------------------------------------------------------------------------------------------------------------


def test_a_checkpoint_that_cannot_be_written_is_told_once_and_the_run_finishes(tmp_path, monkeypatch):
    def full(path, data):
        raise explain(f"write {path.name}", path.parent, OSError(errno.ENOSPC, "No space left on device"))

    monkeypatch.setattr(unit, "write_atomic", full)
    monkeypatch.setattr(unit, "BEAT_SECONDS", 0.0)
    told: list[str] = []
    one = Unit(runs(1), TRACED._replace(size=1))
    (record,) = train_unit(one, tmp_path / "checkpoint", beat=lambda _: False, every=0.0, warn=told.append)
    assert record.trace == train(one.runs[0]).trace
    assert len(told) == 1 and "no checkpoint at step" in told[0] and "the disk is full" in told[0]


def test_checkpoints_that_take_long_to_write_are_written_less_often(tmp_path, monkeypatch):
    saves = []
    monkeypatch.setattr(unit, "write_atomic", lambda path, data: saves.append(path) or time.sleep(1.0))
    monkeypatch.setattr(unit, "BEAT_SECONDS", 0.0)
    train_unit(
        Unit(runs(1), TRACED._replace(size=1)), tmp_path / "checkpoint", beat=lambda _: False, every=0.0
    )
    assert len(saves) == 1, "40 steps take less than 20 times as long as the first checkpoint"


def test_what_a_worker_warns_of_reaches_the_log_and_the_unit_goes_on(tmp_path, monkeypatch):
    study, hidden = a_study(1), tmp_path / "checkpoints"
    slow = replace(study, fixed={**study.fixed, "length": 8_000})
    todo = units(slow.runs(), lambda run: TRACED._replace(size=1))
    Store.open(tmp_path)
    made = Todo(slow, slow.points(), frozenset(), todo, {}, {})
    kinds = []
    with closing(carry_out(made, tmp_path, How(jobs=1, checkpoint_seconds=0.0))) as events:
        for event in events:
            if (
                hidden.exists() and not hidden.is_symlink()
            ):  # while the worker begins: nothing can be written there any more
                hidden.rename(tmp_path / "moved")
                hidden.symlink_to(tmp_path / "nowhere")
            kinds.append(event.kind)
            if event.kind == "retry":
                assert "no checkpoint at step" in event.text and "training goes on" in event.text
    assert kinds.count("retry") == 1 and kinds[-1] == "done"
    assert len(Store.open(tmp_path, create=False).ids()) == 1


# --- arithmetic
# ------------------------------------------------------------------------------------------------------


def test_operations_of_a_small_network_are_those_of_its_matrix_products():
    (run,) = (Run(task="digits", optimizer="sgd", length="2ep", evaluate="1ep"),)
    layers = 2 * (64 * 64 + 64 * 64 + 64 * 10)
    assert row_flops(run).training * 32 == 32 * (3 * layers - 2 * 64 * 64), (
        "forward, and backward twice that but for the first layer's input"
    )
    evaluated = 3 * 370 + 427  # before epochs 1 and 2, at the end, and the test set
    assert study_flops([run, run]) == 2 * (2 * 1000 * (3 * layers - 2 * 64 * 64) + evaluated * layers)


def test_a_resnet18_is_1_11_gflop_an_image():
    image = Run(
        task={"name": "cifar10", "model": "resnet18"}, optimizer="sgd", batch_size=128, length="100ep"
    )
    each = row_flops(image)
    assert each.evaluation == pytest.approx(1.11e9, rel=0.005)
    assert each.training == pytest.approx(3 * each.evaluation, rel=0.005)
    assert row_flops(image.but(optimizer="adamw", seed=3, precision="bf16")) == each


def test_plan_json_of_a_choice_is_plain_data():
    assert Choice(**json.loads(json.dumps(TRACED.json()))) == TRACED
