"""Check before any work that a configuration can be run."""

import torch

from pml_potential.analysis import proxies_of
from pml_potential.benchmark.config.composing import with_values
from pml_potential.benchmark.config.reasons import reason_of
from pml_potential.benchmark.config.schema import Config, ConfigError
from pml_potential.benchmark.experiments.proposing import build_pruner
from pml_potential.benchmark.models import build_models, check_image_size
from pml_potential.benchmark.models.cut_trunk import CutTrunk, image_shape
from pml_potential.benchmark.training.batches import images_of_a_class
from pml_potential.benchmark.training.losses import build_loss, build_miner
from pml_potential.benchmark.training.names import check_names
from pml_potential.benchmark.training.optimizers import build_optimizer, build_schedule
from pml_potential.benchmark.training.process_group import check_shared


def check_runnable(config: Config) -> None:
    """Look up every name, build losses and optimizers at the ends of the search, and use them once.

    The lower ends of all ranges are tried together, then the upper ends, and every choice.

    Raises:
        ConfigError: One of them does not exist, or cannot be built or used.
    """
    check_names(config)
    images_of_a_class(config)
    if config.protocol.study is not None:
        build_pruner(config.protocol.study.pruner)
    ends = {path: found.extremes for path, found in config.search.items()}
    for place in range(max(map(len, ends.values()), default=1)):
        values = {path: each[min(place, len(each) - 1)] for path, each in ends.items()}
        corner = with_values(config, values)
        try:
            _build(corner)
        except (MemoryError, RuntimeError) as error:
            raise ConfigError(
                f"{corner.model.trunk} with {corner.model.embedding_size} dimensions and "
                f"{corner.loss.name} with {corner.loss.params} cannot be built: {reason_of(error)}"
            ) from error


def _build(corner: Config) -> None:
    models = build_models(corner.model, channels=1, pretrained=False)
    check_shared(corner, models["trunk"])
    check_image_size(models["trunk"], corner.model, corner.protocol.crop)
    if corner.model.freeze_until is not None:
        shape = image_shape(corner.model, corner.protocol.crop)
        CutTrunk(models["trunk"], corner.model.freeze_until, shape)
    # Without trunk parameters the embedder's, to check the optimizer's arguments.
    trained = list(models["trunk"].parameters()) or models["embedder"].parameters()
    optimizer = build_optimizer(corner.model.trunk_optimizer, trained)
    if corner.training.schedule is not None:
        build_schedule(corner.training.schedule, optimizer)
    build_miner(corner.loss)
    build_optimizer(corner.model.embedder_optimizer, models["embedder"].parameters())
    loss = build_loss(corner.loss, num_classes=2, embedding_size=corner.model.embedding_size)
    if corner.loss.optimizer is not None:
        build_optimizer(corner.loss.optimizer, loss.parameters())
    if corner.protocol.proxy_alignment:
        try:
            proxies_of(loss)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"protocol.proxy_alignment is true, but {error}") from error
    try:
        found = loss(torch.randn(4, corner.model.embedding_size), torch.tensor([0, 0, 1, 1]))
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{corner.loss.name} with {corner.loss.params} cannot compute a loss: {reason_of(error)}"
        ) from error
    if not isinstance(found, torch.Tensor) or found.numel() != 1:
        raise ConfigError(
            f"{corner.loss.name} does not give a single number to minimize; use a loss.reducer that "
            f"does, such as MeanReducer or SumReducer"
        )
