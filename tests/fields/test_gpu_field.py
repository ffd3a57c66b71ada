"""The field by kernels, on a GPU where there is one, and in Triton's interpreter anywhere.

Triton interprets only if TRITON_INTERPRET=1 was set before its first import: one test runs all the
others in a process where it was.
"""

import math
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from pml_potential import CPMLLoss, PotentialFieldLoss
from pml_potential.fields import gpu_field
from pml_potential.fields.formula import energies_by_formula
from pml_potential.fields.gpu_field import MOST_POINTS, PointSums, energies, gradient
from pml_potential.fields.potentials import Contrastive, Logarithmic, Potential, PowerLaw
from tests.fields.field_cases import (
    ARRANGEMENTS,
    POTENTIALS,
    PRECISIONS,
    Case,
    each_dtype,
    each_potential,
    field_by_formula,
    random_points,
    squared_distances,
)
from tests.pairwise import pairwise

pytest.importorskip("triton")

ROOT = Path(__file__).parents[2]
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"
WITH_CORE: list[Potential] = [
    PowerLaw(0.5, 0.8, 6.0, core_radius=0.3),
    Logarithmic(0.4, 0.7, core_radius=0.5),
]

MOST_LAUNCHES = 53
"""Of a step of a loss, forward and backward, PML's own work included."""

runs_kernels = pytest.mark.skipif(
    not INTERPRETED and not torch.cuda.is_available(), reason="needs a GPU or TRITON_INTERPRET=1"
)
once_without_interpreter = pytest.mark.skipif(INTERPRETED, reason="is about the process that interprets")


