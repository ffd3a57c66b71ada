import subprocess
import sys
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from torch import Tensor
from torch.nn.functional import normalize

from pml_potential.fields.energy import point_energies
from pml_potential.fields.formula import energies_by_formula
from pml_potential.fields.neighbor_list import NeighborList
from pml_potential.fields.plan import Plan
from pml_potential.fields.potentials import Contrastive, Logarithmic, Potential, PowerLaw
from tests.fields.field_cases import (
    POTENTIALS,
    PRECISIONS,
    Case,
    arranged,
    assert_field_is_that_of_the_formula,
    assert_same_bits,
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

# The plans that are shipped: for CPUs that multiply tiles of bfloat16, and for all others.
SHIPPED = [True, False]
BATCH = 120


@each_precision
@pytest.mark.parametrize("has_tiles", SHIPPED)
def test_field_is_that_of_the_formula_with_the_shipped_plan(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, tolerance: float, has_tiles: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: has_tiles)

    @settings(searched, max_examples=50)
    @given(case=cases(dtype, most_points=100, most_coordinates=20), potential=potentials)
    def check(case: Case, potential: Potential) -> None:
        assume(is_clear_of_the_radii(case, potential))
        assert_field_is_that_of_the_formula(case, potential, tolerance)

    check()


class Training:
    """A batch and proxies, five a class, as a training moves them.

    Classes that are "clustered" share ten places, near which their points are at all distances. Of the
    "partly collapsed" ones a third of the proxies are at one place, too.
    """

    def __init__(self, count: int, arrangement: str) -> None:
        self.generator = torch.Generator().manual_seed(7)
        self.classes = (count - BATCH) // 5
        self.proxy_labels = torch.arange(5 * self.classes) // 5
        places = normalize(self._noise(10))[self.proxy_labels % 10]
        spread = (
            10.0
            if arrangement == "random"
            else 0.1 * torch.rand(len(places), 1, generator=self.generator)
        )
        self.proxies = normalize(places + spread * self._noise(len(places)))
        if arrangement == "partly collapsed":
            self.proxies[::3] = normalize(places[0] + 1e-3 * self._noise(len(places[::3])))

    def step(self) -> Case:
        labels = torch.randint(self.classes, (BATCH,), generator=self.generator)
        self.proxies = normalize(self.proxies + 1e-4 * self._noise(len(self.proxies)))
        batch = normalize(self.proxies[5 * labels] + 0.05 * self._noise(BATCH))
        points = torch.cat([batch, self.proxies])
        return Case(points, torch.cat([labels, self.proxy_labels]), len(points), torch.ones(len(points)))

    @property
    def known(self) -> int:
        return len(self.proxies)

    def _noise(self, count: int) -> Tensor:
        return torch.randn(count, 128, generator=self.generator)


def power_law(delta: float, alpha: float, core_is_wide: bool) -> Potential:
    core_radius = delta if core_is_wide else 0.01
    if alpha == 0:
        return Logarithmic(delta, delta, core_radius)
    return PowerLaw(delta, delta, alpha, core_radius)


def errors(found: tuple[Tensor, Tensor], case: Case, potential: Potential) -> tuple[float, float]:
    """Relative to the norms of energies and gradient by the formula in float64."""
    points = case.points.double().requires_grad_()
    energies = energies_by_formula(points, case.labels, potential)[: case.targets]
    (gradient,) = torch.autograd.grad(energies, points, case.upstream.double())
    return tuple(
        ((own.double() - other).norm() / other.norm().clamp_min(1e-300)).item()
        for own, other in zip(found, (energies.detach(), gradient), strict=True)
    )


REAL = [
    (600, *settings)
    for settings in pairwise(
        ["random", "clustered", "partly collapsed"],
        [0.05, 0.2, 0.5, 1.0],
        [0.0, 4.0, 8.0],
        [True, False],
        SHIPPED,
    )
] + [
    (2000, "random", 0.5, 4.0, False, True),
    (2000, "clustered", 1.0, 0.0, False, False),
    (2000, "partly collapsed", 0.05, 8.0, False, True),
    (2000, "partly collapsed", 0.2, 4.0, True, False),
]


@pytest.mark.parametrize(("count", "arrangement", "delta", "alpha", "core_is_wide", "has_tiles"), REAL)
def test_the_shipped_plan_is_exact_and_its_list_lasts_for_several_steps(
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    arrangement: str,
    delta: float,
    alpha: float,
    core_is_wide: bool,
    has_tiles: bool,
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: has_tiles)
    training, potential = Training(count, arrangement), power_law(delta, alpha, core_is_wide)
    neighbors, lists = NeighborList(), list[Any]()
    for _ in range(4):
        case = training.step()
        found = field_of(case, potential, neighbor_list=neighbors, known=training.known)
        lists.append(neighbors._watched)
    is_made = lists[1] is not None and lists[1].pairs is not None
    assert is_made or arrangement != "random" or delta == 1
    assert lists[3] is lists[1] or not is_made
    assert max(errors(found, case, potential)) < 2e-6


@pytest.mark.parametrize("delta", [0.2, 1.0])
@pytest.mark.parametrize("arrangement", ["random", "clustered", "partly collapsed"])
def test_the_shipped_plan_is_exact_in_float64(arrangement: str, delta: float) -> None:
    case, potential = Training(600, arrangement).step(), power_law(delta, 4, core_is_wide=False)
    case = Case(case.points.double(), case.labels, 500, torch.linspace(-1, 2, 500).double())
    assert max(errors(field_of(case, potential), case, potential)) < 1e-12


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


def on_the_sphere(targets: int | None = None, count: int = 30) -> Case:
    points, labels = points_on_the_sphere(count)
    targets = count if targets is None else targets
    return Case(points, labels, targets, torch.linspace(-1, 2, targets, dtype=points.dtype))


@pytest.mark.parametrize(
    ("potential", "targets", "precision"), pairwise(POTENTIALS, [1, 17, 30], PRECISIONS), ids=str
)
def test_energies_of_leading_points_are_wanted_alone(
    potential: Potential, targets: int, precision: tuple[torch.dtype, float]
) -> None:
    dtype, tolerance = precision
    points, labels = points_on_the_sphere(dtype=dtype)
    expected = energies_by_formula(points.double(), labels, potential)[:targets]
    energies = point_energies(points, labels, potential, targets)
    assert energies.dtype == dtype
    assert energies.tolist() == pytest.approx(expected.tolist(), rel=tolerance)


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
def test_searching_again_gives_what_was_kept(potential: Potential, targets: int | None) -> None:
    case = on_the_sphere(targets)
    found_again = field_of(case, potential, replace(Plan.of(case.points), most_kept=0))
    assert_same_bits(found_again, field_of(case, potential))


@pytest.mark.parametrize(
    ("potential", "tile_side", "numbers"), pairwise(POTENTIALS, [1, 7, 64], [1, 9, 100]), ids=str
)
def test_tiles_and_chunks_change_nothing(potential: Potential, tile_side: int, numbers: int) -> None:
    whole = field_of(on_the_sphere(), potential)
    plan = Plan(tile_side=tile_side, numbers_per_chunk=numbers)
    in_pieces = field_of(on_the_sphere(), potential, plan)
    torch.testing.assert_close(in_pieces[0], whole[0])
    torch.testing.assert_close(in_pieces[1], whole[1])


@each_potential
def test_a_point_alone_has_the_energy_of_itself(potential: Potential) -> None:
    points, labels = points_on_the_sphere()
    alone = point_energies(points[:1], labels[:1], potential)
    assert alone.item() == pytest.approx(potential.attraction_plateau)


@pytest.mark.parametrize("in_bfloat16", [True, False])
@pytest.mark.parametrize("potential", [PowerLaw(0.3, 0.4, 4.0), Contrastive(0.3, 0.9)], ids=str)
@pytest.mark.parametrize("arrangement", ["on the sphere", "within 1e-3 of opposite points"])
def test_the_same_points_give_the_same_bits_whatever_the_list_has_seen(
    arrangement: str, potential: Potential, in_bfloat16: bool
) -> None:
    plan = Plan(
        few_points=0,
        tile_side=32,
        filter_step=4,
        crowded_share=1,
        cost_of_pair=64,
        searches_in_bfloat16=in_bfloat16,
    )
    whole = arranged(arrangement, torch.float32)
    # Some points near each other in each arrangement.
    points = normalize(whole.points * torch.tensor([1.0] * 3 + [0.1] * 13))
    case, known = Case(points, whole.labels, 90, whole.upstream[:90]), slice(20, 90)
    expected = field_of(case, potential, plan)
    for distance in [0.0, 0.01, 0.05, 1.0]:
        for moved in [known, slice(20, 23)]:
            before, neighbors = points.clone(), NeighborList()
            before[moved] = normalize(before[moved] + distance * before[moved].roll(1, 0))
            earlier = Case(before, case.labels, 90, case.upstream)
            for _ in range(2):
                field_of(earlier, potential, plan, neighbors, 70)
            assert neighbors._watched is not None
            assert neighbors._watched.pairs is not None
            assert_same_bits(field_of(case, potential, plan, neighbors, 70), expected)


@pytest.mark.parametrize("scale", [1.0, 2.0**16, 2.0**24])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_scaled_gradient_stays_finite_in_a_collapse(scale: float, dtype: torch.dtype) -> None:
    case = arranged("on one point", dtype)
    case = Case(case.points, case.labels, 100, scale * torch.ones(100, dtype=dtype))
    energies, gradient = field_of(case, PowerLaw(0.2, 0.2, 8.0))
    assert energies.isfinite().all()
    assert gradient.abs().max() == 0


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
    point_energies(points, labels, law, count, count, NeighborList()).sum().backward()

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


def test_points_on_a_device_without_float64_are_refused_in_words() -> None:
    class OnMps:
        device = torch.device("mps")

    with pytest.raises(ValueError, match=r"embeddings are on mps, which has no float64"):
        point_energies(OnMps(), torch.tensor([0]), POTENTIALS[0])  # type: ignore[arg-type]
