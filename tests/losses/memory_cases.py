"""Losses with a memory, and batches that it has seen."""

from typing import Any

import pytest
import torch
from torch import Tensor

from pml_potential import ClassWiseMultiSimilarityLoss, CrossBatchMemory
from tests.losses.loss_cases import (
    EMBEDDING_SIZE,
    FIELD_LOSSES,
    batch,
    build,
)

MEMORY_SIZE = 15

LOSSES_WITH_MEMORY = [*FIELD_LOSSES, ClassWiseMultiSimilarityLoss]
each_loss_with_memory = pytest.mark.parametrize("loss_class", LOSSES_WITH_MEMORY)


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
