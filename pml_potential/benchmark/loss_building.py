"""The loss and the optimizers that a configuration names."""

import inspect
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from pytorch_metric_learning import losses as pml_losses
from pytorch_metric_learning.losses import BaseMetricLossFunction
from torch import nn

import pml_potential
from pml_potential.benchmark.nearest import did_you_mean
from pml_potential.benchmark.schema import Config, ConfigError, Loss, Optimizer


def check_names(config: Config) -> None:
    """Raise unless the loss, the optimizers and all their arguments exist.

    Raises:
        ConfigError: One of them does not; its ``keys`` say where the configuration names it.
    """
    _check_arguments(
        config.loss.params, _loss_arguments(_loss_class(config.loss.name)), ("loss", "params")
    )
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
    accepted = _loss_arguments(loss_class)
    filled = {"num_classes": num_classes, "embedding_size": embedding_size}
    arguments = {name: value for name, value in filled.items() if name in accepted} | loss.params
    try:
        built: BaseMetricLossFunction = loss_class(**arguments)
    except (TypeError, ValueError) as error:
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


def _loss_arguments(loss_class: type) -> list[str]:
    """Names of all keyword arguments that the class and the classes it passes them on to accept."""
    names: dict[str, None] = {}
    for ancestor in inspect.getmro(loss_class):
        if not issubclass(ancestor, nn.Module) and not ancestor.__name__.endswith("Mixin"):
            continue
        if ancestor is nn.Module or "__init__" not in vars(ancestor):
            continue
        for name, parameter in inspect.signature(vars(ancestor)["__init__"]).parameters.items():
            if name != "self" and parameter.kind is not inspect.Parameter.VAR_KEYWORD:
                names[name] = None
    return [name for name in names if name != "potential"]
