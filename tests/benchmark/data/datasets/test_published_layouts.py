from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pml_potential.benchmark.data.datasets.cars196 import load_cars196
from pml_potential.benchmark.data.datasets.cub200 import load_cub200
from pml_potential.benchmark.data.datasets.in_shop import load_in_shop
from pml_potential.benchmark.data.datasets.layout import LayoutError
from pml_potential.benchmark.data.datasets.sop import load_sop
from pml_potential.benchmark.data.image_files import ImageFiles
from tests.benchmark.data.datasets.miniatures import (
    write_cars196_copy,
    write_cars196_original,
    write_cub200,
    write_in_shop,
    write_sop,
)

Loader = Callable[[Path], ImageFiles]
LOADERS: list[Loader] = [load_cub200, load_cars196, load_sop, load_in_shop]


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def classes_of(images: ImageFiles, part: str) -> list[str]:
    assert images.division is not None
    return [images.class_names[label] for label in np.unique(images.labels[images.division == part])]


def test_cub200_is_read_as_published(tmp_path: Path) -> None:
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


def test_the_inner_folders_are_roots_too(tmp_path: Path) -> None:
    birds = write_cub200(tmp_path / "birds")
    products = write_sop(tmp_path / "products")
    assert load_cub200(birds / "CUB_200_2011").sha256 == load_cub200(birds).sha256
    assert load_sop(products / "Stanford_Online_Products").sha256 == load_sop(products).sha256


def test_a_cub200_list_that_does_not_match_the_other_is_refused(tmp_path: Path) -> None:
    base = write_cub200(tmp_path, classes=4, images=3) / "CUB_200_2011"
    replace(base / "image_class_labels.txt", "2 1\n", "77 1\n")
    with pytest.raises(
        LayoutError, match=r"images\.txt lists 12 images, but only 11 of them have a class"
    ):
        load_cub200(tmp_path)


def test_cars196_is_read_in_both_layouts(tmp_path: Path) -> None:
    copy = load_cars196(write_cars196_copy(tmp_path / "copy", classes=4, images=3))
    original = load_cars196(write_cars196_original(tmp_path / "original", classes=4, images=3))
    names = ("Maker Ram C-V Model 1", "Maker Ram C-V Model 2", "Maker Ram C-V Model 99")
    for images in (copy, original):
        assert images.name == "cars196"
        assert images.class_names == (*names, "Maker Ram C-V Model 100")
        assert np.bincount(images.labels).tolist() == [3, 3, 3, 3]
        assert classes_of(images, "train") == list(names[:2])
        assert all(path.is_file() for path in images.paths)
    assert copy.paths[0].parent.name == names[0]
    assert original.labels.tolist() == sorted(original.labels.tolist())
    assert original.relative_path(3) == "car_ims/000004.jpg"


def test_a_car_without_a_name_is_refused(tmp_path: Path) -> None:
    from scipy.io import loadmat, savemat

    root = write_cars196_original(tmp_path)
    lists = loadmat(root / "cars_annos.mat", squeeze_me=True)
    names = lists["class_names"][:50]
    savemat(root / "cars_annos.mat", {"annotations": lists["annotations"], "class_names": names})
    with pytest.raises(LayoutError, match="class 99, but names for classes 1 to 50"):
        load_cars196(root)


@pytest.mark.parametrize("content", [b"", b"no mat file" * 30])
def test_a_damaged_mat_file_is_named(tmp_path: Path, content: bytes) -> None:
    root = write_cars196_original(tmp_path)
    (root / "cars_annos.mat").write_bytes(content)
    with pytest.raises(LayoutError, match=r"cars_annos\.mat|lists of Cars-196"):
        load_cars196(root)


