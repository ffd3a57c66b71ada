"""The base of the losses in which one learnable mean field stands for all members of a class."""

from abc import abstractmethod
from typing import Any

import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.utils.loss_and_miner_utils import convert_to_weights
from torch import Tensor

from pml_potential.functional.mean_fields import REGULARIZATION_WEIGHT, regularization
from pml_potential.functional.validation import check_device, check_embeddings
from pml_potential.losses.bounded_number import BoundedNumber
from pml_potential.losses.class_vectors_loss import ClassVectorsLoss
from pml_potential.losses.required_distance import check_distance


class MeanFieldLoss(ClassVectorsLoss):
    """Mean fields M_c, their cosines with the embeddings, and the repulsion R between them.

    With ``collect_stats=True`` each call stores ``attraction_loss`` and ``repulsion_loss``, the means
    of the two terms, which add up to the loss without R.

    Args:
        num_classes: N, at least 1.
        embedding_size: d, at least 1.
        regularization_weight: lambda_MF, at least 0.
        **kwargs: arguments of PML's losses.
    """

    regularization_weight = BoundedNumber(*REGULARIZATION_WEIGHT)

    def __init__(
        self, num_classes: int, embedding_size: int, regularization_weight: float, **kwargs: Any
    ) -> None:
        super().__init__(num_classes, embedding_size, 1, **kwargs)
        self.regularization_weight = regularization_weight
        self.mean_fields = self._vectors_of_all_classes()
        check_distance(type(self).__name__, self.distance, CosineSimilarity)
        self.add_to_recordable_attributes(name="regularization_weight", is_stat=False)
        self.add_to_recordable_attributes(
            list_of_names=["attraction_loss", "repulsion_loss"], is_stat=True
        )

    @property
    def class_vectors(self) -> torch.nn.Parameter:
        """The mean fields."""
        return self.mean_fields

    @abstractmethod
    def element_losses(self, embeddings: Tensor, labels: Tensor, weights: Tensor) -> dict[str, Any]:
        """Compute the loss without regularizers, as PML's reducers take it.

        Args:
            embeddings: z_i, (batch_size, d).
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
        ref_emb: Tensor | None,
        ref_labels: Tensor | None,
    ) -> dict[str, dict[str, Any]]:
        """Compute the loss and its regularizers, as PML's reducers take them."""
        if ref_emb is not None and ref_labels is not None:
            raise ValueError(
                f"ref_emb has shape {tuple(ref_emb.shape)}; {type(self).__name__} compares embeddings "
                "with mean fields only, leave ref_emb and ref_labels out"
            )
        weights = convert_to_weights(indices_tuple, labels, embeddings.dtype)
        loss_dict = {"loss": self.element_losses(embeddings, labels.long(), weights)}
        mean_fields = self.mean_fields.to(embeddings.dtype)
        if self.regularization_weight > 0:
            loss_dict["mean_field_reg_loss"] = {
                "losses": regularization(
                    self.regularization_weight, self.field_repulsion, mean_fields, self.distance
                ),
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
        # Both, whatever the weight: it may change, and the reducer is built for these names.
        return ["loss", "mean_field_reg_loss"]
