import torch
from hypothesis import assume, given

from pml_potential.fields.brute_force import brute_force_energies
from pml_potential.fields.potentials import Potential
from tests.fields.field_cases import (
    Case,
    cases,
    field_by_differences,
    is_clear_of_the_radii,
    potentials,
    searched,
)


@searched
@given(case=cases(torch.float64), potential=potentials)
def test_energies_and_gradient_are_those_of_the_formula(case: Case, potential: Potential) -> None:
    assume(is_clear_of_the_radii(case, potential))
    points = case.points.clone().requires_grad_()
    energies = brute_force_energies(points, case.labels, potential)[: case.targets]
    (gradient,) = torch.autograd.grad(energies, points, case.upstream)
    expected = field_by_differences(case, potential)
    torch.testing.assert_close(energies.detach(), expected.energies, rtol=1e-9, atol=1e-9)
    assert (gradient - expected.gradient).norm() <= 1e-7 * expected.forces.norm()
