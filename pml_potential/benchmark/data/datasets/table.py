"""Your own images: a table with a row for each."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pml_potential.benchmark.config.schema import Columns, ConfigError, Dataset
from pml_potential.benchmark.data.datasets.division import division_of, part_called
from pml_potential.benchmark.data.datasets.entry import DatasetEntry
from pml_potential.benchmark.data.datasets.layout import LayoutError, is_there, refuse_unreadable
from pml_potential.benchmark.data.image_files import ImageFiles
from pml_potential.benchmark.data.labelling import DIVISION, number_classes

CSV_SUFFIXES = (".csv", ".tsv")
PARQUET_SUFFIXES = (".parquet", ".pq")
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}


def load_table(file: Path, columns: Columns | None = None) -> ImageFiles:
    """Loads the images that a CSV or Parquet file lists.

    A CSV file is in UTF-8 and has the names of the columns in its first line. Its cells are separated
    by commas, semicolons or tabs: whichever divides the first line into the columns that are wanted, or
    the one that a line ``sep=;`` before it names. Labels that are all plain integers are sorted by
    number, all others as text. Paths are relative to the folder of the table, or absolute. Splits may
    be in capitals; "val", "valid" and "validation" are part of "train".

    Args:
        file: The table, ending in ``.csv``, ``.tsv``, ``.parquet`` or ``.pq``.
        columns: Names of the columns; by default "path" and "label", with no split.

    Returns:
        The images, sorted by their paths, so the order of the rows makes no difference.

    Raises:
        ConfigError: If there is no such file, it is of another kind, or a column is missing.
        LayoutError: If a row is wrong: a cell is empty, an image is listed twice, or a split is
            unknown. The message names the row and the column.

    Examples:
        >>> load_table(Path("images.xlsx"))
        Traceback (most recent call last):
        ...
        pml_potential.benchmark.config.schema.ConfigError: dataset.file is 'images.xlsx'; it must be
        a CSV or Parquet file that ends in .csv, .tsv, .parquet, .pq
    """
    columns = columns or Columns()
    wanted = {role: name for role, name in columns.model_dump().items() if name is not None}
    cells = read_cells(file, wanted)
    rows = [_Row(file, place, wanted, row) for place, row in cells]
    if not rows:
        raise LayoutError(f"{file} has no row below its columns")
    _check(rows)
    rows.sort(key=lambda row: row.path)
    labels, class_names = number_classes([row.label for row in rows])
    return ImageFiles(
        name="table",
        paths=tuple(file.parent / row.path for row in rows),
        root=file.parent,
        labels=labels,
        class_names=class_names,
        division=division_of([row.split for row in rows], file) if columns.split is not None else None,
    )


class _Row:
    """The checked cells of a row, and its place."""

    def __init__(self, file: Path, place: str, names: dict[str, str], cells: dict[str, Any]) -> None:
        self.file = file
        self.place = place
        self._names = names
        self.label = self._text("label", cells)
        self.split = self._text("split", cells) if "split" in names else ""
        path = cells[names["path"]]
        if path is not None and not isinstance(path, str):
            raise self.error("path", f"is {path!r}, of type {type(path).__name__}; it must be text")
        # So that "a.png" and "./a.png" are seen to be one image.
        self.path = os.path.normpath(self._text("path", cells))
        if self.split and part_called(self.split) is None:
            raise self.error("split", f"is {self.split!r}; it must be one of {', '.join(DIVISION)}")

    def error(self, role: str, what: str) -> LayoutError:
        """An error that says where it is."""
        return LayoutError(f"{self.file}, {self.place}, column {self._names[role]!r} {what}")

    def _text(self, role: str, cells: dict[str, Any]) -> str:
        value = cells[self._names[role]]
        if value is None or (isinstance(value, float) and value != value):
            value = ""
        # bool is an integer to Python, but hardly to the author of a table.
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise self.error(
                role, f"is {value!r}, of type {type(value).__name__}; it must be text or an integer"
            )
        text = str(value).strip()
        if not text:
            raise self.error(role, "is empty; fill it or remove the row")
        return text


def _check(rows: Iterable[_Row]) -> None:
    places: dict[str, _Row] = {}
    for row in rows:
        # An image that appears twice is its own nearest neighbour, which raises every score.
        first = places.setdefault(row.path, row)
        if first is not row:
            raise row.error("path", f"is {row.path!r}, as in {first.place}; list every image once")


def read_cells(
    file: Path,
    wanted: dict[str, str],
    optional: Sequence[str] = (),
    key: str = "dataset.columns",
) -> list[tuple[str, dict[str, Any]]]:
    """Reads the rows of a CSV or Parquet file.

    Args:
        file: The table.
        wanted: Names of required columns, by their roles.
        optional: Names of columns that are also read if present.
        key: Of the configuration that names the columns, for errors.

    Returns:
        For each row its name in errors, and its cells by their columns. Cells of a CSV file are text.

    Raises:
        ConfigError: If there is no such file, it is of another kind, or a column is missing.
        LayoutError: If it is damaged.
    """
    suffix = file.suffix.lower()
    if suffix not in CSV_SUFFIXES + PARQUET_SUFFIXES:
        raise ConfigError(
            f"dataset.file is {str(file)!r}; it must be a CSV or Parquet file that ends in "
            f"{', '.join(CSV_SUFFIXES + PARQUET_SUFFIXES)}",
            ("dataset", "file"),
        )
    if not is_there(file) or not file.is_file():
        raise ConfigError(f"dataset.file is {str(file)!r}; there is no such file", ("dataset", "file"))
    if suffix in CSV_SUFFIXES:
        return _read_csv(file, wanted, key)
    return _read_parquet(file, wanted, optional, key)


def _read_csv(file: Path, wanted: dict[str, str], key: str) -> list[tuple[str, dict[str, Any]]]:
    # Not by pandas: it guesses the types of cells ("NA" is a country), and shifts the columns of
    # rows that have too many.
    rows: list[tuple[str, dict[str, Any]]] = []
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            first = lines.readline()
            is_named = first.lower().startswith("sep=")
            separator = first[4:5] if is_named else _separator(first, wanted)
            if separator in {"", "\r", "\n", '"'}:
                raise LayoutError(
                    f"{file}, line 1: {first.strip()!r} names no separator; write sep=; or sep=,"
                )
            if not is_named:
                lines.seek(0)
            reader = csv.reader(lines, delimiter=separator, strict=True)
            header = [name.strip() for name in next(reader, [])]
            _check_columns(file, header, wanted, key)
            for cells in reader:
                if not cells:
                    continue
                line = reader.line_num + is_named
                if len(cells) != len(header):
                    raise LayoutError(
                        f"{file}, line {line} has {len(cells)} cells, but the first line {len(header)}; "
                        f"put text that holds a {SEPARATORS.get(separator, separator)} in double quotes"
                    )
                rows.append((f"line {line}", dict(zip(header, cells, strict=True))))
    except OSError as error:
        refuse_unreadable(file, error)
    except UnicodeDecodeError as error:
        raise LayoutError(f"{file} is not in UTF-8 ({error}); save it as UTF-8") from error
    except csv.Error as error:
        raise LayoutError(f"{file} is not a well-formed CSV file ({error})") from error
    return rows


def _separator(header: str, wanted: dict[str, str]) -> str:
    """Gives the separator of the first line that yields the wanted columns, or else most columns."""

    def found(separator: str) -> tuple[bool, int]:
        names = [name.strip() for name in next(csv.reader([header], delimiter=separator), [])]
        return set(wanted.values()) <= set(names), len(names)

    return max(SEPARATORS, key=found)


def _read_parquet(
    file: Path, wanted: dict[str, str], optional: Sequence[str], key: str
) -> list[tuple[str, dict[str, Any]]]:
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise ConfigError(
            f"dataset.file is {str(file)!r}; Parquet needs pyarrow: `pip install pyarrow`, or save the "
            "table as CSV",
            ("dataset", "file"),
        ) from error
    # pyarrow's errors are OSError and ValueError too.
    try:
        with ParquetFile(file) as table:
            there = table.schema_arrow.names
            _check_columns(file, there, wanted, key)
            found = (name for name in optional if name in there)
            names = list(dict.fromkeys([*wanted.values(), *found]))
            columns = [table.read([name]).column(name).to_pylist() for name in names]
    except ConfigError:
        raise
    except PermissionError as error:
        refuse_unreadable(file, error)
    except (OSError, ValueError, NotImplementedError) as error:
        raise LayoutError(f"{file} is not a readable Parquet file ({error})") from error
    return [
        (f"row {number}", dict(zip(names, cells, strict=True)))
        for number, cells in enumerate(zip(*columns, strict=True), start=1)
    ]


def _check_columns(file: Path, header: list[str], wanted: dict[str, str], key: str) -> None:
    for role, name in wanted.items():
        if header.count(name) != 1:
            times = "no" if name not in header else "more than one"
            raise ConfigError(
                f"{key}.{role}: {file} has {times} column {name!r}; it has "
                f"{', '.join(header) or 'none'}",
                ("dataset", "columns", role),
            )


def _load(dataset: Dataset) -> ImageFiles:
    if dataset.file is None:
        raise ConfigError(
            "dataset.file is missing; the data set 'table' needs a CSV or Parquet file: --file TABLE",
            ("dataset", "name"),
        )
    return load_table(Path(dataset.file), dataset.columns)


ENTRY = DatasetEntry(
    name="table",
    title="A CSV or Parquet table of images",
    source="your own",
    load=_load,
    takes=("file", "columns"),
    advice="it is a table of your own: --dataset table --file TABLE",
)
