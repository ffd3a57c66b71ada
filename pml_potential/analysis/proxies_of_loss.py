"""The vectors that represent classes in a loss of this package or of PML."""

import torch
from pytorch_metric_learning.losses import (
    NormalizedSoftmaxLoss,
    ProxyAnchorLoss,
    ProxyNCALoss,
    SoftTripleLoss,
)
from torch import Tensor, nn

from pml_potential.losses.field_loss import FieldLoss
from pml_potential.losses.mean_field_loss import MeanFieldLoss


def proxies_of(loss: nn.Module) -> tuple[Tensor, Tensor]:
    """Return the proxies of a loss and their classes.

    They are the proxies of ``PotentialFieldLoss``, ``CPMLLoss``, ``ProxyAnchorLoss`` and
    ``ProxyNCALoss``, the mean fields of the mean-field losses, the centres of ``SoftTripleLoss`` and the
    columns of the weight matrix of ``NormalizedSoftmaxLoss``, which that loss normalises like proxies.

    Args:
        loss: one of these, or of a class derived from them; not a wrapper around it.

    Returns:
        Proxies, (m, d), not normalised, and the class of each, (m,). Both are detached; the proxies
        share memory with the loss and change with it.

    Raises:
        TypeError: The loss is none of these.
        ValueError: The loss has no proxies.

    Examples:
        >>> from pytorch_metric_learning.losses import SoftTripleLoss
        >>> proxies, labels = proxies_of(SoftTripleLoss(2, embedding_size=8, centers_per_class=3))
        >>> proxies.shape, labels
        (torch.Size([6, 8]), tensor([0, 0, 0, 1, 1, 1]))
    """
    vectors: Tensor
    if isinstance(loss, FieldLoss | ProxyAnchorLoss | ProxyNCALoss):
        vectors = loss.proxies
    elif isinstance(loss, MeanFieldLoss):
        vectors = loss.mean_fields
    elif isinstance(loss, SoftTripleLoss):
        vectors = loss.fc.t()
    elif isinstance(loss, NormalizedSoftmaxLoss):
        vectors = loss.W.t()
    else:
        raise TypeError(
            f"loss is a {type(loss).__name__}; it must be a PotentialFieldLoss, CPMLLoss, mean-field "
            "loss, ProxyAnchorLoss, ProxyNCALoss, SoftTripleLoss or NormalizedSoftmaxLoss, without a "
            "wrapper around it"
        )
    if len(vectors) == 0:
        raise ValueError(
            f"the {type(loss).__name__} was built with proxies_per_class=0: it has no proxies"
        )
    per_class = 1
    if isinstance(loss, FieldLoss):
        per_class = loss.proxies_per_class
    elif isinstance(loss, SoftTripleLoss):
        per_class = loss.centers_per_class
    classes = torch.arange(len(vectors) // per_class, device=vectors.device)
    return vectors.detach(), classes.repeat_interleave(per_class)
