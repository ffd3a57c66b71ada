"""How many of an image's nearest neighbours share its label, and which label they suggest."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class LabelAgreement:
    """What the neighbours of each image say about its label.

    Attributes:
        share: of the neighbours that have the image's own label, (n,), in [0, 1]; NaN without any.
        suggestion: the most frequent label of the neighbours with another label, (n,), the smallest in
            a tie; the image's own label if there are none.
        support: share of the neighbours that have the suggested label, (n,).
        order: indices of the images, (n,), the likeliest wrong label first: by ascending share, and in
            a tie by descending support. Images without neighbours come last.
    """

    share: NDArray[np.float64]
    suggestion: NDArray[np.int64]
    support: NDArray[np.float64]
    order: NDArray[np.int64]


def label_agreement(labels: ArrayLike, neighbors: ArrayLike) -> LabelAgreement:
    """Compare the label of each image with those of its nearest neighbours.

    Args:
        labels: class of each image, (n,), integers from 0.
        neighbors: classes of its nearest neighbours, (n, k), -1 for one that does not count. An image
            of a class of m has m - 1 matches, so let at most m - 1 neighbours count.

    Returns:
        The shares, the suggestions and the order in which to look at the images.

    Raises:
        ValueError: A shape or type does not fit, or a label is below 0, or below -1 among neighbours.

    Examples:
        >>> found = label_agreement([0, 0, 1], [[0, 1], [1, 1], [1, -1]])
        >>> found.share.tolist(), found.suggestion.tolist(), found.order.tolist()
        ([0.5, 0.0, 1.0], [1, 1, 1], [1, 0, 2])
    """
    own, others = np.asarray(labels), np.asarray(neighbors)
    fits = own.ndim == 1 and others.ndim == 2 and len(own) == len(others)
    if not fits or own.dtype.kind not in "iu" or others.dtype.kind not in "iu":
        raise ValueError(
            f"labels have the shape {own.shape} and the dtype {own.dtype}, neighbors {others.shape} and "
            f"{others.dtype}; they must be integers of the shapes (n,) and (n, k)"
        )
    if own.min(initial=0) < 0 or others.min(initial=0) < -1:
        raise ValueError(
            f"the smallest of labels is {own.min(initial=0)} and of neighbors {others.min(initial=0)}; "
            "they must be 0 or more, and -1 for a neighbour that does not count"
        )
    counts = (others >= 0).sum(axis=1)
    with np.errstate(invalid="ignore"):
        share = (others == own[:, None]).sum(axis=1) / counts
    suggestion, votes = own.astype(np.int64), np.zeros(len(own))
    for row, (label, found) in enumerate(zip(own, others, strict=True)):
        strangers, times = np.unique(found[(found >= 0) & (found != label)], return_counts=True)
        if len(strangers):
            suggestion[row], votes[row] = strangers[times.argmax()], times.max()
    with np.errstate(invalid="ignore"):
        support = np.where(votes > 0, votes / counts, share)
    # NaN is sorted to the end.
    order = np.lexsort((-support, share))
    return LabelAgreement(share, suggestion, support, order.astype(np.int64))
