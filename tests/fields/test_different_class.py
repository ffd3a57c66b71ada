import pytest
import torch
from hypothesis import given

from pml_potential.fields.different_class import crowded_pairs, listed_pairs
from pml_potential.fields.neighbor_list import NeighborList
from pml_potential.fields.pairs import Block, Pairs
from pml_potential.fields.plan import Plan
from tests.fields.field_cases import (
    Case,
    arranged,
    cases,
    each_dtype,
    pairs_where,
    radii,
    random_points,
    reduced_precision,
    searched,
    squared_distances,
    unordered,
)
from tests.fields.ways import small_plans
from tests.pairwise import pairwise

LISTED = Plan(crowded_share=1, most_listed=2**40)


def listed(radius: float, case: Case, plan: Plan = LISTED) -> Pairs | None:
    known = slice(0, case.targets)
    return listed_pairs(radius, case.points, case.labels, case.targets, known, NeighborList(), plan)


def crowded(radius: float, case: Case, plan: Plan) -> list[Pairs | Block]:
    return list(crowded_pairs(radius, case.points, case.labels, case.targets, plan))


def within(radius: float, case: Case) -> set[tuple[int, int]]:
    """Pairs of different classes closer than a radius."""
    differ = case.labels[:, None] != case.labels
    near = squared_distances(case.points, case.points) < radius**2
    return pairs_where(differ & near, case.targets)


def apart(count: int = 200) -> Case:
    return Case(random_points(count, 16), torch.arange(count), count, torch.ones(count))


@searched
@given(case=cases(), radius=radii, plan=small_plans)
def test_pairs_are_listed_in_order_unless_they_are_too_many(
    case: Case, radius: float, plan: Plan
) -> None:
    most = min(plan.most_listed, int(plan.crowded_share * len(case.points) ** 2))
    pairs = listed(radius, case, plan)
    if pairs is None:
        assert len(within(radius * (1 + 1e-4), case)) > most
        return
    found = list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    assert found == sorted(set(found))
    assert len(found) <= max(most, 0)
    assert within(radius, case) <= set(found) <= within(radius * (1 + 1e-4), case)


@searched
@given(case=cases(), radius=radii, plan=small_plans)
def test_pairs_in_tiles_are_those_of_brute_force(case: Case, radius: float, plan: Plan) -> None:
    chunks = crowded(radius, case, plan)
    found = unordered(chunks)
    assert len(found) == len(set(found))
    assert within(radius, case) <= set(found) <= within(3, case)
    for chunk in chunks:
        assert chunk.chunk == plan.numbers_per_chunk
        pairs = chunk.wanted.numel() if isinstance(chunk, Block) else len(chunk.first)
        assert pairs <= plan.tile_side**2


@pytest.mark.parametrize(("share", "kind"), [(-1, Block), (2, Pairs)])
def test_tiles_are_blocks_where_pairs_crowd(share: float, kind: type) -> None:
    chunks = crowded(1.2, apart(), Plan(tile_side=32, crowded_share=share))
    assert {type(chunk) for chunk in chunks} == {kind}


def test_a_crowd_among_points_that_are_apart_is_a_block() -> None:
    points = torch.cat([random_points(64, 16), arranged("within 1e-3", torch.float32, 64).points])
    points[1] = points[0]
    case = Case(points, torch.arange(128), 128, torch.ones(128))
    chunks = crowded(0.1, case, Plan(tile_side=64))
    assert [type(chunk) for chunk in chunks] == [Pairs, Block]


@pytest.mark.parametrize(("room", "is_listed"), [(0, True), (-1, False)])
def test_as_many_pairs_are_listed_as_the_plan_allows(room: int, is_listed: bool) -> None:
    case = apart()
    plan = Plan(crowded_share=1, most_listed=len(within(1.2, case)) + room)
    assert (listed(1.2, case, plan) is not None) == is_listed


@pytest.mark.parametrize("first_calls", [[], [0.9], [0.9, 0.9], [1.0, 1.0]])
def test_what_the_list_has_seen_leaves_no_trace(first_calls: list[float]) -> None:
    case, neighbor_list = apart(), NeighborList()
    rest = case.points, case.labels, 200, slice(0, 150), neighbor_list, LISTED
    for radius in first_calls:
        listed_pairs(radius, *rest)
    found, expected = listed_pairs(0.9, *rest), listed(0.9, case)
    assert found is not None
    assert expected is not None
    assert len(expected.first) > 100
    assert found.first.equal(expected.first)
    assert found.second.equal(expected.second)


@pytest.mark.parametrize(
    ("radius", "dtype", "in_bfloat16"),
    pairwise([0.02, 0.2, 1.0, 2.0], [torch.float32, torch.float64], [True, False]),
)
def test_a_pair_at_the_radius_is_not_missed(
    radius: float, dtype: torch.dtype, in_bfloat16: bool
) -> None:
    cosine = 1 - radius**2 / 2
    points = torch.tensor([[1.0, 0.0], [cosine, (1 - cosine**2) ** 0.5]], dtype=dtype)
    case = Case(points, torch.tensor([0, 1]), 2, torch.ones(2))
    plan = Plan(crowded_share=1, searches_in_bfloat16=in_bfloat16)
    assert unordered(filter(None, [listed(radius, case, plan)])) == [(0, 1)]
    assert unordered(crowded(radius, case, plan)) == [(0, 1)]


@each_dtype
def test_autocast_does_not_blunt_the_search(dtype: torch.dtype) -> None:
    case = Case(random_points(200, 16, dtype=dtype), torch.arange(200), 200, torch.ones(200))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pairs = listed(1.0, case)
    assert pairs is not None
    assert within(1.0, case) <= set(unordered([pairs])) <= within(1.0001, case)


def test_reduced_precision_of_products_loses_no_pair() -> None:
    with reduced_precision():
        pairs, chunks = listed(1.0, apart()), crowded(1.0, apart(), Plan(tile_side=32))
    assert pairs is not None
    assert within(1.0, apart()) <= set(unordered([pairs])) <= within(1.0001, apart())
    assert set(unordered(chunks)) >= within(1.0, apart())
