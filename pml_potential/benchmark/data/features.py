"""The output of a frozen network for every image, computed once and kept in a file."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset

from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.config.seeds import derive_seed, drawn_from
from pml_potential.benchmark.data.cache import alone_with, cache_path, is_cached, npy_header
from pml_potential.benchmark.data.images import Images
from pml_potential.benchmark.data.labelled_tensors import ImageTensors
from pml_potential.benchmark.data.long_step import long_step
from pml_potential.benchmark.data.transforms import ImageTransform
from pml_potential.benchmark.files import growing_file
from pml_potential.benchmark.models.weights import weights_hash

_BATCH = 64


@dataclass(frozen=True)
class View:
    """How a network sees every image.

    Attributes:
        transform: from a picture to the network's input.
        number: of the view, if the transform is random; it is the seed of the view, so a number always
            gives the same view. None: the transform is not random.
    """

    transform: ImageTransform
    number: int | None = None


def trunk_features(
    trunk: nn.Module,
    images: Images,
    view: View,
    cache: Path,
    device: torch.device,
    dtype: type[np.floating[Any]] = np.float32,
    title: str | None = None,
) -> NDArray[Any]:
    """Compute the trunk's output for every image, or map the file of an earlier call.

    The file's name is a hash of the weights, the view and the data, so it is reused only for the same
    features. An unfinished file has another name, and the next call resumes it; a file with a wrong
    checksum is set aside with a warning.

    Args:
        trunk: is put into evaluation mode, and left in it.
        images: the whole data set.
        view: of each image.
        cache: folder of the files.
        device: where to compute.
        dtype: of the file.
        title: of the work, shown while it lasts; default: features of the data set.

    Returns:
        (n, width), or (n, ...) if the trunk gives maps, mapped from the file.

    Raises:
        ConfigError: A number is too large for the type.
        ValueError: There are no images.
    """
    if len(images.labels) == 0:
        raise ValueError(f"{images.name} has no images")
    path = features_path(trunk, images, view, cache)
    if not is_cached(path):
        with alone_with(path):
            # Another process may have made it in the meantime.
            if not is_cached(path):
                rows = _Rows(trunk.to(device).eval(), _Seen(images, view), device, dtype)
                _write(rows, path, title or f"features of {images.name}")
    features: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return features


def features_path(trunk: nn.Module, images: Images, view: View, cache: Path) -> Path:
    """Path of the file of a trunk's output for a view of the images; it may not exist."""
    made_from = (weights_hash(trunk), repr(view.transform), images.cache_key)
    return cache_path(cache, made_from if view.number is None else (*made_from, view.number), ".npy")


class _Seen(Dataset[Tensor]):
    """The images as a view shows them."""

    def __init__(self, images: Images, view: View) -> None:
        self._images = ImageTensors(images, np.arange(len(images.labels)), view.transform)
        self._view = view
        self.workers = self._images.workers

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Tensor:
        if self._view.number is None:
            return self._images[index][0]
        with drawn_from(derive_seed(0, "view", self._view.number, index)):
            return self._images[index][0]


@dataclass(frozen=True)
class _Rows:
    """The trunk's output as the file holds it."""

    trunk: nn.Module
    images: _Seen
    device: torch.device
    dtype: type[np.floating[Any]]

    def start_from(self, start: int) -> Iterator[NDArray[np.floating[Any]]]:
        """From an image on, batch by batch; a resumed file gets the same batches."""
        rest = Subset(self.images, range(start, len(self.images)))
        # Its own generator: a loader draws a seed for its processes even if it needs none.
        loader = DataLoader(
            rest, batch_size=_BATCH, num_workers=self.images.workers, generator=torch.Generator()
        )
        with torch.inference_mode():
            for batch in loader:
                yield self._rounded(self.trunk(batch.to(self.device)).float().cpu().numpy())

    def _rounded(self, found: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
        largest, limit = float(np.abs(found).max()), float(np.finfo(self.dtype).max)
        if limit < largest < np.inf:
            raise ConfigError(
                f"{self.trunk.extra_repr()}: an activation is {largest:.3g}, and "
                f"{np.dtype(self.dtype)} ends at {limit:.0f}; give another block as model.freeze_until",
                ("model", "freeze_until"),
            )
        # Little-endian on every machine.
        return found.astype(np.dtype(self.dtype).newbyteorder("<"))


def _write(rows: _Rows, path: Path, title: str) -> None:
    """Write the features of all images, from where an earlier process was stopped."""
    count = len(rows.images)
    with growing_file(path) as file:
        done = sum(file.entries)
        with long_step(title, count, "images") as advance:
            advance(done)
            for found in rows.start_from(done):
                content = found.tobytes()
                if done == 0:
                    content = npy_header((count, *found.shape[1:]), found.dtype) + content
                file.append(content, len(found))
                done += len(found)
                advance(len(found))
