"""What tests/compatibility/test_memory.py leaves out: masks, miners, checkpoints and bad input."""

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from loss_cases import (
    EMBEDDING_SIZE,
    FIELD_LOSSES,
    LOSSES,
    NUM_CLASSES,
    all_gradients,
    batch,
    build,
    each_field_loss,
)
from pytorch_metric_learning.losses import ContrastiveLoss
from pytorch_metric_learning.miners import MultiSimilarityMiner, TripletMarginMiner
from pytorch_metric_learning.utils.loss_and_miner_utils import remove_self_comparisons
from torch import Tensor

from pml_potential import ClassWiseMultiSimilarityLoss, CrossBatchMemory

MEMORY_SIZE = 15
NAN, INFINITY = float("nan"), float("inf")

LOSSES_WITH_MEMORY = [*FIELD_LOSSES, ClassWiseMultiSimilarityLoss]
each_loss_with_memory = pytest.mark.parametrize("loss_class", LOSSES_WITH_MEMORY)
each_miner = pytest.mark.parametrize(
    "miner", [None, MultiSimilarityMiner(epsilon=0.3), TripletMarginMiner(margin=0.4)]
)
only_pml = pytest.mark.parametrize("loss_class", [ClassWiseMultiSimilarityLoss])


def memory_of(loss_class: Any, size: int = MEMORY_SIZE, **arguments: Any) -> CrossBatchMemory:
    return CrossBatchMemory(build(loss_class), EMBEDDING_SIZE, size, **arguments)


def past(steps: int, size: int = 7, dtype: torch.dtype = torch.float32) -> list[tuple[Tensor, Tensor]]:
    return [batch(dtype, size=size, seed=10 + step) for step in range(steps)]


def after(memory: CrossBatchMemory, batches: list[tuple[Tensor, Tensor]]) -> CrossBatchMemory:
    for embeddings, labels in batches:
        memory(embeddings, labels)
    return memory


