"""What a command says when something goes wrong: a line in words, and an exit status.

2 is for a mistake of whoever typed the command, 1 for work that failed.
"""

import errno
import sqlite3
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import torch
import typer
from optuna.exceptions import StorageInternalError
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError
from typer.core import TyperGroup

from pml_potential.benchmark.commands.terminal import print_whatever_comes
from pml_potential.benchmark.config.reasons import reason_of
from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.data.datasets.download import DownloadError
from pml_potential.benchmark.data.image_reading import UnreadableImageError
from pml_potential.benchmark.data.image_warnings import warnings_name_images
from pml_potential.benchmark.experiments.search import SearchFailedError
from pml_potential.benchmark.files import DamagedFileError, NotFiniteError
from pml_potential.benchmark.training.fold_trainer import DivergedError

_MISTAKES = (
    ConfigError,
    DamagedFileError,
    UnreadableImageError,
    FileExistsError,
    FileNotFoundError,
    IsADirectoryError,
    ModuleNotFoundError,
    NotADirectoryError,
    PermissionError,
)
_MISTAKES_OF_PLACE = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOLCK, errno.EROFS)
"""Errors of the system that another folder mends."""

_FAILURES = (DivergedError, DownloadError, NotFiniteError, SearchFailedError)
_DATABASE = (SQLAlchemyError, StorageInternalError, sqlite3.Error)
_MEMORY = (MemoryError, torch.cuda.OutOfMemoryError)


@contextmanager
def notes_as_lines(console: Console) -> Iterator[None]:
    """Tell warnings as lines, with the image and without the place in the source that they come from."""

    def tell(message: Warning | str, *_: Any, **__: Any) -> None:
        console.print(f"note: {message}", soft_wrap=True)

    with warnings.catch_warnings():
        warnings.showwarning = tell
        with warnings_name_images():
            yield


@contextmanager
def errors_in_words() -> Iterator[None]:
    """End with a line in place of a traceback: the one place where a command answers for an exception.

    What nobody foresaw is said as such, and its traceback is left in a file for a report.
    """
    try:
        yield
    except BrokenPipeError:
        # Whoever reads the output has enough; click ends without a word.
        raise
    except _MISTAKES as error:
        fail(reason_of(error), 2)
    except _DATABASE as error:
        reason = getattr(error, "orig", None) or error.__cause__ or error
        fail(f"the studies' database failed, and what has ended is kept: {reason_of(reason)}", 1)
    except _MEMORY as error:
        fail(f"memory ran out; lower protocol.batch_size, or use a smaller model: {reason_of(error)}", 1)
    except OSError as error:
        fail(reason_of(error), 2 if error.errno in _MISTAKES_OF_PLACE else 1)
    except _FAILURES as error:
        fail(reason_of(error), 1)
    except Exception as error:
        if isinstance(error, typer.Abort) or hasattr(error, "exit_code"):
            # Typer's own, which it answers itself.
            raise
        name, reason = type(error).__name__, reason_of(error)
        what = reason if reason.startswith(name) else f"{name}: {reason}"
        fail(f"unexpected {what}; please report it, with the traceback in {_kept(error)}", 1)


@contextmanager
def stoppable(console: Console, folder: Path) -> Iterator[None]:
    """Tell warnings as lines, and let Ctrl-C stop work that the same command goes on with."""
    try:
        with notes_as_lines(console):
            yield
    except KeyboardInterrupt:
        console.print(f"\nStopped. The same command goes on with {folder}.", soft_wrap=True)
        raise typer.Exit(130) from None


def fail(message: str, code: int = 2) -> NoReturn:
    """Say what is wrong, and end."""
    print(f"error: {message}", file=sys.stderr)
    raise typer.Exit(code)


class AnsweringGroup(TyperGroup):
    """All commands: each ends with a result or with an error in words."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Read what was typed, do it, and end this process."""
        print_whatever_comes()
        return super().main(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        """Do what was typed."""
        with errors_in_words():
            return super().invoke(ctx)


def _kept(error: Exception) -> str:
    """Leave the traceback in a file; the file's path."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="pml-potential-", suffix=".txt", delete=False, errors="backslashreplace"
        ) as file:
            traceback.print_exception(error, file=file)
    except OSError:
        return "no file, as none can be written"
    return file.name
