"""How near the planted copies are to their originals before training."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.core_radius.activations import Activations
from benchmarks.core_radius.data import Cars
from benchmarks.core_radius.training import in_batches, starting_point


def distances_at_start(cars: Cars) -> dict[str, dict[str, float]]:
    """Distances of copies from their originals in each view, and of two random crops of one photo."""
    data = cars.training["copies"]
    embedder, _ = starting_point(data)
    copies = np.arange(len(cars.training["clean"].labels), len(data.labels))
    originals = data.photos[copies]

    def embed(view: Activations, indices: NDArray[np.int64]) -> Tensor:
        return normalize(in_batches(embedder, view[indices]))

    near = [
        (embed(view, copies) - embed(view, originals)).norm(dim=1) for view in (data.whole, *data.views)
    ]
    crops = (embed(data.views[0], originals) - embed(data.views[1], originals)).norm(dim=1)
    return {"copies": _summary(torch.cat(near)), "crops": _summary(crops)}


def _summary(distances: Tensor) -> dict[str, float]:
    return {
        "least": distances.min().item(),
        "median": distances.median().item(),
        "most": distances.max().item(),
    }
