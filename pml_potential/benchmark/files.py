"""Files that stay whole if the process is killed, and whose damage is detected."""

import hashlib
import io
import json
import os
import secrets
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import isfinite
from pathlib import Path
from typing import IO, Any

import torch
from filelock import FileLock

_CHUNK = 2**24
_SECONDS_BETWEEN_POSITIONS = 5.0
_DIGEST_BYTES = hashlib.sha256().digest_size


class DamagedFileError(OSError):
    """A file does not hold what was written to it."""


class NotFiniteError(ValueError):
    """A value to be written contains NaN or infinity."""


class NamedLock(FileLock):
    """A file lock whose errors name the file, for example on a network disk without locks."""

    def acquire(self, *arguments: Any, **options: Any) -> Any:
        """Wait for the lock, as ``FileLock`` does."""
        with errors_that_name(Path(self.lock_file)):
            return super().acquire(*arguments, **options)


@contextmanager
def errors_that_name(path: Path) -> Iterator[None]:
    """Add the file's name to errors without one, such as that of a write to a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Write a file whole or not at all: to a temporary file, flushed, then renamed.

    The temporary file has a random name, so no two writers share one, even on different machines or in
    different containers. It is removed if anything fails.

    Args:
        path: of the file; its folder is created if missing.

    Yields:
        The temporary file, open for writing and reading.

    Raises:
        OSError: The file cannot be written, as on a full disk; the error names it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with errors_that_name(path), temporary.open("xb+") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, *parts: bytes | memoryview) -> None:
    """Write bytes, whole or not at all."""
    with whole_file(path) as file:
        for part in parts:
            file.write(part)


def write_text(path: Path, text: str) -> None:
    r"""Write text, whole or not at all, in UTF-8.

    File names may contain bytes that are not text; they become escapes such as ``\udce9``, which JSON
    and YAML read back.
    """
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, whole or not at all.

    Raises:
        NotFiniteError: It contains NaN or infinity, which JSON does not have.
    """
    try:
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise NotFiniteError(
            f"{path} is not written: {_not_finite(value)}; `pml-potential datasets check` says whether "
            f"the data can be evaluated"
        ) from error
    write_text(path, text + "\n")


def read_json(path: Path) -> Any:
    """Read what ``write_json`` wrote.

    Raises:
        ValueError: It is damaged, or holds NaN, which JSON does not have.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("too many nested brackets") from None


def read_json_or_set_aside(path: Path, understood: Callable[[Any], Any] = lambda found: found) -> Any:
    """Read what ``write_json`` wrote; a damaged file is set aside, with a warning.

    Args:
        path: of the file.
        understood: converts the content, or raises ``ValueError`` if it makes no sense. Default: the
            content unchanged.

    Returns:
        The converted content; None if there is no such file, or if it was damaged.
    """
    try:
        return understood(read_json(path))
    except FileNotFoundError:
        return None
    except ValueError as error:
        aside = set_aside(path, "damaged")
        warnings.warn(f"{path} is damaged ({error}); set aside as {aside.name}", stacklevel=2)
        return None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _not_finite(value: Any, place: str = "") -> str:
    """Name the first place in which a value is NaN or infinite; nothing if there is none."""
    if isinstance(value, float) and not isfinite(value):
        return f"{place.removeprefix('.')} is {value}"
    pairs = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list | tuple)
        else ()
    )
    return next(filter(None, (_not_finite(each, f"{place}.{key}") for key, each in pairs)), "")


def set_aside(path: Path, reason: str = "interrupted") -> Path:
    """Rename a file or folder that cannot be used, so that its work can start again.

    Nothing is deleted: ``fold_0`` becomes ``fold_0.interrupted_1``, and so on.

    Args:
        path: a file or a folder; if there is none, nothing happens.
        reason: why it cannot be used, in a word.

    Returns:
        The new name.
    """
    number = 1
    while (target := path.with_name(f"{path.name}.{reason}_{number}")).exists():
        number += 1
    if path.exists():
        path.rename(target)
    return target


def write_state(path: Path, state: Any) -> None:
    """Write a state as ``torch.save`` does, whole or not at all, followed by its SHA-256.

    Args:
        path: of the file.
        state: tensors, numbers and text, in dictionaries and lists.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getbuffer()
    write_bytes(path, content, hashlib.sha256(content).digest())


