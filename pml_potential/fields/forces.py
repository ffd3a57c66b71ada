"""Energies and forces of pairs that act."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pml_potential.fields import kernels_triton
from pml_potential.fields.pairs import Block, Pairs, regrouped
from pml_potential.fields.precision import float32_products_are_exact

Law = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Value and slope of a potential at a squared distance."""

_COORDINATES_PER_CHUNK = {"cpu": 2**19, "cuda": 2**25}
"""Pairs x width of a point in the largest temporary: what stays in the cache, or fills a GPU."""

_SMALLEST_SHARE_OF_NORMS = 1 / 16
"""Share of the squared norms that a squared distance must have to come out of a product."""


@dataclass(frozen=True)
class PairForces:
    """Slopes of the potential at pairs of points.

    Args:
        first: one point of each pair, (k,).
        second: the other one, (k,).
        slope: d psi / d r^2, (k,).
    """

    first: Tensor
    second: Tensor
    slope: Tensor

    def add_gradient(self, gradient: Tensor, points: Tensor, upstream: Tensor) -> None:
        """Add the derivative of Σ_i upstream_i E_i with respect to the points, (n, d).

        A pair counts once in the energy of either end: both upstream gradients weigh its force.
        """
        weight = 2 * self.slope * (upstream[self.first] + upstream[self.second])
        if kernels_triton.are_usable(points):
            kernels_triton.add_pair_gradient(gradient, points, self.first, self.second, weight)
            return
        force = _differences(points, self.first, self.second).mul_(weight[:, None])
        _add_rows(gradient, self.first, force)
        _add_rows(gradient, self.second, force.neg_())


@dataclass(frozen=True)
class BlockForces:
    """Slopes of the potential at the pairs of a block, zero at those that do not act.

    Args:
        block: the pairs.
        slope: d psi / d r^2, (groups, t, s).
    """

    block: Block
    slope: Tensor

    def add_gradient(self, gradient: Tensor, points: Tensor, upstream: Tensor) -> None:
        """Add the derivative of Σ_i upstream_i E_i with respect to the points, (n, d)."""
        rows, columns = self.block.rows, self.block.columns
        ends = upstream.to(self.slope.dtype)
        weight = 2 * self.slope * (ends[rows][:, :, None] + ends[columns][:, None, :])
        row_points, column_points = _centred(points, self.block, self.slope.dtype)
        if columns is rows:
            sides = [(rows, row_points, row_points, weight + weight.mT)]
        else:
            sides = [
                (rows, row_points, column_points, weight),
                (columns, column_points, row_points, weight.mT),
            ]
        for index, own, others, weights in sides:
            force = torch.bmm(weights, others).neg_()
            force.addcmul_(weights.sum(dim=2, keepdim=True), own)
            _add_rows(gradient, index.flatten(), force.flatten(0, 1).to(gradient.dtype))


Forces = PairForces | BlockForces


def forces_of(
    found: Iterable[Pairs | Block], points: Tensor, law: Law, plateau: float, energies: Tensor
) -> Iterator[Forces]:
    """Yield the forces of pairs, and add to the energies of both ends what they have beyond a plateau.

    Args:
        found: the pairs.
        points: (n, d).
        law: the potential between the points of a pair.
        plateau: the potential where it exerts no force.
        energies: of each point, (n,), changed in place.
    """
    size = pairs_per_chunk(points)
    for pairs in regrouped(found, size):
        if not isinstance(pairs, Block):
            yield _pair_forces(pairs, points, law, plateau, energies)
            continue
        squared, is_close = _squared_distances_of_block(points, pairs)
        yield from _block_forces(pairs, squared, ~is_close, law, plateau, energies)
        if is_close.any():
            for close_pairs in regrouped([pairs.pairs(is_close)], size):
                yield _pair_forces(close_pairs, points, law, plateau, energies)


def pairs_per_chunk(points: Tensor) -> int:
    """How many pairs to work on at a time."""
    coordinates = _COORDINATES_PER_CHUNK.get(points.device.type, 2**19)
    return max(1, coordinates // points.shape[1])


def squared_distances(points: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Squared distances of the first points from the second ones, (k,).

    From differences, since 2 - 2 cos has no correct digit left in float32 where r is small.
    """
    if kernels_triton.are_usable(points):
        return kernels_triton.squared_distances(points, first, second)
    return _differences(points, first, second).square_().sum(dim=1)


def _differences(points: Tensor, first: Tensor, second: Tensor) -> Tensor:
    return points.index_select(0, first).sub_(points.index_select(0, second))


def _pair_forces(pairs: Pairs, points: Tensor, law: Law, plateau: float, energies: Tensor) -> PairForces:
    first, second = pairs
    squared = squared_distances(points, first, second)
    value, slope = law(squared)
    acts = slope != 0
    first, second = first[acts], second[acts]
    excess = value[acts].double() - plateau
    _add_rows(energies, first, excess)
    _add_rows(energies, second, excess)
    return PairForces(first, second, _without_coincident(slope, squared)[acts])


def _block_forces(
    block: Block, squared: Tensor, chosen: Tensor, law: Law, plateau: float, energies: Tensor
) -> Iterator[BlockForces]:
    value, slope = law(squared)
    acts = (slope != 0) & block.wanted & chosen
    if not acts.any():
        return
    excess = (value.double() - plateau).where(acts, 0)
    _add_rows(energies, block.rows.flatten(), excess.sum(dim=2).flatten())
    _add_rows(energies, block.columns.flatten(), excess.sum(dim=1).flatten())
    yield BlockForces(block, _without_coincident(slope.where(acts, 0), squared))


def _without_coincident(slope: Tensor, squared: Tensor) -> Tensor:
    """Slopes, zero where points coincide and have no direction to push each other in."""
    return slope.where(squared > 0, 0)


def _add_rows(total: Tensor, index: Tensor, rows: Tensor) -> None:
    """Add rows to the rows of ``total`` at ``index``, in an order that is the same on each call."""
    if total.is_cuda:
        total.index_put_((index,), rows, accumulate=True)
    else:
        total.index_add_(0, index, rows)


def _squared_distances_of_block(points: Tensor, block: Block) -> tuple[Tensor, Tensor]:
    """Squared distances of the pairs of a block, and which pairs are too close for them, (groups, t, s).

    The distances come from products, with the error of rounding the points' squared distances from the
    origin: too much for two points that are far nearer to each other than to the origin.
    """
    exact = points.dtype == torch.float64 or float32_products_are_exact()
    rows, columns = _centred(points, block, points.dtype if exact else torch.float64)
    row_norms = (rows * rows).sum(dim=2)
    column_norms = row_norms if columns is rows else (columns * columns).sum(dim=2)
    norms = row_norms[:, :, None] + column_norms[:, None, :]
    squared = torch.baddbmm(norms, rows, columns.mT, alpha=-2).clamp_min_(0)
    return squared, (squared < norms * _SMALLEST_SHARE_OF_NORMS) & block.wanted


def _centred(points: Tensor, block: Block, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Rows and columns relative to the first row of each group, (groups, t, d) and (groups, s, d)."""
    rows = _gather(points, block.rows, dtype)
    origin = rows[:, :1].clone()
    if block.columns is block.rows:
        rows -= origin
        return rows, rows
    return rows.sub_(origin), _gather(points, block.columns, dtype).sub_(origin)


def _gather(points: Tensor, index: Tensor, dtype: torch.dtype) -> Tensor:
    gathered = points.index_select(0, index.flatten()).to(dtype)
    return gathered.view(*index.shape, points.shape[1])
