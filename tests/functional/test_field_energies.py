import torch

from pml_potential.fields.potentials import Contrastive
from pml_potential.functional.field_energies import field_energies
from tests.losses.loss_cases import batch


def test_further_sources_act_and_have_no_energy_of_their_own() -> None:
    embeddings, labels = batch(torch.float64, size=6)
    potential, sources = Contrastive(0.4, 0.9), torch.eye(3, dtype=torch.float64)
    field = field_energies(embeddings, labels, potential, sources=sources, source_labels=torch.arange(3))
    alone = field_energies(embeddings, labels, potential)
    assert field.energies.shape == alone.energies.shape == (6,)
    assert (field.energies > alone.energies).all()
    assert len(field.points) == len(field.labels) == 9
    torch.testing.assert_close(field.points.norm(dim=1), torch.ones(9, dtype=torch.float64))
