"""Near embeddings lie near each other on the map, which is the same each time."""

import numpy as np
import pytest
import torch
from torch import Tensor

from pml_potential.analysis.embedding_map import embedding_map


def groups(dimensions: int = 16) -> tuple[Tensor, Tensor]:
    """Five tight groups of twenty, far from each other."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(5).repeat_interleave(20)
    centres = torch.eye(5, dimensions)
    return centres[labels] + 0.05 * torch.randn(100, dimensions, generator=generator), labels


def test_neighbours_on_the_map_are_of_the_same_group() -> None:
    embeddings, labels = groups()
    placed = torch.from_numpy(embedding_map(embeddings))
    near = torch.cdist(placed, placed).fill_diagonal_(torch.inf).argmin(dim=1)
    assert (labels[near] == labels).double().mean() == 1


def test_the_map_is_the_same_each_time_and_whatever_the_length_of_the_embeddings() -> None:
    embeddings, _ = groups()
    first = embedding_map(embeddings)
    assert np.array_equal(first, embedding_map(embeddings))
    assert np.array_equal(first, embedding_map(2 * embeddings))


@pytest.mark.parametrize("shape", [(5, 8), (6, 1), (7, 2)])
def test_few_embeddings_and_few_coordinates_have_a_map(shape: tuple[int, int]) -> None:
    points = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    placed = embedding_map(points)
    assert placed.shape == (shape[0], 2)
    assert np.isfinite(placed).all()


@pytest.mark.parametrize("noise", [0.0, 1e-8])
def test_embeddings_that_coincide_lie_in_one_point(noise: float) -> None:
    points = torch.ones(10, 4) + noise * torch.randn(10, 4)
    assert np.array_equal(embedding_map(points), np.zeros((10, 2)))


def test_two_points_many_times_have_a_map() -> None:
    points = torch.eye(2, 4).repeat_interleave(20, dim=0)
    assert np.isfinite(embedding_map(points)).all()


def test_too_few_embeddings_are_refused() -> None:
    with pytest.raises(ValueError, match="embeddings has 4 rows; a map needs 5 or more"):
        embedding_map(torch.eye(4))
