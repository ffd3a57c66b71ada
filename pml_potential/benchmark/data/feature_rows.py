"""Vectors from any encoder, instead of images."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pml_potential.benchmark.data.cache import alone_with, cache_path, is_cached, npy_header
from pml_potential.benchmark.data.labelling import check_labelling
from pml_potential.benchmark.data.long_step import long_step
from pml_potential.benchmark.data.matrix_file import MatrixFile
from pml_potential.benchmark.files import sealed_file

_CARD = (160, 120)
_LETTERS_A_LINE = 22


@dataclass(frozen=True, eq=False)
class FeatureRows:
    """The rows of a matrix, each with the number of its class: rows take the place of images.

    Attributes:
        name: The data set's name.
        matrix: The rows, in their file.
        labels: int64 of shape (n,), each from 0 to ``len(class_names) - 1``.
        class_names: A different name for each class; label k has the name ``class_names[k]``.
        division: "train", "test", "query" or "gallery" for each row, shape (n,), or None.
        ids: Name of each row, or None for its number, from 1.
        cache: Folder in which a packed matrix is unpacked once; None: it is unpacked into memory.

    Raises:
        ValueError: If a shape, a data type, a label or a class name is not as above.
    """

    name: str
    matrix: MatrixFile
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    division: NDArray[np.str_] | None = None
    ids: tuple[str, ...] | None = None
    cache: Path | None = None

    def __post_init__(self) -> None:
        check_labelling(self.matrix.shape[0], self.labels, self.class_names, self.division)

    @property
    def channels(self) -> int:
        """How many numbers a row has."""
        return self.matrix.shape[1]

    @cached_property
    def vectors(self) -> NDArray[Any]:
        """The matrix, mapped from its file, or from the one in the cache that it was unpacked into.

        Raises:
            MatrixError: The file is damaged, or a row is not finite.
        """
        if self.matrix.mapped is not None:
            return self.matrix.mapped
        if self.cache is None:
            return np.concatenate(list(self.matrix.finite_blocks()))
        path = cache_path(self.cache, ("matrix", self.sha256), ".npy")
        if not is_cached(path):
            with alone_with(path):
                # Another process may have made it in the meantime.
                if not is_cached(path):
                    self._unpack_to(path)
        vectors: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        return vectors

    @cached_property
    def sha256(self) -> str:
        """Hash of the rows in their order, labels, class names and division, in hexadecimal.

        It is the same for every kind of file, and does not depend on ``name`` or ``ids``.

        Raises:
            MatrixError: The file is damaged, or a row is not finite.
        """
        digest = hashlib.sha256(repr(self.matrix.shape).encode())
        with long_step(f"reading {self.matrix.path.name} for its hash", len(self.labels), "rows") as go:
            for block in self.matrix.finite_blocks():
                digest.update(_little_endian(block).tobytes())
                go(len(block))
        digest.update(self.labels.astype("<i8").tobytes())
        division = None if self.division is None else self.division.tolist()
        digest.update(ascii((self.class_names, division)).encode())
        return digest.hexdigest()

    @property
    def cache_key(self) -> str:
        """The hash, which depends on the order as well."""
        return self.sha256

    def called(self, index: int) -> str:
        """Name of a row: its id, or its number from 1."""
        return f"row {index + 1}" if self.ids is None else self.ids[index]

    def image(self, index: int) -> Image.Image:
        """A card with the row's name, for sheets that otherwise show images."""
        card = Image.new("RGB", _CARD, "white")
        text = fill(self.called(index)[:150], _LETTERS_A_LINE)
        try:
            ImageDraw.Draw(card).text((6, 6), text, fill="black")
        except UnicodeEncodeError:
            # Pillow's font without FreeType has only Latin letters.
            ImageDraw.Draw(card).text((6, 6), ascii(text), fill="black")
        return card

    def row_hashes(self) -> list[str]:
        """A hash of each row: rows with the same one are copies.

        Raises:
            MatrixError: As ``sha256``.
        """
        return [
            hashlib.blake2b(row.tobytes(), digest_size=16).hexdigest()
            for block in self.matrix.finite_blocks()
            for row in _little_endian(block)
        ]

    def _unpack_to(self, path: Path) -> None:
        title = f"unpacking {self.matrix.path.name}"
        with sealed_file(path) as file, long_step(title, len(self.labels), "rows") as advance:
            for number, block in enumerate(self.matrix.blocks()):
                rows = _little_endian(block)
                if number == 0:
                    file.write(npy_header(self.matrix.shape, rows.dtype))
                file.write(rows.tobytes())
                advance(len(rows))


def _little_endian(block: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(block, dtype=block.dtype.newbyteorder("<"))
