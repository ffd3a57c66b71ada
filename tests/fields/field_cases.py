"""Points in every arrangement that a field may meet, and the field that they must have."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from pml_potential.fields.energy import point_energies
from pml_potential.fields.formula import energies_by_formula
from pml_potential.fields.neighbor_list import Candidates, NeighborList
from pml_potential.fields.neighbors import Tile
from pml_potential.fields.pairs import Block, Pairs
from pml_potential.fields.plan import Plan
from pml_potential.fields.potentials import (
    SMALLEST_CORE_RADIUS,
    Contrastive,
    Logarithmic,
    Potential,
    PowerLaw,
)

searched = settings(deadline=None, derandomize=True)

POTENTIALS: list[Potential] = [
    PowerLaw(0.5, 0.8, 2.0),
    PowerLaw(0.8, 0.5, 1.0, core_radius=0.5),
    Logarithmic(0.5, 0.8, core_radius=0.3),
    Contrastive(0.5, 0.5),
]
each_potential = pytest.mark.parametrize("potential", POTENTIALS, ids=repr)
PRECISIONS = [(torch.float32, 1e-4), (torch.float64, 1e-9)]
"""Dtypes of points, and how far off, relatively, their energies and forces may be."""

each_precision = pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def ends(found: Pairs | Block | Tile | Candidates) -> Tensor:
    """Both ends of all pairs of what a search yielded, (2, k)."""
    if isinstance(found, Block):
        found = found.where(found.wanted)
    return torch.stack(found if isinstance(found, tuple) else (found.first, found.second))


def unordered(found: Iterable[Pairs | Block | Tile | Candidates]) -> list[tuple[int, int]]:
    """All pairs of what a search yielded, the smaller index first, sorted."""
    pairs = [ends(some).sort(dim=0).values for some in found]
    return sorted(map(tuple, torch.cat(pairs, dim=1).T.tolist())) if pairs else []


def pairs_where(wanted: Tensor, targets: int | None = None) -> set[tuple[int, int]]:
    """Pairs for which a symmetric (n, n) mask is true, the smaller index first and below ``targets``."""
    return set(map(tuple, wanted.triu(diagonal=1)[:targets].nonzero().tolist()))


def all_pairs(count: int, targets: int) -> set[tuple[int, int]]:
    return pairs_where(torch.ones(count, count, dtype=torch.bool), targets)


def random_points(count: int, width: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(count, width, dtype=torch.float64, generator=generator)).to(dtype)


def squared_distances(rows: Tensor, columns: Tensor) -> Tensor:
    return (rows.double()[:, None] - columns.double()[None]).square().sum(dim=2)


@contextmanager
def reduced_precision() -> Iterator[None]:
    """Products of float32 matrices may round their factors to bfloat16."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    yield
    torch.set_float32_matmul_precision(before)


# Arrangements of n points of d coordinates, float64, of norm at most 1


def _on_the_sphere(noise: Tensor, _: torch.Generator) -> Tensor:
    return normalize(noise)


def _in_the_ball(noise: Tensor, generator: torch.Generator) -> Tensor:
    return normalize(noise) * torch.rand(len(noise), 1, dtype=noise.dtype, generator=generator)


def _with_duplicates(noise: Tensor, generator: torch.Generator) -> Tensor:
    distinct = 1 + len(noise) // 3
    return normalize(noise)[torch.randint(distinct, (len(noise),), generator=generator)]


def _on_a_line(noise: Tensor, generator: torch.Generator) -> Tensor:
    along = 2 * torch.rand(len(noise), 1, dtype=noise.dtype, generator=generator) - 1
    return along * normalize(noise[:1])


def _along_the_last_coordinate(noise: Tensor, generator: torch.Generator) -> Tensor:
    points = normalize(noise[:1]).expand_as(noise) / 2
    along = torch.rand(len(noise), 1, dtype=noise.dtype, generator=generator) - 0.5
    return torch.cat([points[:, :-1], along], dim=1)


