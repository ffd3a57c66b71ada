"""Pairs that stay near while points move: the neighbour list of molecular dynamics, with a skin."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pml_potential.fields.neighbors import pairs_within, widest_coordinates
from pml_potential.fields.pairs import Pairs

SKIN = 0.5
"""Width of the skin as a share of the radius."""

_LARGEST_SHARE_OF_STRAYS = 1 / 16
"""Share of the points that may have left their skin before the list is made anew."""

_MOST_PAIRS = 2**19
_LARGEST_SHARE_OF_PAIRS = 1 / 64
"""Pairs, in all and as a share of all, beyond which a list costs as much as the search that it saves."""


@dataclass(frozen=True)
class _Listed:
    """Pairs of different classes that were within radius + skin, and what made them so."""

    radius: float
    labels: Tensor
    coordinates: Tensor
    positions: Tensor
    first: Tensor
    second: Tensor

    def is_of(self, radius: float, labels: Tensor) -> bool:
        """Whether the list is one of these points, wherever they are now."""
        same_device = self.labels.device == labels.device
        return self.radius == radius and same_device and torch.equal(self.labels, labels)


class NeighborList:
    """Finds pairs of different classes within a radius, and remembers what it found between calls.

    Two points that were farther apart than radius + skin cannot be within the radius before one of
    them has moved by half the skin (Verlet, Physical Review 159, 1967). Distances in some coordinates
    obey the same, so that the list needs to know only those coordinates of its points. A point that
    has left its skin is a stray: it is searched for directly, as are the points that the list does not
    know, and when strays are many the list is made anew. The pairs found are therefore the same
    whatever the list has seen before; only the time that it takes to find them depends on that.

    Args:
        count: number of leading points that are the same points on each call. 0 remembers nothing.

    Examples:
        >>> points = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
        >>> neighbor_list = NeighborList(3)
        >>> list(neighbor_list.pairs_within(0.7, points, torch.tensor([0, 1, 2]), targets=3))
        [(tensor([0]), tensor([1]))]
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._listed: _Listed | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles remember nothing: they find the same pairs without."""
        return {"count": self.count, "_listed": None}

    def pairs_within(
        self, radius: float, points: Tensor, labels: Tensor, targets: int
    ) -> Iterator[Pairs]:
        """Yield all pairs of points of different classes that are closer than the radius, each once.

        Args:
            radius: distance; pairs a little farther apart are yielded as well.
            points: (n, d), each of norm at most 1.
            labels: class of each point, (n,), integers.
            targets: number of leading points of which each pair holds at least one.

        Yields:
            Two index tensors of equal length.
        """
        for first, second in self._near_pairs(radius, points, labels, targets):
            if len(first) > 0:
                differ = labels.index_select(0, first) != labels.index_select(0, second)
                wanted = differ & (torch.minimum(first, second) < targets)
                yield first[wanted], second[wanted]

    def _near_pairs(
        self, radius: float, points: Tensor, labels: Tensor, targets: int
    ) -> Iterator[Pairs]:
        strays = self._strays(radius, points, labels)
        if strays is not None and self._listed is not None:
            yield from _pairs_of_list(self._listed, strays, radius, points, targets)
            return
        # The search for the list finds the pairs of the other points on its way.
        self._listed, found = _list_pairs(radius, points, labels, self.count, targets)
        if self._listed is not None:
            yield found
        else:
            coordinates = widest_coordinates(points)
            yield from pairs_within(radius, points[:targets], points, coordinates, each_once=True)

    def _strays(self, radius: float, points: Tensor, labels: Tensor) -> Tensor | None:
        """Which known points have left their skins; None if there is no list that holds for them."""
        listed, known = self._listed, points[: self.count]
        if listed is None or not listed.is_of(radius, labels[: self.count]):
            return None
        moved = known.index_select(1, listed.coordinates).float() - listed.positions
        strays = moved.square_().sum(dim=1) > (SKIN * radius / 2) ** 2
        return strays if strays.sum().item() <= _LARGEST_SHARE_OF_STRAYS * self.count else None


def _list_pairs(
    radius: float, points: Tensor, labels: Tensor, count: int, targets: int
) -> tuple[_Listed | None, Pairs]:
    """List the pairs of the leading points, and find those of the others; None if they are too many."""
    nothing = torch.empty(0, dtype=torch.long, device=points.device)
    if count == 0:
        return None, (nothing, nothing)
    coordinates = widest_coordinates(points[:count])
    # In no other coordinates, for in these alone the points are watched.
    positions = points.index_select(1, coordinates).float()
    every = torch.arange(len(coordinates), device=points.device)
    rows = positions[: max(count, targets)]
    found: list[Pairs] = [(nothing, nothing)]
    length = 0
    for first, second in pairs_within((1 + SKIN) * radius, rows, positions, every, each_once=True):
        differ = labels.index_select(0, first) != labels.index_select(0, second)
        found.append((first[differ], second[differ]))
        length += len(found[-1][0])
        if length > min(_MOST_PAIRS, _LARGEST_SHARE_OF_PAIRS * len(points) ** 2):
            return None, (nothing, nothing)
    first, second = (torch.cat(ends) for ends in zip(*found, strict=True))
    is_known = second < count
    listed = _Listed(
        radius,
        labels[:count].clone(),
        coordinates,
        positions[:count].clone(),
        first[is_known],
        second[is_known],
    )
    return listed, (first, second)


def _pairs_of_list(
    listed: _Listed, strays: Tensor, radius: float, points: Tensor, targets: int
) -> Iterator[Pairs]:
    """Yield the listed pairs of points still in their skins, and all pairs of the other points."""
    is_stray = torch.ones(len(points), dtype=torch.bool, device=points.device)
    is_stray[: len(strays)] = strays
    still_near = ~(is_stray[listed.first] | is_stray[listed.second])
    yield listed.first[still_near], listed.second[still_near]

    stray = is_stray.nonzero().squeeze(1)
    targeted, sources = stray[stray < targets], stray[stray >= targets]
    for row, second in pairs_within(radius, points[targeted], points, listed.coordinates):
        first = targeted[row]
        # Two strays meet twice, once in either order, unless the second is only a source.
        once = ~is_stray[second] | (second >= targets) | (first < second)
        yield first[once], second[once]
    for row, second in pairs_within(radius, points[sources], points[:targets], listed.coordinates):
        once = ~is_stray[second]
        yield sources[row][once], second[once]
