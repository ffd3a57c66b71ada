"""A memory of past embeddings, which are further sources of a field."""

from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

import torch
from pytorch_metric_learning import losses as pml_losses
from pytorch_metric_learning.miners import BaseMiner
from torch import Tensor

from pml_potential.functional.validation import (
    check_device,
    check_embeddings,
    check_finite,
    check_form_of_embeddings,
    check_form_of_labels,
    check_integer,
    check_labels,
)
from pml_potential.losses.arguments import accepted_arguments, check_arguments
from pml_potential.losses.checked_metric_loss import CheckedMetricLoss
from pml_potential.losses.class_wise_multi_similarity_loss import ClassWiseMultiSimilarityLoss
from pml_potential.losses.cpml_loss import CPMLLoss
from pml_potential.losses.field_loss import FieldLoss
from pml_potential.losses.fixed_number import FixedNumber
from pml_potential.losses.potential_field_loss import PotentialFieldLoss

_SUPPORTED = (CPMLLoss, ClassWiseMultiSimilarityLoss, PotentialFieldLoss)


class CrossBatchMemory(pml_losses.CrossBatchMemory):
    """PML's memory of past embeddings (XBM), for the losses of this package, which PML's class refuses.

    The memory is a queue of the last ``memory_size`` embeddings, detached. In a field they are sources:
    with the batch z, the proxies p and the memory s,

        U = Σ over x in z and p of [ Σ_{all of z, p and s: same class} psi_att(r)
                                     + Σ_{all of z, p and s: other class} psi_rep(r) ]

    and the loss is U / (number of z and p). A batch joins the memory after its own loss is computed, so
    no point meets its own copy. With ``ClassWiseMultiSimilarityLoss``, a loss of pairs, this works as
    PML's class does: the pairs are those of the batch with the memory, which already holds the batch.

    Args:
        loss: a ``PotentialFieldLoss``, ``CPMLLoss`` or ``ClassWiseMultiSimilarityLoss``, or a subclass
            of one of them.
        embedding_size: d, at least 1.
        memory_size: number of embeddings to keep, at least 1 and at least the size of a batch. Default
            1024.
        miner: chooses, from the batch and the memory, which embeddings of the batch count and how much.
            Default: none, all count equally.

    Shape:
        - embeddings: (batch_size, d), labels: (batch_size,); the loss is a scalar.
        - ``indices_tuple``: a miner's choice from the batch. In a field the anchors choose whose energy
          counts; the pairs are added to those of the memory's miner.
        - ``enqueue_mask``: (batch_size,), booleans. Embeddings where it is true join the memory at once
          and act only as sources, the others form the batch: for two networks, as in MoCo.

    A checkpoint holds the memory and the position of its queue. While the memory is empty, the loss is
    that of the batch alone.

    Raises:
        ValueError: The loss is none of these; a batch is larger than the memory; both ``indices_tuple``
            and ``enqueue_mask`` are given; or the loss itself refuses its input.
        TypeError: An argument has the wrong type.

    Source:
        Wang et al., "Cross-Batch Memory for Embedding Learning", CVPR 2020, arXiv 1912.06798.

    Examples:
        >>> import torch
        >>> from pml_potential import CrossBatchMemory, PotentialFieldLoss
        >>> loss_func = PotentialFieldLoss(num_classes=10, embedding_size=64)
        >>> loss_func = CrossBatchMemory(loss_func, embedding_size=64, memory_size=256)
        >>> for _ in range(3):
        ...     embeddings = torch.randn(32, 64, requires_grad=True)
        ...     loss_func(embeddings, torch.randint(10, (32,))).backward()
        >>> loss_func.queue_idx
        96
    """

    embedding_size: int = FixedNumber("build another memory")  # type: ignore[assignment]
    memory_size: int = FixedNumber("build another memory")  # type: ignore[assignment]

    def __init__(
        self,
        loss: CheckedMetricLoss,
        embedding_size: int,
        memory_size: int = 1024,
        miner: BaseMiner | None = None,
        **kwargs: Any,
    ) -> None:
        check_arguments(type(self), kwargs, accepted_arguments(type(self)))
        embedding_size = check_integer("embedding_size", embedding_size, 1)
        memory_size = check_integer("memory_size", memory_size, 1)
        if not isinstance(loss, _SUPPORTED):
            self._refuse(type(loss).__name__)
        super().__init__(loss, embedding_size, memory_size, miner, **kwargs)
        if loss.embedding_size not in (None, embedding_size):
            raise ValueError(
                f"embedding_size is {embedding_size}; it must be the loss's, {loss.embedding_size}"
            )

    @classmethod
    def check_loss_support(cls, loss_name: str) -> None:
        """Raise unless the loss of this name, or a base class of it, can have a memory."""
        if loss_name not in _names_of(_SUPPORTED):
            cls._refuse(loss_name)

    @classmethod
    def _refuse(cls, loss_name: str) -> NoReturn:
        raise ValueError(
            f"loss is a {loss_name}; a memory works only with {', '.join(cls.supported_losses())}"
        )

    @staticmethod
    def supported_losses() -> list[str]:
        """Names of the losses that can have a memory; their subclasses can, too."""
        return [loss_class.__name__ for loss_class in _SUPPORTED]

    def forward(
        self,
        embeddings: Tensor,
        labels: Tensor,
        indices_tuple: tuple[Tensor, ...] | None = None,
        enqueue_mask: Tensor | None = None,
    ) -> Any:
        """Compute the loss of the batch with the memory, and add the batch to the memory."""
        check_form_of_embeddings("embeddings", embeddings, self.embedding_size)
        labels = check_form_of_labels("labels", labels, len(embeddings)).long()
        if self.loss.check_finite:
            check_embeddings("embeddings", embeddings, self.embedding_size)
            check_labels("labels", labels, len(embeddings), self.loss.num_classes)
        if enqueue_mask is not None:
            if indices_tuple is not None:
                raise ValueError("indices_tuple and enqueue_mask are both given; leave one of them out")
            _check_mask(enqueue_mask, len(embeddings))
        new = len(embeddings) if enqueue_mask is None else int(enqueue_mask.sum())
        if new > self.memory_size:
            raise ValueError(
                f"memory_size is {self.memory_size}; {new} embeddings at once do not fit into it"
            )
        for name, parameter in self.loss.named_parameters(recurse=False):
            check_device(name, parameter, embeddings)
            if self.loss.check_finite:
                check_finite(name, parameter)
        if new + self._filled() == 0:
            return self.loss(embeddings, labels)
        if not isinstance(self.loss, FieldLoss):
            return super().forward(embeddings, labels, indices_tuple, enqueue_mask)
        if enqueue_mask is not None:
            self._remember(embeddings[enqueue_mask], labels[enqueue_mask])
            return self._loss_among_sources(embeddings[~enqueue_mask], labels[~enqueue_mask], None)
        loss = self._loss_among_sources(embeddings, labels, indices_tuple)
        self._remember(embeddings, labels)
        return loss

    def _loss_among_sources(
        self, embeddings: Tensor, labels: Tensor, indices_tuple: tuple[Tensor, ...] | None
    ) -> Any:
        filled = self._filled()
        if filled == 0:
            return self.loss(embeddings, labels, indices_tuple)
        sources, source_labels = self.embedding_memory[:filled], self.label_memory[:filled]
        if self.miner is not None:
            indices_tuple = self.create_indices_tuple(
                embeddings, labels, sources, source_labels, indices_tuple, False
            )
        return self.loss(embeddings, labels, indices_tuple, sources, source_labels)

    def _filled(self) -> int:
        return int(self.memory_size if self.has_been_filled else self.queue_idx)

    def _remember(self, embeddings: Tensor, labels: Tensor) -> None:
        self.embedding_memory = self.embedding_memory.to(embeddings)
        self.label_memory = self.label_memory.to(labels.device)
        self.add_to_memory(embeddings, labels, len(embeddings))

    def add_to_memory(self, embeddings: Tensor, labels: Tensor, batch_size: int) -> None:
        """Put embeddings into the queue."""
        # PML mistakes a queue that has not moved for a full one.
        if batch_size > 0:
            super().add_to_memory(embeddings, labels, batch_size)

    def create_indices_tuple(
        self,
        embeddings: Tensor,
        labels: Tensor,
        E_mem: Tensor,  # noqa: N803
        L_mem: Tensor,  # noqa: N803
        input_indices_tuple: tuple[Tensor, ...] | None,
        do_remove_self_comparisons: bool,
    ) -> tuple[Tensor, ...]:
        """Choose pairs or triplets of the batch and the memory."""
        if input_indices_tuple is not None and do_remove_self_comparisons:
            # PML reads them as rows of the memory, but the batch may be anywhere in the queue.
            anchors = (0, 2) if len(input_indices_tuple) == 4 else (0,)
            input_indices_tuple = tuple(
                part if place in anchors else self.curr_batch_idx[part]
                for place, part in enumerate(input_indices_tuple)
            )
        found: tuple[Tensor, ...] = super().create_indices_tuple(
            embeddings, labels, E_mem, L_mem, input_indices_tuple, False
        )
        if not do_remove_self_comparisons:
            return found
        # PML's own method leaves a batch of one paired with itself.
        positives = 3 if len(found) == 3 else 2
        apart = found[1] != self.curr_batch_idx[found[0]]
        return *(part[apart] for part in found[:positives]), *found[positives:]

    def get_extra_state(self) -> Tensor:
        """The position of the queue, and whether it is full, for the checkpoint."""
        return torch.tensor([self.queue_idx, int(self.has_been_filled)])

    def set_extra_state(self, state: Tensor) -> None:
        """Restore the position of the queue from a checkpoint."""
        queue_idx, filled = state.tolist()
        self.queue_idx, self.has_been_filled = queue_idx, bool(filled)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        saved = state_dict.get(f"{prefix}embedding_memory")
        if saved is not None and saved.shape != self.embedding_memory.shape:
            # torch reports the mismatch; the queue must not move.
            state_dict = {k: v for k, v in state_dict.items() if k != f"{prefix}_extra_state"}
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def _names_of(classes: Iterable[type]) -> Iterator[str]:
    """Names of classes and of all their subclasses."""
    for each in classes:
        yield each.__name__
        yield from _names_of(each.__subclasses__())


def _check_mask(enqueue_mask: Tensor, length: int) -> None:
    if not isinstance(enqueue_mask, Tensor) or enqueue_mask.dtype != torch.bool:
        kind = getattr(enqueue_mask, "dtype", type(enqueue_mask).__name__)
        raise TypeError(f"enqueue_mask is of {kind}; it must be a tensor of booleans")
    if enqueue_mask.shape != (length,):
        raise ValueError(
            f"enqueue_mask has shape {tuple(enqueue_mask.shape)}; it must be ({length},), one for each "
            "embedding"
        )
    if enqueue_mask.all():
        raise ValueError("enqueue_mask is true everywhere, which leaves no embedding for the batch")
