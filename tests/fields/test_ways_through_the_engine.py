"""Every way through the engine gives the field of the formula, whatever its sizes."""

from dataclasses import replace

import pytest
import torch
from hypothesis import assume, given, settings

from pml_potential.fields.different_class import crowded_pairs
from pml_potential.fields.energy import point_energies
from pml_potential.fields.pair_field import interactions
from pml_potential.fields.pairs import Block, Pairs
from pml_potential.fields.plan import Plan
from pml_potential.fields.potentials import Logarithmic, Potential, PowerLaw
from pml_potential.fields.same_class import same_class_pairs
from tests.fields.field_cases import (
    ARRANGEMENTS,
    POTENTIALS,
    PRECISIONS,
    Case,
    arranged,
    assert_field_is_that_of_the_formula,
    assert_same_bits,
    cases,
    each_dtype,
    each_potential,
    each_precision,
    field_by_formula,
    field_of,
    is_clear_of_the_radii,
    points_on_the_sphere,
    potentials,
    reduced_precision,
    searched,
    squared_distances,
)
from tests.fields.ways import WAYS, Way, each_way, small_plans
from tests.pairwise import pairwise

STEEP = PowerLaw(0.2, 0.2, 8.0)


def assert_taken(way: Way, case: Case, potential: Potential) -> None:
    """Look at what the search found and at what the forward pass kept."""
    points, labels, plan = case.points.clone().requires_grad_(), case.labels, way.plan
    graph = point_energies(points, labels, potential, case.targets, plan=plan).grad_fn
    prepared = graph.prepared  # type: ignore[union-attr]
    kept, near = prepared.kept, prepared.near
    assert (kept is not None) == way.kept
    own = {type(pairs) for pairs in same_class_pairs(labels, case.targets, points.shape[1], plan)}
    assert own == {Block if way.same_class == "blocks" else Pairs}
    assert (near is not None) == (way.search == "listed")
    if near is not None:
        assert len(near.first) > 0
        return
    arguments = potential.repulsion_radius, case.points, labels, case.targets, plan
    kind = Block if way.search == "crowded" else Pairs
    assert {type(pairs) for pairs in crowded_pairs(*arguments)} == {kind}
    acting = interactions(case.points, labels, potential, case.targets, near, plan)
    assert {type(some.pairs) for some in acting if not some.attracts} == {kind}


@each_way
@pytest.mark.parametrize("targets", [100, 60])
def test_plans_lead_the_way(way: Way, targets: int) -> None:
    case = arranged("on the sphere", torch.float32)
    case = Case(case.points, case.labels, targets, case.upstream[:targets])
    assert_taken(way, case, Logarithmic(0.2, 1.2))


@each_way
@each_precision
def test_field_is_that_of_the_formula(way: Way, dtype: torch.dtype, tolerance: float) -> None:
    @settings(searched, max_examples=25)
    @given(case=cases(dtype, most_points=120, most_coordinates=20), potential=potentials)
    def check(case: Case, potential: Potential) -> None:
        assume(is_clear_of_the_radii(case, potential))
        assert_field_is_that_of_the_formula(case, potential, tolerance, way.plan)

    check()


@each_precision
def test_field_is_that_of_the_formula_whatever_the_sizes(dtype: torch.dtype, tolerance: float) -> None:
    @settings(searched, max_examples=60)
    @given(case=cases(dtype, most_points=30, most_coordinates=9), potential=potentials, plan=small_plans)
    def check(case: Case, potential: Potential, plan: Plan) -> None:
        assume(is_clear_of_the_radii(case, potential))
        assert_field_is_that_of_the_formula(case, potential, tolerance, plan)

    check()


@pytest.mark.parametrize(
    ("way", "precision", "arrangement", "potential"),
    pairwise(WAYS, PRECISIONS, ARRANGEMENTS, [STEEP, Logarithmic(0.2, 1.9), PowerLaw(0.2, 0.9, 4, 0.9)]),
    ids=str,
)
def test_field_of_an_odd_arrangement(
    way: Way, precision: tuple[torch.dtype, float], arrangement: str, potential: Potential
) -> None:
    dtype, tolerance = precision
    case = arranged(arrangement, dtype)
    assert is_clear_of_the_radii(case, potential)
    assert_field_is_that_of_the_formula(case, potential, tolerance, way.plan)


