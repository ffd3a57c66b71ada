"""The networks of a fold: before training, and as saved at the best epoch."""

from pathlib import Path
from typing import cast

import torch
from torch import nn

from pml_potential.benchmark.config.schema import Config
from pml_potential.benchmark.config.seeds import seed_everything
from pml_potential.benchmark.data.folds import frozen_trunk, uses_features
from pml_potential.benchmark.data.labelled_tensors import LabelledTensors
from pml_potential.benchmark.data.long_step import long_step
from pml_potential.benchmark.evaluation import trunk_output
from pml_potential.benchmark.files import read_state, write_state
from pml_potential.benchmark.models.building import build_models
from pml_potential.benchmark.models.cut_trunk import CutTrunk, image_shape
from pml_potential.benchmark.models.device import training_device
from pml_potential.losses import initialize_head

LOSS = "metric_loss"
"""Name of the loss among the modules of a fold, as PML's trainers call it."""

_MOST_FOR_HEAD = 100_000
"""Most images from whose features a head starts, so those of a large data set need not fit in memory."""


def fold_models(
    config: Config, channels: int, width: int | None, pretrained: bool = True
) -> dict[str, nn.Module]:
    """Trunk and embedder; on features of a trunk only the embedder, and from a block on a ``CutTrunk``.

    Args:
        config: names the networks.
        channels: colour channels of the images.
        width: of the features, if the embedder is trained on features; else None.
        pretrained: whether to load pretrained weights.
    """
    block = config.model.freeze_until
    if width is None or block is not None:
        with long_step(f"building {config.model.trunk}"):
            models = build_models(config.model, channels, pretrained)
        if block is not None:
            shape = image_shape(config.model, config.protocol.crop)
            models["trunk"] = CutTrunk(models["trunk"], block, shape)
        return models
    return {"trunk": nn.Identity(), "embedder": nn.Linear(width, config.model.embedding_size)}


def untrained_models(config: Config, train: LabelledTensors, seed: int) -> dict[str, nn.Module]:
    """The models as ``train_fold`` has them before its first step with the same seed.

    Args:
        config: names the networks, and the start of the embedder.
        train: the training images.
        seed: decides all random weights.
    """
    seed_everything(seed)
    models = _on_device(fold_models(config, train.channels, train.width))
    if isinstance(models["trunk"], CutTrunk) and config.model.weights is None:
        # The layers must be those that computed the activations, not drawn by the seed of the fold.
        models["trunk"].network.load_state_dict(frozen_trunk(config, train).state_dict())
    if config.model.head.start == "pca":
        # Without a trace in the generator, so other random numbers are the same with any head.
        with torch.random.fork_rng(devices=[]):
            judged = train if train.as_judged is None else train.as_judged
            count = min(len(judged), _MOST_FOR_HEAD)
            with long_step(f"initializing the head from the features of {count:,} images"):
                features = trunk_output(models["trunk"], judged, training_device(), _MOST_FOR_HEAD)
                initialize_head(cast("nn.Linear", models["embedder"]), features)
    return models


def models_to_load(config: Config, train: LabelledTensors) -> dict[str, nn.Module]:
    """The same networks with any weights, for a state that will be loaded."""
    return _on_device(fold_models(config, train.channels, train.width, pretrained=False))


def _on_device(models: dict[str, nn.Module]) -> dict[str, nn.Module]:
    return {name: model.to(training_device()) for name, model in models.items()}


def best_models(config: Config, channels: int, folder: Path) -> dict[str, nn.Module]:
    """The models at the best epoch of a fold that was trained with ``keep_models``.

    Args:
        config: that the fold was trained with.
        channels: colour channels of the images.
        folder: of the fold.

    Raises:
        DamagedFileError: One of their files is damaged.
        FileNotFoundError: One of their files is missing.
    """
    states = {name: read_state(_path(folder, name)) for name in ("trunk", "embedder")}
    width = int(states["embedder"]["weight"].shape[1]) if uses_features(config) else None
    models = _on_device(fold_models(config, channels, width, pretrained=False))
    for name, model in models.items():
        model.load_state_dict(states[name])
        model.eval()
    return models


def best_loss_state(folder: Path) -> dict[str, torch.Tensor]:
    """Parameters and buffers of the loss at the best epoch, of a fold as in ``best_models``.

    Raises:
        DamagedFileError: The file is damaged.
    """
    state: dict[str, torch.Tensor] = read_state(_path(folder, LOSS))
    return state


def save_best(modules: dict[str, nn.Module], folder: Path) -> None:
    """Keep the models and the loss as they are now."""
    for name, module in modules.items():
        write_state(_path(folder, name), module.state_dict())


def _path(folder: Path, name: str) -> Path:
    return folder / "models" / f"{name}_best.pth"
