"""Published data sets and their official files: where they are fetched from, their checksums and what they
hold.

Sources: https://www.cs.toronto.edu/~kriz/cifar.html (A. Krizhevsky, 2009), https://medmnist.com (J. Yang et
al., 2023), http://cs231n.stanford.edu (Tiny-ImageNet-200, F.-F. Li et al., 2015) and WikiText-2 (S. Merity et
al., 2016, arXiv 1609.07843).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from preheat.core.errors import unknown

Stamp = tuple[Path, int, int]  # a file or folder, its bytes, the time of its last change


@dataclass(frozen=True, kw_only=True)
class Download:
    """One published file. counts: how many `unit` its official training, validation and test parts hold;
    unpacked: the folder that comes out of it; sums: the md5 of each of its members that is read, none where
    they are not known."""

    unit: ClassVar[str]
    name: str
    title: str
    url: str
    file: str
    md5: str
    megabytes: int
    counts: tuple[int, int, int]
    unpacked: str = ""
    sums: tuple[str, ...] = ()

    @property
    def members(self) -> tuple[str, ...]:
        """The members that are read, in order."""
        return ()

    @property
    def otherwise(self) -> str:
        """How to try without the file, where there is a way."""
        return ""


@dataclass(frozen=True, kw_only=True)
class Files(Download):
    """The files of one image set. splits: for training, validation and test the members that hold them
    (CIFAR) or the prefix of their keys (npz). tree: whether the archive is a zip of image files, in
    folders."""

    unit: ClassVar[str] = "images"
    classes: int
    size: int
    splits: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
    labels: str = ""
    tree: bool = False

    @property
    def members(self) -> tuple[str, ...]:
        return tuple(name for split in self.splits for name in split)

    @property
    def otherwise(self) -> str:
        return f"preheat data {self.name} --imitate"


@dataclass(frozen=True, kw_only=True)
class Texts(Download):
    """The files of one set of texts. splits: the members for training, validation and test."""

    unit: ClassVar[str] = "bytes"
    splits: tuple[str, str, str]

    @property
    def members(self) -> tuple[str, ...]:
        return self.splits


KRIZ = "https://www.cs.toronto.edu/~kriz/"
BATCHES = tuple(f"data_batch_{i}" for i in range(1, 6))
CIFAR10 = Files(
    name="cifar10",
    title="CIFAR-10",
    url=f"{KRIZ}cifar-10-python.tar.gz",
    file="cifar-10-python.tar.gz",
    md5="c58f30108f718f92721af3b95e74349a",
    megabytes=170,
    classes=10,
    size=32,
    splits=(BATCHES, (), ("test_batch",)),
    counts=(50_000, 0, 10_000),
    labels="labels",
    unpacked="cifar-10-batches-py",
    sums=(
        "c99cafc152244af753f735de768cd75f",
        "d4bba439e000b95fd0a9bffe97cbabec",
        "54ebc095f3ab1f0389bbae665268c751",
        "634d18415352ddfa80567beed471001a",
        "482c414d41f54cd18b22e5b47cb7c3cb",
        "40351d587109b95175f43aff81a1287e",
    ),
)
CIFAR100 = Files(
    name="cifar100",
    title="CIFAR-100",
    url=f"{KRIZ}cifar-100-python.tar.gz",
    file="cifar-100-python.tar.gz",
    md5="eb9058c3a382ffc7106e4002c42a8d85",
    megabytes=169,
    classes=100,
    size=32,
    splits=(("train",), (), ("test",)),
    counts=(50_000, 0, 10_000),
    labels="fine_labels",
    unpacked="cifar-100-python",
    sums=("16019d7e3df5f24257cddd939b257f8d", "f0ef6b0ae62326f3e7ffdfab6717acfc"),
)
PATHMNIST = Files(
    name="pathmnist",
    title="PathMNIST",
    url="https://zenodo.org/records/10519652/files/pathmnist.npz?download=1",
    file="pathmnist.npz",
    md5="a8b06965200029087d5bd730944a56c1",
    megabytes=206,
    classes=9,
    size=28,
    splits=(("train",), ("val",), ("test",)),
    counts=(89_996, 10_004, 7_180),
)
TINY_IMAGENET = Files(
    name="tiny_imagenet",
    title="Tiny-ImageNet-200",
    url="http://cs231n.stanford.edu/tiny-imagenet-200.zip",
    file="tiny-imagenet-200.zip",
    md5="90528d7ca1a48142e341f4ef8d21d0de",
    megabytes=248,
    classes=200,
    size=64,
    splits=(("train",), (), ("val",)),
    counts=(100_000, 0, 10_000),
    unpacked="tiny-imagenet-200",
    tree=True,
)
# the publisher's own address, s3.amazonaws.com/research.metamind.io, no longer answers; this is the first
# author's copy. The md5 is that of torchtext; the sizes agree with the Hugging Face copy's, line by line
WIKITEXT2 = Texts(
    name="wikitext2",
    title="WikiText-2",
    url="https://wikitext.smerity.com/wikitext-2-v1.zip",
    file="wikitext-2-v1.zip",
    md5="542ccefacc6c27f945fb54453812b3cd",
    megabytes=4,
    unpacked="wikitext-2",
    splits=("wiki.train.tokens", "wiki.valid.tokens", "wiki.test.tokens"),
    counts=(10_797_148, 1_121_681, 1_256_449),
)
TEXTS = {files.name: files for files in (WIKITEXT2,)}
SETS = {files.name: files for files in (CIFAR10, CIFAR100, PATHMNIST, TINY_IMAGENET)}


def named(name: str) -> Files:
    """The files of a set. Errors: UserError for a name that is none."""
    if name not in SETS:
        raise unknown("image set", name, SETS)
    return SETS[name]


def every() -> dict[str, Download]:
    """All sets by name, those of images first."""
    return {**SETS, **TEXTS}


def published(name: str) -> Download:
    """The files of a set of images or of texts. Errors: UserError for a name that is none."""
    if name not in every():
        raise unknown("data set", name, every())
    return every()[name]