def _with_a_pair_in_the_core(noise: Tensor, _: torch.Generator) -> Tensor:
    points = normalize(noise)
    points[1:2] = normalize(points[:1] + 0.004 * normalize(noise[-1:]))
    return points


def _collapsed(spread: float) -> Callable[[Tensor, torch.Generator], Tensor]:
    return lambda noise, _: normalize(normalize(noise[:1]) + spread * noise)


def _at_opposite_ends(spread: float) -> Callable[[Tensor, torch.Generator], Tensor]:
    def arrange(noise: Tensor, generator: torch.Generator) -> Tensor:
        sign = 2 * torch.randint(2, (len(noise), 1), generator=generator) - 1
        return sign * normalize(normalize(noise[:1]) + spread * noise)

    return arrange


ARRANGEMENTS = {
    "on the sphere": _on_the_sphere,
    "in the ball": _in_the_ball,
    "with duplicates": _with_duplicates,
    "on a line": _on_a_line,
    "along the last coordinate": _along_the_last_coordinate,
    "with a pair in the core": _with_a_pair_in_the_core,
    "on one point": _collapsed(0),
    "within 1e-3": _collapsed(1e-3),
    "within 1e-6": _collapsed(1e-6),
    "on opposite points": _at_opposite_ends(0),
    "within 1e-3 of opposite points": _at_opposite_ends(1e-3),
    "within 1e-6 of opposite points": _at_opposite_ends(1e-6),
}


@dataclass(frozen=True)
class Case:
    """Points and their labels, how many of them are targets, and a gradient of each target's energy."""

    points: Tensor
    labels: Tensor
    targets: int
    upstream: Tensor


@st.composite
def cases(
    draw: st.DrawFn,
    dtype: torch.dtype = torch.float32,
    most_points: int = 40,
    most_coordinates: int = 4,
    arrangements: Iterable[str] = tuple(ARRANGEMENTS),
) -> Case:
    count, width = draw(st.integers(1, most_points)), draw(st.integers(1, most_coordinates))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**20)))
    noise = torch.randn(count, width, dtype=torch.float64, generator=generator)
    arrange = ARRANGEMENTS[draw(st.sampled_from(sorted(arrangements)))]
    classes = draw(st.integers(1, 6) | st.just(2 * count))
    labels = torch.randint(classes, (count,), generator=generator)
    targets = draw(st.integers(1, count))
    upstream = torch.randn(targets, generator=generator)
    upstream[torch.rand(targets, generator=generator) < 0.2] = 0
    return Case(arrange(noise, generator).to(dtype), labels, targets, upstream.to(dtype))


radii = st.floats(0.02, 2)
shares = st.floats(0, 1)
"""Of the way from the smallest core to one as wide as the radius of repulsion."""


def core_radius(repulsion_radius: float, share: float) -> float:
    return SMALLEST_CORE_RADIUS + share * (repulsion_radius - SMALLEST_CORE_RADIUS)


def _power_law(attraction: float, repulsion: float, alpha: float, share: float) -> Potential:
    return PowerLaw(attraction, repulsion, alpha, core_radius(repulsion, share))


def _logarithmic(attraction: float, repulsion: float, share: float) -> Potential:
    return Logarithmic(attraction, repulsion, core_radius(repulsion, share))


potentials: st.SearchStrategy[Potential] = st.one_of(
    st.builds(_power_law, radii, radii, st.floats(0.1, 8), shares),
    st.builds(_logarithmic, radii, radii, shares),
    st.builds(Contrastive, radii, radii),
)


@dataclass(frozen=True)
class Expected:
    """Energies and gradient by the formula, and the scales by which to judge an error in them.

    Args:
        energies: (targets,).
        excess: Σ_j |psi_ij - plateau|, (targets,).
        magnitude: Σ_j |psi_ij|, (targets,).
        gradient: of Σ_i upstream_i E_i, (n, d).
        forces: Σ_j of the lengths of the terms of the gradient, (n,).
    """

    energies: Tensor
    excess: Tensor
    magnitude: Tensor
    gradient: Tensor
    forces: Tensor


