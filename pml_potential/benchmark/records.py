"""What a run leaves on disk, written so that a kill at any moment leaves the last good state."""

import json
import os
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pytorch_metric_learning.utils.common_functions import list_of_recordable_attributes_list_names
from record_keeper import RecordKeeper, RecordWriter
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter


@contextmanager
def errors_that_name(path: Path) -> Iterator[None]:
    """Name a file in errors that name none: a write on a full disk does not know its own."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def write_bytes(path: Path, *parts: bytes | memoryview) -> None:
    """Write a file whole or not at all: to a temporary file, flushed, then renamed.

    Raises:
        OSError: The file cannot be written, as on a full disk; the error names it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with errors_that_name(path), temporary.open("wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise


def write_text(path: Path, text: str) -> None:
    """Write text, whole or not at all, in UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, whole or not at all; NaN is refused, since JSON has none."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read what ``write_json`` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))


def read_json_or_set_aside(path: Path) -> Any:
    """Read what ``write_json`` wrote; a damaged file is set aside, with a warning.

    Returns:
        None if there is no such file, or if it was damaged.
    """
    try:
        return read_json(path)
    except FileNotFoundError:
        return None
    except ValueError as error:
        aside = set_aside(path, "damaged")
        warnings.warn(f"{path} is damaged ({error}); set aside as {aside.name}", stacklevel=2)
        return None


def set_aside(path: Path, reason: str = "interrupted") -> Path:
    """Give a piece of work that cannot be used another name, so that the work can start again.

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


class _ScalarKeeper(RecordKeeper):
    """A record-keeper that leaves whole parameters out, which it would turn into lists and not write."""

    def append_data(self, group_name: str, series_name: str, value: Any, iteration: int) -> None:
        if not isinstance(value, Tensor) or value.numel() == 1:
            super().append_data(group_name, series_name, value, iteration)


@contextmanager
def record_keeper(folder: Path) -> Iterator[Any]:
    """Open a record-keeper for PML's hooks: SQLite and CSV in ``logs``, and TensorBoard's events.

    Raises:
        OSError: They cannot be written, as on a full disk; the error names the folder.
    """
    # TensorBoard writes in a thread, whose errors name no file.
    with errors_that_name(folder):
        tensorboard = SummaryWriter(log_dir=str(folder / "tensorboard"))
        try:
            yield _ScalarKeeper(
                tensorboard_writer=tensorboard,
                record_writer=RecordWriter(str(folder / "logs")),
                attributes_to_search_for=list_of_recordable_attributes_list_names(),
            )
        except sqlite3.Error as error:
            raise OSError(f"{folder / 'logs' / 'logs.db'}: {error}") from error
        finally:
            tensorboard.close()
