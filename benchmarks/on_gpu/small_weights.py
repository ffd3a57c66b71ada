"""Weights of half the size, for transfer: ``python -m benchmarks.on_gpu.small_weights FOLDER``."""

import argparse
from pathlib import Path

import torch

from benchmarks.on_gpu.settings import LOSSES, ON_GPU, training_config
from pml_potential.benchmark.models.trunks import build_trunk


def write_small_weights(network: str, folder: Path) -> Path:
    """Write the weights of a network's package: kernels in float16, all else unchanged, no classifier.

    Args:
        network: its name in configurations.
        folder: where the file goes.

    Returns:
        The file, for ``--weights``.

    Raises:
        ConfigError: The package of the network or of its weights is not installed.
    """
    config = training_config(ON_GPU, network, LOSSES[0], "download", 0.0, "")
    trunk, _ = build_trunk(config.model, channels=3, pretrained=True)
    state = {name: value.half() if value.ndim == 4 else value for name, value in _backbone(trunk)}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{network}.pth"
    torch.save(state, path)
    return path


def _backbone(trunk: torch.nn.Module) -> list[tuple[str, torch.Tensor]]:
    return list(trunk.get_submodule("backbone").state_dict().items())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    for each in ON_GPU.networks:
        written = write_small_weights(each, given.folder)
        print(f"{written}: {written.stat().st_size / 2**20:.1f} MiB")
