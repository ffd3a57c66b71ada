"""Each of PML's regularizers adds its penalty of the embeddings, the proxies or the mean fields."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from pytorch_metric_learning.regularizers import (
    CenterInvariantRegularizer,
    LpRegularizer,
    RegularFaceRegularizer,
    SparseCentersRegularizer,
    ZeroMeanRegularizer,
)
from torch import Tensor
from torch.nn.functional import normalize

from pml_potential import ClassWiseMultiSimilarityLoss
from tests.losses.loss_cases import (
    LOSSES_WITH_PARAMETERS,
    NUM_CLASSES,
    PROXIES_PER_CLASS,
    all_gradients,
    batch,
    build,
    each_field_loss,
    each_loss,
    each_mean_field_loss,
)

Penalty = Callable[[Tensor], Tensor]
Case = tuple[Any, Penalty]

NO_PARAMETERS = "the loss has no parameters of its own"


def center_invariant(rows: Tensor) -> Tensor:
    squares = rows.square().sum(dim=1)
    return (squares - squares.mean()).square().mean() / 4


def lp(rows: Tensor) -> Tensor:
    return rows.square().sum(dim=1).sqrt().mean()


def regular_face(rows: Tensor) -> Tensor:
    cosines = normalize(rows) @ normalize(rows).T
    return cosines.masked_fill(torch.eye(len(rows), dtype=torch.bool), -1).amax(dim=1).mean()


def zero_mean(rows: Tensor) -> Tensor:
    return rows.sum(dim=1).abs().mean()


def sparse_centers(rows: Tensor) -> Tensor:
    first, second = normalize(rows).view(NUM_CLASSES, PROXIES_PER_CLASS, -1).unbind(dim=1)
    return (2 - 2 * (first * second).sum(dim=1)).sqrt().mean() / 2


def case(regularizer: Any, penalty: Penalty, of: str, note: str = "") -> Any:
    name = f"`{type(regularizer).__name__}` of the {of}"
    return pytest.param(
        (regularizer, penalty), marks=pytest.mark.feature("Regularizers", name, note), id=name
    )


OF_WEIGHTS = [
    case(CenterInvariantRegularizer(), center_invariant, "proxies or mean fields"),
    case(LpRegularizer(), lp, "proxies or mean fields"),
    case(
        RegularFaceRegularizer(),
        regular_face,
        "proxies or mean fields",
        "proxies of one class are pushed apart as well",
    ),
    case(ZeroMeanRegularizer(), zero_mean, "proxies or mean fields"),
]
OF_PROXIES = case(
    SparseCentersRegularizer(NUM_CLASSES, PROXIES_PER_CLASS),
    sparse_centers,
    "proxies or mean fields",
    "`centers_per_class` is `proxies_per_class`",
)
OF_EMBEDDINGS = [
    case(CenterInvariantRegularizer(), center_invariant, "embeddings"),
    case(LpRegularizer(), lp, "embeddings"),
    case(ZeroMeanRegularizer(), zero_mean, "embeddings"),
]


def assert_added_to_weights(loss_class: Any, regularizer: Any, penalty: Penalty) -> None:
    embeddings, labels = batch()
    value, of_embeddings, of_weights = all_gradients(build(loss_class), embeddings, labels)
    loss = build(loss_class, weight_regularizer=regularizer, weight_reg_weight=0.7)
    (weights,) = loss.parameters()
    added = 0.7 * penalty(weights)
    expected = [value + added, of_embeddings, of_weights + torch.autograd.grad(added, weights)[0]]
    torch.testing.assert_close(all_gradients(loss, embeddings, labels), expected)


@pytest.mark.parametrize("regularizer_and_penalty", OF_WEIGHTS)
@pytest.mark.parametrize("loss_class", LOSSES_WITH_PARAMETERS)
def test_weight_regularizer(loss_class: Any, regularizer_and_penalty: Case) -> None:
    assert_added_to_weights(loss_class, *regularizer_and_penalty)


@pytest.mark.parametrize("regularizer_and_penalty", [OF_PROXIES])
@each_field_loss
def test_weight_regularizer_of_proxies(loss_class: Any, regularizer_and_penalty: Case) -> None:
    assert_added_to_weights(loss_class, *regularizer_and_penalty)


@pytest.mark.parametrize("regularizer_and_penalty", [OF_PROXIES])
@each_mean_field_loss
def test_sparse_centers_are_several_of_a_class(
    loss_class: Any, regularizer_and_penalty: Case, refuses: Any
) -> None:
    regularizer, _ = regularizer_and_penalty
    why = "`SparseCentersRegularizer` asserts that a class has several centres; it has one mean field"
    with refuses(why, "^$"):
        build(loss_class, weight_regularizer=type(regularizer)(NUM_CLASSES, centers_per_class=1))


@pytest.mark.parametrize("regularizer_and_penalty", [*OF_WEIGHTS, OF_PROXIES])
@pytest.mark.parametrize("loss_class", [ClassWiseMultiSimilarityLoss])
def test_without_weights_none_are_regularized(
    loss_class: Any, regularizer_and_penalty: Case, refuses: Any
) -> None:
    regularizer, _ = regularizer_and_penalty
    with refuses(NO_PARAMETERS, "has no argument 'weight_regularizer'"):
        build(loss_class, weight_regularizer=regularizer)


@pytest.mark.parametrize("regularizer_and_penalty", OF_EMBEDDINGS)
@each_loss
def test_embedding_regularizer(loss_class: Any, regularizer_and_penalty: Case) -> None:
    regularizer, penalty = regularizer_and_penalty
    embeddings, labels = batch()
    value, of_embeddings, *of_weights = all_gradients(build(loss_class), embeddings, labels)
    loss = build(loss_class, embedding_regularizer=regularizer, embedding_reg_weight=0.3)
    added = 0.3 * penalty(embeddings)
    of_penalty = torch.autograd.grad(added, embeddings)[0]
    expected = [value + added, of_embeddings + of_penalty, *of_weights]
    torch.testing.assert_close(all_gradients(loss, embeddings, labels), expected)
