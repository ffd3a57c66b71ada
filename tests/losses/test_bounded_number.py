"""Numbers of losses that change while training goes on."""

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import nn

from pml_potential import (
    ClassWiseMultiSimilarityLoss,
    MeanFieldClassWiseMultiSimilarityLoss,
    MeanFieldContrastiveLoss,
)
from pml_potential.losses.bounded_number import BoundedNumber, ModuleWithNumbers
from tests.losses.loss_cases import all_gradients, batch, build, each_mean_field_loss

MULTI_SIMILARITY: list[tuple[str, float, list[float]]] = [
    ("alpha", 3.0, [0, -1, 1001]),
    ("beta", 7.0, [0, -1, 1001]),
    ("base", 0.1, [-1.1, 1.1]),
]
MARGINS: list[tuple[str, float, list[float]]] = [
    ("pos_margin", 0.4, [-0.1, 2.1]),
    ("neg_margin", 1.2, [-0.1, 2.1]),
]
WEIGHT: list[tuple[str, float, list[float]]] = [("regularization_weight", 0.5, [-0.1, float("inf")])]
NUMBERS = [
    (loss_class, *number)
    for loss_class, numbers in [
        (ClassWiseMultiSimilarityLoss, MULTI_SIMILARITY),
        (MeanFieldClassWiseMultiSimilarityLoss, MULTI_SIMILARITY + WEIGHT),
        (MeanFieldContrastiveLoss, MARGINS + WEIGHT),
    ]
    for number in numbers
]
each_number = pytest.mark.parametrize(
    ("loss_class", "name", "value"), [number[:3] for number in NUMBERS]
)


class Spring(ModuleWithNumbers):
    stiffness = BoundedNumber(0, 10, low_is_allowed=False)
    length = BoundedNumber(-1, 1)


def spring() -> Spring:
    made = Spring()
    made.stiffness, made.length = 2, 0.5
    return made


def test_each_instance_has_its_own_numbers() -> None:
    one, other = spring(), spring()
    one.stiffness = 3
    assert (one.stiffness, one.length, other.stiffness) == (3.0, 0.5, 2.0)
    assert isinstance(one.stiffness, float)
    assert vars(one)["stiffness"] == 3.0


def test_a_number_that_was_never_set_is_no_attribute() -> None:
    assert not hasattr(Spring(), "stiffness")


def test_the_class_shows_the_descriptor() -> None:
    assert isinstance(Spring.stiffness, BoundedNumber)


@pytest.mark.parametrize("value", [0, 11, float("nan"), float("inf")])
def test_a_number_outside_the_bounds_leaves_the_old_one(value: float) -> None:
    made = spring()
    with pytest.raises(ValueError, match=rf"stiffness is {value}; it must lie in \(0, 10\]"):
        made.stiffness = value
    assert made.stiffness == 2


@pytest.mark.parametrize(
    "value", [None, "3", True, torch.tensor(3.0), nn.Parameter(torch.tensor(3.0)), nn.Linear(1, 1)]
)
def test_what_is_no_number_leaves_the_old_one(value: Any) -> None:
    """torch would take some of these for parameters or submodules."""
    made = spring()
    with pytest.raises(TypeError, match=r"(?s)stiffness is .*; it must be a number"):
        made.stiffness = value
    assert made.stiffness == 2
    assert list(made.state_dict()) == []


def test_parameters_and_submodules_of_other_names_are_what_they_were() -> None:
    made = spring()
    made.mass = nn.Parameter(torch.ones(2))
    made.hook = nn.Linear(1, 1)
    assert [name for name, _ in made.named_parameters()] == ["mass", "hook.weight", "hook.bias"]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_keep_the_numbers_and_the_checks(duplicate: Any) -> None:
    made = duplicate(spring())
    assert (made.stiffness, made.length) == (2.0, 0.5)
    with pytest.raises(ValueError, match="length is -2"):
        made.length = -2


@each_number
def test_what_is_assigned_counts_from_the_next_call(loss_class: Any, name: str, value: float) -> None:
    loss = build(loss_class, torch.float64)
    before = all_gradients(loss, *batch(torch.float64))
    setattr(loss, name, value)
    after = all_gradients(loss, *batch(torch.float64))
    built_with_it = build(loss_class, torch.float64, **{name: value})
    torch.testing.assert_close(after, all_gradients(built_with_it, *batch(torch.float64)))
    assert after[0] != before[0]


@pytest.mark.parametrize(("loss_class", "name", "value", "outside"), NUMBERS)
def test_what_is_assigned_is_checked(
    loss_class: Any, name: str, value: float, outside: list[float]
) -> None:
    loss = build(loss_class, torch.float32, **{name: value})
    for number in outside:
        with pytest.raises(ValueError, match=f"{name} is {number}; it must lie in"):
            setattr(loss, name, number)
        with pytest.raises(ValueError, match=f"{name} is {number}; it must lie in"):
            build(loss_class, torch.float32, **{name: number})
    with pytest.raises(TypeError, match=f"(?s){name} is .*; it must be a number"):
        setattr(loss, name, nn.Parameter(torch.tensor(value)))
    assert getattr(loss, name) == value


@each_number
def test_pml_records_what_is_assigned(loss_class: Any, name: str, value: float) -> None:
    loss = build(loss_class)
    setattr(loss, name, value)
    assert name in loss._record_these
    assert getattr(loss, name) == value


@each_mean_field_loss
def test_regularization_can_be_switched_on_and_off(loss_class: Any) -> None:
    loss, plain = build(loss_class), build(loss_class)
    with_it = build(loss_class, regularization_weight=0.5)
    for weight, expected in [(0.5, with_it), (0.0, plain), (0.5, with_it)]:
        loss.regularization_weight = weight
        torch.testing.assert_close(all_gradients(loss, *batch()), all_gradients(expected, *batch()))
        assert loss.sub_loss_names() == expected.sub_loss_names()
