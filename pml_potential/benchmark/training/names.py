"""Check that everything that a configuration names exists, which its schema cannot know."""

import inspect

from pml_potential.benchmark.config.schema import Config, ConfigError
from pml_potential.benchmark.data.datasets.catalogue import entry_of
from pml_potential.benchmark.evaluation import check_metrics
from pml_potential.benchmark.models.trunks import check_trunk_name, takes_vectors
from pml_potential.benchmark.training.components import check_arguments
from pml_potential.benchmark.training.losses import COMPONENTS, component_class, loss_class
from pml_potential.benchmark.training.optimizers import optimizer_class
from pml_potential.losses.arguments import accepted_arguments


def check_names(config: Config) -> None:
    """Raise unless data set, metrics, trunk, loss and optimizers exist, and take their arguments.

    Raises:
        ConfigError: One of them does not; its ``keys`` say where the configuration names it.
    """
    check_metrics(config.protocol.metrics)
    holds_vectors = entry_of(config.dataset.name).holds_vectors
    check_arguments(
        config.loss.params, accepted_arguments(loss_class(config.loss.name)), ("loss", "params")
    )
    for kind in COMPONENTS:
        found = component_class(config.loss, kind)
        if found is not None:
            given = getattr(config.loss, kind).params
            check_arguments(given, accepted_arguments(found), ("loss", kind, "params"))
    try:
        check_trunk_name(config.model.trunk)
    except ConfigError as error:
        raise ConfigError(str(error), ("model", "trunk")) from None
    if holds_vectors != takes_vectors(config.model.trunk):
        if holds_vectors:
            raise ConfigError(
                f"the data set {config.dataset.name!r} holds vectors, and model.trunk "
                f"{config.model.trunk!r} takes pictures; give --model vectors",
                ("model", "trunk"),
            )
        raise ConfigError(
            f"model.trunk {config.model.trunk!r} takes vectors, and the data set "
            f"{config.dataset.name!r} holds pictures; give --dataset features, or another model",
            ("model", "trunk"),
        )
    optimizers = {
        ("loss", "optimizer"): config.loss.optimizer,
        ("model", "trunk_optimizer"): config.model.trunk_optimizer,
        ("model", "embedder_optimizer"): config.model.embedder_optimizer,
    }
    for keys, optimizer in optimizers.items():
        if optimizer is not None:
            accepted = list(inspect.signature(optimizer_class(optimizer.name, keys)).parameters)[1:]
            check_arguments(optimizer.arguments, accepted, keys)
