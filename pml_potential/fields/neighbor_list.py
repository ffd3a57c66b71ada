"""Pairs that stay near while points move: the neighbour list of molecular dynamics, with a skin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pml_potential.fields.neighbors import filter_coordinates, search, search_at_once
from pml_potential.fields.plan import Plan

Candidates = tuple[Tensor, Tensor]
"""Indices of the points of pairs that may be near."""


@dataclass(frozen=True)
class _Watched:
    """Known points as they were when searched, and their pairs within radius + skin.

    Args:
        radius: of the search.
        labels: of the known points.
        coordinates: the coordinates in which they are watched, and in which pairs were near.
        positions: where they were, in these coordinates.
        pairs: the pairs, counted from the first known point; None if none were listed.
    """

    radius: float
    labels: Tensor
    coordinates: Tensor
    positions: Tensor
    pairs: Candidates | None


class NeighborList:
    """Finds pairs of points within a radius, and remembers what it found between calls.

    Two points that were farther apart than radius + skin cannot be within the radius before one of
    them has moved by half the skin (Verlet, Physical Review 159, 1967). The same holds for distances in
    some of the coordinates, so the list stores only those coordinates of its points. A point that has
    left its skin is a stray: its pairs are searched for directly, as are those of points that the list
    does not know. A list takes a wider search, so it is made only when few points have become strays
    since the last call, and dropped when many have. No near pair is missed, whatever the list has seen
    before; that affects only the time, and which other pairs are found. Threads may share a list: it is
    replaced as a whole.

    Examples:
        >>> points, labels = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]]), torch.arange(3)
        >>> neighbor_list = NeighborList()
        >>> list(neighbor_list.candidates(0.7, points, labels, 3, slice(0, 3), Plan()))
        [(tensor([0]), tensor([1]))]
    """

    def __init__(self) -> None:
        self._watched: _Watched | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles start empty: they find the same pairs without the list."""
        return {"_watched": None}

    def candidates(
        self, radius: float, points: Tensor, labels: Tensor, targets: int, known: slice, plan: Plan
    ) -> Iterator[Candidates]:
        """Yield all pairs that are closer than the radius, each once, and some that are not.

        Args:
            radius: distance.
            points: (n, d), each of norm at most 1.
            labels: class of each point, (n,), integers; pairs of one class may be left out.
            targets: number of leading points; each pair has at least one of them.
            known: which of the targets are the same points on each call.
            plan: sizes of the search.
        """
        if len(points) <= plan.few_points:
            yield search_at_once(radius, points, targets)
            return
        watched, strays = self._watched, None
        # After a loss has moved to another device, its list still has the points of the old one.
        if watched is not None and watched.radius == radius and watched.labels.device == labels.device:
            positions = _positions(points, watched.coordinates)
            strays = _strays(watched, positions[known], labels[known], plan)
            if strays is not None and watched.pairs is not None:
                arguments = radius, watched.pairs, strays, positions, targets, known, plan
                yield from _of_list(*arguments)
                return
        most = min(plan.most_listed, int(plan.crowded_share / 2 * len(points) ** 2))
        makes_list, reach = strays is not None, (1 + plan.skin) * radius
        if makes_list:
            coordinates, share = filter_coordinates(reach, points, labels, plan)
            makes_list = share * len(points) ** 2 / 2 <= most
        if not makes_list:
            reach = radius
            coordinates, _ = filter_coordinates(reach, points, labels, plan)
        positions = _positions(points, coordinates)
        found: list[Candidates] = [(labels.new_empty(0), labels.new_empty(0))]
        length = 0
        for tile in search(reach, positions[:targets], positions, plan, each_once=True):
            differ = labels.index_select(0, tile.first) != labels.index_select(0, tile.second)
            pairs = tile.first[differ], tile.second[differ]
            yield pairs
            length += len(pairs[0])
            makes_list = makes_list and length <= most
            if makes_list:
                found.append(pairs)
        self._watched = _Watched(
            radius,
            labels[known].clone(),
            coordinates,
            positions[known].clone(),
            _of_known(found, known) if makes_list else None,
        )


def _of_known(found: list[Candidates], known: slice) -> Candidates:
    first, second = (torch.cat(ends) for ends in zip(*found, strict=True))
    is_known = (first >= known.start) & (second < known.stop)
    return first[is_known] - known.start, second[is_known] - known.start


def _strays(watched: _Watched, positions: Tensor, labels: Tensor, plan: Plan) -> Tensor | None:
    """Which known points have left their skins; None if these are other points, or too many have."""
    if not torch.equal(watched.labels, labels):
        return None
    moved = (positions - watched.positions).square_().sum(dim=1)
    strays = moved > (plan.skin * watched.radius / 2) ** 2
    return strays if strays.sum().item() <= plan.largest_share_of_strays * len(strays) else None


def _of_list(
    radius: float,
    pairs: Candidates,
    strays: Tensor,
    positions: Tensor,
    targets: int,
    known: slice,
    plan: Plan,
) -> Iterator[Candidates]:
    """Yield the listed pairs of points still in their skins, and all pairs of the other points."""
    first, second = pairs
    still_near = ~(strays[first] | strays[second])
    yield first[still_near] + known.start, second[still_near] + known.start

    is_stray = torch.ones(len(positions), dtype=torch.bool, device=positions.device)
    is_stray[known] = strays
    stray = is_stray.nonzero().squeeze(1)
    targeted, sources = stray[stray < targets], stray[stray >= targets]
    for tile in search(radius, positions[targeted], positions, plan):
        first, second = targeted[tile.first], tile.second
        # Two strays meet twice, once in either order, unless the second is only a source.
        once = ~is_stray[second] | (second >= targets) | (first < second)
        yield first[once], second[once]
    for tile in search(radius, positions[sources], positions[:targets], plan):
        once = ~is_stray[tile.second]
        yield sources[tile.first][once], tile.second[once]


def _positions(points: Tensor, coordinates: Tensor) -> Tensor:
    if len(coordinates) == points.shape[1]:
        return points.float()
    return points.index_select(1, coordinates).float()
