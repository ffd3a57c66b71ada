"""What a memory refuses, and that it stays as it was."""

from typing import Any

import pytest
import torch
from pytorch_metric_learning.losses import ContrastiveLoss
from pytorch_metric_learning.miners import MultiSimilarityMiner
from torch import Tensor

from pml_potential import CPMLLoss, CrossBatchMemory
from tests.losses.loss_cases import (
    EMBEDDING_SIZE,
    LOSSES,
    NUM_CLASSES,
    batch,
    build,
    each_field_loss,
)
from tests.losses.memory_cases import (
    LOSSES_WITH_MEMORY,
    MEMORY_SIZE,
    after,
    assert_same_contents,
    contents,
    each_loss_with_memory,
    memory_of,
    past,
)

NAN, INFINITY = float("nan"), float("inf")


@each_loss_with_memory
def test_mask_that_enqueues_everything(loss_class: Any) -> None:
    memory = after(memory_of(loss_class), past(1))
    before = contents(memory)
    with pytest.raises(ValueError, match=r"has shape \(0, 3\); it must not be empty|enqueue_mask"):
        memory(*batch(), enqueue_mask=torch.ones(12, dtype=torch.bool))
    assert_same_contents(contents(memory), before)


@pytest.mark.parametrize(
    "mask",
    [
        pytest.param(torch.tensor([0, 1] * 6), id="integers"),
        pytest.param(torch.tensor([0.0, 1.0] * 6), id="floats"),
        pytest.param(torch.ones(5, dtype=torch.bool), id="too short"),
        pytest.param(torch.ones(12, 3, dtype=torch.bool), id="of two dimensions"),
        pytest.param([True, False] * 6, id="a list"),
    ],
)
@each_loss_with_memory
def test_bad_mask(loss_class: Any, mask: Any) -> None:
    memory = after(memory_of(loss_class), past(1))
    before = contents(memory)
    with pytest.raises((ValueError, TypeError), match="enqueue_mask"):
        memory(*batch(), enqueue_mask=mask)
    assert_same_contents(contents(memory), before)


@each_loss_with_memory
def test_mask_and_indices_together(loss_class: Any) -> None:
    embeddings, labels = batch()
    indices = MultiSimilarityMiner()(embeddings, labels)
    mask = torch.arange(len(labels)) % 2 == 0
    with pytest.raises(ValueError, match="indices_tuple and enqueue_mask are both given"):
        memory_of(loss_class)(embeddings, labels, indices, mask)


@each_loss_with_memory
def test_a_batch_larger_than_the_memory(loss_class: Any) -> None:
    memory = after(memory_of(loss_class, 11), past(1))
    before = contents(memory)
    with pytest.raises(ValueError, match="memory_size is 11; 12 embeddings at once do not fit"):
        memory(*batch(size=12))
    assert_same_contents(contents(memory), before)


def spoilt(value: float) -> tuple[Tensor, Tensor]:
    embeddings, labels = batch()
    rows = embeddings.detach().clone()
    rows[4, 1] = value
    return rows, labels


@pytest.mark.parametrize("mask", [None, torch.arange(12) < 6])
@pytest.mark.parametrize("value", [NAN, INFINITY, 1e30])
@each_loss_with_memory
def test_what_is_not_finite_stays_out(loss_class: Any, value: float, mask: Tensor | None) -> None:
    memory = after(memory_of(loss_class), past(1))
    before = contents(memory)
    with pytest.raises(ValueError, match=r"embeddings\[4\] has the norm"):
        memory(*spoilt(value), enqueue_mask=mask)
    assert_same_contents(contents(memory), before)


@pytest.mark.parametrize("mask", [None, torch.arange(12) < 6])
@each_field_loss
def test_a_batch_that_the_loss_refuses_stays_out(loss_class: Any, mask: Tensor | None) -> None:
    memory = after(memory_of(loss_class), past(1))
    before = contents(memory)
    memory.loss.proxies.data[0, 0] = NAN
    with pytest.raises(ValueError, match="proxies hold NaN"):
        memory(*batch(), enqueue_mask=mask)
    assert_same_contents(contents(memory), before)


