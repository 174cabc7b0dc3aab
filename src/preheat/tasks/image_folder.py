"""A folder of images of the user's own, as a task."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from preheat.core.errors import UserError
from preheat.core.lengths import is_number
from preheat.core.registry import TASKS
from preheat.tasks import files
from preheat.tasks.base import Data
from preheat.tasks.decoding import Decoded, decoded
from preheat.tasks.folders import HELD, TEST, Tree, tree
from preheat.tasks.images import Images, check_counts
from preheat.tasks.pools import Official, consecutive

LARGEST = 1024
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@TASKS.register("image_folder")
@dataclass(frozen=True)
class ImageFolder(Images):
    """The JPEGs and PNGs below a folder, or in a zip; a class is a folder: docs/data.md tells the layouts.

    path: the folder, relative to where the command is run. pixels: those of a side, 1 to 1024. resize: bring
    the shorter side of every image to `pixels` and cut out the middle; without it images of another size are
    an error. Other options as in `Images`. source: "local" files, or "random" bytes in the same numbers;
    without a path, of 10 classes with 100 images each. Channels are normalised by ImageNet's means and
    deviations.

    Errors: UserError as in `folders.tree` and `decoding.decoded`, when the data are asked for.

    >>> ImageFolder(source="random", pixels=16).examples
    900
    """

    path: str = ""
    pixels: int = 64
    resize: bool = False
    source: str = "local"

    sources: ClassVar[tuple[str, ...]] = ("local", "random")

    def __post_init__(self) -> None:
        whole = is_number(self.pixels) and self.pixels == int(self.pixels)
        if not whole or not 1 <= self.pixels <= LARGEST:
            raise UserError(f"pixels of task 'image_folder' must be 1 to {LARGEST}, got {self.pixels!r}")
        object.__setattr__(self, "pixels", int(self.pixels))
        super().__post_init__()

    def about(self) -> Official:
        """Without counts where a path is given: no file is read."""
        counts = (100,) * 10 if self._made_up else ()
        return Official("image_folder", self.pixels, counts, False, MEAN, STD)

    def there(self) -> Official:
        """With the counts of the folder, where a path is given; its images are listed, none is read."""
        if self._made_up:
            return self.about()
        found = self._tree()
        return self.about()._replace(counts=found.counts, validation=found.validation)

    @property
    def classes(self) -> int:
        return len(self.there().counts)

    @property
    def examples(self) -> int:
        """As of `Images`. Errors: UserError where a class has no image left to train on."""
        whole = self.examples_per_class is None and self.total_examples is None
        counts = self.there().pool(self.selection) if whole else ()
        if 0 in counts:
            raise UserError(
                f"every class in {self.path} must have images left to train on, "
                f"{self._tree().classes[counts.index(0)]} has none: its only one beside the test set is held "
                "out for validation: add images"
            )
        return super().examples

    @property
    def evaluated(self) -> tuple[int, int]:
        """Those of the folder, without reading an image."""
        if self._made_up:
            return super(Images, self).evaluated
        parts = self._tree().parts
        return parts[TEST if self.selection == "test" else HELD], parts[TEST]

    def ready(self, *, fetch: bool = True) -> None:
        """The folder holds the images asked for, and they are decoded."""
        if self.source == "local":
            check_counts(self)
            self._decoded()

    def origin(self) -> dict[str, str]:
        """The md5 of the images' names and of their files' md5s: the same for the same files anywhere."""
        if self.source == "random":
            return super().origin()
        return {"data": f"{len(self._tree().names)} images md5 {self._decoded().md5}"}

    def data(self) -> Data:
        """x: [N, 3, S, S] uint8, mapped from the decoded file; y: [N]. Kept in the process."""
        if self.source == "random":
            return super().data()
        check_counts(self)
        return _sets(self._tree(), self._decoded(), self.selection)

    @property
    def _made_up(self) -> bool:
        return self.source == "random" and not self.path

    def _tree(self) -> Tree:
        if not self.path:
            raise UserError(
                "path of task 'image_folder' must be a folder of images, got none: write path=FOLDER"
            )
        return tree(Path(self.path))

    def _decoded(self) -> Decoded:
        return decoded(self._tree(), self.pixels, resize=self.resize, folder=files.folder())


@lru_cache(maxsize=4)
def _sets(found: Tree, images: Decoded, selection: str) -> Data:
    count = sum(found.parts[:TEST])
    train, test = ((images.images[part], found.labels[part]) for part in (slice(count), slice(count, None)))
    return consecutive(train, test, held=found.parts[HELD], selection=selection, validation=found.validation)
