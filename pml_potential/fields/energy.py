"""The energy of each point in the field of all the others, and its gradient."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch._compile import _disable_dynamo

from pml_potential.fields.different_class import (
    different_class_pairs_of_few,
    different_class_pairs_within,
)
from pml_potential.fields.first_order import Gradients, first_order
from pml_potential.fields.forces import Forces, forces_of, pairs_per_chunk, squared_distances
from pml_potential.fields.neighbor_list import NeighborList
from pml_potential.fields.pairs import Block, Pairs, regrouped
from pml_potential.fields.potentials import Potential
from pml_potential.fields.same_class import same_class_pairs
from pml_potential.fields.statistics import FieldStatistics

_MOST_PAIRS = 2**19
_LARGEST_SHARE_OF_PAIRS = 1 / 32
"""Acting pairs, in all and as a share of all, up to which they are listed before they are worked on."""

_FEW_POINTS = 512
"""Points up to which a look at all pairs at once is no dearer than a search."""

_KEPT_SLOPES = 2**21
"""Slopes that the forward pass keeps for the backward pass, which computes the others again."""


# The search decides by what it finds, which no graph can hold. torch.compiler.disable says the same, but
# imports the whole compiler with this package; this waits for the first call, as torch's optimizers do.
@_disable_dynamo
def point_energies(
    points: Tensor,
    labels: Tensor,
    potential: Potential,
    targets: int | None = None,
    neighbor_list: NeighborList | None = None,
    statistics: FieldStatistics | None = None,
) -> Tensor:
    """Energy of each point: the sum of its potentials with every source, itself included.

        E_i = Σ_{j: y_j = y_i} psi_att(||x_i - x_j||) + Σ_{j: y_j != y_i} psi_rep(||x_i - x_j||)

    Equations 3 to 6 of Bhatnagar & Ahuja, CVPR 2025: the sum over i is their U. Exact: pairs that do
    not act contribute the plateaus of the potential, which are counted instead of computed, and no
    pair that acts is missed. The same points give the same bits, whatever ``neighbor_list`` has seen.

    Args:
        points: x, (n, d), each of norm at most 1, float32 or float64.
        labels: y, class of each point, (n,), integers from 0.
        potential: what two points do to each other.
        targets: number of leading points whose energy is wanted; the others are only sources.
            Default: all n.
        neighbor_list: remembers near pairs from call to call. Default: none, search anew.
        statistics: filled with what is found on the way. Default: none, nothing is counted.

    Returns:
        (targets,), in the dtype of ``points``. Differentiable once with respect to all points.

    Raises:
        RuntimeError: A second derivative is asked for.

    Examples:
        >>> from pml_potential.fields.potentials import Contrastive
        >>> points = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> point_energies(points, torch.tensor([0, 0]), Contrastive(0.1, 0.1))
        tensor([2.0100, 2.0100])
    """
    targets = len(points) if targets is None else targets
    neighbor_list = NeighborList(0) if neighbor_list is None else neighbor_list
    with torch.autocast(points.device.type, enabled=False):
        energies: Tensor = _PointEnergies.apply(
            points, labels, potential, targets, neighbor_list, statistics
        )
    return energies


class _PointEnergies(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        points: Tensor,
        labels: Tensor,
        potential: Potential,
        targets: int,
        neighbor_list: NeighborList,
        statistics: FieldStatistics | None,
    ) -> Tensor:
        energies = _energies_of_plateaus(labels, potential)
        pairs = None
        if len(points) > _FEW_POINTS:
            pairs = _acting_pairs(points, labels, potential.repulsion_radius, targets, neighbor_list)
        kept: list[Forces] | None = []
        slopes = 0
        for forces in _all_forces(points, labels, potential, targets, pairs, energies, statistics):
            slopes += forces.slope.numel()
            if slopes > _KEPT_SLOPES:
                kept = None
            if kept is not None:
                kept.append(forces)
        ctx.save_for_backward(points, labels)
        ctx.potential, ctx.targets, ctx.pairs, ctx.kept = potential, targets, pairs, kept
        return energies[:targets].to(points.dtype)

    @staticmethod
    @first_order
    def backward(ctx: Any, grad_energies: Tensor) -> Gradients:
        points, labels = ctx.saved_tensors
        all_forces = ctx.kept
        if all_forces is None:
            unused = torch.zeros(len(points), dtype=torch.float64, device=points.device)
            all_forces = _all_forces(points, labels, ctx.potential, ctx.targets, ctx.pairs, unused)
        upstream = grad_energies.new_zeros(len(points))
        upstream[: ctx.targets] = grad_energies
        gradient = torch.zeros_like(points)
        for forces in all_forces:
            forces.add_gradient(gradient, points, upstream)
        return gradient, None, None, None, None, None


def _energies_of_plateaus(labels: Tensor, potential: Potential) -> Tensor:
    """Energy of each point if no pair acted, (n,), float64."""
    of_own_class = labels.bincount()[labels].double()
    of_other_classes = len(labels) - of_own_class
    return of_own_class * potential.attraction_plateau + of_other_classes * potential.repulsion_plateau


def _acting_pairs(
    points: Tensor, labels: Tensor, radius: float, targets: int, neighbor_list: NeighborList
) -> Pairs | None:
    """List the pairs of different classes within the radius, in order; None if they are too many.

    How a pair was found leaves no trace: the list depends on the points alone.
    """
    most = min(_MOST_PAIRS, int(_LARGEST_SHARE_OF_PAIRS * len(points) ** 2))
    keys = [torch.empty(0, dtype=torch.long, device=points.device)]
    count = 0
    # The potential decides what acts; a little more than the radius is room for rounding.
    limit = radius**2 * (1 + 1e-5)
    near_pairs = neighbor_list.pairs_within(radius, points, labels, targets)
    for first, second in regrouped(near_pairs, pairs_per_chunk(points)):
        near = squared_distances(points, first, second) < limit
        low, high = torch.minimum(first, second)[near], torch.maximum(first, second)[near]
        keys.append(low * len(points) + high)
        count += len(low)
        if count > most:
            return None
    ordered = torch.cat(keys).sort().values
    return ordered.div(len(points), rounding_mode="floor"), ordered % len(points)


def _all_forces(
    points: Tensor,
    labels: Tensor,
    potential: Potential,
    targets: int,
    repelling: Pairs | None,
    energies: Tensor,
    statistics: FieldStatistics | None = None,
) -> Iterator[Forces]:
    """Yield the forces of all pairs that act, and add to the energies what they have in excess."""
    attracting = same_class_pairs(labels, targets, points.shape[1])
    plateau = potential.attraction_plateau
    attraction = forces_of(attracting, points, potential.attraction, plateau, energies)
    radius, plateau = potential.repulsion_radius, potential.repulsion_plateau
    found: Iterable[Pairs | Block]
    if len(points) <= _FEW_POINTS:
        found = different_class_pairs_of_few(radius, points, labels, targets)
    elif repelling is None:
        found = different_class_pairs_within(radius, points, labels, targets)
    else:
        found = [repelling]
    repulsion = forces_of(found, points, potential.repulsion, plateau, energies)
    if statistics is not None:
        attraction = statistics.attraction.watch(attraction, energies[:targets])
        repulsion = statistics.repulsion.watch(repulsion, energies[:targets])
    yield from attraction
    yield from repulsion
