"""The base of the losses in which one learnable mean field stands for all members of a class."""

from abc import abstractmethod
from typing import Any

import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.losses.mixins import WeightRegularizerMixin
from pytorch_metric_learning.utils.loss_and_miner_utils import convert_to_weights
from torch import Tensor

from pml_potential.losses.checked_metric_loss import CheckedMetricLoss
from pml_potential.losses.validation import (
    check_device,
    check_distance,
    check_embeddings,
    check_integer,
    check_number,
)


class MeanFieldLoss(WeightRegularizerMixin, CheckedMetricLoss):
    """Mean fields M_c, their cosines with the embeddings, and the repulsion R between them.

    Args:
        num_classes: N, at least 1.
        embedding_size: d, at least 1.
        regularization_weight: lambda_MF, at least 0.
        **kwargs: what PML's losses take.
    """

    mean_fields: torch.nn.Parameter

    def __init__(
        self, num_classes: int, embedding_size: int, regularization_weight: float, **kwargs: Any
    ) -> None:
        num_classes = check_integer("num_classes", num_classes, 1)
        embedding_size = check_integer("embedding_size", embedding_size, 1)
        # PML's base class asks for the names of the sub-losses while it is being built.
        self.regularization_weight = check_number(
            "regularization_weight", regularization_weight, 0, float("inf")
        )
        super().__init__(**kwargs)
        check_distance(type(self).__name__, self.distance, CosineSimilarity)
        self.num_classes = num_classes
        self.embedding_size = embedding_size
        self.mean_fields = torch.nn.Parameter(torch.empty(num_classes, embedding_size))
        self.weight_init_func(self.mean_fields)
        self.add_to_recordable_attributes(
            list_of_names=["num_classes", "regularization_weight"], is_stat=False
        )

    @abstractmethod
    def element_losses(self, cosines: Tensor, labels: Tensor, weights: Tensor) -> dict[str, Any]:
        """Compute the loss proper as PML's reducers take it.

        Args:
            cosines: cos(z_i, M_c), (batch_size, num_classes).
            labels: (batch_size,).
            weights: how much each embedding counts, (batch_size,), in [0, 1].
        """

    @abstractmethod
    def field_repulsion(self, cosines: Tensor) -> Tensor:
        """Penalty of two mean fields, element by element, for their cosine similarity."""

    def compute_loss(
        self,
        embeddings: Tensor,
        labels: Tensor,
        indices_tuple: tuple[Tensor, ...] | None,
        ref_emb: Tensor,
        ref_labels: Tensor,
    ) -> dict[str, dict[str, Any]]:
        """Compute the loss and its regularizers, as PML's reducers take them."""
        if ref_emb is not embeddings or ref_labels is not labels:
            raise ValueError(
                f"ref_emb has shape {tuple(ref_emb.shape)}; {type(self).__name__} compares embeddings "
                "with mean fields only, leave ref_emb and ref_labels out"
            )
        mean_fields = self.mean_fields.to(embeddings.dtype)
        cosines = self.distance(embeddings, mean_fields)
        weights = convert_to_weights(indices_tuple, labels, cosines.dtype)
        loss_dict = {"loss": self.element_losses(cosines, labels, weights)}
        if self.regularization_weight > 0:
            penalties = self.field_repulsion(self.distance(mean_fields))
            repulsion = penalties.sum() - penalties.diagonal().sum()
            loss_dict["mean_field_reg_loss"] = {
                "losses": self.regularization_weight * repulsion / len(mean_fields),
                "indices": None,
                "reduction_type": "already_reduced",
            }
        self.add_weight_regularization_to_loss_dict(loss_dict, mean_fields)
        return loss_dict

    def get_logits(self, embeddings: Tensor) -> Tensor:
        """Score every class for every embedding: the cosine with its mean field.

        Args:
            embeddings: (batch_size, embedding_size).

        Returns:
            (batch_size, num_classes), in [-1, 1], float32 (float64 for float64 embeddings).

        Raises:
            ValueError: The embeddings do not fit the loss.
        """
        check_embeddings("embeddings", embeddings, self.embedding_size)
        check_device("mean_fields", self.mean_fields, embeddings)
        dtype = torch.promote_types(embeddings.dtype, torch.float32)
        with torch.autocast(embeddings.device.type, enabled=False):
            logits: Tensor = self.distance(embeddings.to(dtype), self.mean_fields.to(dtype))
            return logits

    def get_default_distance(self) -> CosineSimilarity:
        """Cosine similarity."""
        return CosineSimilarity()

    def _sub_loss_names(self) -> list[str]:
        return ["loss", "mean_field_reg_loss"][: 2 if self.regularization_weight > 0 else 1]