@pytest.fixture(autouse=True)
def few_tiles_make_many_squares(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' points are few; a program of the interpreter takes its time even to do nothing."""
    monkeypatch.setattr(gpu_field, "_GROUP", 2)


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
    options = ["-q", "-n0", "-p", "no:cacheprovider"]
    done = python("-m", "pytest", *options, __file__, TRITON_INTERPRET="1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d{2,} passed", done.stdout, re.M), done.stdout


@once_without_interpreter
def test_neither_importing_nor_asking_imports_triton() -> None:
    done = python(
        "-c",
        "import sys, torch, pml_potential\n"
        "from pml_potential.fields import gpu_field\n"
        "print(*[name for name in sys.modules if name.split('.')[0] == 'triton'])\n"
        "sys.modules['triton'] = None\n"
        "print(gpu_field.are_usable(torch.ones(1)))",
        TRITON_INTERPRET="1",
    )
    assert (done.stdout, done.stderr, done.returncode) == ("\nFalse\n", "", 0)


def test_points_on_a_cpu_are_for_the_interpreter_only() -> None:
    assert gpu_field.are_usable(torch.ones(2, 3)) == INTERPRETED


# Against the formula


def case_of(
    arrangement: str, count: int, width: int, dtype: torch.dtype, targets: int | None = None
) -> Case:
    """Points of classes that are neither consecutive nor in order."""
    generator = torch.Generator().manual_seed(count + width)
    noise = torch.randn(count, width, dtype=torch.float64, generator=generator)
    labels = 3 * torch.randint(1 + count // 6, (count,), generator=generator) + 2
    targets = count if targets is None else targets
    upstream = torch.randn(targets, generator=generator).to(dtype)
    return Case(ARRANGEMENTS[arrangement](noise, generator).to(dtype), labels, targets, upstream)


def field(
    case: Case, potential: Potential, width: int | None = None
) -> tuple[Tensor, Tensor, PointSums]:
    points, labels = case.points.to(DEVICE), case.labels.to(DEVICE)
    found, prepared, sums = energies(points, labels, potential, case.targets, width)
    slopes = gradient(prepared, potential, case.upstream.to(DEVICE))
    on_cpu = PointSums(*(getattr(sums, name).cpu() for name in PointSums.__annotations__))
    return found.cpu(), slopes.cpu(), on_cpu


def assert_is_that_of_the_formula(
    found: Tensor, slopes: Tensor, case: Case, potential: Potential, tolerance: float
) -> None:
    assert (found.dtype, found.shape) == (torch.float64, (case.targets,))
    assert (slopes.dtype, slopes.shape) == (case.points.dtype, case.points.shape)
    expected = field_by_formula(case, potential)
    rounding = 16 * torch.finfo(case.points.dtype).eps
    room = tolerance * expected.excess + rounding * (expected.magnitude + len(case.points))
    assert ((found - expected.energies).abs() <= room).all()
    error = (slopes.double() - expected.gradient).norm()
    assert error <= tolerance * expected.gradient.norm() + rounding * expected.forces.norm()


@runs_kernels
@pytest.mark.parametrize(
    ("count", "width", "potential", "precision"),
    [
        *pairwise([1, 2, 33, 127], [1, 3, 16, 123], POTENTIALS + WITH_CORE, PRECISIONS),
        (129, 16, POTENTIALS[0], PRECISIONS[0]),
        (252, 16, POTENTIALS[3], PRECISIONS[1]),
    ],
    ids=str,
)
def test_field_is_that_of_the_formula_for_awkward_shapes(
    count: int, width: int, potential: Potential, precision: tuple[torch.dtype, float]
) -> None:
    case = case_of("with duplicates" if count == 33 else "on the sphere", count, width, precision[0])
    found, slopes, _ = field(case, potential)
    assert_is_that_of_the_formula(found, slopes, case, potential, precision[1])


@runs_kernels
@pytest.mark.parametrize(
    ("arrangement", "potential", "precision"),
    pairwise(list(ARRANGEMENTS), [POTENTIALS[0], WITH_CORE[0], POTENTIALS[3]], PRECISIONS),
    ids=str,
)
def test_field_is_that_of_the_formula_for_any_arrangement(
    arrangement: str, potential: Potential, precision: tuple[torch.dtype, float]
) -> None:
    case = case_of(arrangement, 30, 4, precision[0])
    found, slopes, _ = field(case, potential)
    assert_is_that_of_the_formula(found, slopes, case, potential, precision[1])


@runs_kernels
@pytest.mark.parametrize("potential", [PowerLaw(0.5, 0.8, 2.0), Logarithmic(0.5, 0.8)], ids=repr)
def test_field_is_that_of_brute_force(potential: Potential) -> None:
    case = case_of("on the sphere", 50, 5, torch.float64)
    points = case.points.clone().requires_grad_()
    expected = energies_by_formula(points, case.labels, potential)
    (expected_gradient,) = torch.autograd.grad(expected, points, case.upstream)
    found, slopes, _ = field(case, potential)
    torch.testing.assert_close(found, expected.detach())
    torch.testing.assert_close(slopes, expected_gradient)


@runs_kernels
@each_dtype
@pytest.mark.parametrize("targets", [1, 40, 69])
def test_points_that_are_no_targets_are_sources(targets: int, dtype: torch.dtype) -> None:
    case, potential = case_of("on the sphere", 70, 3, dtype, targets), PowerLaw(0.5, 0.8, 2.0)
    found, slopes, sums = field(case, potential)
    assert_is_that_of_the_formula(found, slopes, case, potential, dict(PRECISIONS)[dtype])
    assert_sums_are_those_of_the_formula(sums, case, potential)


def assert_sums_are_those_of_the_formula(sums: PointSums, case: Case, potential: Potential) -> None:
    squared = squared_distances(case.points, case.points)
    same = case.labels[:, None] == case.labels
    is_target = torch.arange(len(case.points)) < case.targets
    wanted = (is_target[:, None] | is_target) & ~torch.eye(len(case.points), dtype=torch.bool)
    halves = [
        (sums.attraction, sums.attraction_count, potential.attraction, same, 0),
        (sums.repulsion, sums.repulsion_count, potential.repulsion, ~same, potential.repulsion_plateau),
    ]
    for total, count, law, pairs, plateau in halves:
        value, slope = law(squared)
        acts = pairs & wanted & (slope != 0)
        expected = ((value - plateau) * acts).sum(dim=1)
        torch.testing.assert_close(total, expected, rtol=1e-4, atol=1e-5)
        assert count.equal(acts.sum(dim=1).double())


@runs_kernels
@each_potential
def test_sums_are_those_over_the_pairs_that_act(potential: Potential) -> None:
    case = case_of("with duplicates", 70, 3, torch.float64)
    _, _, sums = field(case, potential)
    assert sums.attraction_count.sum() > 100
    assert sums.repulsion_count.sum() > 100
    assert_sums_are_those_of_the_formula(sums, case, potential)


@runs_kernels
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_upstream_may_be_of_another_dtype_or_one_number(dtype: torch.dtype) -> None:
    case, potential = case_of("on the sphere", 40, 3, torch.float32), Logarithmic(0.5, 0.8)
    one = torch.full((1,), 0.25, dtype=dtype).expand(40)
    _, slopes, _ = field(replace(case, upstream=one), potential)
    _, expected, _ = field(replace(case, upstream=torch.full((40,), 0.25)), potential)
    assert slopes.equal(expected)


@runs_kernels
def test_points_may_lie_in_memory_as_they_like() -> None:
    case, potential = case_of("on the sphere", 40, 6, torch.float32), Contrastive(0.5, 0.8)
    across = replace(case, points=case.points.T.contiguous().T)
    for value, expected in zip(field(across, potential)[:2], field(case, potential)[:2], strict=True):
        assert value.equal(expected)


@runs_kernels
def test_without_points_there_is_no_energy() -> None:
    none = Case(torch.empty(0, 3), torch.empty(0, dtype=torch.long), 0, torch.empty(0))
    found, slopes, sums = field(none, Contrastive(0.5, 0.5))
    assert (found.shape, slopes.shape, sums.attraction_count.shape) == ((0,), (0, 3), (0,))


@runs_kernels
@each_dtype
def test_the_same_input_gives_the_same_bits(dtype: torch.dtype) -> None:
    case, potential = case_of("with duplicates", 70, 5, dtype), PowerLaw(0.5, 0.8, 2.0)
    found, slopes, sums = field(case, potential)
    again, slopes_again, sums_again = field(case, potential)
    assert again.equal(found)
    assert slopes_again.equal(slopes)
    assert sums_again.repulsion.equal(sums.repulsion)


@runs_kernels
@pytest.mark.parametrize("programs", [1, 3, 16])
@pytest.mark.parametrize("partial_numbers", [1, 2**20])
def test_shares_of_the_columns_add_up(
    monkeypatch: pytest.MonkeyPatch, programs: int, partial_numbers: int
) -> None:
    monkeypatch.setattr(gpu_field, "_WANTED_PROGRAMS", programs)
    monkeypatch.setattr(gpu_field, "_MOST_PARTIAL_NUMBERS", partial_numbers)
    case, potential = case_of("on the sphere", 90, 3, torch.float64), PowerLaw(0.5, 0.8, 2.0)
    found, slopes, sums = field(case, potential)
    assert_is_that_of_the_formula(found, slopes, case, potential, 1e-9)
    assert_sums_are_those_of_the_formula(sums, case, potential)


# Which pairs may act


def marked(points: Tensor, labels: Tensor, potential: Potential, width: int | None = None) -> Tensor:
    """Pairs of points, sorted by class, whose part of a tile is marked, (n, n)."""
    classes = torch.searchsorted(labels, labels, out_int32=True)
    hits = gpu_field._hits(points.to(DEVICE), classes.to(DEVICE), potential, width)
    bits = (hits.cpu().int()[:, :, None, None] >> torch.arange(16).view(4, 4)) & 1
    parts = bits.permute(0, 2, 1, 3).flatten(2, 3).flatten(0, 1)
    assert parts.equal(parts.T)
    pairs = parts.repeat_interleave(32, 0).repeat_interleave(32, 1) == 1
    return pairs[: len(points), : len(points)]


def acting(points: Tensor, labels: Tensor, potential: Potential) -> Tensor:
    squared = squared_distances(points, points)
    same = labels[:, None] == labels
    attracts, repels = potential.attraction(squared)[1] != 0, potential.repulsion(squared)[1] != 0
    return torch.where(same, attracts, repels).fill_diagonal_(False)


def rounded_apart(away: float, gap: float) -> Tensor:
    """Two points whose distance float16 changes by 7/8 of the most that it can change a distance.

    Each coordinate is as far from a number of 11 bits as one can be, and on the side from which
    rounding takes it away from the other point, or towards it if ``away`` is -1.
    """
    step = 2**-11
    upper = torch.full((3,), math.floor(0.577 / step) - 1, dtype=torch.float64)
    lower = upper - round(gap / math.sqrt(3) / step)
    return torch.stack([upper + 0.501 * away, lower - 0.501 * away]) * step


@runs_kernels
@pytest.mark.parametrize("gap", [0.02, 0.1])
@each_dtype
def test_pairs_that_float16_moves_across_the_radius_are_marked(gap: float, dtype: torch.dtype) -> None:
    for away, labels in [(1.0, torch.tensor([0, 1])), (-1.0, torch.tensor([0, 0]))]:
        points = rounded_apart(away, gap).to(dtype)
        assert (points.norm(dim=1) <= 1).all()
        distance = (points[0].double() - points[1].double()).norm().item()
        rounded = (points[0].half().double() - points[1].half().double()).norm().item()
        assert away * (rounded - distance) > 0.8 * 2**-10
        radius = distance * (1 + away * 1e-4)
        potential = Contrastive(radius, radius)
        parts = points.repeat_interleave(32, 0), labels.repeat_interleave(32)
        assert acting(*parts, potential)[:32, 32:].all()
        assert marked(*parts, potential)[:32, 32:].all()


@runs_kernels
@pytest.mark.parametrize(
    ("arrangement", "width", "share"),
    pairwise(["on the sphere", "in the ball", "within 1e-3"], [None, 1, 5], [0.001, 0.01, 0.1]),
)
def test_every_pair_that_acts_is_marked(arrangement: str, width: int | None, share: float) -> None:
    case = case_of(arrangement, 700, 6, torch.float32)
    labels = case.labels.sort().values
    squared = squared_distances(case.points, case.points)
    radius = squared.flatten().quantile(share).sqrt().item()
    potential = Contrastive(2 - radius, radius)
    is_marked = marked(case.points, labels, potential, width)
    assert is_marked[acting(case.points, labels, potential)].all()


@runs_kernels
def test_parts_without_a_pair_that_may_act_are_not_marked() -> None:
    labels = torch.arange(320) // 16
    points = torch.eye(20)[labels]
    points[319] = points[0]
    parts = marked(points, labels, Contrastive(0.5, 0.5))[::32, ::32]
    # The last point repels the first class, and is repelled by it, and is attracted by its own.
    assert parts.nonzero().tolist() == [[0, 9], [9, 0], [9, 9]]


@runs_kernels
def test_a_class_that_is_apart_is_marked_across_tiles() -> None:
    points, labels = random_points(160, 16), torch.zeros(160, dtype=torch.long)
    assert marked(points, labels, Contrastive(0.1, 0.1)).all()


@runs_kernels
@pytest.mark.parametrize(("radius", "acts"), [(0.4995, True), (0.49, False), (0.4, False)])
def test_only_pairs_within_rounding_of_the_radius_are_marked(radius: float, acts: bool) -> None:
    # A part each: the last point's part, where it is not full, may be marked in vain.
    labels = torch.arange(64) // 32
    points = torch.tensor([[0.25, 0.0], [-0.25, 0.0]])[labels]
    for law, classes in [(Contrastive(0.1, radius), labels), (Contrastive(1 - radius, 0.1), 0 * labels)]:
        across = marked(points, classes, law)[:32, 32:]
        assert (across.all() if acts else ~across.any()).item()


@runs_kernels
@pytest.mark.parametrize("width", [1, 3, 99])
def test_field_does_not_depend_on_the_coordinates_that_rule_pairs_out(width: int) -> None:
    case, potential = case_of("on the sphere", 70, 5, torch.float32), PowerLaw(0.5, 0.3, 2.0)
    expected = field(case, potential)[:2]
    for value, other in zip(field(case, potential, width)[:2], expected, strict=True):
        torch.testing.assert_close(value, other)


@runs_kernels
def test_the_widest_coordinates_rule_pairs_out() -> None:
    points, labels = torch.zeros(64, 8), torch.arange(64) // 32
    points[:32, 5], points[32:, 5] = 0.5, -0.5
    assert not marked(points, labels, Contrastive(0.1, 0.5), width=1)[:32, 32:].any()


# What is launched


SYNCHRONISING = {
    "_local_scalar_dense",
    "_unique2",
    "bincount",
    "equal",
    "histc",
    "is_nonzero",
    "item",
    "masked_select",
    "nonzero",
    "repeat_interleave",
    "unique_consecutive",
    "unique_dim",
}
NO_LAUNCH = {
    "detach",
    "empty",
    "empty_like",
    "empty_strided",
    "new_empty",
    "new_empty_strided",
    "promote_types",
}


class Launches(TorchDispatchMode):
    """Counts what a GPU would run, and refuses what would wait for it or depend on its numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.names: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        masks = [
            index
            for indices in args[1:2]
            if name.startswith("index") and isinstance(indices, list | tuple)
            for index in indices
            if index is not None and index.dtype == torch.bool
        ]
        if name in SYNCHRONISING or masks:
            raise AssertionError(f"{name} waits for the device")
        if not func.is_view and name not in NO_LAUNCH:
            self.names[name] += 1
        return func(*args, **(kwargs or {}))


@contextmanager
def launches(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Count launches instead of running kernels: nothing may depend on what they compute."""
    with Launches() as counted, monkeypatch.context() as patch:

        def count(name: str, *_: Any, **__: Any) -> None:
            counted.names[name] += 1

        patch.setattr(gpu_field, "_launch", count)
        yield counted.names


def launches_of_a_field(
    monkeypatch: pytest.MonkeyPatch, points: Tensor, labels: Tensor, width: int | None
) -> tuple[Counter[str], Counter[str]]:
    potential = PowerLaw(0.5, 0.8, 2.0)
    # The first call copies the parameters of the potential.
    gpu_field._parameters(potential, points.device)
    upstream = torch.ones(len(points))
    with launches(monkeypatch) as forward:
        _, prepared, _ = energies(points, labels, potential, len(points), width)
    with launches(monkeypatch) as backward:
        gradient(prepared, potential, upstream)
    return forward, backward


@pytest.mark.parametrize(("width", "most"), [(None, 9), (4, 12)])
@pytest.mark.parametrize("count", [1, 300, 70_000])
def test_a_field_takes_few_launches_and_never_waits(
    monkeypatch: pytest.MonkeyPatch, count: int, width: int | None, most: int
) -> None:
    points = random_points(count, 8)
    forward, backward = launches_of_a_field(monkeypatch, points, torch.arange(count) % 7, width)
    assert forward.total() <= most, forward
    assert backward.total() <= 3, backward
    assert {"hit_kernel", "energy_kernel", "total_kernel"} <= forward.keys()
    assert "gradient_kernel" in backward
    # Partial gradients take memory.
    assert ("sum" in backward) == (count == 300)


def test_launches_do_not_depend_on_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    spread, same = random_points(200, 8), random_points(1, 8).expand(200, 8)
    expected = launches_of_a_field(monkeypatch, spread, torch.arange(200), None)
    assert launches_of_a_field(monkeypatch, same, torch.zeros(200, dtype=torch.long), None) == expected


def test_what_waits_is_refused() -> None:
    numbers = torch.arange(3.0)
    with Launches():
        for wait in [
            lambda: numbers[0].item(),
            lambda: numbers[numbers > 1],
            lambda: numbers.nonzero(),
            lambda: numbers.unique(),
            lambda: numbers.long().bincount(),
            lambda: bool(numbers[0] > 0),
        ]:
            with pytest.raises(AssertionError, match="waits for the device"):
                wait()


@once_without_interpreter
@pytest.mark.parametrize("loss_class", [PotentialFieldLoss, CPMLLoss])
def test_a_step_of_a_loss_waits_for_nothing(monkeypatch: pytest.MonkeyPatch, loss_class: Any) -> None:
    loss = loss_class(num_classes=20, embedding_size=16, proxies_per_class=3, check_finite=False)
    embeddings, labels = torch.randn(8, 16, requires_grad=True), torch.arange(8)
    monkeypatch.setattr(gpu_field, "are_usable", lambda _: True)
    gpu_field._parameters(loss.potential, embeddings.device)
    with launches(monkeypatch) as counted:
        loss(embeddings, labels).backward()
    assert counted["energy_kernel"] == counted["gradient_kernel"] == 1
    assert sum(counted.values()) <= MOST_LAUNCHES, counted


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_field_can_be_recorded_and_replayed() -> None:
    case, potential = case_of("on the sphere", 500, 16, torch.float32), PowerLaw(0.5, 0.8, 2.0)
    other = case_of("within 1e-3", 500, 16, torch.float32)
    points, labels, upstream = case.points.cuda(), case.labels.cuda(), case.upstream.cuda()
    warm = energies(points, labels, potential, 500)
    gradient(warm[1], potential, upstream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found, prepared, _ = energies(points, labels, potential, 500)
        slopes = gradient(prepared, potential, upstream)
    points.copy_(other.points)
    graph.replay()
    moved = replace(other, labels=case.labels, upstream=case.upstream)
    assert_is_that_of_the_formula(found.cpu(), slopes.cpu(), moved, potential, 1e-4)


# What is refused


def test_more_points_than_tiles_can_be_numbered_are_refused() -> None:
    points = torch.zeros(1, 1).expand(MOST_POINTS + 1, 1)
    with pytest.raises(ValueError, match=rf"{MOST_POINTS + 1} points.* {MOST_POINTS}"):
        energies(points, torch.zeros(1), Contrastive(0.5, 0.5), 1)


def test_the_tiles_of_the_most_points_are_numbered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    squares = MOST_POINTS // (gpu_field._TILE * gpu_field._GROUP)
    programs = [count * (count + 1) // 2 * gpu_field._GROUP**2 for count in (squares, squares + 1)]
    assert programs[0] < 2**31 <= programs[1]


def test_another_potential_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Flat(Potential):
        attraction_plateau = repulsion_plateau = 0.0

        def attraction(self, squared_distance: Tensor) -> tuple[Tensor, Tensor]:
            return squared_distance, squared_distance

        repulsion = attraction

    monkeypatch.setattr(gpu_field, "_launch", lambda *_, **__: None)
    with pytest.raises(TypeError, match=r"Flat.* must be a PowerLaw, Logarithmic or Contrastive"):
        energies(torch.zeros(2, 2), torch.zeros(2, dtype=torch.long), Flat(0.5, 0.5), 2)
