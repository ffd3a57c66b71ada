import pytest
import torch

from pml_potential.functional import class_wise_multi_similarity_loss
from tests.losses.loss_cases import batch, each_precision
from tests.losses.oracles import class_wise_multi_similarity


@each_precision
@pytest.mark.parametrize("numbers", [(0.01, 80.0, 0.8), (2.0, 40.0, 0.5)])
def test_value_is_that_of_the_formula(
    numbers: tuple[float, float, float], dtype: torch.dtype, tolerance: float
) -> None:
    embeddings, labels = batch(dtype, size=11)
    alpha, beta, base = numbers
    found = class_wise_multi_similarity_loss(embeddings, labels, alpha=alpha, beta=beta, base=base)
    expected = class_wise_multi_similarity(embeddings.tolist(), labels.tolist(), *numbers)
    assert found.item() == pytest.approx(expected, rel=tolerance)
