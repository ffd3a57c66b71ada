"""One picture, or one class, under two names."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from pml_potential.benchmark.data.datasets.layout import LayoutError
from pml_potential.benchmark.data.image_files import ImageFiles
from pml_potential.benchmark.data.images import Images

_WHOLE_NUMBER = re.compile(r"(-?\d+)\.0*")


def refuse_doubles(images: Images) -> None:
    """Raises if a picture or a class appears under two names.

    A picture that appears twice is its own nearest neighbour. Two names lead to one picture by a link,
    by a relative and an absolute path, or by two ways to write an accented letter; a class has two as
    ``1`` and ``1.0``. Copies of a file are not looked for: ``pml-potential datasets check`` lists them.

    Args:
        images: The data set.

    Raises:
        LayoutError: If there is one; the message gives both names.
    """
    classes: dict[str, str] = {}
    for name in images.class_names:
        first = classes.setdefault(_class(name), name)
        if first != name:
            raise LayoutError(
                f"the classes {first!a} and {name!a} of {images.name} are one under two "
                "names; write it the same way everywhere"
            )
    if isinstance(images, ImageFiles):
        files: dict[object, Path] = {}
        for path in images.paths:
            for identity in _identities(path):
                first_path = files.setdefault(identity, path)
                if first_path is not path:
                    raise LayoutError(
                        f"{_shown(first_path)} and {_shown(path)} are one picture of {images.name} "
                        "under two names; keep one of them"
                    )


def _class(name: str) -> str:
    found = _WHOLE_NUMBER.fullmatch(name)
    return found[1] if found else unicodedata.normalize("NFC", name)


def _identities(path: Path) -> Iterator[object]:
    """What tells that two paths are one file: its name, and its place on the disk."""
    yield unicodedata.normalize("NFC", os.path.abspath(path))
    try:
        found = path.stat()
    except (OSError, ValueError):
        # Missing, or of a name that no file can have; the error comes when it is read.
        return
    if found.st_ino:
        yield found.st_dev, found.st_ino


def _shown(path: Path) -> str:
    """The path, escaped so that letters that look the same differ."""
    return str(path) if path.as_posix().isascii() else ascii(str(path))
