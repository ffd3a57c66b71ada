"""The networks of a fold: as they are before training, and as the best epoch left them on disk."""

from pathlib import Path

import torch
from torch import nn

from pml_potential.benchmark.config.schema import Config
from pml_potential.benchmark.config.seeds import seed_everything
from pml_potential.benchmark.data.folds import uses_features
from pml_potential.benchmark.data.labelled_tensors import LabelledTensors
from pml_potential.benchmark.data.long_step import long_step
from pml_potential.benchmark.files import read_state, write_state
from pml_potential.benchmark.models.building import build_models
from pml_potential.benchmark.models.device import training_device

LOSS = "metric_loss"
"""Name of the loss among the modules of a fold, as PML's trainers call it."""


def fold_models(
    config: Config, channels: int, width: int | None, pretrained: bool = True
) -> dict[str, nn.Module]:
    """Trunk and embedder; on features of a trunk, the embedder alone.

    Args:
        config: names the networks.
        channels: colour channels of the images.
        width: of the features, where the embedder is trained on features; else None.
        pretrained: whether to load pretrained weights.
    """
    if width is None:
        with long_step(f"building {config.model.trunk}"):
            return build_models(config.model, channels, pretrained)
    return {"trunk": nn.Identity(), "embedder": nn.Linear(width, config.model.embedding_size)}


def untrained_models(config: Config, images: LabelledTensors, seed: int) -> dict[str, nn.Module]:
    """The models as ``train_fold`` has them before its first step with the same seed."""
    seed_everything(seed)
    models = fold_models(config, images.channels, images.width)
    return {name: model.to(training_device()) for name, model in models.items()}


def best_models(config: Config, channels: int, folder: Path) -> dict[str, nn.Module]:
    """The models at the best epoch of a fold that was trained with ``keep_models``.

    Args:
        config: that the fold was trained with.
        channels: colour channels of the images.
        folder: of the fold.

    Raises:
        DamagedFileError: A file of theirs is damaged.
        FileNotFoundError: A file of theirs is gone.
    """
    states = {name: read_state(_path(folder, name)) for name in ("trunk", "embedder")}
    width = int(states["embedder"]["weight"].shape[1]) if uses_features(config) else None
    models = fold_models(config, channels, width, pretrained=False)
    for name, model in models.items():
        model.load_state_dict(states[name])
        model.to(training_device()).eval()
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
