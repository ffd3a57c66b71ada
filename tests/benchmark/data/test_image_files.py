from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pml_potential.benchmark.data.image_files import ImageFiles
from pml_potential.benchmark.data.image_reading import UnreadableImageError
from pml_potential.benchmark.data.images import ImageArrays, Images
from tests.benchmark.data.datasets.miniatures import write_picture
from tests.benchmark.data.odd_pictures import deep_grey


def make(folder: Path, **changes: Any) -> ImageFiles:
    """Three images of two classes below a folder."""
    values: dict[str, Any] = {
        "name": "tiny",
        "paths": tuple(folder / name for name in ("a/1.png", "b/2.png", "a/3.png")),
        "root": folder,
        "labels": np.array([0, 1, 0], dtype=np.int64),
        "class_names": ("cat", "dog"),
        "division": np.array(["train", "test", "train"]),
    }
    values |= changes
    return ImageFiles(**values)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for path in make(root).paths:
        write_picture(path, len(path.stem), int(path.stem), side=4 + int(path.stem))
    return root


def test_both_kinds_of_data_set_serve_the_benchmark(root: Path) -> None:
    grey = ImageArrays("grey", np.zeros((1, 4, 5), np.uint8), np.array([0]), ("cat",))
    colour = ImageArrays("colour", np.zeros((1, 4, 5, 3), np.uint8), np.array([0]), ("cat",))
    sets: list[Images] = [grey, colour, make(root)]
    assert [images.channels for images in sets] == [1, 3, 3]
    assert [images.image(0).mode for images in sets] == ["L", "RGB", "RGB"]
    assert [images.image(0).size for images in sets] == [(5, 4), (5, 4), (5, 5)]
    assert sets[0].division is None


def test_images_in_memory_come_out_as_they_went_in() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    images = ImageArrays("grey", pixels, np.array([0, 0]), ("cat",))
    assert (np.asarray(images.image(1)) == pixels[1]).all()
    with pytest.raises(IndexError):
        images.image(2)


def test_the_image_is_that_of_its_path(root: Path) -> None:
    assert [make(root).image(index).size for index in range(3)] == [(5, 5), (6, 6), (7, 7)]


def test_the_hash_depends_neither_on_the_place_nor_on_the_order(root: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "moved"
    moved.parent.mkdir()
    first = make(root).sha256
    reordered = make(
        root,
        paths=tuple(root / name for name in ("b/2.png", "a/3.png", "a/1.png")),
        labels=np.array([1, 0, 0], dtype=np.int64),
        division=np.array(["test", "train", "train"]),
    )
    assert reordered.sha256 == first
    assert make(root, name="other").sha256 == first
    root.rename(moved)
    assert make(moved).sha256 == first


def test_the_hash_is_the_same_on_every_machine(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/2.png", "a/3.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * int(path.stem))
    one, two, three = (hashlib.sha256(b"x" * size).hexdigest() for size in (1, 2, 3))
    expected = (
        "('cat', 'dog')"
        f"('a/1.png', '{one}', 0, 'train')"
        f"('a/3.png', '{three}', 0, 'train')"
        f"('b/2.png', '{two}', 1, 'test')"
    )
    assert make(tmp_path).sha256 == hashlib.sha256(expected.encode()).hexdigest()


def test_the_hash_follows_pixels_that_change_within_the_same_size(root: Path) -> None:
    first = make(root)
    keys = first.sha256, first.cache_key
    path = root / "b/2.png"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    assert {make(root).sha256, make(root).cache_key}.isdisjoint(keys)


def test_the_hash_sees_everything_that_matters(root: Path) -> None:
    variants = [
        make(root),
        make(root, labels=np.array([0, 0, 0], dtype=np.int64)),
        make(root, labels=np.array([0, 1, 1], dtype=np.int64)),
        make(root, class_names=("cat", "cow")),
        make(root, class_names=("cat", "dog", "cow")),
        make(root, division=np.array(["train", "train", "train"])),
        make(root, division=None),
        make(root, root=root.parent),
    ]
    hashes = {variant.sha256 for variant in variants}
    (root / "b/2.png").write_bytes(b"longer" * 100)
    hashes.add(make(root).sha256)
    (root / "b/2.png").rename(root / "b/4.png")
    hashes.add(make(root, paths=tuple(root / name for name in ("a/1.png", "b/4.png", "a/3.png"))).sha256)
    assert len(hashes) == len(variants) + 2


def test_the_hash_is_made_once(root: Path) -> None:
    images = make(root)
    first = images.sha256
    images.paths[0].unlink()
    assert images.sha256 == first
    assert pickle.loads(pickle.dumps(images)).sha256 == first


def test_the_hash_of_a_missing_file_names_it(root: Path) -> None:
    (root / "b/2.png").unlink()
    with pytest.raises(UnreadableImageError, match=r"2\.png of tiny: No such file.*datasets check"):
        _ = make(root).sha256


def test_files_outside_of_the_root_keep_their_whole_path(root: Path) -> None:
    outside = make(root, root=root / "a")
    assert [outside.relative_path(index) for index in (0, 1)] == ["1.png", (root / "b/2.png").as_posix()]


def test_an_unreadable_image_survives_the_way_between_processes(root: Path) -> None:
    (root / "b/2.png").write_bytes(b"")
    with pytest.raises(UnreadableImageError) as caught:
        make(root).image(1)
    again = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(again, UnreadableImageError)
    assert str(again) == str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "name must not be empty, got ''"),
        ({"paths": ()}, "at least one image, got none"),
        ({"labels": np.array([0, 1], dtype=np.int64)}, r"shape \(3,\), one for each image, got \(2,\)"),
        ({"class_names": ("cat", "cat")}, r"more than once: \['cat'\]"),
        ({"division": np.array(["train", "test"])}, r"division must be of shape \(3,\).*got \(2,\)"),
    ],
)
def test_bad_values_are_quoted(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(tmp_path, **changes)


def test_lost_grey_levels_are_told_once_for_a_data_set(tmp_path: Path) -> None:
    images = make(tmp_path)
    for path in images.paths:
        path.parent.mkdir(exist_ok=True)
        deep_grey(path, white=4095)
    with pytest.warns(UserWarning, match="so dark that") as given:
        seen = [images.image(index) for index in range(3)]
    (warning,) = given
    assert str(warning.message).startswith(
        f"the image {images.paths[0]} is of 16 bits, but so dark that"
    )
    assert "`pml-potential datasets check` lists all" in str(warning.message)
    assert seen[0].getextrema() == ((0, 15), (0, 15), (0, 15))


class ComparedName(str):
    """A name that counts how often names are compared."""

    comparisons = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        ComparedName.comparisons += 1
        return str.__eq__(self, other)


def test_names_of_many_classes_are_not_compared_with_each_other(tmp_path: Path) -> None:
    names = tuple(ComparedName(number) for number in range(1000))
    paths = tuple(tmp_path / name for name in names)
    ImageFiles("many", paths, tmp_path, np.arange(1000, dtype=np.int64), names)
    assert ComparedName.comparisons < 10_000
