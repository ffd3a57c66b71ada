from typing import Any

import pytest
import torch

from pml_potential.functional import mean_field_contrastive_loss
from tests.losses.loss_cases import batch, each_precision
from tests.losses.oracles import mean_field_contrastive

FIELDS = torch.tensor([[1.0, 0.2, 0.0], [0.0, -3.0, 0.1], [0.3, 0.0, 0.5], [0.1, 0.4, -0.5]])


@each_precision
@pytest.mark.parametrize("numbers", [(0.02, 0.3, 0.0), (0.1, 1.4, 2.0)])
def test_value_is_that_of_the_formula(
    numbers: tuple[float, float, float], dtype: torch.dtype, tolerance: float
) -> None:
    embeddings, labels = batch(dtype)
    names = ("pos_margin", "neg_margin", "regularization_weight")
    settings: dict[str, Any] = dict(zip(names, numbers, strict=True))
    found = mean_field_contrastive_loss(embeddings, labels, FIELDS.to(dtype), **settings)
    fields = FIELDS.to(dtype).tolist()
    expected = mean_field_contrastive(embeddings.tolist(), labels.tolist(), fields, *numbers)
    assert found.item() == pytest.approx(expected, rel=tolerance)
