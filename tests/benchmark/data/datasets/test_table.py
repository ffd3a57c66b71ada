from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from pml_potential.benchmark.config.schema import Columns, ConfigError
from pml_potential.benchmark.data.datasets.layout import LayoutError
from pml_potential.benchmark.data.datasets.table import load_table
from tests.benchmark.data.forbidden import ForbiddenFolder
from tests.pairwise import pairwise

ALL = Columns(path="image", label="species", split="use")


def write(folder: Path, kind: str, columns: dict[str, list[Any]]) -> Path:
    path = folder / f"table.{kind}"
    if kind == "csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerows([list(columns), *zip(*columns.values(), strict=True)])
    else:
        pyarrow.parquet.write_table(pyarrow.table(columns), path)
    return path


@pytest.mark.parametrize("kind", ["csv", "parquet", "pq"])
def test_a_table_is_read_with_all_its_columns(tmp_path: Path, kind: str) -> None:
    columns: dict[str, list[Any]] = {
        "image": ["b/2.png", "a/1.png", "c 3.png"],
        "other": [1.5, None, 2.5],
        "species": ["tit", "owl", "NA"],
        "use": ["train", "query", "gallery"],
    }
    images = load_table(write(tmp_path, kind, columns), ALL)
    assert images.name == "table"
    assert [images.relative_path(index) for index in range(3)] == ["a/1.png", "b/2.png", "c 3.png"]
    assert images.class_names == ("NA", "owl", "tit")
    assert images.labels.tolist() == [1, 2, 0]
    assert images.division is not None
    assert images.division.tolist() == ["query", "train", "gallery"]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("labels", "class_names"),
    [
        ([10, 9, -1], ("-1", "9", "10")),
        (["10", "9", "-1"], ("-1", "9", "10")),
        (["010", "9", "10"], ("010", "10", "9")),
        (["10", "9", "x"], ("10", "9", "x")),
    ],
)
def test_labels_are_sorted_as_what_they_are(
    tmp_path: Path, kind: str, labels: list[Any], class_names: tuple[str, ...]
) -> None:
    columns: dict[str, list[Any]] = {"path": ["1.png", "2.png", "3.png"], "label": labels}
    images = load_table(write(tmp_path, kind, columns))
    assert images.class_names == class_names
    assert [images.class_names[label] for label in images.labels] == [str(label) for label in labels]
    assert images.division is None


def test_paths_are_relative_to_the_table_or_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns: dict[str, list[Any]] = {
        "path": ["1.png", "/elsewhere/2.png", "../3.png"],
        "label": [1, 2, 3],
    }
    path = write(tmp_path, "csv", columns)
    monkeypatch.chdir(tmp_path.parent)
    images = load_table(path)
    expected = {tmp_path / "../3.png", Path("/elsewhere/2.png"), tmp_path / "1.png"}
    assert set(images.paths) == expected


def test_the_order_of_rows_makes_no_difference(tmp_path: Path) -> None:
    for name in ("1.png", "2.png", "3.png"):
        (tmp_path / name).write_text(name)
    columns: dict[str, list[Any]] = {"path": ["3.png", "1.png", "2.png"], "label": ["a", "b", "a"]}
    first = load_table(write(tmp_path, "csv", columns))
    second = load_table(
        write(tmp_path, "parquet", {"label": ["a", "a", "b"], "path": ["2.png", "3.png", "1.png"]})
    )
    assert second.paths == first.paths
    assert second.sha256 == first.sha256
    columns["label"][0] = "b"
    assert load_table(write(tmp_path, "csv", columns)).sha256 != first.sha256


def test_what_spreadsheets_write_is_read(tmp_path: Path) -> None:
    path = tmp_path / "table.CSV"
    path.write_bytes('\ufeffpath,label\r\n"a,b.png",Kauz\r\n\r\nc.png, Möwe \r\n'.encode())
    images = load_table(path)
    assert images.class_names == ("Kauz", "Möwe")
    assert images.relative_path(0) == "a,b.png"


@pytest.mark.parametrize(
    ("kind", "column", "empty"), pairwise(["csv", "parquet"], ["image", "species", "use"], [None, " "])
)
def test_empty_cells_are_named(tmp_path: Path, kind: str, column: str, empty: str | None) -> None:
    columns: dict[str, list[Any]] = {
        "image": ["1.png", "2.png"],
        "species": ["owl", "tit"],
        "use": ["train", "test"],
    }
    columns[column][1] = empty
    row = "line 3" if kind == "csv" else "row 2"
    path = write(tmp_path, kind, columns)
    with pytest.raises(LayoutError, match=rf"table\.{kind}, {row}, column '{column}' is empty"):
        load_table(path, ALL)


def test_a_missing_integer_of_parquet_is_empty_and_the_others_stay_integers(tmp_path: Path) -> None:
    labels = pyarrow.array([7, None])
    path = tmp_path / "table.parquet"
    columns = {"path": ["1.png", "2.png"], "label": labels}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    with pytest.raises(LayoutError, match="row 2, column 'label' is empty"):
        load_table(path)
    pyarrow.parquet.write_table(pyarrow.table(columns)[:1], path)
    assert load_table(path).class_names == ("7",)


