"""One loss over the batches of all processes."""

from typing import Any

import torch
from pytorch_metric_learning import losses as pml_losses
from pytorch_metric_learning.losses import BaseMetricLossFunction
from pytorch_metric_learning.utils import distributed
from torch import Tensor
from torch import distributed as dist

from pml_potential.losses.arguments import check_arguments


class DistributedLossWrapper(distributed.DistributedLossWrapper):
    """PML's wrapper for many processes, with the right gradient for the loss's own parameters.

    Each process gathers all embeddings and computes the loss of the whole batch, L. It can
    backpropagate only into its own embeddings, and ``DistributedDataParallel`` averages the network's
    gradients over the W processes; the gradient of the embeddings is therefore multiplied by W, so the
    average is dL / d(network). The gradient of the loss's own parameters is complete in each process,
    and is not scaled. PML's wrapper returns W * L instead, which is right for the network but makes the
    gradient of proxies W times too large, also with PML's own losses.

    Every process joins the batches in the order of the ranks, so a memory is the same queue everywhere.
    PML's wrapper puts each process's own batch first, so the queues drift apart.

    Put ``DistributedDataParallel`` around this wrapper if the loss has parameters: it gives all
    processes the same initial values, and keeps rounding from driving their copies apart.

    Args:
        loss: any loss of this package or of PML, or a ``CrossBatchMemory``.
        **unknown: refused, with an error that names the accepted argument.

    Shape:
        - As for the loss; the batches of all processes have the same size. The loss is L, the same in
          all processes up to rounding.
        - ``indices_tuple``: that of PML's ``DistributedMinerWrapper``.
        - ``enqueue_mask``: for a ``CrossBatchMemory`` only, which takes no ``ref_emb``.

    In a single process it is the loss itself.

    Raises:
        TypeError: ``loss`` is something else.
        ValueError: An argument is given that ``loss`` does not take; or the loss itself refuses its
            input.

    Examples:
        >>> from pml_potential import DistributedLossWrapper, PotentialFieldLoss
        >>> loss_func = DistributedLossWrapper(PotentialFieldLoss(num_classes=10, embedding_size=64))
        >>> # loss_func = DistributedDataParallel(loss_func), in each process
    """

    def __init__(
        self, loss: BaseMetricLossFunction | pml_losses.CrossBatchMemory, **unknown: Any
    ) -> None:
        check_arguments(type(self), unknown, ["loss"])
        super().__init__(loss, efficient=False)

    def forward(
        self,
        embeddings: Tensor,
        labels: Tensor | None = None,
        indices_tuple: tuple[Tensor, ...] | None = None,
        ref_emb: Tensor | None = None,
        ref_labels: Tensor | None = None,
        enqueue_mask: Tensor | None = None,
    ) -> Any:
        """Compute the loss of the batches of all processes."""
        has_memory = isinstance(self.loss, pml_losses.CrossBatchMemory)
        self._check_arguments(
            has_memory, ref_emb=ref_emb, ref_labels=ref_labels, enqueue_mask=enqueue_mask
        )
        if distributed.is_distributed() and dist.get_world_size() > 1:
            device = embeddings.device
            if indices_tuple is not None:
                ref_size = len(embeddings) if ref_emb is None else len(ref_emb)
                indices_tuple = _in_order_of_ranks(indices_tuple, len(embeddings), ref_size)
            embeddings, labels = _gathered(embeddings, device), _gathered(labels, device)
            ref_emb, ref_labels = _gathered(ref_emb, device), _gathered(ref_labels, device)
            enqueue_mask = _gathered(enqueue_mask, device)
        if has_memory:
            return self.loss(embeddings, labels, indices_tuple, enqueue_mask)
        return self.loss(embeddings, labels, indices_tuple, ref_emb, ref_labels)

    def _check_arguments(self, has_memory: bool, **arguments: Tensor | None) -> None:
        not_taken = ("ref_emb", "ref_labels") if has_memory else ("enqueue_mask",)
        for name in not_taken:
            if arguments[name] is not None:
                raise ValueError(
                    f"{name} is given; {type(self.loss).__name__} does not take it, leave it out"
                )


def _gathered(part: Any, device: torch.device) -> Any:
    """Join the parts of all processes, in the order of their ranks; own floats keep their gradient."""
    if not isinstance(part, Tensor):
        return part
    world_size = dist.get_world_size()
    part = part.to(device)
    parts = [torch.empty_like(part, memory_format=torch.contiguous_format) for _ in range(world_size)]
    dist.all_gather(parts, part.detach().contiguous())
    parts[dist.get_rank()] = _with_gradient_times(world_size, part)
    return torch.cat(parts)


def _in_order_of_ranks(
    indices_tuple: tuple[Tensor, ...], size: int, ref_size: int
) -> tuple[Tensor, ...]:
    """Translate indices of PML's miner, which sees the batch of its own process first."""
    world_size, rank = dist.get_world_size(), dist.get_rank()
    ranks = [rank, *(other for other in range(world_size) if other != rank)]

    def translated(index: Tensor, size: int) -> Tensor:
        process = torch.tensor(ranks, device=index.device)[index // size]
        return process * size + index % size

    # (anchors, positives, negatives), or (anchors, positives, anchors, negatives).
    is_anchor = (True, False, len(indices_tuple) == 4, False)
    return tuple(
        translated(index, size if anchor else ref_size)
        for index, anchor in zip(indices_tuple, is_anchor, strict=False)
    )


def _with_gradient_times(factor: int, part: Tensor) -> Tensor:
    # A view, so other uses of the same embeddings keep their gradient.
    view = part.view_as(part)
    if view.requires_grad:
        view.register_hook(lambda gradient: gradient * factor)
    return view