@pytest.mark.parametrize(
    ("embeddings", "labels", "message"),
    [
        (torch.ones(4, 5), torch.arange(4), r"embeddings has shape \(4, 5\)"),
        (torch.ones(0, 3), torch.arange(0), r"embeddings has shape \(0, 3\)"),
        (torch.ones(4, 3), torch.arange(3), r"labels has shape \(3,\)"),
        (torch.ones(4, 3), -torch.arange(4), "labels holds -3"),
        (torch.ones(4, 3), None, "labels is None"),
    ],
)
@each_loss_with_memory
def test_bad_batches(loss_class: Any, embeddings: Any, labels: Any, message: str) -> None:
    memory = memory_of(loss_class)
    with pytest.raises(ValueError, match=message):
        memory(embeddings, labels)
    assert memory.queue_idx == 0


@each_field_loss
def test_label_beyond_the_classes(loss_class: Any) -> None:
    memory = memory_of(loss_class)
    with pytest.raises(ValueError, match="labels holds 4; with num_classes=4"):
        memory(*batch(classes=(0, NUM_CLASSES)))
    assert memory.queue_idx == 0


@pytest.mark.parametrize("name", ["embedding_size", "memory_size"])
@pytest.mark.parametrize(
    ("value", "error"), [(0, ValueError), (-1, ValueError), (True, TypeError), (1.5, TypeError)]
)
@each_loss_with_memory
def test_bad_sizes(loss_class: Any, name: str, value: Any, error: Any) -> None:
    sizes = {"embedding_size": EMBEDDING_SIZE, "memory_size": MEMORY_SIZE} | {name: value}
    with pytest.raises(error, match=f"{name} is {value}"):
        CrossBatchMemory(build(loss_class), **sizes)


@each_field_loss
def test_another_width_than_the_loss_has(loss_class: Any) -> None:
    with pytest.raises(ValueError, match="embedding_size is 4; it must be the loss's, 3"):
        CrossBatchMemory(build(loss_class), EMBEDDING_SIZE + 1)


@pytest.mark.parametrize("loss", [ContrastiveLoss(), torch.nn.CrossEntropyLoss(), None])
def test_wrong_loss(loss: Any) -> None:
    with pytest.raises(ValueError, match=f"loss is a {type(loss).__name__}; a memory works only with"):
        CrossBatchMemory(loss, EMBEDDING_SIZE)


def test_a_loss_that_only_has_the_name_of_one_that_can_have_a_memory() -> None:
    impostor = type("PotentialFieldLoss", (ContrastiveLoss,), {})()
    with pytest.raises(ValueError, match="loss is a PotentialFieldLoss; a memory works only with"):
        CrossBatchMemory(impostor, EMBEDDING_SIZE)


def test_support_is_told_by_name_too() -> None:
    CrossBatchMemory.check_loss_support("PotentialFieldLoss")
    with pytest.raises(ValueError, match="loss is a ContrastiveLoss; a memory works only with"):
        CrossBatchMemory.check_loss_support("ContrastiveLoss")


def test_losses_that_can_have_a_memory() -> None:
    names = {loss.__name__ for loss in LOSSES_WITH_MEMORY}
    assert set(CrossBatchMemory.supported_losses()) == names < {loss.__name__ for loss in LOSSES}


def test_values_are_not_looked_at_if_the_loss_does_not() -> None:
    loss = CPMLLoss(num_classes=2, embedding_size=3, proxies_per_class=1, check_finite=False)
    memory = CrossBatchMemory(loss, embedding_size=3, memory_size=4)
    assert memory(torch.full((2, 3), torch.nan), torch.tensor([0, 1])).shape == ()
