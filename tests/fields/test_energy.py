import subprocess
import sys
from functools import partial

import pytest
import torch
from hypothesis import assume, given, settings
from torch import Tensor

from pml_potential.fields import energy, forces, neighbors
from pml_potential.fields.energy import point_energies
from pml_potential.fields.potentials import Potential
from tests.fields.field_cases import (
    POTENTIALS,
    Case,
    arranged,
    assert_field_is_that_of_the_formula,
    cases,
    each_potential,
    each_precision,
    field_of,
    is_clear_of_the_radii,
    points_on_the_sphere,
    potentials,
    searched,
)
from tests.pairwise import pairwise


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
    targets = count if targets is None else targets
    upstream = torch.linspace(-1, 2, targets, dtype=points.dtype)
    return field_of(Case(points, labels, targets, upstream), potential)


@each_precision
def test_field_is_that_of_the_formula_with_the_usual_thresholds(
    dtype: torch.dtype, tolerance: float
) -> None:
    @settings(searched, max_examples=100)
    @given(case=cases(dtype, most_points=100, most_coordinates=20), potential=potentials)
    def check(case: Case, potential: Potential) -> None:
        assume(is_clear_of_the_radii(case, potential))
        assert_field_is_that_of_the_formula(case, potential, tolerance)

    check()


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


@pytest.mark.parametrize(
    ("potential", "targets", "precision"),
    pairwise(POTENTIALS, [1, 17, 30], [(torch.float32, 1e-4), (torch.float64, 1e-10)]),
    ids=str,
)
def test_energies_are_sums_over_all_sources(
    potential: Potential, targets: int, precision: tuple[torch.dtype, float]
) -> None:
    dtype, tolerance = precision
    points, labels = points_on_the_sphere(dtype=dtype)
    expected = energies_by_loops(points, labels, potential)[:targets]
    energies = point_energies(points, labels, potential, targets)
    assert energies.dtype == dtype
    assert energies.tolist() == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("targets", [4, None])
@each_potential
def test_gradient_is_that_of_the_energies(potential: Potential, targets: int | None) -> None:
    points, labels = points_on_the_sphere()
    points = points[18:].requires_grad_()
    assert torch.autograd.gradcheck(
        lambda points: point_energies(points, labels[18:], potential, targets),
        (points,),
        rtol=1e-4,
    )


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


@pytest.mark.parametrize(
    ("potential", "tile_rows", "coordinates"), pairwise(POTENTIALS, [1, 7, 64], [1, 9, 100]), ids=str
)
def test_tiles_and_chunks_change_nothing(
    monkeypatch: pytest.MonkeyPatch, potential: Potential, tile_rows: int, coordinates: int
) -> None:
    whole = energies_and_gradient(potential)
    monkeypatch.setattr(neighbors, "TILE_ROWS", tile_rows)
    monkeypatch.setitem(forces._COORDINATES_PER_CHUNK, "cpu", coordinates)
    in_pieces = energies_and_gradient(potential)
    torch.testing.assert_close(in_pieces[0], whole[0])
    torch.testing.assert_close(in_pieces[1], whole[1])


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


MEMORY_OF_COLLAPSES = """
import os, resource, sys, torch
from pml_potential.fields.energy import point_energies
from pml_potential.fields.neighbor_list import NeighborList
from pml_potential.fields.potentials import PowerLaw

def step(count, dtype, classes):
    noise = torch.randn(count, 16, dtype=getattr(torch, dtype))
    points = torch.nn.functional.normalize(1 + 1e-3 * noise).requires_grad_()
    labels, law = torch.arange(count) % classes, PowerLaw(0.2, 0.2, 4.0)
    point_energies(points, labels, law, neighbor_list=NeighborList(count)).sum().backward()

def growth(*collapse):
    step(50, *collapse)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step(3000, *collapse)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

point_energies(torch.eye(2), torch.arange(2), PowerLaw(0.2, 0.2, 4.0))
for collapse in [("float32", 2), ("float64", 1000)]:
    # Each in a process of its own, whose peak no other one has raised, but imports have been made.
    if os.fork() == 0:
        print(*collapse, growth(*collapse), flush=True)
        os._exit(0)
    os.wait()
"""


@pytest.fixture(scope="module")
def growths_in_kib() -> dict[tuple[str, int], int]:
    """How much more memory a large collapse takes than a small one, by dtype and number of classes."""
    command = [sys.executable, "-c", MEMORY_OF_COLLAPSES]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = map(str.split, printed.splitlines())
    return {(dtype, int(classes)): int(growth) for dtype, classes, growth in lines}


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux only")
@pytest.mark.parametrize("collapse", [("float32", 2), ("float64", 1000)], ids=str)
def test_a_collapse_fits_in_memory(
    growths_in_kib: dict[tuple[str, int], int], collapse: tuple[str, int]
) -> None:
    assert growths_in_kib[collapse] < 300 * 2**10
