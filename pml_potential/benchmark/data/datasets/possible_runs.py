"""Which runs on a data set are possible, and why others are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pml_potential.benchmark.data.images import Images
from pml_potential.benchmark.data.judgeable import why_not_judgeable
from pml_potential.benchmark.data.splits import Splits, splits_of

_PRESET_FOLDS = 4
"""Of ``mlrc`` and ``quick``, and of those derived from them."""

_MOST_FOLDS = 10
_PRESET_M = (1, 4)
"""Images of a class in a batch, in the presets of losses."""


@dataclass(frozen=True)
class PossibleRuns:
    """Which protocols can be run on some images.

    Attributes:
        cross_validated: Numbers of folds, from 2 on, with which a run can be evaluated.
        why_not_cross_validated: Why not with that of the presets; None if it can.
        why_not_traditional: Why not with training and test classes only; None if it can.
        fewest_classes: Number of classes of the smallest training set.
    """

    cross_validated: tuple[int, ...]
    why_not_cross_validated: str | None
    why_not_traditional: str | None
    fewest_classes: int | None

    @property
    def any(self) -> bool:
        """Whether some protocol could be run."""
        return bool(self.cross_validated) or self.why_not_traditional is None

    def lines(self) -> list[str]:
        """Puts it into words.

        Examples:
            >>> PossibleRuns((2, 4), None, None, 6).lines()[0]
            '  cross-validation (quick, mlrc): yes, with protocol.folds 2, 4'
        """
        lines = []
        found = ", ".join(map(str, self.cross_validated))
        if self.why_not_cross_validated is None:
            told = f"yes, with protocol.folds {found}"
        elif found:
            told = f"with protocol.folds {found} only: {self.why_not_cross_validated}"
        else:
            told = f"no: {self.why_not_cross_validated}"
        lines.append(f"  cross-validation (quick, mlrc): {told}")
        alone = "yes" if self.why_not_traditional is None else f"no: {self.why_not_traditional}"
        lines.append(f"  training and test classes only (traditional): {alone}")
        if self.fewest_classes is not None:
            small, large = _PRESET_M
            lines.append(
                f"  batches: protocol.batch_size up to {small * self.fewest_classes} with sampler.m "
                f"{small}, and from {large} to {large * self.fewest_classes} with sampler.m {large}"
            )
        return lines


def possible_runs(images: Images, mlrc_halves: bool) -> PossibleRuns:
    """Tries the protocols on a data set.

    Args:
        images: The data set; its files are not read.
        mlrc_halves: Whether cross-validation takes the halves of the sorted classes instead of the
            division, as a `DatasetEntry` says.
    """
    tried = {folds: _tried(images, folds, mlrc_halves) for folds in range(1, _MOST_FOLDS + 1)}
    could = tuple(folds for folds, (_, reason) in tried.items() if folds > 1 and reason is None)
    fewest = None
    for folds in (_PRESET_FOLDS, *could, 1):
        splits, reason = tried[folds]
        if splits is not None and reason is None:
            fewest = min(len(np.unique(images.labels[fold.train])) for fold in splits.folds)
            break
    return PossibleRuns(could, tried[_PRESET_FOLDS][1], tried[1][1], fewest)


def describe_classes(labels: NDArray[np.int64], division: NDArray[np.str_] | None) -> list[str]:
    """Says how many images the classes have, and how they are divided.

    Examples:
        >>> describe_classes(np.array([0, 0, 0, 1, 1]), None)[0]
        '  classes: 2, with 2 to 3 images each'
    """
    counts = np.unique(labels, return_counts=True)[1]
    least, most = int(counts.min()), int(counts.max())
    each = f"{least}" if least == most else f"{least} to {most}"
    line = f"  classes: {len(counts)}, with {each} images each"
    if lone := int((counts == 1).sum()):
        line += f"; {lone} of them with one image, which has no match"
    own = "none; the second half of the sorted classes is the test set"
    if division is not None:
        own = f"its own, {', '.join(dict.fromkeys(division.tolist()))}"
    return [line, f"  division: {own}"]


def describe_duplicates(names: Sequence[str], hashes: Sequence[str], kind: str = "file") -> str:
    """Says which files are copies of others.

    Args:
        names: Of the files.
        hashes: Of their contents.
        kind: What they are, if not files.

    Examples:
        >>> describe_duplicates(["a", "b"], ["x", "y"])
        '  duplicates: none'
    """
    first: dict[str, str] = {}
    copies = []
    for name, content in zip(names, hashes, strict=True):
        original = first.setdefault(content, name)
        if original != name:
            copies.append((name, original))
    if not copies:
        return "  duplicates: none"
    some = f"1 {kind} is a copy" if len(copies) == 1 else f"{len(copies)} {kind}s are copies"
    return (
        f"  duplicates: {some} of another, the first is {copies[0][0]} of {copies[0][1]}; a copy in "
        f"the test set finds its original, which inflates scores"
    )


def describe_sizes(sizes: Sequence[tuple[int, int]]) -> str:
    """Says whether a model without an input could take the images.

    Examples:
        >>> describe_sizes([(8, 8), (8, 9)])
        '  sizes: different, from 8 x 8 to 8 x 9 pixels: the model needs an input (model.input)'
    """
    smallest, largest = (chosen(sizes, key=lambda size: size[0] * size[1]) for chosen in (min, max))
    if len(set(sizes)) == 1:
        return f"  sizes: all {smallest[0]} x {smallest[1]} pixels"
    return (
        f"  sizes: different, from {smallest[0]} x {smallest[1]} to {largest[0]} x {largest[1]} pixels: "
        "the model needs an input (model.input)"
    )


def _tried(images: Images, folds: int, mlrc_halves: bool) -> tuple[Splits | None, str | None]:
    try:
        splits = splits_of(images.labels, images.division, folds, mlrc_halves)
    except ValueError as error:
        return None, str(error)
    return splits, why_not_judgeable(splits, images.labels)
