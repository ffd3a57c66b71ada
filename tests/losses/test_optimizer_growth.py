"""Optimizers that go on after their parameter got further rows."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pml_potential.losses.optimizer_growth import state_with_further_rows
from tests.losses.loss_cases import NUM_CLASSES, all_gradients, batch, build, each_loss_with_parameters

OLD, NEW, WIDTH = 6, 4, 5
LEARNING_RATE = 0.01

CORRECTED: list[tuple[Any, dict[str, Any]]] = [
    (torch.optim.Adam, {}),
    (torch.optim.Adam, {"foreach": True}),
    (torch.optim.Adam, {"betas": (0.5, 0.9)}),
    (torch.optim.AdamW, {"amsgrad": True}),
    (torch.optim.NAdam, {}),
    (torch.optim.RAdam, {}),
]
"""Optimizers that divide moments by what a row has seen since the first step."""

PLAIN: list[tuple[Any, dict[str, Any]]] = [
    (torch.optim.SGD, {"momentum": 0.9}),
    (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    (torch.optim.SGD, {}),
    (torch.optim.RMSprop, {}),
    (torch.optim.RMSprop, {"centered": True, "momentum": 0.5}),
    (torch.optim.Adagrad, {}),
    (torch.optim.Adagrad, {"initial_accumulator_value": 0.1}),
    (torch.optim.Adadelta, {}),
]
"""Optimizers whose new rows make exactly the steps of a fresh one."""

# torch has it from 2.5 on.
ADAFACTOR = [torch.optim.Adafactor] if hasattr(torch.optim, "Adafactor") else []
REFUSED: list[tuple[Any, str]] = [
    *((each, r"whose row_var \(6, 1\) cannot get further rows") for each in ADAFACTOR),
    (torch.optim.ASGD, r"whose ax \(6, 5\) cannot get further rows"),
    (torch.optim.Rprop, r"whose prev \(6, 5\) cannot get further rows"),
    (torch.optim.LBFGS, "has one state for all parameters"),
]


def gradient(step: int, rows: int) -> Tensor:
    """Of constant sign and changing size; that of the first rows is a hundred times as large."""
    noise = torch.rand(OLD + NEW, WIDTH, generator=torch.Generator().manual_seed(step))
    scale = torch.full((OLD + NEW, 1), 0.01).index_fill(0, torch.arange(OLD), 1.0)
    return (scale * (0.5 + noise))[:rows]


def after(optimizer_class: Any, steps: int, **settings: Any) -> tuple[nn.Parameter, Optimizer]:
    parameter = nn.Parameter(torch.zeros(OLD, WIDTH))
    optimizer = optimizer_class([nn.Parameter(torch.zeros(2)), parameter], LEARNING_RATE, **settings)
    steps_of(parameter, optimizer, range(steps))
    return parameter, optimizer


def steps_of(parameter: nn.Parameter, optimizer: Optimizer, steps: range) -> Tensor:
    """How far each number moves in each step."""
    moves = []
    for step in steps:
        before = parameter.detach().clone()
        parameter.grad = gradient(step, len(parameter))
        optimizer.step(lambda: 0.0)
        moves.append(parameter.detach() - before)
    return torch.stack(moves)


def grow(parameter: nn.Parameter, optimizer: Optimizer) -> None:
    state = state_with_further_rows(optimizer, parameter, NEW)
    parameter.grad = None
    parameter.data = torch.cat([parameter.data, torch.zeros(NEW, WIDTH)])
    optimizer.state[parameter] = state


def steps_of_new_rows(optimizer_class: Any, **settings: Any) -> tuple[Tensor, Tensor]:
    """After 500 steps of the others, and those of a fresh optimizer for the same gradients."""
    parameter, optimizer = after(optimizer_class, 500, **settings)
    grow(parameter, optimizer)
    found = steps_of(parameter, optimizer, range(500, 560))
    fresh = nn.Parameter(torch.zeros(OLD + NEW, WIDTH))
    expected = steps_of(fresh, optimizer_class([fresh], LEARNING_RATE, **settings), range(500, 560))
    return found[:, OLD:], expected[:, OLD:]


@pytest.mark.parametrize(("optimizer_class", "settings"), CORRECTED)
def test_first_steps_of_new_rows_have_the_size_of_those_of_a_fresh_optimizer(
    optimizer_class: Any, settings: dict[str, Any]
) -> None:
    found, fresh = steps_of_new_rows(optimizer_class, **settings)
    sizes, expected = found.norm(dim=(1, 2)), fresh.norm(dim=(1, 2))
    # RAdam begins with steps of SGD, and then warms up, of which this skips the first moments.
    skipped, largest = (6, 3.0) if optimizer_class is torch.optim.RAdam else (0, 1.5)
    assert (sizes < largest * expected)[skipped:].all()
    assert (sizes > 0.4 * expected)[skipped:].all()


@pytest.mark.parametrize(("optimizer_class", "settings"), PLAIN)
def test_new_rows_make_the_steps_of_a_fresh_optimizer(
    optimizer_class: Any, settings: dict[str, Any]
) -> None:
    torch.testing.assert_close(*steps_of_new_rows(optimizer_class, **settings))


def test_new_rows_of_adamax_come_to_the_size_of_a_fresh_optimizer() -> None:
    found, fresh = steps_of_new_rows(torch.optim.Adamax)
    assert (found.abs() <= fresh.abs() + 1e-9).all()
    torch.testing.assert_close(found[-20:], fresh[-20:], rtol=0.05, atol=0)


@pytest.mark.parametrize("steps", [1, 3, 500])
@pytest.mark.parametrize(("optimizer_class", "settings"), CORRECTED + PLAIN)
def test_other_rows_keep_what_is_remembered_of_them(
    optimizer_class: Any, settings: dict[str, Any], steps: int
) -> None:
    """Their next step is the one that they would have made."""
    parameter, optimizer = after(optimizer_class, steps, **settings)
    undisturbed, same = after(optimizer_class, steps, **settings)
    grow(parameter, optimizer)
    found = steps_of(parameter, optimizer, range(steps, steps + 5))[:, :OLD]
    expected = steps_of(undisturbed, same, range(steps, steps + 5))
    if optimizer_class is torch.optim.RAdam and steps == 500:
        assert (found.abs() < expected.abs()).all()
        return
    torch.testing.assert_close(found, expected, rtol=0.25, atol=0)


@pytest.mark.parametrize(("optimizer_class", "settings"), CORRECTED + PLAIN)
def test_an_optimizer_is_not_changed_by_the_question(
    optimizer_class: Any, settings: dict[str, Any]
) -> None:
    parameter, optimizer = after(optimizer_class, 30, **settings)
    undisturbed, same = after(optimizer_class, 30, **settings)
    state_with_further_rows(optimizer, parameter, NEW)
    torch.testing.assert_close(optimizer.state[parameter], same.state[undisturbed], rtol=0, atol=0)


@pytest.mark.parametrize(("optimizer_class", "message"), REFUSED)
def test_what_cannot_get_further_rows_is_refused(optimizer_class: Any, message: str) -> None:
    parameter, optimizer = after(optimizer_class, 2)
    with pytest.raises(ValueError, match=message):
        state_with_further_rows(optimizer, parameter, NEW)


@pytest.mark.parametrize("optimizer_class", [*ADAFACTOR, torch.optim.ASGD])
@each_loss_with_parameters
def test_a_refused_loss_is_as_it_was_and_can_start_its_optimizer_anew(
    loss_class: Any, optimizer_class: Any
) -> None:
    loss = build(loss_class)
    optimizer = optimizer_class(loss.parameters(), lr=0.01)
    all_gradients(loss, *batch())
    optimizer.step()
    before = loss.class_vectors.detach().clone()
    with pytest.raises(ValueError, match="cannot get further rows"):
        loss.add_classes(2, optimizer)
    assert loss.num_classes == NUM_CLASSES
    assert loss.class_vectors.equal(before)
    optimizer.state.pop(loss.class_vectors)
    loss.add_classes(2)
    all_gradients(loss, *batch(classes=(0, 5)))
    optimizer.step()
    assert loss.class_vectors.isfinite().all()


@each_loss_with_parameters
def test_an_optimizer_of_something_else_is_refused(loss_class: Any) -> None:
    loss, other = build(loss_class), build(loss_class)
    with pytest.raises(ValueError, match="optimizer is a SGD that does not train the loss's parameter"):
        loss.add_classes(2, torch.optim.SGD(other.parameters(), lr=0.1))
    assert loss.num_classes == NUM_CLASSES


@each_loss_with_parameters
def test_something_that_is_no_optimizer_is_refused(loss_class: Any) -> None:
    loss = build(loss_class)
    with pytest.raises(TypeError, match="optimizer is a dict; it must be a torch"):
        loss.add_classes(2, {})
    assert loss.num_classes == NUM_CLASSES
