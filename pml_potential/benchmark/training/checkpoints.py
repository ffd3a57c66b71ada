"""Checkpoints, from which an interrupted fold resumes: its state after each epoch."""

import hashlib
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

from pml_potential.benchmark.config.schema import Config
from pml_potential.benchmark.data.labelled_tensors import LabelledTensors
from pml_potential.benchmark.data.locations import without_locations
from pml_potential.benchmark.files import DamagedFileError, read_state, set_aside, write_state

_NAME = "checkpoints"

_KEPT = 2
"""The latest, and the one before it in case the latest is damaged."""


def work_hash(config: Config, seed: int, *given: LabelledTensors | int | bool | None) -> str:
    """Hash of all that decides a fold's training, so that no fold resumes from a checkpoint of another.

    Args:
        config: of the training.
        seed: of the fold.
        given: its data sets, of which the source and the labels count, and further arguments.
    """
    found = hashlib.sha256(f"{without_locations(config).model_dump_json()} {seed}".encode())
    for each in given:
        if isinstance(each, LabelledTensors):
            found.update(each.source.encode() + each.labels.tobytes())
        else:
            found.update(repr(each).encode())
    return found.hexdigest()


class Checkpoints:
    """The checkpoints of a fold, ``checkpoints/0007.pt`` after epoch 7; the latest two are kept.

    Args:
        folder: of the fold.
        work: hash of their work.
    """

    def __init__(self, folder: Path, work: str) -> None:
        self._folder = folder / _NAME
        self._work = work

    def write(self, epoch: int, state: dict[str, Any]) -> None:
        """Write one, whole or not at all, then delete those that are no longer needed."""
        write_state(self._path(epoch), state | {"work": self._work})
        for old in self._paths()[_KEPT:]:
            old.unlink()

    def latest(self) -> dict[str, Any] | None:
        """Read the latest good one; damaged ones are set aside, with a warning.

        Returns:
            The state; None if there is none of this work.
        """
        for path in self._paths():
            try:
                state: dict[str, Any] = read_state(path)
            except DamagedFileError as error:
                aside = set_aside(path, "damaged")
                warnings.warn(f"{error}; set aside as {aside.name}", stacklevel=2)
                continue
            if state.pop("work") == self._work:
                return state
            warnings.warn(
                f"{path} is of another configuration, seed or data set, or of an earlier version; the "
                f"fold starts again",
                stacklevel=2,
            )
            return None
        return None

    def _path(self, epoch: int) -> Path:
        return self._folder / f"{epoch:04d}.pt"

    def _paths(self) -> list[Path]:
        """The latest first."""
        return sorted(self._folder.glob("*.pt"), key=lambda path: int(path.stem), reverse=True)


def remove_checkpoints(folder: Path) -> None:
    """Delete the checkpoints of a finished fold, except damaged ones."""
    checkpoints = folder / _NAME
    for path in checkpoints.glob("*.pt"):
        path.unlink(missing_ok=True)
    # Files that were set aside keep the folder, which may not exist.
    with suppress(OSError):
        checkpoints.rmdir()
