"""Which pairs of points can act on each other at all, found exactly and in bounded memory.

Points of one class are paired by sorting the labels. Points of different classes are searched in
tiles of their Gram matrix; no n x n array ever exists. Both searches yield pairs in chunks, each
unordered pair once. They may yield a pair that does not act (the potential then gives it slope zero),
and never miss one that does.

The first ``targets`` points are the ones whose energy is wanted; the points after them are further
sources. Pairs of two sources are left out.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

TILE_ROWS = 1024

Pairs = tuple[Tensor, Tensor]


def same_class_pairs(labels: Tensor, targets: int, chunk_size: int) -> Iterator[Pairs]:
    """Yield all pairs of points of one class.

    Args:
        labels: class of each point, (n,), integers.
        targets: number of leading points of which each pair must hold at least one.
        chunk_size: pairs in a chunk, except that all partners of one point stay together.

    Yields:
        Two index tensors of equal length.

    Examples:
        >>> labels = torch.tensor([0, 1, 0, 0])
        >>> [pair.tolist() for pairs in same_class_pairs(labels, 4, 10) for pair in pairs]
        [[0, 0, 2], [2, 3, 3]]
    """
    order = labels.argsort(stable=True)
    in_order = labels[order]
    position = torch.arange(len(labels), device=labels.device)
    partners = torch.searchsorted(in_order, in_order, right=True) - position - 1
    pairs_before = partners.cumsum(0) - partners
    chunk_of_point = pairs_before.div(chunk_size, rounding_mode="floor")
    for positions in position.split(chunk_of_point.unique_consecutive(return_counts=True)[1].tolist()):
        counts = partners[positions]
        first = positions.repeat_interleave(counts)
        rank = torch.arange(len(first), device=labels.device)
        second = first + 1 + rank - (pairs_before[first] - pairs_before[positions[0]])
        first, second = order[first], order[second]
        wanted = torch.minimum(first, second) < targets
        yield first[wanted], second[wanted]


def different_class_pairs_within(
    radius: float, points: Tensor, labels: Tensor, targets: int, chunk_size: int
) -> Iterator[Pairs]:
    """Yield all pairs of points of different classes that are closer than a radius.

    Args:
        radius: distance; pairs a little farther apart are yielded as well.
        points: (n, d), each of norm at most 1.
        labels: class of each point, (n,), integers.
        targets: number of leading points of which each pair must hold at least one.
        chunk_size: largest number of pairs in a chunk.

    Yields:
        Two index tensors of equal length.

    Examples:
        >>> points = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> labels = torch.tensor([0, 1, 1])
        >>> list(different_class_pairs_within(0.5, points, labels, 3, 10))
        [(tensor([0]), tensor([1]))]
    """
    # With these two further coordinates a product is minus half a squared distance.
    half_norms = points.square().sum(dim=1, keepdim=True) / 2
    ones = torch.ones_like(half_norms)
    left, right = torch.cat([points, -half_norms, ones], 1), torch.cat([points, ones, -half_norms], 1)
    limit = -(radius**2 + _error_of_squared_distance()) / 2
    # One buffer for all tiles: thousands of short-lived ones fragment the memory of the process.
    products = points.new_empty(TILE_ROWS**2)
    near = torch.empty(TILE_ROWS**2, dtype=torch.bool, device=points.device)
    waiting: list[Pairs] = []
    count = 0
    for top in range(0, targets, TILE_ROWS):
        for start in range(top, len(points), TILE_ROWS):
            rows, columns = left[top : min(top + TILE_ROWS, targets)], right[start : start + TILE_ROWS]
            shape = (len(rows), len(columns))
            tile, mask = (buffer[: shape[0] * shape[1]].view(shape) for buffer in (products, near))
            with torch.autocast(points.device.type, enabled=False):
                torch.mm(rows, columns.T, out=tile)
            first, second = torch.gt(tile, limit, out=mask).nonzero(as_tuple=True)
            first, second = first + top, second + start
            wanted = (first < second) & (labels[first] != labels[second])
            waiting.append((first[wanted], second[wanted]))
            count += len(waiting[-1][0])
            if count >= chunk_size:
                yield from _chunks(waiting, chunk_size)
                waiting, count = [], 0
    if count:
        yield from _chunks(waiting, chunk_size)


def _chunks(pairs: list[Pairs], chunk_size: int) -> Iterator[Pairs]:
    first, second = (torch.cat(ends) for ends in zip(*pairs, strict=True))
    yield from zip(first.split(chunk_size), second.split(chunk_size), strict=True)


def _error_of_squared_distance() -> float:
    """Bound on the error of a squared distance of two unit vectors that comes from a product."""
    # Reduced precisions round the factors, to 8 bits at the worst.
    return 1e-4 if torch.get_float32_matmul_precision() == "highest" else 2**-6
