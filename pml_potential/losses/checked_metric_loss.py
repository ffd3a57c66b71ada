"""The base of all losses of this package: check the input, then compute in full precision."""

from abc import abstractmethod
from typing import Any

import torch
from pytorch_metric_learning.losses import BaseMetricLossFunction
from torch import Tensor

from pml_potential.functional.validation import check_flag, check_input, dtype_to_compute_in
from pml_potential.losses.arguments import accepted_arguments, check_arguments


class CheckedMetricLoss(BaseMetricLossFunction):
    """A PML loss that refuses bad input and computes in float32, or in float64 for float64 input.

    Mixed precision: half-precision embeddings are converted to float32, autocast is off inside, the
    loss is float32, and gradients have the dtype of the embeddings. Parameters are never cast in place.

    Args:
        check_finite: whether to refuse labels out of range, and embeddings and parameters that are not
            finite. It makes a GPU wait once a step; without it, such input gives a meaningless loss or
            a device error. Default True.
        **kwargs: arguments of PML's losses.
    """

    num_classes: int | None = None
    embedding_size: int | None = None

    def __init__(self, check_finite: bool = True, **kwargs: Any) -> None:
        check_arguments(type(self), kwargs, accepted_arguments(type(self)))
        super().__init__(**kwargs)
        self.check_finite = check_flag("check_finite", check_finite)

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
            indices_tuple: the output of a PML miner.
            ref_emb: (ref_size, embedding_size), further embeddings to compare with.
            ref_labels: (ref_size,), their classes.

        Returns:
            The reduced loss: a scalar, unless the reducer is a ``DoNothingReducer``.

        Raises:
            ValueError: Shapes, labels or devices do not fit, or embeddings or the loss's parameters
                are not finite (``NonFiniteError``).
            TypeError: Labels are not integers, or embeddings not floating.
        """
        parameters = dict(self.named_parameters(recurse=False))
        labels = check_input(
            embeddings,
            labels,
            ref_emb,
            ref_labels,
            parameters,
            self.num_classes,
            self.embedding_size,
            self.check_finite,
        )
        dtype = dtype_to_compute_in(embeddings, *parameters.values())
        with torch.autocast(embeddings.device.type, enabled=False):
            self.reset_stats()
            embeddings, labels = embeddings.to(dtype), labels.to(embeddings.device)
            if ref_emb is not None and ref_labels is not None:
                ref_emb, ref_labels = ref_emb.to(embeddings), ref_labels.to(embeddings.device)
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
        """Compute the sub-losses in the form of PML's reducers; without references, both are None."""

    def labels_of_elements(self, labels: Tensor) -> Tensor:
        """Labels of the elements that the sub-losses index: those of the batch."""
        return labels

    def record(self, **terms: Tensor) -> None:
        """Store the means of the loss's terms under these names, if statistics are collected."""
        if self.collect_stats:
            for name, term in terms.items():
                setattr(self, name, term.detach().mean().item())
