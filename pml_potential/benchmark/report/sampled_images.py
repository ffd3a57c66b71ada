"""Which test images are used if a data set has too many."""

import numpy as np
from numpy.typing import NDArray

MOST_IMAGES = 10_000
"""Most images whose embeddings are used; all pairs of a larger set would take hours."""

_MOST_OF_A_CLASS = 1_000
"""Most images of a class that are used in a larger set, so that at least ten classes fit."""


def sampled_images(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places of the images to use: all, or some of each of as many classes as fit.

    Args:
        labels: class of each image, (n,), integers from 0.

    Returns:
        At most ``MOST_IMAGES`` places, in rising order; the same each time.

    Examples:
        >>> sampled_images(np.array([0, 0, 1])).tolist()
        [0, 1, 2]
    """
    if len(labels) <= MOST_IMAGES:
        return np.arange(len(labels))
    counts = np.unique(labels, return_counts=True)[1]
    members = np.split(np.argsort(labels, kind="stable"), counts.cumsum()[:-1])
    classes = np.random.default_rng(0).permutation(len(members))
    chosen = [members[label][:_MOST_OF_A_CLASS] for label in classes]
    fitting = int((np.cumsum([len(places) for places in chosen]) <= MOST_IMAGES).sum())
    return np.sort(np.concatenate(chosen[:fitting]))


def one_of_each_class(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Place of an image of each class, drawn at random but the same each time; in order of class.

    Examples:
        >>> labels = np.array([1, 0, 1, 0])
        >>> labels[one_of_each_class(labels)].tolist()
        [0, 1]
    """
    order = np.random.default_rng(0).permutation(len(labels))
    return order[np.unique(labels[order], return_index=True)[1]]
