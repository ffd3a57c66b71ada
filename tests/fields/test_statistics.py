import pytest
import torch
from torch.nn.functional import normalize

from pml_potential.fields.energy import point_energies
from pml_potential.fields.plan import Plan
from pml_potential.fields.potentials import Potential
from pml_potential.fields.statistics import FieldStatistics
from tests.fields.field_cases import (
    POTENTIALS,
    PRECISIONS,
    Case,
    arranged,
    assert_same_bits,
    each_dtype,
    each_potential,
    field_of,
    squared_distances,
)
from tests.fields.ways import WAYS, Way
from tests.pairwise import pairwise


def statistics_of(case: Case, potential: Potential, plan: Plan | None = None) -> FieldStatistics:
    statistics = FieldStatistics()
    point_energies(case.points, case.labels, potential, case.targets, statistics=statistics, plan=plan)
    return statistics


def by_all_pairs(case: Case, potential: Potential) -> FieldStatistics:
    """From one matrix of all squared distances, the targets its rows."""
    squared = squared_distances(case.points, case.points)
    same = case.labels[:, None] == case.labels
    attraction, pull = potential.attraction(squared)
    repulsion, push = potential.repulsion(squared)
    attracts, repels = same & (pull != 0), ~same & (push != 0)
    acts = attracts | repels
    excess = repulsion - potential.repulsion_plateau
    return FieldStatistics(
        attraction=attraction[: case.targets][attracts[: case.targets]].sum().item(),
        attracting=int(attracts[: case.targets].sum()),
        repulsion=excess[: case.targets][repels[: case.targets]].sum().item(),
        acting_pairs=int(acts.triu(diagonal=1)[: case.targets].sum()),
    )


@pytest.mark.parametrize(
    ("potential", "targets", "way", "precision", "arrangement"),
    pairwise(POTENTIALS, [1, 17, 60], WAYS, PRECISIONS, ["on the sphere", "with duplicates"]),
    ids=str,
)
def test_statistics_are_those_of_all_pairs(
    potential: Potential,
    targets: int,
    way: Way,
    precision: tuple[torch.dtype, float],
    arrangement: str,
) -> None:
    dtype, tolerance = precision
    whole = arranged(arrangement, torch.float64, count=60)
    # Of three coordinates, so that some pairs are near each other.
    points = normalize(whole.points[:, :3]).to(dtype)
    case = Case(points, whole.labels, targets, whole.upstream[:targets])
    found, expected = statistics_of(case, potential, way.plan), by_all_pairs(case, potential)
    assert (found.acting_pairs, found.attracting) == (expected.acting_pairs, expected.attracting)
    assert found.acting_pairs > 0
    assert found.attraction == pytest.approx(expected.attraction, rel=tolerance)
    assert found.repulsion == pytest.approx(expected.repulsion, rel=tolerance)


def test_a_field_without_neighbours_or_partners_has_nothing_to_tell() -> None:
    case = Case(torch.eye(3), torch.arange(3), 3, torch.ones(3))
    assert statistics_of(case, POTENTIALS[0]) == FieldStatistics()


def test_fields_that_share_their_statistics_add_up() -> None:
    case, statistics = arranged("on the sphere", torch.float64), FieldStatistics()
    for _ in range(2):
        point_energies(case.points, case.labels, POTENTIALS[1], statistics=statistics)
    once = statistics_of(case, POTENTIALS[1])
    assert statistics.acting_pairs == 2 * once.acting_pairs > 0
    assert statistics.attracting == 2 * once.attracting
    assert statistics.attraction == pytest.approx(2 * once.attraction)


@each_dtype
@each_potential
def test_who_watches_changes_no_bit(potential: Potential, dtype: torch.dtype) -> None:
    case = arranged("within 1e-3 of opposite points", dtype)
    points = case.points.clone().requires_grad_()
    energies = point_energies(points, case.labels, potential, statistics=FieldStatistics())
    (gradient,) = torch.autograd.grad(energies, points, case.upstream)
    assert_same_bits((energies.detach(), gradient), field_of(case, potential))
