"""Against plain loops and finite differences, and against what the loss itself says."""

import math

import pytest
import torch
from torch import Tensor

from pml_potential import CPMLLoss, PotentialFieldLoss
from pml_potential.analysis import class_field
from pml_potential.fields.potentials import Contrastive, Logarithmic, Potential, PowerLaw
from tests.losses.oracles import Law, contrastive_law, power_law

each_law = pytest.mark.parametrize(
    ("potential", "laws", "plateau"),
    [
        (PowerLaw(0.4, 0.6, 2.0), power_law(2, 0.4, 0.6, 0.01), 0.6**-2),
        (Logarithmic(0.4, 0.6), power_law(0, 0.4, 0.6, 0.01), -math.log(0.6)),
        (Contrastive(0.5, 0.5), contrastive_law(0.5), 0.0),
    ],
)


def case() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    probes, sources = (torch.randn(n, 3, generator=generator).double() for n in (7, 20))
    return probes, sources, torch.arange(20) % 3


@each_law
def test_the_potential_is_the_sum_over_all_sources(
    potential: Potential, laws: tuple[Law, Law], plateau: float
) -> None:
    probes, sources, labels = case()
    values, _ = class_field(probes, 1, sources, labels, potential)
    attraction, repulsion = laws
    for probe, value in zip(probes.tolist(), values.tolist(), strict=True):
        expected = 0.0
        for source, label in zip(sources.tolist(), labels.tolist(), strict=True):
            r = math.dist(probe, source)
            expected += attraction(r) if label == 1 else repulsion(r) - plateau
        assert value == pytest.approx(expected, rel=1e-10)


@each_law
def test_the_force_is_minus_the_gradient(
    potential: Potential, laws: tuple[Law, Law], plateau: float
) -> None:
    del laws, plateau
    probes, sources, labels = case()
    _, force = class_field(probes, 1, sources, labels, potential)
    step = 1e-6
    for axis in range(3):
        shift = step * torch.eye(3, dtype=torch.float64)[axis]
        higher, lower = (
            class_field(probes + sign * shift, 1, sources, labels, potential)[0] for sign in (1, -1)
        )
        torch.testing.assert_close(force[:, axis], (lower - higher) / (2 * step), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("loss_class", [PotentialFieldLoss, CPMLLoss])
def test_two_classes_differ_in_their_potential_as_in_their_logits(
    loss_class: type[PotentialFieldLoss | CPMLLoss],
) -> None:
    torch.manual_seed(0)
    loss = loss_class(num_classes=2, embedding_size=4, proxies_per_class=3, delta=0.8).double()
    probes = torch.nn.functional.normalize(torch.randn(9, 4).double())
    sources = torch.nn.functional.normalize(loss.proxies.detach())
    first, second = (
        class_field(probes, label, sources, loss.proxy_labels, loss.potential)[0] for label in (0, 1)
    )
    logits = loss.get_logits(probes)
    torch.testing.assert_close(first - second, (logits[:, 1] - logits[:, 0]).detach())


@each_law
def test_a_source_at_the_probe_leaves_the_forces_of_the_others(
    potential: Potential, laws: tuple[Law, Law], plateau: float
) -> None:
    del laws, plateau
    probes, sources, labels = case()
    sources = torch.cat([sources, probes])
    _, forces = class_field(probes[:1], 1, sources[:20], labels, potential)
    _, beside = class_field(
        probes[:1], 1, sources[:21], torch.cat([labels, torch.tensor([0])]), potential
    )
    torch.testing.assert_close(beside, forces)


def test_blocks_of_probes_change_nothing() -> None:
    """Several blocks of 655 probes give what each probe gives alone."""
    generator = torch.Generator().manual_seed(0)
    probes = torch.randn(3000, 8, generator=generator)
    sources = torch.randn(400, 8, generator=generator)
    labels, potential = torch.arange(400) % 2, PowerLaw(0.4, 0.6, 2.0)
    values, forces = class_field(probes, 0, sources, labels, potential)
    for row in (0, 654, 655, 2999):
        value, force = class_field(probes[row : row + 1], 0, sources, labels, potential)
        torch.testing.assert_close(values[row], value[0])
        torch.testing.assert_close(forces[row], force[0])
