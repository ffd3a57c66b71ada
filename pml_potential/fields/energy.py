"""The energy of each point in the field of all the others, and its gradient."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pml_potential.fields.neighbors import Pairs, different_class_pairs_within, same_class_pairs
from pml_potential.fields.potentials import Potential

_COORDINATES_PER_CHUNK = 2**22
"""Size of the largest temporary: chunk of pairs x width of a point."""

_KEPT_PAIRS = 2**22
"""Acting pairs that the forward pass keeps; beyond that the backward pass searches again."""

_Law = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class _ActingPairs:
    """Pairs that exert force, with the slope of their potential at their distance."""

    first: Tensor
    second: Tensor
    slope: Tensor


def point_energies(
    points: Tensor, labels: Tensor, potential: Potential, targets: int | None = None
) -> Tensor:
    """Energy of each point: the sum of its potentials with every source, itself included.

        E_i = Σ_{j: y_j = y_i} psi_att(||x_i - x_j||) + Σ_{j: y_j != y_i} psi_rep(||x_i - x_j||)

    Equations 3 to 6 of Bhatnagar & Ahuja, CVPR 2025: the sum over i is their U. Exact: pairs that do
    not act contribute the plateaus of the potential, which are counted instead of computed, and the
    distance of a pair that acts comes from the difference of its points, since 2 - 2 cos has no
    correct digit left in float32 where r is small.

    Args:
        points: x, (n, d), each of norm at most 1, float32 or float64.
        labels: y, class of each point, (n,), integers from 0.
        potential: what two points do to each other.
        targets: number of leading points whose energy is wanted; the others are only sources.
            Default: all n.

    Returns:
        (targets,), in the dtype of ``points``. Differentiable once with respect to all points.

    Examples:
        >>> from pml_potential.fields.potentials import Contrastive
        >>> points = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> point_energies(points, torch.tensor([0, 0]), Contrastive(0.1, 0.1))
        tensor([2.0100, 2.0100])
    """
    targets = len(points) if targets is None else targets
    energies: Tensor = _PointEnergies.apply(points, labels, potential, targets)
    return energies


class _PointEnergies(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, points: Tensor, labels: Tensor, potential: Potential, targets: int) -> Tensor:
        energies = _energies_of_plateaus(labels, potential, points.dtype)
        kept: list[_ActingPairs] = []
        count = 0
        for acting, excess in _interactions(points, labels, potential, targets):
            energies.index_add_(0, acting.first, excess)
            energies.index_add_(0, acting.second, excess)
            count += len(excess)
            if count <= _KEPT_PAIRS:
                kept.append(acting)
        ctx.save_for_backward(points, labels)
        ctx.potential, ctx.targets = potential, targets
        ctx.kept = kept if count <= _KEPT_PAIRS else None
        return energies[:targets]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_energies: Tensor) -> tuple[Tensor, None, None, None]:
        points, labels = ctx.saved_tensors
        upstream = torch.zeros(len(points), dtype=points.dtype, device=points.device)
        upstream[: ctx.targets] = grad_energies
        found = (
            ctx.kept
            if ctx.kept is not None
            else (a for a, _ in _interactions(points, labels, ctx.potential, ctx.targets))
        )
        grad_points = torch.zeros_like(points)
        for acting in found:
            # A pair counts once in the energy of either end, so both upstream gradients weigh it.
            weight = 2 * acting.slope * (upstream[acting.first] + upstream[acting.second])
            gradient = weight[:, None] * (points[acting.first] - points[acting.second])
            grad_points.index_add_(0, acting.first, gradient)
            grad_points.index_add_(0, acting.second, gradient, alpha=-1)
        return grad_points, None, None, None


def _energies_of_plateaus(labels: Tensor, potential: Potential, dtype: torch.dtype) -> Tensor:
    """Energy of each point if no pair acted."""
    of_own_class = labels.bincount()[labels].to(dtype)
    of_other_classes = len(labels) - of_own_class
    return of_own_class * potential.attraction_plateau + of_other_classes * potential.repulsion_plateau


def _interactions(
    points: Tensor, labels: Tensor, potential: Potential, targets: int
) -> Iterator[tuple[_ActingPairs, Tensor]]:
    """Yield, chunk by chunk, the pairs that act and their energy in excess of the plateau."""
    chunk = max(1, _COORDINATES_PER_CHUNK // max(1, points.shape[1]))
    attracting = same_class_pairs(labels, targets, chunk)
    repelling = different_class_pairs_within(potential.repulsion_radius, points, labels, targets, chunk)
    halves: list[tuple[Iterator[Pairs], _Law, float]] = [
        (attracting, potential.attraction, potential.attraction_plateau),
        (repelling, potential.repulsion, potential.repulsion_plateau),
    ]
    for pairs, law, plateau in halves:
        for first, second in pairs:
            squared = (points[first] - points[second]).square().sum(dim=1)
            value, slope = law(squared)
            acts = slope != 0
            yield _ActingPairs(first[acts], second[acts], slope[acts]), value[acts] - plateau
