from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from pml_potential.benchmark.config.schema import ConfigError, Dataset
from pml_potential.benchmark.data.datasets import catalogue
from pml_potential.benchmark.data.datasets import check as checking
from pml_potential.benchmark.data.datasets.check import check
from pml_potential.benchmark.data.image_reading import FEW_LEVELS, OVER_WHITE, UPRIGHT, reads_heic
from tests.benchmark.data.datasets.miniatures import write_class_folders, write_cub200, write_in_shop
from tests.benchmark.data.forbidden import ForbiddenFolder
from tests.benchmark.data.odd_pictures import HEIC, deep_grey, rotated_photograph, transparent_picture

ADVICE = "; change its permissions, or ask its owner"


@pytest.mark.parametrize("name", ["glyphs", "digits"])
def test_the_packaged_data_sets_are_good(name: str) -> None:
    report = check(Dataset.model_validate({"name": name}))
    assert report.good
    assert "Nothing is wrong." in report.lines()
    assert report.lines()[0] in {
        "glyphs: 6400 images of 200 classes",
        "digits: 1797 images of 10 classes",
    }


def test_a_good_folder_is_good(tmp_path: Path) -> None:
    write_class_folders(tmp_path, classes=4, images=2, division=True)
    text = io.StringIO()
    report = check(Dataset(name="folder", root=str(tmp_path)), Console(file=text))
    assert report.good
    assert report.division == {"train": (4, 2), "test": (4, 2)}
    assert report.lines()[:3] == [
        "folder: 8 images of 4 classes",
        "  train: 4 images of 2 classes",
        "  test: 4 images of 2 classes",
    ]
    assert report.sha256 == catalogue.load_images(Dataset(name="folder", root=str(tmp_path))).sha256


def test_images_that_cannot_be_read_are_listed_with_the_reason(tmp_path: Path) -> None:
    write_class_folders(tmp_path, classes=2, images=3)
    (tmp_path / "kind_0" / "1.png").write_bytes(b"")
    (tmp_path / "kind_1" / "notes.jpg").write_text("no image")
    cut = tmp_path / "kind_1" / "2.png"
    cut.write_bytes(cut.read_bytes()[:200])
    report = check(Dataset(name="folder", root=str(tmp_path)))
    assert not report.good
    assert len(report.unreadable) == 3
    assert "kind_0/1.png: the file is empty" in report.unreadable[0]
    assert "kind_1/2.png: " in report.unreadable[1]
    assert "truncated" in report.unreadable[1]
    assert "kind_1/notes.jpg: it is none of JPEG" in report.unreadable[2]
    assert "3 unreadable:" in report.lines()
    assert any(line.startswith("Restore or repair the files") for line in report.lines())


def test_files_that_do_not_belong_are_listed_and_do_no_harm(tmp_path: Path) -> None:
    write_class_folders(tmp_path, classes=4, images=2)
    for name in ("readme.md", "kind_0/Thumbs.db", "kind_0/.hidden", ".git/config"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    report = check(Dataset(name="folder", root=str(tmp_path)))
    assert report.strangers == (tmp_path / "readme.md", tmp_path / "kind_0" / "Thumbs.db")
    assert report.good
    assert "2 not part of the data set, so never read:" in report.lines()


def test_only_images_are_strangers_to_published_data_sets(tmp_path: Path) -> None:
    write_cub200(tmp_path, classes=4, images=2)
    extra = tmp_path / "CUB_200_2011" / "images" / "001.Bird_1" / "extra.jpg"
    extra.write_bytes(b"x")
    report = check(Dataset(name="cub200", root=str(tmp_path / "CUB_200_2011")))
    assert report.strangers == (extra,)


def test_missing_images_are_listed(tmp_path: Path) -> None:
    write_cub200(tmp_path, classes=4, images=2)
    gone = sorted(tmp_path.rglob("*.jpg"))[3]
    gone.unlink()
    report = check(Dataset(name="cub200", root=str(tmp_path)))
    assert report.missing == (gone,)
    assert report.unreadable == ()
    assert report.sha256 is None
    assert not report.good
    assert report.images == 8


def test_counts_are_compared_with_the_published_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_in_shop(tmp_path, classes=6, images=3, side=256)
    dataset = Dataset(name="in_shop", root=str(tmp_path))
    report = check(dataset)
    assert not report.good
    assert report.counts == (
        "18 images of 6 classes, but 52712 images of 7982 classes were published",
        "train: 9 images of 3 classes, but 25882 images of 3997 classes were published",
        "query: 3 images of 3 classes, but 14218 images of 3985 classes were published",
        "gallery: 6 images of 3 classes, but 12612 images of 3985 classes were published",
    )
    assert any(line.startswith("Scores on these files cannot be compared") for line in report.lines())
    small = replace(
        catalogue.CATALOGUE["in_shop"],
        images=18,
        classes=6,
        division={"train": (9, 3), "query": (3, 3), "gallery": (6, 3)},
    )
    monkeypatch.setattr(catalogue, "CATALOGUE", {**catalogue.CATALOGUE, "in_shop": small})
    assert check(dataset).good
    write_in_shop(tmp_path, classes=6, images=2, side=256)
    assert len(check(dataset).counts) == 3
    write_in_shop(tmp_path, classes=6, images=3, side=300)
    (said,) = check(dataset).counts
    assert "18 of 18 images do not have the published 256 x 256 pixels" in said


def test_a_wrong_layout_is_a_finding_and_a_wrong_key_an_error(tmp_path: Path) -> None:
    report = check(Dataset(name="cub200", root=str(tmp_path)))
    assert not report.good
    assert report.lines() == [f"cub200 cannot be loaded: {report.layout}"]
    assert report.layout is not None
    assert "CUB_200_2011/images.txt" in report.layout
    with pytest.raises(ConfigError, match="no such file"):
        check(Dataset(name="table", file="gone.csv"))


def test_long_lists_are_cut_in_words_but_not_in_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "SHOWN", 2)
    table = tmp_path / "table.csv"
    table.write_text("path,label\n" + "".join(f"{number}.png,owl\n" for number in range(5)))
    report = check(Dataset(name="table", file=str(table)))
    assert len(report.missing) == 5
    assert report.lines()[1:5] == [
        "5 missing:",
        f"  {tmp_path / '0.png'}",
        f"  {tmp_path / '1.png'}",
        "  and 3 more",
    ]


