import subprocess
import sys
from functools import partial
from typing import Any

import pytest
import torch
from field_cases import (
    ARRANGEMENTS,
    POTENTIALS,
    Case,
    Regime,
    cases,
    each_potential,
    field_by_differences,
    is_clear_of_the_radii,
    potentials,
    reduced_precision,
    searched,
    squared_distances,
)
from hypothesis import assume, given, settings
from torch import Tensor

from pml_potential import CPMLLoss, PotentialFieldLoss
from pml_potential.fields import energy, forces, neighbors
from pml_potential.fields.energy import point_energies
from pml_potential.fields.potentials import Logarithmic, Potential, PowerLaw
from pml_potential.fields.sphere import unit_points

each_precision = pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-9)]
)
STEEP = PowerLaw(0.2, 0.2, 8.0)


@pytest.fixture(
    params=[
        ("crowded", "blocks", True),
        ("crowded", "listed", False),
        ("sparse", "blocks", False),
        ("sparse", "listed", True),
        ("listed", "blocks", True),
        ("listed", "listed", False),
        ("crowded tiles", "blocks", False),
        ("crowded tiles", "listed", True),
        ("sparse tiles", "blocks", True),
        ("sparse tiles", "listed", False),
    ],
    ids=lambda way: f"{way[0]}, own class in {way[1]}, {'kept' if way[2] else 'searched again'}",
)
def regime(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Regime:
    """A way through the engine that every field of the test takes."""
    regime = Regime(*request.param)
    regime.enter(monkeypatch)
    return regime


def points_on_the_sphere(count: int = 30, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Points of five classes, some of them duplicates within a class and across classes."""
    generator = torch.Generator().manual_seed(2)
    points = torch.randn(count, 3, dtype=torch.float64, generator=generator)
    points[5], points[7] = points[0], points[0]
    labels = torch.arange(count) % 5
    return torch.nn.functional.normalize(points).to(dtype), labels


def energies_by_loops(points: Tensor, labels: Tensor, potential: Potential) -> list[float]:
    energies = []
    for x, own in zip(points, labels, strict=True):
        terms = [
            (potential.attraction if own == other else potential.repulsion)(
                (x - source).double().square().sum()
            )[0].item()
            for source, other in zip(points, labels, strict=True)
        ]
        energies.append(sum(terms))
    return energies


def field_of(case: Case, potential: Potential) -> tuple[Tensor, Tensor]:
    """Energies, and the gradient of their sum, weighted by the upstream gradient."""
    points = case.points.clone().requires_grad_()
    energies = point_energies(points, case.labels, potential, case.targets)
    (gradient,) = torch.autograd.grad(energies, points, case.upstream)
    return energies.detach(), gradient


def energies_and_gradient(
    potential: Potential, targets: int | None = None, count: int = 30
) -> tuple[Tensor, Tensor]:
    points, labels = points_on_the_sphere(count)
    targets = count if targets is None else targets
    upstream = torch.linspace(-1, 2, targets, dtype=points.dtype)
    return field_of(Case(points, labels, targets, upstream), potential)


def arranged(arrangement: str, dtype: torch.dtype, count: int = 100) -> Case:
    """Points of sixteen coordinates and five classes."""
    generator = torch.Generator().manual_seed(5)
    noise = torch.randn(count, 16, dtype=torch.float64, generator=generator)
    points = ARRANGEMENTS[arrangement](noise, generator).to(dtype)
    upstream = torch.randn(count, generator=generator).to(dtype)
    return Case(points, torch.arange(count) % 5, count, upstream)


def grid(width: int, dtype: torch.dtype) -> Case:
    """Points of a grid of sixteenths: no squared distance of theirs is rounded."""
    sixteenths = [torch.arange(-4, 5), torch.arange(-4, 5), torch.arange(-2, 3)][width - 1]
    points = torch.cartesian_prod(*[sixteenths] * width).view(-1, width).to(dtype) / 16
    labels = torch.randint(3, (len(points),), generator=torch.Generator().manual_seed(0))
    return Case(points, labels, len(points), torch.linspace(-1, 2, len(points), dtype=dtype))


def assert_field_is_that_of_the_formula(case: Case, potential: Potential, tolerance: float) -> None:
    energies, gradient = field_of(case, potential)
    expected = field_by_differences(case, potential)
    rounding = 16 * torch.finfo(case.points.dtype).eps
    error = (energies.double() - expected.energies).abs()
    room = tolerance * expected.excess + rounding * (expected.magnitude + len(case.points))
    assert (error <= room).all()
    error_of_gradient = (gradient.double() - expected.gradient).norm()
    room_of_gradient = tolerance * expected.gradient.norm() + rounding * expected.forces.norm()
    assert error_of_gradient <= room_of_gradient


@each_precision
def test_field_is_that_of_the_formula(regime: Regime, dtype: torch.dtype, tolerance: float) -> None:
    @settings(searched, max_examples=25)
    @given(case=cases(dtype, most_points=200, most_coordinates=130), potential=potentials)
    def check(case: Case, potential: Potential) -> None:
        assume(is_clear_of_the_radii(case, potential))
        assert_field_is_that_of_the_formula(case, potential, tolerance)

    check()
    regime.assert_entered()


@each_precision
def test_field_is_that_of_the_formula_with_the_usual_thresholds(
    dtype: torch.dtype, tolerance: float
) -> None:
    @settings(searched, max_examples=100)
    @given(case=cases(dtype, most_points=200, most_coordinates=130), potential=potentials)
    def check(case: Case, potential: Potential) -> None:
        assume(is_clear_of_the_radii(case, potential))
        assert_field_is_that_of_the_formula(case, potential, tolerance)

    check()


@pytest.mark.parametrize("potential", [STEEP, Logarithmic(0.2, 1.9)], ids=repr)
@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
@each_precision
@pytest.mark.usefixtures("regime")
def test_field_of_an_odd_arrangement(
    dtype: torch.dtype, tolerance: float, arrangement: str, potential: Potential
) -> None:
    case = arranged(arrangement, dtype)
    assert is_clear_of_the_radii(case, potential)
    assert_field_is_that_of_the_formula(case, potential, tolerance)


@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize(
    "potential",
    [PowerLaw(0.125, 0.25, 8.0), PowerLaw(0.3125, 0.3125, 2.0), Logarithmic(0.25, 0.125)],
    ids=repr,
)
@each_precision
@pytest.mark.usefixtures("regime")
def test_pairs_at_the_radius_follow_the_potential(
    dtype: torch.dtype, tolerance: float, potential: Potential, width: int
) -> None:
    case = grid(width, dtype)
    at_the_radius = squared_distances(case.points, case.points) == potential.repulsion_radius**2
    assert at_the_radius.any()
    assert_field_is_that_of_the_formula(case, potential, tolerance)


@pytest.mark.usefixtures("regime")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_coincident_points_of_different_classes_do_not_push_each_other(dtype: torch.dtype) -> None:
    places = arranged("on the sphere", dtype, count=60).points
    case = Case(places.repeat(2, 1), torch.arange(120), 120, torch.ones(120, dtype=dtype))
    apart = squared_distances(places, places).fill_diagonal_(4).sqrt().min().item()
    energies, gradient = field_of(case, PowerLaw(0.2, 0.9 * apart, 8.0))
    assert gradient.abs().max() == 0
    torch.testing.assert_close(energies, energies[:1].expand(120))


@pytest.mark.parametrize("arrangement", ["on the sphere", "within 1e-3", "within 1e-6"])
@pytest.mark.usefixtures("regime")
def test_reduced_precision_of_products_costs_no_accuracy(arrangement: str) -> None:
    with reduced_precision():
        assert_field_is_that_of_the_formula(arranged(arrangement, torch.float32), STEEP, 1e-4)


@pytest.mark.usefixtures("regime")
def test_autocast_changes_nothing() -> None:
    case = arranged("on the sphere", torch.float32)
    outside = field_of(case, PowerLaw(1.0, 1.0, 4.0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = field_of(case, PowerLaw(1.0, 1.0, 4.0))
    assert inside[0].equal(outside[0])
    assert inside[1].equal(outside[1])


@pytest.mark.skipif(
    not hasattr(torch.backends.cuda.matmul, "fp32_precision"), reason="this PyTorch has no such setting"
)
def test_precision_set_for_one_backend_is_no_error(request: pytest.FixtureRequest) -> None:
    case = arranged("on the sphere", torch.float32)
    expected = field_of(case, POTENTIALS[0])
    request.addfinalizer(partial(torch.set_float32_matmul_precision, "highest"))
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    energies, gradient = field_of(case, POTENTIALS[0])
    torch.testing.assert_close(energies, expected[0])
    torch.testing.assert_close(gradient, expected[1])


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-10)])
@pytest.mark.parametrize("targets", [1, 17, 30])
@each_potential
def test_energies_are_sums_over_all_sources(
    potential: Potential, targets: int, dtype: torch.dtype, tolerance: float
) -> None:
    points, labels = points_on_the_sphere(dtype=dtype)
    expected = energies_by_loops(points, labels, potential)[:targets]
    energies = point_energies(points, labels, potential, targets)
    assert energies.dtype == dtype
    assert energies.tolist() == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("targets", [4, None])
@each_potential
def test_gradient_is_that_of_the_energies(potential: Potential, targets: int | None) -> None:
    points, labels = points_on_the_sphere()
    points = points[8:].requires_grad_()
    assert torch.autograd.gradcheck(
        lambda points: point_energies(points, labels[8:], potential, targets),
        (points,),
        rtol=1e-4,
    )


@pytest.mark.parametrize("potential", [POTENTIALS[0], POTENTIALS[-1]], ids=repr)
def test_gradient_is_that_of_the_energies_on_every_way(regime: Regime, potential: Potential) -> None:
    points, labels = points_on_the_sphere()
    assert torch.autograd.gradcheck(
        lambda points: point_energies(points, labels[16:], potential),
        (points[16:].requires_grad_(),),
        rtol=1e-4,
    )
    regime.assert_entered()


@pytest.mark.parametrize("targets", [11, None])
@each_potential
def test_searching_again_gives_what_was_kept(
    monkeypatch: pytest.MonkeyPatch, potential: Potential, targets: int | None
) -> None:
    kept = energies_and_gradient(potential, targets)
    monkeypatch.setattr(energy, "_KEPT_SLOPES", 0)
    searched = energies_and_gradient(potential, targets)
    assert kept[0].equal(searched[0])
    assert kept[1].equal(searched[1])


@pytest.mark.parametrize("coordinates", [1, 9, 100])
@pytest.mark.parametrize("tile_rows", [1, 7, 64])
@each_potential
def test_tiles_and_chunks_change_nothing(
    monkeypatch: pytest.MonkeyPatch, potential: Potential, tile_rows: int, coordinates: int
) -> None:
    whole = energies_and_gradient(potential)
    monkeypatch.setattr(neighbors, "TILE_ROWS", tile_rows)
    monkeypatch.setitem(forces._COORDINATES_PER_CHUNK, "cpu", coordinates)
    in_pieces = energies_and_gradient(potential)
    torch.testing.assert_close(in_pieces[0], whole[0])
    torch.testing.assert_close(in_pieces[1], whole[1])


@pytest.mark.usefixtures("regime")
@each_potential
def test_forces_balance(potential: Potential) -> None:
    points, labels = points_on_the_sphere()
    points.requires_grad_()
    point_energies(points, labels, potential).sum().backward()
    assert points.grad is not None
    assert points.grad.sum(dim=0).abs().max() < 1e-9 * points.grad.abs().max()


@each_potential
def test_the_same_points_give_the_same_bits(potential: Potential) -> None:
    once, again = energies_and_gradient(potential), energies_and_gradient(potential)
    assert once[0].equal(again[0])
    assert once[1].equal(again[1])


@pytest.mark.usefixtures("regime")
@pytest.mark.parametrize("arrangement", ["on the sphere", "within 1e-3"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_way_through_gives_the_same_bits_again(dtype: torch.dtype, arrangement: str) -> None:
    case = arranged(arrangement, dtype)
    once, again = (field_of(case, Logarithmic(0.2, 1.0)) for _ in range(2))
    assert once[0].equal(again[0])
    assert once[1].equal(again[1])


@each_potential
def test_a_point_alone_has_the_energy_of_itself(potential: Potential) -> None:
    energies, gradient = energies_and_gradient(potential, count=8)
    points, labels = points_on_the_sphere()
    alone = point_energies(points[:1], labels[:1], potential)
    assert alone.item() == pytest.approx(potential.attraction_plateau)
    assert energies.isfinite().all()
    assert gradient.isfinite().all()


def test_a_graph_kept_alive_gives_the_same_gradient_twice() -> None:
    points, labels = points_on_the_sphere()
    points.requires_grad_()
    total = point_energies(points, labels, POTENTIALS[0]).sum()
    (once,) = torch.autograd.grad(total, points, retain_graph=True)
    (again,) = torch.autograd.grad(total, points)
    assert once.equal(again)


def test_a_second_derivative_is_refused() -> None:
    points, labels = points_on_the_sphere()
    points.requires_grad_()
    total = point_energies(points, labels, POTENTIALS[0]).square().sum()
    (gradient,) = torch.autograd.grad(total, points, create_graph=True)
    with pytest.raises(RuntimeError, match="once, not twice"):
        gradient.sum().backward()


def test_a_gradient_penalty_is_refused_and_not_left_out() -> None:
    points, labels = points_on_the_sphere()
    points.requires_grad_()
    total = point_energies(points, labels, POTENTIALS[0]).sum()
    (gradient,) = torch.autograd.grad(total, points, create_graph=True)
    with pytest.raises(RuntimeError, match="once, not twice"):
        torch.autograd.grad(total + gradient.square().sum(), points)


def test_a_second_derivative_is_refused_behind_the_sphere() -> None:
    points, labels = points_on_the_sphere()
    vectors = (3 * points).requires_grad_()
    energies = point_energies(unit_points([vectors], points.dtype), labels, POTENTIALS[0])
    (gradient,) = torch.autograd.grad(energies.sum(), vectors, create_graph=True)
    with pytest.raises(RuntimeError, match="once, not twice"):
        gradient.square().sum().backward()


@pytest.mark.parametrize("loss_class", [PotentialFieldLoss, CPMLLoss])
def test_a_second_derivative_of_a_loss_is_refused(loss_class: Any) -> None:
    points, labels = points_on_the_sphere()
    loss = loss_class(num_classes=5, embedding_size=3, proxies_per_class=2).double()
    inputs = points.requires_grad_(), loss.proxies
    expected = torch.autograd.grad(loss(points, labels), inputs)
    gradients = torch.autograd.grad(loss(points, labels), inputs, create_graph=True)
    assert all(a.equal(b) for a, b in zip(gradients, expected, strict=True))
    with pytest.raises(RuntimeError, match="once, not twice"):
        torch.stack([gradient.square().sum() for gradient in gradients]).sum().backward()


MEMORY_OF_A_COLLAPSE = """
import resource, sys, torch
from pml_potential.fields.energy import point_energies
from pml_potential.fields.neighbor_list import NeighborList
from pml_potential.fields.potentials import PowerLaw

def step(count):
    noise = torch.randn(count, 16, dtype=getattr(torch, sys.argv[1]))
    points = torch.nn.functional.normalize(1 + 1e-3 * noise).requires_grad_()
    labels, law = torch.arange(count) % int(sys.argv[2]), PowerLaw(0.2, 0.2, 4.0)
    point_energies(points, labels, law, neighbor_list=NeighborList(count)).sum().backward()

step(50)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
step(3000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux only")
@pytest.mark.parametrize(("dtype", "classes"), [("float32", 2), ("float64", 1000)])
def test_a_collapse_fits_in_memory(dtype: str, classes: int) -> None:
    command = [sys.executable, "-c", MEMORY_OF_A_COLLAPSE, dtype, str(classes)]
    growth_in_kib = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert growth_in_kib < 300 * 2**10
