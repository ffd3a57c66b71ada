"""Cosines of embeddings with mean fields, without a matrix of all of them."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import normalize
from torch.utils.checkpoint import checkpoint

from pml_potential.fields.pair_sum import sum_over_pairs
from pml_potential.functional.validation import Range, check_flag, check_form_of_embeddings, check_input

REGULARIZATION_WEIGHT = Range(0, float("inf"))

_NUMBERS_PER_CHUNK = 2**20
"""Cosines, or coordinates of mean fields, that are processed at a time."""

Cosines = Callable[[Tensor, Tensor], Tensor]
"""Takes rows (m, d) and columns (k, d) of any length, and returns their cosine similarities (m, k)."""


def cosine_similarities(rows: Tensor, columns: Tensor) -> Tensor:
    """Cosine similarity of each row with each column.

    Examples:
        >>> cosine_similarities(torch.tensor([[3.0, 0.0]]), torch.tensor([[2.0, 0.0], [0.0, 5.0]]))
        tensor([[1., 0.]])
    """
    return normalize(rows) @ normalize(columns).T


def check_mean_field_input(
    embeddings: Tensor, labels: Tensor, mean_fields: Tensor, check_finite: bool
) -> Tensor:
    """Return the labels, on the device of the embeddings, if the input fits together."""
    check_flag("check_finite", check_finite)
    check_form_of_embeddings("mean_fields", mean_fields, None, "num_classes")
    num_classes, width = mean_fields.shape
    parameters = {"mean_fields": mean_fields}
    labels = check_input(embeddings, labels, None, None, parameters, num_classes, width, check_finite)
    return labels.to(embeddings.device).long()


def cosines_of_classes(
    embeddings: Tensor, mean_fields: Tensor, classes: Tensor, cosines: Cosines
) -> Tensor:
    """Cosines of the embeddings with the mean fields of some classes, (batch_size, k)."""
    return cosines(embeddings, mean_fields.index_select(0, classes).to(embeddings.dtype))


def sum_over_fields(
    function: Callable[[Tensor, Tensor], Tensor],
    embeddings: Tensor,
    mean_fields: Tensor,
    cosines: Cosines,
) -> Tensor:
    """Sum a function of the cosines of all mean fields, some fields at a time.

    No (batch_size, num_classes) tensor is kept: the backward pass computes the cosines again.

    Args:
        function: takes cosines with some mean fields, (batch_size, k), and the classes of those,
            (k,), and sums over the classes.
        embeddings: (batch_size, d).
        mean_fields: (num_classes, d).
        cosines: how they are computed.
    """
    mean_fields = mean_fields.to(embeddings.dtype)
    classes = torch.arange(len(mean_fields), device=mean_fields.device)

    def sum_over(some_fields: Tensor, some_classes: Tensor) -> Tensor:
        return function(cosines(embeddings, some_fields), some_classes)

    size = max(1, _NUMBERS_PER_CHUNK // max(embeddings.shape))
    if len(mean_fields) <= size:
        return sum_over(mean_fields, classes)
    sums = [
        checkpoint(sum_over, *part, use_reentrant=False, preserve_rng_state=False)
        for part in zip(mean_fields.split(size), classes.split(size), strict=True)
    ]
    return torch.stack(sums).sum(dim=0)


def regularization(
    weight: float,
    repulsion: Callable[[Tensor], Tensor],
    mean_fields: Tensor,
    cosines: Cosines = cosine_similarities,
) -> Tensor:
    """lambda_MF R: the mean over the mean fields of their repulsion by all the others.

    Args:
        weight: lambda_MF.
        repulsion: of two mean fields, element by element, for their cosine.
        mean_fields: (num_classes, d).
        cosines: how they are computed.
    """
    total = sum_over_pairs(lambda rows, columns: repulsion(cosines(rows, columns)), mean_fields)
    return weight * total / len(mean_fields)
