"""Pictures decoded and resized once, so that loading keeps up with training."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pml_potential.benchmark.config.schema import Crop
from pml_potential.benchmark.data.ahead_of_time import ahead_of_time
from pml_potential.benchmark.data.cache import alone_with, cache_path, is_cached
from pml_potential.benchmark.data.images import Images
from pml_potential.benchmark.data.long_step import long_step
from pml_potential.benchmark.data.transforms import resized
from pml_potential.benchmark.files import growing_file, sealed_file

_MOST_BYTES = 32 * 2**30
_LARGEST_SHARE_OF_DISK = 0.5
"""Of the free space: a larger data set is read from the original files in every epoch."""


class _TooLargeError(Exception):
    """The pictures take more room than allowed."""


class ResizedImages:
    """A data set whose pictures lie in one file, already decoded and resized.

    Args:
        images: the data set.
        pixels: path of the pixels of all pictures, one after the other.
        index: where each picture begins, its height and its width, (n, 3).
    """

    def __init__(self, images: Images, pixels: Path, index: NDArray[np.int64]) -> None:
        self.name, self.labels, self.class_names = images.name, images.labels, images.class_names
        self.division = images.division
        self.sha256, self.cache_key, self.channels = images.sha256, images.cache_key, images.channels
        self._pixels = pixels
        self._index = index
        self._mapped: NDArray[np.uint8] | None = None

    def image(self, index: int) -> Image.Image:
        """One picture, of mode "L" if ``channels`` is 1, else "RGB"."""
        if self._mapped is None:
            self._mapped = np.memmap(self._pixels, np.uint8, "r")
        start, height, width = self._index[index].tolist()
        shape = (height, width) if self.channels == 1 else (height, width, 3)
        return Image.fromarray(self._mapped[start : start + int(np.prod(shape))].reshape(shape))

    def __getstate__(self) -> dict[str, Any]:
        """Leave the mapping behind: each process that loads images makes its own."""
        return vars(self) | {"_mapped": None}


def resized_images(images: Images, crop: Crop, cache: Path) -> Images:
    """Decode and resize every picture, or use the file of an earlier call.

    A file with a wrong checksum is set aside with a warning.

    Args:
        images: the data set.
        crop: how the pictures are resized.
        cache: folder of the files.

    Returns:
        The same data set with its pictures in a file; or ``images``, if they would take more than half
        of the free disk or 32 GiB.

    Raises:
        UnreadableImageError: A picture cannot be decoded; the message names the file.
    """
    # Files for "crop" keep the path that they had before crop.fit existed.
    made_from = (images.cache_key, crop.resize, *([] if crop.fit == "crop" else [crop.fit]))
    pixels, index = (cache_path(cache, made_from, suffix) for suffix in (".pixels", ".npy"))
    if not _are_cached(pixels, index):
        with alone_with(pixels):
            # Another process may have made them in the meantime.
            if not _are_cached(pixels, index):
                cache.mkdir(parents=True, exist_ok=True)
                most = min(_MOST_BYTES, int(shutil.disk_usage(cache).free * _LARGEST_SHARE_OF_DISK))
                try:
                    places = _write_pixels(images, crop, pixels, most)
                except _TooLargeError:
                    return images
                with sealed_file(index) as file:
                    np.save(file, places)
    return ResizedImages(images, pixels, np.load(index, allow_pickle=False))


def _are_cached(pixels: Path, index: Path) -> bool:
    """Whether both are there; a damaged one is set aside. The index is written last."""
    return all([is_cached(pixels), is_cached(index)])


def _write_pixels(images: Images, crop: Crop, path: Path, most: int) -> NDArray[np.int64]:
    """Write all pictures, from where an earlier process was stopped.

    Returns:
        Where each begins, its height and its width.
    """
    with growing_file(path) as file:
        written = sum(height * width for height, width in file.entries) * images.channels
        title = f"decoding and resizing {images.name}"
        with long_step(title, len(images.labels), "images") as advance:
            advance(len(file.entries))
            for picture in _decoded(images, crop, len(file.entries)):
                written += picture.size
                if written > most:
                    raise _TooLargeError
                file.append(picture.tobytes(), list(picture.shape[:2]))
                advance(1)
        sizes = np.array(file.entries, dtype=np.int64)
    ends = np.cumsum(sizes.prod(axis=1) * images.channels)
    return np.column_stack([np.concatenate([[0], ends[:-1]]), sizes])


def _decoded(images: Images, crop: Crop, first: int) -> Iterator[NDArray[np.uint8]]:
    """Pixels of each picture from one on, in order."""

    def one(number: int) -> NDArray[np.uint8]:
        return np.asarray(resized(images.image(number), crop), dtype=np.uint8)

    return ahead_of_time(one, range(first, len(images.labels)))