def field_by_formula(case: Case, potential: Potential) -> Expected:
    points, labels = case.points.double().requires_grad_(), case.labels
    energies = energies_by_formula(points, labels, potential)[: case.targets]
    (gradient,) = torch.autograd.grad(energies, points, case.upstream.double())
    squared = squared_distances(points, points).detach()
    same = labels[:, None] == labels
    attraction, repulsion = potential.attraction(squared), potential.repulsion(squared)
    value = torch.where(same, attraction[0], repulsion[0])
    plateau = torch.where(same, potential.attraction_plateau, potential.repulsion_plateau)
    upstream = torch.zeros(len(points), dtype=torch.float64)
    upstream[: case.targets] = case.upstream.double()
    weight = 2 * torch.where(same, attraction[1], repulsion[1]) * (upstream[:, None] + upstream)
    return Expected(
        energies=energies.detach(),
        excess=(value - plateau).abs().sum(dim=1)[: case.targets],
        magnitude=value.abs().sum(dim=1)[: case.targets],
        gradient=gradient,
        forces=(weight.abs() * squared.sqrt()).sum(dim=1),
    )


def is_clear_of_the_radii(case: Case, potential: Potential) -> bool:
    """Whether no pair is so near to a radius that rounding decides whether it acts."""
    distances = squared_distances(case.points, case.points).sqrt()
    both = torch.tensor([potential.attraction_radius, potential.repulsion_radius], dtype=torch.float64)
    return bool(((distances[:, :, None] - both).abs() > 1e-6 * both).all())


# Fields of the engine, and what they must be


def points_on_the_sphere(count: int = 30, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Points of five classes, some of them duplicates within a class and across classes."""
    generator = torch.Generator().manual_seed(2)
    points = torch.randn(count, 3, dtype=torch.float64, generator=generator)
    points[5], points[7] = points[0], points[0]
    labels = torch.arange(count) % 5
    return torch.nn.functional.normalize(points).to(dtype), labels


def arranged(arrangement: str, dtype: torch.dtype, count: int = 100) -> Case:
    """Points of sixteen coordinates and five classes."""
    generator = torch.Generator().manual_seed(5)
    noise = torch.randn(count, 16, dtype=torch.float64, generator=generator)
    points = ARRANGEMENTS[arrangement](noise, generator).to(dtype)
    upstream = torch.randn(count, generator=generator).to(dtype)
    return Case(points, torch.arange(count) % 5, count, upstream)


def field_of(
    case: Case,
    potential: Potential,
    plan: Plan | None = None,
    neighbor_list: NeighborList | None = None,
    known: int = 0,
) -> tuple[Tensor, Tensor]:
    """Energies, and the gradient of their sum, weighted by the upstream gradient."""
    points = case.points.clone().requires_grad_()
    energies = point_energies(
        points, case.labels, potential, case.targets, known, neighbor_list, plan=plan
    )
    (gradient,) = torch.autograd.grad(energies, points, case.upstream)
    return energies.detach(), gradient


def assert_field_is_that_of_the_formula(
    case: Case, potential: Potential, tolerance: float, plan: Plan | None = None
) -> None:
    energies, gradient = field_of(case, potential, plan)
    expected = field_by_formula(case, potential)
    assert energies.dtype == case.points.dtype
    rounding = 16 * torch.finfo(case.points.dtype).eps
    error = (energies.double() - expected.energies).abs()
    room = tolerance * expected.excess + rounding * (expected.magnitude + len(case.points))
    assert (error <= room).all()
    error_of_gradient = (gradient.double() - expected.gradient).norm()
    room_of_gradient = tolerance * expected.gradient.norm() + rounding * expected.forces.norm()
    assert error_of_gradient <= room_of_gradient


def assert_same_bits(found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> None:
    assert found[0].equal(expected[0])
    assert found[1].equal(expected[1])
