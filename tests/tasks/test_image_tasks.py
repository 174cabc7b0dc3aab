"""Image tasks: subsets and hold-outs, augmentation against slow numpy, the laws alone == fleet == resumed,
and errors."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import count

import numpy as np
import pytest
import torch

from preheat.core.errors import UserError
from preheat.core.run import Run
from preheat.core.spec import build, spec
from preheat.engine import checkpoint
from preheat.engine.keys import generator
from preheat.engine.loop import set_up, train
from preheat.engine.placement import fleet, single
from preheat.tasks import files, pools
from preheat.tasks.augmenting import cropped_and_flipped, draws, normalised, standardised
from preheat.tasks.formats import Arrays
from preheat.tasks.imitation import imitation
from preheat.tasks.objectives import objective

SMALL = {"name": "resnet18", "width": 4}
TASKS = ("cifar10", "cifar100", "pathmnist")
FRESH = count()


@pytest.fixture(autouse=True)
def few_rows(monkeypatch):
    """Evaluations are not what is tested here."""
    monkeypatch.setattr(pools, "RANDOM_ROWS", 8)
    pools.random_sets.cache_clear()
    yield
    pools.random_sets.cache_clear()


def task(name="cifar10", **options):
    return build("task", spec(name, **{"source": "random", "model": SMALL, **options}))


def imitated(counts, validation=False, size=32):
    """Images whose first pixel tells their row, in a mixed order."""
    rng = np.random.default_rng(3)

    def split(per_class):
        labels = rng.permutation(np.repeat(np.arange(len(per_class)), per_class))
        x = rng.integers(0, 256, (len(labels), 3, size, size), dtype=np.uint8)
        x[:, 0, 0, 0], x[:, 0, 0, 1] = np.arange(len(labels)) % 256, np.arange(len(labels)) // 256
        return x, labels.astype(np.int64)

    return Arrays(split(counts), split((2,) * len(counts)) if validation else None, split((3,) * len(counts)))


@pytest.fixture
def local(monkeypatch, tmp_path):
    """Put arrays where files would be read: local(counts) -> Arrays."""

    def put(counts, **more):
        made = imitated(counts, **more)
        stamp = (tmp_path / str(next(FRESH)), 0, 0)
        monkeypatch.setattr(files, "arrays", lambda name, source: made)
        monkeypatch.setattr(files, "ready", lambda name, source: None)
        monkeypatch.setattr(files, "stamps", lambda name, source: (stamp,))
        return made

    return put


def rows_of(part):
    return (part["x"][:, 0, 0, 0].long() + 256 * part["x"][:, 0, 0, 1].long()).tolist()


def test_the_published_sizes():
    sizes = {n: (task(n).about().size, sum(task(n).about().counts), task(n).classes) for n in TASKS}
    assert sizes == {"cifar10": (32, 50_000, 10), "cifar100": (32, 50_000, 100), "pathmnist": (28, 89_996, 9)}
    tiny = task("tiny_imagenet")
    assert (tiny.examples, tiny.evaluated, tiny.classes) == (90_000, (10_000, 10_000), 200)
    assert [task(n).examples for n in TASKS] == [45_000, 45_000, 89_996]
    assert [task(n, selection="test").examples for n in TASKS] == [50_000, 50_000, 89_996]
    most = {n: [task(n).most_per_class(s) for s in ("validation", "test")] for n in TASKS}
    assert most == {"cifar10": [4500, 5000], "cifar100": [450, 500], "pathmnist": [7886, 7886]}
    assert build("task", spec("digits")).most_per_class("test") == 100
    assert task(examples_per_class=7).examples == 70 and task("pathmnist", total_examples=25).examples == 25


@pytest.mark.parametrize("name", TASKS)
def test_random_numbers_have_the_official_shapes_and_only_the_rows_needed(name):
    made = task(name, examples_per_class=2)
    data, size, classes = made.data(), made.about().size, made.classes
    assert data.train["x"].shape == (2 * classes, 3, size, size) and data.train["x"].dtype == torch.uint8
    assert (
        torch.equal(data.train["y"], torch.arange(classes).repeat_interleave(2)) and len(data.test["y"]) == 8
    )
    assert made.data() is data and made.origin() == {"data": "random numbers"} and made.ready() is None


def test_cifar_holds_out_a_tenth_of_each_class_the_same_for_every_run(local):
    counts = (20, 33, 9) + (10,) * 7
    whole = local(counts)
    made = task(source="local", examples_per_class=8)
    data = made.data()
    held = [max(n // 10, 1) for n in counts]
    assert torch.bincount(data.validation["y"]).tolist() == held
    assert torch.bincount(data.train["y"]).tolist() == [n - h for n, h in zip(counts, held, strict=True)]
    train_rows, validation_rows = rows_of(data.train), rows_of(data.validation)
    assert (
        sorted(train_rows + validation_rows) == list(range(sum(counts))) and data.train["y"].diff().min() == 0
    )
    assert all(whole.train[1][r] == y for r, y in zip(train_rows, data.train["y"].tolist(), strict=True))
    assert rows_of(task(source="local", total_examples=11, crop=0).data().validation) == validation_rows
    assert rows_of(data.test) == list(range(30))


def test_selection_by_the_test_set_trains_on_everything(local):
    local((20,) * 10)
    data = task(source="local", selection="test").data()
    assert sorted(rows_of(data.train)) == list(range(200)) and torch.equal(
        data.validation["x"], data.test["x"]
    )
    assert task(source="local", selection="test").examples == 200 and task(source="local").examples == 180


def test_pathmnist_has_its_own_validation_split(local):
    made = local((9,) * 9, validation=True, size=28)
    data = task("pathmnist", source="local").data()
    np.testing.assert_array_equal(data.validation["x"], made.validation[0])
    assert len(data.train["y"]) == 81
    seeds = task("pathmnist", source="local", selection="test").data()
    np.testing.assert_array_equal(seeds.validation["x"], made.test[0])


@pytest.mark.parametrize("total,per_class", [(30, 3), (34, 4), (7, 1), (180, 18)])
def test_subsets_are_stratified_nested_and_keyed_by_seed(local, total, per_class):
    local((20,) * 10)
    made = task(source="local", total_examples=total)
    labels = made.data().train["y"]
    rows = made.subset(generator(4, "subset"))
    counts = torch.bincount(labels[rows], minlength=10)
    assert (
        len(rows) == len(set(rows.tolist())) == total
        and counts.max() == per_class
        and counts.max() - counts.min() <= 1
    )
    assert torch.equal(rows, made.subset(generator(4, "subset")))
    larger = task(source="local", total_examples=min(total + 3, 180)).subset(generator(4, "subset"))
    assert set(rows.tolist()) <= set(larger.tolist())
    if total < 180:
        assert set(rows.tolist()) != set(made.subset(generator(5, "subset")).tolist())
    if total % 10:
        chosen = {
            tuple(torch.bincount(labels[made.subset(generator(s, "subset"))], minlength=10).tolist())
            for s in range(9)
        }
        assert len(chosen) > 1, "the generator draws which classes get one more"
    assert torch.equal(task(source="local").subset(generator(4, "subset")), torch.arange(180))


def augmented(x, shift, mirror, crop):
    """The same by loops: pad, cut, mirror."""
    out = np.zeros_like(x)
    for b in range(len(x)):
        padded = np.pad(x[b], ((0, 0), (crop, crop), (crop, crop)))
        cut = padded[:, shift[b, 0] : shift[b, 0] + x.shape[2], shift[b, 1] : shift[b, 1] + x.shape[3]]
        out[b] = cut[:, :, ::-1] if mirror[b] else cut
    return out


@pytest.mark.parametrize("crop", [1, 4, 8])
def test_crop_and_flip_against_loops(crop):
    x = torch.randint(1, 256, (40, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    drawn = draws(generator(0, "noise", index=crop), 40, crop=crop, flip=True, mixup=0.0)
    expected = augmented(x.numpy(), drawn["shift"].numpy(), drawn["mirror"].numpy(), crop)
    got = cropped_and_flipped({"x": x, **drawn}, crop)
    assert got.dtype == torch.uint8
    np.testing.assert_array_equal(got, expected)
    as_floats = {n: t.double() for n, t in drawn.items()}
    stacked = {n: torch.stack([t, t.flip(0)]) for n, t in {"x": x, **as_floats}.items()}
    together = torch.func.vmap(lambda batch: cropped_and_flipped(batch, crop))(stacked)
    np.testing.assert_array_equal(together[0], expected)
    np.testing.assert_array_equal(together[1], expected[::-1])


def test_what_is_switched_off_is_not_drawn_and_changes_nothing():
    x = torch.randint(0, 256, (12, 3, 8, 8), dtype=torch.uint8)
    assert task(crop=0, flip=False).noise(generator(0, "noise"), 12) is None
    assert cropped_and_flipped({"x": x}, 0) is x
    mirrored = {"x": x, **draws(generator(1, "noise"), 12, crop=0, flip=True, mixup=0.0)}
    assert set(mirrored) == {"x", "mirror"}
    out = cropped_and_flipped(mirrored, 0)
    assert torch.equal(out.flatten(1).sort(1).values, x.flatten(1).sort(1).values) and not torch.equal(out, x)
    assert torch.equal(cropped_and_flipped({"x": out, "mirror": mirrored["mirror"]}, 0), x), (
        "twice is as it was"
    )
    middle = {"x": x, "shift": torch.full((12, 2), 3)}
    assert torch.equal(cropped_and_flipped(middle, 3), x)


def test_draws_are_uniform_and_mixup_is_beta():
    many = draws(generator(0, "noise"), 20_000, crop=4, flip=True, mixup=0.3)
    assert (
        torch.bincount(many["shift"].flatten(), minlength=9).sub(40_000 / 9).abs().max()
        < 5 * (40_000 / 9) ** 0.5
    )
    assert abs(many["mirror"].double().mean() - 0.5) < 5 * 0.5 / 20_000**0.5
    assert (
        torch.equal(many["partner"].sort().values, torch.arange(20_000)) and many["mix"].unique().numel() == 1
    )
    shares = np.array(
        [float(draws(generator(s, "noise"), 1, crop=0, flip=False, mixup=0.3)["mix"]) for s in range(2000)]
    )
    assert abs(shares.mean() - 0.5) < 5 * (0.25 / 1.6 / 2000) ** 0.5 and abs(shares.var() - 0.25 / 1.6) < 0.02


def test_normalisation():
    x = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8)
    about = task("cifar100").about()
    mean, std = (np.array(v)[:, None, None] for v in (about.mean, about.std))
    np.testing.assert_allclose(
        normalised(x, about, {"w": torch.zeros(1, dtype=torch.float64)}),
        (x.numpy() / 255 - mean) / std,
        rtol=1e-12,
    )
    assert normalised(x, about, {"w": torch.zeros(1)}).dtype == torch.float32


def a_batch(made, rows=12, step=0):
    batch = {n: t[:rows] for n, t in made.data().train.items()}
    drawn = made.noise(generator(1, "noise", index=step), rows)
    return {**batch, **{n: t.float() if t.is_floating_point() else t for n, t in drawn.items()}}


def test_loss_accuracy_and_metrics_against_the_network_itself():
    """With mixup: one share for the batch, partners permuted; the watched accuracy weighs both labels."""
    made = task(examples_per_class=2, mixup=0.5, model={"name": "simplecnn", "width": 4, "hidden": 8})
    params, buffers = made.init(generator(0, "init"))
    assert buffers == {"watch.accuracy": torch.zeros(())}
    batch = a_batch(made)
    net = made.network()
    net.load_state_dict(params)
    image = augmented(*(batch[n].numpy() for n in ("x", "shift", "mirror")), 4)
    mean, std = (np.array(v)[:, None, None] for v in (made.about().mean, made.about().std))
    x = torch.from_numpy((image / 255 - mean) / std).float()
    order, share, y = batch["partner"].argsort(), float(batch["mix"][0]), batch["y"]
    logits = net(share * x + (1 - share) * x[order])
    entropy = torch.nn.functional.cross_entropy
    value, after = made.loss(params, buffers, batch)
    torch.testing.assert_close(value, share * entropy(logits, y) + (1 - share) * entropy(logits, y[order]))
    right = [float((logits.argmax(1) == label).float().mean()) for label in (y, y[order])]
    assert float(after["watch.accuracy"]) == pytest.approx(share * right[0] + (1 - share) * right[1])
    torch.testing.assert_close(made.plain_loss(params, buffers, batch), value)
    plain = net(torch.from_numpy((batch["x"].numpy() / 255 - mean) / std).float())
    found = made.metrics(made.statistics(params, buffers, batch))
    torch.testing.assert_close(found["loss"], entropy(plain, y))
    assert float(found["accuracy"]) == pytest.approx(float((plain.argmax(1) == y).float().mean()))


def test_a_slice_of_a_batch_still_has_its_partners():
    """Probes measure on the first examples of a batch."""
    made = task(examples_per_class=2, mixup=0.5)
    start = made.init(generator(0, "init"))
    part = {n: t[:5] for n, t in a_batch(made).items()}
    assert torch.isfinite(made.plain_loss(*start, part)) and set(part["partner"].argsort().tolist()) == set(
        range(5)
    )


def runs(count=3, **changes):
    options = {"source": "random", "total_examples": 20, "model": SMALL, "mixup": 0.4}
    base = {
        "optimizer": spec("sgd", momentum=0.9),
        "length": "5",
        "batch_size": 8,
        "precision": "float64",
        "evaluate": "5",
    }
    base["task"] = spec("cifar10", **options)
    return [Run(**{**base, "peak_lr": 0.02 * (i + 1), "seed": i % 2, **changes}) for i in range(count)]


def ends(these, where, start=None):
    setup = set_up(these, where)
    for now in train(setup, start(setup) if start else None):
        last = now
    return last.losses.numpy(), last.state.buffers["watch.accuracy"]


def test_resnet18_gives_the_same_losses_alone_and_in_a_fleet():
    """With crop, flip and mixup; runs of one seed at two rates see the same images."""
    alone = [ends([r], single()) for r in runs()]
    for where in (fleet(), fleet("traced")):
        together, accuracy = ends(runs(), where)
        np.testing.assert_allclose(together, [one for one, _ in alone], rtol=1e-10)
        torch.testing.assert_close(accuracy, torch.stack([a for _, a in alone]), rtol=1e-10, atol=1e-12)
    assert together[0][0] == pytest.approx(together[2][0], rel=1e-12) and together[0][0] != together[1][0]


@pytest.mark.slow
def test_the_whole_resnet18_gives_the_same_losses_alone_and_in_a_fleet():
    whole = spec("cifar10", source="random", total_examples=8, mixup=0.4)
    these = runs(task=whole, length="2", batch_size=4, precision="float32", evaluate="2")
    these = [
        r.but(peak_lr=r.peak_lr / 100) for r in these
    ]  # four images a batch: at larger rates rounding grows tenfold a step
    np.testing.assert_allclose(ends(these, fleet())[0], [ends([r], single())[0] for r in these], rtol=1e-5)


def test_a_resumed_run_sees_the_images_it_would_have_seen():
    these = runs(1)
    setup = set_up(these, single())
    saved = checkpoint.dump(setup, next(p for p in train(setup) if p.step == 2))
    resumed = ends(these, single(), lambda fresh: checkpoint.load(fresh, saved))[0]
    assert resumed.tobytes() == ends(these, single())[0].tobytes()


@pytest.mark.parametrize(
    "name,options,message",
    [
        (
            "cifar10",
            {"examples_per_class": 5, "total_examples": 50},
            "takes examples_per_class or total_examples, not both, got 5 and 50",
        ),
        (
            "cifar10",
            {"examples_per_class": 0},
            "examples_per_class of task 'cifar10' must be a whole number of at least 1, got 0",
        ),
        (
            "cifar10",
            {"total_examples": 2.5},
            "total_examples of task 'cifar10' must be a whole number of at least 1, got 2.5",
        ),
        ("cifar10", {"examples_per_class": True}, "must be a whole number of at least 1, got True"),
        (
            "cifar10",
            {"examples_per_class": 4501},
            "must be at most 4500 (a tenth of the training images is held out), got 4501",
        ),
        ("cifar100", {"examples_per_class": 501, "selection": "test"}, "must be at most 500, got 501"),
        ("cifar100", {"total_examples": 45001}, "must be at most 45000"),
        ("pathmnist", {"examples_per_class": 7887}, "must be at most 7886, got 7887"),
        (
            "cifar10",
            {"selection": "tset"},
            "unknown selection of task 'cifar10' 'tset': did you mean 'test'? Known: test, validation",
        ),
        (
            "cifar10",
            {"source": "offical"},
            "unknown source of task 'cifar10' 'offical': did you mean 'official'?",
        ),
        ("cifar10", {"crop": -1}, "crop of task 'cifar10' must be 0 to 32 pixels, got -1"),
        ("cifar10", {"mixup": -0.1}, "mixup of task 'cifar10' must be 0 (none) or above, got -0.1"),
        ("cifar10", {"flip": 1}, "option flip of task 'cifar10' must be true or false, got 1"),
        ("cifar10", {"examples": 5}, "unknown option of task 'cifar10' 'examples': did you mean"),
    ],
    ids=lambda v: str(v)[:40],
)
def test_mistakes_are_told_when_the_run_is_declared(name, options, message):
    with pytest.raises(UserError) as caught:
        Run(task=spec(name, **options))
    assert message in str(caught.value)


def short(**options):
    with pytest.raises(UserError) as caught:
        task(source="local", **options).ready()
    with pytest.raises(UserError) as again:
        task(source="local", **options).data()
    assert str(again.value) == str(caught.value)
    return str(caught.value)


def test_files_that_do_not_hold_what_is_asked(local):
    """And why a class of 6 has 5: one is held out. Of a class with one image none is left."""
    local((20,) * 7 + (6,) + (20,) * 2)
    less = "(6 less a tenth, at least one, held out for validation; selection=test takes all)"
    five = f"class 7 of the local cifar10 files has 5 images to train on {less}, but"
    assert short(examples_per_class=8) == f"{five} 8 are asked for: write 5 or less a class"
    assert f"{five} 6 are asked for" in short(total_examples=51)
    assert "has 6 images to train on, but 8 are asked for" in short(examples_per_class=8, selection="test")
    assert len(task(source="local", total_examples=50).subset(generator(0, "subset"))) == 50
    local((20,) * 9 + (1,))
    assert "class 9 of the local cifar10 files has 0 images to train on (1 less a tenth," in (said := short())
    assert said.endswith("but every class needs one") and "every class needs one" in short(
        examples_per_class=1
    )
    assert task(source="local", selection="test").ready() is None
    local((2,) * 10)
    found = task(source="local").data()
    assert (
        torch.bincount(found.train["y"]).tolist()
        == torch.bincount(found.validation["y"]).tolist()
        == [1] * 10
    )


def test_files_that_change_are_read_anew(tmp_path, monkeypatch):
    """Rewritten, or in another folder, in one process: data, sizes and what a record says of them follow."""

    def write(folder, seed, per_class=3):
        file, content = imitation("pathmnist", per_class, seed=seed)
        folder.mkdir(exist_ok=True)
        (folder / file).write_bytes(content)
        monkeypatch.setenv("PREHEAT_DATA", str(folder))
        made = task("pathmnist", source="local")
        found = made.data()
        assert made.data() is found and made.examples == len(found.train["y"]) == len(
            made.subset(generator(0, "subset"))
        )
        return int(found.train["x"].sum()), made.examples, made.origin()["data"]

    seen = [write(tmp_path / "a", 0), write(tmp_path / "a", 1, 4), write(tmp_path / "b", 2)]
    assert [s[1] for s in seen] == [27, 36, 27] and all(
        len(set(column)) == 3 for column in (list(zip(*seen, strict=True))[::2])
    )
    monkeypatch.setenv("PREHEAT_DATA", str(tmp_path / "a"))
    back = task("pathmnist", source="local")
    assert (int(back.data().train["x"].sum()), back.examples, back.origin()["data"]) == seen[1]


def test_local_images_are_counted_and_checked_without_torch(tmp_path):
    """A run of all local images is declared, and its files checked, as quickly as any."""
    file, content = imitation("cifar10", 20)
    (tmp_path / file).write_bytes(content)
    code = (
        "import sys; from preheat.core.run import Run; from preheat.core.spec import build\n"
        "r = Run(task={'name': 'cifar10', 'source': 'local'}, length='2ep', batch_size=8)\n"
        "build('task', r.task).ready(); print(r.steps_per_epoch, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PREHEAT_DATA": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["23", "False"]


def test_a_run_says_its_model_in_full_and_reads_back():
    run = Run(task=spec("cifar10", examples_per_class=5.0, source="random"))
    assert run.json()["task"] == {
        "name": "cifar10",
        "examples_per_class": 5,
        "total_examples": None,
        "model": {"name": "resnet18", "width": 64},
        "crop": 4,
        "flip": True,
        "mixup": 0.0,
        "selection": "validation",
        "source": "random",
    }
    assert Run.from_json(run.json()).id == run.id
    path = Run(task="pathmnist").json()["task"]
    assert (path["crop"], path["flip"]) == (0, False)


def test_mse_and_standardised_images_against_the_network_itself():
    """Mixup blends the one-hot targets; images are standardised before they are padded, with zeros."""
    small = {"name": "fcn", "width": 8}
    made = task(examples_per_class=2, mixup=0.5, objective="mse", standardise="image", model=small)
    params, buffers = made.init(generator(0, "init"))
    batch = a_batch(made)
    net = made.network()
    net.load_state_dict(params)
    image = batch["x"].numpy() / 255
    each = image.reshape(len(image), -1)
    image = (image - each.mean(1)[:, None, None, None]) / each.std(1)[:, None, None, None]
    moved = augmented(image, batch["shift"].numpy(), batch["mirror"].numpy(), 4)
    order, share, y = batch["partner"].argsort(), float(batch["mix"][0]), batch["y"]
    x, target = torch.from_numpy(moved).float(), torch.eye(10)[y]
    logits = net(share * x + (1 - share) * x[order])
    target = share * target + (1 - share) * target[order]
    value, after = made.loss(params, buffers, batch)
    torch.testing.assert_close(value, 0.5 * (logits - target).square().mean(), rtol=1e-4, atol=1e-6)
    right = [float((logits.argmax(1) == label).float().mean()) for label in (y, y[order])]
    assert float(after["watch.accuracy"]) == pytest.approx(share * right[0] + (1 - share) * right[1])
    plain = net(torch.from_numpy(image).float())
    halves = [{n: t[rows] for n, t in batch.items()} for rows in (slice(0, 7), slice(7, None))]
    parts = [made.statistics(params, buffers, half) for half in halves]
    found = made.metrics({n: parts[0][n] + parts[1][n] for n in parts[0]})
    torch.testing.assert_close(
        found["loss"], 0.5 * (plain - torch.eye(10)[y]).square().mean(), rtol=1e-4, atol=0
    )
    assert float(found["accuracy"]) == pytest.approx(float((plain.argmax(1) == y).float().mean()))


def test_an_image_of_one_colour_is_standardised_to_zero():
    x = torch.full((2, 3, 4, 4), 77.0)
    x[1, 0, 0, 0] = 79.0
    out = standardised(x)
    assert not out[0].any() and float(out[1].mean()) == pytest.approx(0, abs=1e-4)
    assert float(out[1].std(unbiased=False)) == pytest.approx(1, rel=1e-5)


def test_digits_take_mse_and_standardised_images():
    made = build("task", spec("digits", objective="mse", standardise="image", model="fcn"))
    data = made.data()
    for part in data:
        flat = part["x"].flatten(1)
        assert flat.mean(1).abs().max() < 1e-12 and (flat.std(1, unbiased=False) - 1).abs().max() < 1e-12
    params, buffers = made.init(generator(0, "init"))
    batch = {"x": data.train["x"][::20].float(), "y": data.train["y"][::20]}
    net = made.network()
    net.load_state_dict(params)
    expected = 0.5 * (net(batch["x"]) - torch.eye(10)[batch["y"]]).square().mean()
    torch.testing.assert_close(made.loss(params, buffers, batch)[0], expected)
    found = made.metrics(made.statistics(params, buffers, batch))
    torch.testing.assert_close(found["loss"], expected)


def test_the_loss_by_chance_is_told_where_the_objective_is_not_the_cross_entropy():
    plain, squared = (build("task", spec("digits", objective=o)) for o in ("cross_entropy", "mse"))
    assert plain.chance() == {"accuracy": 0.1}
    best = objective("mse", torch.full((10, 10), 0.1), torch.arange(10))
    assert squared.chance() == {"accuracy": 0.1, "loss": pytest.approx(float(best))}


def test_objectives_give_the_same_losses_alone_and_in_a_fleet():
    model = {"name": "myrtle", "width": 4, "parameterisation": "mu"}
    options = {"source": "random", "total_examples": 20, "mixup": 0.4, "model": model}
    these = runs(2, task=spec("cifar10", **options, objective="mse", standardise="image"))
    alone = [ends([r], single()) for r in these]
    for where in (fleet(), fleet("traced")):
        together, accuracy = ends(these, where)
        np.testing.assert_allclose(together, [one for one, _ in alone], rtol=1e-10)
        torch.testing.assert_close(accuracy, torch.stack([a for _, a in alone]), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name,scaling", [("digits", "none"), ("cifar10", "set")])
def test_what_objective_and_scaling_are_is_told_only_where_it_is_not_the_default(name, scaling):
    plain = Run(task=name)
    assert not {"objective", "standardise"} & plain.json()["task"].keys()
    assert Run(task=spec(name, objective="cross_entropy", standardise=scaling)).id == plain.id
    other = Run(task=spec(name, objective="mse", standardise="image"))
    assert other.id != plain.id and Run.from_json(other.json()) == other
    with pytest.raises(UserError, match=f"unknown objective of task '{name}' 'msee': did you mean 'mse'"):
        Run(task=spec(name, objective="msee"))
    with pytest.raises(
        UserError, match=f"unknown standardise of task '{name}' 'sample'. Known: image, {scaling}"
    ):
        Run(task=spec(name, standardise="sample"))
