from typing import Any

import pytest
import torch

from pml_potential.functional import mean_field_class_wise_multi_similarity_loss
from tests.losses.loss_cases import batch, each_precision
from tests.losses.oracles import mean_field_class_wise_multi_similarity

FIELDS = torch.tensor([[1.0, 0.2, 0.0], [0.0, -3.0, 0.1], [0.3, 0.0, 0.5], [0.1, 0.4, -0.5]])


@each_precision
@pytest.mark.parametrize("numbers", [(0.01, 80.0, 0.8, 0.0), (2.0, 10.0, 0.1, 0.3)])
@pytest.mark.parametrize("classes", [(0, 1, 2, 3), (2, 0), (3,)])
def test_value_is_that_of_the_formula(
    classes: tuple[int, ...],
    numbers: tuple[float, float, float, float],
    dtype: torch.dtype,
    tolerance: float,
) -> None:
    embeddings, labels = batch(dtype, classes=classes)
    names = ("alpha", "beta", "base", "regularization_weight")
    settings: dict[str, Any] = dict(zip(names, numbers, strict=True))
    fields = FIELDS.to(dtype)
    found = mean_field_class_wise_multi_similarity_loss(embeddings, labels, fields, **settings)
    expected = mean_field_class_wise_multi_similarity(
        embeddings.tolist(), labels.tolist(), fields.tolist(), *numbers
    )
    assert found.item() == pytest.approx(expected, rel=tolerance)
