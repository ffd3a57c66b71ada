from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from pml_potential.fields import neighbors
from pml_potential.fields.neighbors import near_tiles, pairs_within, widest_coordinates
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
    segments_and_tile_rows,
    squared_distances,
    unordered,
)
from tests.pairwise import pairwise

SLACK = 0.005
"""How much farther apart, squared, a pair may be that the search yields nevertheless."""

in_pieces = settings(searched, suppress_health_check=[HealthCheck.function_scoped_fixture])
each_arrangement = pytest.mark.parametrize("arrangement", ARRANGEMENTS)


def arranged(arrangement: str, width: int = 70) -> Tensor:
    generator = torch.Generator().manual_seed(8)
    noise = torch.randn(90, width, dtype=torch.float64, generator=generator)
    return ARRANGEMENTS[arrangement](noise, generator).float()


def mm_of_bfloat16(left: Tensor, right: Tensor, out: Tensor) -> Tensor:
    """What a device that computes in bfloat16 makes of a product of float32 matrices."""
    return out.copy_(left.bfloat16().double() @ right.bfloat16().double())


@in_pieces
@given(
    case=cases(most_coordinates=8),
    radius=radii,
    sizes=segments_and_tile_rows,
    filter_width=st.integers(1, 9),
)
def test_pairs_of_leading_points_are_found_once(
    monkeypatch: pytest.MonkeyPatch, case: Case, radius: float, sizes: tuple[int, int], filter_width: int
) -> None:
    monkeypatch.setattr(neighbors, "_SEGMENT", sizes[0])
    monkeypatch.setattr(neighbors, "TILE_ROWS", sizes[1])
    monkeypatch.setattr(neighbors, "FILTER_WIDTH", filter_width)
    points, coordinates = case.points, widest_coordinates(case.points)
    rows = points[: case.targets]
    found = unordered(pairs_within(radius, rows, points, coordinates, each_once=True))
    squared = squared_distances(points, points)
    assert len(found) == len(set(found))
    assert set(found) <= all_pairs(len(points), case.targets)
    assert set(found) >= pairs_where(squared < radius**2, case.targets)


