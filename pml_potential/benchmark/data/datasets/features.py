"""Your own vectors, from any encoder, with their labels."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from pml_potential.benchmark.config.schema import ConfigError, Dataset
from pml_potential.benchmark.data.datasets.division import division_of, part_called
from pml_potential.benchmark.data.datasets.entry import DatasetEntry
from pml_potential.benchmark.data.datasets.layout import is_there
from pml_potential.benchmark.data.datasets.table import CSV_SUFFIXES, PARQUET_SUFFIXES, read_cells
from pml_potential.benchmark.data.feature_rows import FeatureRows
from pml_potential.benchmark.data.labelling import DIVISION, number_classes
from pml_potential.benchmark.data.matrix_file import (
    MATRIX_SUFFIXES,
    MatrixError,
    arrays_beside,
    open_matrix,
)

LABEL, SPLIT, ID = "label", "split", "id"
"""Names of the labels, the parts and the ids, in every kind of file."""


def load_features(file: Path) -> FeatureRows:
    """Loads a matrix of vectors, a row for each example, with their labels.

    The matrix is ``vector`` in npz, safetensors and Parquet (a column of lists), and the whole of an npy
    file. Labels are ``label``, integers or text; optional are ``split`` (train, test, query or gallery)
    and ``id`` (a different name for each row). They are in the same file, or in a table beside it with
    the same name: the labels of ``songs.npy`` in ``songs.csv`` or ``songs.parquet``, row by row. The
    matrix itself stays in its file.

    Args:
        file: Ending in one of ``MATRIX_SUFFIXES``.

    Returns:
        The rows in the order of the file.

    Raises:
        ConfigError: If there is no such file, it is of another kind or damaged, labels are missing or
            not as many as there are rows, or a label, a part or an id is not as above.

    Examples:
        >>> import numpy as np
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     file = Path(folder) / "songs.npz"
        ...     np.savez(file, vector=np.eye(4, 8, dtype="f4"), label=["jazz", "jazz", "folk", "folk"])
        ...     songs = load_features(file)
        ...     songs.vectors.shape, songs.class_names, songs.labels.tolist()
        ((4, 8), ('folk', 'jazz'), [1, 1, 0, 0])
    """
    if file.suffix.lower() not in MATRIX_SUFFIXES:
        raise ConfigError(
            f"dataset.file is {str(file)!r}; a matrix must end in {', '.join(MATRIX_SUFFIXES)}",
            ("dataset", "file"),
        )
    if not is_there(file) or not file.is_file():
        raise ConfigError(f"dataset.file is {str(file)!r}; there is no such file", ("dataset", "file"))
    matrix = open_matrix(file)
    where, columns = _columns(file)
    count = matrix.shape[0]
    for name, values in columns.items():
        if len(values) != count:
            raise MatrixError(
                f"{where} has {len(values)} rows of {name!r}, and {file} {count} vectors; row k of one "
                f"must belong to row k of the other"
            )
    texts = {name: _texts(where, name, values) for name, values in columns.items()}
    labels, class_names = number_classes(texts[LABEL])
    return FeatureRows(
        name="features",
        matrix=matrix,
        labels=labels,
        class_names=class_names,
        division=division_of(_parts(where, texts[SPLIT]), where) if SPLIT in texts else None,
        ids=_ids(where, texts[ID]) if ID in texts else None,
    )


def _columns(file: Path) -> tuple[Path, dict[str, list[Any]]]:
    """The file that holds the labels, and its columns other than the vectors."""
    names = (LABEL, SPLIT, ID)
    if file.suffix.lower() in PARQUET_SUFFIXES:
        return file, _of_table(file)
    if file.suffix.lower() != ".npy":
        found = arrays_beside(file, names)
        if LABEL in found:
            return file, found
    tables = [file.with_suffix(suffix) for suffix in CSV_SUFFIXES + PARQUET_SUFFIXES]
    there = [table for table in tables if is_there(table)]
    if not there:
        inside = "" if file.suffix.lower() == ".npy" else f"an array {LABEL!r} in it, or "
        raise MatrixError(
            f"{file} has no labels; give {inside}a table {tables[0].name} beside it, with a column "
            f"{LABEL!r} and a row for each vector"
        )
    if len(there) > 1:
        raise MatrixError(
            f"{there[0]} and {there[1]} could both hold the labels of {file.name}; remove one of them"
        )
    return there[0], _of_table(there[0])


def _of_table(table: Path) -> dict[str, list[Any]]:
    rows = read_cells(table, {LABEL: LABEL}, (SPLIT, ID), key="dataset.file")
    found = [name for name in (LABEL, SPLIT, ID) if rows and name in rows[0][1]] or [LABEL]
    return {name: [cells[name] for _, cells in rows] for name in found}


def _texts(where: Path, name: str, values: list[Any]) -> list[str]:
    texts = []
    for row, value in enumerate(values, start=1):
        # bool is an integer to Python, but hardly to the author of a file.
        is_text = isinstance(value, str | int) and not isinstance(value, bool)
        text = str(value).strip() if is_text else ""
        if not text:
            raise MatrixError(
                f"{where}: {name!r} of row {row} is {value!r}; it must be an integer or text, and not "
                "empty"
            )
        texts.append(text)
    return texts


def _parts(where: Path, names: list[str]) -> list[str]:
    for row, name in enumerate(names, start=1):
        if part_called(name) is None:
            raise MatrixError(
                f"{where}: {SPLIT!r} of row {row} is {name!r}; it must be one of {', '.join(DIVISION)}"
            )
    return names


def _ids(where: Path, names: list[str]) -> tuple[str, ...]:
    if repeated := [name for name, times in Counter(names).items() if times > 1]:
        raise MatrixError(f"{where}: the {ID!r} {repeated[0]!r} appears twice; each row needs its own")
    return tuple(names)


def _load(dataset: Dataset) -> FeatureRows:
    if dataset.file is None:
        raise ConfigError(
            "dataset.file is missing; the data set 'features' needs a matrix: --file VECTORS",
            ("dataset", "name"),
        )
    return load_features(Path(dataset.file))


ENTRY = DatasetEntry(
    name="features",
    title="Vectors that an encoder computed",
    source="your own",
    load=_load,
    takes=("file",),
    holds_vectors=True,
    advice="it is a matrix of your own: --dataset features --file VECTORS --model vectors",
)
