"""What the formulas of the papers give for a loss, in plain loops."""

import math
from typing import Any

from torch import Tensor

from pml_potential import (
    ClassWiseMultiSimilarityLoss,
    CPMLLoss,
    MeanFieldContrastiveLoss,
    PotentialFieldLoss,
)
from tests.losses.oracles import (
    class_wise_multi_similarity,
    contrastive_law,
    field_energies,
    mean_field_class_wise_multi_similarity,
    mean_field_contrastive,
    mined_weights,
    power_law,
)


def value_by_formula(
    loss: Any, embeddings: Tensor, labels: Tensor, indices: tuple[Tensor, ...] | None = None
) -> float:
    """The loss of a batch, of which a miner may have chosen pairs or triplets."""
    z, y = embeddings.tolist(), labels.tolist()
    mined = None if indices is None else [part.tolist() for part in indices]
    if isinstance(loss, ClassWiseMultiSimilarityLoss):
        pairs = None if mined is None else pairs_of(mined)
        return class_wise_multi_similarity(z, y, loss.alpha, loss.beta, loss.base, pairs=pairs)
    weights = [1.0] * len(y) if mined is None else mined_weights(mined, len(y))
    if isinstance(loss, PotentialFieldLoss):
        laws = power_law(loss.alpha, loss.delta, loss.delta_rep, loss.core_radius)
        return mean_of_weighted_energies(loss, laws, z, y, weights)
    if isinstance(loss, CPMLLoss):
        return mean_of_weighted_energies(loss, contrastive_law(loss.delta), z, y, weights)
    fields = loss.mean_fields.tolist()
    if isinstance(loss, MeanFieldContrastiveLoss):
        return mean_field_contrastive(z, y, fields, loss.pos_margin, loss.neg_margin, 0, weights)
    return mean_field_class_wise_multi_similarity(
        z, y, fields, loss.alpha, loss.beta, loss.base, 0, weights
    )


def mean_of_weighted_energies(loss: Any, laws: Any, z: Any, y: Any, weights: list[float]) -> float:
    points = z + loss.proxies.tolist()
    labels = y + loss.proxy_labels.tolist()
    energies = field_energies(points, labels, laws, len(points))
    weights = weights + [1.0] * len(loss.proxies)
    return math.fsum(w * e for w, e in zip(weights, energies, strict=True)) / len(points)


def pairs_of(indices: list[list[int]]) -> list[tuple[int, int]]:
    """The pairs among which are those of each triplet's anchor."""
    anchors, positives, *rest = indices
    others, negatives = rest if len(rest) == 2 else (anchors, rest[0])
    return [*zip(anchors, positives, strict=True), *zip(others, negatives, strict=True)]
