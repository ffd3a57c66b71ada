"""Hashes of file contents; a file is read again only when it has changed."""

import hashlib
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pml_potential.benchmark.data.long_step import long_step
from pml_potential.benchmark.files import read_json_or_set_aside, write_json

_SECONDS_BETWEEN_SAVES = 10.0

_SECONDS_TO_SETTLE = 2.0
"""A file that has just changed may change again within the resolution of its times."""

_CHUNK = 2**20


def hash_files(paths: Sequence[Path], memory: Path | None = None) -> list[str]:
    """SHA-256 of each file's content, in hexadecimal.

    Args:
        paths: of the files.
        memory: a file that remembers hashes by path, size and times of change, so that a later call,
            also after a kill, reads only files that it does not know. None: all are read.

    Raises:
        OSError: A file cannot be read; ``filename`` is its path.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder) / "empty"
        ...     path.touch()
        ...     hash_files([path])[0][:8]
        'e3b0c442'
    """
    stamps = [_stamp(path) for path in paths]
    known = _read(memory)
    unknown = [place for place, stamp in enumerate(stamps) if stamp not in known]
    saved = time.monotonic()
    # Hashing runs without the interpreter's lock, so threads do use all processors.
    with (
        long_step("hashing the files", len(unknown), "files") as advance,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        try:
            found = pool.map(_hash, [paths[place] for place in unknown])
            for place, content in zip(unknown, found, strict=True):
                known[stamps[place]] = content
                advance(1)
                if time.monotonic() - saved > _SECONDS_BETWEEN_SAVES:
                    _save(memory, known, stamps)
                    saved = time.monotonic()
        finally:
            # After an error or Ctrl-C the pool would first read all remaining files.
            pool.shutdown(wait=False, cancel_futures=True)
            if unknown:
                _save(memory, known, stamps)
    return [known[stamp] for stamp in stamps]


def _stamp(path: Path) -> str:
    found = path.stat()
    # ctime changes even if a copying program sets mtime back.
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {os.path.abspath(path)}"


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _read(memory: Path | None) -> dict[str, str]:
    found = None if memory is None else read_json_or_set_aside(memory)
    return found if isinstance(found, dict) else {}


def _save(memory: Path | None, known: dict[str, str], stamps: Sequence[str]) -> None:
    """Save the known hashes of these files, except those that have just changed."""
    if memory is None:
        return
    settled = time.time_ns() - int(_SECONDS_TO_SETTLE * 1e9)
    write_json(
        memory,
        {
            stamp: known[stamp]
            for stamp in stamps
            if stamp in known and max(map(int, stamp.split(" ", 3)[1:3])) < settled
        },
    )
