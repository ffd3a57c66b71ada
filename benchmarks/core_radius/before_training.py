"""The scores before training, and how near the planted copies are to their originals."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.core_radius.activations import Activations
from benchmarks.core_radius.data import Cars
from benchmarks.core_radius.training import in_batches, scores_of, starting_point


def before_training(cars: Cars) -> dict[str, Any]:
    """Measure test scores, distances of copies from their originals, and of two crops of a photo."""
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
    return {
        "test": scores_of(starting_point(cars.training["clean"])[0], cars.test),
        "copies": _summary(torch.cat(near)),
        "crops": _summary(crops),
    }


def _summary(distances: Tensor) -> dict[str, float]:
    return {
        "least": distances.min().item(),
        "median": distances.median().item(),
        "most": distances.max().item(),
    }
