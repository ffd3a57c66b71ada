from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from pml_potential.fields import energy
from pml_potential.fields.energy import point_energies
from pml_potential.fields.neighbor_list import NeighborList
from pml_potential.fields.potentials import PowerLaw
from tests.fields.field_cases import (
    Case,
    pairs_where,
    random_points,
    reduced_precision,
    searched,
    squared_distances,
    unordered,
)

COUNT = 80
"""Points that a list knows."""

RADIUS = 0.2


@pytest.fixture(autouse=True, scope="module")
def few_points_are_searched() -> Iterator[None]:
    """The tests' points are few; lists are for the search among many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(energy, "_FEW_POINTS", 0)
        yield


class Walk:
    """Points that move from step to step, of which the first ``COUNT`` stay the same points."""

    def __init__(self, width: int, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        # Of many coordinates all but three are narrow: some points are near each other, most are not.
        self.scale = torch.full((width,), 0.02)
        self.scale[-3:] = 1.0
        self.known = self._anywhere(COUNT)
        self.labels = self._number(7, COUNT)
        self.radius = RADIUS
        self.extra = 0
        self.unwanted = 0

    def after(self, event: str) -> Case:
        getattr(self, event)()
        points = torch.cat([self.known, self._anywhere(self.extra)])
        labels = torch.cat([self.labels, self._number(7, self.extra)])
        targets = max(1, len(points) - self.unwanted)
        return Case(points, labels, targets, torch.linspace(-1, 2, targets))

    def rest(self) -> None:
        """Nothing known changes; the extra points are others on every step."""

    def crawl(self) -> None:
        self.known = normalize(self.known + 0.01 * self._anywhere(COUNT))

    def run(self) -> None:
        self.known = normalize(self.known + 0.2 * self._anywhere(COUNT))

    def jump_alone(self) -> None:
        self.known[self._number(COUNT, 4)] = self._anywhere(4)

    def jump_together(self) -> None:
        self.known = self._anywhere(COUNT)

    def meet(self) -> None:
        self.known[self._number(COUNT, 3)] = self.known[0].clone()

    def collapse(self) -> None:
        self.known = normalize(self.known[:1] + 0.01 * self._anywhere(COUNT))

    def change_the_radius(self) -> None:
        self.radius = 0.05 + 0.2 * torch.rand(1, generator=self.generator).item()

    def change_a_label(self) -> None:
        self.labels[self._number(COUNT, 1)] += 1

    def change_the_extra_points(self) -> None:
        self.extra = int(self._number(20, 1))

    def change_the_targets(self) -> None:
        self.unwanted = int(self._number(COUNT + 20, 1))

    def _anywhere(self, count: int) -> Tensor:
        return normalize(torch.randn(count, len(self.scale), generator=self.generator) * self.scale)

    def _number(self, below: int, count: int) -> Tensor:
        return torch.randint(below, (count,), generator=self.generator)


EVENTS = sorted(name for name in vars(Walk) if not name.startswith("_") and name != "after")

each_width = pytest.mark.parametrize("width", [1, 3, 70])
walked = settings(searched, max_examples=25)
walks = given(events=st.lists(st.sampled_from(EVENTS), max_size=30), seed=st.integers(0, 2**20))


def gradient_and_energies(
    case: Case, radius: float, neighbors: NeighborList | None
) -> tuple[Tensor, Tensor]:
    points = case.points.clone().requires_grad_()
    law = PowerLaw(radius, radius, 4.0)
    energies = point_energies(points, case.labels, law, case.targets, neighbors)
    (gradient,) = torch.autograd.grad(energies, points, case.upstream)
    return gradient, energies.detach()


def assert_pairs_are_all_there_once(found: list[tuple[int, int]], case: Case, radius: float) -> None:
    differ = case.labels[:, None] != case.labels
    near = squared_distances(case.points, case.points) < radius**2
    assert len(found) == len(set(found))
    assert set(found) <= pairs_where(differ, case.targets)
    assert set(found) >= pairs_where(differ & near, case.targets)


@each_width
@walked
@walks
def test_pairs_on_a_walk_are_those_of_brute_force(events: list[str], seed: int, width: int) -> None:
    walk, neighbors = Walk(width, seed), NeighborList(COUNT)
    for event in events:
        case = walk.after(event)
        found = neighbors.pairs_within(walk.radius, case.points, case.labels, case.targets)
        assert_pairs_are_all_there_once(unordered(found), case, walk.radius)


@each_width
@walked
@walks
def test_a_list_changes_no_bit_on_a_walk(events: list[str], seed: int, width: int) -> None:
    walk, neighbors = Walk(width, seed), NeighborList(COUNT)
    for event in events:
        case = walk.after(event)
        with_list = gradient_and_energies(case, walk.radius, neighbors)
        without = gradient_and_energies(case, walk.radius, None)
        assert with_list[0].equal(without[0])
        assert with_list[1].equal(without[1])


@pytest.mark.parametrize("step", [0.2, 0.45, 0.49])
def test_points_that_run_into_each_other_within_their_skins(step: float) -> None:
    angles = torch.arange(0, 6.2, 0.2)
    labels = torch.arange(len(angles))
    neighbors = NeighborList(len(angles))
    list(neighbors.pairs_within(0.1, circle(angles), labels, len(angles)))
    # Neighbours approach each other from 0.2 in steps of up to half the skin of a radius of 0.1.
    for moves in range(1, 40):
        moved = circle(angles + moves * 0.05 * step * (-1) ** labels)
        found = unordered(neighbors.pairs_within(0.1, moved, labels, len(angles)))
        case = Case(moved, labels, len(angles), angles)
        assert_pairs_are_all_there_once(found, case, 0.1)


def circle(angles: Tensor) -> Tensor:
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def test_reduced_precision_of_products_loses_no_pair_of_a_list() -> None:
    walk, neighbors = Walk(3, 0), NeighborList(COUNT)
    with reduced_precision():
        for event in ["rest", "crawl", "jump_alone", "change_the_extra_points", "rest"]:
            case = walk.after(event)
            found = neighbors.pairs_within(RADIUS, case.points, case.labels, case.targets)
            assert_pairs_are_all_there_once(unordered(found), case, RADIUS)


WORK: list[tuple[str, list[tuple[int, int]]]] = [
    ("rest", []),
    ("crawl", []),
    ("change_the_targets", []),
    ("jump_alone", [(4, COUNT)]),
    ("run", [(COUNT, COUNT)]),
    ("jump_together", [(COUNT, COUNT)]),
    ("change_the_radius", [(COUNT, COUNT)]),
    ("change_a_label", [(COUNT, COUNT)]),
]


@pytest.mark.parametrize(("event", "expected"), WORK)
def test_only_what_has_moved_is_searched(
    searches: list[tuple[int, int]], event: str, expected: list[tuple[int, int]]
) -> None:
    walk, neighbors = Walk(3, 0), NeighborList(COUNT)
    for each in ["rest", event]:
        searches.clear()
        case = walk.after(each)
        list(neighbors.pairs_within(walk.radius, case.points, case.labels, case.targets))
    assert [size for size in searches if 0 not in size] == expected


def test_points_that_the_list_does_not_know_are_searched(searches: list[tuple[int, int]]) -> None:
    points, labels = random_points(COUNT + 9, 3), torch.arange(COUNT + 9)
    neighbors = NeighborList(COUNT)
    list(neighbors.pairs_within(RADIUS, points, labels, COUNT + 9))
    searches.clear()
    list(neighbors.pairs_within(RADIUS, points, labels, COUNT + 9))
    assert [size for size in searches if 0 not in size] == [(9, COUNT + 9)]


def test_strays_that_stay_are_strays_on_the_next_step(searches: list[tuple[int, int]]) -> None:
    walk, neighbors = Walk(3, 0), NeighborList(COUNT)
    for event in ["rest", "jump_alone", "rest"]:
        searches.clear()
        case = walk.after(event)
        list(neighbors.pairs_within(RADIUS, case.points, case.labels, case.targets))
    assert [size for size in searches if 0 not in size] == [(4, COUNT)]


def test_too_many_pairs_are_not_listed(searches: list[tuple[int, int]]) -> None:
    points, labels = random_points(COUNT, 3), torch.arange(COUNT)
    neighbors = NeighborList(COUNT)
    for _ in range(2):
        searches.clear()
        list(neighbors.pairs_within(1.9, points, labels, COUNT))
        assert searches == [(COUNT, COUNT)] * 2


def test_a_list_of_no_points_remembers_nothing(searches: list[tuple[int, int]]) -> None:
    points, labels = random_points(COUNT, 3), torch.arange(COUNT)
    neighbors = NeighborList(0)
    for _ in range(2):
        searches.clear()
        list(neighbors.pairs_within(RADIUS, points, labels, COUNT))
        assert searches == [(COUNT, COUNT)]


def test_labels_changed_in_place_are_seen() -> None:
    points, labels = random_points(COUNT, 3), torch.zeros(COUNT, dtype=torch.long)
    neighbors = NeighborList(COUNT)
    assert unordered(neighbors.pairs_within(RADIUS, points, labels, COUNT)) == []
    labels += torch.arange(COUNT)
    found = unordered(neighbors.pairs_within(RADIUS, points, labels, COUNT))
    assert_pairs_are_all_there_once(found, Case(points, labels, COUNT, points), RADIUS)


def test_points_changed_in_place_are_seen() -> None:
    points, labels = random_points(COUNT, 3), torch.arange(COUNT)
    neighbors = NeighborList(COUNT)
    list(neighbors.pairs_within(RADIUS, points, labels, COUNT))
    points.copy_(random_points(COUNT, 3, seed=1))
    found = unordered(neighbors.pairs_within(RADIUS, points, labels, COUNT))
    assert_pairs_are_all_there_once(found, Case(points, labels, COUNT, points), RADIUS)


def test_a_list_made_in_one_dtype_serves_another() -> None:
    points, labels = random_points(COUNT, 3), torch.arange(COUNT)
    neighbors = NeighborList(COUNT)
    list(neighbors.pairs_within(RADIUS, points, labels, COUNT))
    found = unordered(neighbors.pairs_within(RADIUS, points.double(), labels, COUNT))
    assert_pairs_are_all_there_once(found, Case(points, labels, COUNT, points), RADIUS)


def test_points_that_approach_in_coordinates_which_are_not_watched_are_found() -> None:
    generator = torch.Generator().manual_seed(3)
    points = torch.randn(COUNT, 256, generator=generator)
    points[:, 64:] *= 0.9
    points *= 0.45 / points[:, :64].norm(dim=1, keepdim=True) / 2**0.5
    labels, neighbors = torch.arange(COUNT), NeighborList(COUNT)
    assert unordered(neighbors.pairs_within(0.5, points, labels, COUNT)) == []
    points[:, 64:] = 0
    expected = pairs_where(squared_distances(points, points) < 0.5**2)
    assert len(expected) > 100
    assert set(unordered(neighbors.pairs_within(0.5, points, labels, COUNT))) >= expected
