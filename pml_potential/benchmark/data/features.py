"""What a frozen network gives for every image, computed once and kept in a file."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.config.seeds import derive_seed, drawn_from
from pml_potential.benchmark.data.cache import cache_path, is_cached
from pml_potential.benchmark.data.images import Images
from pml_potential.benchmark.data.labelled_tensors import ImageTensors
from pml_potential.benchmark.data.transforms import ImageTransform
from pml_potential.benchmark.files import sealed_file
from pml_potential.benchmark.models.weights import weights_hash

_BATCH = 64


@dataclass(frozen=True)
class View:
    """How a network sees every image.

    Attributes:
        transform: from a picture to the network's numbers.
        number: of the view, where the transform draws by chance: each number draws anew, and always the
            same. None: the transform knows no chance.
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
    told: Callable[[int], None] = lambda _done: None,
) -> NDArray[Any]:
    """Compute the trunk's output for every image, or map what an earlier call has left.

    The file's name is a hash of the weights, the view and the data, so that it is found again only
    for the same features. A file that was not finished has another name; one that is damaged, as a
    checksum tells, is set aside with a warning.

    Args:
        trunk: in evaluation mode for this, and left in it.
        images: the whole data set.
        view: of each image.
        cache: folder of the files.
        device: where to compute.
        dtype: of the file.
        told: called with the number of images that are done, as it grows.

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
        dataset = _Seen(images, view)
        done = 0
        with sealed_file(path) as file:
            for found in _computed(trunk.to(device).eval(), dataset, device):
                rows = _rounded(found, dtype, trunk)
                if file.checksum == 0:
                    shape = (len(dataset), *rows.shape[1:])
                    header = {"descr": rows.dtype.str, "fortran_order": False, "shape": shape}
                    np.lib.format.write_array_header_1_0(file, header)
                file.write(rows.tobytes())
                done += len(rows)
                told(done)
    features: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return features


def features_path(trunk: nn.Module, images: Images, view: View, cache: Path) -> Path:
    """The file of a trunk's output for a view of the images, there or not."""
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


def _computed(trunk: nn.Module, dataset: _Seen, device: torch.device) -> Iterator[NDArray[np.float32]]:
    """The trunk's output, batch by batch."""
    # With a generator of its own, for it draws a seed for its processes, whether it needs one or not.
    loader = DataLoader(
        dataset, batch_size=_BATCH, num_workers=dataset.workers, generator=torch.Generator()
    )
    with torch.inference_mode():
        for batch in loader:
            yield trunk(batch.to(device)).float().cpu().numpy()


def _rounded(
    found: NDArray[np.float32], dtype: type[np.floating[Any]], trunk: nn.Module
) -> NDArray[np.floating[Any]]:
    largest, limit = float(np.abs(found).max()), float(np.finfo(dtype).max)
    if limit < largest < np.inf:
        raise ConfigError(
            f"{trunk.extra_repr()}: an activation is {largest:.3g}, and {np.dtype(dtype)} ends at "
            f"{limit:.0f}; give another block as model.freeze_until",
            ("model", "freeze_until"),
        )
    # Little-endian, whatever the machine.
    return found.astype(np.dtype(dtype).newbyteorder("<"))
