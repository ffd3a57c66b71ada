"""Wrong labels, put into a training set on purpose, to find out how much a loss suffers from them."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pml_potential.functional.validation import check_integer, check_number


def corrupt_labels(labels: ArrayLike, fraction: float, seed: int) -> NDArray[np.int64]:
    """Give a fraction of the images a label drawn uniformly from the other classes.

    Exactly floor(fraction * n + 1/2) of the n labels change, whichever images a seeded generator picks,
    all images being equally likely; each of them gets a class other than its own, all others being
    equally likely. The classes are those that occur in ``labels``, so hand over the labels of the
    training images alone: validation and test labels stay clean.

    Args:
        labels: class of each training image, (n,), integers of any range; a list, an array or a tensor
            on the CPU. It is not changed.
        fraction: share of labels to change, in [0, 1]; published 0.2.
        seed: at least 0; the same labels, fraction and seed give the same result.

    Returns:
        (n,); the images whose label changed are ``labels != corrupt_labels(labels, ...)``. Empty labels
        give an empty array, and fraction 0 a copy.

    Raises:
        ValueError: ``fraction`` or ``seed`` is out of range, ``labels`` are not one row of integers, or
            a label has to change where there is but one class.
        TypeError: ``fraction`` or ``seed`` has the wrong type.

    Source:
        Bhatnagar & Ahuja, CVPR 2025, arXiv 2405.18560, Section 4.3.

    Examples:
        >>> labels = [0, 0, 0, 0, 0, 1, 1, 1, 2, 2]
        >>> noisy = corrupt_labels(labels, fraction=0.2, seed=0)
        >>> int((noisy != labels).sum()), sorted(set(noisy.tolist()))
        (2, [0, 1, 2])
    """
    fraction = check_number("fraction", fraction, 0, 1)
    generator = np.random.default_rng(check_integer("seed", seed, 0))
    clean = np.asarray(labels)
    if clean.ndim != 1 or (clean.size > 0 and clean.dtype.kind not in "iu"):
        raise ValueError(
            f"labels have the shape {clean.shape} and the dtype {clean.dtype}; they must be integers, "
            "one for each image"
        )
    count = math.floor(fraction * len(clean) + 0.5)
    classes, numbers = np.unique(clean.astype(np.int64), return_inverse=True)
    if count == 0:
        return classes[numbers]
    if len(classes) < 2:
        raise ValueError(
            f"labels hold the class {classes[0]} alone; {count} of them cannot change, for which it "
            "takes two classes at least"
        )
    chosen = generator.choice(len(clean), size=count, replace=False)
    # A step of 1 .. classes - 1 from the own class around the circle of classes meets each other one.
    steps = generator.integers(1, len(classes), size=count)
    numbers[chosen] = (numbers[chosen] + steps) % len(classes)
    return classes[numbers]
