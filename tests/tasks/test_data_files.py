"""The files of the image sets: found, fetched from a local server, checked, read, refused. Nothing here
leaves this machine."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import pickle
import socket
import tarfile
import threading
import zipfile
from dataclasses import replace
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from preheat.core.errors import UserError
from preheat.tasks import fetching, files, formats
from preheat.tasks.imitation import imitation
from preheat.tasks.sets import SETS

CIFAR = ("cifar10", "cifar100")
TINY = replace(SETS["tiny_imagenet"], classes=3)  # 200 take seconds


@lru_cache(maxsize=8)
def imitated(name: str, per_class: int = 2) -> tuple[str, bytes]:
    return imitation(name, per_class)


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder, and no server but our own."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("PREHEAT_DATA", str(folder))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setitem(SETS, TINY.name, TINY)
    for name in SETS:
        monkeypatch.setitem(
            SETS, name, replace(SETS[name], url=f"http://127.0.0.1:{closed_port()}/{SETS[name].file}")
        )
    return folder


@lru_cache(maxsize=1)
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def refused(name: str, source: str = "local") -> str:
    with pytest.raises(UserError) as caught:
        files.arrays(name, source)
    return str(caught.value)


# --- what is read
# -----------------------------------------------------------------------------------------------------


def members(name: str) -> dict[str, bytes]:
    _, content = imitated(name)
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return {m.name.partition("/")[2]: tar.extractfile(m).read() for m in tar}


def unpack(name: str, folder: Path) -> Path:
    out = folder / SETS[name].unpacked
    out.mkdir()
    for member, content in members(name).items():
        (out / member).write_bytes(content)
    return out


def put(name: str, folder: Path) -> Path:
    file, content = imitated(name)
    (folder / file).write_bytes(content)
    return folder / file


def pack(entries: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for info, content in entries:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


@pytest.mark.parametrize("name", SETS)
def test_every_set_is_read_in_the_shapes_of_the_contract(name: str, data: Path) -> None:
    put(name, data)
    found, about = files.arrays(name, "local"), SETS[name]
    for split, count in zip(found, (2, 10, 10), strict=True):
        if split is None:
            assert name != "pathmnist"
            continue
        x, y = split
        assert x.dtype == np.uint8 and x.shape == (about.classes * count, 3, about.size, about.size)
        assert y.dtype == np.int64 and np.bincount(y).tolist() == [count] * about.classes
        assert x.flags.writeable and x.flags.c_contiguous
    assert (found.validation is None) == (name != "pathmnist")
    assert files.arrays(name, "local") is found
    assert files.origin(name, "local") == {
        "data": f"{about.file} md5 {hashlib.md5(imitated(name)[1]).hexdigest()}"
    }


@pytest.mark.parametrize("name", CIFAR)
def test_archive_folder_and_the_folder_itself_hold_the_same(
    name: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = put(name, data)
    first = files.arrays(name, "local")
    archive.unlink()
    folder = unpack(name, data)
    seen = [files.arrays(name, "local")]
    whence = files.origin(name, "local")
    monkeypatch.setenv("PREHEAT_DATA", str(folder))
    seen.append(files.arrays(name, "local"))
    monkeypatch.setenv("PREHEAT_DATA", str(folder.rename(data / "any name")))
    seen.append(files.arrays(name, "local"))
    monkeypatch.chdir(data / "any name")
    monkeypatch.setenv("PREHEAT_DATA", ".")
    seen.append(files.arrays(name, "local"))
    assert files.origin(name, "local") == whence and whence["data"].startswith(f"{SETS[name].unpacked} md5 ")
    for again in seen:
        for a, b in zip((first.train, first.test), (again.train, again.test), strict=True):
            assert np.array_equal(a[0], b[0]) and np.array_equal(a[1], b[1])


def test_pixels_and_labels_come_in_the_order_of_the_batches(data: Path) -> None:
    """Red, green, blue planes by rows, batch after batch: checked against the pickles as Python itself reads
    them."""
    put("cifar10", data)
    x, y = files.arrays("cifar10", "local").train
    raw = [pickle.loads(members("cifar10")[f"data_batch_{i}"], encoding="bytes") for i in range(1, 6)]
    assert y.tolist() == [label for batch in raw for label in batch[b"labels"]]
    whole = np.concatenate([batch[b"data"] for batch in raw])
    assert x[7, 1, 3, 5] == whole[7, 1024 + 3 * 32 + 5] and np.array_equal(x.reshape(len(x), -1), whole)
    put("pathmnist", data)
    with np.load(data / "pathmnist.npz") as npz:
        images, labels = npz["val_images"], npz["val_labels"]
    assert images.shape[1:] == (28, 28, 3) and labels.shape[1:] == (1,)
    split = files.arrays("pathmnist", "local").validation
    assert (
        split is not None
        and split[0][4, 2, 1, 9] == images[4, 1, 9, 2]
        and split[1].tolist() == labels[:, 0].tolist()
    )


@pytest.mark.parametrize("name", CIFAR)
def test_imitated_pickles_are_what_python_2_wrote(name: str) -> None:
    """With encoding="latin1" other readers get text keys, with "bytes" the bytes that the official page
    shows."""
    test = members(name)["test_batch" if name == "cifar10" else "test"]
    assert SETS[name].labels in pickle.loads(test, encoding="latin1")
    found = pickle.loads(test, encoding="bytes")
    extra = {b"coarse_labels"} if name == "cifar100" else set()
    assert set(found) == {b"data", b"batch_label", b"filenames", SETS[name].labels.encode()} | extra
    assert found[b"data"].flags.c_contiguous and type(found[SETS[name].labels.encode()]) is list
    meta = pickle.loads(members(name)["batches.meta" if name == "cifar10" else "meta"], encoding="latin1")
    assert len(meta["label_names" if name == "cifar10" else "fine_label_names"]) == SETS[name].classes


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_pickles_of_python_3_are_read_too(protocol: int, layout: str) -> None:
    x = np.random.default_rng(0).integers(0, 256, (3, 3072), np.uint8)
    given = {b"data": np.asfortranarray(x) if layout == "columns" else x, b"labels": [3, 1, 2]}
    pixels, labels = formats._batch(SETS["cifar10"], pickle.dumps(given, protocol=protocol), "a file")
    assert np.array_equal(pixels.reshape(3, -1), x) and labels.tolist() == [3, 1, 2]


# --- what is refused
# --------------------------------------------------------------------------------------------------

X, Y = np.zeros((10, 3072), np.uint8), list(range(10))
BATCHES = {
    "other keys": (
        {"data": X, "fine_labels": Y},
        "must hold 'data' and 'labels', got ['data', 'fine_labels']",
    ),
    "no dictionary": ([X, Y], "must be a pickled dictionary, got list"),
    "floats": ({"data": X.astype(float), "labels": Y}, "must hold an array of uint8"),
    "flat": ({"data": X[:, :3000], "labels": Y}, "'data' must be uint8 [N, 3072], got uint8 [10, 3000]"),
    "no array": ({"data": "x", "labels": Y}, "got str"),
    "fewer labels": ({"data": X, "labels": Y[:9]}, "a label for each image, got 9 labels and 10 images"),
    "nothing": ({"data": X[:0], "labels": []}, "labels must be whole numbers"),
    "fractions": ({"data": X, "labels": [0.5] * 10}, "labels must be whole numbers [N], got float64 [10]"),
    "ragged": ({"data": X, "labels": [[1], [1, 2]] * 5}, "labels must be whole numbers"),
    "too high": ({"data": X, "labels": [*Y[:9], 57]}, "labels of CIFAR-10 must be 0 to 9, got 57"),
    "negative": ({"data": X, "labels": [*Y[:9], -1]}, "got -1"),
}


@pytest.mark.parametrize("case", BATCHES)
def test_a_batch_that_is_not_cifars_is_refused_by_name(case: str, data: Path) -> None:
    content, message = BATCHES[case]
    folder = unpack("cifar10", data)
    (folder / "data_batch_3").write_bytes(pickle.dumps(content))
    said = refused("cifar10")
    assert message in said and "cifar-10-batches-py/data_batch_3" in said


@pytest.mark.parametrize("name", [*CIFAR, "pathmnist"])
def test_every_class_must_occur(name: str, data: Path) -> None:
    """Nine classes where ten are due: images of one's own, or another set's file under this name."""
    if name == "pathmnist":
        with np.load(put(name, data)) as npz:
            content = dict(npz)
        content["val_labels"][content["val_labels"] == 8] = 0
        np.savez(data / "pathmnist.npz", **content)
        what = "pathmnist.npz: the validation images"
    else:
        folder, test = unpack(name, data), "test_batch" if name == "cifar10" else "test"
        content = pickle.loads((folder / test).read_bytes(), encoding="latin1")
        labels = content[SETS[name].labels]
        content[SETS[name].labels] = [0 if y == 8 else y for y in labels]
        (folder / test).write_bytes(pickle.dumps(content))
        what = f"{folder.name}: the test images"
    assert (
        f"{what} must show every class 0 to {SETS[name].classes - 1}" in (said := refused(name))
        and "of class 8:" in said
    )


def test_cifar_100_in_the_place_of_cifar_10(data: Path) -> None:
    (data / "cifar-10-python.tar.gz").write_bytes(imitated("cifar100")[1])
    said = refused("cifar10")
    assert (
        "must hold cifar-10-batches-py/data_batch_1" in said
        and "found cifar-100-python/train, cifar-100-python/test" in said
    )


NPZ = {
    "missing": ({"val_images": None}, "must hold val_images.npy, got"),
    "size": (
        {"train_images": np.zeros((18, 32, 32, 3), np.uint8)},
        "must be uint8 [N, 28, 28, 3], got uint8 [18, 32, 32, 3]",
    ),
    "grey": ({"train_images": np.zeros((18, 28, 28), np.uint8)}, "got uint8 [18, 28, 28]"),
    "type": ({"train_images": np.zeros((18, 28, 28, 3), np.float32)}, "got float32"),
    "objects": (
        {"train_labels": np.array([{}] * 18, object)},
        "train_labels must be whole numbers [N, 1], got object [18]",
    ),
    "count": ({"train_labels": np.zeros((17, 1), np.uint8)}, "got 17 labels and 18 images"),
    "several": (
        {"train_labels": np.zeros((18, 14), np.uint8)},
        "labels must be whole numbers [N], got uint8 [18, 14]",
    ),
    "range": ({"train_labels": np.full((18, 1), 9, np.uint8)}, "must be 0 to 8, got 9"),
}


def heading(shape: tuple[int, ...], kind: str = "|u1") -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": kind, "fortran_order": False, "shape": shape})
    return out.getvalue()


@lru_cache(maxsize=1)
def good_npz() -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(imitated("pathmnist")[1])) as npz:
        return dict(npz)


def zipped(**members: bytes) -> bytes:
    """The good npz with these members, x for x.npy, in place of its own; a name that ends in _ has no
    suffix."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for key, array in good_npz().items():
            if f"{key}_" in members:
                archive.writestr(key, members[f"{key}_"])
            elif key in members:
                archive.writestr(f"{key}.npy", members[key])
            else:
                with archive.open(f"{key}.npy", "w") as file:
                    np.save(file, array)
    return out.getvalue()


