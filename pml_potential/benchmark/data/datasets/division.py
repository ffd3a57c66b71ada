"""Common names of the parts of a data set that comes divided, and their meaning."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pml_potential.benchmark.data.labelling import DIVISION

_VALIDATION = ("val", "valid", "validation")
_PARTS = {
    **{part: part for part in DIVISION},
    **dict.fromkeys(("training", *_VALIDATION), "train"),
    "testing": "test",
    "queries": "query",
}


def part_called(name: str) -> str | None:
    """Gives the part of a division that a name stands for, in any case.

    Args:
        name: Of a folder, or in the cell of a table.

    Returns:
        One of `DIVISION`, or None. Validation is "train": folds validate on classes of that part.

    Examples:
        >>> [part_called(name) for name in ("Train", "TESTING", "val", "cat")]
        ['train', 'test', 'train', None]
    """
    return _PARTS.get(name.lower())


def division_of(names: Sequence[str], where: Path) -> NDArray[np.str_] | None:
    """Gives the division that the names of its parts stand for, and warns where that may surprise.

    Args:
        names: For each image, the name of its part.
        where: The folder or table, for the warning.

    Returns:
        For each image one of `DIVISION`; or None if all are for training, so the classes themselves
        have to be divided.

    Raises:
        KeyError: If a name stands for no part.
    """
    parts = [_PARTS[name.lower()] for name in names]
    if set(parts) == {"train"}:
        warnings.warn(
            f"{where} has no part called test: the first half of its classes is for training and "
            "validation, the second half is the test",
            stacklevel=2,
        )
        return None
    for name in sorted({name for name in names if name.lower() in _VALIDATION}):
        warnings.warn(
            f"{where}: {name!r} is read as part of 'train', whose classes the folds validate on",
            stacklevel=2,
        )
    return np.array(parts)
