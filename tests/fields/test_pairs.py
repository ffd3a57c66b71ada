from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from pml_potential.fields.pairs import Block, Pairs, add_rows
from tests.fields.field_cases import (
    ARRANGEMENTS,
    Case,
    all_pairs,
    each_dtype,
    reduced_precision,
    squared_distances,
)
from tests.pairwise import pairwise

COUNT = 40
TOLERANCES = [(torch.float32, 2e-6), (torch.float64, 1e-14)]


def arranged(arrangement: str, dtype: torch.dtype) -> Case:
    """Points each of a class of its own."""
    generator = torch.Generator().manual_seed(9)
    noise = torch.randn(COUNT, 6, dtype=torch.float64, generator=generator)
    points = ARRANGEMENTS[arrangement](noise, generator).to(dtype)
    return Case(points, torch.arange(COUNT), COUNT, torch.ones(COUNT))


def as_pairs(chunk: int) -> list[Pairs | Block]:
    first, second = torch.tensor(sorted(all_pairs(COUNT, COUNT))).T
    return [Pairs(first, second, chunk)]


def as_one_block(chunk: int) -> list[Pairs | Block]:
    rows = torch.arange(COUNT)[None]
    return [Block(rows, rows, rows[:, :, None] < rows[:, None, :], chunk)]


def as_one_block_of_two_sides(chunk: int) -> list[Pairs | Block]:
    rows, columns = torch.arange(COUNT)[None], torch.arange(COUNT)[None]
    return [Block(rows, columns, rows[:, :, None] < columns[:, None, :], chunk)]


def as_blocks_of_groups(chunk: int) -> list[Pairs | Block]:
    """Four groups of ten: each with itself, and two times two with each other."""
    groups, position = torch.arange(COUNT).view(4, 10), torch.arange(10)
    own = Block(groups, groups, (position[:, None] < position).expand(4, 10, 10), chunk)
    first, second = groups[[0, 0, 0, 1, 1, 2]], groups[[1, 2, 3, 2, 3, 3]]
    return [own, Block(first, second, torch.ones(6, 10, 10, dtype=torch.bool), chunk)]


def as_blocks_that_repeat_a_point(chunk: int) -> list[Pairs | Block]:
    """Smaller groups share a block with larger ones and repeat a point in pairs that do not count."""
    rows = torch.arange(COUNT).clamp_max(COUNT - 2)[None]
    wanted = torch.arange(COUNT)[:, None] < torch.arange(COUNT)
    wanted = wanted & (torch.arange(COUNT) < COUNT - 1)
    others = torch.arange(COUNT - 1)[None]
    last = torch.tensor([[COUNT - 1]])
    of_last = Block(last, others, torch.ones(1, 1, COUNT - 1, dtype=torch.bool), chunk)
    return [Block(rows, rows, wanted[None], chunk), of_last]


FORMS = [
    as_pairs,
    as_one_block,
    as_one_block_of_two_sides,
    as_blocks_of_groups,
    as_blocks_that_repeat_a_point,
]
Form = Callable[[int], list[Pairs | Block]]
CHUNKS = [1, 59, 2**20]
each_form = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)


Part = tuple[Pairs | Block, Tensor, Tensor]
"""Pairs, their squared distances, and which of them count."""


def parts(found: list[Pairs | Block], points: Tensor) -> Iterator[Part]:
    """The pairs, those of blocks one by one where they are too close for the block."""
    for pairs in found:
        if isinstance(pairs, Block):
            squared, are_close = pairs.squared_distances(points)
            yield pairs, squared, pairs.wanted & ~are_close
            pairs = pairs.where(are_close)
        squared = pairs.squared_distances(points)
        yield pairs, squared, torch.ones_like(squared, dtype=torch.bool)


def name_of(value: object) -> str:
    return getattr(value, "__name__", str(value))


def matrix_of_distances(found: list[Pairs | Block], points: Tensor) -> Tensor:
    """Squared distances, (n, n), the smaller index first."""
    matrix = torch.zeros(COUNT, COUNT, dtype=torch.float64)
    for pairs, squared, counted in parts(found, points):
        listed = pairs.where(counted)
        low, high = (
            torch.minimum(listed.first, listed.second),
            torch.maximum(listed.first, listed.second),
        )
        matrix.index_put_((low, high), squared[counted].double(), accumulate=True)
    return matrix


@pytest.mark.parametrize(
    ("form", "arrangement", "precision", "chunk"),
    pairwise(FORMS, ARRANGEMENTS, TOLERANCES, CHUNKS),
    ids=name_of,
)
def test_distances_are_right_to_the_last_digits(
    form: Form, arrangement: str, precision: tuple[torch.dtype, float], chunk: int
) -> None:
    dtype, tolerance = precision
    points = arranged(arrangement, dtype).points
    found = matrix_of_distances(form(chunk), points)
    expected = squared_distances(points, points).triu(diagonal=1)
    assert ((found - expected).abs() <= 16 * tolerance * expected).all()


