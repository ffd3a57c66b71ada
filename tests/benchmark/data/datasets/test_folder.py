from __future__ import annotations

from collections.abc import Callable
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
    with pytest.raises(LayoutError, match=r"loose\.png is not in the folder of a class"):
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


def divided(root: Path, *names: str) -> Path:
    """A root with parts of these names, each with two classes of its own."""
    for number, name in enumerate(names):
        for label in (2 * number, 2 * number + 1):
            write_picture(root / name / f"kind_{label}" / "1.png", label, 1)
    return root


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (("Train", "Test"), ["train", "train", "test", "test"]),
        (("TRAIN", "TEST"), ["train", "train", "test", "test"]),
        (("training", "Testing"), ["train", "train", "test", "test"]),
        (("Train", "Query", "Gallery"), ["train", "train", "query", "query", "gallery", "gallery"]),
    ],
)
def test_parts_are_known_whatever_their_case(
    tmp_path: Path, names: tuple[str, ...], parts: list[str]
) -> None:
    images = load_folder(divided(tmp_path, *names))
    assert images.division is not None
    assert images.division.tolist() == parts


@pytest.mark.parametrize("name", ["val", "valid", "Validation"])
def test_validation_images_are_for_training_with_a_word(tmp_path: Path, name: str) -> None:
    divided(tmp_path, "train", name, "test")
    with pytest.warns(UserWarning, match=rf"{tmp_path}: '{name}' is read as part of 'train'"):
        images = load_folder(tmp_path)
    assert images.division is not None
    assert images.division.tolist() == ["train"] * 4 + ["test"] * 2
    assert sorted(path.parts[-3] for path in images.paths[:4]) == sorted(["train", name] * 2)


@pytest.mark.parametrize("names", [("train", "val"), ("train",)])
def test_without_a_test_the_classes_are_divided_with_a_word(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    divided(tmp_path, *names)
    with pytest.warns(
        UserWarning, match=r"has no part called test: the first half of its classes is for"
    ):
        images = load_folder(tmp_path)
    assert images.division is None
    assert len(images.paths) == 2 * len(names)


def test_what_systems_leave_behind_is_passed_over(tmp_path: Path) -> None:
    divided(tmp_path, "train", "test")
    for folder in ("__MACOSX/train/kind_0", "train/__MACOSX", "train/kind_0/@eaDir", "$RECYCLE.BIN"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "._1.png").write_bytes(b"x")
    assert load_folder(tmp_path).labels.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda root: (root / "test").mkdir(),
            r"the part .*test holds no class folder; add one for each class, or remove the part",
        ),
        (
            lambda root: divided(root, "extra"),
            r"holds the parts train, and also 'extra', which is not a part; move it away, or ",
        ),
        (
            lambda root: write_picture(root / "ship" / "1.png", 1, 1),
            r"holds the parts train, and also 'ship', which is not a part",
        ),
        (
            lambda root: write_picture(root / "test" / "1.png", 1, 1),
            r"test.1\.png is not in the folder of a class",
        ),
    ],
)
def test_what_is_odd_about_a_division_is_named(
    tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    divided(tmp_path, "train")
    make(tmp_path)
    with pytest.raises(LayoutError, match=message):
        load_folder(tmp_path)


def test_parts_without_classes_are_no_classes(tmp_path: Path) -> None:
    for name in ("train", "test"):
        write_picture(tmp_path / name / "1.png", 1, 1)
    with pytest.raises(LayoutError, match=r"test.1\.png is not in the folder of a class"):
        load_folder(tmp_path)


def test_a_folder_too_high_is_named_with_the_right_one(tmp_path: Path) -> None:
    write_class_folders(tmp_path / "imgs")
    with pytest.raises(
        LayoutError, match=rf"holds a single folder, 'imgs', .* give {tmp_path / 'imgs'} as dataset"
    ):
        load_folder(tmp_path)


def test_pictures_of_a_kind_that_is_not_read_are_named(tmp_path: Path) -> None:
    write_class_folders(tmp_path, classes=2, images=2)
    raw = tmp_path / "kind_0" / "a.DNG"
    raw.write_bytes(b"x")
    with pytest.warns(
        UserWarning, match=rf"1 pictures below {tmp_path} are in a format .*, such as {raw}"
    ):
        assert len(load_folder(tmp_path).paths) == 4
    for path in (tmp_path / "kind_0").glob("*.png"):
        path.unlink()
    with pytest.raises(
        LayoutError, match=r"kind_0 holds only pictures in unsupported formats, such as a\.DNG; con"
    ):
        load_folder(tmp_path)
