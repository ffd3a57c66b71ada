"""A map of embeddings in the plane that keeps near ones near."""

import numpy as np
from numpy.typing import NDArray
from sklearn.manifold import TSNE
from torch import Tensor, nn

from pml_potential.functional.validation import check_embeddings

FEWEST = 5
"""Embeddings that a map needs."""

_PERPLEXITY = 30
_ITERATIONS = 500

_SAME = 1e-6
"""Coordinates of unit vectors that are closer than this differ only by rounding."""


def embedding_map(embeddings: Tensor) -> NDArray[np.float32]:
    """Place embeddings in the plane by scikit-learn's t-SNE (van der Maaten & Hinton, 2008).

    Near embeddings are placed near each other. Distances between far groups, their sizes and the axes
    mean nothing. It starts from the first two principal components, with a fixed seed: the same
    embeddings give the same map on one machine. A thousand embeddings take some seconds.

    Args:
        embeddings: (n, d), n at least 5; they are l2-normalised first.

    Returns:
        (n, 2); zeros where all embeddings coincide.

    Raises:
        ValueError: There are fewer embeddings, or they are empty or not finite.
        TypeError: ``embeddings`` is not a floating tensor.

    Examples:
        >>> import torch
        >>> embedding_map(torch.randn(20, 8, generator=torch.Generator().manual_seed(0))).shape
        (20, 2)
    """
    check_embeddings("embeddings", embeddings, None)
    if len(embeddings) < FEWEST:
        raise ValueError(f"embeddings has {len(embeddings)} rows; a map needs {FEWEST} or more")
    unit = nn.functional.normalize(embeddings.detach().cpu().float()).numpy()
    if unit.shape[1] == 1:
        # The start from two components needs two coordinates.
        unit = np.concatenate([unit, np.zeros_like(unit)], axis=1)
    if np.ptp(unit, axis=0).max() < _SAME:
        # scikit-learn would divide by their spread, and crash.
        return np.zeros((len(unit), 2), dtype=np.float32)
    perplexity = min(_PERPLEXITY, (len(unit) - 1) / 3)
    placed: NDArray[np.float32] = TSNE(
        perplexity=perplexity, init="pca", random_state=0, max_iter=_ITERATIONS
    ).fit_transform(unit)
    return placed
