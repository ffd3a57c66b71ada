"""Numbers that the parameters of a loss are built on."""

import copy
import pickle
from typing import Any

import pytest

from pml_potential.losses.fixed_number import FixedNumber
from tests.losses.loss_cases import (
    EMBEDDING_SIZE,
    NUM_CLASSES,
    PROXIES_PER_CLASS,
    batch,
    build,
    each_field_loss,
    each_loss_with_parameters,
)
from tests.losses.memory_cases import MEMORY_SIZE, after, each_loss_with_memory, memory_of, past

duplicates = pytest.mark.parametrize(
    "duplicate", [lambda x: x, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)


class Grid:
    rows: Any = FixedNumber("build another grid")

    def __init__(self, rows: int) -> None:
        self.rows = rows


def test_it_is_set_once_by_each_instance() -> None:
    one, other = Grid(3), Grid(4)
    assert (one.rows, other.rows) == (3, 4)
    with pytest.raises(AttributeError, match="rows is 3 and cannot be set to 5: build another grid"):
        one.rows = 5
    assert (one.rows, other.rows) == (3, 4)


def test_it_can_be_changed_on_purpose() -> None:
    grid = Grid(3)
    FixedNumber.change(grid, "rows", 5)
    assert grid.rows == 5


@duplicates
@each_loss_with_parameters
def test_classes_are_added_and_not_assigned(loss_class: Any, duplicate: Any) -> None:
    loss = duplicate(build(loss_class))
    with pytest.raises(AttributeError, match="num_classes is 4 and cannot be set to 6: call add_cla"):
        loss.num_classes = 6
    loss.add_classes(2)
    assert loss.num_classes == NUM_CLASSES + 2
    with pytest.raises(AttributeError, match="num_classes is 6 and cannot be set to 4: call add_cla"):
        loss.num_classes = 4
    assert loss(*batch(classes=(0, 5))).isfinite()


@duplicates
@each_loss_with_parameters
def test_another_embedding_size_needs_another_loss(loss_class: Any, duplicate: Any) -> None:
    loss = duplicate(build(loss_class))
    with pytest.raises(AttributeError, match="embedding_size is 3 and cannot be set to 5: build anoth"):
        loss.embedding_size = 5
    assert loss.embedding_size == EMBEDDING_SIZE


@duplicates
@each_field_loss
def test_another_number_of_proxies_needs_another_loss(loss_class: Any, duplicate: Any) -> None:
    loss = duplicate(build(loss_class))
    with pytest.raises(AttributeError, match="proxies_per_class is 2 and cannot be set to 3: build an"):
        loss.proxies_per_class = 3
    assert loss.proxies_per_class == PROXIES_PER_CLASS


@pytest.mark.parametrize(("name", "value"), [("memory_size", MEMORY_SIZE), ("embedding_size", 3)])
@each_loss_with_memory
def test_another_size_needs_another_memory(loss_class: Any, name: str, value: int) -> None:
    memory = after(memory_of(loss_class), past(3))
    with pytest.raises(AttributeError, match=f"{name} is {value} and cannot be set to 7: build anothe"):
        setattr(memory, name, 7)
    assert getattr(memory, name) == value
