"""Which pictures of a data set look nearly the same."""

from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from pml_potential.benchmark.data.long_step import long_step
from pml_potential.benchmark.data.picture_hashes import LOOKS_BITS

MOST_BITS = 48
"""Bits of 256 in which near pictures may differ. In Cars-196 copies do in 10 to 50, others in more."""

MOST_COLOUR = 24
"""Levels of 255 by which their coarse colours may differ, on average: looks are without colour."""

MOST_PAIRS = 100_000
"""How many pairs are kept, the nearest ones."""

_CHUNK = 32


@dataclass(frozen=True)
class NearPictures:
    """Pairs of near pictures, the nearest first.

    Attributes:
        pairs: places of the two pictures, the smaller one first, (m, 2); m is at most ``MOST_PAIRS``.
        bits: in how many of 256 bits their looks differ, (m,).
        count: how many pairs there are.
    """

    pairs: NDArray[np.int64]
    bits: NDArray[np.int64]
    count: int


def near_pictures(hashes: NDArray[Any]) -> NearPictures:
    """Find all pairs whose looks differ in at most ``MOST_BITS`` bits and whose colours are alike.

    faiss compares every picture with every other, without approximation; 120,000 pictures take less
    than two minutes on one core.

    Args:
        hashes: from ``picture_hashes``. The first of several pictures with equal pixels stands for all.
    """
    different = np.sort(np.unique(hashes["pixels"], axis=0, return_index=True)[1])
    looks = np.ascontiguousarray(hashes["looks"][different])
    colours = hashes["colours"][different].astype(np.int16)
    index = faiss.IndexBinaryFlat(LOOKS_BITS)
    index.add(looks)
    pairs, bits, count = np.empty((0, 2), np.int64), np.empty(0, np.int64), 0
    with long_step("comparing all pairs of pictures", len(different), "pictures") as advance:
        for start in range(0, len(different), _CHUNK):
            some = looks[start : start + _CHUNK]
            # faiss finds pairs that are nearer than the radius.
            ends, distances, others = index.range_search(some, MOST_BITS + 1)
            counts = ends[1:].astype(np.int64) - ends[:-1].astype(np.int64)
            first = start + np.repeat(np.arange(len(some)), counts)
            once = first < others
            found = np.column_stack([first, others])[once]
            apart = np.abs(colours[found[:, 0]] - colours[found[:, 1]]).mean(axis=1)
            alike = apart <= MOST_COLOUR
            count += int(alike.sum())
            pairs = np.concatenate([pairs, different[found[alike]]])
            bits = np.concatenate([bits, distances[once][alike].astype(np.int64)])
            order = np.argsort(bits, kind="stable")[:MOST_PAIRS]
            pairs, bits = pairs[order], bits[order]
            advance(len(some))
    return NearPictures(pairs, bits, count)
