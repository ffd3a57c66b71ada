"""One picture or one class under two names is refused, however the names differ."""

import os
import unicodedata
from pathlib import Path

import pytest

from pml_potential.benchmark.config.schema import Dataset
from pml_potential.benchmark.data.datasets.catalogue import load_images
from pml_potential.benchmark.data.datasets.layout import LayoutError
from tests.benchmark.data.datasets.miniatures import write_class_folders, write_picture

COMPOSED = unicodedata.normalize("NFC", "é.png")
DECOMPOSED = unicodedata.normalize("NFD", "é.png")


def table(folder: Path, *rows: tuple[str, str]) -> Dataset:
    path = folder / "table.csv"
    path.write_text("path,label\n" + "".join(f"{name},{label}\n" for name, label in rows), "utf-8")
    return Dataset(name="table", file=str(path))


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_link_is_no_second_picture(tmp_path: Path, link: object) -> None:
    assert callable(link)
    write_picture(tmp_path / "a.png", 0, 0)
    link(tmp_path / "a.png", tmp_path / "b.png")
    with pytest.raises(LayoutError, match=r"a\.png and .*b\.png are one picture of table under two"):
        load_images(table(tmp_path, ("a.png", "owl"), ("b.png", "tit")))


def test_a_relative_and_an_absolute_path_are_one(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="are one picture"):
        load_images(table(tmp_path, ("a.png", "owl"), (str(tmp_path / "a.png"), "owl")))


def test_two_ways_to_write_a_letter_are_one(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match=r"e\\u0301\.png'.*\\xe9\.png'.*are one picture"):
        load_images(table(tmp_path, (COMPOSED, "owl"), (DECOMPOSED, "owl")))


def test_a_link_in_the_folder_of_another_class_is_refused(tmp_path: Path) -> None:
    write_class_folders(tmp_path, classes=2, images=2)
    (tmp_path / "kind_1" / "copy.png").symlink_to(tmp_path / "kind_0" / "0.png")
    with pytest.raises(LayoutError, match=r"kind_0/0\.png and .*kind_1/copy\.png are one picture"):
        load_images(Dataset(name="folder", root=str(tmp_path)))


@pytest.mark.parametrize(
    ("first", "second"), [("1", "1.0"), ("-3.", "-3"), (COMPOSED[:-4], DECOMPOSED[:-4])]
)
def test_a_class_has_one_name(tmp_path: Path, first: str, second: str) -> None:
    with pytest.raises(LayoutError, match="of table are one under two names") as caught:
        load_images(table(tmp_path, ("a.png", first), ("b.png", second)))
    assert ascii(first) in str(caught.value)
    assert ascii(second) in str(caught.value)


def test_names_that_only_look_alike_are_different(tmp_path: Path) -> None:
    names = ["1", "01", "1.5", "10", "e", "é", "E"]
    rows = [(f"{place}.png", name) for place, name in enumerate(names)]
    assert set(load_images(table(tmp_path, *rows)).class_names) == set(names)
