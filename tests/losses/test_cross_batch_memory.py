"""What tests/compatibility/test_memory.py leaves out: masks, miners and dtypes."""

from typing import Any

import pytest
import torch
from pytorch_metric_learning.miners import MultiSimilarityMiner, TripletMarginMiner
from pytorch_metric_learning.utils.loss_and_miner_utils import (
    convert_to_pairs,
    get_all_pairs_indices,
    remove_self_comparisons,
)

from pml_potential import ClassWiseMultiSimilarityLoss, CrossBatchMemory
from tests.losses.loss_cases import (
    EMBEDDING_SIZE,
    FIELD_LOSSES,
    all_gradients,
    batch,
    build,
    each_field_loss,
)
from tests.losses.memory_cases import (
    MEMORY_SIZE,
    after,
    assert_same_contents,
    contents,
    each_loss_with_memory,
    memory_of,
    past,
    together,
)

only_pml = pytest.mark.parametrize("loss_class", [ClassWiseMultiSimilarityLoss])


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


@pytest.mark.parametrize("miner", [MultiSimilarityMiner(epsilon=0.3), TripletMarginMiner(margin=0.4)])
@only_pml
def test_indices_choose_pairs_of_the_batch(loss_class: Any, miner: Any) -> None:
    """The batch is the end of the memory, from row 14 on."""
    embeddings, labels = batch()
    memory = after(memory_of(loss_class, 40), past(2))
    sources, source_labels = together([*past(2), (embeddings, labels)])
    chosen = convert_to_pairs(miner(embeddings, labels), labels)
    everything = remove_self_comparisons(
        get_all_pairs_indices(labels, source_labels), torch.arange(14, 26), len(sources)
    )
    shifted = chosen[0], chosen[1] + 14, chosen[2], chosen[3] + 14
    indices = tuple(map(torch.cat, zip(everything, shifted, strict=True)))
    expected = build(loss_class)(embeddings, labels, indices, sources, source_labels)
    torch.testing.assert_close(memory(embeddings, labels, miner(embeddings, labels)), expected)


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
def test_of_a_large_batch_a_part_may_fit(loss_class: Any) -> None:
    memory = memory_of(loss_class, 4)
    memory(*batch(size=12), enqueue_mask=torch.arange(12) < 4)
    assert_same_contents(memory.embedding_memory, batch(size=12)[0][:4].detach())


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


@each_loss_with_memory
def test_a_loss_of_a_derived_class_has_a_memory(loss_class: Any) -> None:
    derived = type("MyLoss", (type("MyBase", (loss_class,), {}),), {})
    loss = build(loss_class)
    loss.__class__ = derived
    memory = after(CrossBatchMemory(loss, EMBEDDING_SIZE, MEMORY_SIZE), past(2))
    assert memory(*batch()) == after(memory_of(loss_class), past(2))(*batch())


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


@each_loss_with_memory
def test_attributes_that_pml_records(loss_class: Any) -> None:
    memory = after(memory_of(loss_class), past(1))
    names = ["embedding_size", "memory_size", "queue_idx"]
    assert memory._record_these == names
    assert [getattr(memory, name) for name in names] == [EMBEDDING_SIZE, MEMORY_SIZE, 7]
