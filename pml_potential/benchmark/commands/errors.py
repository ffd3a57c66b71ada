"""What a command says when something goes wrong: a line in words, and an exit status."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import typer
from optuna.exceptions import StorageInternalError
from rich.console import Console

from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.data.image_warnings import warnings_name_images
from pml_potential.benchmark.experiments.search import SearchFailedError
from pml_potential.benchmark.files import DamagedFileError
from pml_potential.benchmark.training.fold_trainer import DivergedError


@contextmanager
def notes_as_lines(console: Console) -> Iterator[None]:
    """Tell warnings as lines, with the image and without the place in the source that they come from."""

    def tell(message: Warning | str, *_: Any, **__: Any) -> None:
        console.print(f"note: {message}", highlight=False, markup=False, soft_wrap=True)

    with warnings.catch_warnings():
        warnings.showwarning = tell
        with warnings_name_images():
            yield


@contextmanager
def errors_in_words() -> Iterator[None]:
    """End with a line in place of a traceback, for whatever a person can mend."""
    try:
        yield
    except (ConfigError, DamagedFileError, DivergedError, SearchFailedError, OSError) as error:
        fail(str(error))
    except StorageInternalError as error:
        reason = error.__cause__ or error
        fail(f"the studies' database failed, and what has ended is kept: {str(reason).splitlines()[0]}")


@contextmanager
def stoppable(console: Console, folder: Path) -> Iterator[None]:
    """As ``errors_in_words``, with warnings as lines, for work that Ctrl-C stops and that goes on."""
    try:
        with errors_in_words(), notes_as_lines(console):
            yield
    except KeyboardInterrupt:
        console.print(f"\nStopped. The same command goes on with {folder}.", highlight=False)
        raise typer.Exit(130) from None


def fail(message: str) -> NoReturn:
    """Say what is wrong, and end."""
    print(f"error: {message}", file=sys.stderr)
    raise typer.Exit(2)
