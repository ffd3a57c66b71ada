"""GPU kernels for what a field does most: finding near pairs, their distances, and their forces.

Written in Triton, which compiles them when they are first launched, or interprets them on a CPU where
``TRITON_INTERPRET=1`` is set. Nothing here imports Triton before that, nor needs it. So far they have
been checked in the interpreter and compiled ahead of time, but not run or timed on a GPU.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache, cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, no_type_check

import torch
from torch import Tensor

from pml_potential.fields.pairs import Pairs

if TYPE_CHECKING:
    from triton import language as tl

CAPACITY = 2**20
"""Near pairs that one search can return."""

_SIDE = 128
"""Points on a side of a tile."""

_DEPTH = 32
"""Coordinates of a tile's points that are multiplied at a time."""

_NUMBERS_PER_PROGRAM = 2048
"""Coordinates of listed pairs that a program holds at a time."""


def are_usable(points: Tensor) -> bool:
    """Whether the kernels can work on these points; if not, the same is to be done without them.

    They can if Triton is installed and the points are on an NVIDIA GPU of compute capability 8.0
    (Ampere) or more, or on a CPU and ``TRITON_INTERPRET=1`` was set before Triton was imported.

    Args:
        points: any tensor.

    Examples:
        >>> are_usable(torch.zeros(2, 3, device="meta"))
        False
    """
    if points.is_cuda:
        capability = torch.cuda.get_device_capability(points.device)
        return torch.version.hip is None and capability >= (8, 0) and _is_installed()
    interprets = os.environ.get("TRITON_INTERPRET") == "1"
    return interprets and points.device.type == "cpu" and _is_installed()


def near_pairs(
    radius: float, rows: Tensor, columns: Tensor, coordinates: Tensor, each_once: bool = False
) -> Pairs | None:
    """All pairs of a row and a column that are closer than a radius; None if they are too many.

    Args:
        radius: distance. Pairs that some coordinates do not tell from near ones are returned as well:
            those whose squared distance in these exceeds radius^2 by no more than about 2^-7.
        rows: (m, d), vectors of norm at most 1.
        columns: (n, d), the same.
        coordinates: indices of the coordinates to look at.
        each_once: the rows are the leading columns; leave out pairs that are there in the other order,
            and those of a point with itself.

    Returns:
        Indices of the row and of the column of each pair, ordered by row and then by column. None if
        there are more than ``CAPACITY`` of them, or more tiles of points than a GPU can number.
    """
    right = columns.index_select(1, coordinates).float()
    left = right[: len(rows)] if each_once else rows.index_select(1, coordinates).float()
    norms = [vectors.square().sum(dim=1) for vectors in (left, right)]
    grid = _parts(len(right), _SIDE), _parts(len(left), _SIDE)
    if grid[1] >= 2**16 or grid[0] * grid[1] >= 2**31:
        return None
    near = torch.empty(2, CAPACITY, dtype=torch.int32, device=rows.device)
    found = torch.zeros(1, dtype=torch.long, device=rows.device)
    sizes = len(left), len(right), len(coordinates)
    limit = radius**2 + _error_of_squared_distance(len(coordinates))
    arguments = *near, found, left, right, *norms, *sizes, limit, CAPACITY
    _near_pairs_kernel.launch(grid, *arguments, each_once, _SIDE, _DEPTH, num_warps=8)
    count = int(found.item())
    if count > CAPACITY:
        return None
    # Programs append their pairs in any order.
    first, second = near[:, :count].long()
    ordered = (first * len(right) + second).sort().values
    return ordered.div(len(right), rounding_mode="floor"), ordered % len(right)


