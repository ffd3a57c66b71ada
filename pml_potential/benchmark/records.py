"""What a run leaves on disk, written so that a kill at any moment leaves the last good state."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytorch_metric_learning.utils.common_functions import list_of_recordable_attributes_list_names
from record_keeper import RecordKeeper, RecordWriter
from torch.utils.tensorboard import SummaryWriter


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all: to a temporary file, flushed, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, whole or not at all; NaN is refused, since JSON has none."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read what ``write_json`` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))


def set_aside(folder: Path) -> None:
    """Give an unfinished piece of work another name, so that the work can start again.

    Nothing is deleted: ``fold_0`` becomes ``fold_0.interrupted_1``, and so on.
    """
    if not folder.exists():
        return
    number = 1
    while (target := folder.with_name(f"{folder.name}.interrupted_{number}")).exists():
        number += 1
    folder.rename(target)


@contextmanager
def record_keeper(folder: Path) -> Iterator[Any]:
    """Open a record-keeper for PML's hooks: SQLite and CSV in ``logs``, and TensorBoard's events."""
    tensorboard = SummaryWriter(log_dir=str(folder / "tensorboard"))
    try:
        yield RecordKeeper(
            tensorboard_writer=tensorboard,
            record_writer=RecordWriter(str(folder / "logs")),
            attributes_to_search_for=list_of_recordable_attributes_list_names(),
        )
    finally:
        tensorboard.close()
