"""Errors for folders that are not laid out as their data set is published."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import NoReturn

from pml_potential.benchmark.config.schema import ConfigError


class LayoutError(ConfigError):
    """Files that are missing, or not in the layout of the data set."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ("dataset", "root"))


def require_files(root: Path, files: Sequence[str], title: str, advice: str) -> None:
    """Checks that a folder has the files of a data set.

    Args:
        root: The folder.
        files: Paths below it, of files or folders.
        title: Name of the data set.
        advice: How to get the data set.

    Raises:
        LayoutError: If the folder or a file is missing or cannot be accessed; the message names it.

    Examples:
        >>> require_files(Path("nowhere"), ["images.txt"], "Some Birds", "ask the author")
        Traceback (most recent call last):
        ...
        pml_potential.benchmark.data.datasets.layout.LayoutError: the folder nowhere of Some Birds does
        not exist; ask the author
    """
    if not is_there(root) or not root.is_dir():
        raise LayoutError(f"the folder {root} of {title} does not exist; {advice}")
    missing = [file for file in files if not is_there(root / file)]
    if missing:
        raise LayoutError(
            f"{root} does not hold {title}: {', '.join(missing)} is missing below it; {advice}"
        )


def is_there(path: Path) -> bool:
    """Tells whether a file or folder exists.

    Args:
        path: Of the file or folder.

    Returns:
        Whether it does.

    Raises:
        LayoutError: If that is unknown: a folder above it cannot be entered, or the name is too long.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        refuse_unreadable(path, error)
    return True


def refuse_unreadable(path: Path, error: OSError) -> NoReturn:
    """Says in words why a file or folder cannot be read.

    Args:
        path: Of the file or folder, if the error names none.
        error: Of the system.

    Raises:
        LayoutError: Always.

    Examples:
        >>> refuse_unreadable(Path("birds"), PermissionError(13, "Permission denied"))
        Traceback (most recent call last):
        ...
        pml_potential.benchmark.data.datasets.layout.LayoutError: you do not have permission to read
        birds; change its permissions, or ask its owner
    """
    found = error.filename or path
    if isinstance(error, PermissionError):
        raise LayoutError(
            f"you do not have permission to read {found}; change its permissions, or ask its owner"
        ) from error
    raise LayoutError(f"{found} cannot be read: {error.strerror}") from error


@contextmanager
def reading(root: Path, title: str) -> Iterator[None]:
    """Turns all errors in reading a data set's lists into one kind.

    Args:
        root: The folder.
        title: Name of the data set.

    Yields:
        Nothing.

    Raises:
        LayoutError: If a file cannot be opened (missing permissions are named), or is unexpected.
    """
    try:
        yield
    except LayoutError:
        raise
    except (OSError, ValueError, LookupError, TypeError, AttributeError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            refuse_unreadable(root, error)
        raise LayoutError(
            f"the lists of {title} in {root} differ from the published ones ({type(error).__name__}: "
            f"{error}); "
            "get them again"
        ) from error


def download_advice(name: str, root: Path) -> str:
    """Says how to get a data set that can be downloaded.

    Args:
        name: Of the data set.
        root: Where it should be.

    Returns:
        A clause for the end of an error message.
    """
    return (
        f"`pml-potential datasets download {name} --root {quote(str(root))}` fetches it, or give "
        "the folder where you have it, in the original layout, as dataset.root"
    )