def together(batches: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    embeddings, labels = zip(*batches, strict=True)
    return torch.cat(embeddings).detach(), torch.cat(labels)


def contents(memory: CrossBatchMemory) -> tuple[Tensor, Tensor, int, bool]:
    buffers = memory.embedding_memory.clone(), memory.label_memory.clone()
    return *buffers, memory.queue_idx, memory.has_been_filled


def assert_same_contents(found: Any, expected: Any) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@each_loss_with_memory
def test_masked_embeddings_are_sources_only(loss_class: Any) -> None:
    embeddings, labels = batch()
    mask = torch.arange(len(labels)) % 3 == 0
    memory = after(memory_of(loss_class, 50), past(2))
    value = memory(embeddings, labels, enqueue_mask=mask)
    value.backward()
    sources, source_labels = together([*past(2), (embeddings[mask], labels[mask])])
    others = embeddings[~mask].detach().requires_grad_()
    expected = build(loss_class)(others, labels[~mask], ref_emb=sources, ref_labels=source_labels)
    expected.backward()
    torch.testing.assert_close(value, expected)
    assert embeddings.grad is not None
    torch.testing.assert_close(embeddings.grad[~mask], others.grad)
    assert (embeddings.grad[mask] == 0).all()
    assert_same_contents(memory.embedding_memory[: memory.queue_idx], sources)
    assert_same_contents(memory.label_memory[: memory.queue_idx], source_labels)


@pytest.mark.parametrize("filled", [0, 1, 4])
@each_loss_with_memory
def test_mask_that_enqueues_nothing(loss_class: Any, filled: int) -> None:
    """The memory stays as it was; where it is empty the loss is that of the batch alone."""
    embeddings, labels = batch()
    memory = after(memory_of(loss_class), past(filled))
    before = contents(memory)
    value = memory(embeddings, labels, enqueue_mask=torch.zeros(len(labels), dtype=torch.bool))
    assert_same_contents(contents(memory), before)
    sources = together([(before[0], before[1])]) if filled == 4 else (before[0][:7], before[1][:7])
    arguments = {"ref_emb": sources[0], "ref_labels": sources[1]} if filled else {}
    torch.testing.assert_close(value, build(loss_class)(embeddings, labels, **arguments))


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


@pytest.mark.parametrize("miner", [MultiSimilarityMiner(epsilon=0.3), TripletMarginMiner(margin=0.4)])
@each_field_loss
def test_a_miner_chooses_from_the_batch_and_the_memory(loss_class: Any, miner: Any) -> None:
    embeddings, labels = batch()
    memory = after(memory_of(loss_class, miner=miner), past(2))
    sources, source_labels = together(past(2))
    indices = miner(embeddings, labels, sources, source_labels)
    expected = all_gradients(
        build(loss_class),
        embeddings,
        labels,
        indices_tuple=indices,
        ref_emb=sources,
        ref_labels=source_labels,
    )
    torch.testing.assert_close(all_gradients(memory, embeddings, labels), expected)


@only_pml
def test_a_miner_of_pairs_leaves_out_those_of_a_point_with_itself(loss_class: Any) -> None:
    miner = MultiSimilarityMiner(epsilon=0.3)
    embeddings, labels = batch()
    memory = after(memory_of(loss_class, 40, miner=miner), past(2))
    sources, source_labels = together([*past(2), (embeddings, labels)])
    itself = torch.arange(14, 26)
    indices = remove_self_comparisons(
        miner(embeddings, labels, sources, source_labels), itself, len(sources)
    )
    expected = build(loss_class)(embeddings, labels, indices, sources, source_labels)
    torch.testing.assert_close(memory(embeddings, labels), expected)


@each_field_loss
def test_indices_choose_whose_energy_counts(loss_class: Any) -> None:
    embeddings, labels = batch()
    indices = TripletMarginMiner(margin=0.4)(embeddings, labels)
    memory = after(memory_of(loss_class), past(2))
    sources, source_labels = together(past(2))
    expected = build(loss_class)(embeddings, labels, indices, sources, source_labels)
    torch.testing.assert_close(memory(embeddings, labels, indices), expected)


@each_field_loss
def test_indices_before_anything_is_remembered(loss_class: Any) -> None:
    embeddings, labels = batch()
    indices = TripletMarginMiner(margin=0.4)(embeddings, labels)
    expected = build(loss_class)(embeddings, labels, indices)
    torch.testing.assert_close(memory_of(loss_class)(embeddings, labels, indices), expected)


@each_loss_with_memory
def test_a_batch_larger_than_the_memory(loss_class: Any) -> None:
    memory = after(memory_of(loss_class, 11), past(1))
    before = contents(memory)
    with pytest.raises(ValueError, match="memory_size is 11; 12 embeddings at once do not fit"):
        memory(*batch(size=12))
    assert_same_contents(contents(memory), before)


@each_loss_with_memory
def test_of_a_large_batch_a_part_may_fit(loss_class: Any) -> None:
    memory = memory_of(loss_class, 4)
    memory(*batch(size=12), enqueue_mask=torch.arange(12) < 4)
    assert_same_contents(memory.embedding_memory, batch(size=12)[0][:4].detach())


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


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
@each_loss_with_memory
def test_copies_go_on_independently(loss_class: Any, duplicate: Any) -> None:
    memory = after(memory_of(loss_class), past(3))
    other = duplicate(memory)
    expected = after(memory_of(loss_class), past(4))(*batch())
    assert after(other, past(4)[3:])(*batch()) == expected
    assert after(memory, past(4)[3:])(*batch()) == expected


def by_state_dict(memory: CrossBatchMemory) -> dict[str, Any]:
    return copy.deepcopy(memory.state_dict())


def by_file(memory: CrossBatchMemory) -> Any:
    file = io.BytesIO()
    torch.save(memory.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("saved", [by_state_dict, by_file])
@pytest.mark.parametrize("steps", [0, 1, 2, 3, 6])
@each_loss_with_memory
def test_checkpoints_go_on_where_they_were(
    loss_class: Any, steps: int, saved: Callable[[CrossBatchMemory], Any]
) -> None:
    memory = after(memory_of(loss_class), past(steps))
    for parameter in memory.parameters():
        parameter.data.normal_()
    other = after(memory_of(loss_class), past(1, size=9))
    other.load_state_dict(saved(memory))
    assert_same_contents(contents(other), contents(memory))
    later = past(steps + 2)[steps:]
    expected = after(memory, later)(*batch())
    assert after(other, later)(*batch()) == expected


@each_loss_with_memory
def test_checkpoint_within_a_larger_model(loss_class: Any) -> None:
    memory, other = after(memory_of(loss_class), past(3)), memory_of(loss_class)
    model = torch.nn.ModuleDict({"loss": memory})
    torch.nn.ModuleDict({"loss": other}).load_state_dict(model.state_dict())
    assert_same_contents(contents(other), contents(memory))


@each_loss_with_memory
def test_checkpoint_of_another_memory_size_changes_nothing(loss_class: Any) -> None:
    memory = after(memory_of(loss_class), past(1))
    before = contents(memory)
    state = after(memory_of(loss_class, 40), past(4)).state_dict()
    with pytest.raises(RuntimeError, match="embedding_memory"):
        memory.load_state_dict(state)
    assert_same_contents(contents(memory), before)


@each_loss_with_memory
def test_a_reset_memory_is_a_new_one(loss_class: Any) -> None:
    memory = after(memory_of(loss_class), past(4))
    memory.reset_queue()
    assert after(memory, past(2))(*batch()) == after(memory_of(loss_class), past(2))(*batch())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@each_loss_with_memory
def test_half_precision_gives_the_float32_value(loss_class: Any, dtype: torch.dtype) -> None:
    halves = past(3, dtype=dtype)
    memory = after(memory_of(loss_class), halves)
    full = after(memory_of(loss_class), [(embeddings.float(), labels) for embeddings, labels in halves])
    embeddings, labels = batch(dtype)
    found = all_gradients(memory, embeddings, labels)
    value, gradient, *others = all_gradients(full, embeddings.float(), labels)
    assert found[0].dtype == torch.float32
    torch.testing.assert_close(found, [value, gradient.to(dtype), *others])


@each_loss_with_memory
def test_autocast_may_change_between_batches(loss_class: Any) -> None:
    memory = after(memory_of(loss_class), [*past(1, dtype=torch.float16), *past(2)[1:]])
    rounded = past(1, dtype=torch.float16)[0][0].float()
    full = after(memory_of(loss_class), [(rounded, past(1)[0][1]), *past(2)[1:]])
    torch.testing.assert_close(memory(*batch()), full(*batch()))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32])
