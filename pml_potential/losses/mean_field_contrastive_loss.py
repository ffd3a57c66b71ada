"""The contrastive loss in mean-field theory."""

from typing import Any

import torch
from torch import Tensor

from pml_potential.functional.mean_field_contrastive_loss import (
    MARGIN,
    contrastive_repulsion,
    contrastive_terms,
)
from pml_potential.losses.bounded_number import BoundedNumber
from pml_potential.losses.mean_field_loss import MeanFieldLoss


class MeanFieldContrastiveLoss(MeanFieldLoss):
    """Contrastive loss with one learnable mean field instead of each class's members (MFCont).

    With the cosine distance D(a, b) = 1 - cos(a, b) and the mean field M_c of class c:

        loss = mean_i { relu(D(z_i, M_{y_i}) - m_P)
                        + Σ_{c != y_i} relu(m_N - D(z_i, M_c)) } + lambda_MF R
        R    = mean_c Σ_{c' != c} relu(m_N - D(M_c, M_c'))^2

    Args:
        num_classes: N, at least 1; labels are 0 .. N-1.
        embedding_size: d, at least 1.
        pos_margin: m_P, a cosine distance in [0, 2]. Default 0.02, published.
        neg_margin: m_N, a cosine distance in [0, 2]. Default 0.3, published.
        regularization_weight: lambda_MF, at least 0. Default 0, published. Above 0 it takes time that
            grows with num_classes squared.
        **kwargs: arguments of PML's losses: ``reducer`` (default ``MeanReducer``), ``distance``
            (``CosineSimilarity()``, no other), ``embedding_regularizer``, ``weight_regularizer``,
            ``weight_reg_weight``, ``weight_init_func`` (default: standard normal); and
            ``check_finite``: whether to refuse labels out of range and values that are not finite
            (default True; a GPU waits for it once a step).

    Shape:
        - embeddings: (batch_size, d), labels: (batch_size,); the loss is a scalar.
        - ``loss.mean_fields``: Parameter (N, d). It needs an optimizer: pass ``loss.parameters()`` to
          one.
        - ``indices_tuple``: an embedding is weighted by how often a miner chose it; ``ref_emb`` is
          refused, since embeddings meet mean fields only.

    A batch of one, a batch of one class, and classes without a member in the batch are fine.

    Raises:
        ValueError: An argument is outside its range; embeddings, labels or devices do not fit; or
            embeddings or mean fields are not finite.
        TypeError: An argument or a tensor has the wrong type.

    Source:
        Furusawa, "Mean Field Theory in Deep Metric Learning", ICLR 2024, arXiv 2306.15368.

    Examples:
        >>> import torch
        >>> from pml_potential import MeanFieldContrastiveLoss
        >>> loss_func = MeanFieldContrastiveLoss(num_classes=10, embedding_size=64)
        >>> embeddings = torch.randn(32, 64, requires_grad=True)
        >>> loss_func(embeddings, torch.randint(10, (32,))).backward()
        >>> loss_func.mean_fields.grad.shape
        torch.Size([10, 64])
    """

    pos_margin = BoundedNumber(*MARGIN)
    neg_margin = BoundedNumber(*MARGIN)

    def __init__(
        self,
        num_classes: int,
        embedding_size: int,
        pos_margin: float = 0.02,
        neg_margin: float = 0.3,
        regularization_weight: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, embedding_size, regularization_weight, **kwargs)
        self.pos_margin = pos_margin
        self.neg_margin = neg_margin
        self.add_to_recordable_attributes(list_of_names=["pos_margin", "neg_margin"], is_stat=False)

    def element_losses(self, embeddings: Tensor, labels: Tensor, weights: Tensor) -> dict[str, Any]:
        """Compute the loss of each embedding."""
        attraction, repulsion = (
            term * weights
            for term in contrastive_terms(
                embeddings,
                labels,
                self.mean_fields,
                self.pos_margin,
                self.neg_margin,
                self.distance,
            )
        )
        self.record(attraction_loss=attraction, repulsion_loss=repulsion)
        return {
            "losses": attraction + repulsion,
            "indices": torch.arange(len(labels), device=labels.device),
            "reduction_type": "element",
            "divisor": len(labels),
        }

    def field_repulsion(self, cosines: Tensor) -> Tensor:
        """relu(m_N - D)^2."""
        return contrastive_repulsion(cosines, self.neg_margin)
