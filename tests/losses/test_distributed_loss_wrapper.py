"""What tests/compatibility/test_processes.py leaves out: all that the wrapper may be called with."""

from typing import Any

import pytest
import torch

from pml_potential import (
    ClassWiseMultiSimilarityLoss,
    CPMLLoss,
    CrossBatchMemory,
    DistributedLossWrapper,
)
from tests.losses.loss_cases import (
    EMBEDDING_SIZE,
    FIELD_LOSSES,
    all_gradients,
    batch,
    build,
    each_field_loss,
    each_loss,
)
from tests.losses.loss_processes import (
    GROUP_SIZES,
    MEMORY_OBJECTIVES,
    OBJECTIVES,
    found_by_one_process,
    found_by_processes,
    in_order,
    network,
    whole_batch,
    with_another_use,
    with_mask,
    with_memory,
    with_miner,
    with_miner_and_references,
    with_references,
    without_gradient,
)

each_group = pytest.mark.parametrize("processes", GROUP_SIZES)
each_loss_with_references = pytest.mark.parametrize(
    "loss_class", [*FIELD_LOSSES, ClassWiseMultiSimilarityLoss]
)


def assert_same(found: Any, expected: Any) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@each_group
@each_loss_with_references
def test_references_of_all_processes_are_sources_of_one_field(loss_class: Any, processes: int) -> None:
    expected = found_by_one_process(loss_class, processes, objective=with_references)
    for found in found_by_processes()[processes][loss_class.__name__, "references"]:
        assert_same(found, expected)


@each_group
@each_field_loss
def test_a_miner_of_all_processes_chooses_from_the_whole_batch(loss_class: Any, processes: int) -> None:
    expected = found_by_one_process(loss_class, processes, objective=with_miner)
    plain = found_by_one_process(loss_class, processes)
    assert abs(expected["value"] - plain["value"]) > 1e-3 * abs(plain["value"])
    for found in found_by_processes()[processes][loss_class.__name__, "miner"]:
        assert_same(found, expected)


@each_group
@each_loss_with_references
def test_a_miner_of_all_processes_chooses_pairs_with_the_references_of_all(
    loss_class: Any, processes: int
) -> None:
    expected = found_by_one_process(loss_class, processes, objective=with_miner_and_references)
    plain = found_by_one_process(loss_class, processes, objective=with_references)
    assert abs(expected["value"] - plain["value"]) > 1e-3
    for found in found_by_processes()[processes][loss_class.__name__, "miner and references"]:
        assert_same(found, expected)


@each_group
def test_batches_and_references_are_joined_in_the_order_of_the_ranks(processes: int) -> None:
    expected = found_by_one_process(CPMLLoss, processes, objective=in_order)
    expected.pop("proxies")
    for found in found_by_processes()[processes]["CPMLLoss", "order"]:
        assert_same({name: found[name] for name in expected}, expected)


@pytest.mark.parametrize("way", ["steps", "steps with miner", "steps with mask"])
@each_group
@each_loss_with_references
def test_a_memory_is_the_same_queue_in_all_processes(loss_class: Any, processes: int, way: str) -> None:
    expected = found_by_one_process(loss_class, processes, with_memory, MEMORY_OBJECTIVES[way])
    assert {"embedding_memory", "label_memory"} < set(expected)
    for found in found_by_processes()[processes][loss_class.__name__, way]:
        assert_same(found, expected)


@each_group
@each_loss
def test_another_use_of_the_embeddings_keeps_its_gradient(loss_class: Any, processes: int) -> None:
    expected = found_by_one_process(loss_class, processes, objective=with_another_use)
    parts = found_by_processes()[processes][loss_class.__name__, "another use"]
    # Each process has the mean over its own part, but the loss of all.
    assert_same(torch.stack([found["value"] for found in parts]).mean(), expected.pop("value"))
    for found in parts:
        assert_same({name: found[name] for name in expected}, expected)


