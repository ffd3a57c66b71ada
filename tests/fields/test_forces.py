from collections.abc import Iterable

import pytest
import torch
from torch import Tensor

from pml_potential.fields import forces
from pml_potential.fields.forces import BlockForces, PairForces, forces_of, pairs_per_chunk
from pml_potential.fields.pairs import Block, Pairs
from pml_potential.fields.potentials import Logarithmic, PowerLaw
from tests.fields.field_cases import (
    ARRANGEMENTS,
    Case,
    all_pairs,
    each_dtype,
    field_by_differences,
    reduced_precision,
    squared_distances,
)

LAW = Logarithmic(0.2, 1.9)
COUNT = 40
each_arrangement = pytest.mark.parametrize("arrangement", ARRANGEMENTS)


def arranged(arrangement: str, dtype: torch.dtype) -> Case:
    """Points each of a class of its own, all of whose pairs are repelling."""
    generator = torch.Generator().manual_seed(9)
    noise = torch.randn(COUNT, 6, dtype=torch.float64, generator=generator)
    points = ARRANGEMENTS[arrangement](noise, generator).to(dtype)
    upstream = torch.randn(COUNT, generator=generator).to(dtype)
    return Case(points, torch.arange(COUNT), COUNT, upstream)


def as_pairs() -> list[Pairs | Block]:
    first, second = torch.tensor(sorted(all_pairs(COUNT, COUNT))).T
    return [(first, second)]


def as_one_block() -> list[Pairs | Block]:
    rows = torch.arange(COUNT)[None]
    return [Block(rows, rows, (rows[:, :, None] < rows[:, None, :]))]


def as_blocks_of_groups() -> list[Pairs | Block]:
    """Four groups of ten: each with itself, and two times two with each other."""
    groups = torch.arange(COUNT).view(4, 10)
    position = torch.arange(10)
    own = Block(groups, groups, (position[:, None] < position).expand(4, 10, 10))
    first, second = groups[[0, 0, 0, 1, 1, 2]], groups[[1, 2, 3, 2, 3, 3]]
    return [own, Block(first, second, torch.ones(6, 10, 10, dtype=torch.bool))]


def as_blocks_that_repeat_a_point() -> list[Pairs | Block]:
    """Smaller groups share a block with larger ones and repeat a point in pairs that do not count."""
    rows = torch.arange(COUNT).clamp_max(COUNT - 2)[None]
    wanted = torch.arange(COUNT)[:, None] < torch.arange(COUNT)
    wanted = wanted & (torch.arange(COUNT) < COUNT - 1)
    last = torch.tensor([[COUNT - 1]])
    others = Block(last, torch.arange(COUNT - 1)[None], torch.ones(1, 1, COUNT - 1, dtype=torch.bool))
    return [Block(rows, rows, wanted[None]), others]


each_form = pytest.mark.parametrize(
    "found",
    [as_pairs(), as_one_block(), as_blocks_of_groups(), as_blocks_that_repeat_a_point()],
    ids=["pairs", "one block", "blocks of groups", "blocks that repeat a point"],
)


def field_of(found: Iterable[Pairs | Block], case: Case) -> tuple[Tensor, Tensor]:
    energies = torch.zeros(COUNT, dtype=torch.float64)
    gradient = torch.zeros_like(case.points)
    law, plateau = LAW.repulsion, LAW.repulsion_plateau
    for force in forces_of(found, case.points, law, plateau, energies):
        force.add_gradient(gradient, case.points, case.upstream)
    return energies, gradient


@each_form
@each_arrangement
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_field_of_listed_pairs_and_of_blocks(
    found: list[Pairs | Block], arrangement: str, dtype: torch.dtype, tolerance: float
) -> None:
    case = arranged(arrangement, dtype)
    energies, gradient = field_of(found, case)
    expected = field_by_differences(case, LAW)
    plateaus = LAW.attraction_plateau + (COUNT - 1) * LAW.repulsion_plateau
    torch.testing.assert_close(energies, expected.energies - plateaus, rtol=tolerance, atol=tolerance)
    assert (gradient - expected.gradient).norm() <= tolerance * expected.forces.norm()


