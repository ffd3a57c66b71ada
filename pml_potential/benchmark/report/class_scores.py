"""The scores of each class on its own, by PML's calculator."""

from dataclasses import dataclass

import torch
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from torch import Tensor

from pml_potential.benchmark.evaluation import PRIMARY_METRIC, neighbor_search

_METRICS = ("precision_at_1", PRIMARY_METRIC)


@dataclass(frozen=True)
class ClassScore:
    """Retrieval scores of the queries of a class.

    Attributes:
        label: of the class.
        queries: how many there are.
        precision_at_1: share of them whose nearest neighbour is of their class.
        map_at_r: their mean average precision at R.
    """

    label: int
    queries: int
    precision_at_1: float
    map_at_r: float


def class_scores(embeddings: Tensor, labels: Tensor, queries: int | None = None) -> list[ClassScore]:
    """Score each class by its queries, the lowest MAP@R first.

    Args:
        embeddings: (n, d), l2-normalised.
        labels: (n,), integers.
        queries: number of rows, from the first, that are queries; the others are the gallery. None: each
            row is a query among all others.

    Returns:
        A score for each class that has a query with a match; empty if there is none.

    Examples:
        >>> points = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.9, 0.2]])
        >>> found = class_scores(points, torch.tensor([0, 0, 1, 1]))
        >>> [(each.label, each.precision_at_1) for each in found]
        [(1, 0.5), (0, 1.0)]
    """
    own = embeddings[:queries].contiguous().float(), labels[:queries]
    others = own if queries is None else (embeddings[queries:].contiguous().float(), labels[queries:])
    counts = torch.bincount(others[1], minlength=int(labels.max()) + 1)[own[1]] - int(queries is None)
    found, numbers = torch.unique(own[1][counts > 0], return_counts=True)
    if not len(found):
        return []
    calculator = AccuracyCalculator(
        include=_METRICS,
        k="max_bin_count",
        return_per_class=True,
        device=embeddings.device,
        knn_func=neighbor_search(),
    )
    scores = calculator.get_accuracy(*own, *others, ref_includes_query=queries is None)
    rows = zip(found.tolist(), numbers.tolist(), *(scores[metric] for metric in _METRICS), strict=True)
    return sorted((ClassScore(*row) for row in rows), key=lambda each: (each.map_at_r, each.label))
