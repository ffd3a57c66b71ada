"""A sum over all pairs of vectors that never holds them all."""

from collections.abc import Callable, Iterator
from itertools import combinations_with_replacement
from typing import Any

import torch
from torch import Tensor

from pml_potential.fields.first_order import Gradients, first_order

_TILE_ROWS = 1024

PairFunction = Callable[[Tensor, Tensor], Tensor]
"""Symmetric function of rows (m, d) and columns (k, d), element by element of (m, k)."""


def sum_over_pairs(function: PairFunction, vectors: Tensor) -> Tensor:
    """Σ_i Σ_{j != i} f(v_i, v_j), in tiles, which the backward pass computes again.

    Args:
        function: f, symmetric in its arguments.
        vectors: v, (n, d).

    Returns:
        A scalar, 0 for fewer than two vectors. Differentiable once with respect to the vectors.

    Examples:
        >>> sum_over_pairs(lambda rows, columns: rows @ columns.T, torch.tensor([[1.0], [2.0], [3.0]]))
        tensor(22.)
    """
    total: Tensor = _SumOverPairs.apply(function, vectors)
    return total


class _SumOverPairs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, function: PairFunction, vectors: Tensor) -> Tensor:
        ctx.function = function
        ctx.save_for_backward(vectors)
        total = vectors.new_zeros((), dtype=torch.float64)
        for rows, columns in _tiles(vectors):
            total += _tile_sum(function, vectors[rows], vectors[columns], rows == columns)
        return total.to(vectors.dtype)

    @staticmethod
    @first_order
    def backward(ctx: Any, saved: tuple[Tensor, ...], grad_total: Tensor) -> Gradients:
        (vectors,) = saved
        gradient = torch.zeros_like(vectors)
        for rows, columns in _tiles(vectors):
            of_rows = vectors[rows].detach().requires_grad_()
            of_columns = vectors[columns].detach().requires_grad_()
            with torch.enable_grad():
                tile_sum = _tile_sum(ctx.function, of_rows, of_columns, rows == columns)
            grad_rows, grad_columns = torch.autograd.grad(tile_sum, (of_rows, of_columns), grad_total)
            gradient[rows] += grad_rows
            gradient[columns] += grad_columns
        return None, gradient


def _tiles(vectors: Tensor) -> Iterator[tuple[slice, slice]]:
    sides = [slice(start, start + _TILE_ROWS) for start in range(0, len(vectors), _TILE_ROWS)]
    return combinations_with_replacement(sides, 2)


def _tile_sum(function: PairFunction, rows: Tensor, columns: Tensor, is_diagonal: bool) -> Tensor:
    """Sum of a tile and of its mirror image."""
    values = function(rows, columns)
    return values.sum() - values.diagonal().sum() if is_diagonal else 2 * values.sum()
