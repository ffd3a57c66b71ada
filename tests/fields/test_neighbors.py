from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from torch import Tensor
from torch.nn.functional import normalize

from pml_potential.fields.neighbors import filter_coordinates, search
from pml_potential.fields.plan import Plan
from tests.fields.field_cases import (
    ARRANGEMENTS,
    Case,
    all_pairs,
    cases,
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

SLACK = {False: 2e-4, True: 0.06}
"""How much farther apart, squared, a pair may be that a search (in bfloat16) yields nevertheless."""

PRECISIONS = [Plan(), Plan(searches_in_bfloat16=True)]
each_precision = pytest.mark.parametrize("plan", PRECISIONS, ids=["float32", "bfloat16"])


def arranged(arrangement: str, width: int = 70) -> Tensor:
    generator = torch.Generator().manual_seed(8)
    noise = torch.randn(90, width, dtype=torch.float64, generator=generator)
    return ARRANGEMENTS[arrangement](noise, generator).float()


@searched
@given(case=cases(most_coordinates=8), radius=radii, plan=small_plans)
def test_pairs_of_leading_points_are_found_once(case: Case, radius: float, plan: Plan) -> None:
    points, rows = case.points, case.points[: case.targets]
    found = unordered(search(radius, rows, points, plan, each_once=True))
    squared = squared_distances(points, points)
    assert len(found) == len(set(found))
    assert set(found) <= all_pairs(len(points), case.targets)
    assert set(found) >= pairs_where(squared < radius**2, case.targets)
    assert set(found) <= pairs_where(squared < radius**2 + SLACK[plan.searches_in_bfloat16])


@searched
@given(case=cases(most_coordinates=8), radius=radii, plan=small_plans)
def test_pairs_of_rows_and_columns_are_found_once(case: Case, radius: float, plan: Plan) -> None:
    rows, columns = case.points[: case.targets], case.points[case.targets // 2 :]
    found = [
        pair
        for tile in search(radius, rows, columns, plan)
        for pair in zip(tile.first.tolist(), tile.second.tolist(), strict=True)
    ]
    squared = squared_distances(rows, columns)
    assert len(found) == len(set(found))
    assert set(found) >= set(map(tuple, (squared < radius**2).nonzero().tolist()))
    within = squared < radius**2 + SLACK[plan.searches_in_bfloat16]
    assert set(found) <= set(map(tuple, within.nonzero().tolist()))


@searched
@given(case=cases(), radius=radii, plan=small_plans)
def test_tiles_hold_their_pairs(case: Case, radius: float, plan: Plan) -> None:
    rows, side = case.points[: case.targets], plan.tile_side
    for tile in search(radius, rows, case.points, plan, each_once=True):
        assert 0 < tile.rows.stop - tile.rows.start <= side
        assert 0 < tile.columns.stop - tile.columns.start <= side
        assert len(tile.first) == len(tile.second)
        assert ((tile.rows.start <= tile.first) & (tile.first < tile.rows.stop)).all()
        assert ((tile.columns.start <= tile.second) & (tile.second < tile.columns.stop)).all()


def test_tiles_without_a_near_pair_are_left_out() -> None:
    points = torch.eye(4).repeat_interleave(64, dim=0)
    found = list(search(0.5, points, points, Plan(tile_side=64), each_once=True))
    assert [(tile.rows, tile.columns) for tile in found] == [
        (slice(start, start + 64), slice(start, start + 64)) for start in range(0, 256, 64)
    ]


@pytest.mark.parametrize(
    ("arrangement", "radius", "plan", "tile_side"),
    pairwise(ARRANGEMENTS, [0.02, 0.5, 1.99], PRECISIONS, [16, 64, 448]),
    ids=str,
)
def test_a_filter_loses_no_near_pair(
    arrangement: str, radius: float, plan: Plan, tile_side: int
) -> None:
    points, labels = arranged(arrangement), torch.arange(90)
    plan = replace(plan, tile_side=tile_side, filter_step=8, cost_of_pair=8)
    coordinates, _ = filter_coordinates(radius, points, labels, plan)
    near = squared_distances(points, points) < radius**2
    some = points[:, coordinates]
    found = unordered(search(radius, some, some, plan, each_once=True))
    assert len(found) == len(set(found))
    assert set(found) >= pairs_where(near)


def mm_of_bfloat16(left: Tensor, right: Tensor, out: Tensor) -> Tensor:
    """What a device that computes in bfloat16 makes of a product of float32 matrices."""
    return out.copy_(left.bfloat16().double() @ right.bfloat16().double())


@pytest.mark.parametrize("radius", [0.02, 0.5, 1.99])
@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_factors_rounded_to_bfloat16_lose_no_pair(
    monkeypatch: pytest.MonkeyPatch, arrangement: str, radius: float
) -> None:
    points = arranged(arrangement)
    near = squared_distances(points, points) < radius**2
    monkeypatch.setattr(torch, "mm", mm_of_bfloat16)
    with reduced_precision():
        found = unordered(search(radius, points, points, Plan(), each_once=True))
    assert set(found) >= pairs_where(near)


@pytest.mark.parametrize("power", [2**-3, 2**-4, 2**-5])
@pytest.mark.parametrize("share_of_a_step", [0.01, 0.49, 0.51, 0.99])
def test_coordinates_that_bfloat16_rounds_the_same_way_lose_no_pair(
    power: float, share_of_a_step: float
) -> None:
    """The worst case: each product is too large, or too small, by as much as bfloat16 may round it."""
    coordinate = power * (1 + 2**-7 * share_of_a_step)
    widest = int(1 / coordinate**2)
    for width in range(max(1, widest // 2), widest + 1, 7):
        points = torch.full((2, width), coordinate)
        tiles = search(0.02, points, points, Plan(searches_in_bfloat16=True), each_once=True)
        assert unordered(tiles) == [(0, 1)]


@pytest.mark.parametrize(
    ("radius", "width", "dtype", "plan"),
    pairwise([0.02, 0.2, 1.0, 1.9], [2, 64, 512], [torch.float32, torch.float64], PRECISIONS),
    ids=str,
)
def test_pairs_just_within_the_radius_are_not_missed(
    radius: float, width: int, dtype: torch.dtype, plan: Plan
) -> None:
    first, aside = random_points(2, 300 * width, dtype=torch.float64).view(2, 300, width)
    first = normalize(first)
    aside = normalize(aside - (aside * first).sum(dim=1, keepdim=True) * first)
    cosine = 1 - (radius * (1 - 1e-6)) ** 2 / 2
    second = cosine * first + (1 - cosine**2) ** 0.5 * aside
    points = torch.cat([first, second]).to(dtype)
    found = unordered(search(radius, points, points, plan, each_once=True))
    assert set(found) >= {(i, i + 300) for i in range(300)}


@pytest.mark.parametrize(
    ("shape", "each_once"),
    [((0, 5), True), ((0, 0), True), ((0, 5), False), ((5, 0), False), ((0, 0), False)],
)
def test_no_points_have_no_pairs(shape: tuple[int, int], each_once: bool) -> None:
    rows, columns = (random_points(count, 3) for count in shape)
    assert list(search(1.0, rows, columns, Plan(), each_once)) == []


@each_precision
@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_autocast_does_not_blunt_the_search(precision: Any, plan: Plan) -> None:
    points = random_points(200, 16)
    expected = unordered(search(1.0, points, points, plan, each_once=True))
    with torch.autocast("cpu", dtype=precision):
        assert unordered(search(1.0, points, points, plan, each_once=True)) == expected


def test_the_coordinates_that_vary_most_are_looked_at() -> None:
    scale = torch.tensor([1.0, 9, 2, 8, 3, 7, 4, 6]) / 20
    points, labels = random_points(500, 8) * scale, torch.arange(500)
    coordinates, _ = filter_coordinates(0.05, points, labels, Plan(filter_step=1, cost_of_pair=100))
    widest = scale.argsort(descending=True)[: len(coordinates)]
    assert 1 < len(coordinates) < 8
    assert coordinates.equal(widest.sort().values)


@pytest.mark.parametrize(("cost_of_pair", "expected"), [(0, 4), (2**40, 16)])
def test_dear_pairs_are_worth_more_coordinates(cost_of_pair: int, expected: int) -> None:
    points, labels = random_points(300, 16), torch.arange(300)
    plan = Plan(filter_step=4, cost_of_pair=cost_of_pair)
    assert len(filter_coordinates(0.9, points, labels, plan)[0]) == expected


def test_the_share_is_that_of_near_pairs_of_different_classes_in_the_coordinates() -> None:
    points, labels = random_points(100, 6), torch.arange(100) % 3
    coordinates, share = filter_coordinates(0.8, points, labels, Plan(filter_step=2, cost_of_pair=200))
    some = points[:, coordinates]
    near = (squared_distances(some, some) < 0.8**2) & (labels[:, None] != labels)
    assert share == pytest.approx(near.double().mean().item(), rel=1e-3)
    assert 0 < share < 1


def test_pairs_of_one_class_are_no_reason_for_more_coordinates() -> None:
    points, labels = arranged("within 1e-3"), torch.zeros(90, dtype=torch.long)
    coordinates, share = filter_coordinates(0.5, points, labels, Plan(filter_step=8))
    assert (len(coordinates), share) == (8, 0)


@pytest.mark.parametrize("width", [1, 7, 8, 9])
@pytest.mark.parametrize("count", [1, 2, 5, 300])
def test_there_is_always_a_coordinate_and_none_twice(count: int, width: int) -> None:
    plan = Plan(filter_step=8, sampled_points=20)
    coordinates, _ = filter_coordinates(0.5, random_points(count, width), torch.arange(count), plan)
    assert 1 <= len(coordinates) <= width
    assert coordinates.equal(coordinates.unique())
