"""The nearest neighbours of each embedding among the others."""

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors
from torch import Tensor, nn

from pml_potential.losses.validation import check_embeddings, check_integer


def nearest_neighbors(embeddings: Tensor, count: int) -> NDArray[np.int64]:
    """Find the nearest embeddings of each, itself left out, by scikit-learn's exact search.

    Args:
        embeddings: (n, d), n at least 2; they are l2-normalised first.
        count: k, in 1 .. n - 1.

    Returns:
        Their indices, (n, k), the nearest first.

    Raises:
        ValueError: ``count`` is out of range, or the embeddings are empty or not finite.
        TypeError: An argument has the wrong type.

    Examples:
        >>> import torch
        >>> nearest_neighbors(torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), 1).tolist()
        [[1], [0], [1]]
    """
    check_embeddings("embeddings", embeddings, None)
    count = check_integer("count", count, 1)
    if count >= len(embeddings):
        raise ValueError(
            f"count is {count}; {len(embeddings)} embeddings have {len(embeddings) - 1} neighbours each"
        )
    unit = nn.functional.normalize(embeddings.detach().cpu().double()).numpy()
    search = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(unit)
    found: NDArray[np.int64] = search.kneighbors(return_distance=False)
    return found
