"""The loss, its regularizers, its reducer and its miner, as a configuration names them."""

from typing import Any

from pytorch_metric_learning import losses as pml_losses
from pytorch_metric_learning import miners, reducers, regularizers
from pytorch_metric_learning.losses import BaseMetricLossFunction
from pytorch_metric_learning.miners import BaseMiner
from torch import nn

import pml_potential
from pml_potential.benchmark.config.reasons import reason_of
from pml_potential.benchmark.config.schema import ConfigError, Loss
from pml_potential.benchmark.training.components import build_component, find_class

COMPONENTS = {
    "weight_regularizer": regularizers,
    "embedding_regularizer": regularizers,
    "miner": miners,
    "reducer": reducers,
}
"""Parts of a loss, by their keys in the configuration, and the modules of their classes."""


def loss_class(name: str) -> Any:
    """A loss of this package or of PML.

    Raises:
        ConfigError: There is none of this name.
    """
    where = "neither pml_potential nor pytorch_metric_learning.losses has"
    return find_class(name, (pml_potential, pml_losses), BaseMetricLossFunction, ("loss",), where)


def component_class(loss: Loss, kind: str) -> Any:
    """The class of one of ``COMPONENTS`` of a loss; None if the loss has none.

    Raises:
        ConfigError: PML has none of this name.
    """
    component = getattr(loss, kind)
    if component is None:
        return None
    return find_class(component.name, (COMPONENTS[kind],), nn.Module, ("loss", kind))


def build_loss(loss: Loss, num_classes: int, embedding_size: int) -> BaseMetricLossFunction:
    """Build a loss of this package or of PML by its name.

    Args:
        loss: name, arguments and optimizer.
        num_classes: classes of the training set, passed to losses that take it.
        embedding_size: width of the embedding, passed to losses that take it.

    Raises:
        ConfigError: There is no such loss, a value is outside its range, or the optimizer does not fit
            it.
    """
    named = loss_class(loss.name)
    sizes = {"num_classes": num_classes, "embedding_size": embedding_size}
    kinds = ("weight_regularizer", "embedding_regularizer", "reducer")
    parts = {kind: part for kind in kinds if (part := _build_part(loss, kind, sizes)) is not None}
    try:
        built: BaseMetricLossFunction = build_component(named, loss, sizes, **parts)
    except (AssertionError, TypeError, ValueError) as error:
        raise ConfigError(f"loss.params: {loss.name}: {reason_of(error)}") from error
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
    """Build the PML miner of a loss, if it has one.

    Raises:
        ConfigError: There is no such miner, or a value is outside its range.
    """
    miner: BaseMiner | None = _build_part(loss, "miner", {})
    return miner


def _build_part(loss: Loss, kind: str, sizes: dict[str, int]) -> Any:
    named, given = component_class(loss, kind), getattr(loss, kind)
    if named is None:
        return None
    try:
        return build_component(named, given, sizes)
    except (AssertionError, TypeError, ValueError) as error:
        raise ConfigError(f"loss.{kind}: {given.name}: {reason_of(error)}") from error
