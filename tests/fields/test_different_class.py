from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pml_potential.fields import neighbors
from pml_potential.fields.different_class import (
    different_class_pairs_of_few,
    different_class_pairs_within,
)
from pml_potential.fields.pairs import Block
from tests.fields.field_cases import (
    Case,
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

SEARCHES = [different_class_pairs_within, different_class_pairs_of_few]
each_search = pytest.mark.parametrize("search", SEARCHES)


@pytest.mark.parametrize(("crowded_share", "kind"), [(-1, Block), (1 / 32, None), (2, tuple)])
@settings(searched, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases(), radius=radii, sizes=segments_and_tile_rows, filter_width=st.integers(1, 5))
def test_pairs_are_those_of_brute_force(
    monkeypatch: pytest.MonkeyPatch,
    case: Case,
    radius: float,
    sizes: tuple[int, int],
    filter_width: int,
    crowded_share: float,
    kind: type | None,
) -> None:
    monkeypatch.setattr(neighbors, "_SEGMENT", sizes[0])
    monkeypatch.setattr(neighbors, "TILE_ROWS", sizes[1])
    monkeypatch.setattr(neighbors, "FILTER_WIDTH", filter_width)
    monkeypatch.setattr(neighbors, "CROWDED_SHARE", crowded_share)
    labels = case.labels
    chunks = list(different_class_pairs_within(radius, case.points, labels, case.targets))
    squared = squared_distances(case.points, case.points)
    differ = labels[:, None] != labels
    found = unordered(chunks)
    assert len(found) == len(set(found))
    assert set(found) >= pairs_where(differ & (squared < radius**2), case.targets)
    assert set(found) <= pairs_where(differ, case.targets)
    assert kind is None or {type(chunk) for chunk in chunks} <= {kind}
    lengths = [c.wanted.numel() if isinstance(c, Block) else len(c[0]) for c in chunks]
    assert all(length <= sizes[1] ** 2 for length in lengths)


@pytest.mark.parametrize(("crowded_share", "kind"), [(-1, Block), (2, tuple)])
@settings(searched, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases(), radius=radii)
def test_pairs_of_few_points_are_those_of_brute_force(
    monkeypatch: pytest.MonkeyPatch, case: Case, radius: float, crowded_share: float, kind: type
) -> None:
    monkeypatch.setattr(neighbors, "CROWDED_SHARE", crowded_share)
    (pairs,) = different_class_pairs_of_few(radius, case.points, case.labels, case.targets)
    assert isinstance(pairs, kind)
    squared = squared_distances(case.points, case.points)
    differ = case.labels[:, None] != case.labels
    found = unordered([pairs])
    assert len(found) == len(set(found))
    assert set(found) >= pairs_where(differ & (squared < radius**2), case.targets)
    assert set(found) <= pairs_where(differ, case.targets)
    if kind is tuple:
        assert set(found) <= pairs_where(squared < radius**2 + SLACK)


@settings(searched, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases(), radius=radii, sizes=segments_and_tile_rows)
def test_listed_pairs_are_hardly_farther_apart_than_the_radius(
    monkeypatch: pytest.MonkeyPatch, case: Case, radius: float, sizes: tuple[int, int]
) -> None:
    monkeypatch.setattr(neighbors, "_SEGMENT", sizes[0])
    monkeypatch.setattr(neighbors, "TILE_ROWS", sizes[1])
    monkeypatch.setattr(neighbors, "CROWDED_SHARE", 2)
    squared = squared_distances(case.points, case.points)
    found = unordered(different_class_pairs_within(radius, case.points, case.labels, case.targets))
    assert set(found) <= pairs_where(squared < radius**2 + SLACK)


@pytest.mark.parametrize(
    ("radius", "dtype", "search"),
    pairwise([0.02, 0.2, 1.0, 2.0], [torch.float32, torch.float64], SEARCHES),
)
def test_pair_at_the_radius_is_not_missed(radius: float, dtype: torch.dtype, search: Any) -> None:
    cosine = 1 - radius**2 / 2
    points = torch.tensor([[1.0, 0.0], [cosine, (1 - cosine**2) ** 0.5]], dtype=dtype)
    found = unordered(search(radius, points, torch.tensor([0, 1]), 2))
    assert found == [(0, 1)]


@each_search
def test_autocast_does_not_blunt_the_search(search: Any) -> None:
    points, labels = random_points(200, 16), torch.arange(200)
    expected = unordered(search(1.0, points, labels, 200))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = unordered(search(1.0, points, labels, 200))
    assert found == expected


@each_search
def test_reduced_precision_of_products_loses_no_pair(search: Any) -> None:
    points, labels = random_points(200, 16), torch.arange(200)
    near = squared_distances(points, points) < 1
    with reduced_precision():
        found = unordered(search(1.0, points, labels, 200))
    assert set(found) >= pairs_where(near)
