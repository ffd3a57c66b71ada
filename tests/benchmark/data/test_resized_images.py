"""Pictures that were decoded once are those that the transforms would have made."""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from PIL import Image

from pml_potential.benchmark.config.schema import Crop, Input
from pml_potential.benchmark.data.cache import cache_path
from pml_potential.benchmark.data.datasets.folder import load_folder
from pml_potential.benchmark.data.image_files import ImageFiles
from pml_potential.benchmark.data.image_reading import UnreadableImageError
from pml_potential.benchmark.data.resized_images import ResizedImages, resized_images
from pml_potential.benchmark.data.transforms import evaluation_transform, training_transform
from tests.benchmark.data.datasets.miniatures import write_class_folders, write_picture

CROP = Crop(resize=20, size=16)
FITS = [CROP, Crop(resize=20, size=16, fit="squash"), Crop(resize=20, size=16, fit="pad")]
INPUT = Input(mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2))


@pytest.fixture
def images(tmp_path: Path) -> ImageFiles:
    root = write_class_folders(tmp_path / "data", classes=3, images=2)
    write_picture(root / "kind_0" / "large.png", 5, 0, side=57)
    wide = Image.linear_gradient("L").resize((80, 40))
    wide.convert("RGB").save(root / "kind_2" / "wide.png")
    return load_folder(root)


@pytest.mark.parametrize("crop", FITS, ids=str)
def test_transforms_give_the_same_numbers(images: ImageFiles, tmp_path: Path, crop: Crop) -> None:
    decoded = resized_images(images, crop, tmp_path / "cache")
    assert isinstance(decoded, ResizedImages)
    transform = evaluation_transform(INPUT, crop, 3)
    for index in range(len(images.labels)):
        assert transform(decoded.image(index)).equal(transform(images.image(index)))


@pytest.mark.parametrize("crop", FITS, ids=str)
def test_random_crops_are_the_same_with_the_same_seed(
    images: ImageFiles, tmp_path: Path, crop: Crop
) -> None:
    decoded = resized_images(images, crop, tmp_path / "cache")
    transform = training_transform(INPUT, crop, 3)
    torch.manual_seed(0)
    expected = [transform(images.image(index)) for index in range(len(images.labels))]
    torch.manual_seed(0)
    assert all(transform(decoded.image(i)).equal(picture) for i, picture in enumerate(expected))


def test_pictures_for_another_fit_have_a_file_of_their_own(images: ImageFiles, tmp_path: Path) -> None:
    wide = len(images.labels) - 1
    decoded = [resized_images(images, crop, tmp_path / "cache") for crop in FITS]
    assert [each.image(wide).size for each in decoded] == [(40, 20), (20, 20), (20, 10)]
    assert len(list((tmp_path / "cache").iterdir())) == 6


def test_pictures_resized_for_a_crop_lie_where_they_always_lay(
    images: ImageFiles, tmp_path: Path
) -> None:
    resized_images(images, CROP, tmp_path)
    assert cache_path(tmp_path, (images.cache_key, 20), ".pixels").is_file()


def test_it_is_the_same_data_set(images: ImageFiles, tmp_path: Path) -> None:
    decoded = resized_images(images, CROP, tmp_path / "cache")
    assert np.array_equal(decoded.labels, images.labels)
    assert (decoded.name, decoded.sha256, decoded.channels) == (images.name, images.sha256, 3)
    assert decoded.class_names == images.class_names