def test_what_reading_changes_is_counted(tmp_path: Path) -> None:
    write_class_folders(tmp_path, classes=4, images=3)
    rotated_photograph(tmp_path / "kind_0" / "0.png")
    rotated_photograph(tmp_path / "kind_0" / "1.png")
    transparent_picture(tmp_path / "kind_1" / "0.png")
    report = check(Dataset(name="folder", root=str(tmp_path)))
    assert report.good
    lines = report.lines()
    place = lines.index("Nothing is wrong.")
    assert lines[place - 2 : place] == [
        f"2 {UPRIGHT}, such as {tmp_path / 'kind_0' / '0.png'}",
        f"1 {OVER_WHITE}, such as {tmp_path / 'kind_1' / '0.png'}",
    ]


@pytest.mark.parametrize("white", [255, 1023, 4095])
def test_lost_grey_levels_are_wrong_and_listed(tmp_path: Path, white: int) -> None:
    write_class_folders(tmp_path, classes=2, images=3)
    deep_grey(tmp_path / "kind_0" / "0.png", white)
    report = check(Dataset(name="folder", root=str(tmp_path)))
    assert not report.good
    lines = report.lines()
    place = lines.index(f"1 {FEW_LEVELS}:")
    assert lines[place + 1] == f"  {tmp_path / 'kind_0' / '0.png'}"
    assert "Nothing is wrong." not in lines


def test_files_and_folders_without_rights_are_listed_as_such(forbidden_folder: ForbiddenFolder) -> None:
    root = write_class_folders(forbidden_folder.path, classes=2, images=2)
    table = root / "table.csv"
    names = [f"kind_{label}/{number}.png" for label in (0, 1) for number in (0, 1)]
    table.write_text("path,label\n" + "".join(f"{name},{name[:6]}\n" for name in names))
    folder, listed = Dataset(name="folder", root=str(root)), Dataset(name="table", file=str(table))
    with forbidden_folder.forbidden(root / "kind_0" / "0.png"):
        report = check(folder)
        assert report.unreadable == (
            f"cannot read the image {root / 'kind_0' / '0.png'}: you do not have permission to read it",
        )
    with forbidden_folder.forbidden(root / "kind_1"):
        report = check(listed)
        assert [reason.rpartition(": ")[2] for reason in report.unreadable] == [
            "you do not have permission to read it"
        ] * 2
        assert report.sha256 is None
        report = check(folder)
        assert report.layout == f"you do not have permission to read {root / 'kind_1'}{ADVICE}"
    with forbidden_folder.forbidden(root):
        assert check(folder).layout == f"you do not have permission to read {root}{ADVICE}"
        assert check(listed).layout == f"you do not have permission to read {table}{ADVICE}"


def test_names_that_are_too_long_or_impossible_are_findings(tmp_path: Path) -> None:
    long = tmp_path / ("a" * 300)
    report = check(Dataset(name="folder", root=str(long)))
    assert report.layout == f"{long} cannot be read: File name too long"
    table = tmp_path / "table.csv"
    table.write_text(f"path,label\n{'a' * 300}.png,owl\nb\0.png,owl\n")
    report = check(Dataset(name="table", file=str(table)))
    assert not report.good
    assert report.sha256 is None
    assert "File name too long" in report.unreadable[0]
    assert "null" in report.unreadable[1]
    report = check(Dataset(name="table", file=f"{long}.csv"))
    assert report.layout == f"{long}.csv cannot be read: File name too long"


@pytest.mark.skipif(reads_heic(), reason="pillow-heif is installed")
def test_heic_files_are_named_with_what_reads_them(tmp_path: Path) -> None:
    write_class_folders(tmp_path, classes=2, images=2)
    phone = tmp_path / "kind_0" / "IMG_1.HEIC"
    phone.write_bytes(HEIC)
    report = check(Dataset(name="folder", root=str(tmp_path)))
    assert report.layout is not None
    assert report.layout.startswith(
        f"1 of 5 images are HEIC, such as {phone}; `pip install pillow-heif`"
    )
    for path in (tmp_path / "kind_0").glob("*.png"):
        path.unlink()
    assert "1 of 3 images are HEIC" in str(check(Dataset(name="folder", root=str(tmp_path))).layout)
    table = tmp_path / "table.csv"
    table.write_text("path,label\nkind_0/IMG_1.HEIC,owl\n")
    assert "1 of 1 images are HEIC" in str(check(Dataset(name="table", file=str(table))).layout)
