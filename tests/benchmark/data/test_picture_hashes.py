"""Hashes tell copies from other pictures, are computed once, and resume."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from pml_potential.benchmark.data import picture_hashes as module
from pml_potential.benchmark.data.datasets.folder import load_folder
from pml_potential.benchmark.data.image_files import ImageFiles
from pml_potential.benchmark.data.image_reading import UnreadableImageError
from pml_potential.benchmark.data.images import ImageArrays
from pml_potential.benchmark.data.picture_hashes import hashes_of, picture_hashes
from tests.benchmark.data.datasets.miniatures import write_class_folders


@pytest.fixture
def images(tmp_path: Path) -> ImageFiles:
    return load_folder(write_class_folders(tmp_path / "data", classes=4, images=40))


def photograph(side: int = 96) -> Image.Image:
    """Smooth noise, which has structure at all scales as photographs have."""
    coarse = np.random.default_rng(3).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


def bits_apart(one: Image.Image, other: Image.Image) -> int:
    first, second = hashes_of(one)["looks"], hashes_of(other)["looks"]
    return int(np.unpackbits(first ^ second).sum())


def test_pixels_are_equal_only_where_all_of_them_and_the_size_are() -> None:
    picture = Image.new("RGB", (6, 4), "red")
    other = picture.copy()
    other.putpixel((5, 3), (254, 0, 0))
    first = hashes_of(picture)["pixels"].tolist()
    assert hashes_of(picture.copy())["pixels"].tolist() == first
    assert hashes_of(other)["pixels"].tolist() != first
    assert hashes_of(Image.new("RGB", (4, 6), "red"))["pixels"].tolist() != first
    assert hashes_of(Image.new("L", (6, 12), 0))["pixels"].tolist() != first


@pytest.mark.parametrize(
    "changed",
    [
        photograph().resize((64, 64)),
        photograph().resize((90, 64)),
        ImageEnhance.Brightness(photograph()).enhance(0.9),
    ],
    ids=["smaller", "squashed", "darker"],
)
def test_looks_stay_where_a_picture_is_changed_a_little(changed: Image.Image) -> None:
    assert bits_apart(photograph(), changed) <= 32


def test_looks_of_another_picture_are_far() -> None:
    turned = photograph().transpose(Image.Transpose.ROTATE_90)
    assert bits_apart(photograph(), turned) > 90


def test_colours_tell_what_looks_do_not() -> None:
    red, blue = (hashes_of(Image.new("RGB", (32, 32), colour)) for colour in ("red", "blue"))
    assert red["colours"].reshape(-1, 3)[0].tolist() == [255, 0, 0]
    assert blue["colours"].reshape(-1, 3)[0].tolist() == [0, 0, 255]


def test_grey_pictures_in_memory_are_hashed(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 16, 16), dtype=np.uint8)
    pixels[2] = pixels[0]
    found = picture_hashes(ImageArrays("grey", pixels, np.array([0, 0, 1]), ("a", "b")), tmp_path)
    assert (found[0] == found[2], found[0] == found[1]) == (True, False)


def test_hashes_are_computed_once(
    images: ImageFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = picture_hashes(images, tmp_path / "cache")
    assert first.shape == (160,)
    monkeypatch.setattr(module, "hashes_of", None)
    assert (picture_hashes(images, tmp_path / "cache") == first).all()


def test_a_stopped_call_is_gone_on_with(
    images: ImageFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = picture_hashes(images, tmp_path / "whole")
    hashed: list[Image.Image] = []
    stops = [100]

    def until_stopped(picture: Image.Image) -> object:
        hashed.append(picture)
        if len(hashed) in stops:
            raise KeyboardInterrupt
        return hashes_of(picture)

    monkeypatch.setattr(module, "hashes_of", until_stopped)
    with pytest.raises(KeyboardInterrupt):
        picture_hashes(images, tmp_path / "cache")
    hashed.clear()
    stops.clear()
    assert (picture_hashes(images, tmp_path / "cache") == whole).all()
    assert len(hashed) == len(images.labels) - 64


def test_other_pictures_have_other_hashes(images: ImageFiles, tmp_path: Path) -> None:
    first = picture_hashes(images, tmp_path / "cache")
    Image.new("RGB", (24, 24)).save(images.paths[0])
    second = picture_hashes(load_folder(images.root), tmp_path / "cache")
    assert (first != second).nonzero()[0].tolist() == [0]


def test_a_damaged_picture_is_named(images: ImageFiles, tmp_path: Path) -> None:
    images.paths[5].write_bytes(b"no image")
    with pytest.raises(UnreadableImageError, match=images.paths[5].name):
        picture_hashes(images, tmp_path / "cache")
