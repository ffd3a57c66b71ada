"""The class-wise multi-similarity loss in mean-field theory."""

from typing import Any

from torch import Tensor

from pml_potential.functional.class_wise_multi_similarity_loss import BASE, SHARPNESS
from pml_potential.functional.mean_field_class_wise_multi_similarity_loss import (
    mean_field_class_wise_terms,
    soft_repulsion,
)
from pml_potential.losses.bounded_number import BoundedNumber
from pml_potential.losses.elements_of_classes import elements_of_classes
from pml_potential.losses.mean_field_loss import MeanFieldLoss


class MeanFieldClassWiseMultiSimilarityLoss(MeanFieldLoss):
    """Multi-similarity between embeddings and learnable mean fields of classes (MFCWMS).

    With B_c the members of class c in the batch, C the classes in the batch, and the mean field M_c:

        pos_c     = mean over i in B_c of exp(-alpha (cos(z_i, M_c)  - base))
        neg_{cc'} = mean over i in B_c of exp(+beta  (cos(z_i, M_c') - base))
        loss = 1/|C| [ Σ_c 1/alpha log(1 + pos_c)
                       + Σ_{c != c'} 1/(2 beta) log(1 + neg_{cc'} + neg_{c'c}) ] + lambda_MF R
        R    = mean_c Σ_{c' != c} softplus_beta(cos(M_c, M_c') - base)^2

    where c, c' run over all N classes, pos_c and neg_{cc'} are 0 for c outside C, and
    softplus_beta(x) = log(1 + e^(beta x)) / beta. Computed in log space: no exponent overflows.

    Args:
        num_classes: N, at least 1; labels are 0 .. N-1.
        embedding_size: d, at least 1.
        alpha: sharpness towards the own mean field, in (0, 1000]. Default 0.01, published.
        beta: sharpness towards the others, in (0, 1000]. Default 80, published.
        base: lambda, a cosine similarity in [-1, 1]. Default 0.8, published.
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
        - The reducer gets one element for each class of the batch; its index is that of the first
          member of the class.
        - ``indices_tuple``: an embedding is weighted, within its class's means, by how often a miner
          chose it; ``ref_emb`` is refused, since embeddings meet mean fields only.

    A batch of one, a batch of one class, and classes without a member in the batch are fine.

    Raises:
        ValueError: An argument is outside its range; embeddings, labels or devices do not fit; or
            embeddings or mean fields are not finite.
        TypeError: An argument or a tensor has the wrong type.

    Source:
        Furusawa, "Mean Field Theory in Deep Metric Learning", ICLR 2024, arXiv 2306.15368.

    Examples:
        >>> import torch
        >>> from pml_potential import MeanFieldClassWiseMultiSimilarityLoss
        >>> loss_func = MeanFieldClassWiseMultiSimilarityLoss(num_classes=10, embedding_size=64)
        >>> embeddings = torch.randn(32, 64, requires_grad=True)
        >>> loss_func(embeddings, torch.randint(10, (32,))).backward()
        >>> loss_func.mean_fields.grad.shape
        torch.Size([10, 64])
    """

    alpha = BoundedNumber(*SHARPNESS)
    beta = BoundedNumber(*SHARPNESS)
    base = BoundedNumber(*BASE)

    def __init__(
        self,
        num_classes: int,
        embedding_size: int,
        alpha: float = 0.01,
        beta: float = 80.0,
        base: float = 0.8,
        regularization_weight: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, embedding_size, regularization_weight, **kwargs)
        self.alpha = alpha
        self.beta = beta
        self.base = base
        self.add_to_recordable_attributes(list_of_names=["alpha", "beta", "base"], is_stat=False)

    def element_losses(self, embeddings: Tensor, labels: Tensor, weights: Tensor) -> dict[str, Any]:
        """Compute the loss of each class in the batch."""
        terms = mean_field_class_wise_terms(
            embeddings,
            labels,
            self.mean_fields,
            self.alpha,
            self.beta,
            self.base,
            weights,
            self.distance,
        )
        self.record(attraction_loss=terms.attraction, repulsion_loss=terms.repulsion)
        return elements_of_classes(terms)

    def field_repulsion(self, cosines: Tensor) -> Tensor:
        """softplus_beta(cos - base)^2."""
        return soft_repulsion(cosines, self.beta, self.base)
