"""A memory of past embeddings: the field, or the pairs, of the batch and of what came before it."""

from typing import Any

import pytest
import torch
from torch import Tensor

from pml_potential import (
    ClassWiseMultiSimilarityLoss,
    CPMLLoss,
    CrossBatchMemory,
    PotentialFieldLoss,
)
from tests.losses.loss_cases import (
    EMBEDDING_SIZE,
    all_gradients,
    batch,
    build,
    each_field_loss,
    each_mean_field_loss,
)
from tests.losses.oracles import class_wise_multi_similarity, contrastive_law, field_energies, power_law

memory = pytest.mark.feature(
    "Wrappers and references",
    "`pml_potential.CrossBatchMemory`",
    "PFML and CPML: sources of the field; CWMS: the second embedding of each pair",
)
after_each_number_of_batches = pytest.mark.parametrize("earlier", range(8))

MEMORY_SIZE = 15
SIZES = [12, 7, 1, 15, 3, 11, 11, 12]
"""Of batches: the queue fills, goes round, is filled at one stroke, and ends exactly at its end."""


def batches() -> list[tuple[Tensor, Tensor]]:
    return [batch(torch.float64, size=size, seed=seed) for seed, size in enumerate(SIZES)]


def remembered(count: int) -> tuple[Tensor, Tensor]:
    """The last embeddings of the first ``count`` batches, and their labels."""
    embeddings, labels = zip(*batches()[:count], strict=True)
    return torch.cat(embeddings).detach()[-MEMORY_SIZE:], torch.cat(labels)[-MEMORY_SIZE:]


def memory_after(loss: Any, earlier: int) -> CrossBatchMemory:
    loss_with_memory = CrossBatchMemory(loss, EMBEDDING_SIZE, MEMORY_SIZE)
    for embeddings, labels in batches()[:earlier]:
        loss_with_memory(embeddings, labels).backward()
    return loss_with_memory


@memory
@after_each_number_of_batches
@pytest.mark.parametrize(
    ("loss_class", "laws"),
    [(PotentialFieldLoss, power_law(4, 0.7, 0.7, 0.35)), (CPMLLoss, contrastive_law(0.7))],
)
def test_a_field_of_batch_proxies_and_memory(loss_class: Any, laws: Any, earlier: int) -> None:
    loss = build(loss_class, torch.float64, delta=0.7)
    embeddings, labels = batches()[earlier]
    points = embeddings.tolist() + loss.proxies.tolist()
    point_labels = labels.tolist() + loss.proxy_labels.tolist()
    count = len(points)
    if earlier > 0:
        past, past_labels = remembered(earlier)
        points, point_labels = points + past.tolist(), point_labels + past_labels.tolist()
    expected = sum(field_energies(points, point_labels, laws, count)) / count
    value = memory_after(loss, earlier)(embeddings, labels)
    assert value.item() == pytest.approx(expected, rel=1e-10)


@memory
@pytest.mark.parametrize("earlier", range(1, 8))
@each_field_loss
def test_gradient_is_that_with_references(loss_class: Any, earlier: int) -> None:
    loss, plain = (build(loss_class, torch.float64, delta=0.7) for _ in range(2))
    past, past_labels = remembered(earlier)
    expected = all_gradients(plain, *batches()[earlier], ref_emb=past, ref_labels=past_labels)
    torch.testing.assert_close(all_gradients(memory_after(loss, earlier), *batches()[earlier]), expected)


@memory
@each_field_loss
def test_gradient_before_anything_is_remembered(loss_class: Any) -> None:
    loss_with_memory = CrossBatchMemory(build(loss_class), EMBEDDING_SIZE, MEMORY_SIZE)
    torch.testing.assert_close(
        all_gradients(loss_with_memory, *batch()), all_gradients(build(loss_class), *batch())
    )


@memory
@after_each_number_of_batches
@pytest.mark.parametrize("loss_class", [ClassWiseMultiSimilarityLoss])
def test_pairs_of_batch_and_memory(loss_class: Any, earlier: int) -> None:
    loss = build(loss_class, torch.float64, alpha=2.0, beta=40.0, base=0.5)
    embeddings, labels = batches()[earlier]
    past, past_labels = remembered(earlier + 1)
    own = len(past) - len(embeddings)
    pairs = [(i, j) for i in range(len(embeddings)) for j in range(len(past)) if j != own + i]
    expected = class_wise_multi_similarity(
        embeddings.tolist(),
        labels.tolist(),
        loss.alpha,
        loss.beta,
        loss.base,
        past.tolist(),
        past_labels.tolist(),
        pairs,
    )
    value = memory_after(loss, earlier)(embeddings, labels)
    assert value.item() == pytest.approx(expected, rel=1e-10)


@memory
@each_field_loss
def test_gradient_is_that_of_the_value(loss_class: Any) -> None:
    embeddings, labels = batches()[1]

    def value(z: Tensor) -> Tensor:
        result: Tensor = memory_after(build(loss_class, torch.float64, delta=0.7), 1)(z, labels)
        return result

    assert torch.autograd.gradcheck(value, (embeddings,), eps=1e-7, rtol=1e-3, atol=1e-3)


@memory
@pytest.mark.parametrize("earlier", [0, 1, 3, 5, 7])
@pytest.mark.parametrize("loss_class", [ClassWiseMultiSimilarityLoss])
def test_gradient_of_pairs_treats_the_memory_as_fixed(loss_class: Any, earlier: int) -> None:
    embeddings, labels = batches()[earlier]
    past, past_labels = remembered(earlier + 1)
    own = torch.arange(len(past) - len(embeddings), len(past))
    same = labels[:, None] == past_labels
    itself = torch.arange(len(past)) == own[:, None]
    indices = (*(same & ~itself).nonzero(as_tuple=True), *(~same).nonzero(as_tuple=True))
    references = {"ref_emb": past, "ref_labels": past_labels}
    loss = build(loss_class, torch.float64)
    expected = all_gradients(loss, embeddings, labels, indices_tuple=indices, **references)
    torch.testing.assert_close(all_gradients(memory_after(loss, earlier), embeddings, labels), expected)


@memory
@each_mean_field_loss
def test_memory_beside_mean_fields(loss_class: Any, refuses: Any) -> None:
    why = "embeddings meet mean fields only, never other embeddings"
    with refuses(why, f"loss is a {loss_class.__name__}; a memory works only with CPMLLoss, Class"):
        CrossBatchMemory(build(loss_class), EMBEDDING_SIZE)
