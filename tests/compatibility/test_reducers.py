"""Each of PML's reducers reduces the elements that ``DoNothingReducer`` hands out."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from pytorch_metric_learning.reducers import (
    AvgNonZeroReducer,
    ClassWeightedReducer,
    DivisorReducer,
    DoNothingReducer,
    MeanReducer,
    MultipleReducers,
    PerAnchorReducer,
    SumReducer,
    ThresholdReducer,
)
from torch import Tensor

from tests.losses.loss_cases import (
    EMBEDDING_SIZE,
    NUM_CLASSES,
    PROXIES_PER_CLASS,
    batch,
    build,
    each_loss,
)

Parts = dict[str, dict[str, Any]]
Batch = tuple[Tensor, Tensor]

BATCH_SIZE = 20
CLASSES = (2, 0, 3, 0, 1, 0)
CLASS_WEIGHTS = torch.tensor([0.3, 2.0, 0.0, 1.1])


def parts_of(loss_class: Any, embeddings: Tensor, labels: Tensor) -> tuple[Parts, list[Tensor]]:
    """The parts of a loss, and what they are functions of."""
    loss = build(loss_class, reducer=DoNothingReducer())
    return loss(embeddings, labels), [embeddings, *loss.parameters()]


def scattered() -> Batch:
    return batch(size=BATCH_SIZE, classes=CLASSES)


def gathered() -> Batch:
    """Two classes, each in one place, where energies are below 0."""
    embeddings, labels = batch(size=BATCH_SIZE, classes=(0, 0, 0, 1))
    centres = torch.eye(EMBEDDING_SIZE)[labels]
    return (centres + 0.01 * embeddings).detach().requires_grad_(), labels


def assert_reduced(
    loss_class: Any, reducer: Any, reduce: Callable[[Parts], Tensor], points: Batch | None = None
) -> None:
    embeddings, labels = points or scattered()
    parts, variables = parts_of(loss_class, embeddings, labels)
    expected = reduce(parts)
    loss = build(loss_class, reducer=reducer)
    value = loss(embeddings, labels)
    torch.testing.assert_close(value, expected)
    gradients = torch.autograd.grad(value, [embeddings, *loss.parameters()])
    assert gradients[0].abs().max() > 0
    torch.testing.assert_close(gradients, torch.autograd.grad(expected, variables))


def elements(parts: Parts) -> Tensor:
    return torch.cat([part["losses"] for part in parts.values()])


def sum_over_parts(reduce: Callable[[Tensor], Tensor]) -> Callable[[Parts], Tensor]:
    return lambda parts: torch.stack([reduce(part["losses"]) for part in parts.values()]).sum()


def mean_or_zero(losses: Tensor) -> Tensor:
    return losses.mean() if len(losses) else losses.sum()


@pytest.mark.feature("Reducers", "`MeanReducer`", "a mean for each part, so that proxies count as much")
@each_loss
def test_mean(loss_class: Any) -> None:
    assert_reduced(loss_class, MeanReducer(), sum_over_parts(torch.mean))


@pytest.mark.feature("Reducers", "`SumReducer`")
@each_loss
def test_sum(loss_class: Any) -> None:
    assert_reduced(loss_class, SumReducer(), lambda parts: elements(parts).sum())


@pytest.mark.feature("Reducers", "`DivisorReducer`", "divides by the number of elements of all parts")
@each_loss
def test_divisor(loss_class: Any) -> None:
    assert_reduced(loss_class, DivisorReducer(), lambda parts: elements(parts).mean())


@pytest.mark.feature(
    "Reducers", "`AvgNonZeroReducer`", "keeps what is above 0; an energy of PFML can be below"
)
@pytest.mark.parametrize("points", [scattered(), gathered()])
@each_loss
def test_average_of_what_is_above_zero(loss_class: Any, points: Batch) -> None:
    average = sum_over_parts(lambda losses: mean_or_zero(losses[losses > 0]))
    assert_reduced(loss_class, AvgNonZeroReducer(), average, points)


@pytest.mark.feature("Reducers", "`ThresholdReducer`")
@each_loss
def test_threshold(loss_class: Any) -> None:
    parts, _ = parts_of(loss_class, *scattered())
    low, high = elements(parts).quantile(torch.tensor([0.2, 0.8])).tolist()
    average = sum_over_parts(lambda losses: losses[(losses > low) & (losses < high)].mean())
    assert_reduced(loss_class, ThresholdReducer(low, high), average)


def weighted_by_class(losses: Tensor) -> Tensor:
    """The mean of losses that are those of embeddings, of proxies, or of classes."""
    _, labels = scattered()
    every_class = torch.arange(NUM_CLASSES)
    proxy_labels = every_class.repeat_interleave(PROXIES_PER_CLASS)
    classes = {len(own): own for own in (labels, proxy_labels, every_class)}
    return (losses * CLASS_WEIGHTS[classes[len(losses)]]).mean()


@pytest.mark.feature("Reducers", "`ClassWeightedReducer`", "a proxy has the weight of its class")
@each_loss
def test_class_weights(loss_class: Any) -> None:
    reducer = ClassWeightedReducer(CLASS_WEIGHTS)
    assert_reduced(loss_class, reducer, sum_over_parts(weighted_by_class))


@pytest.mark.feature("Reducers", "`PerAnchorReducer`", "hands on the elements, which are not pairs")
@each_loss
def test_per_anchor(loss_class: Any) -> None:
    reducer = PerAnchorReducer(reducer=SumReducer())
    assert_reduced(loss_class, reducer, lambda parts: elements(parts).sum())


@pytest.mark.feature(
    "Reducers", "`MultipleReducers`", "a part without a reducer of its own gets `MeanReducer`"
)
@each_loss
def test_multiple_reducers(loss_class: Any) -> None:
    reducer = MultipleReducers({"embedding_energy": SumReducer(), "loss": SumReducer()})

    def by_name(parts: Parts) -> Tensor:
        first, *others = (part["losses"] for part in parts.values())
        return torch.stack([first.sum(), *(losses.mean() for losses in others)]).sum()

    assert_reduced(loss_class, reducer, by_name)


@pytest.mark.feature("Reducers", "`DoNothingReducer`")
@each_loss
def test_do_nothing(loss_class: Any) -> None:
    loss = build(loss_class)
    parts, _ = parts_of(loss_class, *batch())
    # The weight of the repulsion of mean fields is 0.
    assert set(parts) == set(loss.sub_loss_names()) - {"mean_field_reg_loss"}
    assert all(part["losses"].shape == part["indices"].shape for part in parts.values())
    torch.testing.assert_close(loss(*batch()), elements(parts).mean())
