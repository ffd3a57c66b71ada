"""A class whose proxies lie along an axis scores highest there, if rows and labels belong together."""

from typing import Any

import pytest
import torch
from pytorch_metric_learning import losses as pml
from torch import nn

from pml_potential import (
    CPMLLoss,
    CrossBatchMemory,
    MeanFieldClassWiseMultiSimilarityLoss,
    MeanFieldContrastiveLoss,
    PotentialFieldLoss,
)
from pml_potential.analysis import proxies_of

LOSSES: list[tuple[Any, dict[str, int]]] = [
    (PotentialFieldLoss, {"proxies_per_class": 2}),
    (CPMLLoss, {"proxies_per_class": 3}),
    (MeanFieldContrastiveLoss, {}),
    (MeanFieldClassWiseMultiSimilarityLoss, {}),
    (pml.ProxyAnchorLoss, {}),
    (pml.ProxyNCALoss, {}),
    (pml.SoftTripleLoss, {"centers_per_class": 3}),
    (pml.NormalizedSoftmaxLoss, {}),
]


@pytest.mark.parametrize(("loss_class", "arguments"), LOSSES)
def test_each_row_belongs_to_the_class_that_it_is_labelled_with(
    loss_class: Any, arguments: dict[str, int]
) -> None:
    loss = loss_class(num_classes=4, embedding_size=5, **arguments)
    proxies, labels = proxies_of(loss)
    assert proxies.shape == (4 * sum(arguments.values(), 0 if arguments else 1), 5)
    assert not proxies.requires_grad
    axes = torch.eye(5)
    proxies.copy_(axes[labels])
    scores = loss.get_logits(axes[:4])
    if isinstance(loss, pml.ProxyNCALoss):
        scores = -scores
    assert scores.argmax(dim=1).tolist() == [0, 1, 2, 3]


def test_classes_that_were_added_have_proxies_too() -> None:
    loss = PotentialFieldLoss(num_classes=2, embedding_size=5, proxies_per_class=2)
    loss.add_classes(1)
    assert proxies_of(loss)[1].tolist() == [0, 0, 1, 1, 2, 2]


def test_a_loss_without_proxies_is_refused() -> None:
    with pytest.raises(ValueError, match="PotentialFieldLoss was built with proxies_per_class=0"):
        proxies_of(PotentialFieldLoss(num_classes=2, embedding_size=5, proxies_per_class=0))


@pytest.mark.parametrize(
    "loss",
    [pml.ContrastiveLoss(), CrossBatchMemory(CPMLLoss(2, 5), 5, memory_size=4)],
    ids=["no proxies", "wrapper"],
)
def test_another_loss_is_refused(loss: nn.Module) -> None:
    with pytest.raises(TypeError, match=rf"loss is a {type(loss).__name__}; it must be a Potential"):
        proxies_of(loss)
