import pytest
import torch

from pml_potential.functional import contrastive_potential_energy
from tests.losses.loss_cases import batch, each_precision
from tests.losses.oracles import contrastive_law, field_energies


@each_precision
@pytest.mark.parametrize("delta", [0.2, 1.1])
def test_energies_are_those_of_the_formula(delta: float, dtype: torch.dtype, tolerance: float) -> None:
    embeddings, labels = batch(dtype)
    found = contrastive_potential_energy(embeddings, labels, delta=delta)
    expected = field_energies(embeddings.tolist(), labels.tolist(), contrastive_law(delta), 12)
    assert found.tolist() == pytest.approx(expected, rel=tolerance)