def flagged(content: bytes, local: int, central: int, value: int) -> bytes:
    """A zip with a byte of each member's two heads changed."""
    raw = bytearray(content)
    for mark, offset in ((b"PK\x03\x04", local), (b"PK\x01\x02", central)):
        at = raw.find(mark)
        while at >= 0:
            raw[at + offset] = value
            at = raw.find(mark, at + 4)
    return bytes(raw)


ROW = (28, 28, 3)
HOSTILE = {
    "no npy": (lambda: zipped(train_images_=b"bytes"), "must hold train_images.npy, got ['test_images.npy'"),
    "claims 60 GB": (
        lambda: zipped(train_images=heading((26_000_000, *ROW))),
        "train_images has 0 bytes for uint8 [26000000, 28",
    ),
    "claims 10 EB": (
        lambda: zipped(train_images=heading((10**17, 10**6, 28, 3))),
        "must be uint8 [N, 28, 28, 3], got uint8 [1000",
    ),
    "claims less": (lambda: zipped(train_labels=heading((-1, -18)) + b"0" * 18), "damaged (shape [-1, -18])"),
    "claims many": (
        lambda: zipped(train_labels=heading((10**12, 1), "<i8")),
        "train_labels has 0 bytes for int64",
    ),
    "no shape": (
        lambda: zipped(train_labels=heading(()) + b"1"),
        "train_labels must be whole numbers [N, 1], got uint8 []",
    ),
    "fields": (
        lambda: zipped(train_labels=heading((2,), [("a", "<i4")])),
        "train_labels must be whole numbers [N, 1], got [('a'",
    ),
    "no header": (lambda: zipped(test_labels=heading((90, 1))[:10] + b"(" * 118), "cut off or damaged ("),
    "version": (lambda: zipped(test_labels=b"\x93NUMPY\x09\x00"), "damaged (npy version (9, 0))"),
    "encrypted": (lambda: flagged(zipped(), 6, 8, 1), "is encrypted"),
    "compression": (lambda: flagged(zipped(), 8, 10, 97), "compression method is not supported"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_npz_is_refused_before_room_is_made_for_it(case: str, data: Path) -> None:
    make, message = HOSTILE[case]
    (data / "pathmnist.npz").write_bytes(make())
    assert message in (said := refused("pathmnist")) and "pathmnist.npz" in said


def test_damaged_npz_are_refused_and_never_anything_else(data: Path) -> None:
    """Bytes of the zip's directory, and of an array's header, are changed at random."""
    rng, path, head = np.random.default_rng(0), data / "pathmnist.npz", heading((90, 1))
    labels, good, read, wrong = good_npz()["test_labels"].tobytes(), zipped(), 0, 0
    for turn in range(300):
        content, where = bytearray(head if turn % 2 else good), 0 if turn % 2 else -800
        for at in rng.integers(where, where + (len(head) if turn % 2 else 800), rng.integers(1, 4)):
            content[at] = rng.integers(256)
        path.write_bytes(zipped(test_labels=bytes(content) + labels) if turn % 2 else content)
        try:
            read += len(formats.read(SETS["pathmnist"], path).test[1]) == 90
        except UserError as error:
            wrong += "pathmnist.npz" in str(error)
    assert read > 10 and wrong > 100 and read + wrong == 300


@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_every_npy_that_numpy_writes_of_plain_numbers_is_read(
    columns: bool, version: tuple[int, int], data: Path
) -> None:
    """Columns first, another byte order, the longer header; and the arrays are one's own to change."""
    put("pathmnist", data)
    x, y = files.arrays("pathmnist", "local").test
    given = {"test_images": x.transpose(0, 2, 3, 1), "test_labels": y[:, None].astype(">i8")}
    members = {}
    for key, array in given.items():
        out = io.BytesIO()
        np.lib.format.write_array(
            out, np.asfortranarray(array) if columns else np.ascontiguousarray(array), version
        )
        members[key] = out.getvalue()
    (data / "pathmnist.npz").write_bytes(zipped(**members))
    again = files.arrays("pathmnist", "local").test
    assert np.array_equal(again[0], x) and np.array_equal(again[1], y) and again[0].flags.writeable


@pytest.mark.parametrize("case", NPZ)
def test_an_npz_that_is_not_pathmnists_is_refused(case: str, data: Path) -> None:
    change, message = NPZ[case]
    with np.load(put("pathmnist", data)) as npz:
        content = {k: v for k, v in {**npz, **change}.items() if v is not None}
    np.savez(data / "pathmnist.npz", **content)
    assert message in (said := refused("pathmnist")) and "pathmnist.npz" in said


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99, "page"])
def test_cut_off_files_and_error_pages_are_refused(name: str, share: float | str, data: Path) -> None:
    path = put(name, data)
    content = path.read_bytes()
    path.write_bytes(
        b"<html>not found</html>" if isinstance(share, str) else content[: int(share * len(content))]
    )
    said = refused(name)
    assert path.name in said and ("cut off or damaged" in said or "must be a tar.gz" in said)


