"""The form in which every image data set reaches the benchmark."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


# Comparing arrays field by field has no single truth value, so instances compare by identity.
@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images of one size, each with the number of its class.

    Attributes:
        name: The data set's name.
        images: uint8 of shape (n, height, width) for grey or (n, height, width, 3) for colour.
        labels: int64 of shape (n,), each from 0 to ``len(class_names) - 1``.
        class_names: A different name for each class; label k is called ``class_names[k]``.

    Raises:
        ValueError: If a shape, a data type, a label or a class name is not as above.

    Examples:
        >>> import numpy as np
        >>> pixels = np.zeros((2, 8, 8), dtype=np.uint8)
        >>> data = LabelledImages("tiny", pixels, np.array([0, 1]), ("cat", "dog"))
        >>> len(data.labels), data.sha256[:8]
        (2, '15172e68')
    """

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]

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
        if self.labels.dtype != np.int64:
            raise ValueError(f"labels must be of dtype int64, got {self.labels.dtype}")
        if self.labels.shape != self.images.shape[:1]:
            raise ValueError(
                f"labels must be of shape {self.images.shape[:1]}, one for each image, "
                f"got {self.labels.shape}"
            )
        repeated = sorted({name for name in self.class_names if self.class_names.count(name) > 1})
        if repeated:
            raise ValueError(f"class_names must all differ, got more than once: {repeated}")
        outside = self.labels[(self.labels < 0) | (self.labels >= len(self.class_names))]
        if len(outside):
            raise ValueError(
                f"labels must lie from 0 to {len(self.class_names) - 1} for "
                f"{len(self.class_names)} class names, got {int(outside[0])}"
            )

    @property
    def sha256(self) -> str:
        """Hash of the image shape, the pixels, the labels and the class names, in hexadecimal.

        It is the same on machines of either byte order, and does not depend on ``name``.
        """
        digest = hashlib.sha256()
        digest.update(repr(self.images.shape).encode())
        digest.update(self.images.tobytes())
        digest.update(self.labels.astype("<i8").tobytes())
        # repr() keeps ("ab",) and ("a", "b") apart; ascii() is repr() with the same text on
        # every version of Python, whatever its Unicode tables call printable.
        digest.update(ascii(self.class_names).encode())
        return digest.hexdigest()
