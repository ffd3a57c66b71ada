from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pml_potential.benchmark.data.images import ImageArrays

PIXELS = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
LABELS = np.array([1, 0, 1], dtype=np.int64)


def make(
    images: NDArray[np.uint8] = PIXELS,
    labels: NDArray[np.int64] = LABELS,
    class_names: tuple[str, ...] = ("cat", "dog"),
    name: str = "tiny",
    division: NDArray[np.str_] | None = None,
) -> ImageArrays:
    return ImageArrays(name, images, labels, class_names, division)


def test_the_hash_is_the_documented_one() -> None:
    expected = hashlib.sha256(
        b"(3, 4, 5)" + bytes(range(60)) + b"".join(n.to_bytes(8, "little") for n in (1, 0, 1))
    )
    expected.update(b"('cat', 'dog')")
    assert make().sha256 == expected.hexdigest()


def test_the_hash_sees_every_field_but_the_name() -> None:
    other_pixel = PIXELS.copy()
    other_pixel[2, 3, 4] += 1
    variants = [
        make(),
        make(images=other_pixel),
        make(images=PIXELS.reshape(3, 5, 4)),
        make(labels=1 - LABELS),
        make(class_names=("cat", "dot")),
        make(class_names=("catdog", "")),
    ]
    hashes = {variant.sha256 for variant in variants}
    assert len(hashes) == len(variants)
    assert make(name="other").sha256 == make().sha256


def test_the_hash_does_not_depend_on_memory_layout() -> None:
    assert make(images=np.asfortranarray(PIXELS)).sha256 == make().sha256


def test_colour_images_are_accepted() -> None:
    assert make(images=np.zeros((3, 4, 5, 3), dtype=np.uint8)).images.ndim == 4


@pytest.mark.parametrize("shape", [(3,), (3, 4), (3, 4, 5, 4), (3, 4, 5, 3, 1), (3, 0, 5)])
def test_wrong_image_shapes_are_quoted(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="images must be of shape") as error:
        make(images=np.zeros(shape, dtype=np.uint8))
    assert str(shape) in str(error.value)


def test_no_image_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no empty axis, got \(0, 4, 5\)"):
        make(images=PIXELS[:0], labels=LABELS[:0])


def test_the_division_is_hashed_where_there_is_one() -> None:
    division = np.array(["train", "test", "train"])
    variants = [
        make(),
        make(division=division),
        make(division=division[[1, 0, 2]]),
    ]
    assert len({variant.sha256 for variant in variants}) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "name must not be empty, got ''"),
        ({"images": PIXELS.astype(np.float32)}, "images must be of dtype uint8, got float32"),
        ({"labels": LABELS[:2]}, r"shape \(3,\), one for each image, got \(2,\)"),
        ({"class_names": ("cat", "dog", "cat")}, r"more than once: \['cat'\]"),
        ({"division": np.array(["train", "dev", "test"])}, "among train, test, .*, got 'dev'"),
    ],
)
def test_bad_values_are_quoted(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**changes)
