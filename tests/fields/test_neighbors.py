from collections.abc import Iterable

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from pml_potential.fields import neighbors
from pml_potential.fields.neighbors import Pairs, different_class_pairs_within, same_class_pairs

SLACK = 0.005
"""How much farther apart, squared, a pair may be that the search yields nevertheless."""

searched = settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@st.composite
def labelled_points(draw: st.DrawFn) -> tuple[Tensor, Tensor, int]:
    """Unit vectors with duplicates, their labels, and a number of targets."""
    count = draw(st.integers(1, 40))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**20)))
    width = draw(st.integers(1, 4))
    distinct = draw(st.integers(1, count))
    rows = torch.randint(distinct, (count,), generator=generator)
    points = torch.randn(distinct, width, generator=generator)[rows]
    labels = torch.randint(draw(st.integers(1, 6)), (count,), generator=generator)
    return torch.nn.functional.normalize(points), labels, draw(st.integers(1, count))


def unordered(chunks: Iterable[Pairs]) -> list[tuple[int, int]]:
    pairs = [
        pair for first, second in chunks for pair in zip(first.tolist(), second.tolist(), strict=True)
    ]
    return sorted((min(pair), max(pair)) for pair in pairs)


def all_pairs(count: int, targets: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(count) for j in range(i + 1, count) if i < targets]


@searched
@given(case=labelled_points(), chunk_size=st.integers(1, 50))
def test_same_class_pairs_are_those_of_brute_force(
    case: tuple[Tensor, Tensor, int], chunk_size: int
) -> None:
    _, labels, targets = case
    expected = [(i, j) for i, j in all_pairs(len(labels), targets) if labels[i] == labels[j]]
    assert unordered(same_class_pairs(labels, targets, chunk_size)) == expected


@searched
@given(case=labelled_points(), chunk_size=st.integers(1, 50))
def test_chunks_of_same_class_pairs_are_small(case: tuple[Tensor, Tensor, int], chunk_size: int) -> None:
    _, labels, targets = case
    largest_class = int(labels.bincount().max())
    lengths = [len(first) for first, _ in same_class_pairs(labels, targets, chunk_size)]
    assert max(lengths) < chunk_size + largest_class


@searched
@given(
    case=labelled_points(),
    radius=st.floats(0.01, 2),
    chunk_size=st.integers(1, 50),
    tile_rows=st.integers(1, 16),
)
def test_different_class_pairs_are_those_of_brute_force(
    monkeypatch: pytest.MonkeyPatch,
    case: tuple[Tensor, Tensor, int],
    radius: float,
    chunk_size: int,
    tile_rows: int,
) -> None:
    monkeypatch.setattr(neighbors, "TILE_ROWS", tile_rows)
    points, labels, targets = case
    chunks = list(different_class_pairs_within(radius, points, labels, targets, chunk_size))
    found = unordered(chunks)
    squared = torch.cdist(points.double(), points.double()).square()
    candidates = [(i, j) for i, j in all_pairs(len(labels), targets) if labels[i] != labels[j]]
    assert len(found) == len(set(found))
    assert set(found) >= {pair for pair in candidates if squared[pair] < radius**2}
    assert set(found) <= {pair for pair in candidates if squared[pair] < radius**2 + SLACK}
    assert all(len(first) <= chunk_size for first, _ in chunks)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("radius", [0.02, 0.2, 1.0, 2.0])
def test_pair_at_the_radius_is_not_missed(radius: float, dtype: torch.dtype) -> None:
    cosine = 1 - radius**2 / 2
    points = torch.tensor([[1.0, 0.0], [cosine, (1 - cosine**2) ** 0.5]], dtype=dtype)
    found = unordered(different_class_pairs_within(radius, points, torch.tensor([0, 1]), 2, 10))
    assert found == [(0, 1)]


def test_autocast_does_not_blunt_the_search() -> None:
    points = torch.nn.functional.normalize(
        torch.randn(200, 16, generator=torch.Generator().manual_seed(0))
    )
    labels = torch.arange(200)
    expected = unordered(different_class_pairs_within(1.0, points, labels, 200, 100))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = unordered(different_class_pairs_within(1.0, points, labels, 200, 100))
    assert found == expected
