"""Matrices are read from every kind of file, row by row, and what is none is named."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import safetensors.torch
import torch

from pml_potential.benchmark.data import matrix_file
from pml_potential.benchmark.data.cache import npy_header
from pml_potential.benchmark.data.matrix_file import MatrixError, arrays_beside, open_matrix
from tests.benchmark.data.matrix_files import KINDS, vectors, write


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_gives_the_matrix_back(
    kind: str, dtype: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matrix_file, "_ROWS_AT_A_TIME", 5)
    expected = vectors().astype(dtype)
    matrix = open_matrix(write(tmp_path, kind, expected, label=list(range(len(expected)))))
    assert matrix.shape == expected.shape
    blocks = list(matrix.finite_blocks())
    assert max(map(len, blocks)) == 5
    np.testing.assert_array_equal(np.concatenate(blocks), expected)
    assert blocks[0].dtype == dtype
    # Packed files have no rows that could be found without unpacking all before them.
    assert (matrix.mapped is None) == (kind in {"parquet", "packed.npz"})


def test_a_matrix_that_was_saved_column_by_column_is_mapped(tmp_path: Path) -> None:
    expected = vectors()
    for kind in ("npy", "npz"):
        path = write(tmp_path, kind, np.asfortranarray(expected))
        np.testing.assert_array_equal(open_matrix(path).mapped, expected)
    with pytest.raises(MatrixError, match=r"compressed and column by column; save np.ascontiguousarray"):
        open_matrix(write(tmp_path, "packed.npz", np.asfortranarray(expected)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_a_row_that_is_not_finite_is_named(kind: str, value: float, tmp_path: Path) -> None:
    matrix = vectors().astype(np.float64)
    matrix[16, 3] = value
    path = write(tmp_path, kind, matrix, label=list(range(len(matrix))))
    with pytest.raises(MatrixError, match=rf"{path.name}: row 17 holds NaN or infinity"):
        list(open_matrix(path).finite_blocks())


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_matrix_is_refused(kind: str, tmp_path: Path) -> None:
    with pytest.raises(MatrixError, match=r"numbers of type int64; save float16, float32 or float64"):
        open_matrix(write(tmp_path, kind, np.ones((4, 3), dtype=np.int64)))
    if kind != "parquet":
        with pytest.raises(MatrixError, match=r"an array of shape \(4,\); it must have a row"):
            open_matrix(write(tmp_path, kind, np.ones(4, dtype=np.float32)))
        with pytest.raises(MatrixError, match=r"shape \(0, 3\); it must not be empty"):
            open_matrix(write(tmp_path, kind, np.ones((0, 3), dtype=np.float32)))


@pytest.mark.parametrize("kind", ["npz", "packed.npz", "parquet", "safetensors"])
def test_a_file_without_the_matrix_says_what_it_holds(kind: str, tmp_path: Path) -> None:
    path = write(tmp_path, kind, vectors(), label=list(range(24)))
    other = tmp_path / f"other.{kind}"
    other.write_bytes(path.read_bytes().replace(b"vector", b"xector"))
    with pytest.raises(MatrixError, match=r"no 'vector'; it holds .*xector"):
        open_matrix(other)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("content", [b"", b"no matrix at all", b"\xff" * 64])
def test_a_damaged_file_is_named(kind: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"vectors.{kind}"
    path.write_bytes(content)
    with pytest.raises(MatrixError, match=rf"{path.name} cannot be read as {kind.split('.')[-1]} \("):
        open_matrix(path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_was_cut_off_is_named(kind: str, tmp_path: Path) -> None:
    path = write(tmp_path, kind, vectors(20, 20, 16), label=list(range(400)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(MatrixError, match=rf"{path.name} cannot be read"):
        list(open_matrix(path).finite_blocks())


def test_lists_of_different_lengths_are_no_matrix(tmp_path: Path) -> None:
    path = tmp_path / "vectors.parquet"
    for rows, found in (([[1.0, 2.0], [1.0]], "has another length"), ([[1.0], None], "is missing")):
        pyarrow.parquet.write_table(pyarrow.table({"vector": rows}), path)
        with pytest.raises(MatrixError, match=f"the vector of row 2 {found}"):
            list(open_matrix(path).finite_blocks())
    pyarrow.parquet.write_table(pyarrow.table({"vector": [1.0, 2.0]}), path)
    with pytest.raises(MatrixError, match="is of type double; it must be lists of floats"):
        open_matrix(path)


def test_a_type_that_numpy_lacks_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vectors.safetensors"
    safetensors.torch.save_file({"vector": torch.ones(2, 2, dtype=torch.bfloat16)}, path)
    with pytest.raises(MatrixError, match="'vector' is of type BF16; save it as float16"):
        open_matrix(path)


def test_arrays_beside_the_matrix(tmp_path: Path) -> None:
    path = write(tmp_path, "npz", vectors(), label=["owl"] * 24, id=list(range(24)))
    assert arrays_beside(path, ("label", "split", "id")) == {
        "label": ["owl"] * 24,
        "id": list(range(24)),
    }
    for label, reason in (
        ([1.5] * 24, "shape .24,. and type float64; it must be a flat array"),
        ([[1]] * 24, "shape .24, 1. and type int64"),
    ):
        with pytest.raises(MatrixError, match=reason):
            arrays_beside(write(tmp_path, "npz", vectors(), label=label), ("label",))
    np.savez(path, vector=vectors(), label=np.array(["owl"], dtype=object))
    with pytest.raises(MatrixError, match=r"'label' cannot be read .*np.array.labels, dtype=str"):
        arrays_beside(path, ("label",))


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of memory is Linux's")
def test_a_matrix_that_is_larger_than_memory_is_read(tmp_path: Path) -> None:
    """Rows of a gigabyte in a file with holes, by a process that may take 300 MB more than it has."""
    path = tmp_path / "vectors.npy"
    rows, width = 2**18, 1024
    with path.open("wb") as file:
        file.write(npy_header((rows, width), np.dtype("<f4")))
        file.truncate(file.tell() + 4 * rows * width)
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from pml_potential.benchmark.data.matrix_file import open_matrix\n"
        "used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (used + 300 * 2**20,) * 2)\n"
        "matrix = open_matrix(Path(sys.argv[1]))\n"
        "assert matrix.mapped[-1].sum() == 0\n"
        "assert sum(len(block) for block, _ in zip(matrix.finite_blocks(), range(9))) == 9 * 4096\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