@each_group
@each_loss_with_references
def test_masks_of_all_processes_choose_what_a_memory_keeps(loss_class: Any, processes: int) -> None:
    expected = found_by_one_process(loss_class, processes, objective=with_mask)
    for found in found_by_processes()[processes][loss_class.__name__, "mask"]:
        assert_same(found, expected)


@each_group
@each_loss
def test_embeddings_without_a_gradient_are_fine(loss_class: Any, processes: int) -> None:
    expected = found_by_one_process(loss_class, processes, objective=without_gradient)
    parts = found_by_processes()[processes][loss_class.__name__, "no gradient"]
    assert_same(torch.stack([found["value"] for found in parts]).mean(), expected.pop("value"))
    for found in parts:
        assert_same({name: found[name] for name in expected}, expected)


@each_loss
def test_in_one_process_the_wrapper_is_the_loss(loss_class: Any) -> None:
    loss = build(loss_class, torch.float64)
    images, labels = whole_batch(1)
    embeddings = network()(images)
    assert DistributedLossWrapper(loss)(embeddings, labels) == loss(embeddings, labels)


@each_field_loss
def test_in_one_process_references_and_indices_are_handed_on(loss_class: Any) -> None:
    embeddings, labels = batch()
    references, ref_labels = batch(size=5, seed=2)
    indices = torch.tensor([0, 1]), torch.tensor([4, 5]), torch.tensor([2, 3])
    arguments = {"indices_tuple": indices, "ref_emb": references, "ref_labels": ref_labels}
    found = all_gradients(DistributedLossWrapper(build(loss_class)), embeddings, labels, **arguments)
    expected = all_gradients(build(loss_class), embeddings, labels, **arguments)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@each_loss_with_references
def test_in_one_process_a_mask_is_handed_on_to_a_memory(loss_class: Any) -> None:
    embeddings, labels = batch()
    memory = CrossBatchMemory(build(loss_class), EMBEDDING_SIZE, 20)
    DistributedLossWrapper(memory)(embeddings, labels, enqueue_mask=torch.arange(12) < 4)
    assert memory.queue_idx == 4
    assert memory.embedding_memory[:4].equal(embeddings[:4].detach())


REFUSALS = pytest.mark.parametrize(
    ("way", "message"),
    [
        ("memory and references", "ref_emb is given; CrossBatchMemory does not take it, leave it out"),
        ("mask and no memory", "enqueue_mask is given; {} does not take it, leave it out"),
    ],
)


@REFUSALS
@each_group
@each_loss_with_references
def test_an_argument_that_the_loss_does_not_take_is_refused_in_many_processes(
    loss_class: Any, processes: int, way: str, message: str
) -> None:
    for found in found_by_processes()[processes][loss_class.__name__, way]:
        assert found["error"] == message.format(loss_class.__name__)


@REFUSALS
@each_loss_with_references
def test_an_argument_that_the_loss_does_not_take_is_refused_in_one_process(
    loss_class: Any, way: str, message: str
) -> None:
    loss = build(loss_class, torch.float64)
    images, labels = whole_batch(1)
    wrapper = DistributedLossWrapper(with_memory(loss) if way.startswith("memory") else loss)
    with pytest.raises(ValueError, match=message.format(loss_class.__name__)):
        (OBJECTIVES | MEMORY_OBJECTIVES)[way](wrapper, network()(images), labels)


@each_loss_with_references
def test_labels_of_references_without_references_are_refused(loss_class: Any) -> None:
    wrapper = DistributedLossWrapper(with_memory(build(loss_class)))
    with pytest.raises(ValueError, match="ref_labels is given; CrossBatchMemory does not take it"):
        wrapper(*batch(), ref_labels=batch()[1])


def test_something_that_is_not_a_loss_is_refused() -> None:
    with pytest.raises(TypeError, match="must extend"):
        DistributedLossWrapper(torch.nn.Linear(2, 2))  # type: ignore[arg-type]
