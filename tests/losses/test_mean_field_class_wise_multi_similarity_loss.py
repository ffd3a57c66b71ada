from typing import Any

import pytest
import torch
from torch import Tensor

from pml_potential import MeanFieldClassWiseMultiSimilarityLoss
from tests.losses.loss_cases import batch, build, each_precision
from tests.losses.oracles import mean_field_class_wise_multi_similarity

SETTINGS: list[dict[str, Any]] = [
    {},
    {"alpha": 2.0, "beta": 40.0, "base": 0.5, "regularization_weight": 0.3},
    {"alpha": 20.0, "beta": 10.0, "base": -0.2, "regularization_weight": 2.0},
    {"alpha": 0.01, "beta": 200.0, "base": 0.0},
]


@each_precision
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("classes", [(0, 1, 2, 3), (2, 0), (3,)])
def test_value_is_that_of_the_formula(
    settings: dict[str, Any], classes: tuple[int, ...], dtype: torch.dtype, tolerance: float
) -> None:
    loss = build(MeanFieldClassWiseMultiSimilarityLoss, dtype, **settings)
    embeddings, labels = batch(dtype, size=11, classes=classes)
    expected = mean_field_class_wise_multi_similarity(
        embeddings.tolist(),
        labels.tolist(),
        loss.mean_fields.tolist(),
        loss.alpha,
        loss.beta,
        loss.base,
        loss.regularization_weight,
    )
    assert loss(embeddings, labels).item() == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("classes", [(0, 1, 2, 3), (2, 0), (3,)])
def test_gradient_is_that_of_the_value(settings: dict[str, Any], classes: tuple[int, ...]) -> None:
    loss = build(MeanFieldClassWiseMultiSimilarityLoss, torch.float64, **settings)
    embeddings, labels = batch(torch.float64, classes=classes)

    def value(embeddings: Tensor, mean_fields: Tensor) -> Tensor:
        result: Tensor = torch.func.functional_call(
            loss, {"mean_fields": mean_fields}, (embeddings, labels)
        )
        return result

    assert torch.autograd.gradcheck(value, (embeddings, loss.mean_fields), eps=1e-7, rtol=1e-4)