def test_pictures_are_decoded_once(
    images: ImageFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = resized_images(images, CROP, tmp_path / "cache")
    monkeypatch.setattr(ImageFiles, "image", None)
    again = resized_images(images, CROP, tmp_path / "cache")
    assert again.image(4).tobytes() == first.image(4).tobytes()
    assert pickle.loads(pickle.dumps(again)).image(4).tobytes() == first.image(4).tobytes()


def test_pictures_of_another_size_have_a_file_of_their_own(images: ImageFiles, tmp_path: Path) -> None:
    crops = [Crop(resize=size, size=8) for size in (20, 10, 20)]
    found = [resized_images(images, crop, tmp_path / "cache") for crop in crops]
    assert [min(each.image(0).size) for each in found] == [20, 10, 20]
    assert len(list((tmp_path / "cache").iterdir())) == 4


def test_other_pictures_have_a_file_of_their_own(images: ImageFiles, tmp_path: Path) -> None:
    first = resized_images(images, CROP, tmp_path / "cache")
    write_picture(images.paths[0], 9, 9, side=90)
    changed = resized_images(load_folder(images.root), CROP, tmp_path / "cache")
    assert changed.image(0).tobytes() != first.image(0).tobytes()
    assert len(list((tmp_path / "cache").iterdir())) == 4


def test_what_does_not_fit_stays_in_its_files(
    images: ImageFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pml_potential.benchmark.data.resized_images._MOST_BYTES", 3000)
    assert resized_images(images, CROP, tmp_path / "cache") is images
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("suffix", [".npy", ".pixels"])
@pytest.mark.parametrize("place", [None, 0, 200, -1])
def test_a_damaged_file_is_set_aside(
    images: ImageFiles, tmp_path: Path, suffix: str, place: int | None
) -> None:
    first = resized_images(images, CROP, tmp_path / "cache")
    expected = [first.image(index).tobytes() for index in range(len(images.labels))]
    (path,) = (tmp_path / "cache").glob(f"*{suffix}")
    content = bytearray(path.read_bytes())
    if place is None:
        del content[-100:]
    else:
        content[place] ^= 4
    path.write_bytes(content)
    with pytest.warns(UserWarning, match=f"{path.name} is damaged"):
        again = resized_images(images, CROP, tmp_path / "cache")
    assert [again.image(index).tobytes() for index in range(len(images.labels))] == expected
    assert path.with_name(f"{path.name}.damaged_1").read_bytes() == content


def test_an_unreadable_picture_is_named_and_leaves_nothing(images: ImageFiles, tmp_path: Path) -> None:
    images.paths[3].write_bytes(b"no picture")
    with pytest.raises(UnreadableImageError, match=images.paths[3].name):
        resized_images(images, CROP, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_same_pictures_in_another_order_have_a_file_of_their_own(
    images: ImageFiles, tmp_path: Path
) -> None:
    """Pictures are kept by their places."""
    turned = replace(images, paths=images.paths[::-1], labels=images.labels[::-1])
    assert turned.sha256 == images.sha256
    first, second = (resized_images(each, CROP, tmp_path / "cache") for each in (images, turned))
    last = len(images.paths) - 1
    assert first.image(0).tobytes() == second.image(last).tobytes()
    assert first.image(0).tobytes() != second.image(0).tobytes()


def test_resizing_goes_on_where_it_was_stopped(
    images: ImageFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = resized_images(images, CROP, tmp_path / "whole")
    image, read = ImageFiles.image, []

    def stopping(self: ImageFiles, index: int) -> Image.Image:
        read.append(index)
        if index == 4 and read.count(4) == 1:
            raise KeyboardInterrupt
        return image(self, index)

    monkeypatch.setattr(ImageFiles, "image", stopping)
    with pytest.raises(KeyboardInterrupt):
        resized_images(images, CROP, tmp_path / "cache")
    read[:] = [4]
    again = resized_images(images, CROP, tmp_path / "cache")
    assert min(read[1:]) == 4
    for index in range(len(images.labels)):
        assert again.image(index).tobytes() == whole.image(index).tobytes()
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_an_elongated_picture_takes_little_room(images: ImageFiles, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 4000, 3), dtype=np.uint8)
    for picture, path in zip((pixels, pixels.transpose(1, 0, 2)), images.paths, strict=False):
        Image.fromarray(picture).save(path)
    crop = Crop(resize=256, size=227)
    decoded = resized_images(images, crop, tmp_path / "cache")
    assert [decoded.image(index).size for index in (0, 1)] == [(25_600, 256), (256, 25_600)]
    assert sum(path.stat().st_size for path in (tmp_path / "cache").iterdir()) < 50e6
    seen = evaluation_transform(INPUT, crop, 3)(images.image(0))
    assert seen.equal(evaluation_transform(INPUT, crop, 3)(decoded.image(0)))
    middle = Image.fromarray(pixels[:, 1950:2050])
    assert seen.equal(evaluation_transform(INPUT, crop, 3)(middle))


@pytest.mark.parametrize(("fit", "sides"), [("squash", (256, 256)), ("pad", (256, 1))])
def test_an_elongated_picture_is_seen_whole_where_nothing_is_cut_off(
    fit: Literal["squash", "pad"], sides: tuple[int, int], images: ImageFiles, tmp_path: Path
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 4000, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(images.paths[0])
    crop = Crop(resize=256, size=227, fit=fit)
    decoded = resized_images(images, crop, tmp_path / "cache")
    assert decoded.image(0).size == sides
    seen = evaluation_transform(INPUT, crop, 3)(images.image(0))
    assert seen.equal(evaluation_transform(INPUT, crop, 3)(decoded.image(0)))