@in_pieces
@given(
    case=cases(most_coordinates=8),
    radius=radii,
    sizes=segments_and_tile_rows,
    filter_width=st.integers(1, 9),
)
def test_pairs_of_rows_and_columns_are_found_once(
    monkeypatch: pytest.MonkeyPatch, case: Case, radius: float, sizes: tuple[int, int], filter_width: int
) -> None:
    monkeypatch.setattr(neighbors, "_SEGMENT", sizes[0])
    monkeypatch.setattr(neighbors, "TILE_ROWS", sizes[1])
    monkeypatch.setattr(neighbors, "FILTER_WIDTH", filter_width)
    rows, columns = case.points[: case.targets], case.points[case.targets // 2 :]
    coordinates = widest_coordinates(case.points)
    found = [
        pair
        for first, second in pairs_within(radius, rows, columns, coordinates)
        for pair in zip(first.tolist(), second.tolist(), strict=True)
    ]
    assert len(found) == len(set(found))
    near = (squared_distances(rows, columns) < radius**2).nonzero().tolist()
    assert set(found) >= set(map(tuple, near))


@in_pieces
@given(case=cases(), radius=radii, sizes=segments_and_tile_rows)
def test_all_coordinates_tell_near_from_far(
    monkeypatch: pytest.MonkeyPatch, case: Case, radius: float, sizes: tuple[int, int]
) -> None:
    monkeypatch.setattr(neighbors, "_SEGMENT", sizes[0])
    monkeypatch.setattr(neighbors, "TILE_ROWS", sizes[1])
    every = torch.arange(case.points.shape[1])
    squared = squared_distances(case.points, case.points)
    found = unordered(pairs_within(radius, case.points, case.points, every, each_once=True))
    assert set(found) <= pairs_where(squared < radius**2 + SLACK)


@pytest.mark.parametrize("radius", [0.02, 0.5, 1.99])
@each_arrangement
def test_no_near_pair_is_missed_where_only_some_coordinates_are_looked_at(
    arrangement: str, radius: float
) -> None:
    points = arranged(arrangement)
    coordinates = widest_coordinates(points)
    assert len(coordinates) < points.shape[1]
    near = squared_distances(points, points) < radius**2
    found = unordered(pairs_within(radius, points, points, coordinates, each_once=True))
    assert len(found) == len(set(found))
    assert set(found) >= pairs_where(near)


@pytest.mark.parametrize("radius", [0.02, 0.5, 1.99])
@each_arrangement
def test_factors_rounded_to_bfloat16_lose_no_pair(
    monkeypatch: pytest.MonkeyPatch, arrangement: str, radius: float
) -> None:
    points = arranged(arrangement)
    near = squared_distances(points, points) < radius**2
    monkeypatch.setattr(torch, "mm", mm_of_bfloat16)
    with reduced_precision():
        found = unordered(pairs_within(radius, points, points, torch.arange(70), each_once=True))
    assert set(found) >= pairs_where(near)


@pytest.mark.parametrize(
    ("radius", "width", "dtype"),
    pairwise([0.02, 0.2, 1.0, 1.9], [2, 64, 512], [torch.float32, torch.float64]),
)
def test_pairs_just_within_the_radius_are_not_missed(
    radius: float, width: int, dtype: torch.dtype
) -> None:
    first, aside = random_points(2, 300 * width, dtype=torch.float64).view(2, 300, width)
    first = torch.nn.functional.normalize(first)
    aside = torch.nn.functional.normalize(aside - (aside * first).sum(dim=1, keepdim=True) * first)
    cosine = 1 - (radius * (1 - 1e-6)) ** 2 / 2
    second = cosine * first + (1 - cosine**2) ** 0.5 * aside
    points = torch.cat([first, second]).to(dtype)
    found = unordered(pairs_within(radius, points, points, torch.arange(width), each_once=True))
    assert set(found) >= {(i, i + 300) for i in range(300)}


def test_the_second_look_thins_out_what_the_first_one_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    points, coordinates = random_points(100, 8), torch.tensor([0])
    near = squared_distances(points, points) < 0.25
    monkeypatch.setattr(neighbors, "CROWDED_SHARE", 2)
    at_first = unordered(pairs_within(0.5, points, points, coordinates, each_once=True))
    monkeypatch.undo()
    found = unordered(pairs_within(0.5, points, points, coordinates, each_once=True))
    assert set(found) == pairs_where(near)
    assert len(at_first) > 2 * len(found)


def test_tiles_bound_their_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbors, "TILE_ROWS", 7)
    points = random_points(50, 3)
    tiles = list(near_tiles(0.7, points[:20], points, torch.arange(3), each_once=True))
    assert len(tiles) > 3
    for tile in tiles:
        assert tile.rows.stop - tile.rows.start <= 7
        assert tile.columns.stop - tile.columns.start <= 7
        assert ((tile.rows.start <= tile.first) & (tile.first < tile.rows.stop)).all()
        assert ((tile.columns.start <= tile.second) & (tile.second < tile.columns.stop)).all()


@pytest.mark.parametrize(("radius", "crowded"), [(0.01, False), (2.0, True)])
def test_a_tile_full_of_near_pairs_is_crowded(radius: float, crowded: bool) -> None:
    points = random_points(100, 3)
    points[1] = points[0]
    (tile,) = near_tiles(radius, points, points, torch.arange(3), each_once=True)
    assert tile.is_crowded() == crowded


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
def test_no_points_have_no_pairs(shape: tuple[int, int]) -> None:
    rows, columns = (random_points(count, 3) for count in shape)
    assert list(pairs_within(1.0, rows, columns, torch.arange(3))) == []


def test_widest_coordinates_are_those_that_vary_most() -> None:
    scale = torch.arange(100).roll(30) + 1
    points = random_points(2000, 100) * scale / 100
    found = set(widest_coordinates(points).tolist())
    assert len(found) == neighbors.FILTER_WIDTH
    assert set(scale.topk(50).indices.tolist()) <= found


@pytest.mark.parametrize("width", [1, 64, 65])
def test_number_of_widest_coordinates(width: int) -> None:
    coordinates = widest_coordinates(random_points(3, width))
    assert len(coordinates) == min(width, 64)
    assert coordinates.equal(coordinates.unique())


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_autocast_does_not_blunt_the_search_for_neighbors(precision: Any) -> None:
    points = random_points(200, 16)
    search = 1.0, points, points, torch.arange(16), True
    expected = unordered(pairs_within(*search))
    with torch.autocast("cpu", dtype=precision):
        assert unordered(pairs_within(*search)) == expected
