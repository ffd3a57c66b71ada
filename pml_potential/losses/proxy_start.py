"""Where proxies start when they start in the data."""

import numpy as np
import torch
from torch import Tensor

_SMALLEST_NORM = 1e-6


def class_centres(members: Tensor, count: int) -> Tensor:
    """Represent the embeddings of one class by ``count`` points.

    k-means of the members; where the class has no more distinct members than ``count``, the members
    themselves, each at least once, and random ones of them for the rest. A centre at the origin gives
    way to the first member. Randomness comes from
    torch's global generator.

    Args:
        members: (n, d) embeddings of the class, n at least 1.
        count: number of points.

    Returns:
        (count, d), dtype and device of ``members``.

    Examples:
        >>> class_centres(torch.tensor([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0]]), 1)
        tensor([[0.3333, 0.6667]])
    """
    # Imported here because it takes a quarter of a second that most users of a loss need not wait.
    from sklearn.cluster import KMeans

    distinct = members.unique(dim=0)
    if len(distinct) <= count:
        extra = torch.randint(len(distinct), (count - len(distinct),))
        return torch.cat([distinct, distinct[extra.to(members.device)]])
    seed = int(torch.randint(2**31 - 1, ()))
    k_means = KMeans(n_clusters=count, n_init=1, random_state=seed)
    centres = k_means.fit(members.double().cpu().numpy()).cluster_centers_
    centres = torch.from_numpy(np.ascontiguousarray(centres)).to(members)
    # Opposite members can cancel out, and a proxy needs a direction.
    cancelled = centres.norm(dim=1, keepdim=True) < _SMALLEST_NORM
    return torch.where(cancelled, members[:1], centres)
