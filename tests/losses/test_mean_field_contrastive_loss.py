from typing import Any

import pytest
import torch
from torch import Tensor

from pml_potential import MeanFieldContrastiveLoss
from tests.losses.loss_cases import batch, build, each_precision
from tests.losses.oracles import mean_field_contrastive

SETTINGS: list[dict[str, Any]] = [
    {},
    {"pos_margin": 0.0, "neg_margin": 2.0},
    {"pos_margin": 0.5, "neg_margin": 0.9, "regularization_weight": 0.3},
    {"pos_margin": 0.1, "neg_margin": 1.4, "regularization_weight": 2.0},
]


@each_precision
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("classes", [(0, 1, 2, 3), (2, 0), (3,)])
def test_value_is_that_of_the_formula(
    settings: dict[str, Any], classes: tuple[int, ...], dtype: torch.dtype, tolerance: float
) -> None:
    loss = build(MeanFieldContrastiveLoss, dtype, **settings)
    embeddings, labels = batch(dtype, classes=classes)
    expected = mean_field_contrastive(
        embeddings.tolist(),
        labels.tolist(),
        loss.mean_fields.tolist(),
        loss.pos_margin,
        loss.neg_margin,
        loss.regularization_weight,
    )
    assert loss(embeddings, labels).item() == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_gradient_is_that_of_the_value(settings: dict[str, Any]) -> None:
    loss = build(MeanFieldContrastiveLoss, torch.float64, **settings)
    embeddings, labels = batch(torch.float64)

    def value(embeddings: Tensor, mean_fields: Tensor) -> Tensor:
        result: Tensor = torch.func.functional_call(
            loss, {"mean_fields": mean_fields}, (embeddings, labels)
        )
        return result

    assert torch.autograd.gradcheck(value, (embeddings, loss.mean_fields), eps=1e-7, rtol=1e-4)


def test_loss_vanishes_within_the_margins() -> None:
    loss = build(MeanFieldContrastiveLoss, num_classes=3)
    loss.mean_fields.data = torch.eye(3)
    assert loss(5 * torch.eye(3), torch.arange(3)) == 0
