"""Pairs of points: listed one by one where they are few, as blocks where they are many."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import overload

import torch
from torch import Tensor

Pairs = tuple[Tensor, Tensor]
"""Indices of one point and of the other of each pair."""


@dataclass(frozen=True)
class Block:
    """Groups of points, the rows, each of which meets another group, the columns.

    Args:
        rows: indices of points, (groups, t).
        columns: indices of points, (groups, s); the very tensor ``rows`` where they are the same.
        wanted: which pairs count, broadcastable to (groups, t, s).
    """

    rows: Tensor
    columns: Tensor
    wanted: Tensor

    def pairs(self, chosen: Tensor) -> Pairs:
        """List the pairs where a mask (groups, t, s) is true."""
        group, row, column = chosen.nonzero(as_tuple=True)
        return self.rows[group, row], self.columns[group, column]


@overload
def regrouped(found: Iterable[Pairs], size: int) -> Iterator[Pairs]: ...


@overload
def regrouped(found: Iterable[Pairs | Block], size: int) -> Iterator[Pairs | Block]: ...


def regrouped(found: Iterable[Pairs | Block], size: int) -> Iterator[Pairs | Block]:
    """Yield the same pairs in groups of ``size``, the last of which may be smaller; blocks pass as is.

    Work on many small groups of pairs would cost more than the pairs, and work on a large one memory.

    Examples:
        >>> few, more = torch.tensor([1]), torch.tensor([2, 3])
        >>> [first.tolist() for first, _ in regrouped([(few, few), (more, more)], 2)]
        [[1, 2], [3]]
    """
    waiting: list[Pairs] = []
    count = 0
    for pairs in found:
        if isinstance(pairs, Block):
            yield pairs
            continue
        waiting.append(pairs)
        count += len(pairs[0])
        if count >= size:
            groups = [torch.cat(ends).split(size) for ends in zip(*waiting, strict=True)]
            *full, (first, second) = zip(*groups, strict=True)
            yield from full
            # A copy, so that what has been yielded can be freed.
            waiting, count = [(first.clone(), second.clone())], len(first)
    if count > 0:
        first, second = (torch.cat(ends) for ends in zip(*waiting, strict=True))
        yield first, second
