"""Copies and checkpoints of a loss with a memory."""

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch

from pml_potential import CrossBatchMemory
from tests.losses.loss_cases import (
    batch,
)
from tests.losses.memory_cases import (
    after,
    assert_same_contents,
    contents,
    each_loss_with_memory,
    memory_of,
    past,
)


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