@pytest.mark.parametrize(
    ("load", "write", "classes"),
    [
        (load_cub200, write_cub200, 200),
        (load_cars196, write_cars196_copy, 196),
        (load_cars196, write_cars196_original, 196),
        (load_sop, write_sop, 8),
        (load_in_shop, write_in_shop, 8),
    ],
)
def test_the_first_half_of_all_classes_is_for_training(
    tmp_path: Path, load: Loader, write: Callable[..., Path], classes: int
) -> None:
    images = load(write(tmp_path, classes=classes, images=1, side=2))
    assert images.division is not None
    assert len(images.class_names) == classes
    assert ((images.division == "train") == (images.labels < classes // 2)).all()


def test_sop_is_read(tmp_path: Path) -> None:
    images = load_sop(write_sop(tmp_path, classes=12, images=2))
    assert images.name == "sop"
    assert images.class_names == tuple(str(number) for number in range(1, 13))
    assert images.labels.tolist() == [label for label in range(12) for _ in range(2)]
    assert classes_of(images, "train") == ["1", "2", "3", "4", "5", "6"]
    assert classes_of(images, "test") == ["7", "8", "9", "10", "11", "12"]
    assert all(path.is_file() for path in images.paths)


@pytest.mark.parametrize("nested", [False, True])
def test_in_shop_is_read_with_query_and_gallery(tmp_path: Path, nested: bool) -> None:
    images = load_in_shop(write_in_shop(tmp_path, classes=4, images=3, nested=nested))
    assert images.name == "in_shop"
    assert images.class_names == ("id_00000001", "id_00000002", "id_00000003", "id_00000004")
    assert images.division is not None
    assert images.division.tolist() == ["train"] * 6 + ["query", "gallery", "gallery"] * 2
    assert classes_of(images, "query") == classes_of(images, "gallery") == list(images.class_names[2:])
    assert images.relative_path(0) == "img/WOMEN/Dresses/id_00000001/01_1_front.jpg"
    assert all(path.is_file() for path in images.paths)


def test_both_places_of_in_shop_are_one_data_set(tmp_path: Path) -> None:
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
def test_a_damaged_in_shop_list_is_quoted(tmp_path: Path, old: str, new: str, message: str) -> None:
    replace(write_in_shop(tmp_path) / "list_eval_partition.txt", old, new)
    with pytest.raises(LayoutError, match=message):
        load_in_shop(tmp_path)


@pytest.mark.parametrize("load", LOADERS)
def test_a_folder_that_is_not_there_is_named(tmp_path: Path, load: Loader) -> None:
    with pytest.raises(LayoutError, match=r"the folder .*nowhere of .* does not exist; ") as error:
        load(tmp_path / "nowhere")
    advice = "MMLab CUHK" if load is load_in_shop else "pml-potential datasets download"
    assert advice in str(error.value)
    assert error.value.keys == ("dataset", "root")


@pytest.mark.parametrize(
    ("load", "write", "file"),
    [
        (load_cub200, write_cub200, "CUB_200_2011/images.txt"),
        (load_cub200, write_cub200, "CUB_200_2011/image_class_labels.txt"),
        (load_cars196, write_cars196_copy, "names.csv"),
        (load_cars196, write_cars196_copy, "anno_test.csv"),
        (load_cars196, write_cars196_original, "cars_annos.mat"),
        (load_sop, write_sop, "Stanford_Online_Products/Ebay_test.txt"),
        (load_in_shop, write_in_shop, "list_eval_partition.txt"),
    ],
)
def test_a_missing_list_is_named(
    tmp_path: Path, load: Loader, write: Callable[[Path], Path], file: str
) -> None:
    (write(tmp_path) / file).unlink()
    with pytest.raises(LayoutError, match=f"{file} is missing below it"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("load", "write", "folder"),
    [
        (load_cub200, write_cub200, "CUB_200_2011/images"),
        (load_cars196, write_cars196_original, "car_ims"),
        (load_cars196, write_cars196_copy, "car_data"),
        (load_in_shop, write_in_shop, "img"),
    ],
)
def test_a_missing_folder_of_images_is_named(
    tmp_path: Path, load: Loader, write: Callable[[Path], Path], folder: str
) -> None:
    (write(tmp_path) / folder).rename(tmp_path / "away")
    with pytest.raises(LayoutError, match=f"{folder}.* is missing below it"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("load", "write", "file", "old", "new"),
    [
        (load_cub200, write_cub200, "CUB_200_2011/image_class_labels.txt", "2 1\n", "2 one\n"),
        (load_cub200, write_cub200, "CUB_200_2011/images.txt", "2 001", "2001"),
        (load_cars196, write_cars196_copy, "anno_test.csv", ",1\n", ",999\n"),
        (load_cars196, write_cars196_copy, "anno_test.csv", ",1\n", ",\n"),
        (load_sop, write_sop, "Stanford_Online_Products/Ebay_train.txt", "2 1 1 mug", "2 1 mug"),
    ],
)
def test_a_damaged_list_is_an_error_that_names_the_data_set(
    tmp_path: Path, load: Loader, write: Callable[[Path], Path], file: str, old: str, new: str
) -> None:
    replace(write(tmp_path) / file, old, new)
    with pytest.raises(LayoutError, match=r"the lists of .* are not as published \(\w+Error: "):
        load(tmp_path)