@each_form
@each_arrangement
def test_reduced_precision_of_products_blunts_no_force(
    found: list[Pairs | Block], arrangement: str
) -> None:
    case = arranged(arrangement, torch.float32)
    with reduced_precision():
        energies, gradient = field_of(found, case)
    expected = field_by_differences(case, LAW)
    plateaus = LAW.attraction_plateau + (COUNT - 1) * LAW.repulsion_plateau
    torch.testing.assert_close(energies, expected.energies - plateaus, rtol=1e-5, atol=1e-5)
    assert (gradient - expected.gradient).norm() <= 1e-5 * expected.forces.norm()


@each_dtype
@pytest.mark.parametrize("scale", [1.0, 2.0**16, 2.0**24])
@each_form
def test_a_scaled_gradient_stays_finite_in_a_collapse(
    found: list[Pairs | Block], scale: float, dtype: torch.dtype
) -> None:
    case = arranged("on one point", dtype)
    gradient = torch.zeros_like(case.points)
    steep = PowerLaw(0.2, 0.2, 8.0)
    energies = torch.zeros(COUNT, dtype=torch.float64)
    for force in forces_of(found, case.points, steep.repulsion, steep.repulsion_plateau, energies):
        force.add_gradient(gradient, case.points, scale * torch.ones_like(case.upstream))
    assert gradient.abs().max() == 0


def test_pairs_that_do_not_act_are_dropped() -> None:
    points = torch.tensor([[0.0], [0.125], [0.75]])
    pairs = torch.tensor([0, 0, 1]), torch.tensor([1, 2, 2])
    energies = torch.zeros(3, dtype=torch.float64)
    law = Logarithmic(0.25, 0.25)
    (force,) = forces_of([pairs], points, law.repulsion, law.repulsion_plateau, energies)
    assert isinstance(force, PairForces)
    assert (force.first.tolist(), force.second.tolist()) == ([0], [1])
    assert energies.count_nonzero() == 2


def test_a_block_without_forces_is_dropped() -> None:
    points, rows = torch.tensor([[0.0], [0.75]]), torch.tensor([[0, 1]])
    energies = torch.zeros(2, dtype=torch.float64)
    block = Block(rows, rows, torch.tensor([[[False, True], [False, False]]]))
    law = Logarithmic(0.25, 0.25)
    found = list(forces_of([block], points, law.repulsion, law.repulsion_plateau, energies))
    assert found == []
    assert energies.count_nonzero() == 0


@pytest.mark.parametrize(("coordinates", "expected"), [(1, 1), (15, 1), (33, 4), (2**40, 2**37)])
def test_pairs_per_chunk(monkeypatch: pytest.MonkeyPatch, coordinates: int, expected: int) -> None:
    monkeypatch.setitem(forces._COORDINATES_PER_CHUNK, "cpu", coordinates)
    assert pairs_per_chunk(torch.zeros(3, 8)) == expected


def test_chunks_bound_the_pairs_that_are_worked_on_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(forces._COORDINATES_PER_CHUNK, "cpu", 60)
    case, energies = arranged("within 1e-3", torch.float64), torch.zeros(COUNT, dtype=torch.float64)
    found = list(forces_of(as_pairs(), case.points, LAW.repulsion, LAW.repulsion_plateau, energies))
    sizes = [force.slope.numel() for force in found]
    assert max(sizes) == 10
    assert sum(sizes) == COUNT * (COUNT - 1) / 2


def test_points_of_a_block_that_are_apart_stay_in_it() -> None:
    case, energies = arranged("on the sphere", torch.float32), torch.zeros(COUNT, dtype=torch.float64)
    apart = squared_distances(case.points, case.points).fill_diagonal_(4).min()
    found = list(forces_of(as_one_block(), case.points, LAW.repulsion, LAW.repulsion_plateau, energies))
    assert apart > 0
    assert isinstance(found[0], BlockForces)
    assert found[0].slope.count_nonzero() > 0
