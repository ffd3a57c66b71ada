"""The five losses at small sizes, and batches for them."""

from typing import Any

import pytest
import torch
from torch import Tensor

from pml_potential import (
    ClassWiseMultiSimilarityLoss,
    CPMLLoss,
    MeanFieldClassWiseMultiSimilarityLoss,
    MeanFieldContrastiveLoss,
    PotentialFieldLoss,
)

NUM_CLASSES = 4
EMBEDDING_SIZE = 3
PROXIES_PER_CLASS = 2

FIELD_LOSSES: list[Any] = [PotentialFieldLoss, CPMLLoss]
MEAN_FIELD_LOSSES: list[Any] = [MeanFieldContrastiveLoss, MeanFieldClassWiseMultiSimilarityLoss]
LOSSES_WITH_PARAMETERS = FIELD_LOSSES + MEAN_FIELD_LOSSES
LOSSES = [*LOSSES_WITH_PARAMETERS, ClassWiseMultiSimilarityLoss]

each_loss = pytest.mark.parametrize("loss_class", LOSSES)
each_field_loss = pytest.mark.parametrize("loss_class", FIELD_LOSSES)
each_mean_field_loss = pytest.mark.parametrize("loss_class", MEAN_FIELD_LOSSES)
each_loss_with_parameters = pytest.mark.parametrize("loss_class", LOSSES_WITH_PARAMETERS)
each_precision = pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-10)]
)


def build(loss_class: Any, dtype: torch.dtype = torch.float32, **arguments: Any) -> Any:
    sizes: dict[str, Any] = {}
    if loss_class is not ClassWiseMultiSimilarityLoss:
        sizes = {"num_classes": NUM_CLASSES, "embedding_size": EMBEDDING_SIZE}
    if loss_class in FIELD_LOSSES:
        sizes["proxies_per_class"] = PROXIES_PER_CLASS
    torch.manual_seed(0)
    return loss_class(**(sizes | arguments)).to(dtype)


def batch(
    dtype: torch.dtype = torch.float32,
    size: int = 12,
    classes: tuple[int, ...] = (0, 1, 2, 3),
    seed: int = 1,
) -> tuple[Tensor, Tensor]:
    """Embeddings of random lengths and directions; the labels go round the classes."""
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(size, EMBEDDING_SIZE, generator=generator, dtype=torch.float64)
    labels = torch.tensor(classes)[torch.arange(size) % len(classes)]
    return embeddings.to(dtype).requires_grad_(), labels


def labels_with(value: int) -> Tensor:
    """Labels of a batch, one of which is another one."""
    labels = batch()[1]
    labels[5] = value
    return labels


def embeddings_with(value: float) -> Tensor:
    """Embeddings of a batch, one number of which is another one."""
    embeddings = batch()[0].detach()
    embeddings[5, 1] = value
    return embeddings


def batch_with_core_pair(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """The first two embeddings are of different classes and 0.004 apart."""
    embeddings, labels = batch(dtype)
    rows = embeddings.detach().clone()
    first = rows[0] / rows[0].norm()
    aside = torch.linalg.cross(first, rows[2] / rows[2].norm())
    rows[0] = first
    rows[1] = first + 0.004 * aside / aside.norm()
    return rows.requires_grad_(), labels


def all_gradients(loss: Any, embeddings: Tensor, labels: Tensor, **arguments: Any) -> list[Tensor]:
    """Value, gradient of the embeddings, gradients of the parameters."""
    loss.zero_grad()
    embeddings = embeddings.detach().clone().requires_grad_()
    value = loss(embeddings, labels, **arguments)
    value.backward()
    return [value.detach(), *(t.grad for t in (embeddings, *loss.parameters()))]
