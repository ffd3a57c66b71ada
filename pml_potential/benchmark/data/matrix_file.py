"""A matrix that stays in its file: rows are read when they are used, never all at once."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from pml_potential.benchmark.config.schema import ConfigError

MATRIX_SUFFIXES = (".npy", ".npz", ".parquet", ".pq", ".safetensors")

KEY = "vector"
"""Name of the matrix in files that hold more than one array."""

_ROWS_AT_A_TIME = 4096
_SAFETENSORS = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "U8": "u1", "I8": "i1", "BOOL": "?"}
_SAFETENSORS |= {f"{kind}{8 * size}": f"<{kind.lower()}{size}" for kind in "UI" for size in (2, 4, 8)}
_HEADER_READERS: dict[tuple[int, int], Callable[[IO[bytes]], Any]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_NOT_READABLE = (
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What readers raise for files that are damaged or of another kind."""


class MatrixError(ConfigError):
    """A matrix that cannot be read, or does not hold a finite vector in each row."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ("dataset", "file"))


@dataclass(frozen=True, eq=False)
class MatrixFile:
    """A matrix in a file.

    Attributes:
        path: of the file.
        shape: rows and columns.
        mapped: the matrix, mapped from the file; None if the file is packed, as Parquet is.
        unpack: reads a packed matrix from its beginning, some rows at a time.
    """

    path: Path
    shape: tuple[int, int]
    mapped: NDArray[Any] | None
    unpack: Callable[[], Iterator[NDArray[Any]]] | None = None

    def blocks(self) -> Iterator[NDArray[Any]]:
        """All rows in their order, some thousands at a time."""
        if self.mapped is None:
            assert self.unpack is not None
            yield from self.unpack()
        else:
            for start in range(0, self.shape[0], _ROWS_AT_A_TIME):
                yield self.mapped[start : start + _ROWS_AT_A_TIME]

    def finite_blocks(self) -> Iterator[NDArray[Any]]:
        """As ``blocks``, checked for values that are not finite.

        Raises:
            MatrixError: A row holds NaN or infinity, or a number that float32 cannot hold, or the file
                ends too early.
        """
        start = 0
        try:
            for block in self.blocks():
                with np.errstate(over="ignore"):
                    bad = np.flatnonzero(~np.isfinite(block.astype(np.float32)).all(axis=1))
                if len(bad):
                    raise MatrixError(
                        f"{self.path}: row {start + int(bad[0]) + 1} holds NaN or infinity, or a number "
                        "too large for float32; leave such rows out, or compute them again"
                    )
                start += len(block)
                yield block
        except ConfigError:
            raise
        except _NOT_READABLE as error:
            _refuse(self.path, error)


def open_matrix(path: Path) -> MatrixFile:
    """Open the matrix of a file: the whole of an npy file, the array ``vector`` of others.

    An npy, a safetensors and an uncompressed npz file are mapped. Parquet and compressed npz are packed.

    Args:
        path: ending in one of ``MATRIX_SUFFIXES``.

    Raises:
        MatrixError: It is damaged, or holds no matrix of float16, float32 or float64 there.
    """
    openers = {".npy": _open_npy, ".npz": _open_npz, ".safetensors": _open_safetensors}
    try:
        matrix = openers.get(path.suffix.lower(), _open_parquet)(path)
    except ConfigError:
        raise
    except _NOT_READABLE as error:
        _refuse(path, error)
    if 0 in matrix.shape:
        raise MatrixError(f"{path} holds a matrix of shape {matrix.shape}; it must not be empty")
    return matrix


def arrays_beside(path: Path, names: tuple[str, ...]) -> dict[str, list[Any]]:
    """The named arrays that an npz or safetensors file holds beside its matrix, if any, as lists.

    Raises:
        MatrixError: One of them is not a flat array of integers or text.
    """
    found: dict[str, NDArray[Any]] = {}
    if path.suffix.lower() == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            for name in names:
                if name in arrays.files:
                    try:
                        found[name] = arrays[name]
                    except ValueError as error:
                        # Text as objects, which only pickle could read.
                        raise MatrixError(
                            f"{path}: {name!r} cannot be read ({error}); save it as an array of "
                            "integers or text, such as np.array(labels, dtype=str)"
                        ) from error
    else:
        entries = _safetensors_entries(path)
        found = {name: _map_safetensors(path, entries, name) for name in names if name in entries}
    for name, array in found.items():
        if array.ndim != 1 or array.dtype.kind not in "iuU":
            raise MatrixError(
                f"{path}: {name!r} is of shape {array.shape} and type {array.dtype}; it must be a flat "
                "array of integers or text"
            )
    return {name: array.tolist() for name, array in found.items()}


def _open_npy(path: Path) -> MatrixFile:
    return _mapped(path, np.load(path, mmap_mode="r", allow_pickle=False))


def _open_npz(path: Path) -> MatrixFile:
    with zipfile.ZipFile(path) as archive:
        member = f"{KEY}.npy"
        if member not in archive.namelist():
            _refuse_without_matrix(path, [name.removesuffix(".npy") for name in archive.namelist()])
        info = archive.getinfo(member)
        with archive.open(info) as file:
            shape, in_columns, dtype = _read_header(file)
            header = file.tell()
    _check(path, shape, dtype)
    if info.compress_type == zipfile.ZIP_STORED:
        order: Any = "F" if in_columns else "C"
        place = _place_in_archive(path, info) + header
        return MatrixFile(path, shape, np.memmap(path, dtype, "r", place, shape, order))
    if in_columns:
        raise MatrixError(
            f"{path} holds {KEY!r} compressed and column by column; save np.ascontiguousarray(...) of it"
        )
    return MatrixFile(path, shape, None, lambda: _unpack_npz(path, member))


def _unpack_npz(path: Path, member: str) -> Iterator[NDArray[Any]]:
    with zipfile.ZipFile(path) as archive, archive.open(member) as file:
        (count, width), _, dtype = _read_header(file)
        for start in range(0, count, _ROWS_AT_A_TIME):
            rows = min(_ROWS_AT_A_TIME, count - start)
            content = file.read(rows * width * dtype.itemsize)
            yield np.frombuffer(content, dtype).reshape(rows, width)


def _read_header(file: IO[bytes]) -> tuple[Any, bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    shape, in_columns, dtype = _HEADER_READERS[version](file)
    return shape, in_columns, dtype


def _place_in_archive(path: Path, info: zipfile.ZipInfo) -> int:
    """Where a stored member begins: after its local header, which ends in a name and extras."""
    with path.open("rb") as file:
        file.seek(info.header_offset + 26)
        name, extra = np.frombuffer(file.read(4), "<u2").tolist()
    return int(info.header_offset) + 30 + int(name) + int(extra)


def _open_safetensors(path: Path) -> MatrixFile:
    entries = _safetensors_entries(path)
    if KEY not in entries:
        _refuse_without_matrix(path, list(entries))
    return _mapped(path, _map_safetensors(path, entries, KEY))


def _safetensors_entries(path: Path) -> dict[str, Any]:
    """The header of a safetensors file, with the place of each tensor in the file."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= path.stat().st_size - 8:
            raise ValueError("it does not begin with the length of its header")
        entries: dict[str, Any] = json.loads(file.read(length))
    entries.pop("__metadata__", None)
    return {
        name: entry | {"place": 8 + length + entry["data_offsets"][0]} for name, entry in entries.items()
    }


