"""What all losses of this package do before any arithmetic: check, then compute in full precision."""

from abc import abstractmethod
from typing import Any

import torch
from pytorch_metric_learning.losses import BaseMetricLossFunction
from torch import Tensor

from pml_potential.losses.validation import (
    check_device,
    check_embeddings,
    check_finite,
    check_labels,
)


class CheckedMetricLoss(BaseMetricLossFunction):
    """A PML loss that refuses bad input and computes in float32, or in float64 if handed float64.

    Mixed precision: half-precision embeddings are raised to float32, autocast is off inside, the loss
    is returned in float32, and gradients arrive in the dtype of the embeddings. Parameters are never
    cast in place.
    """

    num_classes: int | None = None
    embedding_size: int | None = None

    def forward(
        self,
        embeddings: Tensor,
        labels: Tensor | None = None,
        indices_tuple: tuple[Tensor, ...] | None = None,
        ref_emb: Tensor | None = None,
        ref_labels: Tensor | None = None,
    ) -> Any:
        """Compute the loss.

        Args:
            embeddings: (batch_size, embedding_size), of any floating dtype; need not be normalised.
            labels: (batch_size,), integers from 0.
            indices_tuple: what a PML miner returns.
            ref_emb: (ref_size, embedding_size), further embeddings to compare with.
            ref_labels: (ref_size,), their classes.

        Returns:
            What the reducer makes of the loss: a scalar, unless it is a ``DoNothingReducer``.

        Raises:
            ValueError: Shapes, labels or devices do not fit, or embeddings or the loss's parameters
                are not finite (``NonFiniteError``).
            TypeError: Labels are not integers, or embeddings not floating.
        """
        check_embeddings("embeddings", embeddings, self.embedding_size)
        labels = check_labels("labels", labels, len(embeddings), self.num_classes)
        if (ref_emb is None) != (ref_labels is None):
            missing = "ref_labels" if ref_labels is None else "ref_emb"
            raise ValueError(f"{missing} is None; ref_emb and ref_labels go together")
        if ref_emb is not None:
            check_embeddings("ref_emb", ref_emb, embeddings.shape[1])
            ref_labels = check_labels("ref_labels", ref_labels, len(ref_emb), self.num_classes)
            ref_labels = ref_labels.to(embeddings.device)
        dtype = torch.promote_types(embeddings.dtype, torch.float32)
        for name, parameter in self.named_parameters(recurse=False):
            check_device(name, parameter, embeddings)
            check_finite(name, parameter)
            dtype = torch.promote_types(dtype, parameter.dtype)
        with torch.autocast(embeddings.device.type, enabled=False):
            self.reset_stats()
            embeddings, labels = embeddings.to(dtype), labels.to(embeddings.device)
            ref_emb = None if ref_emb is None else ref_emb.to(embeddings)
            loss_dict = self.compute_loss(embeddings, labels, indices_tuple, ref_emb, ref_labels)
            self.add_embedding_regularization_to_loss_dict(loss_dict, embeddings)
            return self.reducer(loss_dict, embeddings, self.labels_of_elements(labels))

    @abstractmethod
    def compute_loss(
        self,
        embeddings: Tensor,
        labels: Tensor,
        indices_tuple: tuple[Tensor, ...] | None,
        ref_emb: Tensor | None,
        ref_labels: Tensor | None,
    ) -> dict[str, dict[str, Any]]:
        """Compute the sub-losses as PML's reducers take them; without references both are None."""

    def labels_of_elements(self, labels: Tensor) -> Tensor:
        """Labels of what the indices of the sub-losses stand for: the batch."""
        return labels

    def record(self, **terms: Tensor) -> None:
        """Keep the means of terms of the loss as statistics of these names, if any are collected."""
        if self.collect_stats:
            for name, term in terms.items():
                setattr(self, name, term.detach().mean().item())
