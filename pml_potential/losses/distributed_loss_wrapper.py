"""One loss over the batches of all processes."""

from typing import Any

from pytorch_metric_learning import losses as pml_losses
from pytorch_metric_learning.losses import BaseMetricLossFunction
from pytorch_metric_learning.utils import distributed
from torch import Tensor
from torch import distributed as dist


class DistributedLossWrapper(distributed.DistributedLossWrapper):
    """PML's wrapper for many processes, with the right gradient for the loss's own parameters.

    Each process gathers the embeddings of all and computes the loss of the whole batch, L. It can hand a
    gradient to its own embeddings only, and ``DistributedDataParallel`` averages what the W processes
    find for the network; hence the gradient of the embeddings is taken W times, and the average is
    dL / d(network). The gradient of the loss's own parameters is whole in each process, and is taken
    once. PML's wrapper returns W * L instead, which suits the network and makes the gradient of proxies
    W times too large, those of PML's own losses, too.

    Put ``DistributedDataParallel`` around this wrapper if the loss has parameters: it hands one start to
    all processes, and keeps rounding from driving their copies apart.

    Args:
        loss: any loss of this package or of PML, or a ``CrossBatchMemory``.

    Shape:
        - As for the loss; the batches of all processes have one size. The loss is L, the same in all
          processes but for rounding.
        - ``indices_tuple``: that of PML's ``DistributedMinerWrapper``.

    In a single process it is the loss itself.

    Raises:
        TypeError: ``loss`` is something else.

    Examples:
        >>> from pml_potential import DistributedLossWrapper, PotentialFieldLoss
        >>> loss_func = DistributedLossWrapper(PotentialFieldLoss(num_classes=10, embedding_size=64))
        >>> # loss_func = DistributedDataParallel(loss_func), in each process
    """

    def __init__(self, loss: BaseMetricLossFunction | pml_losses.CrossBatchMemory) -> None:
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
        world_size = dist.get_world_size() if distributed.is_distributed() else 1
        if world_size == 1:
            if isinstance(self.loss, pml_losses.CrossBatchMemory):
                return self.loss(embeddings, labels, indices_tuple, enqueue_mask)
            return self.loss(embeddings, labels, indices_tuple, ref_emb, ref_labels)
        embeddings = _with_gradient_times(world_size, embeddings)
        if ref_emb is not None:
            ref_emb = _with_gradient_times(world_size, ref_emb)
        loss = super().forward(embeddings, labels, indices_tuple, ref_emb, ref_labels, enqueue_mask)
        return loss / world_size


def _with_gradient_times(factor: int, embeddings: Tensor) -> Tensor:
    # A view, so that other uses of the same embeddings keep their gradient.
    view = embeddings.view_as(embeddings)
    if view.requires_grad:
        view.register_hook(lambda gradient: gradient * factor)
    return view
