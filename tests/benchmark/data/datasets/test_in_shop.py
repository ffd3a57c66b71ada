from pathlib import Path

import pytest

from pml_potential.benchmark.data.datasets.in_shop import load_in_shop
from pml_potential.benchmark.data.datasets.layout import LayoutError
from tests.benchmark.data.datasets.listed_images import classes_of, replace
from tests.benchmark.data.datasets.miniatures import write_in_shop


@pytest.mark.parametrize("nested", [False, True])
def test_items_are_read_with_query_and_gallery(tmp_path: Path, nested: bool) -> None:
    images = load_in_shop(write_in_shop(tmp_path, classes=4, images=3, nested=nested))
    assert images.name == "in_shop"
    assert images.class_names == ("id_00000001", "id_00000002", "id_00000003", "id_00000004")
    assert images.division is not None
    assert images.division.tolist() == ["train"] * 6 + ["query", "gallery", "gallery"] * 2
    assert classes_of(images, "query") == classes_of(images, "gallery") == list(images.class_names[2:])
    assert images.relative_path(0) == "img/WOMEN/Dresses/id_00000001/01_1_front.jpg"
    assert all(path.is_file() for path in images.paths)


def test_both_places_of_the_list_are_one_data_set(tmp_path: Path) -> None:
    flat, nested = write_in_shop(tmp_path / "a"), write_in_shop(tmp_path / "b", nested=True)
    assert load_in_shop(flat).sha256 == load_in_shop(nested).sha256


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("12\n", "13\n", "line 1 promises 13 images, but 12 follow"),
        ("12\n", "image\n", "line 1: got 'image'; it must be the number of images"),
        (" query", " probe", r"line 9: got 'img/.*probe'; it must be an image, its item, and one of"),
        (" query", "", r"line 9: got 'img/.*id_00000003'"),
    ],
)
def test_a_damaged_list_is_quoted(tmp_path: Path, old: str, new: str, message: str) -> None:
    replace(write_in_shop(tmp_path) / "list_eval_partition.txt", old, new)
    with pytest.raises(LayoutError, match=message):
        load_in_shop(tmp_path)


def test_empty_lines_are_passed_over(tmp_path: Path) -> None:
    list_path = write_in_shop(tmp_path, classes=2, images=2) / "list_eval_partition.txt"
    list_path.write_text(list_path.read_text() + "\n   \n")
    assert len(load_in_shop(tmp_path).paths) == 4


def test_an_empty_list_is_refused(tmp_path: Path) -> None:
    (write_in_shop(tmp_path) / "list_eval_partition.txt").write_text("")
    with pytest.raises(LayoutError, match="line 1: got ''; it must be the number of images"):
        load_in_shop(tmp_path)


@pytest.mark.parametrize("nested", [False, True])
def test_pictures_of_high_resolution_alone_are_refused(tmp_path: Path, nested: bool) -> None:
    base = write_in_shop(tmp_path, nested=nested) / ("Img" if nested else "")
    (base / "img").rename(base / "img_highres")
    with pytest.raises(LayoutError, match="holds img_highres and no img; its pictures are for parsing"):
        load_in_shop(tmp_path)
