"""Pairs of points: listed one by one where they are few, in blocks where they are many.

Both compute the distances of their points, and add energies and forces to the ends of each pair.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pml_potential.fields.precision import float32_products_are_exact

_SMALLEST_SHARE_OF_NORMS = 1 / 16
"""Share of the squared norms above which a squared distance from a product is accurate enough."""


@dataclass(frozen=True)
class Pairs:
    """Pairs in a list.

    Args:
        first: index of one point of each pair, (k,).
        second: index of the other one, (k,).
        chunk: coordinates to work on at a time.
    """

    first: Tensor
    second: Tensor
    chunk: int

    def where(self, chosen: Tensor) -> Pairs:
        """The pairs at which a mask (k,) is true, or those at these places of the list."""
        return Pairs(self.first[chosen], self.second[chosen], self.chunk)

    def squared_distances(self, points: Tensor) -> Tensor:
        """Squared distances, (k,), from differences, in the dtype of the points."""
        squared = points.new_empty(len(self.first))
        size = max(1, self.chunk // points.shape[1])
        for own, first, second in zip(
            squared.split(size), self.first.split(size), self.second.split(size), strict=True
        ):
            torch.sum(_differences(points, first, second).square_(), dim=1, out=own)
        return squared

    def add_to_ends(self, totals: Tensor, values: Tensor) -> None:
        """Add the value of each pair, (k,), to the totals (n,) of both ends."""
        add_rows(totals, self.first, values)
        add_rows(totals, self.second, values)

    def sums_of_ends(self, values: Tensor) -> Tensor:
        """The values (n,) of both ends of each pair together, (k,)."""
        return values[self.first] + values[self.second]

    def add_forces(self, gradient: Tensor, points: Tensor, weights: Tensor) -> None:
        """Add w (x_first - x_second) at the first end and subtract it at the second.

        Args:
            gradient: (n, d), changed in place.
            points: x, (n, d).
            weights: w, (k,).
        """
        size = max(1, self.chunk // points.shape[1])
        for first, second, some in zip(
            self.first.split(size), self.second.split(size), weights.split(size), strict=True
        ):
            forces = _differences(points, first, second).mul_(some[:, None].to(points.dtype))
            add_rows(gradient, first, forces)
            add_rows(gradient, second, forces.neg_())


@dataclass(frozen=True)
class Block:
    """Groups of points, the rows, each of which meets another group, the columns.

    Args:
        rows: indices of points, (groups, t).
        columns: indices of points, (groups, s); the same tensor object as ``rows`` where they are
            equal.
        wanted: which pairs count, (groups, t, s).
        chunk: coordinates of pairs to work on at a time.
    """

    rows: Tensor
    columns: Tensor
    wanted: Tensor
    chunk: int

    def where(self, chosen: Tensor) -> Pairs:
        """The pairs at which a mask (groups, t, s) is true."""
        group, row, column = chosen.nonzero(as_tuple=True)
        return Pairs(self.rows[group, row], self.columns[group, column], self.chunk)

    def squared_distances(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Squared distances, (groups, t, s), and which of the wanted pairs are too close for them.

        They come from products, whose error is that of rounding the squared norms: too large for points
        that are much nearer to each other than to the origin.
        """
        rows, columns = self._centred(points)
        products = torch.bmm(rows, columns.mT)
        if columns is rows:
            row_norms = column_norms = products.diagonal(dim1=1, dim2=2)
        else:
            # Not from vector_norm: it takes a root, which rounds.
            row_norms, column_norms = (points.square().sum(dim=2) for points in (rows, columns))
        norms = row_norms[:, :, None] + column_norms[:, None, :]
        squared = torch.sub(norms, products, alpha=2).clamp_min_(0)
        return squared, (squared < norms.mul_(_SMALLEST_SHARE_OF_NORMS)).logical_and_(self.wanted)

    def add_to_ends(self, totals: Tensor, values: Tensor) -> None:
        """Add the value of each pair, (groups, t, s), to the totals (n,) of both ends."""
        add_rows(totals, self.rows.flatten(), values.sum(dim=2).flatten())
        add_rows(totals, self.columns.flatten(), values.sum(dim=1).flatten())

    def sums_of_ends(self, values: Tensor) -> Tensor:
        """The values (n,) of both ends of each pair together, (groups, t, s)."""
        return values[self.rows][:, :, None] + values[self.columns][:, None, :]

    def add_forces(self, gradient: Tensor, points: Tensor, weights: Tensor) -> None:
        """Add w (x_row - x_column) at the row and subtract it at the column.

        Args:
            gradient: (n, d), changed in place.
            points: x, (n, d).
            weights: w, (groups, t, s).
        """
        rows, columns = self._centred(points)
        weights = weights.to(rows.dtype)
        if columns is rows:
            both = weights + weights.mT
            # The Laplacian of the graph whose edges have these weights.
            forces = [(self.rows, torch.bmm(torch.diag_embed(both.sum(dim=2)) - both, rows))]
        else:
            own, others = (weights.sum(dim=dim)[:, :, None] for dim in (2, 1))
            forces = [
                (self.rows, (own * rows).baddbmm_(weights, columns, alpha=-1)),
                (self.columns, (others * columns).baddbmm_(weights.mT, rows, alpha=-1)),
            ]
        for index, force in forces:
            add_rows(gradient, index.flatten(), force.flatten(0, 1).to(gradient.dtype))

    def _centred(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Rows and columns relative to the first row of each group, (groups, t or s, d)."""
        dtype = points.dtype if float32_products_are_exact() else torch.float64
        rows = _gathered(points, self.rows, dtype)
        origin = rows[:, :1].clone()
        rows -= origin
        if self.columns is self.rows:
            return rows, rows
        return rows, _gathered(points, self.columns, dtype).sub_(origin)


def add_rows(totals: Tensor, index: Tensor, rows: Tensor) -> None:
    """Add rows to the rows of ``totals`` at ``index``, in the same order on each call."""
    if totals.is_cuda:
        totals.index_put_((index,), rows, accumulate=True)
    else:
        totals.index_add_(0, index, rows)


def _gathered(points: Tensor, index: Tensor, dtype: torch.dtype) -> Tensor:
    gathered = points.index_select(0, index.flatten()).to(dtype)
    return gathered.view(*index.shape, points.shape[1])


def _differences(points: Tensor, first: Tensor, second: Tensor) -> Tensor:
    return points.index_select(0, first).sub_(points.index_select(0, second))
