"""Matrices of vectors, written in every kind of file."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import safetensors.numpy
from numpy.typing import NDArray

KINDS = ("npy", "npz", "packed.npz", "parquet", "safetensors")
"""Endings of the files; the npz called packed is compressed."""


def vectors(classes: int = 6, of_each: int = 4, width: int = 8, seed: int = 0) -> NDArray[np.float32]:
    """Vectors around a centre for each class, those of a class one after the other."""
    chance = np.random.default_rng(seed)
    centres = np.repeat(chance.normal(size=(classes, width)), of_each, axis=0)
    return (centres + 0.3 * chance.normal(size=centres.shape)).astype(np.float32)


def write(folder: Path, kind: str, matrix: NDArray[Any], **columns: Any) -> Path:
    """Write a matrix with its labels, in its file where that can hold them, else in a table beside."""
    path = folder / f"vectors.{kind}"
    arrays = {name: np.array(values) for name, values in columns.items()}
    if kind == "parquet":
        rows: dict[str, Any] = {"vector": list(matrix), **columns}
        pyarrow.parquet.write_table(pyarrow.table(rows), path, row_group_size=7)
    elif kind.endswith("npz"):
        save: Any = np.savez_compressed if kind == "packed.npz" else np.savez
        save(path, vector=matrix, **arrays)
    elif kind == "safetensors" and all(array.dtype.kind in "iu" for array in arrays.values()):
        safetensors.numpy.save_file({"vector": matrix, **arrays}, path)
    else:
        if kind == "npy":
            np.save(path, matrix)
        else:
            safetensors.numpy.save_file({"vector": matrix}, path)
        if columns:
            write_table(path.with_suffix(".csv"), **columns)
    return path


def write_table(path: Path, **columns: Any) -> Path:
    """Write a CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([list(columns), *zip(*columns.values(), strict=True)])
    return path
