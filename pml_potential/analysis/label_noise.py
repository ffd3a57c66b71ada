"""Wrong labels, planted in a training set to measure how much a loss suffers from them."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pml_potential.functional.validation import check_integer, check_number


def corrupt_labels(labels: ArrayLike, fraction: float, seed: int) -> NDArray[np.int64]:
    """Give a fraction of the images a label drawn uniformly from the other classes.

    Exactly floor(fraction * n + 1/2) of the n labels change. A seeded generator picks the images
    uniformly, and for each a class other than its own uniformly. The classes are those that occur in
    ``labels``, so pass the labels of the training images only: validation and test labels stay clean.

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
            labels have to change but there is only one class.
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
            f"labels hold only the class {classes[0]}; changing {count} of them takes at least two "
            "classes"
        )
    chosen = generator.choice(len(clean), size=count, replace=False)
    # A step of 1 .. classes - 1, modulo the number of classes, reaches every other class.
    steps = generator.integers(1, len(classes), size=count)
    numbers[chosen] = (numbers[chosen] + steps) % len(classes)
    return classes[numbers]
