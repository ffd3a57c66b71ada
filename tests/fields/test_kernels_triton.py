"""The kernels, on a GPU where there is one, and in Triton's interpreter anywhere.

Triton interprets only if TRITON_INTERPRET=1 was set before its first import: one test runs all the
others in a process where it was.
"""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from pml_potential.fields.brute_force import brute_force_energies
from torch import Tensor

from pml_potential.fields import energy, kernels_triton
from pml_potential.fields.energy import point_energies
from pml_potential.fields.kernels_triton import add_pair_gradient, near_pairs, squared_distances
from pml_potential.fields.neighbor_list import NeighborList
from pml_potential.fields.potentials import Contrastive, Logarithmic, Potential, PowerLaw
from tests.pairwise import pairwise

pytest.importorskip("triton")

ROOT = Path(__file__).parents[2]
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"
SLACK = 2 * (2**-8 + 2**-10)
"""How much farther apart, squared, a pair may be that the search returns nevertheless."""

runs_kernels = pytest.mark.skipif(
    not INTERPRETED and not torch.cuda.is_available(), reason="needs a GPU or TRITON_INTERPRET=1"
)
once_without_interpreter = pytest.mark.skipif(INTERPRETED, reason="is about the process that interprets")
DTYPES = [torch.float32, torch.float64]
on_widths_dtypes_and_counts = pytest.mark.parametrize(
    ("width", "dtype", "count"), pairwise([3, 16, 70], DTYPES, [0, 1, 333])
)


def python(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        # Options for the whole suite, such as more processes, are not for the one test here.
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTEST_ADDOPTS": ""} | variables,
        cwd=ROOT,
        timeout=600,
    )


@once_without_interpreter
def test_kernels_work_in_the_interpreter() -> None:
    options = ["-q", "-p", "no:cacheprovider", "-k", "not interpreter and not package"]
    done = python("-m", "pytest", *options, __file__, TRITON_INTERPRET="1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d+ passed, 2 deselected", done.stdout, re.M), done.stdout


@once_without_interpreter
def test_the_package_neither_imports_triton_nor_needs_it() -> None:
    done = python(
        "-c",
        "import sys, torch, pml_potential\n"
        "from pml_potential.fields import kernels_triton\n"
        "print(*[name for name in sys.modules if name.split('.')[0] == 'triton'])\n"
        "sys.modules['triton'] = None\n"
        "print(kernels_triton.are_usable(torch.ones(1)))",
        TRITON_INTERPRET="1",
    )
    assert (done.stdout, done.stderr, done.returncode) == ("\nFalse\n", "", 0)


