import math

import pytest
import torch
from hypothesis import assume, given
from torch import Tensor

from pml_potential.fields.formula import energies_by_formula
from pml_potential.fields.potentials import Potential
from tests.fields.field_cases import (
    Case,
    cases,
    each_dtype,
    each_potential,
    is_clear_of_the_radii,
    points_on_the_sphere,
    potentials,
    searched,
)


def energy_by_loops(i: int, points: list[list[float]], labels: list[int], potential: Potential) -> float:
    energy = 0.0
    for point, label in zip(points, labels, strict=True):
        squared = torch.tensor(math.dist(points[i], point) ** 2, dtype=torch.float64)
        half = potential.attraction if label == labels[i] else potential.repulsion
        energy += half(squared)[0].item()
    return energy


@each_potential
def test_energies_are_the_sums_over_all_points(potential: Potential) -> None:
    points, labels = points_on_the_sphere()
    expected = [energy_by_loops(i, points.tolist(), labels.tolist(), potential) for i in range(30)]
    assert energies_by_formula(points, labels, potential).tolist() == pytest.approx(expected, rel=1e-12)


@each_dtype
@each_potential
def test_energies_are_of_the_dtype_of_the_points(potential: Potential, dtype: torch.dtype) -> None:
    points, labels = points_on_the_sphere(dtype=dtype)
    assert energies_by_formula(points, labels, potential).dtype == dtype


def gradient_by_slopes(case: Case, potential: Potential) -> tuple[Tensor, Tensor]:
    """The gradient from the slopes that the potential gives, and the sum of the lengths of its terms."""
    apart = case.points[:, None] - case.points
    squared, same = apart.square().sum(dim=2), case.labels[:, None] == case.labels
    slope = torch.where(same, potential.attraction(squared)[1], potential.repulsion(squared)[1])
    upstream = torch.zeros(len(case.points), dtype=case.points.dtype)
    upstream[: case.targets] = case.upstream
    terms = apart * (2 * slope * (upstream[:, None] + upstream))[:, :, None]
    return terms.sum(dim=1), terms.norm(dim=2).sum(dim=1)


@searched
@given(case=cases(torch.float64), potential=potentials)
def test_gradient_is_that_of_the_slopes(case: Case, potential: Potential) -> None:
    assume(is_clear_of_the_radii(case, potential))
    points = case.points.clone().requires_grad_()
    energies = energies_by_formula(points, case.labels, potential)[: case.targets]
    (gradient,) = torch.autograd.grad(energies, points, case.upstream)
    expected, lengths = gradient_by_slopes(case, potential)
    assert (gradient - expected).norm() <= 1e-7 * lengths.norm()
