from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from pml_potential.benchmark.commands.app import app
from pml_potential.benchmark.data.datasets.catalogue import CATALOGUE
from tests.benchmark.data.datasets.local_server import serving
from tests.benchmark.data.datasets.miniatures import pack, write_class_folders, write_sop
from tests.benchmark.data.datasets.test_audit import copy_picture, write_photographs


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["datasets", *(str(argument) for argument in arguments)])


def test_list_names_all_with_counts_and_where_to_ask() -> None:
    result = command("list")
    assert result.exit_code == 0
    assert all(name in result.stdout for name in CATALOGUE)
    assert "120,053" in result.stdout
    assert "22,634" in result.stdout
    assert "pml-potential datasets show NAME" in result.stdout


@pytest.mark.parametrize("name", CATALOGUE)
def test_show_says_all_that_is_known(name: str) -> None:
    entry = CATALOGUE[name]
    result = command("show", name)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{name}: {entry.title}\n")
    facts = (
        entry.source,
        entry.paper,
        entry.home,
        entry.licence,
        entry.url,
        entry.checksum,
        entry.advice,
    )
    assert all(fact in result.stdout for fact in facts if fact)
    assert ("datasets download" in result.stdout) == (entry.url is not None)
    assert (f"data/{name}, or --root" in result.stdout) == ("root" in entry.takes)


def test_show_counts_the_splits() -> None:
    shown = command("show", "in_shop").stdout
    assert "images    52712 images of 7982 classes" in shown
    assert "query     14218 images of 3985 classes" in shown
    assert "ask for it at the DeepFashion project page of MMLab CUHK" in shown


def test_show_suggests_a_near_name() -> None:
    result = command("show", "cub2000")
    assert result.exit_code == 2
    assert "there is no data set 'cub2000', did you mean 'cub200'?" in result.stderr


def test_download_and_check_go_together(tmp_path: Path) -> None:
    pack(write_sop(tmp_path / "files"), tmp_path / "served" / "sop.zip")
    root = tmp_path / "sop"
    with serving(tmp_path / "served") as server:
        url = server.url("sop.zip")
        first = command("download", "sop", "--root", root, "--url", url)
        second = command("download", "sop", "--root", root, "--url", url)
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "Stanford Online Products is in" in first.stdout
    assert "nothing to do" in second.stdout
    result = command("check", "sop", "--root", root)
    assert result.exit_code == 1
    assert "sop: 12 images of 4 classes" in result.stdout
    assert "but 120053 images of 22634 classes were published" in result.stdout


def test_a_failed_download_exits_with_1(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        url = server.url("gone.zip")
        result = command("download", "sop", "--root", tmp_path / "sop", "--url", url)
    assert result.exit_code == 1
    assert f"error: {url} cannot be fetched: 404" in result.stderr
    assert "Traceback" not in result.output


def test_a_wrong_checksum_exits_with_1(tmp_path: Path) -> None:
    pack(write_sop(tmp_path / "files"), tmp_path / "served" / "sop.zip")
    with serving(tmp_path / "served") as server:
        url, wrong = server.url("sop.zip"), f"md5:{'0' * 32}"
        result = command("download", "sop", "--root", tmp_path / "x", "--url", url, "--checksum", wrong)
    assert result.exit_code == 1
    assert "does not match" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["download", "in_shop"], "error: 'in_shop' cannot be downloaded: there is no free public link"),
        (["download", "glyphs"], "needs no download"),
        (["download", "imagenet"], "error: there is no data set 'imagenet'"),
        (["check", "imagenet"], "error: there is no data set 'imagenet'"),
        (["audit", "imagenet"], "error: there is no data set 'imagenet'"),
        (["audit"], "error: NAME is missing: name a data set, or give --run RUN"),
        (["audit", "glyphs", "--run", "x"], "error: --run x brings its own images; leave out NAME"),
        (["audit", "--run", "x", "--root", "y"], "error: --run x brings its own images; leave out NAME"),
        (["audit", "--run", "x"], "results.json does not exist; a run writes it at its end"),
        (["check", "table"], "error: dataset.file is missing"),
        (["check", "glyphs", "--root", "x"], "error: dataset.root is 'x', but 'glyphs' takes none"),
        (["check", "table", "--column", "label"], "error: --column label: it must be ROLE=NAME"),
        (["check", "table", "--column", "klass=x"], "error: --column klass: there is no such role"),
    ],
)
def test_wrong_words_exit_with_2(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = command(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""
    assert not list(tmp_path.iterdir())


def test_check_exits_with_0_when_all_is_well_and_with_1_when_not(tmp_path: Path) -> None:
    write_class_folders(tmp_path, classes=4, images=2)
    good = command("check", "folder", "--root", tmp_path)
    assert good.exit_code == 0
    assert "Nothing is wrong." in good.stdout
    (tmp_path / "kind_1" / "0.png").write_bytes(b"")
    bad = command("check", "folder", "--root", tmp_path)
    assert bad.exit_code == 1
    assert "kind_1/0.png: the file is empty" in bad.stdout.replace("\\", "/")


def test_warnings_of_check_are_notes_that_name_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_class_folders(tmp_path, classes=2, images=2, side=24)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    result = command("check", "folder", "--root", tmp_path)
    assert f"note: {tmp_path / 'kind_0' / '0.png'}: Image size (576 pixels) exceeds" in result.output
    assert "DecompressionBombWarning" not in result.output


def test_check_takes_a_table_with_columns_of_any_name(tmp_path: Path) -> None:
    write_class_folders(tmp_path, classes=4, images=2)
    rows = [f"{path.relative_to(tmp_path)},{path.parent.name}" for path in tmp_path.rglob("*.png")]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["image,species", *rows]))
    columns = ["--column", "path=image", "--column", "label=species"]
    result = command("check", "table", "--file", table, *columns)
    assert result.exit_code == 0
    assert "table: 8 images of 4 classes" in result.stdout


def test_a_missing_folder_is_a_finding(tmp_path: Path) -> None:
    result = command("check", "cub200", "--root", tmp_path / "gone")
    assert result.exit_code == 1
    assert "pml-potential datasets download cub200" in result.stdout


@pytest.mark.parametrize("name", ["download", "check"])
def test_an_interruption_is_told(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"pml_potential.benchmark.data.datasets.{name}.{name}", interrupt)
    result = command(name, "sop")
    assert result.exit_code == 130
    assert "error: stopped" in result.stderr


def test_audit_exits_with_1_only_where_something_is_certainly_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = write_photographs(tmp_path / "data")
    sound = command("audit", "folder", "--root", root)
    assert (sound.exit_code, "Nothing is certainly wrong." in sound.stdout) == (0, True)
    copy_picture(root, "class 0/0.png", "class 7/copy.png")
    unsound = command("audit", "folder", "--root", root)
    assert unsound.exit_code == 1
    assert "Equal pictures, groups: 1 across the border of training and test" in unsound.stdout
    sheet = Path(unsound.stdout.rpartition("Sheet: ")[2].strip())
    assert sheet.is_file()
    assert (sheet.parts[:2], sheet.name) == (("runs", "audits"), "index.html")


def test_audit_of_damaged_files_exits_with_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    root = write_photographs(tmp_path / "data")
    (root / "class 0" / "0.png").write_bytes(b"no image")
    result = command("audit", "folder", "--root", root)
    assert result.exit_code == 2
    assert "error: cannot read the image" in result.stderr