@pytest.mark.parametrize(
    ("column", "value", "kind"), [("label", 1.5, "float"), ("label", True, "bool"), ("path", 7, "int")]
)
def test_cells_of_the_wrong_type_are_quoted(
    tmp_path: Path, column: str, value: object, kind: str
) -> None:
    columns: dict[str, list[Any]] = {"path": ["1.png"], "label": ["owl"]}
    columns[column] = [value]
    path = write(tmp_path, "parquet", columns)
    with pytest.raises(LayoutError, match=f"row 1, column '{column}' is {value!r}, of type {kind}"):
        load_table(path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("1.png,owl,train,x\n2.png,owl,hold,x\n", "line 3, column 'use' is 'hold'; it must be one of"),
        (
            "1.png,owl,train,x\n./1.png,tit,train,x\n",
            r"line 3, column 'image' is '1\.png', as in line 2",
        ),
        ("1.png,owl,train\n", "line 2 has 3 cells, but the first line 4"),
        ("1.png,owl,train,x,y\n", "line 2 has 5 cells, but the first line 4"),
        ('1.png,"owl,train,x\n', "not a well-formed CSV file"),
        ("", "has no row below its columns"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, rows: str, message: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(f"image,species,use,family\n{rows}")
    with pytest.raises(LayoutError, match=message):
        load_table(path, ALL)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_missing_columns_are_named(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, kind, {"image": ["1.png"], "label": ["owl"]})
    with pytest.raises(
        ConfigError, match=r"columns\.path: .* has no column 'path'; it has image, label"
    ) as error:
        load_table(path)
    assert error.value.keys == ("dataset", "columns", "path")
    with pytest.raises(ConfigError, match=r"columns\.split: .* has no column 'use'"):
        load_table(path, Columns(path="image", split="use"))


def test_ambiguous_and_absent_headers_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("path,label,label\n1.png,a,b\n")
    with pytest.raises(ConfigError, match="more than one column 'label'"):
        load_table(path)
    path.write_text("image;label\n1.png;a\n")
    with pytest.raises(ConfigError, match="no column 'path'; it has image, label"):
        load_table(path)
    path.write_text("")
    with pytest.raises(ConfigError, match="no column 'path'; it has none"):
        load_table(path)


@pytest.mark.parametrize("name", ["table.csv", "table.tsv"])
@pytest.mark.parametrize(
    "text",
    [
        "path;label\nb 1,5.png;owl\n",
        "path\tlabel\nb 1,5.png\towl\n",
        'path,label\n"b 1,5.png",owl\n',
        "sep=;\r\npath;label\r\nb 1,5.png;owl\r\n",
        'sep=,\npath,label\n"b 1,5.png",owl\n',
        "SEP=|\npath|label\nb 1,5.png|owl\n",
        '"note, with comma";path;label\nx;b 1,5.png;owl\n',
    ],
)
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_tables_with_other_separators_are_read(tmp_path: Path, name: str, text: str, mark: str) -> None:
    path = tmp_path / name
    path.write_bytes((mark + text).encode())
    images = load_table(path)
    assert images.relative_path(0) == "b 1,5.png"
    assert images.class_names == ("owl",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "sep=;\npath;label\n1.png\n",
            "line 3 has 1 cells, but the first line 2; put text that holds a semi",
        ),
        (
            "path\tlabel\n1.png\n",
            "line 2 has 1 cells, but the first line 2; put text that holds a tab in",
        ),
        ("sep=;\npath;label\n1.png; \n", "line 3, column 'label' is empty"),
        ("sep=\npath,label\n1.png,a\n", "line 1: 'sep=' names no separator; write sep=; or sep=,"),
    ],
)
def test_faults_behind_other_separators_are_at_their_line(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(LayoutError, match=message):
        load_table(path)


def test_parts_are_known_by_the_names_that_people_give(tmp_path: Path) -> None:
    columns: dict[str, list[Any]] = {
        "image": ["1.png", "2.png", "3.png"],
        "species": ["owl", "tit", "auk"],
        "use": ["Train", "valid", "TEST"],
    }
    with pytest.warns(UserWarning, match=r"table\.csv: 'valid' is read as part of 'train'"):
        images = load_table(write(tmp_path, "csv", columns), ALL)
    assert images.division is not None
    assert images.division.tolist() == ["train", "train", "test"]
    columns["use"][2] = "train"
    with pytest.warns(UserWarning, match=r"table\.csv has no part called test: the first half of its"):
        assert load_table(write(tmp_path, "csv", columns), ALL).division is None


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_without_rights_is_named_so(forbidden_folder: ForbiddenFolder, kind: str) -> None:
    path = write(forbidden_folder.path, kind, {"path": ["1.png"], "label": ["owl"]})
    with (
        forbidden_folder.forbidden(path),
        pytest.raises(
            LayoutError, match=f"^you do not have permission to read {path}; change its permissions"
        ),
    ):
        load_table(path)


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    for name, content, message in (
        (
            "table.xlsx",
            b"x",
            r"must be a CSV or Parquet file that ends in \.csv, \.tsv, \.parquet, \.pq",
        ),
        ("table.parquet", b"x" * 100, "is not a readable Parquet file"),
        ("table.csv", "path,label\n1.png,ü\n".encode("latin-1"), "is not in UTF-8"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ConfigError, match=message):
            load_table(tmp_path / name)
    with pytest.raises(ConfigError, match=r"dataset\.file is '.*gone\.csv'; there is no such file"):
        load_table(tmp_path / "gone.csv")


def test_parquet_without_pyarrow_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, "parquet", {"path": ["1.png"], "label": ["owl"]})
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ConfigError, match="pip install pyarrow"):
        load_table(path)
