"""Features of a frozen trunk, computed once and kept in a file."""

import hashlib
import os
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader

from pml_potential.benchmark.datasets.images import Images
from pml_potential.benchmark.image_dataset import PictureDataset, Transform
from pml_potential.benchmark.models.weights import weights_hash

_BATCH = 64


def trunk_features(
    trunk: nn.Module, images: Images, transform: Transform, cache: Path, device: torch.device
) -> NDArray[np.float32]:
    """Compute the trunk's output for every image, or map what an earlier call has left.

    The file's name is a hash of the weights, the transform and the data, so that it is found again only
    for the same features. A file that was not finished has another name, and one that is damaged is set
    aside.

    Args:
        trunk: in evaluation mode for this, and left in it.
        images: the whole data set.
        transform: of evaluation, the same for every image.
        cache: folder of the files.
        device: where to compute.

    Returns:
        (n, width), mapped from the file.
    """
    parts = (weights_hash(trunk), repr(transform), images.sha256)
    path = cache / f"{hashlib.sha256(repr(parts).encode()).hexdigest()[:32]}.npy"
    if path.is_file():
        if (features := _mapped(path, len(images.labels))) is not None:
            return features
        path.replace(path.with_suffix(".damaged"))
    cache.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    dataset = PictureDataset(images, np.arange(len(images.labels)), transform)
    loader = DataLoader(dataset, batch_size=_BATCH, num_workers=dataset.workers)
    trunk = trunk.to(device).eval()
    written: NDArray[np.float32] | None = None
    start = 0
    with torch.inference_mode():
        for batch, _ in loader:
            found = trunk(batch.to(device)).float().cpu().numpy()
            if written is None:
                shape = (len(dataset), found.shape[1])
                written = np.lib.format.open_memmap(unfinished, "w+", np.float32, shape)
            written[start : start + len(found)] = found
            start += len(found)
    if written is None:
        raise ValueError(f"{images.name} has no images")
    # mypy: memmap's flush is not part of NDArray.
    written.flush()  # type: ignore[attr-defined]
    del written
    unfinished.replace(path)
    features = _mapped(path, len(dataset))
    assert features is not None
    return features


def _mapped(path: Path, length: int) -> NDArray[np.float32] | None:
    """Map a file of features, or None if it is not one of this length."""
    try:
        features: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (EOFError, OSError, ValueError):
        return None
    fits = features.dtype == np.float32 and features.ndim == 2 and len(features) == length
    return features if fits else None
