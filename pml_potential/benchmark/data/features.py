"""Features of a frozen trunk, computed once and kept in a file."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader

from pml_potential.benchmark.data.cache import cache_path, is_cached
from pml_potential.benchmark.data.images import Images
from pml_potential.benchmark.data.labelled_tensors import ImageTensors
from pml_potential.benchmark.data.transforms import ImageTransform
from pml_potential.benchmark.files import sealed_file
from pml_potential.benchmark.models.weights import weights_hash

_BATCH = 64


def trunk_features(
    trunk: nn.Module, images: Images, transform: ImageTransform, cache: Path, device: torch.device
) -> NDArray[np.float32]:
    """Compute the trunk's output for every image, or map what an earlier call has left.

    The file's name is a hash of the weights, the transform and the data, so that it is found again only
    for the same features. A file that was not finished has another name; one that is damaged, as a
    checksum tells, is set aside with a warning.

    Args:
        trunk: in evaluation mode for this, and left in it.
        images: the whole data set.
        transform: of evaluation, the same for every image.
        cache: folder of the files.
        device: where to compute.

    Returns:
        (n, width), mapped from the file.

    Raises:
        ValueError: There are no images.
    """
    if len(images.labels) == 0:
        raise ValueError(f"{images.name} has no images")
    path = cache_path(cache, (weights_hash(trunk), repr(transform), images.cache_key), ".npy")
    if not is_cached(path):
        dataset = ImageTensors(images, np.arange(len(images.labels)), transform)
        with sealed_file(path) as file:
            for found in _computed(trunk.to(device).eval(), dataset, device):
                if file.checksum == 0:
                    shape = (len(dataset), found.shape[1])
                    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
                    np.lib.format.write_array_header_1_0(file, header)
                file.write(found.astype("<f4").tobytes())
    features: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    return features


def _computed(
    trunk: nn.Module, dataset: ImageTensors, device: torch.device
) -> Iterator[NDArray[np.float32]]:
    """The trunk's output, batch by batch."""
    loader = DataLoader(dataset, batch_size=_BATCH, num_workers=dataset.workers)
    with torch.inference_mode():
        for batch, _ in loader:
            yield trunk(batch.to(device)).float().cpu().numpy()
