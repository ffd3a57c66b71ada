"""Audit a data set for contradicting labels and for copies that raise scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pml_potential.benchmark.data.datasets.entry import DatasetEntry
from pml_potential.benchmark.data.datasets.published import counted, wrong_counts, wrong_sizes
from pml_potential.benchmark.data.datasets.spellings import spelled_in_several_ways
from pml_potential.benchmark.data.image_files import ImageFiles
from pml_potential.benchmark.data.images import Images
from pml_potential.benchmark.data.near_pictures import near_pictures
from pml_potential.benchmark.data.picture_hashes import picture_hashes
from pml_potential.benchmark.data.splits import splits_of

KINDS = {
    "border": "across the border of training and test",
    "classes": "across classes",
    "class": "inside a class",
}
"""Where the pictures of a group lie, the worst first, in words."""


@dataclass(frozen=True)
class Group:
    """Pictures that are equal, or a pair that is nearly so.

    Attributes:
        images: Their places in the data set.
        kind: One of `KINDS`.
        bits: In how many of 256 bits the looks of a near pair differ; None for equal pictures.
    """

    images: tuple[int, ...]
    kind: str
    bits: int | None = None


@dataclass(frozen=True)
class Audit:
    """The results of an audit.

    Attributes:
        images: The data set.
        parts: "train", "test", "query", "gallery" or "unused" for each image; None if the data set has
            too few classes to be divided.
        equal: Groups of pictures with the same pixels, those of the worst kind first.
        near: Pairs of pictures that look nearly the same, the worst kind and the nearest first.
        near_count: How many such pairs there are; `near` holds the nearest of them.
        labels: The names of each class that is written in several ways.
        files: What differs from the published data set, in words.
    """

    images: Images
    parts: NDArray[np.str_] | None
    equal: tuple[Group, ...]
    near: tuple[Group, ...]
    near_count: int
    labels: tuple[tuple[str, ...], ...]
    files: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing is certainly wrong; near pictures are for a person to judge."""
        return not (self.equal or self.labels or self.files)

    def lines(self) -> list[str]:
        """Puts the findings into words."""
        lines = [f"{self.images.name}: {counted(len(self.images.labels), len(self.images.class_names))}"]
        if self.parts is None:
            lines.append(
                "Too few classes for a test set, so copies across training and test are not looked for."
            )
        else:
            parts = Counter(self.parts.tolist())
            lines.append(
                "  " + ", ".join(f"{part} {count}" for part, count in parts.items()) + " images"
            )
        lines.append(f"Equal pictures, groups: {in_words(counts_of(self.equal))}")
        more = "" if self.near_count == len(self.near) else f"; the nearest of {self.near_count:,} pairs"
        lines.append(f"Near pictures, pairs to look at: {in_words(counts_of(self.near))}{more}")
        lines += [
            f"One label in several spellings: {', '.join(map(repr, names))}" for names in self.labels
        ]
        lines += self.files
        lines.append("Nothing is certainly wrong." if self.sound else "The data set is not sound.")
        return lines


def counts_of(groups: tuple[Group, ...]) -> dict[str, int]:
    """Numbers of groups of each kind."""
    counts = Counter(group.kind for group in groups)
    return {kind: counts[kind] for kind in KINDS}


def in_words(counts: Mapping[str, int]) -> str:
    """Counts by kind in words.

    Examples:
        >>> in_words({"border": 0, "classes": 11, "class": 2})
        '11 across classes, 2 inside a class'
        >>> in_words({"border": 0, "classes": 0, "class": 0})
        'none'
    """
    return (
        ", ".join(f"{counts[kind]} {where}" for kind, where in KINDS.items() if counts[kind]) or "none"
    )


def audit(images: Images, entry: DatasetEntry, folds: int | None, cache: Path) -> Audit:
    """Looks for equal and near pictures, labels in two spellings, and differences from published files.

    Args:
        images: The data set.
        entry: Its entry in the catalogue.
        folds: Of the protocol, which decide the border of training and test. None: cross-validation,
            whose border is the same for any number of folds; if that is impossible, one fold.
        cache: Folder for the hashes of the pictures.

    Raises:
        UnreadableImageError: A picture cannot be read; the message names the file.
    """
    files = list(wrong_counts(images, entry))
    if isinstance(images, ImageFiles):
        files += wrong_sizes(images, entry)
    parts = _parts(images, entry, folds)
    hashes = picture_hashes(images, cache)
    near = near_pictures(hashes)
    pairs = (
        Group(tuple(pair), _kind(pair, images, parts), bits)
        for pair, bits in zip(near.pairs.tolist(), near.bits.tolist(), strict=True)
    )
    equal = (Group(tuple(same), _kind(same, images, parts)) for same in _equal(hashes["pixels"]))
    return Audit(
        images=images,
        parts=parts,
        equal=_worst_first(equal),
        near=_worst_first(pairs),
        near_count=near.count,
        labels=tuple(spelled_in_several_ways(images.class_names)),
        files=tuple(files),
    )


def _parts(images: Images, entry: DatasetEntry, folds: int | None) -> NDArray[np.str_] | None:
    """The part of each image; the border is the same for two folds as for more."""
    for tried in (2, 1) if folds is None else (folds,):
        try:
            splits = splits_of(images.labels, images.division, tried, entry.mlrc_halves)
        except ValueError:
            continue
        parts = np.full(len(images.labels), "unused", dtype="<U7")
        for fold in splits.folds:
            parts[fold.train] = parts[fold.validation] = "train"
        parts[splits.test] = "test"
        if splits.queries is not None:
            parts[splits.test[: splits.queries]] = "query"
            parts[splits.test[splits.queries :]] = "gallery"
        return parts
    return None


def _equal(pixels: NDArray[Any]) -> Iterator[list[int]]:
    """Places of each group of several equal rows, in their order."""
    _, numbers, counts = np.unique(pixels, axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(numbers.ravel(), kind="stable")
    for group in np.split(order, np.cumsum(counts)[:-1]):
        if len(group) > 1:
            yield group.tolist()


def _kind(places: list[int], images: Images, parts: NDArray[np.str_] | None) -> str:
    if parts is not None:
        found = set(parts[places].tolist())
        if "train" in found and found & {"test", "query", "gallery"}:
            return "border"
    return "classes" if len(set(images.labels[places].tolist())) > 1 else "class"


def _worst_first(groups: Iterator[Group]) -> tuple[Group, ...]:
    rank = {kind: number for number, kind in enumerate(KINDS)}
    return tuple(sorted(groups, key=lambda each: (rank[each.kind], each.bits or 0, each.images)))
