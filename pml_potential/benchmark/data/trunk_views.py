"""The output of a frozen network for views of every image, computed once if the disk has room."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.data.cache import is_cached
from pml_potential.benchmark.data.features import View, features_path, trunk_features
from pml_potential.benchmark.data.images import Images

_LARGEST_SHARE_OF_DISK = 0.9
"""Of the free space."""


def trunk_views(
    network: nn.Module,
    images: Images,
    views: Sequence[View],
    cache: Path,
    device: torch.device,
    dtype: type[np.floating[Any]] = np.float32,
) -> list[NDArray[Any]]:
    """Compute a network's output for views of all images, or map the files of earlier calls.

    Each view is a separate file. Their size and the progress are shown.

    Args:
        network: frozen: a whole trunk, or the part before one of its blocks.
        images: the whole data set.
        views: of each image.
        cache: folder of the files.
        device: where to compute.
        dtype: of the files.

    Returns:
        For each view (n, ...), mapped from its file.

    Raises:
        ConfigError: They do not fit the disk, or a number is too large for the type.
    """
    paths = [features_path(network, images, view, cache) for view in views]
    missing = [view for view, path in zip(views, paths, strict=True) if not is_cached(path)]
    if missing:
        count = len(images.labels)
        size = len(missing) * count * _bytes_of_one(network, images, views[0], dtype, device)
        _check_disk(size, images, cache)
        for number, view in enumerate(missing, start=1):
            title = (
                f"view {number} of {len(missing)} of {images.name} through the frozen layers "
                f"({_gigabytes(size)} in all)"
            )
            trunk_features(network, images, view, cache, device, dtype, title)
    return [np.load(path, mmap_mode="r", allow_pickle=False) for path in paths]


def _bytes_of_one(
    network: nn.Module, images: Images, view: View, dtype: type[np.floating[Any]], device: torch.device
) -> int:
    with torch.inference_mode():
        picture = view.transform(images.image(0)).unsqueeze(0).to(device)
        return int(network.to(device).eval()(picture).numel()) * np.dtype(dtype).itemsize


def _check_disk(size: int, images: Images, cache: Path) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache).free
    if size > free * _LARGEST_SHARE_OF_DISK:
        raise ConfigError(
            f"the output of the frozen layers for the images of {images.name} takes {_gigabytes(size)}, "
            f"and {cache} has {_gigabytes(free)} free; with model.freeze_until take fewer "
            "protocol.crop.views or a later block, or make room",
            ("protocol", "crop", "views"),
        )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB"
