from typing import Any

import pytest
import torch

from pml_potential import ClassWiseMultiSimilarityLoss
from tests.losses.loss_cases import all_gradients, batch, build, each_precision
from tests.losses.oracles import class_wise_multi_similarity

SETTINGS: list[dict[str, Any]] = [
    {},
    {"alpha": 2.0, "beta": 40.0, "base": 0.5},
    {"alpha": 20.0, "beta": 10.0, "base": -0.2},
    {"alpha": 0.01, "beta": 200.0, "base": 0.0},
]


@each_precision
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("classes", [(0, 1, 2, 3), (2, 0), (3,)])
def test_value_is_that_of_the_formula(
    settings: dict[str, Any], classes: tuple[int, ...], dtype: torch.dtype, tolerance: float
) -> None:
    loss = build(ClassWiseMultiSimilarityLoss, dtype, **settings)
    embeddings, labels = batch(dtype, size=11, classes=classes)
    expected = class_wise_multi_similarity(
        embeddings.tolist(), labels.tolist(), loss.alpha, loss.beta, loss.base
    )
    assert loss(embeddings, labels).item() == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_gradient_is_that_of_the_value(settings: dict[str, Any]) -> None:
    loss = build(ClassWiseMultiSimilarityLoss, torch.float64, **settings)
    embeddings, labels = batch(torch.float64)
    assert torch.autograd.gradcheck(
        lambda embeddings: loss(embeddings, labels), (embeddings,), eps=1e-7, rtol=1e-4
    )


@pytest.mark.parametrize(
    "indices",
    [None, tuple(torch.tensor([[0, 1], [4, 5], [0, 1], [2, 3]]))],
    ids=["all pairs", "some pairs"],
)
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_second_derivatives(settings: dict[str, Any], indices: Any) -> None:
    """With all pairs, and with pairs of which classes 2 and 3 have none."""
    loss = build(ClassWiseMultiSimilarityLoss, torch.float64, **settings)
    embeddings, labels = batch(torch.float64, size=8)
    assert torch.autograd.gradgradcheck(
        lambda embeddings: loss(embeddings, labels, indices), (embeddings,), eps=1e-7, rtol=1e-4
    )


def test_labels_may_be_any_numbers() -> None:
    embeddings, labels = batch()
    loss = build(ClassWiseMultiSimilarityLoss)
    assert loss(embeddings, 1000 + 7 * labels) == loss(embeddings, labels)


def test_a_class_that_the_miner_left_out_adds_zero() -> None:
    embeddings, _ = batch(size=4)
    labels = torch.tensor([0, 0, 1, 1])
    first_class_only = (*torch.tensor([[0], [1]]), *torch.empty(2, 0, dtype=torch.long))
    value, gradient = all_gradients(
        build(ClassWiseMultiSimilarityLoss), embeddings, labels, indices_tuple=first_class_only
    )
    expected = class_wise_multi_similarity(
        embeddings.tolist(), labels.tolist(), 0.01, 80, 0.8, pairs=[(0, 1)]
    )
    assert value.item() == pytest.approx(expected, rel=1e-5)
    assert gradient[2:].abs().max() == 0
