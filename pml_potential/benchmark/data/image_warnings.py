"""Add the file's name to Pillow's warnings."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_thread = threading.local()


@contextmanager
def reading_image(name: str) -> Iterator[None]:
    """Says which image this thread is reading.

    Args:
        name: Of the image, for warnings.

    Yields:
        Nothing.
    """
    _thread.name = name
    try:
        yield
    finally:
        _thread.name = None


@contextmanager
def warnings_name_images() -> Iterator[None]:
    """Puts the name of the image before each warning that is given while it is read, in any thread.

    How warnings are shown is changed once, for all images, and not for each: Python's filters are shared
    by all threads, and each change would show every other warning again.

    Yields:
        Nothing.

    Examples:
        >>> with warnings.catch_warnings(record=True) as given, warnings_name_images():
        ...     warnings.simplefilter("always")
        ...     with reading_image("cat.jpg"):
        ...         warnings.warn("Corrupt EXIF data")
        >>> str(given[0].message)
        'cat.jpg: Corrupt EXIF data'
    """
    show = warnings.showwarning

    def show_with_name(
        message: Warning | str, category: type[Warning], *place: Any, **more: Any
    ) -> None:
        name = getattr(_thread, "name", None)
        named = name is None or str(message).startswith(f"{name}: ")
        show(message if named else f"{name}: {message}", category, *place, **more)

    warnings.showwarning = show_with_name
    try:
        yield
    finally:
        warnings.showwarning = show
