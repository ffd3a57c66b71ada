"""The nearest neighbours of each embedding among the others."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors
from torch import Tensor, nn

from pml_potential.functional.validation import check_embeddings, check_integer


def nearest_neighbors(
    embeddings: Tensor, count: int, queries: Sequence[int] | None = None
) -> NDArray[np.int64]:
    """Find the nearest other embeddings of each embedding, by scikit-learn's exact search.

    Args:
        embeddings: (n, d), n at least 2; they are l2-normalised first.
        count: k, in 1 .. n - 1.
        queries: indices of the embeddings whose neighbours are wanted. Default: all n.

    Returns:
        Their indices, (number of queries, k), the nearest first.

    Raises:
        ValueError: ``count`` or a query is out of range, there is no query, or the embeddings are
            empty or not finite.
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
    wanted = np.arange(len(embeddings)) if queries is None else np.asarray(queries)
    if wanted.size == 0 or wanted.min() < 0 or wanted.max() >= len(embeddings):
        raise ValueError(
            f"queries are {wanted.tolist()}; they must be indices in 0 .. {len(embeddings) - 1}, at "
            "least one"
        )
    unit = nn.functional.normalize(embeddings.detach().cpu().double()).numpy()
    search = NearestNeighbors(n_neighbors=count + 1, algorithm="brute").fit(unit)
    found: NDArray[np.int64] = search.kneighbors(unit[wanted], return_distance=False)
    # The query goes to the end, wherever it is among embeddings that coincide with it.
    itself_last = np.argsort(found == wanted[:, None], axis=1, kind="stable")
    return np.take_along_axis(found, itself_last, axis=1)[:, :count]
