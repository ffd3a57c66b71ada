from dataclasses import replace
from pathlib import Path

import numpy as np

from pml_potential.benchmark.data.datasets.catalogue import entry_of
from pml_potential.benchmark.data.datasets.folder import load_folder
from pml_potential.benchmark.data.datasets.in_shop import load_in_shop
from pml_potential.benchmark.data.datasets.published import (
    count_division,
    counted,
    wrong_counts,
    wrong_sizes,
)
from tests.benchmark.data.datasets.miniatures import write_class_folders, write_in_shop


def test_pictures_of_another_size_are_said_to_be_of_the_other_archive(tmp_path: Path) -> None:
    images = load_in_shop(write_in_shop(tmp_path, side=300))
    (said,) = wrong_sizes(images, entry_of("in_shop"))
    assert said.startswith("12 of 12 images do not have the published 256 x 256 pixels, ")
    assert "01_1_front.jpg with 300 x 300; those of img_highres.zip are for parsing" in said


def test_pictures_of_the_published_size_are_right(tmp_path: Path) -> None:
    images = load_in_shop(write_in_shop(tmp_path, side=256))
    assert list(wrong_sizes(images, entry_of("in_shop"))) == []


def test_images_of_ones_own_have_any_count_and_size(tmp_path: Path) -> None:
    images = load_folder(write_class_folders(tmp_path))
    assert [*wrong_counts(images, entry_of("folder")), *wrong_sizes(images, entry_of("folder"))] == []


def test_counts_and_parts_are_compared(tmp_path: Path) -> None:
    images = load_in_shop(write_in_shop(tmp_path))
    parts = {"train": (6, 2), "query": (2, 2), "gallery": (5, 2)}
    entry = replace(entry_of("in_shop"), images=12, classes=4, division=parts)
    assert list(wrong_counts(images, entry)) == [
        "gallery: 4 images of 2 classes, but 5 images of 2 classes were published"
    ]
    assert count_division(images) == {"train": (6, 2), "query": (2, 2), "gallery": (4, 2)}
    assert count_division(replace(images, division=None)) == {}
    assert counted(1, 1) == "1 images of 1 classes"
    assert np.unique(images.labels).size == 4
