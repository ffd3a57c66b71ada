"""The interface of every image data set."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pml_potential.benchmark.data.labelling import check_labelling


class Images(Protocol):
    """What the benchmark needs from a data set, in memory or in files."""

    @property
    def name(self) -> str:
        """The data set's name."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """The class of each image, from 0, in the order of the sorted classes."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """A different name for each class."""

    @property
    def division(self) -> NDArray[np.str_] | None:
        """For each image "train", "test", "query" or "gallery", if the data set comes divided."""

    @property
    def sha256(self) -> str:
        """A hash that changes when the data set does."""

    @property
    def cache_key(self) -> str:
        """A hash that changes when the data set or the order of its images does."""

    @property
    def channels(self) -> int:
        """1 for grey images, 3 for colour."""

    def image(self, index: int) -> Image.Image:
        """One image, of mode "L" if `channels` is 1, else "RGB"."""


# Comparing arrays field by field has no single truth value, so instances compare by identity.
@dataclass(frozen=True, eq=False)
class ImageArrays:
    """Images of one size, each with the number of its class.

    Attributes:
        name: The data set's name.
        images: uint8 of shape (n, height, width) for grey or (n, height, width, 3) for colour.
        labels: int64 of shape (n,), each from 0 to ``len(class_names) - 1``.
        class_names: A different name for each class; label k has the name ``class_names[k]``.
        division: "train", "test", "query" or "gallery" for each image, shape (n,), or None.

    Raises:
        ValueError: If a shape, a data type, a label or a class name is not as above.

    Examples:
        >>> import numpy as np
        >>> pixels = np.zeros((2, 8, 8), dtype=np.uint8)
        >>> data = ImageArrays("tiny", pixels, np.array([0, 1]), ("cat", "dog"))
        >>> len(data.labels), data.sha256[:8]
        (2, '15172e68')
        >>> data.image(1).mode, data.image(1).size
        ('L', (8, 8))
    """

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    division: NDArray[np.str_] | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError(f"name must not be empty, got {self.name!r}")
        if self.images.dtype != np.uint8:
            raise ValueError(f"images must be of dtype uint8, got {self.images.dtype}")
        colour = self.images.ndim == 4 and self.images.shape[3] == 3
        if (self.images.ndim != 3 and not colour) or 0 in self.images.shape:
            raise ValueError(
                "images must be of shape (n, height, width) or (n, height, width, 3) "
                f"with no empty axis, got {self.images.shape}"
            )
        check_labelling(len(self.images), self.labels, self.class_names, self.division)

    @property
    def channels(self) -> int:
        """1 for grey images, 3 for colour."""
        return 1 if self.images.ndim == 3 else 3

    def image(self, index: int) -> Image.Image:
        """Gives one image.

        Args:
            index: Its place among the images.

        Returns:
            An image of mode "L" if `channels` is 1, else "RGB".

        Raises:
            IndexError: If there is no such place.
        """
        return Image.fromarray(self.images[index])

    @property
    def cache_key(self) -> str:
        """The hash, which depends on the order as well."""
        return self.sha256

    @cached_property
    def sha256(self) -> str:
        """Hash of the image shape, the pixels, the labels and the class names, in hexadecimal.

        The division, if any, is hashed too. The hash is the same on machines of either byte order, and
        does not depend on ``name``.
        """
        digest = hashlib.sha256()
        digest.update(repr(self.images.shape).encode())
        digest.update(self.images.tobytes())
        digest.update(self.labels.astype("<i8").tobytes())
        # repr() keeps ("ab",) and ("a", "b") apart; ascii() is repr() with the same text on
        # every version of Python, whatever its Unicode tables call printable.
        digest.update(ascii(self.class_names).encode())
        if self.division is not None:
            digest.update(ascii(("parts", *self.division.tolist())).encode())
        return digest.hexdigest()
