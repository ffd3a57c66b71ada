import pytest
import torch
from pytorch_metric_learning.distances import CosineSimilarity

from pml_potential.functional import mean_fields
from tests.functional.function_cases import Function, each_with_mean_fields
from tests.losses.loss_cases import batch


def test_cosines_are_those_of_pml_to_the_bit() -> None:
    rows, columns = torch.randn(50, 8), 100 * torch.randn(20, 8)
    columns[3] = 0
    assert mean_fields.cosine_similarities(rows, columns).equal(CosineSimilarity()(rows, columns))


@pytest.mark.parametrize("numbers", [1, 30])
@each_with_mean_fields
def test_classes_worked_on_in_pieces_change_nothing(
    monkeypatch: pytest.MonkeyPatch, function: Function, numbers: int
) -> None:
    embeddings, labels = batch(torch.float64)
    fields = torch.randn(11, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    whole = function.value(embeddings, labels, fields)
    monkeypatch.setattr(mean_fields, "_NUMBERS_PER_CHUNK", numbers)
    torch.testing.assert_close(function.value(embeddings, labels, fields), whole)
