from collections.abc import Iterator

import pytest
import torch
from pml_potential.fields.forces import Forces, PairForces
from torch import Tensor

from pml_potential.fields import energy
from pml_potential.fields.energy import point_energies
from pml_potential.fields.potentials import Potential
from pml_potential.fields.statistics import FieldStatistics, Interaction
from tests.fields.field_cases import (
    POTENTIALS,
    Case,
    arranged,
    each_dtype,
    each_potential,
    field_of,
    squared_distances,
)
from tests.pairwise import pairwise


def statistics_of(case: Case, potential: Potential) -> FieldStatistics:
    statistics = FieldStatistics()
    point_energies(case.points, case.labels, potential, case.targets, statistics=statistics)
    return statistics


def by_all_pairs(case: Case, potential: Potential) -> FieldStatistics:
    """From one matrix of all squared distances."""
    squared = squared_distances(case.points, case.points)
    same = case.labels[:, None] == case.labels
    counted_once = torch.ones_like(same).triu(diagonal=1)[: case.targets]

    def interaction(half: str, of: Tensor) -> Interaction:
        values, slopes = getattr(potential, half)(squared)
        excess = (values - getattr(potential, f"{half}_plateau"))[: case.targets]
        acting = (slopes != 0)[: case.targets] & of[: case.targets] & counted_once
        return Interaction(excess[of[: case.targets]].sum().item(), int(acting.sum()))

    return FieldStatistics(interaction("attraction", same), interaction("repulsion", ~same))


@pytest.mark.parametrize(
    ("potential", "targets", "few_points", "most_pairs"),
    pairwise(POTENTIALS, [1, 17, 60], [0, 512], [-1, 2**40]),
    ids=str,
)
def test_statistics_are_those_of_all_pairs(
    monkeypatch: pytest.MonkeyPatch, potential: Potential, targets: int, few_points: int, most_pairs: int
) -> None:
    monkeypatch.setattr(energy, "_FEW_POINTS", few_points)
    monkeypatch.setattr(energy, "_MOST_PAIRS", most_pairs)
    whole = arranged("on the sphere", torch.float64, count=60)
    # Of three coordinates, so that some pairs are near each other.
    points = torch.nn.functional.normalize(whole.points[:, :3])
    case = Case(points, whole.labels, targets, whole.upstream[:targets])
    found, expected = statistics_of(case, potential), by_all_pairs(case, potential)
    for name in ("attraction", "repulsion"):
        own, other = getattr(found, name), getattr(expected, name)
        assert own.energy == pytest.approx(other.energy, rel=1e-10)
        assert own.acting_pairs == other.acting_pairs > 0


def test_a_field_without_neighbours_or_partners_has_nothing_to_tell() -> None:
    case = Case(torch.eye(3), torch.arange(3), 3, torch.ones(3))
    assert statistics_of(case, POTENTIALS[0]) == FieldStatistics()


def test_fields_that_share_their_statistics_add_up() -> None:
    case, statistics = arranged("on the sphere", torch.float64), FieldStatistics()
    for _ in range(2):
        point_energies(case.points, case.labels, POTENTIALS[1], statistics=statistics)
    once = statistics_of(case, POTENTIALS[1])
    assert statistics.attraction.acting_pairs == 2 * once.attraction.acting_pairs
    assert statistics.attraction.energy == pytest.approx(2 * once.attraction.energy)


@each_dtype
@each_potential
def test_who_watches_changes_no_bit(
    monkeypatch: pytest.MonkeyPatch, potential: Potential, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(energy, "_FEW_POINTS", 0)
    case = arranged("within 1e-3 of opposite points", dtype)
    expected = field_of(case, potential)
    points = case.points.clone().requires_grad_()
    energies = point_energies(points, case.labels, potential, statistics=FieldStatistics())
    (gradient,) = torch.autograd.grad(energies, points, case.upstream)
    assert energies.equal(expected[0])
    assert gradient.equal(expected[1])


def test_forces_are_passed_on_one_by_one_and_energies_are_what_they_add() -> None:
    slopes = [torch.tensor([1.0, 0.0, -2.0]), torch.tensor([0.0])]
    energies = torch.tensor([5.0, 7.0], dtype=torch.float64)

    def adding() -> Iterator[Forces]:
        for slope in slopes:
            energies[0] += 1
            ends = torch.zeros(len(slope), dtype=torch.long)
            yield PairForces(ends, ends, slope)

    interaction = Interaction()
    passed = interaction.watch(adding(), energies)
    assert next(passed).slope is slopes[0]
    assert interaction.acting_pairs == 2
    assert [forces.slope for forces in passed] == [slopes[1]]
    assert (interaction.energy, interaction.acting_pairs) == (2, 2)
