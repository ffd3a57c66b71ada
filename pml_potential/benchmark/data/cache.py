"""Large files, named after the hash of their inputs and checked for damage once."""

import hashlib
import io
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from pml_potential.benchmark.data.long_step import long_step
from pml_potential.benchmark.files import NamedLock, is_whole, set_aside

Stamp = tuple[str, int, int]
"""Path, size and time of the last change: a file with the same stamp needs no second check."""

_checked: set[Stamp] = set()


def cache_path(folder: Path, made_from: tuple[Any, ...], suffix: str) -> Path:
    """Path of a cached file.

    Args:
        folder: of the cache.
        made_from: all that the content depends on, each with a ``repr`` that is the same everywhere.
        suffix: of the file, such as ``.npy``.
    """
    key = hashlib.sha256(repr(made_from).encode()).hexdigest()[:32]
    return folder / f"{key}{suffix}"


def npy_header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """Header of a file of rows that ``np.load`` maps."""
    header = io.BytesIO()
    description = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, description)
    return header.getvalue()


def is_cached(path: Path) -> bool:
    """Whether a file that ``sealed_file`` wrote is there and whole.

    A damaged file is set aside with a warning. The whole file is read for its checksum once in a
    process, and again only if its size or time of change differs.
    """
    if not path.is_file():
        return False
    if _stamp(path) in _checked:
        return True
    if is_whole(path):
        _checked.add(_stamp(path))
        return True
    aside = set_aside(path, "damaged")
    warnings.warn(f"{path} is damaged; set aside as {aside.name}, and rebuilt", stacklevel=2)
    return False


@contextmanager
def alone_with(path: Path) -> Iterator[None]:
    """Hold the lock on a cached file that is not there yet, so that one process makes it."""
    folder = path.parent
    folder.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        with long_step("waiting for another process that is writing the same cached file"):
            stack.enter_context(NamedLock(folder.with_name(f".{folder.name}.{path.stem[:8]}.lock")))
        yield


def checked_files() -> frozenset[Stamp]:
    """Files that this process has checked, to hand to a process that it starts."""
    return frozenset(_checked)


def trust(stamps: frozenset[Stamp]) -> None:
    """Count files as checked that another process has just checked."""
    _checked.update(stamps)


def _stamp(path: Path) -> Stamp:
    found = path.stat()
    return str(path.resolve()), found.st_size, found.st_mtime_ns
