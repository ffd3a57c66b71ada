"""The multi-similarity loss with means over classes instead of sums over pairs."""

from typing import Any

import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.utils.loss_and_miner_utils import convert_to_pairs
from torch import Tensor

from pml_potential.functional.class_wise_multi_similarity_loss import (
    BASE,
    SHARPNESS,
    class_wise_terms,
)
from pml_potential.losses.bounded_number import BoundedNumber, ModuleWithNumbers
from pml_potential.losses.checked_metric_loss import CheckedMetricLoss
from pml_potential.losses.elements_of_classes import elements_of_classes
from pml_potential.losses.required_distance import check_distance


class ClassWiseMultiSimilarityLoss(ModuleWithNumbers, CheckedMetricLoss):
    """Multi-similarity between classes, from means over their pairs (CWMS). No parameters.

    With B_c the members of class c in the batch, C the classes in the batch, and the cosine
    similarity s_ij:

        pos_c     = mean over (i, j) in B_c x B_c  of exp(-alpha (s_ij - base))
        neg_{cc'} = mean over (i, j) in B_c x B_c' of exp(+beta  (s_ij - base))
        loss = 1/|C| [ Σ_c 1/alpha log(1 + pos_c / 2)
                       + Σ_{c != c'} 1/(2 beta) log(1 + neg_{cc'}) ]

    The pairs i = j are part of pos_c, a constant. Computed in log space: no exponent overflows.

    Args:
        alpha: sharpness among members of a class, in (0, 1000]. Default 0.01, published.
        beta: sharpness between classes, in (0, 1000]. Default 80, published.
        base: lambda, a cosine similarity in [-1, 1]. Default 0.8, published.
        **kwargs: arguments of PML's losses: ``reducer`` (default ``MeanReducer``), ``distance``
            (``CosineSimilarity()``, no other), ``embedding_regularizer``, ``collect_stats``; and
            ``check_finite``: whether to refuse labels out of range and values that are not finite
            (default True; a GPU waits for it once a step).

    Shape:
        - embeddings: (batch_size, d), labels: (batch_size,), integers from 0; the loss is a scalar.
        - The reducer gets one element for each class of the batch; its index is that of the first
          member of the class.
        - ``indices_tuple``: the means run over the pairs that a miner chose; ``ref_emb``: the pairs
          are those of an embedding and a reference.

    A batch of one, and a batch of one class, have no negative term. A class without any pair chosen by
    the miner adds zero.

    Raises:
        ValueError: An argument is outside its range; embeddings or labels do not fit; or embeddings
            are not finite.
        TypeError: An argument or a tensor has the wrong type.

    Source:
        Furusawa, "Mean Field Theory in Deep Metric Learning", ICLR 2024, arXiv 2306.15368.

    Examples:
        >>> import torch
        >>> from pml_potential import ClassWiseMultiSimilarityLoss
        >>> loss_func = ClassWiseMultiSimilarityLoss()
        >>> embeddings = torch.randn(32, 64, requires_grad=True)
        >>> loss_func(embeddings, torch.randint(10, (32,))).backward()
        >>> embeddings.grad.shape
        torch.Size([32, 64])
    """

    alpha = BoundedNumber(*SHARPNESS)
    beta = BoundedNumber(*SHARPNESS)
    base = BoundedNumber(*BASE)

    def __init__(
        self, alpha: float = 0.01, beta: float = 80.0, base: float = 0.8, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        check_distance(type(self).__name__, self.distance, CosineSimilarity)
        self.alpha = alpha
        self.beta = beta
        self.base = base
        self.add_to_recordable_attributes(list_of_names=["alpha", "beta", "base"], is_stat=False)
        self.add_to_recordable_attributes(
            list_of_names=["attraction_loss", "repulsion_loss"], is_stat=True
        )

    def compute_loss(
        self,
        embeddings: Tensor,
        labels: Tensor,
        indices_tuple: tuple[Tensor, ...] | None,
        ref_emb: Tensor | None,
        ref_labels: Tensor | None,
    ) -> dict[str, dict[str, Any]]:
        """Compute the loss of each class in the batch, as PML's reducers take it."""
        if ref_emb is None or ref_labels is None:
            ref_emb, ref_labels = embeddings, labels
        pairs = None
        if indices_tuple is not None:
            anchors, positives, others, negatives = convert_to_pairs(indices_tuple, labels, ref_labels)
            pairs = torch.cat([anchors, others]), torch.cat([positives, negatives])
        terms = class_wise_terms(
            self.distance(embeddings, ref_emb),
            labels,
            ref_labels,
            self.alpha,
            self.beta,
            self.base,
            pairs,
        )
        self.record(attraction_loss=terms.attraction, repulsion_loss=terms.repulsion)
        return {"loss": elements_of_classes(terms)}

    def get_default_distance(self) -> CosineSimilarity:
        """Cosine similarity."""
        return CosineSimilarity()
