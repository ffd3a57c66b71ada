"""The exact search for points that are near each other, without an n x n array.

In a subset of coordinates, two points are never farther apart than in all of them. A matrix product of
the few coordinates that vary most therefore rules out nearly every pair. It is computed in tiles that
stay in the cache, and most tiles are finished once their smallest entries are read.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pml_potential.fields.plan import Plan
from pml_potential.fields.precision import float32_products_are_exact

_SEGMENT = 64
"""Products of a tile's row that are scanned at a time; fewer if the side is not a multiple of it."""


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


def filter_coordinates(
    radius: float, points: Tensor, labels: Tensor, plan: Plan
) -> tuple[Tensor, float]:
    """Choose the coordinates by which a search costs least.

    They are those in which a sample of the points varies most. There are so many that a further
    ``filter_step`` would cost more than the pairs of different classes that it would rule out.

    Args:
        radius: distance.
        points: (n, d).
        labels: class of each point, (n,).
        plan: the sizes of the sample and of a step, and what a pair costs.

    Returns:
        Indices of the coordinates, and the share of the sample's pairs that they do not rule out.

    Examples:
        >>> points, labels = torch.tensor([[0.0, 1.0], [0.0, 2.0]]), torch.tensor([0, 1])
        >>> filter_coordinates(0.5, points, labels, Plan(filter_step=1))
        (tensor([1]), 0.0)
    """
    every = max(1, len(points) // plan.sampled_points)
    sample, of_sample = points[::every].float(), labels[::every]
    # Chosen on other points: on the sample itself, the coordinates that vary most would look too good.
    spread = points[every // 2 :: every].float()
    order = (spread - spread.mean(dim=0)).square_().sum(dim=0).argsort(descending=True)
    limit = radius**2 + _error_of_squared_distance(radius, _dtype_of(plan))
    squared = torch.zeros(len(sample), len(sample), device=points.device)
    # Coordinates cannot save the work on pairs of one class.
    squared.masked_fill_(of_sample[:, None] == of_sample, torch.inf)
    best, left, least = 0, 1.0, math.inf
    for width in range(plan.filter_step, points.shape[1] + plan.filter_step, plan.filter_step):
        some = sample.index_select(1, order[width - plan.filter_step : width])
        norms = some.square().sum(dim=1) / 2
        squared += torch.addmm(norms[:, None] + norms, some, some.T, alpha=-1).mul_(2)
        share = (squared <= limit).sum().item() / squared.numel()
        if width + share * plan.cost_of_pair < least:
            best, left, least = width, share, width + share * plan.cost_of_pair
        if share * plan.cost_of_pair < plan.filter_step:
            break
    return order[:best].sort().values, left


def search_at_once(radius: float, points: Tensor, targets: int) -> tuple[Tensor, Tensor]:
    """Return the pairs of ``search`` from one product of all coordinates: the least work for few points.

    Args:
        radius: distance; pairs a little farther apart may be returned as well.
        points: (n, d), vectors of norm at most 1.
        targets: number of leading points; each pair has at least one of them.

    Examples:
        >>> search_at_once(0.5, torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), 3)
        (tensor([0]), tensor([1]))
    """
    points = points.float()
    half_norms = torch.linalg.vector_norm(points, dim=1).square_().mul_(0.5)
    sums = half_norms[:targets, None] + half_norms
    halves = sums.addmm_(points[:targets], points.T, alpha=-1)
    limit = (radius**2 + _error_of_squared_distance(radius, torch.float32)) / 2
    first, second = (halves <= limit).triu_(diagonal=1).nonzero(as_tuple=True)
    return first, second


def search(
    radius: float, rows: Tensor, columns: Tensor, plan: Plan, each_once: bool = False
) -> Iterator[Tile]:
    """Yield all pairs of a row and a column that are closer than a radius, tile by tile.

    Args:
        radius: distance; pairs a little farther apart may be yielded as well.
        rows: (m, w), vectors of norm at most 1.
        columns: (n, w), the same.
        plan: the size of a tile.
        each_once: the rows are the leading columns; leave out pairs that are yielded in the other
            order, and those of a point with itself.

    Yields:
        Tiles that hold a near pair.

    Examples:
        >>> points = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> (tile,) = search(0.5, points, points, Plan(), each_once=True)
        >>> tile.first, tile.second
        (tensor([0]), tensor([1]))
    """
    dtype = _dtype_of(plan)
    segment = math.gcd(plan.tile_side, _SEGMENT)
    half_norms = torch.linalg.vector_norm(columns, dim=1).square_().mul_(0.5)
    right = _column_factors(columns, half_norms, dtype, segment)
    if not each_once:
        half_norms = torch.linalg.vector_norm(rows, dim=1).square_().mul_(0.5)
    left = _row_factors(rows, half_norms, dtype)
    limit = (radius**2 + _error_of_squared_distance(radius, dtype)) / 2
    height = max(1, min(plan.tile_side, len(rows)))
    # Few rows leave room for more columns; whole segments of them.
    breadth = plan.tile_side if each_once else -(-(plan.tile_side**2) // height // segment) * segment
    # One buffer for all tiles: thousands of short-lived ones fragment the memory of the process.
    buffer = left.new_empty(height * breadth)
    for top in range(0, len(rows), height):
        for start in range(top if each_once else 0, len(columns), breadth):
            sides = left[top : top + height], right[start : start + breadth]
            is_diagonal = each_once and top == start
            near = _below(limit, *sides, segment, buffer, is_diagonal)
            if near is None:
                continue
            first, second = near
            if is_diagonal:
                once = first < second
                first, second = first[once], second[once]
            of_rows = slice(top, min(top + height, len(rows)))
            of_columns = slice(start, min(start + breadth, len(columns)))
            yield Tile(of_rows, of_columns, first + top, second + start)


def _below(
    limit: float, left: Tensor, right: Tensor, segment: int, buffer: Tensor, is_diagonal: bool
) -> tuple[Tensor, Tensor] | None:
    """Row and column of each product below the limit; None if there is none.

    Args:
        limit: half a squared distance.
        left: factors of the rows.
        right: factors of the columns.
        segment: products to look through at a time.
        buffer: room for the products.
        is_diagonal: rows and columns are the same points, and none is near to itself.
    """
    shape = len(left), len(right) // segment, segment
    segments = buffer[: math.prod(shape)].view(shape)
    torch.mm(left, right.T, out=segments.flatten(1))
    if is_diagonal:
        segments.flatten(1).fill_diagonal_(torch.inf)
    bound = torch.tensor(limit, dtype=buffer.dtype)
    if buffer.dtype == torch.bfloat16:
        # Non-negative numbers have the order of the integers with the same bits, which torch compares
        # five times as fast; negative ones, from rounding, are negative integers.
        segments, bound = segments.view(torch.int16), bound.view(torch.int16)
    # For most segments of the rows, their smallest product is enough.
    row, place = (segments.amin(dim=2) <= bound.item()).nonzero(as_tuple=True)
    if len(row) == 0:
        return None
    hit, offset = (segments[row, place] <= bound.item()).nonzero(as_tuple=True)
    return row[hit], place[hit] * segment + offset


def _row_factors(vectors: Tensor, half_norms: Tensor, dtype: torch.dtype) -> Tensor:
    """Factors whose products with those of columns are half the squared distances."""
    count, width = vectors.shape
    factors = vectors.new_empty(count, width + 2, dtype=dtype)
    factors[:, :width] = vectors
    factors[:, width] = 1
    factors[:, width + 1] = half_norms[:count]
    return factors


def _column_factors(vectors: Tensor, half_norms: Tensor, dtype: torch.dtype, segment: int) -> Tensor:
    """The other factors, padded to whole segments with some that are far from everything."""
    count, width = vectors.shape
    factors = vectors.new_zeros(-(-count // segment) * segment, width + 2, dtype=dtype)
    factors[:count, :width] = vectors
    factors[:count, :width].neg_()
    factors[:count, width] = half_norms
    factors[count:, width] = torch.inf
    factors[:, width + 1] = 1
    return factors


def _dtype_of(plan: Plan) -> torch.dtype:
    return torch.bfloat16 if plan.searches_in_bfloat16 else torch.float32


def _error_of_squared_distance(radius: float, dtype: torch.dtype) -> float:
    """Bound on the error of a squared distance near the radius that comes from a product.

    bfloat16 rounds numbers by a share of u = 2^-8, at the worst. For vectors of norm at most 1 it
    changes 2 x·y by at most 4 u + 2 u^2, halves of squared norms by u / 4 each, and thus the squared
    distance by u more; and a product near the limit, and the limit itself, by u each. TF32 and
    bfloat16, which torch may be told to use instead of float32, round no more than that.
    """
    if dtype == torch.float32 and float32_products_are_exact():
        return 1e-4
    # The remainder of 21 / 4 u after 5 u covers the products of errors.
    return 21 * 2**-10 + radius**2 * 2**-7
