"""The loss and the optimizers that a configuration names."""

import inspect
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any

import torch
from pytorch_metric_learning import losses as pml_losses
from pytorch_metric_learning import miners, regularizers
from pytorch_metric_learning.losses import BaseMetricLossFunction
from pytorch_metric_learning.miners import BaseMiner
from torch import nn
from torch.optim import lr_scheduler
from torch.optim.lr_scheduler import LRScheduler

import pml_potential
from pml_potential.benchmark.models import check_trunk_name
from pml_potential.benchmark.nearest import did_you_mean
from pml_potential.benchmark.schema import Config, ConfigError, Loss, Optimizer, Part

_SET_BY_SUBCLASSES = {"potential", "name", "vectors_per_class"}
"""Arguments of this package's base classes that no user gives."""

_PARTS = {
    "weight_regularizer": regularizers,
    "embedding_regularizer": regularizers,
    "miner": miners,
}


def check_names(config: Config) -> None:
    """Raise unless the loss, the optimizers and all their arguments exist.

    Raises:
        ConfigError: One of them does not; its ``keys`` say where the configuration names it.
    """
    _check_arguments(
        config.loss.params, _named_arguments(_loss_class(config.loss.name)), ("loss", "params")
    )
    for kind, module in _PARTS.items():
        part = getattr(config.loss, kind)
        if part is not None:
            accepted = _named_arguments(_part_class(part.name, module, kind))
            _check_arguments(part.params, accepted, ("loss", kind, "params"))
    try:
        check_trunk_name(config.model.trunk)
    except ConfigError as error:
        raise ConfigError(str(error), ("model", "trunk")) from None
    optimizers = {
        ("loss", "optimizer"): config.loss.optimizer,
        ("model", "trunk_optimizer"): config.model.trunk_optimizer,
        ("model", "embedder_optimizer"): config.model.embedder_optimizer,
    }
    for keys, optimizer in optimizers.items():
        if optimizer is not None:
            accepted = list(inspect.signature(_optimizer_class(optimizer.name, keys)).parameters)[1:]
            _check_arguments(optimizer.arguments, accepted, keys)


def build_loss(loss: Loss, num_classes: int, embedding_size: int) -> BaseMetricLossFunction:
    """Build a loss of this package or of PML by its name.

    Args:
        loss: name, arguments and optimizer.
        num_classes: classes of the training set, handed to losses that take it.
        embedding_size: width of the embedding, handed to losses that take it.

    Raises:
        ConfigError: There is no such loss, a value is outside its range, or the optimizer does not go
            with it.
    """
    loss_class = _loss_class(loss.name)
    sizes = {"num_classes": num_classes, "embedding_size": embedding_size}
    try:
        parts = {
            kind: _build(_part_class(getattr(loss, kind).name, _PARTS[kind], kind), loss_part, sizes)
            for kind in ("weight_regularizer", "embedding_regularizer")
            if (loss_part := getattr(loss, kind)) is not None
        }
        built: BaseMetricLossFunction = _build(loss_class, loss, sizes, **parts)
    except (AssertionError, TypeError, ValueError) as error:
        raise ConfigError(f"loss.params: {loss.name}: {error}") from error
    has_parameters = any(True for _ in built.parameters())
    if has_parameters and loss.optimizer is None:
        raise ConfigError(
            f"loss.optimizer is missing: {loss.name} has parameters that would never be trained"
        )
    if not has_parameters and loss.optimizer is not None:
        raise ConfigError(f"loss.optimizer is given, but {loss.name} has no parameters to train")
    if loss.initialize_proxies_after_epoch is not None and not hasattr(built, "initialize_proxies"):
        raise ConfigError(
            f"loss.initialize_proxies_after_epoch is {loss.initialize_proxies_after_epoch}, but "
            f"{loss.name} has no initialize_proxies; set it to null"
        )
    return built


def build_miner(loss: Loss) -> BaseMiner | None:
    """Build the miner of PML that goes with a loss, if one does.

    Raises:
        ConfigError: There is no such miner, or a value is outside its range.
    """
    if loss.miner is None:
        return None
    try:
        miner: BaseMiner = _build(_part_class(loss.miner.name, miners, "miner"), loss.miner, {})
        return miner
    except (AssertionError, TypeError, ValueError) as error:
        raise ConfigError(f"loss.miner: {loss.miner.name}: {error}") from error


