"""The sheet shows every group, loads nothing, and the file beside it is read back."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pml_potential.benchmark.data.datasets.audit import Audit, Group
from pml_potential.benchmark.data.datasets.features import load_features
from pml_potential.benchmark.data.datasets.glyphs import load_glyphs
from pml_potential.benchmark.report import audit_report
from pml_potential.benchmark.report.audit_report import called, read_audit, write_audit
from tests.benchmark.data.datasets.test_audit import audited, copy_picture, write_photographs
from tests.benchmark.data.matrix_files import vectors, write
from tests.benchmark.report.page_reader import Page


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    root = write_photographs(tmp_path_factory.mktemp("audit") / "data")
    copy_picture(root, "class 0/0.png", "class 0/<b>copy.png")
    copy_picture(root, "class 3/0.png", "class 4/copy.png")
    return audited(root)


def test_the_sheet_shows_each_picture_and_loads_nothing(found: Audit, tmp_path: Path) -> None:
    page = Page(write_audit(found, tmp_path).read_text("utf-8"))
    assert page.tags.count("img") == 4
    assert [address.partition(",")[0] for address in page.loads] == ["data:image/jpeg;base64"] * 4
    assert "Equal pictures across the border of training and test: 1" in page.text
    assert "class 3/0.png, train" in page.text
    assert "class 4/copy.png, test" in page.text
    assert "b" not in page.tags
    assert "The data set is not sound." in page.text


def test_the_sheet_draws_nothing_with_plotly(found: Audit, tmp_path: Path) -> None:
    assert len(write_audit(found, tmp_path).read_text("utf-8")) < 200_000


def test_the_file_lists_what_the_sheet_shows(found: Audit, tmp_path: Path) -> None:
    write_audit(found, tmp_path)
    written = json.loads((tmp_path / "audit.json").read_text("utf-8"))
    assert written["counts"]["equal"] == {"border": 1, "classes": 0, "class": 1}
    assert written["equal"][0] == {
        "kind": "border",
        "bits": None,
        "images": [
            {"name": "class 3/0.png", "class": "class 3", "part": "train"},
            {"name": "class 4/copy.png", "class": "class 4", "part": "test"},
        ],
    }
    assert written["data"]["sha256"] == found.images.sha256
    assert written["sound"] is False


def test_large_groups_and_many_groups_are_shown_in_part(
    found: Audit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_report, "MOST_SHOWN", 1)
    monkeypatch.setattr(audit_report, "MOST_OF_A_GROUP", 2)
    groups = (Group((0, 1, 2, 3, 4), "classes"), Group((5, 6), "classes"))
    page = Page(write_audit(replace(found, equal=groups), tmp_path).read_text("utf-8"))
    assert page.tags.count("img") == 2
    assert "and 3 more" in page.text
    assert "The first 1 are shown" in page.text


def test_an_audit_is_read_back_for_the_same_images_only(found: Audit, tmp_path: Path) -> None:
    write_audit(found, tmp_path)
    read = read_audit(tmp_path, found.images.sha256)
    assert read is not None
    assert read["counts"]["equal"]["border"] == 1
    assert (read["sound"], read["labels"], read["files"]) == (False, [], [])
    assert read_audit(tmp_path, "another") is None
    assert read_audit(tmp_path / "nowhere", found.images.sha256) is None


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 1, "data": {"sha256": "x"}}'])
def test_a_damaged_file_is_set_aside(content: str, tmp_path: Path) -> None:
    (tmp_path / "audit.json").write_text(content)
    with pytest.warns(UserWarning, match="is damaged"):
        assert read_audit(tmp_path, "x") is None
    assert (tmp_path / "audit.json.damaged_1").read_text() == content


def test_pictures_without_files_go_by_their_place() -> None:
    assert called(load_glyphs(), 17) == "image 17"


def test_a_row_goes_by_its_id(tmp_path: Path) -> None:
    path = write(tmp_path, "npz", vectors(), label=[0, 1] * 12, id=[f"text {row}" for row in range(24)])
    assert called(load_features(path), 17) == "text 17"
