"""Folders that are not laid out as published, of every data set that has a layout."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pml_potential.benchmark.data.datasets.cars196 import load_cars196
from pml_potential.benchmark.data.datasets.cub200 import load_cub200
from pml_potential.benchmark.data.datasets.in_shop import load_in_shop
from pml_potential.benchmark.data.datasets.layout import (
    LayoutError,
    download_advice,
    reading,
    require_files,
)
from pml_potential.benchmark.data.datasets.sop import load_sop
from pml_potential.benchmark.data.image_files import ImageFiles
from tests.benchmark.data.datasets.listed_images import replace
from tests.benchmark.data.datasets.miniatures import (
    write_cars196_copy,
    write_cars196_original,
    write_cub200,
    write_in_shop,
    write_sop,
)
from tests.benchmark.data.forbidden import ForbiddenFolder

Loader = Callable[[Path], ImageFiles]
LOADERS: list[Loader] = [load_cub200, load_cars196, load_sop, load_in_shop]


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
    with pytest.raises(
        LayoutError, match=r"the lists of .* differ from the published ones \(\w+Error: "
    ):
        load(tmp_path)


def test_files_and_folders_that_are_there_are_enough(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "list.txt").touch()
    require_files(tmp_path, ["images", "list.txt"], "Some Birds", "ask the author")


def test_every_file_that_is_missing_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "b.txt").touch()
    expected = r"does not hold Some Birds: a\.txt, c/d is missing below it; ask the author$"
    with pytest.raises(LayoutError, match=expected):
        require_files(tmp_path, ["a.txt", "b.txt", "c/d"], "Some Birds", "ask the author")


@pytest.mark.parametrize(
    "error",
    [
        OSError("gone"),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "gone"),
        KeyError("gone"),
        TypeError("gone"),
    ],
)
def test_whatever_goes_wrong_with_a_list_names_the_data_set(error: Exception) -> None:
    kind = type(error).__name__
    expected = rf"the lists of Some Birds in birds differ from the published ones \({kind}: .*gone"
    with pytest.raises(LayoutError, match=expected) as raised, reading(Path("birds"), "Some Birds"):
        raise error
    assert raised.value.__cause__ is error


@pytest.mark.parametrize(
    "error", [LayoutError("line 3 is empty"), KeyboardInterrupt(), AssertionError()]
)
def test_what_says_enough_or_is_no_damage_passes(error: BaseException) -> None:
    with pytest.raises(type(error)) as raised, reading(Path("birds"), "Some Birds"):
        raise error
    assert raised.value is error


def test_the_advice_is_a_command_for_the_folder() -> None:
    advice = download_advice("sop", Path("my") / "products")
    assert "`pml-potential datasets download sop --root my/products`" in advice.replace("\\", "/")


@pytest.mark.parametrize("load", LOADERS)
def test_a_folder_without_rights_is_named_so(forbidden_folder: ForbiddenFolder, load: Loader) -> None:
    root = forbidden_folder.path / "CUB_200_2011"
    root.mkdir()
    with (
        forbidden_folder.forbidden(root),
        pytest.raises(
            LayoutError, match=rf"^you do not have permission to read {root}/.*; change its permissions"
        ),
    ):
        load(root)


@pytest.mark.parametrize("load", LOADERS)
def test_a_name_that_is_too_long_is_named(tmp_path: Path, load: Loader) -> None:
    with pytest.raises(LayoutError, match=r"a{300}.* cannot be read: File name too long$"):
        load(tmp_path / ("a" * 300))


def test_a_list_without_rights_is_named_so(forbidden_folder: ForbiddenFolder) -> None:
    path = write_sop(forbidden_folder.path) / "Stanford_Online_Products" / "Ebay_train.txt"
    for folder in (path.parent, *path.parent.iterdir()):
        if folder.is_dir():
            folder.chmod(0o755)
    with (
        forbidden_folder.forbidden(path),
        pytest.raises(
            LayoutError, match=f"^you do not have permission to read {path}; change its permissions"
        ),
    ):
        load_sop(forbidden_folder.path)
