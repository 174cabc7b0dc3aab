"""Images that imitate a set: in its exact official files, with structure that a small network learns, and not
CIFAR's.

Every class has a texture: a smooth coloured field, cosines of up to 4 half waves across the picture with
normal coefficients divided by 1 + the sum of their frequencies, scaled to mean 0 and deviation 1. An image of
class c is

    128 + 40 (a texture_c + field) + 25 noise,    a uniform in [0.4, 1],

the texture cut out at a random place (up to 4 pixels each way), `field` another such field that is drawn for
this image alone, noise standard normal, clipped to 0..255. Telling texture from field takes examples: a
convolutional network of three layers is right on 72 % of 10 classes after two epochs at 500 images a class
and 81 % after eight; 61 % at 50 a class. Everything follows from the seed.

The pickles are written as Python 2 wrote the official ones, so that other readers of CIFAR read them too.
"""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
from collections.abc import Iterator

import numpy as np

from preheat.tasks.sets import Files, named

JITTER = 4
WAVES = 5  # cosines along each axis, the constant among them
WEAKEST = 0.4
BLOCK = 2000


def imitation(name: str, per_class: int, *, seed: int = 0) -> tuple[str, bytes]:
    """(file name, content) of a set with `per_class` training images a class, test (and validation)
    max(per_class // 5, 10).

    >>> imitation("pathmnist", 1)[0]
    'pathmnist.npz'
    """
    files = named(name)
    rng = np.random.default_rng([seed, files.classes])
    textures = _fields(rng, files.classes, files.size + 2 * JITTER)
    held = max(per_class // 5, 10)
    parts: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for names, count in zip(files.splits, (per_class, held, held), strict=True):
        if names:
            x, y = _images(rng, textures, files.size, count)
            cuts = np.linspace(0, len(y), len(names) + 1).astype(int)
            parts |= {n: (x[i:j], y[i:j]) for n, i, j in zip(names, cuts[:-1], cuts[1:], strict=True)}
    if files.tree:
        return files.file, _zip(files, parts)
    return files.file, _tar(files, parts) if files.unpacked else _npz(parts)


def _fields(rng: np.random.Generator, count: int, side: int) -> np.ndarray:
    """[count, 3, side, side] float32: smooth random fields, each of mean 0 and deviation 1."""
    wave = np.cos(np.pi * np.arange(WAVES)[:, None] * (np.arange(side) + 0.5) / side).astype(np.float32)
    falling = (1.0 / (1.0 + np.add.outer(np.arange(WAVES), np.arange(WAVES)))).astype(np.float32)
    fields = wave.T @ (rng.standard_normal((count, 3, WAVES, WAVES), np.float32) * falling) @ wave
    fields -= fields.mean((1, 2, 3), keepdims=True)
    out: np.ndarray = fields / fields.std((1, 2, 3), keepdims=True)
    return out


def _images(
    rng: np.random.Generator, textures: np.ndarray, size: int, per_class: int
) -> tuple[np.ndarray, np.ndarray]:
    """(uint8 [N, 3, S, S], labels [N]) in random order, `per_class` of each class. textures: [C, 3, L, L], L
    = S + 2 JITTER."""
    labels = rng.permutation(np.repeat(np.arange(len(textures)), per_class))
    places = rng.integers(0, 2 * JITTER + 1, (2, len(labels)))
    strengths = rng.uniform(WEAKEST, 1.0, (len(labels), 1, 1, 1)).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(textures, (size, size), (2, 3))
    images = np.empty((len(labels), 3, size, size), np.uint8)
    for i in range(0, len(labels), BLOCK):
        rows = slice(i, i + BLOCK)
        shown = strengths[rows] * windows[labels[rows], :, places[0, rows], places[1, rows]]
        shown += _fields(rng, len(shown), size)
        noise = rng.standard_normal(shown.shape, np.float32)
        images[rows] = np.clip(128 + 40 * shown + 25 * noise, 0, 255)
    return images, labels


def _npz(parts: dict[str, tuple[np.ndarray, np.ndarray]]) -> bytes:
    """MedMNIST's file: {train, val, test}_images [N, S, S, 3] and _labels [N, 1], uint8."""
    out = io.BytesIO()
    content: dict[str, np.ndarray] = {}
    for name, (x, y) in parts.items():
        content |= {f"{name}_images": x.transpose(0, 2, 3, 1), f"{name}_labels": y[:, None].astype(np.uint8)}
    np.savez(out, allow_pickle=False, **content)
    return out.getvalue()


def _zip(files: Files, parts: dict[str, tuple[np.ndarray, np.ndarray]]) -> bytes:
    """Tiny-ImageNet's zip: JPEGs, the names of the classes, and those of the images of `val`."""
    from PIL import Image

    out, said = io.BytesIO(), []
    with zipfile.ZipFile(out, "w") as archive:

        def put(name: str, content: bytes | str) -> None:
            archive.writestr(zipfile.ZipInfo(f"{files.unpacked}/{name}"), content)

        put("wnids.txt", "".join(f"n{c:08d}\n" for c in range(files.classes)))
        for split, (x, y) in parts.items():
            for i, (image, c) in enumerate(zip(x, y, strict=True)):
                name = f"n{c:08d}_{i}.JPEG" if split == "train" else f"val_{i}.JPEG"
                jpeg = io.BytesIO()
                Image.fromarray(image.transpose(1, 2, 0)).save(jpeg, "JPEG", quality=90)
                put(
                    f"train/n{c:08d}/images/{name}" if split == "train" else f"val/images/{name}",
                    jpeg.getvalue(),
                )
                if split != "train":
                    said.append(f"{name}\tn{c:08d}\t0\t0\t{files.size - 1}\t{files.size - 1}\n")
        put("val/val_annotations.txt", "".join(said))
    return out.getvalue()


def _tar(files: Files, parts: dict[str, tuple[np.ndarray, np.ndarray]]) -> bytes:
    """CIFAR's tar.gz with all of its members, stored: noise does not compress."""
    out = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=out, mode="wb", compresslevel=0, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|") as tar,
    ):
        for name, data in _members(files, parts):
            info = tarfile.TarInfo(f"{files.unpacked}/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def _members(files: Files, parts: dict[str, tuple[np.ndarray, np.ndarray]]) -> Iterator[tuple[str, bytes]]:
    """(name, pickle) of each batch, and of the names of the classes."""
    for name, (x, y) in parts.items():
        content = {
            b"batch_label": _text(name.replace("_", " ").encode()),
            files.labels.encode(): _list([_int(int(c)) for c in y]),
            b"data": _array(x.reshape(len(x), -1)),
            b"filenames": _list([_text(f"{name}_{c:03d}_{i:06d}.png".encode()) for i, c in enumerate(y)]),
        }
        if files.classes == 100:
            content[b"coarse_labels"] = _list([_int(int(c) // 5) for c in y])
        yield name, _pickle(content)
    names = _list([_text(f"class_{c}".encode()) for c in range(files.classes)])
    if files.classes == 100:
        coarse = _list([_text(f"group_{c}".encode()) for c in range(20)])
        yield "meta", _pickle({b"fine_label_names": names, b"coarse_label_names": coarse})
    else:
        batch = _int(len(next(iter(parts.values()))[1]))
        yield (
            "batches.meta",
            _pickle({b"num_cases_per_batch": batch, b"label_names": names, b"num_vis": _int(3072)}),
        )


# Python 2's pickles, protocol 2: its text is the opcode T (bytes with a length), which Python 3 no longer
# writes.


def _pickle(content: dict[bytes, bytes]) -> bytes:
    return b"\x80\x02}(" + b"".join(_text(k) + v for k, v in content.items()) + b"u."


def _text(text: bytes) -> bytes:
    return b"T" + struct.pack("<i", len(text)) + text


def _int(i: int) -> bytes:
    return b"J" + struct.pack("<i", i)


def _list(items: list[bytes]) -> bytes:
    return b"](" + b"".join(items) + b"e"


def _array(x: np.ndarray) -> bytes:
    """A uint8 matrix as numpy reduces it: _reconstruct(ndarray, (0,), "b"), then its version, shape, dtype,
    order and bytes."""
    made = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
        + _int(0)
        + b"\x85"
        + _text(b"b")
        + b"\x87R"
    )
    kind = b"cnumpy\ndtype\n" + _text(b"u1") + _int(0) + _int(1) + b"\x87R"
    kind += b"(" + _int(3) + _text(b"|") + b"NNN" + _int(-1) + _int(-1) + _int(0) + b"tb"
    shape = _int(x.shape[0]) + _int(x.shape[1]) + b"\x86"
    return made + b"(" + _int(1) + shape + kind + b"\x89" + _text(x.tobytes()) + b"tb"
