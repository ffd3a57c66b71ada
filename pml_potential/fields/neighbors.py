"""Which points are near each other at all, found exactly, without an n x n array.

Some coordinates alone never make two points look farther apart than all of them do. A matrix product
of the few coordinates that vary most therefore rules out nearly every pair. It is computed in tiles
that stay in the cache, and most tiles are done with when their largest entry has been read; where many
pairs survive, a second product looks at all coordinates.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pml_potential.fields import kernels_triton
from pml_potential.fields.pairs import Pairs
from pml_potential.fields.precision import float32_products_are_exact

TILE_ROWS = 832
"""Points on a side of a tile, a whole number of segments: three megabytes of products."""

FILTER_WIDTH = 64
"""Coordinates in the first look."""

CROWDED_SHARE = 1 / 32
"""Share of near pairs beyond which a tile is cheaper to work on as a whole than pair by pair."""

_SEGMENT = 64
"""Products that a row of a tile is looked through at a time."""

_SAMPLED_POINTS = 512


@dataclass(frozen=True)
class Tile:
    """The near pairs among some consecutive rows and columns.

    Args:
        rows: the rows.
        columns: the columns.
        first: index of the row of each near pair, (k,), counted from the first row of all.
        second: index of its column, (k,).
    """

    rows: slice
    columns: slice
    first: Tensor
    second: Tensor

    def is_crowded(self) -> bool:
        """Whether most work on the tile's pairs is cheaper done on all pairs of the tile."""
        area = (self.rows.stop - self.rows.start) * (self.columns.stop - self.columns.start)
        return is_crowded(len(self.first), area)


def is_crowded(near: int, pairs: int) -> bool:
    """Whether most work on pairs of which so many are near is cheaper done on all of them."""
    return near > CROWDED_SHARE * pairs


