"""How a command reports an error: a line in words, and an exit status.

Status 2 is a mistake in the command, 1 is work that failed.
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

import typer
from rich.console import Console
from typer.core import TyperGroup

from pml_potential.benchmark.commands.terminal import print_whatever_comes
from pml_potential.benchmark.config.missing_extra import advice_on, is_of_extra
from pml_potential.benchmark.config.reasons import reason_of
from pml_potential.benchmark.config.schema import ConfigError

_MISTAKES = (
    ConfigError,
    FileExistsError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)
_MISTAKES_OF_PLACE = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOLCK, errno.EROFS)
"""System errors that another folder avoids."""


@contextmanager
def notes_as_lines(console: Console) -> Iterator[None]:
    """Print warnings as lines that name the image, without their line of source code."""
    from pml_potential.benchmark.data.image_warnings import warnings_name_images

    def tell(message: Warning | str, *_: Any, **__: Any) -> None:
        console.print(f"note: {message}", soft_wrap=True)

    with warnings.catch_warnings():
        warnings.showwarning = tell
        with warnings_name_images():
            yield


@contextmanager
def errors_in_words() -> Iterator[None]:
    """Print an error as a line and not as a traceback: the one place where exceptions end a command.

    The traceback of an unexpected error is kept in a file for a bug report.
    """
    try:
        yield
    except BrokenPipeError:
        # The reader closed the output; click exits silently.
        raise
    except ModuleNotFoundError as error:
        fail(advice_on(error) if is_of_extra(error) else reason_of(error), 1)
    except _MISTAKES as error:
        fail(reason_of(error), 2)
    except Exception as error:
        if isinstance(error, typer.Abort) or hasattr(error, "exit_code"):
            # Typer's own, which it handles itself.
            raise
        _fail_of_libraries(error)
        if isinstance(error, OSError):
            fail(reason_of(error), 2 if error.errno in _MISTAKES_OF_PLACE else 1)
        name, reason = type(error).__name__, reason_of(error)
        what = reason if reason.startswith(name) else f"{name}: {reason}"
        fail(f"unexpected {what}; please report it, with the traceback in {_kept(error)}", 1)


def _fail_of_libraries(error: Exception) -> None:
    """Exit with a line if the error's class is one of those that take seconds to import."""
    import torch
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    from pml_potential.benchmark.data.datasets.download import DownloadError
    from pml_potential.benchmark.data.image_reading import UnreadableImageError
    from pml_potential.benchmark.experiments.search import SearchFailedError
    from pml_potential.benchmark.files import DamagedFileError, NotFiniteError
    from pml_potential.benchmark.training.fold_trainer import DivergedError

    if isinstance(error, DamagedFileError | UnreadableImageError):
        fail(reason_of(error), 2)
    if isinstance(error, SQLAlchemyError | StorageInternalError | sqlite3.Error):
        reason = getattr(error, "orig", None) or error.__cause__ or error
        fail(f"the database of the studies failed; finished work is kept: {reason_of(reason)}", 1)
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        fail(f"memory ran out; lower protocol.batch_size, or use a smaller model: {reason_of(error)}", 1)
    if isinstance(error, DivergedError | DownloadError | NotFiniteError | SearchFailedError):
        fail(reason_of(error), 1)


@contextmanager
def stoppable(console: Console, folder: Path) -> Iterator[None]:
    """Print warnings as lines, and let Ctrl-C stop work that the same command resumes."""
    try:
        with notes_as_lines(console):
            yield
    except KeyboardInterrupt:
        console.print(f"\nStopped. The same command resumes {folder}.", soft_wrap=True)
        raise typer.Exit(130) from None


def fail(message: str, code: int = 2) -> NoReturn:
    """Print the error and exit."""
    print(f"error: {message}", file=sys.stderr)
    raise typer.Exit(code)


class AnsweringGroup(TyperGroup):
    """All commands: each ends with a result or with an error in words."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Parse the arguments, run the command and exit."""
        print_whatever_comes()
        return super().main(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with errors_in_words():
            return super().invoke(ctx)


def _kept(error: Exception) -> str:
    """Save the traceback to a file and return its path."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="pml-potential-", suffix=".txt", delete=False, errors="backslashreplace"
        ) as file:
            traceback.print_exception(error, file=file)
    except OSError:
        return "no file, as none could be written"
    return file.name