def unit_vectors(count: int, width: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Points on the sphere, every seventh of which is where another one is."""
    generator = torch.Generator().manual_seed(count + width)
    points = torch.randn(count, width, dtype=torch.float64, generator=generator)
    points[::7] = points[torch.randint(count, (len(points[::7]),), generator=generator)]
    return torch.nn.functional.normalize(points).to(DEVICE, dtype)


def some_pairs(count: int, points: int) -> tuple[Tensor, Tensor]:
    """Pairs of points, some of them twice, some of a point with itself."""
    generator = torch.Generator().manual_seed(count)
    first, second = torch.randint(points, (2, count), generator=generator).to(DEVICE)
    return first, second


def all_coordinates(points: Tensor) -> Tensor:
    return torch.arange(points.shape[1], device=points.device)


def squared_by_brute_force(rows: Tensor, columns: Tensor) -> Tensor:
    return (rows.double()[:, None] - columns.double()[None, :]).square().sum(dim=2)


def gradient_by_index_add(
    points: Tensor, first: Tensor, second: Tensor, weight: Tensor, start: Tensor
) -> Tensor:
    force = weight[:, None] * (points[first] - points[second])
    return start.index_add(0, first, force).index_add(0, second, -force)


@runs_kernels
@pytest.mark.parametrize(
    ("width_and_radius", "dtype", "each_once"),
    pairwise([(3, 0.3), (16, 0.7), (70, 1.2)], DTYPES, [False, True]),
    ids=str,
)
def test_near_pairs_are_those_of_brute_force(
    width_and_radius: tuple[int, float], dtype: torch.dtype, each_once: bool
) -> None:
    width, radius = width_and_radius
    columns = unit_vectors(300, width, dtype)
    rows = columns[:150] if each_once else columns[100:250]
    found = near_pairs(radius, rows, columns, all_coordinates(columns), each_once)
    assert found is not None
    squared = squared_by_brute_force(rows, columns)
    wanted = torch.ones_like(squared, dtype=torch.bool)
    wanted = wanted.triu(diagonal=1) if each_once else wanted
    is_found = torch.zeros_like(wanted).index_put(found, torch.tensor(True, device=DEVICE))
    assert torch.stack(found).equal(is_found.nonzero().T)
    assert ((squared < radius**2) & wanted).sum() > 10
    assert is_found[(squared < radius**2) & wanted].all()
    assert not is_found[(squared > radius**2 + SLACK) | ~wanted].any()


@runs_kernels
def test_near_pairs_are_near_in_the_coordinates_alone() -> None:
    points = unit_vectors(140, 70)
    coordinates = torch.tensor([40, 3, 69, 11], device=DEVICE)
    found = near_pairs(0.1, points, points, coordinates, each_once=True)
    assert found is not None
    squared = squared_by_brute_force(points[:, coordinates], points[:, coordinates])
    is_found = torch.zeros_like(squared, dtype=torch.bool).index_put(
        found, torch.tensor(True, device=DEVICE)
    )
    assert is_found[(squared < 0.01).triu(diagonal=1)].all()
    assert not is_found[squared > 0.01 + SLACK].any()


@runs_kernels
@pytest.mark.parametrize("radius", [0.02, 0.2, 1.0, 2.0])
def test_pair_at_the_radius_is_near(radius: float) -> None:
    cosine = 1 - radius**2 / 2
    points = torch.tensor([[1.0, 0.0], [cosine, (1 - cosine**2) ** 0.5]], device=DEVICE)
    found = near_pairs(radius, points, points, all_coordinates(points), each_once=True)
    assert found is not None
    assert torch.stack(found).tolist() == [[0], [1]]


@runs_kernels
@pytest.mark.parametrize("each_once", [False, True])
@pytest.mark.parametrize(("rows", "columns"), [(10, 20), (0, 20), (0, 0)])
def test_no_pair_is_near(rows: int, columns: int, each_once: bool) -> None:
    corners = torch.eye(32, device=DEVICE)
    others = corners[32 - columns :]
    some = others[:rows] if each_once else corners[:rows]
    found = near_pairs(0.5, some, others, all_coordinates(corners), each_once)
    assert found is not None
    assert [(len(ends), ends.dtype) for ends in found] == [(0, torch.long)] * 2


@runs_kernels
@pytest.mark.parametrize(("count", "pairs"), [(15, 105), (300, 44850)])
def test_more_pairs_than_the_capacity_are_too_many(
    monkeypatch: pytest.MonkeyPatch, count: int, pairs: int
) -> None:
    points = unit_vectors(1, 16).expand(count, 16)
    monkeypatch.setattr(kernels_triton, "CAPACITY", pairs)
    found = near_pairs(0.1, points, points, all_coordinates(points), each_once=True)
    assert found is not None
    assert len(found[0]) == pairs
    for capacity in (pairs - 1, 1):
        monkeypatch.setattr(kernels_triton, "CAPACITY", capacity)
        assert near_pairs(0.1, points, points, all_coordinates(points), each_once=True) is None


@runs_kernels
@on_widths_dtypes_and_counts
def test_squared_distances_are_sums_of_squared_differences(
    width: int, dtype: torch.dtype, count: int
) -> None:
    points = unit_vectors(90, width, dtype)
    first, second = some_pairs(count, 90)
    squared = squared_distances(points, first, second)
    assert squared.dtype == dtype
    torch.testing.assert_close(squared, (points[first] - points[second]).square().sum(dim=1))


@runs_kernels
@on_widths_dtypes_and_counts
def test_gradient_of_pairs_is_added_at_both_ends(width: int, dtype: torch.dtype, count: int) -> None:
    points = unit_vectors(25, width, dtype)
    first, second = some_pairs(count, 25)
    weight = torch.linspace(-1, 2, count, dtype=dtype, device=DEVICE)
    gradient = torch.ones_like(points)
    expected = gradient_by_index_add(points, first, second, weight, gradient)
    add_pair_gradient(gradient, points, first, second, weight)
    tolerance = {torch.float32: 1e-4, torch.float64: 1e-12}[dtype]
    torch.testing.assert_close(gradient, expected, rtol=tolerance, atol=tolerance)


@runs_kernels
def test_tensors_may_lie_in_memory_as_they_like() -> None:
    points = unit_vectors(40, 16).T.contiguous().T
    first, second = torch.stack(some_pairs(99, 40), dim=1).T
    weight = torch.ones(198, dtype=points.dtype, device=DEVICE)[::2]
    gradient = torch.zeros_like(points)
    assert not any(tensor.is_contiguous() for tensor in (points, first, weight, gradient))
    expected = gradient_by_index_add(points, first, second, weight, gradient)
    add_pair_gradient(gradient, points, first, second, weight)
    torch.testing.assert_close(gradient, expected)
    squared = (points[first] - points[second]).square().sum(dim=1)
    torch.testing.assert_close(squared_distances(points, first, second), squared)


@runs_kernels
def test_the_same_input_gives_the_same_bits() -> None:
    points = unit_vectors(40, 16, torch.float32)
    first, second = some_pairs(2000, 40)
    weight = torch.linspace(-1, 2, 2000, device=DEVICE)
    gradients = [torch.zeros_like(points) for _ in range(3)]
    for gradient in gradients:
        add_pair_gradient(gradient, points, first, second, weight)
    squared = [squared_distances(points, first, second) for _ in range(3)]
    assert all(again.equal(gradients[0]) for again in gradients)
    assert all(again.equal(squared[0]) for again in squared)


def points_of_classes(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Points that crowd in the core of the repulsion, but do not coincide, and their labels."""
    apart = torch.linspace(0, 0.3, 60, dtype=torch.float64, device=DEVICE)[:, None]
    points = torch.nn.functional.normalize(unit_vectors(60, 16) + apart)
    return points.to(dtype), torch.arange(60, device=DEVICE) % 20


def energies_and_gradient(
    potential: Potential, points: Tensor, labels: Tensor, neighbor_list: NeighborList | None = None
) -> tuple[Tensor, Tensor]:
    points = points.clone().requires_grad_()
    targets = None if neighbor_list is None else neighbor_list.count
    energies = point_energies(points, labels, potential, targets, neighbor_list)
    upstream = torch.linspace(-1, 2, len(energies), dtype=points.dtype, device=DEVICE)
    (gradient,) = torch.autograd.grad(energies, points, upstream)
    return energies.detach(), gradient


@pytest.fixture(autouse=True)
def few_points_are_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' points are few; the kernels are for the search among many."""
    monkeypatch.setattr(energy, "_FEW_POINTS", 0)


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each kernel has been launched."""
    counts: Counter[str] = Counter()
    launch = kernels_triton._Kernel.launch

    def counted(
        kernel: kernels_triton._Kernel, grid: tuple[int, ...], *arguments: Any, **options: int
    ) -> None:
        counts[kernel.function.__name__] += 1
        launch(kernel, grid, *arguments, **options)

    monkeypatch.setattr(kernels_triton._Kernel, "launch", counted)
    return counts


KERNELS = {"_near_pairs_kernel", "_squared_distances_kernel", "_add_pair_gradient_kernel"}


@runs_kernels
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-9)])
@pytest.mark.parametrize(
    "potential", [PowerLaw(0.5, 0.6, 2.0), Logarithmic(0.8, 0.6), Contrastive(0.5, 0.6)], ids=repr
)
def test_energies_are_those_of_brute_force_and_of_the_engine_without_kernels(
    monkeypatch: pytest.MonkeyPatch,
    launches: Counter[str],
    potential: Potential,
    dtype: torch.dtype,
    tolerance: float,
) -> None:
    points, labels = points_of_classes(dtype)
    energies, gradient = energies_and_gradient(potential, points, labels)
    assert set(launches) == KERNELS
    exact = points.double().requires_grad_()
    expected = brute_force_energies(exact, labels, potential)
    upstream = torch.linspace(-1, 2, 60, dtype=torch.float64, device=DEVICE)
    (expected_gradient,) = torch.autograd.grad(expected, exact, upstream)
    launches.clear()
    monkeypatch.setattr(kernels_triton, "are_usable", lambda _: False)
    energies_without, gradient_without = energies_and_gradient(potential, points, labels)
    assert not launches
    largest, steepest = expected.abs().max().item(), expected_gradient.abs().max().item()
    for value in (energies, energies_without):
        torch.testing.assert_close(value.double(), expected.detach(), rtol=0, atol=tolerance * largest)
    for value in (gradient, gradient_without):
        torch.testing.assert_close(value.double(), expected_gradient, rtol=0, atol=tolerance * steepest)


@runs_kernels
def test_points_that_move_are_found_by_the_kernels_as_without(
    monkeypatch: pytest.MonkeyPatch, launches: Counter[str]
) -> None:
    potential, neighbor_list = PowerLaw(0.5, 0.6, 2.0), NeighborList(55)
    for coincident in (1, 3):
        points, labels = points_of_classes()
        points[:coincident] = points[20 : 20 + coincident]
        launches.clear()
        remembered = energies_and_gradient(potential, points, labels, neighbor_list)
        assert set(launches) == KERNELS
        with monkeypatch.context() as patch:
            patch.setattr(kernels_triton, "are_usable", lambda _: False)
            anew = energies_and_gradient(potential, points, labels, NeighborList(55))
        torch.testing.assert_close(remembered, anew)


@runs_kernels
def test_engine_does_without_the_kernel_where_pairs_are_too_many(
    monkeypatch: pytest.MonkeyPatch, launches: Counter[str]
) -> None:
    potential, (points, labels) = Contrastive(0.5, 0.6), points_of_classes()
    expected = energies_and_gradient(potential, points, labels)
    monkeypatch.setattr(kernels_triton, "CAPACITY", 1)
    launches.clear()
    found = energies_and_gradient(potential, points, labels)
    assert set(launches) == KERNELS
    assert found[0].equal(expected[0])
    assert found[1].equal(expected[1])