def widest_coordinates(points: Tensor) -> Tensor:
    """Indices of the ``FILTER_WIDTH`` coordinates in which a sample of the points varies most.

    Examples:
        >>> widest_coordinates(torch.tensor([[0.0, 1.0], [0.0, 2.0]]))
        tensor([0, 1])
    """
    sample = points[:: max(1, len(points) // _SAMPLED_POINTS)]
    width = min(FILTER_WIDTH, points.shape[1])
    spread = (sample - sample.mean(dim=0)).square_().sum(dim=0)
    return spread.topk(width).indices.sort().values


def near_tiles(
    radius: float, rows: Tensor, columns: Tensor, coordinates: Tensor, each_once: bool = False
) -> Iterator[Tile]:
    """Yield all pairs of a row and a column that are closer than a radius, tile by tile.

    Args:
        radius: distance; pairs a little farther apart may be yielded as well.
        rows: (m, d), vectors of norm at most 1.
        columns: (n, d), the same.
        coordinates: indices of the coordinates of the first look. They decide how long the search
            takes, and which pairs beyond the radius are yielded with the others.
        each_once: the rows are the leading columns; leave out pairs that are there in the other order,
            and those of a point with itself.

    Yields:
        Tiles that hold a near pair.

    Examples:
        >>> points = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> (tile,) = near_tiles(0.5, points, points, torch.tensor([0]), each_once=True)
        >>> tile.first, tile.second
        (tensor([0]), tensor([1]))
    """
    left = _left_factors(rows.index_select(1, coordinates))
    right = _right_factors(columns.index_select(1, coordinates))
    limit = _smallest_product(radius)
    # Two buffers for all tiles: thousands of short-lived ones fragment the memory of the process.
    size = TILE_ROWS * (TILE_ROWS + _SEGMENT)
    buffers = left.new_empty(size), left.new_empty(size)
    for top in range(0, len(left), TILE_ROWS):
        for start in range(top if each_once else 0, len(columns), TILE_ROWS):
            of_rows = slice(top, min(top + TILE_ROWS, len(rows)))
            of_columns = slice(start, min(start + TILE_ROWS, len(columns)))
            tile_columns = right[start : start + TILE_ROWS]
            near = _near_products(left[of_rows], tile_columns, limit, buffers)
            if near is None:
                continue
            if len(coordinates) < rows.shape[1] and Tile(of_rows, of_columns, *near).is_crowded():
                factors = _left_factors(rows[of_rows]), _right_factors(columns[of_columns])
                near = _near_products(*factors, limit, buffers)
                if near is None:
                    continue
            first, second = near[0] + top, near[1] + start
            if each_once and top == start:
                once = first < second
                first, second = first[once], second[once]
            yield Tile(of_rows, of_columns, first, second)


def pairs_within(
    radius: float, rows: Tensor, columns: Tensor, coordinates: Tensor, each_once: bool = False
) -> Iterator[Pairs]:
    """Yield all pairs of a row and a column that are closer than a radius.

    The arguments are those of ``near_tiles``.
    """
    if kernels_triton.are_usable(rows):
        pairs = kernels_triton.near_pairs(radius, rows, columns, coordinates, each_once)
        if pairs is not None:
            yield pairs
            return
    for tile in near_tiles(radius, rows, columns, coordinates, each_once):
        yield tile.first, tile.second


def are_near(radius: float, rows: Tensor, columns: Tensor) -> Tensor:
    """Whether a row and a column are closer than a radius, or a little farther apart, (m, n).

    The arguments are those of ``near_tiles``, for as few points as a single product may hold.

    Examples:
        >>> points = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> are_near(0.5, points, points)
        tensor([[ True, False],
                [False,  True]])
    """
    with torch.autocast(rows.device.type, enabled=False):
        products = _left_factors(rows) @ _right_factors(columns).T
    return products[:, : len(columns)] > _smallest_product(radius)


def _near_products(
    left: Tensor, right: Tensor, limit: float, buffers: tuple[Tensor, Tensor]
) -> Pairs | None:
    """Indices of the products of rows above the limit, if there are any."""
    segment = _SEGMENT if len(right) % _SEGMENT == 0 else len(right)
    shape = (len(left), len(right) // segment, segment)
    products = buffers[0][: math.prod(shape)].view(shape)
    largest = buffers[1][: math.prod(shape[:2])].view(shape[:2])
    with torch.autocast(left.device.type, enabled=False):
        torch.mm(left, right.T, out=products.flatten(1))
    # Most segments of the rows need no more than a look at their largest product.
    row, place = (torch.amax(products, dim=2, out=largest) > limit).nonzero(as_tuple=True)
    if len(row) == 0:
        return None
    hit, offset = (products[row, place] > limit).nonzero(as_tuple=True)
    return row[hit], place[hit] * segment + offset


def _left_factors(vectors: Tensor) -> Tensor:
    """Vectors whose product with the right factors is minus half the squared distance."""
    vectors, minus_half_norms, ones = _augmented(vectors)
    return torch.cat([vectors, minus_half_norms, ones], dim=1)


def _right_factors(vectors: Tensor) -> Tensor:
    """The other factors, and after them some that are far from everything, to fill a segment."""
    vectors, minus_half_norms, ones = _augmented(vectors)
    factors = torch.cat([vectors, ones, minus_half_norms], dim=1)
    far = factors.new_zeros(-len(factors) % _SEGMENT, factors.shape[1])
    far[:, -1] = -torch.inf
    return torch.cat([factors, far])


def _augmented(vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    vectors = vectors.float()
    minus_half_norms = vectors.square().sum(dim=1, keepdim=True) / -2
    return vectors, minus_half_norms, torch.ones_like(minus_half_norms)


def _smallest_product(radius: float) -> float:
    """The product of factors above which two points may be closer than a radius."""
    return -(radius**2 + _error_of_squared_distance()) / 2


def _error_of_squared_distance() -> float:
    """Bound on the error of a squared distance of two unit vectors that comes from a product."""
    # Reduced precisions round the factors, to 8 bits at the worst.
    return 1e-4 if float32_products_are_exact() else 2**-6