@pytest.mark.parametrize("name", SETS)
def test_a_changed_byte_in_the_middle_is_seen_by_the_files_own_sums(name: str, data: Path) -> None:
    path = put(name, data)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    assert "damaged" in refused(name)


def test_damaged_pickles_are_refused_and_never_anything_else() -> None:
    """numpy itself can crash on them; bytes of the structure, before and after the pixels, are changed at
    random."""
    rng = np.random.default_rng(0)
    good = [members("cifar10")["data_batch_1"]]
    good += [pickle.dumps({b"data": X[:2], b"labels": [1, 2]}, protocol=p) for p in (2, 4)]
    read = wrong = 0
    for _ in range(500):
        content = bytearray(good[rng.integers(len(good))])
        for at in rng.integers(-200, 200, rng.integers(1, 4)):
            content[at] = rng.integers(256)
        try:
            x, y = formats._batch(SETS["cifar10"], bytes(content), "a file")
            read += x.shape == (len(y), 3, 32, 32)
        except UserError:
            wrong += 1
    assert read > 50 and wrong > 50 and read + wrong == 500


class Evil:
    def __init__(self, *call) -> None:
        self.call = call[0], call[1:]

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("call", [os.mkdir, eval])
def test_a_malicious_pickle_is_refused_and_not_executed(protocol: int, call, data: Path) -> None:
    made = data / "made"
    given = str(made) if call is os.mkdir else f"open({str(made)!r}, 'w')"
    folder = unpack("cifar10", data)
    (folder / "test_batch").write_bytes(
        pickle.dumps({"data": X, "labels": Evil(call, given)}, protocol=protocol)
    )
    said = refused("cifar10")
    assert "cifar-10-batches-py/test_batch is not a pickle of plain data (it asks for " in said
    assert not made.exists()


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_an_archive_is_read_without_writing_or_following_anything(data: Path) -> None:
    good = [(entry(f"./cifar-10-batches-py/{name}"), content) for name, content in members("cifar10").items()]
    bad = [
        (entry("../outside"), b"x"),
        (entry(str(data / "absolute")), b"x"),
        (entry("cifar-10-batches-py/../../data_batch_1"), b"x"),
        (entry("link", tarfile.SYMTYPE, "/etc/passwd"), b""),
    ]
    (data / "cifar-10-python.tar.gz").write_bytes(pack(bad + good))
    assert len(files.arrays("cifar10", "local").train[1]) == 20
    assert [p.name for p in data.iterdir()] == ["cifar-10-python.tar.gz"] and len(
        list(data.parent.iterdir())
    ) == 1


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_a_wanted_member_must_be_a_plain_file(kind: bytes, data: Path) -> None:
    entries = [
        (entry(f"cifar-10-batches-py/{name}"), content) for name, content in members("cifar10").items()
    ]
    entries[2] = (entry(entries[2][0].name, kind, "/etc/passwd"), b"")
    (data / "cifar-10-python.tar.gz").write_bytes(pack(entries))
    assert "cifar-10-batches-py/data_batch_3 must be a plain file" in refused("cifar10")


