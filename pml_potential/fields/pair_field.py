"""The field on any device, in plain torch: from listed pairs and blocks of pairs that act."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pml_potential.fields.different_class import crowded_pairs, listed_pairs
from pml_potential.fields.neighbor_list import NeighborList
from pml_potential.fields.pairs import Block, Pairs
from pml_potential.fields.plan import Plan
from pml_potential.fields.potentials import Potential
from pml_potential.fields.same_class import same_class_pairs
from pml_potential.fields.statistics import FieldStatistics


@dataclass(frozen=True)
class Prepared:
    """The intermediate results of ``energies`` that ``gradient`` needs.

    Args:
        targets: number of leading points whose energies were computed.
        plan: sizes of the work.
        near: the pairs that may repel each other; None if they are too many to list.
        kept: the pairs that act and their slopes; None if they are too many to keep and have to be
            found again.
    """

    targets: int
    plan: Plan
    near: Pairs | None
    kept: list[tuple[Pairs | Block, Tensor]] | None


@dataclass(frozen=True)
class Interaction:
    """How pairs of one kind interact.

    Args:
        pairs: of one class, or of different classes.
        attracts: whether they are of one class.
        value: potential psi of each pair.
        excess: the potential beyond its plateau, float64; 0 for pairs that do not act.
        slope: d psi / d r^2; 0 for pairs that do not act.
    """

    pairs: Pairs | Block
    attracts: bool
    value: Tensor
    excess: Tensor
    slope: Tensor


def energies(
    points: Tensor,
    labels: Tensor,
    potential: Potential,
    targets: int,
    known: slice,
    neighbor_list: NeighborList,
    statistics: FieldStatistics | None,
    plan: Plan,
) -> tuple[Tensor, Prepared]:
    """Energy of each target, (targets,), float64, and what ``gradient`` needs.

    The arguments are those of ``energy.point_energies``.
    """
    radius = potential.repulsion_radius
    near = listed_pairs(radius, points, labels, targets, known, neighbor_list, plan)
    total = energies_at_rest(labels, potential)
    kept: list[tuple[Pairs | Block, Tensor]] | None = []
    slopes = 0
    for interaction in interactions(points, labels, potential, targets, near, plan):
        interaction.pairs.add_to_ends(total, interaction.excess)
        if statistics is not None:
            _count(interaction, targets, len(points), statistics)
        slopes += interaction.slope.numel()
        if slopes > plan.most_kept:
            kept = None
        if kept is not None:
            kept.append((interaction.pairs, interaction.slope))
    return total[:targets], Prepared(targets, plan, near, kept)


def gradient(
    points: Tensor, labels: Tensor, potential: Potential, prepared: Prepared, upstream: Tensor
) -> Tensor:
    """Derivative of Σ_i upstream_i E_i with respect to the points, (n, d).

    Args:
        points: x, (n, d).
        labels: y, (n,).
        potential: psi.
        prepared: what ``energies`` returned for these.
        upstream: (targets,).
    """
    of_all = upstream.new_zeros(len(points))
    of_all[: prepared.targets] = upstream
    acting: Iterable[tuple[Pairs | Block, Tensor]]
    if prepared.kept is not None:
        acting = prepared.kept
    else:
        rest = prepared.targets, prepared.near, prepared.plan
        found = interactions(points, labels, potential, *rest)
        acting = ((interaction.pairs, interaction.slope) for interaction in found)
    forces = torch.zeros_like(points)
    for pairs, slope in acting:
        # A pair counts in the energies of both its ends.
        pairs.add_forces(forces, points, 2 * slope * pairs.sums_of_ends(of_all))
    return forces


def energies_at_rest(labels: Tensor, potential: Potential) -> Tensor:
    """Energy of each point if no pair acted, (n,), float64."""
    of_own_class = labels.bincount().double()[labels]
    of_other_classes = len(labels) - of_own_class
    return of_own_class * potential.attraction_plateau + of_other_classes * potential.repulsion_plateau


def interactions(
    points: Tensor, labels: Tensor, potential: Potential, targets: int, near: Pairs | None, plan: Plan
) -> Iterator[Interaction]:
    """Yield all interactions: attraction within classes, then repulsion between them.

    Args:
        points: x, (n, d).
        labels: y, (n,).
        potential: psi.
        targets: number of leading points; each pair has at least one of them.
        near: the pairs that may repel each other; None to search for them tile by tile.
        plan: sizes of the work.
    """
    for pairs in same_class_pairs(labels, targets, points.shape[1], plan):
        yield from _interactions_of(pairs, True, points, potential, plan)
    radius = potential.repulsion_radius
    if near is not None and len(near.first) == 0:
        return
    for pairs in crowded_pairs(radius, points, labels, targets, plan) if near is None else [near]:
        yield from _interactions_of(pairs, False, points, potential, plan)


def _interactions_of(
    pairs: Pairs | Block, attracts: bool, points: Tensor, potential: Potential, plan: Plan
) -> Iterator[Interaction]:
    """Yield the interactions of some pairs; those of a block one by one where few act."""
    if isinstance(pairs, Pairs):
        squared = pairs.squared_distances(points)
        (acting,) = _act(squared, attracts, potential).nonzero(as_tuple=True)
        if len(acting) > 0:
            yield _interaction(pairs.where(acting), attracts, squared[acting], potential)
        return
    squared, are_close = pairs.squared_distances(points)
    acts = _act(squared, attracts, potential).logical_and_(pairs.wanted)
    if are_close.any():
        yield from _interactions_of(pairs.where(are_close), attracts, points, potential, plan)
        acts.logical_and_(are_close.logical_not())
    count = int(acts.count_nonzero())
    if count > plan.crowded_share * acts.numel():
        yield _interaction(pairs, attracts, squared, potential, acts)
    elif count > 0:
        yield _interaction(pairs.where(acts), attracts, squared[acts], potential)


def _act(squared: Tensor, attracts: bool, potential: Potential) -> Tensor:
    if attracts:
        return squared > potential.attraction_radius**2
    return squared < potential.repulsion_radius**2


def _interaction(
    pairs: Pairs | Block,
    attracts: bool,
    squared: Tensor,
    potential: Potential,
    acts: Tensor | None = None,
) -> Interaction:
    """The interaction of pairs at these squared distances; by default all of them act."""
    law = potential.attraction if attracts else potential.repulsion
    plateau = potential.attraction_plateau if attracts else potential.repulsion_plateau
    value, slope = law(squared)
    excess = value.double() - plateau
    if not attracts:
        # Points that coincide have no direction to push each other in.
        slope = slope.where(squared > 0, 0)
    if acts is not None:
        rests = acts.logical_not()
        excess.masked_fill_(rests, 0)
        slope.masked_fill_(rests, 0)
    return Interaction(pairs, attracts, value, excess, slope)


def _count(interaction: Interaction, targets: int, count: int, statistics: FieldStatistics) -> None:
    is_target = torch.arange(count, device=interaction.slope.device) < targets
    ends = interaction.pairs.sums_of_ends(is_target.double())
    acts = interaction.excess != 0
    statistics.acting_pairs += int(acts.count_nonzero())
    if interaction.attracts:
        statistics.attraction += (interaction.value.double() * ends)[acts].sum().item()
        statistics.attracting += int(ends[acts].sum())
    else:
        statistics.repulsion += (interaction.excess * ends).sum().item()
