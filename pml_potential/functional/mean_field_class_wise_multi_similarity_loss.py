"""The class-wise multi-similarity loss in mean-field theory."""

import torch
from torch import Tensor

from pml_potential.fields.class_means import (
    LOG_OF_ZERO,
    first_of_group,
    log1p_exp,
    log_add_exp,
    log_mean_exp_by_group,
)
from pml_potential.functional.class_wise_multi_similarity_loss import BASE, SHARPNESS, ClassTerms
from pml_potential.functional.mean_fields import (
    REGULARIZATION_WEIGHT,
    Cosines,
    check_mean_field_input,
    cosine_similarities,
    cosines_of_classes,
    regularization,
    sum_over_fields,
)
from pml_potential.functional.validation import check_number, dtype_to_compute_in


def mean_field_class_wise_multi_similarity_loss(
    embeddings: Tensor,
    labels: Tensor,
    mean_fields: Tensor,
    *,
    alpha: float = 0.01,
    beta: float = 80.0,
    base: float = 0.8,
    regularization_weight: float = 0.0,
    check_finite: bool = True,
) -> Tensor:
    """Multi-similarity between embeddings and learnable mean fields of classes (MFCWMS).

    With B_c the members of class c in the batch, C the classes in the batch, and the mean field M_c:

        pos_c     = mean over i in B_c of exp(-alpha (cos(z_i, M_c)  - base))
        neg_{cc'} = mean over i in B_c of exp(+beta  (cos(z_i, M_c') - base))
        loss = 1/|C| [ Σ_c 1/alpha log(1 + pos_c)
                       + Σ_{c != c'} 1/(2 beta) log(1 + neg_{cc'} + neg_{c'c}) ] + lambda_MF R
        R    = mean_c Σ_{c' != c} softplus_beta(cos(M_c, M_c') - base)^2

    where c, c' run over all N classes, pos_c and neg_{cc'} are 0 for c outside C, and
    softplus_beta(x) = log(1 + e^(beta x)) / beta. Cosines do not depend on the lengths of vectors, so
    nothing has to be normalised before.

    Args:
        embeddings: z, (batch_size, d), of any floating dtype.
        labels: (batch_size,), integers from 0 to num_classes - 1.
        mean_fields: M, (num_classes, d); row c is that of class c. Hand them to an optimizer.
        alpha: sharpness towards the own mean field, in (0, 1000]. Default 0.01.
        beta: sharpness towards the others, in (0, 1000]. Default 80.
        base: lambda, a cosine similarity in [-1, 1]. Default 0.8.
        regularization_weight: lambda_MF, at least 0. Default 0.
        check_finite: whether to refuse labels out of range and values that are not finite. Default
            True; a GPU waits for it once a step.

    Returns:
        A scalar, that of ``MeanFieldClassWiseMultiSimilarityLoss``; float32, or float64 if a tensor is,
        also under autocast.

    Raises:
        ValueError: An argument is outside its range; shapes, labels or devices do not fit; a batch is
            empty; or values are not finite (``NonFiniteError``).
        TypeError: An argument or a tensor has the wrong type.

    Source:
        Furusawa, "Mean Field Theory in Deep Metric Learning", ICLR 2024, arXiv 2306.15368.

    Examples:
        >>> embeddings = torch.randn(32, 64, requires_grad=True)
        >>> mean_fields = torch.nn.Parameter(torch.randn(10, 64))
        >>> labels = torch.randint(10, (32,))
        >>> mean_field_class_wise_multi_similarity_loss(embeddings, labels, mean_fields).backward()
        >>> mean_fields.grad.shape
        torch.Size([10, 64])
    """
    alpha, beta = check_number("alpha", alpha, *SHARPNESS), check_number("beta", beta, *SHARPNESS)
    base = check_number("base", base, *BASE)
    weight = check_number("regularization_weight", regularization_weight, *REGULARIZATION_WEIGHT)
    labels = check_mean_field_input(embeddings, labels, mean_fields, check_finite)
    dtype = dtype_to_compute_in(embeddings, mean_fields)
    with torch.autocast(embeddings.device.type, enabled=False):
        embeddings, mean_fields = embeddings.to(dtype), mean_fields.to(dtype)
        terms = mean_field_class_wise_terms(embeddings, labels, mean_fields, alpha, beta, base)
        loss = (terms.attraction + terms.repulsion).mean()
        if weight > 0:
            loss = loss + regularization(
                weight, lambda cosines: soft_repulsion(cosines, beta, base), mean_fields
            )
        return loss


def mean_field_class_wise_terms(
    embeddings: Tensor,
    labels: Tensor,
    mean_fields: Tensor,
    alpha: float,
    beta: float,
    base: float,
    weights: Tensor | None = None,
    cosines: Cosines = cosine_similarities,
) -> ClassTerms:
    """Attraction and repulsion of each class in the batch.

    A pair of classes of which only one is in the batch enters the sum over c != c' twice, once in each
    order; both terms are added to the class in the batch.

    Args:
        embeddings: z, (batch_size, d).
        labels: (batch_size,).
        mean_fields: M, (num_classes, d).
        alpha: sharpness towards the own mean field.
        beta: sharpness towards the others.
        base: lambda.
        weights: how much each embedding counts, (batch_size,), in [0, 1]. Default: all equally.
        cosines: function that computes cosine similarities.
    """
    present, class_of = labels.unique(return_inverse=True)
    log_weights = None if weights is None else weights.log()

    def log_neg(cosines: Tensor) -> Tensor:
        return log_mean_exp_by_group(beta * (cosines - base), class_of, len(present), log_weights)

    def to_absent(cosines: Tensor, classes: Tensor) -> Tensor:
        is_present = torch.isin(classes, present)
        return log1p_exp(log_neg(cosines).masked_fill(is_present, LOG_OF_ZERO)).sum(dim=1)

    of_present = cosines_of_classes(embeddings, mean_fields, present, cosines)
    own_cosines = of_present.gather(1, class_of[:, None])
    log_pos = log_mean_exp_by_group(
        -alpha * (own_cosines - base), class_of, len(present), log_weights
    ).squeeze(1)
    among_present = log_neg(of_present).fill_diagonal_(LOG_OF_ZERO)
    mutual = log1p_exp(log_add_exp(among_present, among_present.T)).sum(dim=1)
    attraction = log1p_exp(log_pos) / alpha
    to_all_absent = sum_over_fields(to_absent, embeddings, mean_fields, cosines)
    repulsion = (2 * to_all_absent + mutual) / (2 * beta)
    return ClassTerms(attraction, repulsion, first_of_group(class_of, len(present)))


def soft_repulsion(cosines: Tensor, beta: float, base: float) -> Tensor:
    """softplus_beta(cos - base)^2 of two mean fields."""
    return (log1p_exp(beta * (cosines - base)) / beta).square()