def squared_distances(points: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Squared distances of pairs of points, from differences, without an array of these.

    Args:
        points: (n, d), float32 or float64, in which the result is computed and returned.
        first: index of one point of each pair, (k,).
        second: index of the other one, (k,).

    Returns:
        (k,).
    """
    squared = points.new_empty(len(first))
    pairs, depth = _shape_of_listed(points.shape[1])
    tensors = squared, points.contiguous(), first.contiguous(), second.contiguous()
    grid = (_parts(len(first), pairs),)
    _squared_distances_kernel.launch(grid, *tensors, len(first), points.shape[1], pairs, depth)
    return squared


def add_pair_gradient(
    gradient: Tensor, points: Tensor, first: Tensor, second: Tensor, weight: Tensor
) -> None:
    """Add w (x_first - x_second) to the gradient at ``first``, and subtract it at ``second``.

    The same input gives the same bits: one program adds up all that a point gets, in their order.

    Args:
        gradient: (n, d), changed in place.
        points: x, (n, d).
        first: index of one point of each pair, (k,).
        second: index of the other one, (k,).
        weight: w, (k,).
    """
    owners, order = torch.cat([first, second]).sort(stable=True)
    partners, weights = torch.cat([second, first])[order], weight.repeat(2)[order]
    owners, counts = owners.unique_consecutive(return_counts=True)
    bounds = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    width = points.shape[1]
    pairs, depth = _shape_of_listed(width)
    arguments = *gradient.stride(), points.contiguous(), width, owners, bounds, partners, weights
    grid = len(owners), _parts(width, depth)
    _add_pair_gradient_kernel.launch(grid, gradient, *arguments, pairs, depth)


@cache
def _is_installed() -> bool:
    return find_spec("triton") is not None


def _parts(count: int, size: int) -> int:
    return -(-count // size)


def _shape_of_listed(width: int) -> tuple[int, int]:
    """How many listed pairs, and how many of their coordinates, to work on at a time: powers of two."""
    depth = min(128, 2 ** (width - 1).bit_length())
    return _NUMBERS_PER_PROGRAM // depth, depth


def _error_of_squared_distance(width: int) -> float:
    """Bound on the error of |x|^2 + |y|^2 - 2 x·y in the arithmetic of the kernel, for norms up to 1.

    TF32 keeps 10 bits behind the point and changes each factor by a share of less than u = 2^-10, even
    where it cuts instead of rounding. That changes x·y by at most (2 u + u^2) Σ |x_k y_k|, where the
    sum is at most 1, and twice x·y by 2^-8 + 2^-19. The float32 sums of d terms are wrong by less than
    d 2^-22 in twice x·y, even if every addition cuts, and by d 2^-23 in the norms: by less than
    d 2^-21 together. Another 16 times 2^-21 cover single roundings, also those that make norms exceed 1.
    """
    return 2**-8 + (width + 16) * 2**-21


class _Kernel:
    """A function that Triton compiles when it is first launched.

    ``triton.jit`` in its place would need Triton, and half a second, in each import of this package.
    """

    def __init__(self, function: Callable[..., None]) -> None:
        self.function = function

    @cached_property
    def compiled(self) -> Any:
        import triton

        # The compiler looks ``tl`` up where the function would.
        self.function.__globals__["tl"] = triton.language
        return triton.jit(self.function)

    def launch(self, grid: tuple[int, ...], *arguments: Any, **options: int) -> None:
        """Run a program at each point of the grid, if any, on the device of the first argument."""
        if 0 not in grid:
            with torch.cuda.device_of(arguments[0]):
                # Triton 3.9 warns where this is left to a default, which it is about to change.
                self.compiled[grid](*arguments, enable_fp_fusion=True, **options)


@_Kernel
@no_type_check
def _near_pairs_kernel(
    near_rows,
    near_columns,
    found,
    left,
    right,
    left_norms,
    right_norms,
    row_count,
    column_count,
    width,
    limit,
    capacity,
    each_once: tl.constexpr,
    side: tl.constexpr,
    depth: tl.constexpr,
) -> None:
    # Programs that run at the same time are those of a square of tiles, and share what they load.
    row_tile, column_tile = tl.swizzle2d(
        tl.program_id(1), tl.program_id(0), tl.num_programs(1), tl.num_programs(0), 16
    )
    if each_once & (column_tile < row_tile):
        return
    # A crowd need not be counted to its end.
    if tl.load(found, volatile=True) > capacity:
        return
    # Where a tile starts takes 64 bits, an offset within it only 32: twice that would spill registers.
    top, start = row_tile.to(tl.int64) * side, column_tile.to(tl.int64) * side
    rows, columns = tl.arange(0, side), tl.arange(0, side)
    is_row, is_column = rows < row_count - top, columns < column_count - start
    products = tl.zeros((side, side), tl.float32)
    for origin in range(0, width, depth):
        coordinates = origin + tl.arange(0, depth)
        inside = coordinates < width
        row_vectors = tl.load(
            left + top * width + (rows[:, None] * width + coordinates[None, :]),
            mask=is_row[:, None] & inside[None, :],
            other=0.0,
        )
        column_vectors = tl.load(
            right + start * width + (columns[None, :] * width + coordinates[:, None]),
            mask=is_column[None, :] & inside[:, None],
            other=0.0,
        )
        products = tl.dot(row_vectors, column_vectors, products, input_precision="tf32")
    # What is not there is infinitely far away.
    row_norms = tl.load(left_norms + top + rows, mask=is_row, other=float("inf"))
    column_norms = tl.load(right_norms + start + columns, mask=is_column, other=float("inf"))
    near = row_norms[:, None] + column_norms[None, :] - 2 * products < limit
    if each_once:
        near = near & (rows[:, None] - columns[None, :] < start - top)
    counts = tl.sum(near.to(tl.int32), axis=1)
    count = tl.sum(counts, axis=0)
    if count > 0:
        place = tl.atomic_add(found, count.to(tl.int64))
        before = tl.cumsum(counts, axis=0) - counts
        offsets = before[:, None] + tl.cumsum(near.to(tl.int32), axis=1) - 1
        mask = near & (offsets < capacity - place)
        tl.store(near_rows + place + offsets, (top + rows).to(tl.int32)[:, None], mask=mask)
        tl.store(near_columns + place + offsets, (start + columns).to(tl.int32)[None, :], mask=mask)


@_Kernel
@no_type_check
def _squared_distances_kernel(
    squared, points, first, second, count, width, pair_count: tl.constexpr, depth: tl.constexpr
) -> None:
    pairs = tl.program_id(0).to(tl.int64) * pair_count + tl.arange(0, pair_count)
    is_pair = pairs < count
    start = tl.load(first + pairs, mask=is_pair, other=0) * width
    end = tl.load(second + pairs, mask=is_pair, other=0) * width
    total = tl.zeros((pair_count, depth), squared.dtype.element_ty)
    for origin in range(0, width, depth):
        coordinates = origin + tl.arange(0, depth)
        mask = is_pair[:, None] & (coordinates < width)[None, :]
        x = tl.load(points + start[:, None] + coordinates[None, :], mask=mask, other=0.0)
        y = tl.load(points + end[:, None] + coordinates[None, :], mask=mask, other=0.0)
        total += (x - y) * (x - y)
    tl.store(squared + pairs, tl.sum(total, axis=1), mask=is_pair)


@_Kernel
@no_type_check
def _add_pair_gradient_kernel(
    gradient,
    row_stride,
    column_stride,
    points,
    width,
    owners,
    bounds,
    partners,
    weights,
    pair_count: tl.constexpr,
    depth: tl.constexpr,
) -> None:
    owner = tl.load(owners + tl.program_id(0))
    end = tl.load(bounds + tl.program_id(0) + 1)
    coordinates = tl.program_id(1).to(tl.int64) * depth + tl.arange(0, depth)
    inside = coordinates < width
    x = tl.load(points + owner * width + coordinates, mask=inside, other=0.0)
    total = tl.zeros((depth,), gradient.dtype.element_ty)
    for origin in range(tl.load(bounds + tl.program_id(0)), end, pair_count):
        pairs = origin + tl.arange(0, pair_count)
        is_pair = pairs < end
        partner = tl.load(partners + pairs, mask=is_pair, other=0)
        weight = tl.load(weights + pairs, mask=is_pair, other=0.0)
        y = tl.load(
            points + partner[:, None] * width + coordinates[None, :],
            mask=is_pair[:, None] & inside[None, :],
            other=0.0,
        )
        total += tl.sum(weight[:, None] * (x[None, :] - y), axis=0)
    place = gradient + owner * row_stride + coordinates * column_stride
    tl.store(place, tl.load(place, mask=inside, other=0.0) + total, mask=inside)
