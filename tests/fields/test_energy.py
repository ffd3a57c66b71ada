import pytest
import torch
from torch import Tensor

from pml_potential.fields import energy, neighbors
from pml_potential.fields.energy import point_energies
from pml_potential.fields.potentials import Contrastive, Logarithmic, Potential, PowerLaw

POTENTIALS: list[Potential] = [
    PowerLaw(0.5, 0.8, 2.0),
    PowerLaw(0.8, 0.5, 1.0),
    Logarithmic(0.5, 0.8),
    Contrastive(0.5, 0.5),
]
each_potential = pytest.mark.parametrize("potential", POTENTIALS, ids=repr)


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


def energies_and_gradient(
    potential: Potential, targets: int | None = None, count: int = 30
) -> tuple[Tensor, Tensor]:
    points, labels = points_on_the_sphere(count)
    points.requires_grad_()
    energies = point_energies(points, labels, potential, targets)
    upstream = torch.linspace(-1, 2, len(energies), dtype=energies.dtype)
    (gradient,) = torch.autograd.grad(energies, points, upstream)
    return energies.detach(), gradient


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


@pytest.mark.parametrize("targets", [11, None])
@each_potential
def test_searching_again_gives_what_was_kept(
    monkeypatch: pytest.MonkeyPatch, potential: Potential, targets: int | None
) -> None:
    kept = energies_and_gradient(potential, targets)
    monkeypatch.setattr(energy, "_KEPT_PAIRS", 0)
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
    monkeypatch.setattr(energy, "_COORDINATES_PER_CHUNK", coordinates)
    in_pieces = energies_and_gradient(potential)
    torch.testing.assert_close(in_pieces[0], whole[0])
    torch.testing.assert_close(in_pieces[1], whole[1])


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
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
