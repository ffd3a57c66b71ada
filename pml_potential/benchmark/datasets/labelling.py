"""How the classes of a data set are numbered, and what makes such numbers valid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

PARTS = ("train", "test", "query", "gallery")
"""What a published division may call the part of an image."""


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
    parts: NDArray[np.str_] | None,
    parents: NDArray[np.int64] | None,
) -> None:
    """Checks that labels, class names, parts and parents fit each other.

    Args:
        count: How many images there are.
        labels: The class of each image.
        class_names: The name of each class.
        parts: The part of each image, one of `PARTS`, or None.
        parents: The coarser class of each image, the same one for all images of a class, or None.

    Raises:
        ValueError: If they do not; the message quotes the first value that is wrong.

    Examples:
        >>> check_labelling(2, np.array([0, 1]), ("cat", "dog"), None, None)
        >>> check_labelling(2, np.array([0, 2]), ("cat", "dog"), None, None)
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
    if parts is not None:
        _check_parts(count, parts)
    if parents is not None:
        _check_parents(labels, class_names, parents)


def _check_parts(count: int, parts: NDArray[np.str_]) -> None:
    if parts.dtype.kind != "U":
        raise ValueError(f"parts must be an array of text, got dtype {parts.dtype}")
    if parts.shape != (count,):
        raise ValueError(f"parts must be of shape {(count,)}, one for each image, got {parts.shape}")
    unknown = sorted(set(parts.tolist()) - set(PARTS))
    if unknown:
        raise ValueError(f"parts must be among {', '.join(PARTS)}, got {unknown[0]!r}")


def _check_parents(
    labels: NDArray[np.int64], class_names: Sequence[str], parents: NDArray[np.int64]
) -> None:
    if parents.dtype != np.int64:
        raise ValueError(f"parents must be of dtype int64, got {parents.dtype}")
    if parents.shape != labels.shape:
        raise ValueError(
            f"parents must be of shape {labels.shape}, one for each image, got {parents.shape}"
        )
    if len(parents) and parents.min() < 0:
        raise ValueError(f"parents must be 0 or more, got {int(parents.min())}")
    pairs = np.unique(np.stack([labels, parents], axis=1), axis=0)
    twice = np.flatnonzero(pairs[1:, 0] == pairs[:-1, 0])
    if len(twice):
        label, parent = pairs[twice[0]].tolist()
        raise ValueError(
            f"all images of a class must have one parent, got {parent} and "
            f"{int(pairs[twice[0] + 1, 1])} for class {class_names[label]!r}"
        )


def _is_plain_integer(name: str) -> bool:
    digits = name.removeprefix("-")
    plain = digits.isascii() and digits.isdigit() and (digits == "0" or not digits.startswith("0"))
    return plain and name != "-0"
