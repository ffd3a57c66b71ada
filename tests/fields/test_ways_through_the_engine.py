"""Every way through the engine gives the field of the formula, whatever its thresholds."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from torch import Tensor

from pml_potential.fields import energy, forces, neighbors, same_class
from pml_potential.fields.energy import point_energies
from pml_potential.fields.pairs import Block, Pairs
from pml_potential.fields.potentials import Logarithmic, Potential, PowerLaw
from tests.fields.field_cases import (
    ARRANGEMENTS,
    POTENTIALS,
    PRECISIONS,
    Case,
    arranged,
    assert_field_is_that_of_the_formula,
    cases,
    each_dtype,
    each_potential,
    each_precision,
    field_of,
    is_clear_of_the_radii,
    points_on_the_sphere,
    potentials,
    reduced_precision,
    searched,
    squared_distances,
)
from tests.pairwise import pairwise

STEEP = PowerLaw(0.2, 0.2, 8.0)
WAYS = [
    ("crowded", "blocks", True),
    ("crowded", "listed", False),
    ("sparse", "blocks", False),
    ("sparse", "listed", True),
    ("listed", "blocks", True),
    ("listed", "listed", False),
    ("crowded tiles", "blocks", False),
    ("crowded tiles", "listed", True),
    ("sparse tiles", "blocks", True),
    ("sparse tiles", "listed", False),
]
each_way = pytest.mark.parametrize(
    "regime",
    WAYS,
    indirect=True,
    ids=lambda way: f"{way[0]}, own class in {way[1]}, {'kept' if way[2] else 'searched again'}",
)


@dataclass
class Regime:
    """A way through the engine, entered by moving its thresholds, and what was seen on the way.

    Args:
        search: "listed", "crowded tiles", "sparse tiles", or of few points "crowded" or "sparse" ones:
            how pairs of different classes are found.
        same_class: "blocks" or "listed".
        kept: whether the slopes are kept for the backward pass.
    """

    search: str
    same_class: str
    kept: bool
    forward_passes: int = 0
    passes: int = 0
    longest_list: int = 0
    kinds: dict[str, set[type]] = field(default_factory=dict)

    def enter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(energy, "_FEW_POINTS", 2**40 if self._is_of_few() else 0)
        monkeypatch.setattr(energy, "_MOST_PAIRS", 2**40 if self.search == "listed" else -1)
        monkeypatch.setattr(energy, "_LARGEST_SHARE_OF_PAIRS", 1.0)
        monkeypatch.setattr(energy, "_KEPT_SLOPES", 2**40 if self.kept else 0)
        monkeypatch.setattr(neighbors, "CROWDED_SHARE", -1 if "crowded" in self.search else 2)
        monkeypatch.setattr(neighbors, "TILE_ROWS", 32)
        monkeypatch.setattr(neighbors, "_SEGMENT", 8)
        monkeypatch.setattr(neighbors, "FILTER_WIDTH", 8)
        most_listed = 2**40 if self.same_class == "listed" else 0
        monkeypatch.setattr(same_class, "_PAIRS_OF_SMALL_CLASS", most_listed)
        monkeypatch.setattr(same_class, "_LARGEST_SIDE", 16)
        monkeypatch.setattr(same_class, "_NUMBERS_PER_BLOCK", 2**12)
        monkeypatch.setitem(forces._COORDINATES_PER_CHUNK, "cpu", 2**14)
        self._watch(monkeypatch)

    def _watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        acting_pairs, all_forces = energy._acting_pairs, energy._all_forces
        plateaus = energy._energies_of_plateaus

        def watched_plateaus(*arguments: Any) -> Tensor:
            self.forward_passes += 1
            return plateaus(*arguments)

        def watched_pairs(*arguments: Any) -> Pairs | None:
            pairs = acting_pairs(*arguments)
            self.longest_list = max(self.longest_list, 0 if pairs is None else len(pairs[0]))
            return pairs

        def watched_forces(*arguments: Any) -> Iterator[forces.Forces]:
            self.passes += 1
            yield from all_forces(*arguments)

        monkeypatch.setattr(energy, "_energies_of_plateaus", watched_plateaus)
        monkeypatch.setattr(energy, "_acting_pairs", watched_pairs)
        monkeypatch.setattr(energy, "_all_forces", watched_forces)
        for name in ("same_class_pairs", self._searching()):
            monkeypatch.setattr(energy, name, self._watched_search(name, getattr(energy, name)))

    def _is_of_few(self) -> bool:
        return self.search in {"crowded", "sparse"}

    def _searching(self) -> str:
        return f"different_class_pairs_{'of_few' if self._is_of_few() else 'within'}"

    def _watched_search(self, name: str, search: Any) -> Any:
        def watched(*arguments: Any) -> Iterator[Pairs | Block]:
            for pairs in search(*arguments):
                self.kinds.setdefault(name, set()).add(type(pairs))
                yield pairs

        return watched

    def assert_entered(self) -> None:
        same, different = (
            self.kinds.get(name, set()) for name in ("same_class_pairs", self._searching())
        )
        assert same == {Block if self.same_class == "blocks" else tuple}
        if self.search == "listed":
            assert different == set()
            assert self.longest_list > 0
        else:
            assert different == {Block if "crowded" in self.search else tuple}
            assert self.longest_list == 0
        assert (self.passes == self.forward_passes) == self.kept


@pytest.fixture
def regime(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Regime:
    """A way through the engine that every field of the test takes."""
    regime = Regime(*request.param)
    regime.enter(monkeypatch)
    return regime


def grid(width: int, dtype: torch.dtype) -> Case:
    """Points of a grid of sixteenths: no squared distance of theirs is rounded."""
    sixteenths = [torch.arange(-4, 5), torch.arange(-4, 5), torch.arange(-2, 3)][width - 1]
    points = torch.cartesian_prod(*[sixteenths] * width).view(-1, width).to(dtype) / 16
    labels = torch.randint(3, (len(points),), generator=torch.Generator().manual_seed(0))
    return Case(points, labels, len(points), torch.linspace(-1, 2, len(points), dtype=dtype))


@each_way
@each_precision
def test_field_is_that_of_the_formula(regime: Regime, dtype: torch.dtype, tolerance: float) -> None:
    @settings(searched, max_examples=25)
    @given(case=cases(dtype, most_points=120, most_coordinates=20), potential=potentials)
    def check(case: Case, potential: Potential) -> None:
        assume(is_clear_of_the_radii(case, potential))
        assert_field_is_that_of_the_formula(case, potential, tolerance)

    check()
    regime.assert_entered()


@pytest.mark.parametrize(
    ("regime", "precision", "arrangement", "potential"),
    pairwise(WAYS, PRECISIONS, ARRANGEMENTS, [STEEP, Logarithmic(0.2, 1.9)]),
    indirect=["regime"],
    ids=str,
)
@pytest.mark.usefixtures("regime")
def test_field_of_an_odd_arrangement(
    precision: tuple[torch.dtype, float], arrangement: str, potential: Potential
) -> None:
    dtype, tolerance = precision
    case = arranged(arrangement, dtype)
    assert is_clear_of_the_radii(case, potential)
    assert_field_is_that_of_the_formula(case, potential, tolerance)


@pytest.mark.parametrize(
    ("regime", "precision", "potential", "width"),
    pairwise(
        WAYS,
        PRECISIONS,
        [PowerLaw(0.125, 0.25, 8.0), PowerLaw(0.3125, 0.3125, 2.0), Logarithmic(0.25, 0.125)],
        [1, 2, 3],
    ),
    indirect=["regime"],
    ids=str,
)
@pytest.mark.usefixtures("regime")
def test_pairs_at_the_radius_follow_the_potential(
    precision: tuple[torch.dtype, float], potential: Potential, width: int
) -> None:
    dtype, tolerance = precision
    case = grid(width, dtype)
    at_the_radius = squared_distances(case.points, case.points) == potential.repulsion_radius**2
    assert at_the_radius.any()
    assert_field_is_that_of_the_formula(case, potential, tolerance)


@each_way
@each_dtype
@pytest.mark.usefixtures("regime")
def test_coincident_points_of_different_classes_do_not_push_each_other(dtype: torch.dtype) -> None:
    places = arranged("on the sphere", dtype, count=60).points
    case = Case(places.repeat(2, 1), torch.arange(120), 120, torch.ones(120, dtype=dtype))
    apart = squared_distances(places, places).fill_diagonal_(4).sqrt().min().item()
    energies, gradient = field_of(case, PowerLaw(0.2, 0.9 * apart, 8.0))
    assert gradient.abs().max() == 0
    torch.testing.assert_close(energies, energies[:1].expand(120))


@each_way
@pytest.mark.parametrize("arrangement", ["on the sphere", "within 1e-3", "within 1e-6"])
@pytest.mark.usefixtures("regime")
def test_reduced_precision_of_products_costs_no_accuracy(arrangement: str) -> None:
    with reduced_precision():
        assert_field_is_that_of_the_formula(arranged(arrangement, torch.float32), STEEP, 1e-4)


@each_way
@pytest.mark.usefixtures("regime")
def test_autocast_changes_nothing() -> None:
    case = arranged("on the sphere", torch.float32)
    outside = field_of(case, PowerLaw(1.0, 1.0, 4.0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = field_of(case, PowerLaw(1.0, 1.0, 4.0))
    assert inside[0].equal(outside[0])
    assert inside[1].equal(outside[1])


@each_way
@pytest.mark.parametrize("potential", [POTENTIALS[0], POTENTIALS[-1]], ids=repr)
def test_gradient_is_that_of_the_energies_on_every_way(regime: Regime, potential: Potential) -> None:
    points, labels = points_on_the_sphere()
    assert torch.autograd.gradcheck(
        lambda points: point_energies(points, labels[20:], potential),
        (points[20:].requires_grad_(),),
        rtol=1e-4,
    )
    regime.assert_entered()


@each_way
@each_potential
@pytest.mark.usefixtures("regime")
def test_forces_balance(potential: Potential) -> None:
    points, labels = points_on_the_sphere()
    points.requires_grad_()
    point_energies(points, labels, potential).sum().backward()
    assert points.grad is not None
    assert points.grad.sum(dim=0).abs().max() < 1e-9 * points.grad.abs().max()


@pytest.mark.parametrize(
    ("regime", "dtype", "arrangement"),
    pairwise(WAYS, [torch.float32, torch.float64], ["on the sphere", "within 1e-3"]),
    indirect=["regime"],
    ids=str,
)
@pytest.mark.usefixtures("regime")
def test_every_way_through_gives_the_same_bits_again(dtype: torch.dtype, arrangement: str) -> None:
    case = arranged(arrangement, dtype)
    once, again = (field_of(case, Logarithmic(0.2, 1.0)) for _ in range(2))
    assert once[0].equal(again[0])
    assert once[1].equal(again[1])
