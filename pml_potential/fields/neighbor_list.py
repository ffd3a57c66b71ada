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

_LARGEST_LIST = 2**19
"""Pairs beyond which a list costs as much as the search that it saves."""


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
        listed, strays = self._listed_and_strays(radius, points[: self.count], labels[: self.count])
        if listed is None:
            coordinates = widest_coordinates(points)
            yield from pairs_within(radius, points[:targets], points, coordinates, each_once=True)
            return

        is_stray = torch.ones(len(points), dtype=torch.bool, device=points.device)
        is_stray[: self.count] = strays
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

    def _listed_and_strays(
        self, radius: float, known: Tensor, labels: Tensor
    ) -> tuple[_Listed | None, Tensor]:
        """Return a list that holds for these points, if one is worth it, and which points left it."""
        listed = self._listed
        none = torch.zeros_like(labels, dtype=torch.bool)
        if listed is not None and listed.is_of(radius, labels):
            moved = known.index_select(1, listed.coordinates) - listed.positions
            strays = moved.square_().sum(dim=1) > (SKIN * radius / 2) ** 2
            if strays.sum().item() <= _LARGEST_SHARE_OF_STRAYS * self.count:
                return listed, strays
        self._listed = _list_pairs(radius, known, labels)
        return self._listed, none


def _list_pairs(radius: float, known: Tensor, labels: Tensor) -> _Listed | None:
    """Search all known points, unless there are none or their pairs are too many to list."""
    if len(known) == 0:
        return None
    coordinates = widest_coordinates(known)
    positions = known.index_select(1, coordinates)
    every = torch.arange(len(coordinates), device=known.device)
    found: list[Pairs] = []
    count = 0
    for first, second in pairs_within((1 + SKIN) * radius, positions, positions, every, each_once=True):
        differ = labels.index_select(0, first) != labels.index_select(0, second)
        found.append((first[differ], second[differ]))
        count += len(found[-1][0])
        if count > min(_LARGEST_LIST, len(known) ** 2 / 64):
            return None
    nothing = torch.empty(0, dtype=torch.long, device=known.device)
    first, second = (torch.cat(ends) for ends in zip((nothing, nothing), *found, strict=True))
    return _Listed(radius, labels.clone(), coordinates, positions, first, second)
