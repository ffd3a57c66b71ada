"""Optimizers and schedules of torch, as a configuration names them."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import lr_scheduler
from torch.optim.lr_scheduler import LRScheduler

from pml_potential.benchmark.config.reasons import reason_of
from pml_potential.benchmark.config.schema import Component, ConfigError, Optimizer
from pml_potential.benchmark.training.components import find_class


def optimizer_class(name: str, keys: tuple[str, ...] = ("optimizer",)) -> Any:
    """An optimizer of ``torch.optim``.

    Raises:
        ConfigError: There is none of this name; ``keys`` say where the configuration names it.
    """
    return find_class(name, (torch.optim,), torch.optim.Optimizer, keys)


def build_optimizer(optimizer: Optimizer, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Build an optimizer of ``torch.optim`` by its name.

    Raises:
        ConfigError: There is no such optimizer, or it refuses an argument or its value.
    """
    named = optimizer_class(optimizer.name)
    try:
        built: torch.optim.Optimizer = named(parameters, **optimizer.arguments)
        return built
    except (TypeError, ValueError) as error:
        raise ConfigError(f"optimizer {optimizer.name}: {reason_of(error)}") from error


def build_schedule(schedule: Component, optimizer: torch.optim.Optimizer) -> LRScheduler:
    """Build a schedule of ``torch.optim.lr_scheduler`` by its name.

    Raises:
        ConfigError: There is no such schedule, or it refuses an argument or its value.
    """
    named = find_class(schedule.name, (lr_scheduler,), LRScheduler, ("training", "schedule"))
    try:
        built: LRScheduler = named(optimizer, **schedule.params)
        return built
    except (TypeError, ValueError) as error:
        raise ConfigError(f"training.schedule: {schedule.name}: {reason_of(error)}") from error