@pytest.mark.parametrize(
    ("form", "arrangement", "precision", "chunk"),
    pairwise(FORMS, ARRANGEMENTS, TOLERANCES, CHUNKS),
    ids=name_of,
)
def test_forces_are_right_to_the_last_digits_however_near_the_points_are(
    form: Form, arrangement: str, precision: tuple[torch.dtype, float], chunk: int
) -> None:
    dtype, tolerance = precision
    points = arranged(arrangement, dtype).points
    gradient = torch.zeros_like(points)
    for pairs, squared, counted in parts(form(chunk), points):
        # As steep as in the core of a repulsion: all forces are of the same length.
        weights = squared.clamp_min(1e-20).rsqrt().where(counted & (squared > 0), 0)
        pairs.add_forces(gradient, points, weights)
    apart = points.double()[:, None] - points.double()
    distances = apart.norm(dim=2, keepdim=True)
    terms = (apart / distances.clamp_min(1e-10)).where(distances > 0, 0)
    expected, lengths = terms.sum(dim=1), terms.norm(dim=2).sum(dim=1)
    assert (gradient.double() - expected).norm() <= tolerance * lengths.norm()


@each_form
@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_reduced_precision_of_products_blunts_nothing(form: Form, arrangement: str) -> None:
    points = arranged(arrangement, torch.float32).points
    gradient = torch.zeros_like(points)
    with reduced_precision():
        found = matrix_of_distances(form(2**20), points)
        for pairs, _, counted in parts(form(2**20), points):
            weights = pairs.sums_of_ends(torch.ones(COUNT)).where(counted, 0)
            pairs.add_forces(gradient, points, weights)
    expected = squared_distances(points, points).triu(diagonal=1)
    assert ((found - expected).abs() <= 1e-5 * expected).all()
    forces = 2 * (points.double()[:, None] - points.double()).sum(dim=1)
    assert (gradient.double() - forces).norm() <= 1e-5 * max(forces.norm(), 1)


@each_form
def test_values_of_pairs_are_added_to_both_ends(form: Form) -> None:
    totals, points = torch.zeros(COUNT, dtype=torch.float64), arranged("on a line", torch.float64).points
    for pairs, squared, counted in parts(form(2**20), points):
        pairs.add_to_ends(totals, squared.where(counted, 0))
    torch.testing.assert_close(totals, squared_distances(points, points).sum(dim=1))


@each_form
def test_values_of_both_ends_are_summed(form: Form) -> None:
    values, total = torch.linspace(-1, 2, COUNT, dtype=torch.float64), 0.0
    points = arranged("on the sphere", torch.float64).points
    for pairs, _, counted in parts(form(2**20), points):
        total += pairs.sums_of_ends(values)[counted].sum().item()
    assert total == pytest.approx((COUNT - 1) * values.sum().item())


def test_squared_distances_on_a_grid_are_exact() -> None:
    grid = torch.cartesian_prod(*[torch.arange(-4.0, 5.0)] * 2)[:COUNT] / 16
    expected = squared_distances(grid, grid).triu(diagonal=1)
    for form in FORMS:
        assert matrix_of_distances(form(2**20), grid).equal(expected)


def test_chosen_pairs_of_a_block() -> None:
    rows, columns = torch.tensor([[7, 3], [5, 1]]), torch.tensor([[0, 2, 4], [6, 8, 9]])
    chosen = torch.zeros(2, 2, 3, dtype=torch.bool)
    chosen[0, 0, 2] = chosen[0, 1, 0] = chosen[1, 1, 1] = True
    pairs = Block(rows, columns, torch.ones_like(chosen), 5).where(chosen)
    assert (pairs.first.tolist(), pairs.second.tolist(), pairs.chunk) == ([7, 3, 1], [4, 0, 8], 5)


def test_chosen_pairs_of_a_list() -> None:
    pairs = Pairs(torch.tensor([0, 1, 2]), torch.tensor([3, 4, 5]), 5)
    chosen = pairs.where(torch.tensor([True, False, True]))
    assert (chosen.first.tolist(), chosen.second.tolist(), chosen.chunk) == ([0, 2], [3, 5], 5)


@each_dtype
def test_no_pairs_have_no_distances_and_exert_no_force(dtype: torch.dtype) -> None:
    nothing, points = torch.empty(0, dtype=torch.long), torch.ones(3, 2, dtype=dtype)
    pairs, gradient = Pairs(nothing, nothing, 1), torch.zeros(3, 2, dtype=dtype)
    distances = pairs.squared_distances(points)
    pairs.add_forces(gradient, points, distances)
    assert distances.shape == (0,)
    assert gradient.count_nonzero() == 0


def test_rows_with_one_index_add_up() -> None:
    totals = torch.zeros(3, 2)
    add_rows(totals, torch.tensor([2, 0, 2]), torch.tensor([[1.0, 2], [3, 4], [5, 6]]))
    assert totals.tolist() == [[3, 4], [0, 0], [6, 8]]
