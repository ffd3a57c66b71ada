"""Number the classes of a data set, and check such numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

DIVISION = ("train", "test", "query", "gallery")
"""Parts of a data set that comes divided."""


def number_classes(names: Sequence[str]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Numbers classes in the order of their names.

    Names that are all plain integers ("7", not "07") are in the order of the integers; all others
    are in the order of their characters.

    Args:
        names: The name of the class of each image.

    Returns:
        The number of the class of each image, from 0, and the name of each class.

    Examples:
        >>> number_classes(["10", "9", "10"])
        (array([1, 0, 1]), ('9', '10'))
        >>> number_classes(["10", "9a"])
        (array([0, 1]), ('10', '9a'))
    """
    different = set(names)
    numeric = all(_is_plain_integer(name) for name in different)
    ordered = sorted(different, key=int) if numeric else sorted(different)
    numbers = {name: number for number, name in enumerate(ordered)}
    return np.array([numbers[name] for name in names], dtype=np.int64), tuple(ordered)


def check_labelling(
    count: int,
    labels: NDArray[np.int64],
    class_names: Sequence[str],
    division: NDArray[np.str_] | None,
) -> None:
    """Checks that labels, class names and division fit each other.

    Args:
        count: How many images there are.
        labels: The class of each image.
        class_names: The name of each class.
        division: The part of each image, one of `DIVISION`, or None.

    Raises:
        ValueError: If they do not; the message quotes the first wrong value.

    Examples:
        >>> check_labelling(2, np.array([0, 1]), ("cat", "dog"), None)
        >>> check_labelling(2, np.array([0, 2]), ("cat", "dog"), None)
        Traceback (most recent call last):
        ...
        ValueError: labels must lie from 0 to 1 for 2 class names, got 2
    """
    if labels.dtype != np.int64:
        raise ValueError(f"labels must be of dtype int64, got {labels.dtype}")
    if labels.shape != (count,):
        raise ValueError(f"labels must be of shape {(count,)}, one for each image, got {labels.shape}")
    repeated = sorted(name for name, times in Counter(class_names).items() if times > 1)
    if repeated:
        raise ValueError(f"class_names must all differ, got more than once: {repeated}")
    outside = labels[(labels < 0) | (labels >= len(class_names))]
    if len(outside):
        raise ValueError(
            f"labels must lie from 0 to {len(class_names) - 1} for "
            f"{len(class_names)} class names, got {int(outside[0])}"
        )
    if division is not None:
        _check_division(count, division)


def _check_division(count: int, division: NDArray[np.str_]) -> None:
    if division.dtype.kind != "U":
        raise ValueError(f"division must be an array of text, got dtype {division.dtype}")
    if division.shape != (count,):
        raise ValueError(
            f"division must be of shape {(count,)}, one for each image, got {division.shape}"
        )
    unknown = sorted(set(division.tolist()) - set(DIVISION))
    if unknown:
        raise ValueError(f"division must be among {', '.join(DIVISION)}, got {unknown[0]!r}")


def _is_plain_integer(name: str) -> bool:
    digits = name.removeprefix("-")
    plain = digits.isascii() and digits.isdigit() and (digits == "0" or not digits.startswith("0"))
    return plain and name != "-0"