def grid(width: int, dtype: torch.dtype) -> Case:
    """Points of a grid of sixteenths: no squared distance of theirs is rounded."""
    sixteenths = [torch.arange(-4, 5), torch.arange(-4, 5), torch.arange(-2, 3)][width - 1]
    points = torch.cartesian_prod(*[sixteenths] * width).view(-1, width).to(dtype) / 16
    labels = torch.randint(3, (len(points),), generator=torch.Generator().manual_seed(0))
    return Case(points, labels, len(points), torch.linspace(-1, 2, len(points), dtype=dtype))


@pytest.mark.parametrize(
    ("way", "precision", "potential", "width"),
    pairwise(
        WAYS,
        PRECISIONS,
        [PowerLaw(0.125, 0.25, 8.0), PowerLaw(0.3125, 0.3125, 2.0), Logarithmic(0.25, 0.125)],
        [1, 2, 3],
    ),
    ids=str,
)
def test_pairs_at_the_radius_exert_no_force(
    way: Way, precision: tuple[torch.dtype, float], potential: Potential, width: int
) -> None:
    dtype, tolerance = precision
    case = grid(width, dtype)
    at_the_radius = squared_distances(case.points, case.points) == potential.repulsion_radius**2
    assert at_the_radius.any()
    energies, gradient = field_of(case, potential, way.plan)
    torch.testing.assert_close(
        energies.double(), field_by_formula(case, potential).energies, rtol=tolerance, atol=0
    )
    # Radii a little to the side of those of no other pair give the forces of all pairs but these.
    aside = replaced_radii(potential, 1 + 1e-3, 1 - 1e-3)
    expected = field_by_formula(case, aside)
    error = (gradient.double() - expected.gradient).norm()
    assert error <= tolerance * expected.forces.norm()


def replaced_radii(potential: Potential, attraction: float, repulsion: float) -> Potential:
    return replace(
        potential,
        attraction_radius=potential.attraction_radius * attraction,
        repulsion_radius=potential.repulsion_radius * repulsion,
    )


@each_way
@each_dtype
def test_coincident_points_of_different_classes_do_not_push_each_other(
    way: Way, dtype: torch.dtype
) -> None:
    places = arranged("on the sphere", dtype, count=60).points
    case = Case(places.repeat(2, 1), torch.arange(120), 120, torch.ones(120, dtype=dtype))
    apart = squared_distances(places, places).fill_diagonal_(4).sqrt().min().item()
    energies, gradient = field_of(case, PowerLaw(0.2, 0.9 * apart, 8.0), way.plan)
    assert gradient.abs().max() == 0
    torch.testing.assert_close(energies, energies[:1].expand(120))


@each_way
@pytest.mark.parametrize("arrangement", ["on the sphere", "within 1e-3", "within 1e-6"])
def test_reduced_precision_of_products_costs_no_accuracy(way: Way, arrangement: str) -> None:
    with reduced_precision():
        assert_field_is_that_of_the_formula(arranged(arrangement, torch.float32), STEEP, 1e-4, way.plan)


@each_way
def test_autocast_changes_nothing(way: Way) -> None:
    case = arranged("on the sphere", torch.float32)
    outside = field_of(case, PowerLaw(1.0, 1.0, 4.0), way.plan)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = field_of(case, PowerLaw(1.0, 1.0, 4.0), way.plan)
    assert_same_bits(inside, outside)


@each_way
@pytest.mark.parametrize("potential", [POTENTIALS[0], POTENTIALS[-1]], ids=repr)
def test_gradient_is_that_of_the_energies_on_every_way(way: Way, potential: Potential) -> None:
    points, labels = points_on_the_sphere()
    assert torch.autograd.gradcheck(
        lambda points: point_energies(points, labels[20:], potential, plan=way.plan),
        (points[20:].requires_grad_(),),
        rtol=1e-4,
    )


@each_way
@each_potential
def test_forces_balance(way: Way, potential: Potential) -> None:
    points, labels = points_on_the_sphere()
    points.requires_grad_()
    point_energies(points, labels, potential, plan=way.plan).sum().backward()
    assert points.grad is not None
    assert points.grad.abs().max() > 0
    assert points.grad.sum(dim=0).abs().max() < 1e-9 * points.grad.abs().max()


@pytest.mark.parametrize(
    ("way", "dtype", "arrangement"),
    pairwise(WAYS, [torch.float32, torch.float64], ["on the sphere", "within 1e-3"]),
    ids=str,
)
def test_every_way_through_gives_the_same_bits_again(
    way: Way, dtype: torch.dtype, arrangement: str
) -> None:
    case = arranged(arrangement, dtype)
    once, again = (field_of(case, Logarithmic(0.2, 1.0), way.plan) for _ in range(2))
    assert_same_bits(again, once)
