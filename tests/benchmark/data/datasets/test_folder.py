from __future__ import annotations

from pathlib import Path

import pytest

from pml_potential.benchmark.data.datasets.folder import load_folder
from pml_potential.benchmark.data.datasets.layout import LayoutError
from tests.benchmark.data.datasets.miniatures import write_class_folders, write_picture


def test_a_folder_is_a_class(tmp_path: Path) -> None:
    images = load_folder(write_class_folders(tmp_path, classes=3, images=2))
    assert images.name == "folder"
    assert images.class_names == ("kind_0", "kind_1", "kind_2")
    assert images.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert [images.relative_path(index) for index in (0, 5)] == ["kind_0/0.png", "kind_2/1.png"]
    assert images.division is None


def test_classes_called_by_numbers_are_in_their_order(tmp_path: Path) -> None:
    for name in ("10", "9", "100"):
        write_picture(tmp_path / name / "a.png", 1, 1)
    assert load_folder(tmp_path).class_names == ("9", "10", "100")


def test_hidden_files_and_other_files_are_passed_over(tmp_path: Path) -> None:
    write_class_folders(tmp_path, classes=2, images=2)
    for name in (".hidden.png", "kind_0/._0.png", "kind_0/notes.txt", "readme.md", ".git/a/b.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    assert load_folder(tmp_path).labels.tolist() == [0, 0, 1, 1]


def test_train_and_test_folders_are_the_parts(tmp_path: Path) -> None:
    images = load_folder(write_class_folders(tmp_path, classes=4, images=1, division=True))
    assert images.class_names == ("kind_0", "kind_1", "kind_2", "kind_3")
    assert images.labels.tolist() == [0, 1, 2, 3]
    assert images.division is not None
    assert images.division.tolist() == ["train", "train", "test", "test"]


def test_query_and_gallery_share_their_classes(tmp_path: Path) -> None:
    for name in ("train/a", "query/b", "query/c", "gallery/b", "gallery/c"):
        write_picture(tmp_path / name / "1.png", 1, 1)
    images = load_folder(tmp_path)
    assert images.class_names == ("a", "b", "c")
    assert images.labels.tolist() == [0, 1, 2, 1, 2]
    assert images.division is not None
    assert images.division.tolist() == ["train", "query", "query", "gallery", "gallery"]


def test_query_without_gallery_is_refused(tmp_path: Path) -> None:
    for name in ("train/a", "query/b"):
        write_picture(tmp_path / name / "1.png", 1, 1)
    with pytest.raises(LayoutError, match="holds the parts query, train; query and gallery must come"):
        load_folder(tmp_path)


def test_a_class_may_be_called_as_a_part(tmp_path: Path) -> None:
    for name in ("train", "ship"):
        write_picture(tmp_path / name / "1.png", 1, 1)
    assert load_folder(tmp_path).class_names == ("ship", "train")
    (tmp_path / "ship" / "1.png").unlink()
    (tmp_path / "ship").rmdir()
    assert load_folder(tmp_path).class_names == ("train",)


def test_images_that_lie_too_deep_are_refused(tmp_path: Path) -> None:
    write_class_folders(tmp_path, classes=2)
    write_picture(tmp_path / "kind_1" / "young" / "1.png", 1, 1)
    with pytest.raises(
        LayoutError, match=r"kind_1 is the folder of a class, but holds the folder 'young'"
    ):
        load_folder(tmp_path)


@pytest.mark.parametrize("parts", [False, True])
def test_images_that_lie_in_no_class_are_refused(tmp_path: Path, parts: bool) -> None:
    write_class_folders(tmp_path, division=parts)
    write_picture(tmp_path / "loose.png", 1, 1)
    with pytest.raises(LayoutError, match=r"loose\.png lies in no folder of a class"):
        load_folder(tmp_path)


def test_empty_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="holds no folder; give the folder that holds a folder"):
        load_folder(tmp_path)
    write_class_folders(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(LayoutError, match=r"the class .*empty holds no image"):
        load_folder(tmp_path)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_text("x")
    with pytest.raises(LayoutError, match=r"a\.zip .* does not exist"):
        load_folder(tmp_path / "a.zip")
