"""Each loss takes the one distance that it is defined on, and refuses PML's others."""

from typing import Any

import pytest
import torch
from pytorch_metric_learning.distances import (
    BatchedDistance,
    CosineSimilarity,
    DotProductSimilarity,
    LpDistance,
    SNRDistance,
)

from tests.losses.loss_cases import FIELD_LOSSES, LOSSES, all_gradients, batch, build, each_field_loss

COSINE_LOSSES = [loss for loss in LOSSES if loss not in FIELD_LOSSES]

each_cosine_loss = pytest.mark.parametrize("loss_class", COSINE_LOSSES)


def case(distance: Any, name: str) -> Any:
    return pytest.param(distance, marks=pytest.mark.feature("Distances", name), id=name)


EUCLIDEAN = case(LpDistance(), "`LpDistance()`")
COSINE = case(CosineSimilarity(), "`CosineSimilarity()`")
OTHERS = [
    case(LpDistance(normalize_embeddings=False), "`LpDistance(normalize_embeddings=False)`"),
    case(LpDistance(p=1), "`LpDistance(p=1)`"),
    case(LpDistance(power=2), "`LpDistance(power=2)`"),
    case(DotProductSimilarity(), "`DotProductSimilarity()`"),
    case(
        DotProductSimilarity(normalize_embeddings=False),
        "`DotProductSimilarity(normalize_embeddings=False)`",
    ),
    case(SNRDistance(), "`SNRDistance()`"),
    case(BatchedDistance(LpDistance()), "`BatchedDistance(LpDistance())`"),
    case(BatchedDistance(CosineSimilarity()), "`BatchedDistance(CosineSimilarity())`"),
]


def assert_same_as_default(loss_class: Any, distance: Any) -> None:
    results = all_gradients(build(loss_class, distance=distance), *batch())
    torch.testing.assert_close(results, all_gradients(build(loss_class), *batch()), rtol=0, atol=0)


@pytest.mark.parametrize("distance", [EUCLIDEAN])
@each_field_loss
def test_fields_are_of_euclidean_distances(loss_class: Any, distance: Any) -> None:
    assert_same_as_default(loss_class, distance)


@pytest.mark.parametrize("distance", [COSINE])
@each_cosine_loss
def test_the_other_losses_are_of_cosines(loss_class: Any, distance: Any) -> None:
    assert_same_as_default(loss_class, distance)


@pytest.mark.parametrize("distance", [COSINE, *OTHERS])
@each_field_loss
def test_fields_of_other_distances(loss_class: Any, distance: Any, refuses: Any) -> None:
    why = "the loss is defined on Euclidean distances of normalised embeddings"
    with refuses(why, r"distance is \w+\(.+ is defined on LpDistance\(\) of normalised embeddings"):
        build(loss_class, distance=distance)


@pytest.mark.parametrize("distance", [EUCLIDEAN, *OTHERS])
@each_cosine_loss
def test_the_other_losses_of_other_distances(loss_class: Any, distance: Any, refuses: Any) -> None:
    with refuses(
        "the loss is defined on cosine similarities",
        r"distance is \w+\(.+ is defined on CosineSimilarity\(\) of normalised embeddings",
    ):
        build(loss_class, distance=distance)
