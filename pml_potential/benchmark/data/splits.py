"""Class-disjoint splits: train, validation and test never share a class."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Fold:
    """What one model is trained and validated on, as indices of images.

    Attributes:
        train: the training images.
        validation: the validation images; if there is a gallery, the queries and then the gallery.
        queries: how many of the validation images are queries, if the others are their gallery.
    """

    train: Indices
    validation: Indices
    queries: int | None = None


@dataclass(frozen=True)
class Splits:
    """Indices of images: the folds, and the test set.

    Attributes:
        folds: training and validation images of each fold.
        test: the test set; if there is a gallery, the queries and then the gallery.
        queries: how many of the test set are queries, if the others are their gallery.
    """

    folds: tuple[Fold, ...]
    test: Indices
    queries: int | None = None


def splits_of(
    labels: NDArray[np.int64], division: NDArray[np.str_] | None, folds: int, mlrc_halves: bool
) -> Splits:
    """Divide a data set as a protocol does: several folds by class, one as the data set is published.

    Args:
        labels: class of each image, (n,), integers.
        division: "train", "test", "query" or "gallery" for each image, or None.
        folds: number of folds.
        mlrc_halves: whether several folds take the halves of the sorted classes, whatever the division.

    Raises:
        ValueError: As ``class_disjoint_splits`` and ``published_splits``.
    """
    if folds == 1:
        return published_splits(labels, division)
    return class_disjoint_splits(labels, folds, None if mlrc_halves else division)


def class_disjoint_splits(
    labels: NDArray[np.int64], folds: int, division: NDArray[np.str_] | None = None
) -> Splits:
    """Divide a data set by class, as "A Metric Learning Reality Check" does.

    Classes in sorted order; the second half is the test set. The first half forms contiguous blocks,
    as many as there are folds and of sizes that differ by at most one. Fold p validates on block
    p + folds - 1 (modulo the number of folds) and trains on all the others. With a division, its
    training classes replace the first half, and its test or query and gallery images are the test set.

    Args:
        labels: class of each image, (n,), integers.
        folds: number of folds, at least 2.
        division: "train", "test", "query" or "gallery" for each image, or None.

    Returns:
        The splits, as indices into ``labels``.

    Raises:
        ValueError: There are fewer than two classes for each fold, so a block would be a single class;
            no class is left for the test set; or the division is not one: a part is missing, or
            training and test share a class.

    Examples:
        >>> splits = class_disjoint_splits(np.arange(8), folds=2)
        >>> splits.folds[0].train.tolist(), splits.folds[0].validation.tolist(), splits.test.tolist()
        ([0, 1], [2, 3], [4, 5, 6, 7])
    """
    if division is None:
        classes = np.unique(labels)
        for_training, for_test = np.split(classes, [len(classes) // 2])
        if len(for_training) < 2 * folds:
            raise ValueError(
                f"the data set has {len(classes)} classes; {folds} folds of the first half of them "
                f"need at least {4 * folds}, two for each block"
            )
        test, queries = _of_classes(labels, for_test), None
    else:
        train, test, queries = _divided(labels, division)
        for_training = np.unique(labels[train])
        if len(for_training) < 2 * folds:
            raise ValueError(
                f"the data set has {len(for_training)} classes for training; {folds} folds of them "
                f"need at least {2 * folds}, two for each block"
            )
    blocks = np.array_split(for_training, folds)
    divided = []
    for fold in range(folds):
        held_out = blocks[(fold + folds - 1) % folds]
        trained = np.setdiff1d(for_training, held_out)
        divided.append(Fold(_of_classes(labels, trained), _of_classes(labels, held_out)))
    splits = Splits(tuple(divided), test, queries)
    _check_disjoint(splits, labels)
    return splits


def published_splits(labels: NDArray[np.int64], division: NDArray[np.str_] | None) -> Splits:
    """Divide a data set as the traditional protocol does: one fold, which is validated on the test set.

    Args:
        labels: class of each image, (n,), integers.
        division: "train", "test", "query" or "gallery" for each image. None: the first half of the
            classes is for training, the others for the test.

    Returns:
        The splits, as indices into ``labels``.

    Raises:
        ValueError: A split is empty, there are queries without a gallery, or training and test share a
            class.

    Examples:
        >>> splits = published_splits(np.arange(4), np.array(["train", "train", "query", "gallery"]))
        >>> splits.folds[0].train.tolist(), splits.test.tolist(), splits.queries
        ([0, 1], [2, 3], 1)
    """
    if division is None:
        classes = np.unique(labels)
        division = np.where(np.isin(labels, classes[: len(classes) // 2]), "train", "test")
    train, test, queries = _divided(labels, division)
    return Splits((Fold(train, test, queries),), test, queries)


def _divided(
    labels: NDArray[np.int64], division: NDArray[np.str_]
) -> tuple[Indices, Indices, int | None]:
    """Training images, test images, and how many of these are queries."""
    train, test, query, gallery = (
        np.flatnonzero(division == name).astype(np.int64)
        for name in ("train", "test", "query", "gallery")
    )
    if len(query) > 0 or len(gallery) > 0:
        test = np.concatenate([query, gallery])
    queries = len(query) if len(gallery) > 0 else None
    if 0 in (len(train), len(test), queries) or (len(query) > 0 and len(gallery) == 0):
        raise ValueError(
            f"the data set has {len(train)} images for training, {len(test)} for the test, among them "
            f"{len(query)} queries and {len(gallery)} in the gallery; the protocol needs some of each"
        )
    if shared := np.intersect1d(labels[train], labels[test]).tolist():
        raise ValueError(f"training and test share {len(shared)} classes, the first is {shared[0]}")
    return train, test, queries


def _of_classes(labels: NDArray[np.int64], classes: NDArray[np.int64]) -> Indices:
    return np.flatnonzero(np.isin(labels, classes)).astype(np.int64)


def _check_disjoint(splits: Splits, labels: NDArray[np.int64]) -> None:
    for number, fold in enumerate(splits.folds):
        classes = [set(labels[images].tolist()) for images in (fold.train, fold.validation, splits.test)]
        if len(set.union(*classes)) != sum(len(each) for each in classes):
            raise RuntimeError(f"train, validation and test of fold {number} share classes")
