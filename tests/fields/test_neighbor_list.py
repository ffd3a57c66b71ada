import copy
import pickle
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import FrameType
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from pml_potential.fields.neighbor_list import Candidates, NeighborList
from pml_potential.fields.plan import Plan
from pml_potential.fields.potentials import PowerLaw
from tests.fields.field_cases import (
    Case,
    assert_same_bits,
    field_of,
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

PLAN = Plan(
    few_points=0, tile_side=32, filter_step=3, cost_of_pair=100, crowded_share=1, most_listed=2**40
)
IN_BFLOAT16 = replace(PLAN, searches_in_bfloat16=True)


class Walk:
    """A batch, points that stay the same and move from step to step, and sources, in this order."""

    def __init__(self, width: int, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        # Of many coordinates all but three are narrow: some points are near each other, most are not.
        self.scale = torch.full((width,), 0.02)
        self.scale[-3:] = 1.0
        self.known = self._anywhere(COUNT)
        self.labels = self._number(7, COUNT)
        self.radius = RADIUS
        self.batch = 0
        self.sources = 0

    def after(self, event: str) -> Case:
        getattr(self, event)()
        points = [self._anywhere(self.batch), self.known, self._anywhere(self.sources)]
        labels = [self._number(7, self.batch), self.labels, self._number(7, self.sources)]
        targets = self.batch + COUNT
        return Case(torch.cat(points), torch.cat(labels), targets, torch.linspace(-1, 2, targets))

    @property
    def known_points(self) -> slice:
        return slice(self.batch, self.batch + COUNT)

    def candidates(self, case: Case, neighbor_list: NeighborList, plan: Plan = PLAN) -> list[Candidates]:
        arguments = self.radius, case.points, case.labels, case.targets, self.known_points, plan
        return list(neighbor_list.candidates(*arguments))

    def rest(self) -> None:
        """Nothing known changes; the batch and the sources are others on every step."""

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

    def change_the_batch(self) -> None:
        self.batch = int(self._number(20, 1))

    def change_the_sources(self) -> None:
        self.sources = int(self._number(20, 1))

    def _anywhere(self, count: int) -> Tensor:
        return normalize(torch.randn(count, len(self.scale), generator=self.generator) * self.scale)

    def _number(self, below: int, count: int) -> Tensor:
        return torch.randint(below, (count,), generator=self.generator)


EVENTS = [
    "rest",
    "crawl",
    "run",
    "jump_alone",
    "jump_together",
    "meet",
    "collapse",
    "change_the_radius",
    "change_a_label",
    "change_the_batch",
    "change_the_sources",
]

on_widths_and_plans = pytest.mark.parametrize(
    ("width", "plan"), [(1, PLAN), (3, IN_BFLOAT16), (70, PLAN)], ids=["1", "3, in bfloat16", "70"]
)
walked = settings(searched, max_examples=15)
walks = given(events=st.lists(st.sampled_from(EVENTS), max_size=30), seed=st.integers(0, 2**20))


def assert_pairs_are_all_there_once(found: list[tuple[int, int]], case: Case, radius: float) -> None:
    differ = case.labels[:, None] != case.labels
    near = squared_distances(case.points, case.points) < radius**2
    different = [pair for pair in found if differ[pair]]
    assert len(different) == len(set(different))
    assert set(found) <= pairs_where(torch.ones_like(differ), case.targets)
    assert set(different) >= pairs_where(differ & near, case.targets)


@on_widths_and_plans
@walked
@walks
def test_pairs_on_a_walk_are_those_of_brute_force(
    events: list[str], seed: int, width: int, plan: Plan
) -> None:
    walk, neighbors = Walk(width, seed), NeighborList()
    for event in events:
        case = walk.after(event)
        found = unordered(walk.candidates(case, neighbors, plan))
        assert_pairs_are_all_there_once(found, case, walk.radius)


@on_widths_and_plans
@walked
@walks
def test_a_list_changes_no_bit_on_a_walk(events: list[str], seed: int, width: int, plan: Plan) -> None:
    walk, neighbors = Walk(width, seed), NeighborList()
    for event in events:
        case, law = walk.after(event), PowerLaw(walk.radius, walk.radius, 4.0)
        found = field_of(case, law, plan, neighbors, COUNT)
        assert_same_bits(found, field_of(case, law, plan))


@pytest.mark.parametrize("step", [0.2, 0.45, 0.49])
def test_points_that_run_into_each_other_within_their_skins(step: float) -> None:
    angles = torch.arange(0, 6.2, 0.2)
    count = len(angles)
    labels, neighbors = torch.arange(count), NeighborList()
    rest = labels, count, slice(0, count), PLAN
    for _ in range(2):
        list(neighbors.candidates(0.1, circle(angles), *rest))
    # Neighbours approach each other from 0.2 in steps of up to half the skin of a radius of 0.1.
    for moves in range(1, 40):
        moved = circle(angles + moves * 0.05 * step * (-1) ** labels)
        found = unordered(neighbors.candidates(0.1, moved, *rest))
        assert_pairs_are_all_there_once(found, Case(moved, labels, count, angles), 0.1)


def circle(angles: Tensor) -> Tensor:
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def test_a_pair_that_meets_within_its_skins_is_found_without_a_search(
    searches: list[tuple[int, int]],
) -> None:
    angles, labels = torch.tensor([0.0, 0.14, 1.0, 2.0, 3.0]), torch.arange(5)
    rest, neighbors = (labels, 5, slice(0, 5), PLAN), NeighborList()
    for _ in range(2):
        list(neighbors.candidates(0.1, circle(angles), *rest))
    searches.clear()
    angles[:2] += torch.tensor([0.024, -0.024])
    assert (0, 1) in unordered(neighbors.candidates(0.1, circle(angles), *rest))
    assert searches == []


def test_reduced_precision_of_products_loses_no_pair_of_a_list() -> None:
    walk, neighbors = Walk(3, 0), NeighborList()
    with reduced_precision():
        for event in ["rest", "rest", "crawl", "jump_alone", "change_the_batch", "rest", "run"]:
            case = walk.after(event)
            found = unordered(walk.candidates(case, neighbors))
            assert_pairs_are_all_there_once(found, case, RADIUS)


WORK: list[tuple[str, list[tuple[int, int]]]] = [
    ("rest", []),
    ("crawl", []),
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
    walk, neighbors = Walk(3, 0), NeighborList()
    for each in ["rest", "rest", event]:
        searches.clear()
        walk.candidates(walk.after(each), neighbors)
    assert searches == expected


@pytest.mark.parametrize(
    ("events", "is_made"),
    [
        (["rest"], False),
        (["rest", "rest"], True),
        (["rest", "crawl"], True),
        (["rest", "run", "run"], False),
        (["rest", "change_a_label"], False),
        (["rest", "rest", "run"], False),
        (["rest", "rest", "run", "rest"], True),
    ],
)
def test_a_list_is_made_when_points_stand_still(events: list[str], is_made: bool) -> None:
    walk, neighbors = Walk(3, 0), NeighborList()
    for event in events:
        walk.candidates(walk.after(event), neighbors)
    assert neighbors._watched is not None
    assert (neighbors._watched.pairs is not None) == is_made


def test_points_that_the_list_does_not_know_are_searched(searches: list[tuple[int, int]]) -> None:
    walk, neighbors = Walk(3, 0), NeighborList()
    walk.batch, walk.sources = 9, 5
    for _ in range(3):
        searches.clear()
        walk.candidates(walk.after("rest"), neighbors)
    assert searches == [(9, COUNT + 14), (5, COUNT + 9)]


def test_strays_that_stay_are_strays_on_the_next_step(searches: list[tuple[int, int]]) -> None:
    walk, neighbors = Walk(3, 0), NeighborList()
    for event in ["rest", "rest", "jump_alone", "rest"]:
        searches.clear()
        walk.candidates(walk.after(event), neighbors)
    assert searches == [(4, COUNT)]


@pytest.mark.parametrize(
    ("share", "expected"), [(4 / COUNT, [(4, COUNT)]), (3.9 / COUNT, [(COUNT, COUNT)])]
)
def test_a_list_is_made_anew_when_strays_are_many(
    searches: list[tuple[int, int]], share: float, expected: list[tuple[int, int]]
) -> None:
    walk, neighbors = Walk(3, 0), NeighborList()
    plan = Plan(few_points=0, crowded_share=1, largest_share_of_strays=share)
    for event in ["rest", "rest", "jump_alone"]:
        searches.clear()
        walk.candidates(walk.after(event), neighbors, plan)
    assert searches == expected


@pytest.mark.parametrize(
    "plan",
    [Plan(few_points=0, most_listed=20, crowded_share=1), Plan(few_points=0, crowded_share=0.001)],
)
def test_too_many_pairs_are_not_remembered(plan: Plan, searches: list[tuple[int, int]]) -> None:
    points, labels, neighbors = random_points(COUNT, 3), torch.arange(COUNT), NeighborList()
    for _ in range(2):
        searches.clear()
        found = unordered(neighbors.candidates(1.9, points, labels, COUNT, slice(0, COUNT), plan))
        assert searches == [(COUNT, COUNT)]
        assert_pairs_are_all_there_once(found, Case(points, labels, COUNT, points), 1.9)


def test_more_pairs_than_a_sample_foretold_are_not_remembered(searches: list[tuple[int, int]]) -> None:
    points, labels, neighbors = random_points(COUNT, 3), torch.arange(COUNT), NeighborList()
    assert (points[0] - points[COUNT // 2]).norm() > 3 * RADIUS
    plan = Plan(few_points=0, tile_side=16, sampled_points=2, most_listed=20, crowded_share=1)
    for _ in range(2):
        searches.clear()
        found = neighbors.candidates(RADIUS, points, labels, COUNT, slice(0, COUNT), plan)
        assert_pairs_are_all_there_once(unordered(found), Case(points, labels, COUNT, points), RADIUS)
        assert searches == [(COUNT, COUNT)]


def test_where_no_point_is_known_nothing_is_remembered(searches: list[tuple[int, int]]) -> None:
    points, labels, neighbors = random_points(COUNT, 3), torch.arange(COUNT), NeighborList()
    for _ in range(2):
        searches.clear()
        list(neighbors.candidates(RADIUS, points, labels, COUNT, slice(0, 0), PLAN))
        assert searches == [(COUNT, COUNT)]


def test_a_search_that_is_given_up_leaves_no_list(searches: list[tuple[int, int]]) -> None:
    walk, neighbors = Walk(3, 0), NeighborList()
    case = walk.after("rest")
    rest = (
        case.points,
        case.labels,
        COUNT,
        walk.known_points,
        Plan(few_points=0, tile_side=8, crowded_share=1),
    )
    next(neighbors.candidates(RADIUS, *rest))
    searches.clear()
    found = unordered(neighbors.candidates(RADIUS, *rest))
    assert searches == [(COUNT, COUNT)]
    assert_pairs_are_all_there_once(found, case, RADIUS)


def found_after(change: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> None:
    """All pairs are there after points or labels have changed behind the list's back."""
    points, labels, neighbors = random_points(COUNT, 3), torch.arange(COUNT) % 9, NeighborList()
    rest = COUNT, slice(0, COUNT), PLAN
    list(neighbors.candidates(RADIUS, points, labels, *rest))
    points, labels = change(points, labels)
    found = unordered(neighbors.candidates(RADIUS, points, labels, *rest))
    assert_pairs_are_all_there_once(found, Case(points, labels, COUNT, points), RADIUS)


def test_labels_changed_in_place_are_seen() -> None:
    found_after(lambda points, labels: (points, labels.copy_(torch.arange(COUNT))))


def test_points_changed_in_place_are_seen() -> None:
    found_after(lambda points, labels: (points.copy_(random_points(COUNT, 3, seed=1)), labels))


def test_few_points_changed_in_place_are_seen() -> None:
    def change(points: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        points[:3] = points[-3:]
        return points, labels

    found_after(change)


def test_a_list_made_in_one_dtype_serves_another() -> None:
    found_after(lambda points, labels: (points.double(), labels))


def test_points_that_approach_in_coordinates_which_are_not_watched_are_found() -> None:
    generator = torch.Generator().manual_seed(3)
    points = torch.randn(COUNT, 256, generator=generator)
    points[:, 64:] *= 0.9
    points *= 0.45 / points[:, :64].norm(dim=1, keepdim=True) / 2**0.5
    labels, neighbors = torch.arange(COUNT), NeighborList()
    rest = (
        labels,
        COUNT,
        slice(0, COUNT),
        Plan(few_points=0, filter_step=64, cost_of_pair=0, crowded_share=1),
    )
    for _ in range(2):
        list(neighbors.candidates(0.5, points, *rest))
    points[:, 64:] = 0
    expected = pairs_where(squared_distances(points, points) < 0.5**2)
    assert len(expected) > 100
    assert set(unordered(neighbors.candidates(0.5, points, *rest))) >= expected


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_remember_nothing_and_find_the_same_pairs(
    copied: Callable[[NeighborList], NeighborList], searches: list[tuple[int, int]]
) -> None:
    walk, neighbors = Walk(3, 0), NeighborList()
    case = walk.after("rest")
    expected = unordered(walk.candidates(case, neighbors))
    for _ in range(2):
        walk.candidates(case, neighbors)
    searches.clear()
    assert unordered(walk.candidates(case, copied(neighbors))) == expected
    assert searches == [(COUNT, COUNT)]


class Replacement:
    """Puts another list in the place of what a list remembers, at one line of its search."""

    def __init__(self, neighbors: NeighborList, other: NeighborList, line: int) -> None:
        self.neighbors, self.other, self.line = neighbors, other, line
        self.lines = 0

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code is not NeighborList.candidates.__code__:
            return None
        if event == "line":
            self.lines += 1
            if self.lines == self.line:
                self.neighbors._watched = self.other._watched
        return self


@pytest.mark.parametrize("own_first", [True, False])
def test_another_thread_may_replace_the_list_at_any_line(own_first: bool) -> None:
    one, other = Walk(3, 0), Walk(3, 1)
    one.batch, other.sources = 9, 9
    case, others_case = one.after("rest"), other.after("rest")
    own, others = NeighborList(), NeighborList()
    for _ in range(2):
        one.candidates(case, own)
        other.candidates(others_case, others)
    first, second = (own, others) if own_first else (others, own)
    for line in range(1, 100):
        neighbors = NeighborList()
        neighbors._watched = first._watched
        replacement, before = Replacement(neighbors, second, line), sys.gettrace()
        sys.settrace(replacement)
        found = one.candidates(case, neighbors)
        sys.settrace(before)
        assert_pairs_are_all_there_once(unordered(found), case, one.radius)
        if replacement.lines < line:
            break
    assert line > 5
    assert replacement.lines < line


@pytest.fixture
def threads_take_turns_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("threads_take_turns_often")
def test_threads_that_share_a_list_get_the_field_of_their_points() -> None:
    """Two of four threads always find the list of the other two, with other labels, and replace it."""
    neighbors, jobs = NeighborList(), []
    for seed in range(2):
        walk = Walk(3, seed)
        walk.batch, law = seed, PowerLaw(RADIUS, RADIUS, 4.0)
        case = walk.after("rest")
        jobs.append((case, law, field_of(case, law, PLAN)))

    def differences(job: int) -> int:
        case, law, expected = jobs[job]
        differing = 0
        for _ in range(40):
            found = field_of(case, law, PLAN, neighbors, COUNT)
            differing += not (found[0].equal(expected[0]) and found[1].equal(expected[1]))
        return differing

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(differences, [0, 1, 0, 1])) == [0] * 4
