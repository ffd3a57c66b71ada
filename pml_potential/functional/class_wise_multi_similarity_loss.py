"""The multi-similarity loss with means over classes instead of sums over pairs."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from pml_potential.fields.class_means import first_of_group, log1p_exp, log_mean_exp_by_group
from pml_potential.functional.mean_fields import cosine_similarities
from pml_potential.functional.validation import (
    Range,
    check_flag,
    check_input,
    check_number,
    dtype_to_compute_in,
)

SHARPNESS = Range(0, 1000, low_is_allowed=False)
BASE = Range(-1, 1)


class ClassTerms(NamedTuple):
    """The two terms of each of the k classes in the batch, in ascending order.

    Attributes:
        attraction: (k,).
        repulsion: (k,).
        first: index of the first member of each class in the batch, (k,).
    """

    attraction: Tensor
    repulsion: Tensor
    first: Tensor


def class_wise_multi_similarity_loss(
    embeddings: Tensor,
    labels: Tensor,
    *,
    alpha: float = 0.01,
    beta: float = 80.0,
    base: float = 0.8,
    check_finite: bool = True,
) -> Tensor:
    """Multi-similarity between classes, from means over their pairs (CWMS).

    With B_c the members of class c in the batch, C the classes in the batch, and the cosine
    similarity s_ij:

        pos_c     = mean over (i, j) in B_c x B_c  of exp(-alpha (s_ij - base))
        neg_{cc'} = mean over (i, j) in B_c x B_c' of exp(+beta  (s_ij - base))
        loss = 1/|C| [ Σ_c 1/alpha log(1 + pos_c / 2)
                       + Σ_{c != c'} 1/(2 beta) log(1 + neg_{cc'}) ]

    Cosines do not depend on the lengths of vectors, so nothing has to be normalised before.

    Args:
        embeddings: z, (batch_size, d), of any floating dtype.
        labels: (batch_size,), integers from 0.
        alpha: sharpness among members of a class, in (0, 1000]. Default 0.01.
        beta: sharpness between classes, in (0, 1000]. Default 80.
        base: lambda, a cosine similarity in [-1, 1]. Default 0.8.
        check_finite: whether to refuse negative labels and values that are not finite. Default True; a
            GPU waits for it once a step.

    Returns:
        A scalar, that of ``ClassWiseMultiSimilarityLoss``; float32, or float64 if the embeddings are,
        also under autocast.

    Raises:
        ValueError: An argument is outside its range; shapes or labels do not fit; a batch is empty; or
            values are not finite (``NonFiniteError``).
        TypeError: An argument or a tensor has the wrong type.

    Source:
        Furusawa, "Mean Field Theory in Deep Metric Learning", ICLR 2024, arXiv 2306.15368.

    Examples:
        >>> embeddings = torch.randn(32, 64, requires_grad=True)
        >>> class_wise_multi_similarity_loss(embeddings, torch.randint(10, (32,))).backward()
        >>> embeddings.grad.shape
        torch.Size([32, 64])
    """
    alpha, beta = check_number("alpha", alpha, *SHARPNESS), check_number("beta", beta, *SHARPNESS)
    base = check_number("base", base, *BASE)
    check_flag("check_finite", check_finite)
    labels = check_input(embeddings, labels, None, None, {}, None, None, check_finite)
    with torch.autocast(embeddings.device.type, enabled=False):
        embeddings = embeddings.to(dtype_to_compute_in(embeddings))
        labels = labels.to(embeddings.device)
        similarities = cosine_similarities(embeddings, embeddings)
        terms = class_wise_terms(similarities, labels, labels, alpha, beta, base)
        return (terms.attraction + terms.repulsion).mean()


def class_wise_terms(
    similarities: Tensor,
    labels: Tensor,
    ref_labels: Tensor,
    alpha: float,
    beta: float,
    base: float,
    pairs: tuple[Tensor, Tensor] | None = None,
) -> ClassTerms:
    """Attraction and repulsion of each class in the batch.

    Args:
        similarities: of each embedding with each reference, (batch_size, ref_size).
        labels: classes of the rows, (batch_size,).
        ref_labels: classes of the columns, (ref_size,).
        alpha: sharpness among members of a class.
        beta: sharpness between classes.
        base: lambda.
        pairs: rows and columns that the means run over. Default: all.
    """
    if pairs is None:
        first, second = torch.ones_like(similarities, dtype=torch.bool).nonzero(as_tuple=True)
    else:
        first, second = pairs
    classes, class_of = labels.unique(return_inverse=True)
    ref_classes, ref_class_of = ref_labels.unique(return_inverse=True)
    excess = similarities[first, second] - base
    same_class = labels[first] == ref_labels[second]
    exponents = torch.where(same_class, -alpha * excess, beta * excess)
    log_means = log_mean_exp_by_group(
        exponents[:, None],
        class_of[first] * len(ref_classes) + ref_class_of[second],
        len(classes) * len(ref_classes),
    ).view(len(classes), len(ref_classes))
    own = classes[:, None] == ref_classes[None, :]
    attraction = (log1p_exp(log_means - math.log(2)) / alpha).where(own, 0).sum(dim=1)
    repulsion = (log1p_exp(log_means) / (2 * beta)).where(~own, 0).sum(dim=1)
    return ClassTerms(attraction, repulsion, first_of_group(class_of, len(classes)))