@each_loss_with_memory
def test_labels_keep_their_value_whatever_their_dtype(loss_class: Any, dtype: torch.dtype) -> None:
    sizes: dict[str, Any] = {"num_classes": 400} if loss_class in FIELD_LOSSES else {}
    memory, same = (CrossBatchMemory(build(loss_class, **sizes), EMBEDDING_SIZE, 40) for _ in range(2))
    embeddings, labels = batch(classes=(44, 1), seed=2)
    after(memory, [batch(classes=(300, 1)), (embeddings, labels.to(dtype))])
    after(same, [batch(classes=(300, 1)), (embeddings, labels)])
    assert memory(*batch(classes=(44, 2))) == same(*batch(classes=(44, 2)))


@each_field_loss
def test_the_memory_gets_no_gradient(loss_class: Any) -> None:
    embeddings, labels = batch()
    memory = memory_of(loss_class)
    memory(embeddings, labels).backward()
    gradient = embeddings.grad
    memory(*batch(size=3)).backward()
    assert not memory.embedding_memory.requires_grad
    assert embeddings.grad is gradient


@each_field_loss
def test_a_loss_in_a_memory_grows(loss_class: Any) -> None:
    memory = after(memory_of(loss_class), past(1))
    memory.loss.add_classes(1)
    sources, source_labels = together(past(1))
    embeddings, labels = batch(classes=(4, 0))
    expected = memory.loss(embeddings, labels, ref_emb=sources, ref_labels=source_labels)
    assert memory(embeddings, labels) == expected


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
    with pytest.raises(ValueError, match=f"loss is a {type(loss).__name__}; a memory is of use to"):
        CrossBatchMemory(loss, EMBEDDING_SIZE)


def test_losses_that_can_have_a_memory() -> None:
    names = {loss.__name__ for loss in LOSSES_WITH_MEMORY}
    assert set(CrossBatchMemory.supported_losses()) == names < {loss.__name__ for loss in LOSSES}


@each_loss_with_memory
def test_attributes_that_pml_records(loss_class: Any) -> None:
    memory = after(memory_of(loss_class), past(1))
    names = ["embedding_size", "memory_size", "queue_idx"]
    assert memory._record_these == names
    assert [getattr(memory, name) for name in names] == [EMBEDDING_SIZE, MEMORY_SIZE, 7]
