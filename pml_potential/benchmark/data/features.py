"""Features of a frozen trunk, computed once and kept in a file."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader, Subset

from pml_potential.benchmark.data.cache import alone_with, cache_path, is_cached
from pml_potential.benchmark.data.images import Images
from pml_potential.benchmark.data.labelled_tensors import ImageTensors
from pml_potential.benchmark.data.long_step import long_step
from pml_potential.benchmark.data.transforms import ImageTransform
from pml_potential.benchmark.files import growing_file
from pml_potential.benchmark.models.weights import weights_hash

_BATCH = 64


def trunk_features(
    trunk: nn.Module, images: Images, transform: ImageTransform, cache: Path, device: torch.device
) -> NDArray[np.float32]:
    """Compute the trunk's output for every image, or map what an earlier call has left.

    The file's name is a hash of the weights, the transform and the data, so that it is found again only
    for the same features. A file that was not finished has another name, and the next call goes on with
    it; one that is damaged, as a checksum tells, is set aside with a warning.

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
        with alone_with(path):
            # Another process may have made it in the meantime.
            if not is_cached(path):
                _write(trunk.to(device).eval(), images, transform, path, device)
    features: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    return features


def _write(
    trunk: nn.Module, images: Images, transform: ImageTransform, path: Path, device: torch.device
) -> None:
    """Write the features of all images, from where an earlier process was stopped."""
    dataset = ImageTensors(images, np.arange(len(images.labels)), transform)
    with growing_file(path) as file:
        done = sum(file.entries)
        with long_step(f"features of {images.name}", len(dataset), "images") as advance:
            advance(done)
            for found in _computed(trunk, dataset, done, device):
                content = found.astype("<f4").tobytes()
                if done == 0:
                    content = _header(len(dataset), found.shape[1]) + content
                file.append(content, len(found))
                done += len(found)
                advance(len(found))


def _header(rows: int, width: int) -> bytes:
    header = io.BytesIO()
    description = {"descr": "<f4", "fortran_order": False, "shape": (rows, width)}
    np.lib.format.write_array_header_1_0(header, description)
    return header.getvalue()


def _computed(
    trunk: nn.Module, dataset: ImageTensors, start: int, device: torch.device
) -> Iterator[NDArray[np.float32]]:
    """The trunk's output from an image on, batch by batch; batches are the same from wherever."""
    rest = Subset(dataset, range(start, len(dataset)))
    loader = DataLoader(rest, batch_size=_BATCH, num_workers=dataset.workers)
    with torch.inference_mode():
        for batch, _ in loader:
            yield trunk(batch.to(device)).float().cpu().numpy()