def _map_safetensors(path: Path, entries: dict[str, Any], name: str) -> NDArray[Any]:
    entry = entries[name]
    if entry["dtype"] not in _SAFETENSORS:
        raise MatrixError(
            f"{path}: {name!r} is of type {entry['dtype']}; save it as float16, float32 or float64"
        )
    dtype, shape = np.dtype(_SAFETENSORS[entry["dtype"]]), tuple(entry["shape"])
    if 0 in shape:
        return np.empty(shape, dtype)
    return np.memmap(path, dtype, "r", entry["place"], shape)


def _open_parquet(path: Path) -> MatrixFile:
    file = _parquet_file(path)
    with file as table:
        schema, count = table.schema_arrow, table.metadata.num_rows
        if KEY not in schema.names:
            _refuse_without_matrix(path, list(schema.names))
        kind = schema.field(KEY).type
        if not hasattr(kind, "value_type"):
            raise MatrixError(f"{path}: column {KEY!r} is of type {kind}; it must be lists of floats")
        dtype = np.dtype(kind.value_type.to_pandas_dtype())
    first = next(_unpack_parquet(path, None), np.empty((0, 0), dtype))
    shape = count, first.shape[1]
    _check(path, shape, dtype)
    return MatrixFile(path, shape, None, lambda: _unpack_parquet(path, shape[1]))


def _unpack_parquet(path: Path, width: int | None) -> Iterator[NDArray[Any]]:
    done = 0
    with _parquet_file(path) as table:
        for batch in table.iter_batches(_ROWS_AT_A_TIME, columns=[KEY]):
            column = batch.column(0)
            lengths = np.array(column.value_lengths().fill_null(-1))
            values = column.flatten()
            wanted = int(lengths[0]) if width is None else width
            odd = np.flatnonzero(lengths != wanted)
            if len(odd) or values.null_count:
                row = done + (int(odd[0]) if len(odd) else 0) + 1
                found = "is missing" if lengths[row - done - 1] < 0 else "has another length"
                raise MatrixError(
                    f"{path}: the vector of row {row} {found} or holds a null; each must have {wanted} "
                    "numbers"
                )
            yield values.to_numpy(zero_copy_only=False).reshape(len(lengths), wanted)
            done += len(lengths)


def _parquet_file(path: Path) -> Any:
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise MatrixError(
            f"{path} is Parquet, which needs pyarrow: `pip install pyarrow`, or save it as npz"
        ) from error
    return ParquetFile(path)


def _mapped(path: Path, array: NDArray[Any]) -> MatrixFile:
    _check(path, array.shape, array.dtype)
    return MatrixFile(path, (array.shape[0], array.shape[1]), array)


def _check(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if len(shape) != 2:
        raise MatrixError(f"{path} holds an array of shape {shape}; it must have a row for each vector")
    if dtype not in (np.float16, np.float32, np.float64):
        raise MatrixError(f"{path} holds numbers of type {dtype}; save float16, float32 or float64")


def _refuse_without_matrix(path: Path, names: list[str]) -> NoReturn:
    raise MatrixError(f"{path} holds no {KEY!r}; it holds {', '.join(names) or 'nothing'}")


def _refuse(path: Path, error: Exception) -> NoReturn:
    raise MatrixError(
        f"{path} cannot be read as {path.suffix.lower()[1:]} ({type(error).__name__}: {error}); is it "
        f"complete?"
    ) from error
