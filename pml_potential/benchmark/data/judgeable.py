"""Check before any training that the splits can be evaluated."""

import numpy as np
from numpy.typing import NDArray

from pml_potential.benchmark.data.splits import Splits

Labels = NDArray[np.int64]


def why_not_judgeable(splits: Splits, labels: Labels) -> str | None:
    """Say why a validation or test set gives no score, or a meaningless one; None: all give one.

    Args:
        splits: the folds and the test set.
        labels: class of each image of the data set, (n,).

    Examples:
        >>> from pml_potential.benchmark.data.splits import class_disjoint_splits
        >>> labels = np.arange(8)
        >>> why_not_judgeable(class_disjoint_splits(labels, 2), labels)
        'the test has 4 classes of one image each, so that no query has a match'
    """
    parts = [("the test", splits.test, splits.queries)]
    # A single fold is validated on the test set.
    if len(splits.folds) > 1:
        parts += [
            (f"the validation of fold {number}", fold.validation, fold.queries)
            for number, fold in enumerate(splits.folds, start=1)
        ]
    for name, images, queries in parts:
        if (reason := _reason(labels[images], queries)) is not None:
            return f"{name} has {reason}"
    return None


def _reason(labels: Labels, queries: int | None) -> str | None:
    searched = np.unique(labels if queries is None else labels[queries:], return_counts=True)
    classes, counts = searched
    if queries is not None and not np.isin(labels[:queries], classes).any():
        return "queries and a gallery without a common class, so that no query has a match"
    if queries is None and counts.max() == 1:
        return f"{len(classes)} classes of one image each, so that no query has a match"
    if len(classes) == 1:
        return "only one class to find, so that every score would be 1"
    return None
