"""The record-keeper of a fold: logs of PML's hooks, in SQLite, CSV and TensorBoard's events."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytorch_metric_learning.utils.common_functions import list_of_recordable_attributes_list_names
from record_keeper import RecordKeeper, RecordWriter
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from pml_potential.benchmark.files import errors_that_name


class _ScalarKeeper(RecordKeeper):
    """A record-keeper that skips whole parameters, which it would turn into lists and not write."""

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
