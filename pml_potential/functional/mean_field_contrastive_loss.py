"""The contrastive loss in mean-field theory."""

import torch
from torch import Tensor

from pml_potential.functional.mean_fields import (
    REGULARIZATION_WEIGHT,
    Cosines,
    check_mean_field_input,
    cosine_similarities,
    cosines_of_classes,
    regularization,
    sum_over_fields,
)
from pml_potential.functional.validation import Range, check_number, dtype_to_compute_in

MARGIN = Range(0, 2)


def mean_field_contrastive_loss(
    embeddings: Tensor,
    labels: Tensor,
    mean_fields: Tensor,
    *,
    pos_margin: float = 0.02,
    neg_margin: float = 0.3,
    regularization_weight: float = 0.0,
    check_finite: bool = True,
) -> Tensor:
    """Contrastive loss with one learnable mean field instead of each class's members (MFCont).

    With the cosine distance D(a, b) = 1 - cos(a, b) and the mean field M_c of class c:

        loss = mean_i { relu(D(z_i, M_{y_i}) - m_P)
                        + Σ_{c != y_i} relu(m_N - D(z_i, M_c)) } + lambda_MF R
        R    = mean_c Σ_{c' != c} relu(m_N - D(M_c, M_c'))^2

    Cosines do not depend on the lengths of vectors, so nothing has to be normalised before.

    Args:
        embeddings: z, (batch_size, d), of any floating dtype.
        labels: (batch_size,), integers from 0 to num_classes - 1.
        mean_fields: M, (num_classes, d); row c is that of class c. Hand them to an optimizer.
        pos_margin: m_P, a cosine distance in [0, 2]. Default 0.02.
        neg_margin: m_N, a cosine distance in [0, 2]. Default 0.3.
        regularization_weight: lambda_MF, at least 0. Default 0.
        check_finite: whether to refuse labels out of range and values that are not finite. Default
            True; a GPU waits for it once a step.

    Returns:
        A scalar, that of ``MeanFieldContrastiveLoss``; float32, or float64 if a tensor is, also under
        autocast.

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
        >>> mean_field_contrastive_loss(embeddings, labels, mean_fields).backward()
        >>> mean_fields.grad.shape
        torch.Size([10, 64])
    """
    pos_margin = check_number("pos_margin", pos_margin, *MARGIN)
    neg_margin = check_number("neg_margin", neg_margin, *MARGIN)
    weight = check_number("regularization_weight", regularization_weight, *REGULARIZATION_WEIGHT)
    labels = check_mean_field_input(embeddings, labels, mean_fields, check_finite)
    dtype = dtype_to_compute_in(embeddings, mean_fields)
    with torch.autocast(embeddings.device.type, enabled=False):
        embeddings, mean_fields = embeddings.to(dtype), mean_fields.to(dtype)
        attraction, repulsion = contrastive_terms(
            embeddings, labels, mean_fields, pos_margin, neg_margin
        )
        loss = (attraction + repulsion).mean()
        if weight > 0:
            loss = loss + regularization(
                weight, lambda cosines: contrastive_repulsion(cosines, neg_margin), mean_fields
            )
        return loss


def contrastive_terms(
    embeddings: Tensor,
    labels: Tensor,
    mean_fields: Tensor,
    pos_margin: float,
    neg_margin: float,
    cosines: Cosines = cosine_similarities,
) -> tuple[Tensor, Tensor]:
    """Attraction and repulsion of each embedding, (batch_size,) each."""

    def overlaps(cosines: Tensor, classes: Tensor) -> Tensor:
        overlap = (neg_margin - (1 - cosines)).relu()
        return overlap.masked_fill(labels[:, None] == classes, 0).sum(dim=1)

    present, class_of = labels.unique(return_inverse=True)
    of_present = cosines_of_classes(embeddings, mean_fields, present, cosines)
    own_cosines = of_present.gather(1, class_of[:, None])
    attraction = (1 - own_cosines.squeeze(1) - pos_margin).relu()
    return attraction, sum_over_fields(overlaps, embeddings, mean_fields, cosines)


def contrastive_repulsion(cosines: Tensor, neg_margin: float) -> Tensor:
    """relu(m_N - D)^2 of two mean fields."""
    return (neg_margin - (1 - cosines)).relu().square()
