"""Optimizers and schedules are those of torch, by their names and with their arguments."""

from typing import Any

import pytest
import torch
from torch import nn

from pml_potential.benchmark.config.schema import Component, ConfigError, Optimizer
from pml_potential.benchmark.training.optimizers import build_optimizer, build_schedule, optimizer_class


def parameters() -> list[nn.Parameter]:
    return [nn.Parameter(torch.ones(2))]


def optimizer_of(name: str, lr: float = 0.1, **arguments: Any) -> Optimizer:
    return Optimizer.model_validate({"name": name, "lr": lr, **arguments})


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop"])
def test_an_optimizer_is_found_by_name_and_has_its_arguments(name: str) -> None:
    built = build_optimizer(optimizer_of(name, lr=0.25, weight_decay=0.5), parameters())
    assert type(built) is getattr(torch.optim, name)
    assert (built.defaults["lr"], built.defaults["weight_decay"]) == (0.25, 0.5)


def test_an_optimizer_steps_the_parameters_that_it_is_given() -> None:
    (weight,) = given = parameters()
    weight.grad = torch.tensor([1.0, -2.0])
    build_optimizer(optimizer_of("SGD"), given).step()
    torch.testing.assert_close(weight.detach(), torch.tensor([0.9, 1.2]))


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (optimizer_of("Adan"), r"^optimizer\.name: torch\.optim has no 'Adan', did you mean 'Adam'"),
        (optimizer_of("Adam", betas=3), "^optimizer Adam: "),
        (optimizer_of("Adam", momentum=0.9), "^optimizer Adam: .*'momentum'"),
        (optimizer_of("SGD", momentum=-1.0), "^optimizer SGD: .*-1.0"),
    ],
)
def test_an_optimizer_that_cannot_be_built_is_refused(optimizer: Optimizer, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_optimizer(optimizer, parameters())


def test_an_unknown_optimizer_is_an_error_that_says_where_it_stands() -> None:
    with pytest.raises(ConfigError, match=r"^loss\.optimizer\.name: ") as caught:
        optimizer_class("Adan", ("loss", "optimizer"))
    assert caught.value.keys == ("loss", "optimizer", "name")


def test_a_schedule_changes_the_rate_of_its_optimizer() -> None:
    optimizer = torch.optim.SGD(parameters(), lr=0.8)
    schedule = build_schedule(Component(name="StepLR", params={"step_size": 2, "gamma": 0.5}), optimizer)
    rates = []
    for _ in range(4):
        optimizer.step()
        schedule.step()
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == [0.8, 0.4, 0.4, 0.2]


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("StepLr", {}, r"training\.schedule\.name: .*has no 'StepLr', did you mean 'StepLR'"),
        ("StepLR", {"size": 1}, "training.schedule: StepLR: .*'size'"),
        ("StepLR", {}, "training.schedule: StepLR: .*'step_size'"),
    ],
)
def test_a_schedule_that_cannot_be_built_is_refused(
    name: str, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build_schedule(Component(name=name, params=params), torch.optim.SGD(parameters(), lr=0.1))