def read_state(path: Path) -> Any:
    """Read what ``write_state`` wrote, onto the CPU.

    Raises:
        DamagedFileError: The file was cut off, or a byte has changed.
    """
    written = memoryview(path.read_bytes())
    content = written[: max(len(written) - _DIGEST_BYTES, 0)]
    # torch.load checks no checksums: a flipped bit in a weight would go unnoticed.
    if hashlib.sha256(content).digest() != written[len(content) :]:
        raise DamagedFileError(f"{path} is damaged: its SHA-256 does not match")
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


class SealedWriter:
    """Writes bytes, and keeps their CRC-32."""

    def __init__(self, file: IO[bytes]) -> None:
        self.checksum = 0
        self._file = file

    def write(self, content: bytes) -> int:
        """Write, and return the number of bytes."""
        self.checksum = zlib.crc32(content, self.checksum)
        return self._file.write(content)


@contextmanager
def sealed_file(path: Path) -> Iterator[SealedWriter]:
    """Write a large file whole or not at all, followed by a CRC-32 for ``is_whole``.

    Raises:
        OSError: The file cannot be written, as on a full disk; the error names it.
    """
    with whole_file(path) as file:
        writer = SealedWriter(file)
        yield writer
        file.write(_seal(writer.checksum))


class GrowingFile:
    """A large file that is written piece by piece.

    Args:
        file: open for writing and reading.
        position: path of the file that records how much of it is valid.

    Attributes:
        entries: the entry of each piece so far, as given to ``append``.
    """

    def __init__(self, file: IO[bytes], position: Path) -> None:
        self.entries: list[Any] = []
        self._file = file
        self._position = position
        # Bytes, checksum and number of entries, consistent whenever Ctrl-C comes.
        self._good = (0, 0, 0)
        self._saved = time.monotonic()
        match read_json_or_set_aside(position):
            case {"bytes": int(size), "checksum": checksum, "entries": list(entries)}:
                if _checksum_of(file, size) == (size, checksum):
                    self.entries, self._good = entries, (size, checksum, len(entries))
        file.seek(self._good[0])
        file.truncate()

    def append(self, content: bytes, entry: Any) -> None:
        """Write a piece.

        Args:
            content: the piece.
            entry: what a resumed run must know of it; JSON-serialisable.
        """
        size, checksum, _ = self._good
        self._file.write(content)
        self.entries.append(entry)
        self._good = (size + len(content), zlib.crc32(content, checksum), len(self.entries))
        if time.monotonic() - self._saved > _SECONDS_BETWEEN_POSITIONS:
            self.save_position()

    def save_position(self) -> None:
        """Record how much of the file is valid, for a resumed run."""
        size, checksum, count = self._good
        self._file.flush()
        os.fsync(self._file.fileno())
        found = {"bytes": size, "checksum": checksum, "entries": self.entries[:count]}
        write_text(self._position, json.dumps(found))
        self._saved = time.monotonic()

    def seal(self) -> None:
        """End the file as ``sealed_file`` does."""
        self._file.write(_seal(self._good[1]))
        self._file.flush()
        os.fsync(self._file.fileno())


@contextmanager
def growing_file(path: Path) -> Iterator[GrowingFile]:
    """Write a large file as ``sealed_file`` does, and resume it after a kill or Ctrl-C.

    The unfinished file is hidden beside it; an error removes it. Two processes must not write the same
    file at once.

    Args:
        path: of the file; its folder is created if missing.

    Raises:
        OSError: The file cannot be written, as on a full disk; the error names it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished, position = (path.with_name(f".{path.name}.{end}") for end in ("part", "position"))
    unfinished.touch()
    try:
        with errors_that_name(path), unfinished.open("rb+") as file:
            growing = GrowingFile(file, position)
            try:
                yield growing
            except KeyboardInterrupt:
                growing.save_position()
                raise
            growing.seal()
        unfinished.replace(path)
        position.unlink(missing_ok=True)
    except Exception:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
            position.unlink(missing_ok=True)
        raise


def is_whole(path: Path) -> bool:
    """Whether a file is as ``sealed_file`` left it. Reads it once, at some gigabytes a second."""
    left = path.stat().st_size - len(_seal(0))
    with path.open("rb") as file:
        size, checksum = _checksum_of(file, left)
        return size == left and file.read() == _seal(checksum)


def _checksum_of(file: IO[bytes], size: int) -> tuple[int, int]:
    """Read up to so many bytes from the file's position; return their number and their CRC-32."""
    left, checksum = size, 0
    while left > 0 and (chunk := file.read(min(left, _CHUNK))):
        checksum = zlib.crc32(chunk, checksum)
        left -= len(chunk)
    return size - left, checksum


def _seal(checksum: int) -> bytes:
    return checksum.to_bytes(4, "little")
