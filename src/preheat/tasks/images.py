"""Tasks on sets of colour images: subsets by class, models by name, augmentation on the device.

Images stay bytes until the loss, which crops, flips, normalises and mixes a batch by the numbers that `noise`
drew from the run's seed and the step: a run sees the same images alone, in a fleet and after a restart.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from preheat.core.errors import UserError, unknown
from preheat.core.lengths import is_number
from preheat.core.spec import LATER, build
from preheat.tasks.augmenting import cropped_and_flipped, draws, normalised, standardised
from preheat.tasks.base import WATCHED, Classification, Data, Tensors, chosen
from preheat.tasks.objectives import OBJECTIVES, half_square, objective, one_hot
from preheat.tasks.pools import Official, class_counts, published, random_sets
from preheat.tasks.sets import named

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

SELECTIONS, SOURCES = ("validation", "test"), ("official", "local", "random")
STANDARDISE = ("set", "image")


@dataclass(frozen=True)
class Images(Classification):
    """What the sets of images share; their options and their errors.

    examples_per_class, total_examples: how many images a seed draws from the pool, the same number of each
    class (some classes one more where total_examples does not divide by them); at most one of the two;
    neither: the whole pool. model: a registered model, by name or with options. crop: pixels of zero padding
    before a random crop; flip: mirror half of the images; mixup: alpha of Beta(alpha, alpha), 0 for none.
    selection: "validation" holds images out; "test" trains on the whole training set and chooses by the test
    set. source: "official" files with checksums, "local" files in the official format, or "random" numbers of
    the official shapes, good for timing steps only. objective: "cross_entropy", or "mse", half the mean over
    examples and outputs of (f - onehot(y))^2. standardise: "set" by the mean and deviation of each of the
    set's channels, after the crop; "image" by those of all values of the image, before it.
    """

    examples_per_class: int | None = None
    total_examples: int | None = None
    model: Any = "resnet18"
    crop: int = 4
    flip: bool = True
    mixup: float = 0.0
    selection: str = "validation"
    source: str = "official"
    objective: str = field(default="cross_entropy", metadata=LATER)
    watch = True  # always, so no option
    standardise: str = field(default="set", metadata=LATER)

    sources: ClassVar[tuple[str, ...]] = SOURCES

    def __post_init__(self) -> None:
        about = self.about()
        for name, value, known in (
            ("selection", self.selection, SELECTIONS),
            ("source", self.source, self.sources),
            ("objective", self.objective, OBJECTIVES),
            ("standardise", self.standardise, STANDARDISE),
        ):
            if value not in known:
                raise unknown(f"{name} of task {about.name!r}", value, known)
        if not 0 <= self.crop <= about.size:
            raise UserError(f"crop of task {about.name!r} must be 0 to {about.size} pixels, got {self.crop}")
        if not is_number(self.mixup) or self.mixup < 0:
            raise UserError(f"mixup of task {about.name!r} must be 0 (none) or above, got {self.mixup!r}")
        _check_sizes(self)
        object.__setattr__(self, "model", chosen(self.model, (3, about.size, about.size), default="resnet18"))

    @abstractmethod
    def about(self) -> Official:
        """The set as it is known before any file is read."""

    def there(self) -> Official:
        """The set as it is at hand: with source "local" its counts are those of the files."""
        about = self.about()
        if self.source != "local":
            return about
        from preheat.tasks import files

        return about._replace(counts=class_counts(about, files.stamps(about.name, "local")))

    @property
    def examples(self) -> int:
        """classes x examples_per_class, total_examples, or the size of the pool."""
        if self.examples_per_class is not None:
            return self.classes * self.examples_per_class
        if self.total_examples is not None:
            return self.total_examples
        return sum(self.there().pool(self.selection))

    @property
    def evaluated(self) -> tuple[int, int]:
        """Those of the published sets, without loading any; local files are counted."""
        if self.source == "local":
            return super().evaluated
        _, validation, test = named(self.about().name).counts
        held = sum(self.about().counts) - sum(self.about().pool(self.selection))
        return (test if self.selection == "test" else validation or held), test

    @property
    def classes(self) -> int:
        return len(self.about().counts)

    def ready(self, *, fetch: bool = True) -> None:
        """The files are there and right, and hold the images asked for; official ones are fetched."""
        if self.source == "local" or (self.source == "official" and fetch):
            from preheat.tasks import files

            files.ready(self.about().name, self.source)
            check_counts(self)

    def origin(self) -> dict[str, str]:
        if self.source == "random":
            return {"data": "random numbers"}
        from preheat.tasks import files

        return files.origin(self.about().name, self.source)

    @property
    def at_hand(self) -> bool:
        return self.source == "local"

    def stand_in(self) -> Images:
        return replace(self, source="random", examples_per_class=None, total_examples=None)

    def data(self) -> Data:
        """x: [N, 3, S, S] uint8, y: [N]. Kept in the process and shared by all sizes."""
        if self.source == "random":
            most = _ceil(self)
            counts = self.there().pool(self.selection) if most is None else (most,) * self.classes
            return random_sets(self.about(), counts)
        from preheat.tasks import files

        check_counts(self)
        return published(
            self.about(), self.source, self.selection, files.stamps(self.about().name, self.source)
        )

    def subset(self, generator: Generator) -> Tensor:
        """[N]: rows of each class without replacement; for one seed a smaller subset lies inside a larger
        one."""
        import torch

        labels = self.data().train["y"]
        if self.examples_per_class is None and self.total_examples is None:
            return torch.arange(len(labels))
        counts = torch.bincount(labels, minlength=self.classes).tolist()
        drawn = [torch.randperm(n, generator=generator) for n in counts]
        one_more = set(
            torch.randperm(self.classes, generator=generator)[: self.examples % self.classes].tolist()
        )
        each, own = self.examples // self.classes, torch.split(labels.argsort(stable=True), counts)
        return torch.cat([own[c][rows[: each + (c in one_more)]] for c, rows in enumerate(drawn)])

    def network(self) -> nn.Module:
        made: nn.Module = build("model", self.model).network(
            (3, self.about().size, self.about().size), self.classes
        )
        return made

    def noise(self, generator: Generator, batch: int) -> Tensors | None:
        drawn = draws(generator, batch, crop=self.crop, flip=self.flip, mixup=self.mixup)
        return {**drawn, **self.net.noise(generator, batch)} or None

    def loss(self, params: Tensors, buffers: Tensors, batch: Tensors) -> tuple[Tensor, Tensors]:
        """The mean objective of the augmented batch; under mixup, arXiv 1710.09412, of targets l onehot(y) +
        (1 - l) onehot(y of the partner)."""
        share, y = batch.get("mix"), batch["y"]
        other = y if share is None else y[batch["partner"].argsort()]
        logits, fresh = self.called(params, buffers, self._augmented(params, batch), training=True)

        def mixed(of: Callable[[Tensor], Tensor]) -> Tensor:
            return of(y) if share is None else _blend(share, of(y), of(other))

        seen, kind = logits.argmax(-1), buffers[WATCHED].dtype
        if self.objective == "mse":
            each = half_square(logits, mixed(lambda label: one_hot(label, logits)))
        else:
            each = mixed(lambda label: objective("cross_entropy", logits, label, reduction="none"))
        return each.mean(), {**fresh, WATCHED: mixed(lambda label: (seen == label).to(kind)).mean()}

    def outputs(self, params: Tensors, buffers: Tensors, batch: Tensors) -> Tensors:
        """What the network gives for the augmented batch in training mode."""
        return super().outputs(params, buffers, self._augmented(params, batch))

    def _augmented(self, params: Tensors, batch: Tensors) -> Tensors:
        """The batch, its images cropped, flipped, normalised and mixed."""
        x, share = self._scaled(params, batch), batch.get("mix")
        if share is not None:
            x = _blend(share, x, x[batch["partner"].argsort()])
        return {**batch, "x": x}

    def statistics(self, params: Tensors, buffers: Tensors, batch: Tensors) -> Tensors:
        """Those of a classifier, of the images as they are."""
        x = self._scaled(params, {"x": batch["x"]})
        return super().statistics(params, buffers, {**batch, "x": x})

    def _scaled(self, params: Tensors, batch: Tensors) -> Tensor:
        """[B, 3, S, S]: the images cropped and flipped by the numbers that the batch holds, and scaled."""
        if self.standardise == "set":
            return normalised(cropped_and_flipped(batch, self.crop), self.about(), params)
        x = standardised(batch["x"].to(next(iter(params.values())).dtype))
        return cropped_and_flipped({**batch, "x": x}, self.crop)


class PublishedImages(Images):
    """A set of images whose counts are known as it is published."""

    @classmethod
    @abstractmethod
    def about(cls) -> Official:
        """The set as it is published."""

    @classmethod
    def most_per_class(cls, selection: str = "validation") -> int:
        """The largest examples_per_class that every class of the published set has."""
        return min(cls.about().pool(selection))


def _blend(share: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """share [B] of a, the rest of b, both [B, ...]."""
    share = share.reshape(-1, *[1] * (a.ndim - 1))
    return share * a + (1 - share) * b


def _ceil(task: Images) -> int | None:
    """The most images that a class must have; None for the whole pool."""
    asked = task.total_examples is not None or task.examples_per_class is not None
    return -(-task.examples // task.classes) if asked else None


def _check_sizes(task: Images) -> None:
    about = task.about()
    if task.examples_per_class is not None and task.total_examples is not None:
        raise UserError(
            f"task {about.name!r} takes examples_per_class or total_examples, not both, got "
            f"{task.examples_per_class!r} and {task.total_examples!r}"
        )
    most = min(about.pool(task.selection), default=0)
    for name, limit in (("examples_per_class", most), ("total_examples", most * len(about.counts))):
        value = getattr(task, name)
        if value is None:
            continue
        if not is_number(value) or value != int(value) or value < 1:
            raise UserError(
                f"{name} of task {about.name!r} must be a whole number of at least 1, got {value!r}"
            )
        if value > limit and task.source != "local":
            kept = (
                ""
                if about.validation or task.selection == "test"
                else " (a tenth of the training images is held out)"
            )
            raise UserError(f"{name} of task {about.name!r} must be at most {limit}{kept}, got {value}")
        object.__setattr__(task, name, int(value))


def check_counts(task: Images) -> None:
    """The pool must hold what is asked of every class. Errors: UserError where it does not."""
    about, most = task.there(), _ceil(task)
    counts = about.pool(task.selection)
    left = min(counts)
    if left < (most or 1):
        least = counts.index(left)
        why = (
            f" ({about.counts[least]} less a tenth, at least one, held out for validation; selection=test "
            "takes all)"
        )
        asked = (
            f"{most} are asked for: write {left} or less a class"
            if most and left
            else "every class needs one"
        )
        raise UserError(
            f"class {least} of the {task.source} {about.name} files has {left} images to train "
            f"on{why if left < about.counts[least] else ''}, but {asked}"
        )
