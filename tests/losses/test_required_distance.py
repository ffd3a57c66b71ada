import re
from typing import Any

import pytest
from pytorch_metric_learning.distances import CosineSimilarity, DotProductSimilarity, LpDistance

from pml_potential import (
    ClassWiseMultiSimilarityLoss,
    MeanFieldClassWiseMultiSimilarityLoss,
    MeanFieldContrastiveLoss,
)
from tests.losses.loss_cases import build, each_field_loss


@pytest.mark.parametrize(
    ("distance", "message"),
    [
        (CosineSimilarity(), "CosineSimilarity("),
        (LpDistance(p=1), "LpDistance(normalize_embeddings=True, p=1, power=1)"),
        (LpDistance(normalize_embeddings=False), "LpDistance(normalize_embeddings=False, p=2"),
        (LpDistance(power=2), "LpDistance(normalize_embeddings=True, p=2, power=2)"),
        ("euclidean", "str("),
    ],
)
@each_field_loss
def test_distance_of_a_field_loss(loss_class: Any, distance: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"distance is {message}")):
        build(loss_class, distance=distance)


@pytest.mark.parametrize(
    ("distance", "message"),
    [
        (LpDistance(), "LpDistance("),
        (DotProductSimilarity(), "DotProductSimilarity("),
        (CosineSimilarity(p=1), "CosineSimilarity(normalize_embeddings=True, p=1, power=1)"),
        (CosineSimilarity(power=2), "CosineSimilarity(normalize_embeddings=True, p=2, power=2)"),
    ],
)
@pytest.mark.parametrize(
    "loss_class",
    [
        MeanFieldContrastiveLoss,
        MeanFieldClassWiseMultiSimilarityLoss,
        ClassWiseMultiSimilarityLoss,
    ],
)
def test_distance_of_a_cosine_loss(loss_class: Any, distance: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"distance is {message}")):
        build(loss_class, distance=distance)
