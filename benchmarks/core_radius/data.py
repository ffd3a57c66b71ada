"""Cars-196 for this experiment: three versions of the training set, and the evaluation sets."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.core_radius.activations import RANDOM_VIEWS, Activations, activations
from benchmarks.core_radius.settings import REGIME, TRAIN_CLASSES, VALIDATION_CLASSES
from pml_potential.analysis import corrupt_labels
from pml_potential.benchmark.data.image_files import ImageFiles

_SEED = 0
"""Of wrong labels and copies, which all runs share."""


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Activations of training images; all images of a photo are seen in the same view at a time.

    Attributes:
        labels: (n,), as the loss gets them.
        photos: (n,), the photo of each image; a copy has the photo of its original.
        whole: activations of the whole images.
        views: activations of each random view.
    """

    labels: NDArray[np.int64]
    photos: NDArray[np.int64]
    whole: Activations
    views: tuple[Activations, ...]

    def batch(self, indices: NDArray[np.int64], view_of_photo: NDArray[np.int64]) -> Tensor:
        """Activations of some images, each in the view that its photo has now."""
        views = view_of_photo[self.photos[indices]]
        rows = [self.views[view][index] for view, index in zip(views, indices, strict=True)]
        return torch.from_numpy(np.stack(rows)).float()


@dataclass(frozen=True)
class EvaluationSet:
    """Activations of whole images, and their classes."""

    labels: Tensor
    whole: Activations


@dataclass(frozen=True)
class Cars:
    """All training and evaluation sets."""

    training: dict[str, TrainingSet]
    validation: EvaluationSet
    test: EvaluationSet


def load_cars(images: ImageFiles, cache: Path) -> Cars:
    """Compute or read the activations, and make the three training sets."""
    everything = np.arange(len(images.labels))
    whole = activations(images, everything, 0, cache / "evaluation_view.npy")
    train = everything[images.labels < TRAIN_CLASSES]
    labels, rows = images.labels[train], np.arange(len(train))
    views = tuple(
        activations(images, train, view, cache / f"training_view_{view}.npy")
        for view in range(1, RANDOM_VIEWS + 1)
    )
    clean = TrainingSet(labels, rows, whole[train], views)
    wrong = corrupt_labels(labels, REGIME["wrong_labels"], _SEED)
    is_validation = images.labels < TRAIN_CLASSES + VALIDATION_CLASSES
    return Cars(
        {
            "clean": clean,
            "wrong labels": TrainingSet(wrong, rows, clean.whole, views),
            "copies": _with_copies(images, train, clean, cache),
        },
        _judged(images, whole, is_validation & (images.labels >= TRAIN_CLASSES)),
        _judged(images, whole, ~is_validation),
    )


def _with_copies(
    images: ImageFiles, train: NDArray[np.int64], clean: TrainingSet, cache: Path
) -> TrainingSet:
    """A few images a second time, almost unchanged, each under another class."""
    generator = np.random.default_rng(_SEED)
    count = round(REGIME["share_of_copies"] * len(train))
    photos = np.sort(generator.choice(len(train), count, replace=False))
    copies = [
        activations(images, train[photos], view, cache / f"copies_view_{view}.npy", are_copies=True)
        for view in range(RANDOM_VIEWS + 1)
    ]
    steps = generator.integers(1, TRAIN_CLASSES, count)
    return TrainingSet(
        np.concatenate([clean.labels, (clean.labels[photos] + steps) % TRAIN_CLASSES]),
        np.concatenate([clean.photos, photos]),
        np.concatenate([clean.whole, copies[0]]),
        tuple(
            np.concatenate([view, added]) for view, added in zip(clean.views, copies[1:], strict=True)
        ),
    )


def _judged(images: ImageFiles, whole: Activations, chosen: NDArray[np.bool_]) -> EvaluationSet:
    return EvaluationSet(torch.from_numpy(images.labels[chosen]), whole[chosen])
