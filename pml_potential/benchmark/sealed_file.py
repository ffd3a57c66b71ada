"""Large files that tell when they are damaged: a CRC-32 stands behind their content."""

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pml_potential.benchmark.records import errors_that_name

_CHUNK = 2**24


class SealedWriter:
    """Writes bytes, and keeps their checksum."""

    def __init__(self, file: IO[bytes]) -> None:
        self.checksum = 0
        self._file = file

    def write(self, content: bytes) -> int:
        """Write; the number of bytes."""
        self.checksum = zlib.crc32(content, self.checksum)
        return self._file.write(content)


@contextmanager
def sealed_file(path: Path) -> Iterator[SealedWriter]:
    """Write a file whole or not at all: to a temporary file, sealed, flushed, then renamed.

    Raises:
        OSError: The file cannot be written, as on a full disk; the error names it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with errors_that_name(path), temporary.open("wb") as file:
            writer = SealedWriter(file)
            yield writer
            file.write(_seal(writer.checksum))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def is_whole(path: Path) -> bool:
    """Whether a file is as ``sealed_file`` left it: read once, a second for some gigabytes in memory."""
    left = path.stat().st_size - len(_seal(0))
    checksum = 0
    with path.open("rb") as file:
        while left > 0 and (chunk := file.read(min(left, _CHUNK))):
            checksum = zlib.crc32(chunk, checksum)
            left -= len(chunk)
        return left == 0 and file.read() == _seal(checksum)


def _seal(checksum: int) -> bytes:
    return checksum.to_bytes(4, "little")
