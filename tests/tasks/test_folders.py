"""Folders of images: layouts, splits, decoding once, what is kept, what is refused, and the tasks on them."""

from __future__ import annotations

import errno
import io
import json
import multiprocessing
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from preheat.core.errors import UserError
from preheat.core.run import Run
from preheat.core.spec import build, spec
from preheat.engine.keys import generator
from preheat.engine.loop import set_up, train
from preheat.engine.placement import single
from preheat.tasks import decoding, files, folders
from preheat.tasks.decoding import decoded
from preheat.tasks.folders import tree
from preheat.tasks.imitation import imitation
from preheat.tasks.sets import SETS, TINY_IMAGENET

S = 8
MODEL = {"name": "simplecnn", "width": 2, "hidden": 4}


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PREHEAT_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def pixels(number: int, size: int = S) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (size, size, 3), dtype=np.uint8)


def image(path: Path, number: int = 0, *, mode: str = "RGB", shape: tuple[int, int] = (S, S)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = Image.fromarray(pixels(number, max(shape))[: shape[1], : shape[0]])
    made.convert(mode).save(path)


def split(root: Path, per_class: dict[str, int], *, first: int = 0) -> None:
    numbers = iter(range(first, 1000))
    for kind, count in per_class.items():
        for i in range(count):
            image(root / kind / f"{i:02d}.png", next(numbers))


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """train/ and test/ of two classes."""
    split(tmp_path / "own" / "train", {"cat": 12, "dog": 5})
    split(tmp_path / "own" / "test", {"cat": 2, "dog": 1}, first=100)
    return tmp_path / "own"


def rows(root: Path) -> list[tuple[str, int]]:
    found = tree(root)
    return list(zip(found.names, found.labels.tolist(), strict=True))


def refused(root: Path, **options: object) -> str:
    with pytest.raises(UserError) as caught:
        build("task", spec("image_folder", path=str(root), pixels=S, model=MODEL, **options)).ready()
    return str(caught.value)


def own(root: Path, **options: object):
    return build("task", spec("image_folder", path=str(root), pixels=S, model=MODEL, crop=1, **options))


# --- layouts


def test_train_and_test_hold_a_tenth_of_each_class_out(plain: Path) -> None:
    found = tree(plain)
    assert found.classes == ("cat", "dog") and found.parts == (15, 2, 3) and found.counts == (12, 5)
    assert found.labels.tolist() == [0] * 11 + [1] * 4 + [0, 1] + [0, 0, 1]
    assert {n.split("/")[0] for n in found.names[:17]} == {"train"} and len({*found.names}) == 20
    assert all(n.split("/")[1] == found.classes[y] for n, y in rows(plain))


def test_val_stands_for_test_or_chooses_beside_it(plain: Path) -> None:
    before = rows(plain)
    (plain / "test").rename(plain / "val")
    assert [(n.replace("val/", "test/"), y) for n, y in rows(plain)] == before
    split(plain / "test", {"cat": 1, "dog": 3}, first=200)
    found = tree(plain)
    assert found.validation and found.parts == (17, 3, 4) and found.counts == (12, 5)
    assert {n.split("/")[0] for n in found.names[17:20]} == {"val"}


def test_one_tree_is_split_by_a_hash_of_the_names(tmp_path: Path) -> None:
    for root in (tmp_path / "one", tmp_path / "moved"):
        split(root, {"b": 41, "a": 7})
    found = tree(tmp_path / "one")
    assert found.classes == ("a", "b") and found.parts == (39, 4, 5)
    assert rows(tmp_path / "moved") == rows(tmp_path / "one")
    counts = [np.bincount(part).tolist() for part in np.split(found.labels, np.cumsum(found.parts)[:2])]
    assert counts == [[5, 34], [1, 3], [1, 4]]
    tested = {n for n, _ in rows(tmp_path / "one")[-5:]}
    assert tested != {f"b/{i:02d}.png" for i in range(4)} | {"a/00.png"}, "not the first by name"
    (tmp_path / "one" / found.names[20]).unlink()
    assert tested == {n for n, _ in rows(tmp_path / "one")[-5:]}, "one fewer to train on changes no test set"


def test_names_at_any_depth_links_hidden_files_and_others(plain: Path, tmp_path: Path) -> None:
    image(plain / "train" / "cat" / "deep" / "er" / "é.JPEG")
    (plain / "train" / "cat" / ".hidden.png").write_bytes(b"")
    (plain / "train" / "notes.txt").write_text("text")
    (plain / "train" / "dog" / "loop").symlink_to(plain)
    split(tmp_path / "far", {"emu": 3})
    (plain / "train" / "emu").symlink_to(tmp_path / "far" / "emu")
    image(plain / "test" / "emu" / "0.png")
    found = tree(plain)
    assert found.counts == (13, 5, 3) and "train/cat/deep/er/é.JPEG" in found.names


def tiny(folder: Path, monkeypatch: pytest.MonkeyPatch, classes: int = 3) -> Path:
    monkeypatch.setitem(SETS, "tiny_imagenet", replace(TINY_IMAGENET, classes=classes))
    name, content = imitation("tiny_imagenet", 4)
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name


def test_tiny_imagenet_is_read_from_its_zip_and_unpacked(data: Path, monkeypatch) -> None:
    path = tiny(data, monkeypatch)
    zipped = files.arrays("tiny_imagenet", "local")
    found = tree(path)
    assert found.parts == (9, 3, 30) and found.classes == ("n00000000", "n00000001", "n00000002")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(data)
        name = found.names[20]
        content = archive.read(f"tiny-imagenet-200/{name}")
        said = archive.read("tiny-imagenet-200/val/val_annotations.txt").decode()
    expected = np.asarray(Image.open(io.BytesIO(content))).transpose(2, 0, 1)
    np.testing.assert_array_equal(zipped.test[0][20 - 12], expected)
    line = next(row for row in said.splitlines() if row.startswith(name.rpartition("/")[2] + "\t"))
    assert line.split("\t")[1] == found.classes[zipped.test[1][20 - 12]]
    path.unlink()
    folder = files.arrays("tiny_imagenet", "local")
    for a, b in zip(zipped, folder, strict=True):
        assert a is b is None or (np.array_equal(a[0], b[0]) and np.array_equal(a[1], b[1]))
    whence = files.origin("tiny_imagenet", "local")["data"]
    assert whence.startswith("tiny-imagenet-200 md5 ")
    victim = data / "tiny-imagenet-200" / found.names[0]
    (data / "tiny-imagenet-200" / "val" / "images" / "val_3.JPEG").rename(victim.with_name("new.JPEG"))
    assert files.origin("tiny_imagenet", "local")["data"] != whence, "a folder that changes is read anew"


def test_the_task_trains_on_what_is_not_held_out(data: Path, monkeypatch) -> None:
    tiny(data, monkeypatch)
    monkeypatch.setattr(
        build("task", spec("tiny_imagenet")).__class__,
        "about",
        classmethod(lambda cls: cls_about),
    )
    made = build("task", spec("tiny_imagenet", source="local", model=MODEL))
    made.ready()
    assert [len(part["y"]) for part in made.data()] == [9, 3, 30] and made.examples == 9
    whole = build("task", spec("tiny_imagenet", source="local", model=MODEL, selection="test"))
    assert [len(part["y"]) for part in whole.data()] == [12, 30, 30] and whole.examples == 12


cls_about = build("task", spec("tiny_imagenet", source="random")).about()._replace(counts=(500,) * 3)


# --- decoding


def test_every_image_is_decoded_once_to_rgb(plain: Path, data: Path, monkeypatch, capsys) -> None:
    found = tree(plain)
    made = decoded(found, S, resize=False, folder=data)
    for i, name in enumerate(found.names):
        np.testing.assert_array_equal(made.images[i], np.asarray(Image.open(plain / name)).transpose(2, 0, 1))
    assert "decoding 20 images of" in capsys.readouterr().err
    kept = {p: p.read_bytes() for p in (data / "decoded").iterdir()}
    assert sorted(p.suffix for p in kept) == [".json", ".npy"]
    monkeypatch.setattr(decoding, "_pixels", None)
    again(monkeypatch)
    second = decoded(tree(plain), S, resize=False, folder=data)
    np.testing.assert_array_equal(second.images, made.images)
    second.images[0] = 0
    assert {p: p.read_bytes() for p in kept} == kept, "writing to the array never changes the file"
    assert isinstance(second.images, np.memmap) and second.md5 == made.md5 and capsys.readouterr().err == ""


def again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in another process."""
    monkeypatch.setattr(decoding, "_mapped", {})
    monkeypatch.setattr(folders, "_known", {})


@pytest.mark.parametrize("mode,suffix", [("L", "png"), ("RGBA", "png"), ("LA", "png"), ("P", "png"), ("1", "png"),
                                         ("CMYK", "jpg"), ("L", "jpeg")])  # fmt: skip
def test_other_modes_become_rgb(plain: Path, data: Path, mode: str, suffix: str) -> None:
    image(plain / "train" / "cat" / f"odd.{suffix}", 3, mode=mode)
    found = tree(plain)
    at = found.names.index(f"train/cat/odd.{suffix}")
    with Image.open(plain / found.names[at]) as odd:
        assert odd.mode == mode
        expected = np.asarray(odd.convert("RGB")).transpose(2, 0, 1)
    np.testing.assert_array_equal(decoded(found, S, resize=False, folder=data).images[at], expected)


def test_mixed_sizes_are_refused_or_cut_out_of_the_middle(plain: Path, data: Path) -> None:
    wide = plain / "train" / "cat" / "00.png"
    image(wide, 5, shape=(3 * S, S))
    said = refused(plain)
    assert "00.png in" in said and "must be 8 x 8 pixels, it is 24 x 8: set resize=true, or pixels" in said
    found = tree(plain)
    made = decoded(found, S, resize=True, folder=data).images
    middle = np.asarray(Image.open(wide))[:, S : 2 * S].transpose(2, 0, 1)
    np.testing.assert_array_equal(made[found.names.index("train/cat/00.png")], middle)
    half = decoded(found, S // 2, resize=True, folder=data).images
    assert half.shape == (20, 3, 4, 4)
    assert np.abs(half[-1].mean() - made[-1].mean()) < 12, "averaged, not picked"


def test_a_changed_image_or_a_damaged_file_is_decoded_anew(plain: Path, data: Path, monkeypatch) -> None:
    first = decoded(tree(plain), S, resize=False, folder=data)
    before, (kept,) = first.images.copy(), (data / "decoded").glob("*.npy")
    about = kept.with_suffix(".json")
    whole = kept.read_bytes()
    for damage in (
        lambda: kept.write_bytes(whole[:-7]),
        lambda: kept.write_bytes(b"x" * len(whole)),
        kept.unlink,
        lambda: about.write_text("{"),
        lambda: about.write_text("[1]"),
        about.unlink,
    ):
        damage()
        again(monkeypatch)
        made = decoded(tree(plain), S, resize=False, folder=data)
        assert np.array_equal(made.images, before) and kept.read_bytes() == whole
        assert made.md5 == first.md5
    image(plain / "test" / "dog" / "00.png", 77)
    again(monkeypatch)
    made = decoded(tree(plain), S, resize=False, folder=data)
    assert made.md5 != first.md5 and not np.array_equal(made.images[-1], before[-1])
    assert len(list((data / "decoded").iterdir())) == 2


def test_who_is_stopped_goes_on_from_the_last_whole_row(plain: Path, data: Path, monkeypatch) -> None:
    monkeypatch.setattr(decoding, "BYTES", 4 * 3 * S * S)  # four images at a time
    names, real = [], decoding._pixels

    def stopped(content, size, resize, what):
        names.append(what)
        if len(names) == 11:
            raise KeyboardInterrupt
        return real(content, size, resize, what)

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    monkeypatch.setattr(decoding, "_pixels", stopped)
    with pytest.raises(KeyboardInterrupt):
        decoded(tree(plain), S, resize=False, folder=data)
    (part,) = (data / "decoded").glob(".*.part")
    part.write_bytes(part.read_bytes() + b"half a row")
    assert not list((data / "decoded").glob("*.npy"))
    names.clear()
    monkeypatch.setattr(decoding, "_pixels", lambda *a: names.append(a[3]) or real(*a))
    made = decoded(tree(plain), S, resize=False, folder=data)
    assert len(names) == 20 - 8
    elsewhere = decoded(tree(plain), S, resize=False, folder=data / "other")
    assert np.array_equal(made.images, elsewhere.images) and made.md5 == elsewhere.md5
    assert sorted(p.suffix for p in (data / "decoded").iterdir()) == [".json", ".npy"]


def test_a_full_disk_is_told_and_loses_nothing(plain: Path, data: Path, monkeypatch) -> None:
    real = os.replace

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    said = refused(plain)
    assert "cannot decode 20 images of" in said and "the disk is full" in said
    assert said.endswith("what was decoded is kept, and the same command goes on from there")
    monkeypatch.setattr(os, "replace", real)
    monkeypatch.setattr(decoding, "_pixels", None)  # nothing is left to decode
    assert decoded(tree(plain), S, resize=False, folder=data).images.shape == (20, 3, S, S)


def _decode(root: Path, folder: Path, queue) -> None:
    made = decoded(tree(root), S, resize=False, folder=folder)
    queue.put((made.md5, int(made.images.sum())))


def test_processes_that_decode_at_once_agree(plain: Path, data: Path) -> None:
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    workers = [context.Process(target=_decode, args=(plain, data, queue)) for _ in range(4)]
    for worker in workers:
        worker.start()
    seen = {queue.get(timeout=60) for _ in workers}
    for worker in workers:
        worker.join()
    made = decoded(tree(plain), S, resize=False, folder=data)
    assert seen == {(made.md5, int(made.images.sum()))}
    assert sorted(p.suffix for p in (data / "decoded").iterdir()) == [".json", ".npy"]


# --- what is refused


def test_folders_that_hold_no_classes_of_images_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "x"
    assert "must be there" in refused(root)
    with pytest.raises(UserError, match="must be a folder of images, got none: write path=FOLDER"):
        Run(task="image_folder")
    assert build("task", spec("image_folder")).path == "", "a study compares options with the defaults"
    (root / "a").mkdir(parents=True)
    assert "must hold images, CLASS/NAME.jpg, .jpeg or .png, it holds none" in refused(root)
    split(root, {"a": 3})
    assert f"must be of two classes at least, {root} has the folder a alone" in refused(root)
    image(root / "lost.png")
    assert "an image must lie in the folder of its class, lost.png" in refused(root)
    (root / "lost.png").rename(root / "lost.webp")
    assert "must be JPEG or PNG, got lost.webp: convert it" in refused(root)
    (root / "lost.webp").unlink()
    split(root, {"b": 1})
    assert "must have images to train on, b has none" in refused(root)


def test_a_class_that_one_split_lacks_is_named(plain: Path) -> None:
    image(plain / "test" / "emu" / "0.png")
    assert "must have images to train on, emu has none" in refused(plain)
    (plain / "test" / "emu").rename(plain / "train" / "emu")
    assert "must have images to test on, emu has none" in refused(plain)


@pytest.mark.parametrize("how", ["cut", "page", "empty", "renamed"])
def test_an_image_that_cannot_be_read_is_named(plain: Path, how: str) -> None:
    bad = plain / "train" / "dog" / "02.png"
    content = bad.read_bytes()
    if how == "renamed":
        Image.fromarray(pixels(0)).save(bad, "GIF")
    else:
        bad.write_bytes({"cut": content[: len(content) // 2], "page": b"<html>", "empty": b""}[how])
    said = refused(plain)
    assert "train/dog/02.png in" in said and "must be a JPEG or PNG, it is cut off or damaged" in said
    assert (", or of another format: convert" in said) == (how != "cut") and "0x" not in said


def test_a_class_must_have_an_image_left_to_train_on(tmp_path: Path) -> None:
    split(tmp_path / "own", {"cat": 3, "dog": 2})
    run = {"task": {"name": "image_folder", "path": str(tmp_path / "own"), "pixels": S, "model": MODEL}}
    with pytest.raises(UserError, match="left to train on, dog has none: its only one beside the test set"):
        Run.from_json({**run, "optimizer": "sgd", "schedule": "constant", "peak_lr": 0.1, "length": 2})
    assert own(tmp_path / "own", selection="test").examples == 3


def test_deep_and_absurdly_large_images_are_refused(plain: Path, monkeypatch) -> None:
    bad = plain / "train" / "dog" / "02.png"
    Image.fromarray(np.zeros((S, S), np.uint16)).save(bad)
    assert "train/dog/02.png" in (said := refused(plain)) and "must have 8 bits a channel" in said
    bad.unlink()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert "cut off or damaged (Image size (64 pixels) exceeds limit" in refused(plain)
    monkeypatch.setattr(folders, "MOST", 10)
    image(bad)
    assert "must have at most 10 bytes" in refused(plain)


def test_a_tree_of_other_classes_is_not_tiny_imagenet(data: Path, monkeypatch) -> None:
    tiny(data, monkeypatch)
    monkeypatch.setitem(SETS, "tiny_imagenet", TINY_IMAGENET)
    with pytest.raises(
        UserError, match="must have the 200 classes of Tiny-ImageNet-200, in its layout, got 3"
    ):
        files.arrays("tiny_imagenet", "local")


@pytest.mark.parametrize(
    "options,message",
    [
        ({"path": "x", "pixels": 0}, "pixels of task 'image_folder' must be 1 to 1024, got 0"),
        ({"path": "x", "source": "official"}, "unknown source of task 'image_folder' 'official'"),
        ({"path": "x", "examples_per_class": 0}, "must be a whole number of at least 1, got 0"),
    ],
)
def test_mistakes_are_told_when_the_task_is_declared(options, message) -> None:
    with pytest.raises(UserError, match=message):
        build("task", spec("image_folder", **options))


# --- the task


def test_the_sets_of_a_folder_are_views_of_the_decoded_file(plain: Path) -> None:
    made = own(plain)
    found, names = made.data(), tree(plain).names
    assert (made.examples, made.evaluated, made.classes, made.at_hand) == (15, (2, 3), 2, True)
    assert [len(part["y"]) for part in found] == [15, 2, 3] and made.data() is found
    assert found.train["y"].tolist() == [0] * 11 + [1] * 4
    third = np.asarray(Image.open(plain / names[17 + 1])).transpose(2, 0, 1)
    np.testing.assert_array_equal(found.test["x"][1], third)
    assert found.train["x"].untyped_storage().nbytes() < 4096, "a view"
    whole = own(plain, selection="test")
    assert [len(part["y"]) for part in whole.data()] == [17, 3, 3] and whole.evaluated == (3, 3)
    drawn = own(plain, selection="test", examples_per_class=5).subset(generator(1, "subset"))
    assert torch.bincount(whole.data().train["y"][drawn]).tolist() == [5, 5]
    assert "has 4 images to train on" in refused(plain, examples_per_class=5)


def test_a_published_validation_set_is_never_trained_on(plain: Path) -> None:
    split(plain / "val", {"cat": 1, "dog": 3}, first=200)
    for selection, counts in (("validation", [17, 4, 3]), ("test", [17, 3, 3])):
        made = own(plain, selection=selection)
        assert [len(part["y"]) for part in made.data()] == counts
        assert [made.examples, *made.evaluated] == counts


def test_an_origin_is_that_of_the_files_wherever_they_lie(plain: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "own.zip", "w") as archive:
        for path in plain.rglob("*.png"):
            archive.write(path, f"top/{path.relative_to(plain)}")
    zipped = own(tmp_path / "own.zip")
    assert zipped.origin() == own(plain).origin() and zipped.origin()["data"].startswith("20 images md5 ")
    for a, b in zip(zipped.data(), own(plain).data(), strict=True):
        assert torch.equal(a["x"], b["x"]) and torch.equal(a["y"], b["y"])


def test_random_bytes_stand_in_for_a_folder(plain: Path, data: Path) -> None:
    twin = own(plain).stand_in()
    assert torch.bincount(twin.data().train["y"]).tolist() == [11, 4] and twin.examples == 15
    assert twin.origin() == {"data": "random numbers"} and not (data / "decoded").exists()
    assert build("task", spec("image_folder", source="random", pixels=S, model=MODEL)).classes == 10


def test_a_run_on_a_folder_trains(plain: Path) -> None:
    task = spec("image_folder", path=str(plain), pixels=S, model=MODEL, crop=1)
    run = Run(task=task, length="4", batch_size=5, evaluate="4")
    for now in train(set_up([run], single())):
        last = now
    assert np.isfinite(last.losses.numpy()).all() and last.losses.shape[-1] == 4


def test_a_record_is_read_where_the_folder_is_not(tmp_path: Path) -> None:
    run = Run(
        task=spec("image_folder", path=str(tmp_path / "gone"), model=MODEL, total_examples=9),
        length="4",
        batch_size=4,
    )
    assert Run.from_json(json.loads(json.dumps(run.json()))).id == run.id