def build_optimizer(optimizer: Optimizer, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Build an optimizer of ``torch.optim`` by its name.

    Raises:
        ConfigError: There is no such optimizer, or it does not take an argument or its value.
    """
    optimizer_class = _optimizer_class(optimizer.name, ("optimizer",))
    try:
        built: torch.optim.Optimizer = optimizer_class(parameters, **optimizer.arguments)
        return built
    except (TypeError, ValueError) as error:
        raise ConfigError(f"optimizer {optimizer.name}: {error}") from error


def build_schedule(schedule: Part, optimizer: torch.optim.Optimizer) -> LRScheduler:
    """Build a schedule of ``torch.optim.lr_scheduler`` by its name.

    Raises:
        ConfigError: There is no such schedule, or it does not take an argument or its value.
    """
    candidate: Any = getattr(lr_scheduler, schedule.name, None)
    if not (inspect.isclass(candidate) and issubclass(candidate, LRScheduler)):
        names = [n for n in dir(lr_scheduler) if n.endswith("LR")]
        raise ConfigError(
            f"training.schedule.name: torch.optim.lr_scheduler has no {schedule.name!r}"
            f"{did_you_mean(schedule.name, names)}"
        )
    try:
        arguments: dict[str, Any] = schedule.params
        built: LRScheduler = candidate(optimizer, **arguments)
        return built
    except (TypeError, ValueError) as error:
        raise ConfigError(f"training.schedule: {schedule.name}: {error}") from error


def _build(part_class: Any, part: Part | Loss, sizes: dict[str, int], **further: Any) -> Any:
    """Call a class with its configured arguments and with those sizes that it takes."""
    accepted = _named_arguments(part_class)
    filled = {name: value for name, value in sizes.items() if name in accepted}
    return part_class(**(filled | part.params | further))


def _part_class(name: str, module: ModuleType, kind: str) -> Any:
    candidate = getattr(module, name, None)
    if inspect.isclass(candidate) and issubclass(candidate, nn.Module):
        return candidate
    names = [name for name in dir(module) if inspect.isclass(getattr(module, name))]
    raise ConfigError(
        f"loss.{kind}.name: {module.__name__} has no {name!r}{did_you_mean(name, names)}",
        ("loss", kind, "name"),
    )


def _loss_class(name: str) -> Any:
    for module in (pml_potential, pml_losses):
        candidate = getattr(module, name, None)
        if inspect.isclass(candidate) and issubclass(candidate, BaseMetricLossFunction):
            return candidate
    names = [*pml_potential.__all__, *(n for n in dir(pml_losses) if n.endswith("Loss"))]
    raise ConfigError(
        f"loss.name: neither pml_potential nor pytorch_metric_learning.losses has "
        f"{name!r}{did_you_mean(name, names)}",
        ("loss", "name"),
    )


def _optimizer_class(name: str, keys: tuple[str, ...]) -> Any:
    candidate = getattr(torch.optim, name, None)
    if inspect.isclass(candidate) and issubclass(candidate, torch.optim.Optimizer):
        return candidate
    names = [n for n in dir(torch.optim) if inspect.isclass(getattr(torch.optim, n))]
    raise ConfigError(
        f"{'.'.join(keys)}.name: torch.optim has no {name!r}{did_you_mean(name, names)}",
        (*keys, "name"),
    )


def _check_arguments(given: Iterable[str], accepted: Sequence[str], keys: tuple[str, ...]) -> None:
    for argument in given:
        if argument not in accepted:
            raise ConfigError(
                f"unknown key {'.'.join((*keys, argument))!r}{did_you_mean(argument, accepted)}; "
                f"allowed here: {', '.join(accepted)}",
                (*keys, argument),
            )


def _named_arguments(part_class: type) -> list[str]:
    """Names of all keyword arguments that the class and the classes it passes them on to accept."""
    names: dict[str, None] = {}
    for ancestor in inspect.getmro(part_class):
        if not issubclass(ancestor, nn.Module) and not ancestor.__name__.endswith("Mixin"):
            continue
        if ancestor is nn.Module or "__init__" not in vars(ancestor):
            continue
        for name, parameter in inspect.signature(vars(ancestor)["__init__"]).parameters.items():
            if name != "self" and parameter.kind is not inspect.Parameter.VAR_KEYWORD:
                names[name] = None
    return [name for name in names if name not in _SET_BY_SUBCLASSES]
