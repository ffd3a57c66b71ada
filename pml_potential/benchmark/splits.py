"""Class-disjoint splits: train, validation and test never share a class."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Fold:
    """One of the cross-validation's ways to divide the first half of the classes."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]


@dataclass(frozen=True)
class Splits:
    """Indices of images: the folds of the first half of the classes, and the test set.

    Attributes:
        folds: what is trained and validated on.
        test: the test set; where there is a gallery, the queries and then the gallery.
        queries: how many of the test set are queries, if the others are their gallery.
    """

    folds: tuple[Fold, ...]
    test: NDArray[np.int64]
    queries: int | None = None


def class_disjoint_splits(labels: NDArray[np.int64], folds: int) -> Splits:
    """Divide a data set by class, as "A Metric Learning Reality Check" does.

    Classes in sorted order; the second half is the test set. The first half forms contiguous blocks,
    as many as there are folds and of sizes that differ by at most one. Fold p validates on block
    p + folds - 1 (modulo the number of folds) and trains on all the others.

    Args:
        labels: class of each image, (n,), integers.
        folds: number of folds, at least 2.

    Returns:
        The splits, as indices into ``labels``.

    Raises:
        ValueError: There are fewer than two classes for each fold, so that a block could not be told
            from a single class, or no class is left for the test set.

    Examples:
        >>> splits = class_disjoint_splits(np.arange(8), folds=2)
        >>> splits.folds[0].train.tolist(), splits.folds[0].validation.tolist(), splits.test.tolist()
        ([0, 1], [2, 3], [4, 5, 6, 7])
    """
    classes = np.unique(labels)
    half = len(classes) // 2
    if half < 2 * folds:
        raise ValueError(
            f"the data set has {len(classes)} classes; {folds} folds of the first half of them need at "
            f"least {4 * folds}, two for each block"
        )
    blocks = np.array_split(classes[:half], folds)
    divided = []
    for fold in range(folds):
        held_out = blocks[(fold + folds - 1) % folds]
        trained = np.setdiff1d(classes[:half], held_out)
        divided.append(Fold(_indices(labels, trained), _indices(labels, held_out)))
    splits = Splits(tuple(divided), _indices(labels, classes[half:]))
    _check_disjoint(splits, labels)
    return splits


def published_splits(labels: NDArray[np.int64], parts: NDArray[np.str_] | None) -> Splits:
    """Divide a data set as the traditional protocol does: one fold, which is validated on the test set.

    Args:
        labels: class of each image, (n,), integers.
        parts: "train", "test", "query" or "gallery" for each image. None: the first half of the
            classes is for training, the others for the test.

    Returns:
        The splits, as indices into ``labels``.

    Raises:
        ValueError: A part is empty, there are queries without a gallery, or training and test share a
            class.

    Examples:
        >>> splits = published_splits(np.arange(4), np.array(["train", "train", "query", "gallery"]))
        >>> splits.folds[0].train.tolist(), splits.test.tolist(), splits.queries
        ([0, 1], [2, 3], 1)
    """
    if parts is None:
        classes = np.unique(labels)
        parts = np.where(np.isin(labels, classes[: len(classes) // 2]), "train", "test")
    train, test, query, gallery = (
        np.flatnonzero(parts == name).astype(np.int64) for name in ("train", "test", "query", "gallery")
    )
    if len(query) > 0 or len(gallery) > 0:
        test = np.concatenate([query, gallery])
    queries = len(query) if len(gallery) > 0 else None
    if 0 in (len(train), len(test), queries) or (len(query) > 0 and len(gallery) == 0):
        raise ValueError(
            f"the data set has {len(train)} images for training, {len(test)} for the test, among them "
            f"{len(query)} queries and {len(gallery)} in the gallery; the protocol needs some of each"
        )
    splits = Splits((Fold(train, test),), test, queries)
    if shared := np.intersect1d(labels[train], labels[test]).tolist():
        raise ValueError(f"training and test share {len(shared)} classes, the first is {shared[0]}")
    return splits


def _indices(labels: NDArray[np.int64], classes: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.flatnonzero(np.isin(labels, classes)).astype(np.int64)


def _check_disjoint(splits: Splits, labels: NDArray[np.int64]) -> None:
    for number, fold in enumerate(splits.folds):
        parts = [set(labels[part].tolist()) for part in (fold.train, fold.validation, splits.test)]
        if len(set.union(*parts)) != sum(len(part) for part in parts):
            raise RuntimeError(f"train, validation and test of fold {number} share classes")
