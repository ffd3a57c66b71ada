"""The pairs of points of different classes that are close enough to repel each other."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from pml_potential.fields.neighbor_list import Candidates, NeighborList
from pml_potential.fields.neighbors import filter_coordinates, search
from pml_potential.fields.pairs import Block, Pairs
from pml_potential.fields.plan import Plan


def listed_pairs(
    radius: float,
    points: Tensor,
    labels: Tensor,
    targets: int,
    known: slice,
    neighbor_list: NeighborList,
    plan: Plan,
) -> Pairs | None:
    """List all pairs of points of different classes within a radius, in order; None if too many.

    The list depends only on the points, not on how pairs were found.

    Args:
        radius: distance; pairs farther apart by no more than rounding are listed as well.
        points: (n, d), each of norm at most 1.
        labels: class of each point, (n,), integers.
        targets: number of leading points; each pair has at least one of them.
        known: which of the targets ``neighbor_list`` remembers.
        neighbor_list: remembers near pairs from call to call.
        plan: determines how many pairs are too many.

    Examples:
        >>> points, labels = torch.tensor([[1.0, 0.0]]).repeat(3, 1), torch.tensor([0, 0, 1])
        >>> pairs = listed_pairs(
        ...     0.2, points, labels, 3, slice(0, 3), NeighborList(), Plan(crowded_share=1)
        ... )
        >>> pairs.first, pairs.second
        (tensor([0, 1]), tensor([2, 2]))
    """
    most = min(plan.most_listed, int(plan.crowded_share * len(points) ** 2))
    limit = radius**2 * (1 + 1e-5)
    keys: list[Tensor] = []
    count = 0
    candidates = neighbor_list.candidates(radius, points, labels, targets, known, plan)
    for first, second in _in_groups(candidates, max(1, plan.numbers_per_chunk // points.shape[1])):
        low, high = torch.minimum(first, second), torch.maximum(first, second)
        wanted = (labels[low] != labels[high]) & (low < targets)
        pairs = Pairs(low[wanted], high[wanted], plan.numbers_per_chunk)
        near = pairs.where(pairs.squared_distances(points) < limit)
        keys.append(near.first * len(points) + near.second)
        count += len(near.first)
        if count > most:
            return None
    if count == 0:
        nothing = torch.empty(0, dtype=torch.long, device=points.device)
        return Pairs(nothing, nothing, plan.numbers_per_chunk)
    ordered = torch.cat(keys).sort().values
    first = ordered.div(len(points), rounding_mode="floor")
    return Pairs(first, ordered - first * len(points), plan.numbers_per_chunk)


def crowded_pairs(
    radius: float, points: Tensor, labels: Tensor, targets: int, plan: Plan
) -> Iterator[Pairs | Block]:
    """Yield the pairs of ``listed_pairs`` however many there are, tile by tile.

    A tile with many near pairs is yielded as a block with all its pairs of different classes.
    """
    coordinates, _ = filter_coordinates(radius, points, labels, plan)
    position = torch.arange(len(points), device=points.device)
    some = points.index_select(1, coordinates)
    for tile in search(radius, some[:targets], some, plan, each_once=True):
        rows, columns = position[tile.rows], position[tile.columns]
        if len(tile.first) > plan.crowded_share * len(rows) * len(columns):
            differ = labels[rows][:, None] != labels[columns]
            wanted = (differ & (rows[:, None] < columns))[None]
            yield Block(rows[None], columns[None], wanted, plan.numbers_per_chunk)
        else:
            differ = labels[tile.first] != labels[tile.second]
            yield Pairs(tile.first[differ], tile.second[differ], plan.numbers_per_chunk)


def _in_groups(found: Iterable[Candidates], size: int) -> Iterator[Candidates]:
    """Yield the same pairs in groups of at most ``size``, most of them full."""
    waiting: list[Candidates] = []
    count = 0
    for pairs in found:
        waiting.append(pairs)
        count += len(pairs[0])
        if count >= size:
            yield from _split(waiting, size)
            waiting, count = [], 0
    if count > 0:
        yield from _split(waiting, size)


def _split(found: list[Candidates], size: int) -> Iterator[Candidates]:
    first, second = (torch.cat(ends) for ends in zip(*found, strict=True))
    yield from zip(first.split(size), second.split(size), strict=True)
