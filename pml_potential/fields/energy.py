"""The energy of each point in the field of all the others, and its gradient.

Only pairs that act are computed: points of one class that are farther apart than delta_att, and points
of different classes that are closer than delta_rep. All others contribute the plateau of their
potential, which is counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._compile import _disable_dynamo

from pml_potential.fields.different_class import crowded_pairs, listed_pairs
from pml_potential.fields.first_order import Gradients, apply_first_order, first_order
from pml_potential.fields.neighbor_list import NeighborList
from pml_potential.fields.pairs import Block, Pairs
from pml_potential.fields.plan import Plan
from pml_potential.fields.potentials import Potential
from pml_potential.fields.same_class import same_class_pairs
from pml_potential.fields.statistics import FieldStatistics


# The search decides by what it finds, which no graph can hold. torch.compiler.disable says the same, but
# imports the whole compiler with this package; this waits for the first call, as torch's optimizers do.
@_disable_dynamo
def point_energies(
    points: Tensor,
    labels: Tensor,
    potential: Potential,
    targets: int | None = None,
    known: slice = slice(0, 0),
    neighbor_list: NeighborList | None = None,
    statistics: FieldStatistics | None = None,
    plan: Plan | None = None,
) -> Tensor:
    """Energy of each point, as by ``energies_by_formula``, from the pairs that act alone.

        E_i = Σ_{j: y_j = y_i} psi_att(||x_i - x_j||) + Σ_{j: y_j != y_i} psi_rep(||x_i - x_j||)

    Exact: pairs that do not act contribute the plateaus of the potential, which are counted instead of
    computed, and no pair that acts is missed. The same points give the same bits, whatever
    ``neighbor_list`` has seen.

    Args:
        points: x, (n, d), each of norm at most 1, float32 or float64.
        labels: y, class of each point, (n,), integers from 0.
        potential: what two points do to each other.
        targets: number of leading points whose energy is wanted; the others are only sources.
            Default: all n.
        known: which of the targets are the same points on each call. Default: none.
        neighbor_list: remembers near pairs of these from call to call. Default: search anew.
        statistics: filled with what is found on the way. Default: none, nothing is counted.
        plan: sizes that decide how long it takes. Default: those for the device.

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
    plan = Plan.of(points) if plan is None else plan
    with torch.autocast(points.device.type, enabled=False):
        with torch.no_grad():
            near = listed_pairs(
                potential.repulsion_radius,
                points,
                labels,
                targets,
                known,
                NeighborList() if neighbor_list is None else neighbor_list,
                plan,
            )
        energies: Tensor = apply_first_order(
            _PointEnergies, points, labels, potential, targets, near, plan, statistics
        )
    return energies


@dataclass(frozen=True)
class Interaction:
    """What pairs of one kind do to each other; all numbers are 0 for pairs that do not act.

    Args:
        pairs: of one class, or of different classes.
        attracts: whether they are of one class.
        value: potential psi of each pair, float64.
        excess: the potential beyond its plateau, float64.
        slope: d psi / d r^2.
    """

    pairs: Pairs | Block
    attracts: bool
    value: Tensor
    excess: Tensor
    slope: Tensor


class _PointEnergies(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        points: Tensor,
        labels: Tensor,
        potential: Potential,
        targets: int,
        near: Pairs | None,
        plan: Plan,
        statistics: FieldStatistics | None,
    ) -> Tensor:
        energies = energies_at_rest(labels, potential)
        kept: list[Interaction] | None = []
        slopes = 0
        for interaction in interactions(points, labels, potential, targets, near, plan):
            interaction.pairs.add_to_ends(energies, interaction.excess)
            if statistics is not None:
                _count(interaction, targets, len(points), statistics)
            slopes += interaction.slope.numel()
            if slopes > plan.most_kept:
                kept = None
            if kept is not None:
                kept.append(interaction)
        ctx.save_for_backward(points, labels)
        ctx.found = kept, (potential, targets, near, plan)
        return energies[:targets].to(points.dtype)

    @staticmethod
    @first_order
    def backward(ctx: Any, saved: tuple[Tensor, ...], grad_energies: Tensor) -> Gradients:
        points, labels = saved
        kept, arguments = ctx.found
        upstream = grad_energies.new_zeros(len(points))
        upstream[: len(grad_energies)] = grad_energies
        gradient = torch.zeros_like(points)
        for interaction in interactions(points, labels, *arguments) if kept is None else kept:
            # A pair counts in the energies of both its ends.
            weights = 2 * interaction.slope * interaction.pairs.sums_of_ends(upstream)
            interaction.pairs.add_forces(gradient, points, weights)
        return gradient, None, None, None, None, None, None


def energies_at_rest(labels: Tensor, potential: Potential) -> Tensor:
    """Energy of each point if no pair acted, (n,), float64."""
    of_own_class = labels.bincount()[labels].double()
    of_other_classes = len(labels) - of_own_class
    return of_own_class * potential.attraction_plateau + of_other_classes * potential.repulsion_plateau


def interactions(
    points: Tensor, labels: Tensor, potential: Potential, targets: int, near: Pairs | None, plan: Plan
) -> Iterator[Interaction]:
    """Yield all that acts: attraction within classes, then repulsion between them.

    Args:
        near: the pairs that may repel each other; None to search for them tile by tile.
    """
    for pairs in same_class_pairs(labels, targets, points.shape[1], plan):
        yield _interaction(pairs, True, points, potential, plan)
    radius = potential.repulsion_radius
    for pairs in crowded_pairs(radius, points, labels, targets, plan) if near is None else [near]:
        yield _interaction(pairs, False, points, potential, plan)


def _interaction(
    pairs: Pairs | Block, attracts: bool, points: Tensor, potential: Potential, plan: Plan
) -> Interaction:
    squared = pairs.squared_distances(points)
    if attracts:
        law, plateau, acts = potential.attraction, potential.attraction_plateau, squared > potential.attraction_radius**2
    else:
        law, plateau, acts = potential.repulsion, potential.repulsion_plateau, squared < potential.repulsion_radius**2
    if isinstance(pairs, Block):
        acts.logical_and_(pairs.wanted)
    as_block = isinstance(pairs, Block) and int(acts.count_nonzero()) > plan.crowded_share * acts.numel()
    if not as_block:
        pairs, squared = pairs.where(acts), squared[acts]
    value, slope = law(squared)
    value = value.double()
    excess = value - plateau
    # Points that coincide have no direction to push each other in.
    slope = slope.where(squared > 0, 0)
    if as_block:
        value, excess, slope = (each.where(acts, 0) for each in (value, excess, slope))
    return Interaction(pairs, attracts, value, excess, slope)


def _count(interaction: Interaction, targets: int, count: int, statistics: FieldStatistics) -> None:
    is_target = torch.arange(count, device=interaction.slope.device) < targets
    ends = interaction.pairs.sums_of_ends(is_target.double())
    statistics.acting_pairs += int(interaction.slope.count_nonzero())
    if interaction.attracts:
        statistics.attraction += (interaction.value * ends).sum().item()
        statistics.attracting += int((ends * (interaction.slope != 0)).sum())
    else:
        statistics.repulsion += (interaction.excess * ends).sum().item()
