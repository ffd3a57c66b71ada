from pathlib import Path

import pytest

from pml_potential.benchmark.data.datasets.cub200 import load_cub200
from pml_potential.benchmark.data.datasets.layout import LayoutError
from tests.benchmark.data.datasets.listed_images import classes_of, has_first_half_for_training, replace
from tests.benchmark.data.datasets.miniatures import write_cub200


def test_birds_are_read_as_published(tmp_path: Path) -> None:
    images = load_cub200(write_cub200(tmp_path, classes=5, images=3))
    assert images.name == "cub200"
    assert images.class_names == (
        "001.Bird_1",
        "002.Bird_2",
        "101.Bird_101",
        "102.Bird_102",
        "103.Bird_103",
    )
    assert images.labels.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3 + [4] * 3
    assert classes_of(images, "train") == ["001.Bird_1", "002.Bird_2"]
    assert classes_of(images, "test") == ["101.Bird_101", "102.Bird_102", "103.Bird_103"]
    assert all(
        path.parent.name == images.class_names[label]
        for path, label in zip(images.paths, images.labels, strict=True)
    )
    assert images.image(14).size == (24, 24)


def test_classes_are_sorted_by_number_whatever_the_order_of_the_lists(tmp_path: Path) -> None:
    base = write_cub200(tmp_path, classes=4, images=1) / "CUB_200_2011"
    for name in ("images.txt", "image_class_labels.txt"):
        lines = (base / name).read_text().splitlines()
        (base / name).write_text("\n".join(reversed(lines)) + "\n")
    images = load_cub200(tmp_path)
    assert images.labels.tolist() == [3, 2, 1, 0]
    assert images.class_names[0] == "001.Bird_1"


def test_a_list_that_does_not_match_the_other_is_refused(tmp_path: Path) -> None:
    base = write_cub200(tmp_path, classes=4, images=3) / "CUB_200_2011"
    replace(base / "image_class_labels.txt", "2 1\n", "77 1\n")
    with pytest.raises(
        LayoutError, match=r"images\.txt lists 12 images, but only 11 of them have a class"
    ):
        load_cub200(tmp_path)


def test_the_first_100_species_are_for_training(tmp_path: Path) -> None:
    images = load_cub200(write_cub200(tmp_path, classes=200, images=1, side=2))
    assert has_first_half_for_training(images, classes=200)


def test_the_inner_folder_is_a_root_too(tmp_path: Path) -> None:
    root = write_cub200(tmp_path)
    assert load_cub200(root / "CUB_200_2011").sha256 == load_cub200(root).sha256


def test_a_class_beyond_200_is_refused(tmp_path: Path) -> None:
    base = write_cub200(tmp_path, classes=4, images=3) / "CUB_200_2011"
    replace(base / "image_class_labels.txt", "2 1\n", "2 201\n")
    with pytest.raises(LayoutError, match="only 11 of them have a class from 1 to 200"):
        load_cub200(tmp_path)
