"""Hashes that identify equal and near pictures: of the pixels, of the looks, and coarse colours."""

from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pml_potential.benchmark.data.ahead_of_time import ahead_of_time
from pml_potential.benchmark.data.cache import alone_with, cache_path, is_cached
from pml_potential.benchmark.data.images import Images
from pml_potential.benchmark.data.long_step import long_step
from pml_potential.benchmark.files import growing_file

LOOKS_BITS = 256
_SIDE = 16
_COLOURS_SIDE = 8
_BATCH = 64

_RECORD = np.dtype(
    [
        ("pixels", np.uint8, (16,)),
        ("looks", np.uint8, (LOOKS_BITS // 8,)),
        ("colours", np.uint8, (_COLOURS_SIDE**2 * 3,)),
    ]
)


def picture_hashes(images: Images, cache: Path) -> NDArray[Any]:
    """Compute the hashes of every picture, or read the file of an earlier call.

    Pictures are hashed as networks see them (``read_image``), so other content of their files makes no
    difference. An interrupted call is resumed by the next.

    Args:
        images: the data set.
        cache: folder of the files.

    Returns:
        (n,), a record for each picture: ``pixels``, BLAKE2b of size and pixels, 16 bytes; ``looks``, the
        256 bits of ImageHash's ``phash``, which scaling, compression and slight changes of brightness
        leave nearly as they are; ``colours``, the picture shrunk to 8 x 8 in RGB, 192 bytes.

    Raises:
        UnreadableImageError: A picture cannot be decoded; the message names the file.
    """
    path = cache_path(cache, ("picture hashes", images.cache_key), ".hashes")
    if not is_cached(path):
        with alone_with(path):
            # Another process may have made it in the meantime.
            if not is_cached(path):
                _write(images, path)
    return np.fromfile(path, _RECORD, count=len(images.labels))


def hashes_of(picture: Image.Image) -> NDArray[Any]:
    """The record of one picture, shape ()."""
    colours = picture.convert("RGB").resize((_COLOURS_SIDE, _COLOURS_SIDE), Image.Resampling.BOX)
    content = repr((picture.mode, picture.size)).encode() + picture.tobytes()
    record = np.zeros((), _RECORD)
    record["pixels"] = np.frombuffer(blake2b(content, digest_size=16).digest(), np.uint8)
    record["looks"] = np.packbits(imagehash.phash(picture, hash_size=_SIDE).hash.ravel())
    record["colours"] = np.asarray(colours).ravel()
    return record


def _write(images: Images, path: Path) -> None:
    """Write the records of all pictures, from where an earlier process was stopped."""
    count = len(images.labels)
    with growing_file(path) as file:
        done = sum(file.entries)
        with long_step(f"hashing the pictures of {images.name}", count, "images") as advance:
            advance(done)
            found = ahead_of_time(lambda number: hashes_of(images.image(number)), range(done, count))
            for some in _batches(found):
                file.append(some.tobytes(), len(some))
                advance(len(some))


def _batches(records: Iterator[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    while some := list(islice(records, _BATCH)):
        yield np.stack(some)
