"""Cases by hand, and the definitions in plain loops."""

import math
from statistics import mean
from typing import Any

import pytest
import torch
from torch import Tensor

from pml_potential.analysis import embedding_health


def random_case(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(30, 4, generator=generator).double()
    return embeddings, torch.arange(30) % 7 // 2


def test_four_points_on_a_circle_by_hand() -> None:
    """Classes {0, 90} and {180, 270} degrees: chords of sqrt 2 within, class means sqrt 2 apart."""
    square = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    health = embedding_health(square, torch.tensor([0, 0, 1, 1]), neighbors=3)
    assert health.alignment == pytest.approx(2)
    assert health.uniformity == pytest.approx(math.log((4 * math.exp(-4) + 2 * math.exp(-8)) / 6))
    assert health.intra == pytest.approx(2**0.5)
    assert health.inter == pytest.approx(2**0.5)
    assert health.ratio == pytest.approx(1)
    assert health.effective_rank == pytest.approx(2)
    assert health.spectral_decay == pytest.approx(0, abs=1e-12)
    assert health.hubness == 0


def test_distances_by_loops() -> None:
    embeddings, labels = random_case()
    unit = [[x / math.hypot(*row) for x in row] for row in embeddings.tolist()]
    classes = labels.tolist()
    pairs = [(i, j) for i in range(30) for j in range(i)]
    within = [math.dist(unit[i], unit[j]) for i, j in pairs if classes[i] == classes[j]]
    means = [
        [
            mean(column)
            for column in zip(*(u for u, y in zip(unit, classes, strict=True) if y == c), strict=True)
        ]
        for c in range(4)
    ]
    between = [math.dist(means[i], means[j]) for i in range(4) for j in range(i)]
    health = embedding_health(embeddings, labels)
    assert health.alignment == pytest.approx(mean(r**2 for r in within))
    assert health.intra == pytest.approx(mean(within))
    assert health.inter == pytest.approx(mean(between))
    assert health.ratio == pytest.approx(mean(within) / mean(between))
    spread = mean(math.exp(-2 * math.dist(unit[i], unit[j]) ** 2) for i, j in pairs)
    assert health.uniformity == pytest.approx(math.log(spread))


def test_spectrum_by_hand() -> None:
    """Nine embeddings on one axis and one on another: singular values 3 and 1, shares 3/4 and 1/4."""
    embeddings = torch.eye(2)[[0] * 9 + [1]]
    health = embedding_health(embeddings, torch.arange(10) % 2, neighbors=1)
    assert health.effective_rank == pytest.approx(4 / 3**0.75)
    assert health.spectral_decay == pytest.approx(
        0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    )


def test_a_direction_that_nothing_uses_has_an_infinite_decay_and_a_small_rank() -> None:
    embeddings = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    embeddings[:, 2] = 0
    health = embedding_health(embeddings, torch.arange(20) % 2)
    assert health.spectral_decay == math.inf
    assert health.effective_rank <= 2


def test_a_hub_by_hand() -> None:
    """A star of five: the centre is everybody's nearest, it has 4 and one other point has 1.

    Occurrences 4, 1, 0, 0, 0: mean 1, second central moment 12/5, third 24/5.
    """
    rays = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.1]])
    star = torch.cat([torch.tensor([[0.0, 0.0, 1.0]]), torch.cat([rays, torch.ones(4, 1)], dim=1)])
    health = embedding_health(star, torch.tensor([0, 0, 1, 1, 1]), neighbors=1)
    assert health.hubness == pytest.approx(24 / 5 / (12 / 5) ** 1.5)


def test_a_cloud_with_a_centre_has_hubs_in_many_dimensions_and_not_in_few() -> None:
    """Radovanović et al.: hubs are near the mean of the data, which a full sphere does not have."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(500) % 5

    def hubness(width: int, centre: float) -> float:
        return embedding_health(centre + torch.randn(500, width, generator=generator), labels).hubness

    assert hubness(100, centre=1) > 1
    assert abs(hubness(3, centre=1)) < 0.7
    assert abs(hubness(100, centre=0)) < 0.7


def test_a_collapsed_embedding_has_the_extreme_values() -> None:
    health = embedding_health(torch.ones(20, 4), torch.arange(20) % 2)
    assert health.alignment == pytest.approx(0, abs=1e-12)
    assert health.uniformity == pytest.approx(0, abs=1e-6)
    assert health.effective_rank == pytest.approx(1)
    assert health.ratio == math.inf


def test_neither_lengths_nor_dtype_matter() -> None:
    embeddings, labels = random_case()
    scaled = (embeddings * torch.linspace(0.1, 9, 30)[:, None]).float()
    expected = vars(embedding_health(embeddings, labels))
    assert vars(embedding_health(scaled, labels)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("labels", "neighbors", "message"),
    [
        ([0, 0, 0], 1, "labels hold 1 classes, the largest with 3"),
        ([0, 1, 2], 1, "labels hold 3 classes, the largest with 1"),
        ([0, 0, 1], 3, "count is 3; 3 embeddings have 2 neighbours each"),
        ([0, 0], 1, r"labels has shape \(2,\)"),
    ],
)
def test_bad_input_is_refused(labels: Any, neighbors: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        embedding_health(torch.eye(3), torch.tensor(labels), neighbors)
