"""Labelled images that stay in their files until they are used."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pml_potential.benchmark.data.file_hashes import hash_files
from pml_potential.benchmark.data.image_reading import (
    FEW_LEVELS,
    ReadImage,
    UnreadableImageError,
    read_image,
    read_size,
)
from pml_potential.benchmark.data.labelling import check_labelling
from pml_potential.benchmark.data.long_step import long_step

_warned_of: set[Path] = set()
"""Roots for which this process has warned of lost grey levels: once, not for each image."""


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Image files of any size and kind, each with the number of its class.

    Attributes:
        name: The data set's name.
        paths: The file of each image. Whether it exists is only checked when it is read.
        root: Folder to which paths inside it are relative in the hash.
        labels: int64 of shape (n,), each from 0 to ``len(class_names) - 1``.
        class_names: A different name for each class; label k has the name ``class_names[k]``.
        division: "train", "test", "query" or "gallery" for each image, shape (n,), or None.
        memory: A file that remembers the hashes of the images, so that each is computed once.

    Raises:
        ValueError: If there is no image, or a shape, a data type, a label, a class name or the division
            is not as above.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder) / "cat.png"
        ...     Image.new("L", (4, 3)).save(path)
        ...     data = ImageFiles("tiny", (path,), Path(folder), np.array([0]), ("cat",))
        ...     data.image(0).mode, data.image(0).size, data.channels
        ('RGB', (4, 3), 3)
    """

    name: str
    paths: tuple[Path, ...]
    root: Path
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    division: NDArray[np.str_] | None = None
    memory: Path | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError(f"name must not be empty, got {self.name!r}")
        if not self.paths:
            raise ValueError("paths must name at least one image, got none")
        check_labelling(len(self.paths), self.labels, self.class_names, self.division)

    @property
    def channels(self) -> int:
        """3: files are read as RGB, even grey ones, since one folder may hold both."""
        return 3

    def image(self, index: int) -> Image.Image:
        """Reads one image, as `read_image` does.

        Args:
            index: Its place among the paths.

        Returns:
            An image of mode "RGB".

        Raises:
            IndexError: If there is no such place.
            UnreadableImageError: If the file is missing, damaged or not an image.
        """
        found = self.read(index)
        if FEW_LEVELS in found.changes and self.root not in _warned_of:
            _warned_of.add(self.root)
            warnings.warn(
                f"the image {self.paths[index]} is {FEW_LEVELS}; `pml-potential datasets check` lists "
                "all such images",
                stacklevel=2,
            )
        return found.image

    def read(self, index: int) -> ReadImage:
        """Reads one image, as `image` does, and says what was changed, without warnings."""
        return read_image(self.paths[index])

    def relative_path(self, index: int) -> str:
        """Gives the path of an image relative to the root, with "/" on every system.

        Args:
            index: Its place among the paths.

        Returns:
            The relative path, or the whole one of a file outside of the root.
        """
        path = self.paths[index]
        try:
            return path.relative_to(self.root).as_posix()
        except ValueError:
            return path.as_posix()

    @cached_property
    def file_hashes(self) -> list[str]:
        """SHA-256 of each file's content, in hexadecimal.

        Raises:
            UnreadableImageError: If a file is missing or cannot be read.
        """
        try:
            return hash_files(self.paths, self.memory)
        # ValueError: no path holds a null character.
        except (OSError, ValueError) as error:
            file, reason = getattr(error, "filename", None), getattr(error, "strerror", error)
            image = f"the image {file}" if file else "an image"
            raise UnreadableImageError(
                f"cannot read {image} of {self.name}: {reason}; `pml-potential datasets check` lists "
                "all that are missing"
            ) from error

    @cached_property
    def sizes(self) -> list[tuple[int, int]]:
        """Width and height of each image, read without decoding it.

        Raises:
            UnreadableImageError: If a file is missing or not an image.
        """
        with long_step("reading image sizes", len(self.paths), "files") as advance:
            found = []
            for path in self.paths:
                found.append(read_size(path))
                advance(1)
            return found

    @cached_property
    def sha256(self) -> str:
        """Hash of the data set, in hexadecimal.

        It covers the class names and, for each image in the order of the relative paths, the relative
        path, the file's content, the label and the division. It does not depend on ``name``, on the
        place of the root, or on the order of the images.

        Raises:
            UnreadableImageError: If a file is missing or cannot be read.
        """
        division = [""] * len(self.paths) if self.division is None else self.division.tolist()
        rows = [
            (self.relative_path(index), content, label, split)
            for index, (content, label, split) in enumerate(
                zip(self.file_hashes, self.labels.tolist(), division, strict=True)
            )
        ]
        digest = hashlib.sha256()
        # ascii() is repr() with the same text on every version of Python.
        digest.update(ascii(self.class_names).encode())
        for row in sorted(rows):
            digest.update(ascii(row).encode())
        return digest.hexdigest()

    @cached_property
    def cache_key(self) -> str:
        """Key of a cache that keeps something for each image by its place.

        The hash, combined with the order of the images if that is not the order of their relative paths.
        """
        order = [self.relative_path(index) for index in range(len(self.paths))]
        if order == sorted(order):
            return self.sha256
        return hashlib.sha256(ascii((self.sha256, order)).encode()).hexdigest()