@pytest.mark.parametrize(
    ("name", "how"), [*((name, put) for name in (*CIFAR, "pathmnist")), *((name, unpack) for name in CIFAR)]
)
def test_a_member_of_absurd_size_is_refused_before_it_is_read(
    name, how, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how(name, data)
    monkeypatch.setattr(formats, "MOST", 1000)
    assert "must have at most 1,000 bytes" in refused(name)


def test_missing_members_and_files_are_told(data: Path) -> None:
    folder = unpack("cifar10", data)
    (folder / "data_batch_4").unlink()
    assert "data_batch_4 is missing: unpack cifar-10-python.tar.gz again" in refused("cifar10")
    said = refused("cifar100")
    assert (
        f"source=local needs cifar-100-python.tar.gz or the folder cifar-100-python in {data}" in said
        and "--imitate" in said
    )
    assert "pathmnist.npz in" in refused("pathmnist")
    assert "unknown image set 'cifar'" in refused("cifar") and "unknown source of cifar10 'here'" in refused(
        "cifar10", "here"
    )


# --- fetching
# ---------------------------------------------------------------------------------------------------------

BODY = np.random.default_rng(1).bytes(300_000)


class Server(ThreadingHTTPServer):
    """Serves one file. ranges: whether it can send a part; cut: bytes after which each connection breaks;
    tag: its ETag."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.ranges, self.cut, self.tag, self.status = BODY, True, 0, '"one"', 200
        self.asked: list[str | None] = []
        self.go = threading.Event()
        self.go.set()

    def handle_error(self, request, client_address) -> None:
        """A client that hangs up is no news."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        it, span = self.server, self.headers.get("Range")
        it.asked.append(span)
        it.go.wait(10)
        first = (
            int(span[6:-1]) if span and it.ranges and self.headers.get("If-Range", it.tag) == it.tag else 0
        )
        if first >= len(it.body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(it.body)}")
            self.end_headers()
            return
        self.send_response(206 if first else it.status)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(it.body) - 1}/{len(it.body)}")
        self.send_header("Content-Length", str(len(it.body) - first))
        if it.tag:
            self.send_header("ETag", it.tag)
        self.end_headers()
        self.wfile.write(it.body[first : first + it.cut if it.cut else None])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch):
    """A local server that has CIFAR-10's archive, or what stands for it."""
    it = Server()
    thread = threading.Thread(target=it.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setattr(fetching, "CHUNK", 10_000)
    monkeypatch.setitem(
        SETS, "cifar10", replace(SETS["cifar10"], url=f"http://127.0.0.1:{it.server_port}/x", md5=md5(BODY))
    )
    yield it
    it.go.set()
    it.shutdown()
    it.server_close()
    thread.join()


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def fetch() -> bytes:
    return fetching.fetch(SETS["cifar10"], files.folder()).read_bytes()


def failure() -> str:
    with pytest.raises(UserError) as caught:
        fetch()
    return str(caught.value)


def left(folder: Path) -> dict[str, int]:
    return {p.name: p.stat().st_size for p in folder.iterdir() if not p.name.endswith(".lock")}


PART, TAG, NAME = ".cifar-10-python.tar.gz.part", ".cifar-10-python.tar.gz.tag", "cifar-10-python.tar.gz"


def test_a_file_is_fetched_once_with_a_bar_and_checked(
    server: Server, data: Path, monkeypatch, capsys
) -> None:
    """Through the whole way: official archive in, arrays out, and nothing asked twice."""
    file, content = imitated("cifar10")
    server.body = content
    monkeypatch.setitem(SETS, "cifar10", replace(SETS["cifar10"], md5=md5(content)))
    monkeypatch.setenv("PREHEAT_DATA", str(data / "new" / "folder"))
    files.ready("cifar10", "official")
    assert len(files.arrays("cifar10", "official").train[1]) == 20
    assert server.asked == [None] and os.listdir(data / "new" / "folder") == [file]
    said = capsys.readouterr()
    assert (
        "fetching cifar-10-python.tar.gz (170 MB) from http" in said.err
        and "100%" in said.err
        and not said.out
    )
    assert files.origin("cifar10", "official") == {"data": f"{file} md5 {md5(content)}"}


@pytest.mark.parametrize("ranges", [True, False])
def test_an_interrupted_transfer_goes_on_where_it_stopped(
    ranges: bool, server: Server, data: Path, monkeypatch
) -> None:
    """Ctrl-C in the middle keeps what has come; a server that has no parts to send sends it all."""
    from requests import Response

    real, server.ranges = Response.iter_content, ranges

    def stopped(self, size):
        for i, chunk in enumerate(real(self, size)):
            if i == 12:
                raise KeyboardInterrupt
            yield chunk

    with monkeypatch.context() as patch:
        patch.setattr(Response, "iter_content", stopped)
        with pytest.raises(KeyboardInterrupt):
            fetch()
    assert left(data) == {PART: 120_000, TAG: 5}
    assert fetch() == BODY and server.asked == [None, "bytes=120000-"] and left(data) == {NAME: len(BODY)}


def test_connections_that_break_are_taken_up_again_as_long_as_they_bring_more(
    server: Server, data: Path
) -> None:
    server.cut = 80_000
    assert fetch() == BODY and server.asked == [None, "bytes=80000-", "bytes=160000-", "bytes=240000-"]


def test_a_server_that_never_gets_further_is_given_up_with_the_part_kept(server: Server, data: Path) -> None:
    server.cut, server.ranges = 80_000, False
    said = failure()
    assert len(server.asked) == 2 and left(data) == {PART: 80_000, TAG: 5}
    assert (
        "0.1 MB of it are kept and the same command goes on from there" in said and "the connection" in said
    )
    server.cut = 0
    assert fetch() == BODY


@pytest.mark.parametrize("tag", ['"two"', ""])
def test_a_file_that_changed_on_the_server_is_fetched_anew(tag: str, server: Server, data: Path) -> None:
    (data / PART).write_bytes(b"old" * 1000)
    (data / TAG).write_text('"zero"')
    server.tag = tag
    assert fetch() == BODY and server.asked == ["bytes=3000-"] and left(data) == {NAME: len(BODY)}


@pytest.mark.parametrize(("have", "asked"), [(BODY, 1), (BODY + b"more", 2)])
def test_a_part_that_is_whole_or_too_long(have: bytes, asked: int, server: Server, data: Path) -> None:
    """Stopped after the last byte: nothing is left to ask for. Longer than the file: another file's part."""
    (data / PART).write_bytes(have)
    assert fetch() == BODY and len(server.asked) == asked


def test_a_wrong_checksum_removes_the_file_and_shows_both(server: Server, data: Path) -> None:
    server.body = BODY[:-1] + b"?"
    said = failure()
    assert (
        f"expected md5:{md5(BODY)} but got {md5(server.body)}" in said
        and "was removed" in said
        and "by hand: download" in said
    )
    assert left(data) == {}
    server.body = BODY
    assert fetch() == BODY


def test_a_part_of_another_file_without_tags_ends_in_a_wrong_checksum_and_a_new_start(
    server: Server, data: Path
) -> None:
    server.tag = ""
    (data / PART).write_bytes(b"old" * 1000)
    assert "is not the official file and was removed" in failure() and left(data) == {}
    assert fetch() == BODY


@pytest.mark.parametrize(("status", "words"), [(404, "answered 404"), (503, "answered 503")])
def test_a_refusal_of_the_server_is_told_with_the_way_by_hand(
    status: int, words: str, server: Server, data: Path
) -> None:
    server.status = status
    said, about = failure(), SETS["cifar10"]
    assert (
        words in said and f"download {about.url} (md5 {about.md5}), put it at {data / NAME} and run" in said
    )
    assert left(data) == {}


@pytest.mark.parametrize("name", SETS)
def test_offline_says_what_to_download_by_hand_and_where_to_put_it(name: str, data: Path) -> None:
    about, said = SETS[name], refused(name, "official")
    assert f"cannot fetch {about.file}: no connection to 127.0.0.1" in said
    assert (
        f"by hand: download {about.url} (md5 {about.md5}), put it at {data / about.file} and run the same "
        "command again" in said
    )


def test_a_silent_server_is_given_up(server: Server, data: Path, monkeypatch) -> None:
    monkeypatch.setattr(fetching, "TIMEOUT", 0.2)
    server.go.clear()
    assert "did not answer within 0.2 seconds" in failure()


def test_of_two_fetchers_one_waits_and_says_so(server: Server, data: Path, capsys) -> None:
    server.go.clear()
    got: list[bytes] = []
    both = [threading.Thread(target=lambda: got.append(fetch())) for _ in range(2)]
    for thread in both:
        thread.start()
    said = ""
    for _ in range(500):
        said += capsys.readouterr().err
        if "waiting" in said:
            break
        both[0].join(0.02)
    server.go.set()
    for thread in both:
        thread.join(20)
    assert "cifar-10-python.tar.gz is being fetched by another process: waiting for it" in said
    assert got == [BODY, BODY] and server.asked == [None] and os.listdir(data) == [NAME]


class Full(io.FileIO):
    """A disk with room for 50,000 bytes."""

    def write(self, content) -> int:
        if self.tell() + len(content) > 50_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(content)


def test_a_full_disk_is_told_and_keeps_the_part(server: Server, data: Path, monkeypatch) -> None:
    def opened(path, mode="r", **options):
        return Full(path, "w") if mode == "wb" else open(path, mode, **options)

    with monkeypatch.context() as patch:
        patch.setattr(fetching, "open", opened, raising=False)
        said = failure()
    assert f"cannot fetch {NAME} in {data}: the disk is full" in said and left(data) == {PART: 50_000, TAG: 5}
    assert fetch() == BODY and server.asked == [None, "bytes=50000-"]


def test_a_folder_that_may_not_be_written_is_told(server: Server, data: Path, monkeypatch) -> None:
    def opened(path, mode="r", **options):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(fetching, "open", opened, raising=False)
        said = failure()
    assert f"cannot fetch {NAME} in {data}: it may not be changed (Permission denied): name a folder" in said
    (data / "file").write_text("")
    monkeypatch.setenv("PREHEAT_DATA", str(data / "file"))
    assert f"cannot fetch {NAME} in {data / 'file'}" in failure()


# --- official or local
# ------------------------------------------------------------------------------------------------


def test_imitated_files_never_pass_for_the_official_ones(data: Path) -> None:
    path = put("cifar10", data)
    said, about = refused("cifar10", "official"), SETS["cifar10"]
    assert (
        f"{path} is not the official file of CIFAR-10: its md5 must be {about.md5}, it is "
        f"{md5(path.read_bytes())}" in said
    )
    assert "add --source local (preheat run) or --set source=local (a study" in said
    assert path.read_bytes() == imitated("cifar10")[1]
    path.unlink()
    folder = unpack("cifar10", data)
    assert (
        f"{folder / 'data_batch_1'} is not the official file of CIFAR-10: its md5 must be c99cafc1"
        in refused("cifar10", "official")
    )
    assert files.origin("cifar10", "local")["data"].startswith("cifar-10-batches-py md5 ")


def test_an_unpacked_official_folder_is_known_by_each_members_checksum(data: Path, monkeypatch) -> None:
    folder = unpack("cifar100", data)
    sums = tuple(md5((folder / name).read_bytes()) for name in ("train", "test"))
    monkeypatch.setitem(SETS, "cifar100", replace(SETS["cifar100"], sums=sums))
    files.ready("cifar100", "official")
    assert len(files.arrays("cifar100", "official").test[1]) == 1000
    (folder / "test").write_bytes(members("cifar100")["test"] + b"x")
    assert f"{folder / 'test'} is not the official file" in refused("cifar100", "official")


def test_the_official_one_of_two_is_taken(data: Path, monkeypatch) -> None:
    """A damaged archive beside the right folder: official files are those with the checksums."""
    folder = unpack("cifar100", data)
    sums = tuple(md5((folder / name).read_bytes()) for name in ("train", "test"))
    monkeypatch.setitem(SETS, "cifar100", replace(SETS["cifar100"], sums=sums))
    (data / "cifar-100-python.tar.gz").write_bytes(b"half a file")
    assert (
        files.origin("cifar100", "official")["data"] == f"cifar-100-python.tar.gz md5 {SETS['cifar100'].md5}"
    ), "packed or not"
    assert len(files.arrays("cifar100", "official").train[1]) > 0, (
        "the folder is read: the archive is half a file"
    )
    assert "damaged" in refused("cifar100", "local")


def test_a_checksum_is_taken_once_unless_the_file_changes(data: Path, monkeypatch) -> None:
    path = put("pathmnist", data)
    monkeypatch.setitem(SETS, "pathmnist", replace(SETS["pathmnist"], md5=md5(path.read_bytes())))
    files.ready("pathmnist", "official")
    before = files._md5.cache_info()
    files.ready("pathmnist", "official")
    files.arrays("pathmnist", "official")
    after = files._md5.cache_info()
    assert after.misses == before.misses and after.hits > before.hits
    path.write_bytes(path.read_bytes() + b"x")
    os.utime(path, ns=(0, 0))
    assert "is not the official file" in refused("pathmnist", "official")


def test_a_folder_with_members_missing_does_not_count_as_official(server: Server, data: Path) -> None:
    (unpack("cifar10", data) / "test_batch").unlink()
    files.ready("cifar10", "official")
    assert (data / NAME).read_bytes() == BODY


# --- imitation
# --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SETS)
def test_imitations_follow_from_their_seed(name: str) -> None:
    one = imitated(name)
    assert imitation(name, 2) == one and imitation(name, 2, seed=1)[1] != one[1]


def test_imitated_images_hold_structure_that_takes_examples_to_learn(data: Path) -> None:
    """Nearest mean of the class: far above chance, well below perfect, better with more images."""
    right = {}
    for count in (5, 60):
        (data / NAME).write_bytes(imitation("cifar10", count)[1])
        found = files.arrays("cifar10", "local")
        (x, y), (u, v) = (
            (split[0].reshape(len(split[1]), -1).astype(float), split[1])
            for split in (found.train, found.test)
        )
        means = np.stack([x[y == c].mean(0) for c in range(10)])
        distance = ((u[:, None] - means) ** 2).sum(-1)
        right[count] = float((distance.argmin(1) == v).mean())
    assert 0.2 < right[5] < right[60] < 0.95


def test_the_archive_holds_every_member_of_the_official_one() -> None:
    assert set(members("cifar10")) == {
        *(f"data_batch_{i}" for i in range(1, 6)),
        "test_batch",
        "batches.meta",
    }
    assert set(members("cifar100")) == {"train", "test", "meta"}
    assert gzip.decompress(imitated("cifar10")[1])[257:262] == b"ustar"
