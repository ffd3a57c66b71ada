"""An audit finds what was put into a small data set, and nothing in one that is sound."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pml_potential.benchmark.data.datasets.audit import Audit, audit
from pml_potential.benchmark.data.datasets.catalogue import entry_of
from pml_potential.benchmark.data.datasets.folder import load_folder
from pml_potential.benchmark.data.datasets.in_shop import load_in_shop
from pml_potential.benchmark.data.image_files import ImageFiles
from tests.benchmark.data.datasets.miniatures import write_in_shop


def write_photographs(root: Path, classes: int = 8, images: int = 3) -> Path:
    """Smooth noise, each picture another one; the second half of the classes is the test."""
    for label in range(classes):
        for number in range(images):
            coarse = np.random.default_rng([label, number]).integers(0, 256, (12, 12, 3), dtype=np.uint8)
            path = root / f"class {label}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(coarse).resize((96, 96), Image.Resampling.BICUBIC).save(path)
    return root


def copy_picture(root: Path, source: str, target: str) -> None:
    """The same pixels in a file of other bytes."""
    (root / target).parent.mkdir(exist_ok=True)
    Image.open(root / source).save(root / target, compress_level=1)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_photographs(tmp_path / "data")


def audited(root: Path, folds: int | None = None) -> Audit:
    return audit(load_folder(root), entry_of("folder"), folds, root.parent / "cache")


def names(found: Audit, kind: str, near: bool = False) -> list[list[str]]:
    assert isinstance(found.images, ImageFiles)
    groups = [group for group in (found.near if near else found.equal) if group.kind == kind]
    return [[found.images.relative_path(place) for place in group.images] for group in groups]


def test_a_sound_data_set_is_said_to_be_sound(root: Path) -> None:
    found = audited(root)
    assert found.sound
    assert (found.equal, found.near, found.labels, found.files) == ((), (), (), ())
    assert found.lines() == [
        "folder: 24 images of 8 classes",
        "  train 12, test 12 images",
        "Equal pictures, groups: none",
        "Near pictures, pairs to look at: none",
        "Nothing is certainly wrong.",
    ]


def test_equal_pictures_are_found_by_where_they_lie(root: Path) -> None:
    copy_picture(root, "class 0/0.png", "class 0/copy.png")
    copy_picture(root, "class 1/0.png", "class 2/copy.png")
    copy_picture(root, "class 1/0.png", "class 2/copy 2.png")
    copy_picture(root, "class 3/0.png", "class 4/copy.png")
    found = audited(root)
    assert not found.sound
    assert names(found, "class") == [["class 0/0.png", "class 0/copy.png"]]
    assert names(found, "classes") == [["class 1/0.png", "class 2/copy 2.png", "class 2/copy.png"]]
    assert names(found, "border") == [["class 3/0.png", "class 4/copy.png"]]
    assert [group.kind for group in found.equal] == ["border", "classes", "class"]
    assert found.near == ()
    text = "Equal pictures, groups: 1 across the border of training and test, 1 across classes, 1 inside"
    assert text in "\n".join(found.lines())


def test_near_pictures_are_found_and_are_no_verdict(root: Path) -> None:
    picture = Image.open(root / "class 0" / "0.png")
    picture.resize((64, 64)).save(root / "class 5" / "small.jpg", quality=80)
    found = audited(root)
    assert names(found, "border", near=True) == [["class 0/0.png", "class 5/small.jpg"]]
    assert found.near_count == 1
    assert found.sound


def test_pictures_of_other_colours_are_not_near(root: Path) -> None:
    grey = Image.open(root / "class 0" / "0.png").convert("L")
    Image.merge("RGB", [grey] * 3).save(root / "class 0" / "grey.png")
    Image.merge("RGB", [grey.point(lambda level: level // 2)] * 3).save(root / "class 0" / "dark.png")
    assert audited(root).near == ()


def test_a_label_in_two_spellings_is_found(root: Path) -> None:
    shutil.copytree(write_photographs(root.parent / "more", 9) / "class 8", root / "Class_7")
    found = audited(root)
    assert found.labels == (("Class_7", "class 7"),)
    assert not found.sound
    assert "One label in several spellings: 'Class_7', 'class 7'" in found.lines()


def test_wrong_files_of_a_published_set_are_found(tmp_path: Path) -> None:
    images = load_in_shop(write_in_shop(tmp_path / "in_shop", side=300))
    found = audit(images, entry_of("in_shop"), None, tmp_path / "cache")
    assert "12 images of 4 classes, but 52712 images of 7982 classes were published" in found.lines()
    assert any("those of img_highres.zip are for parsing" in line for line in found.lines())
    assert not found.sound


def test_query_and_gallery_are_the_other_side_of_the_border(tmp_path: Path) -> None:
    root = write_in_shop(tmp_path / "in_shop", side=256)
    items = root / "img" / "WOMEN" / "Dresses"
    shutil.copy(items / "id_00000001" / "01_1_front.jpg", items / "id_00000004" / "02_1_front.jpg")
    shutil.copy(items / "id_00000003" / "01_1_front.jpg", items / "id_00000003" / "02_1_front.jpg")
    entry = replace(entry_of("in_shop"), images=None)
    found = audit(load_in_shop(root), entry, 1, tmp_path / "cache")
    assert [group.kind for group in found.equal] == ["border", "class"]
    assert found.parts is not None
    assert [found.parts[place] for group in found.equal for place in group.images] == [
        *("train", "gallery"),
        *("query", "gallery"),
    ]


def test_too_few_classes_have_no_border(tmp_path: Path) -> None:
    root = write_photographs(tmp_path / "data", classes=1)
    copy_picture(root, "class 0/0.png", "class 0/copy.png")
    found = audited(root)
    assert found.parts is None
    assert [group.kind for group in found.equal] == ["class"]
    assert any(line.startswith("Too few classes for a test") for line in found.lines())


def test_the_border_is_that_of_the_protocol(tmp_path: Path) -> None:
    # Seven classes: cross-validation by two folds takes eight, training and test alone two.
    assert audited(write_photographs(tmp_path / "data", classes=7)).parts is not None
    assert audited(tmp_path / "data", folds=4).parts is None
