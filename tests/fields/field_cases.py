"""Points in every arrangement that a field may meet, its formula written out, and ways through it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from pml_potential.fields import energy, forces, neighbors, same_class
from pml_potential.fields.pairs import Block, Pairs
from pml_potential.fields.potentials import Contrastive, Logarithmic, Potential, PowerLaw

searched = settings(deadline=None, derandomize=True)

POTENTIALS: list[Potential] = [
    PowerLaw(0.5, 0.8, 2.0),
    PowerLaw(0.8, 0.5, 1.0),
    Logarithmic(0.5, 0.8),
    Contrastive(0.5, 0.5),
]
each_potential = pytest.mark.parametrize("potential", POTENTIALS, ids=repr)
each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def unordered(found: Iterable[Pairs | Block]) -> list[tuple[int, int]]:
    """All pairs of what a search yielded, the smaller index first, sorted."""
    listed = [pairs.pairs(pairs.wanted) if isinstance(pairs, Block) else pairs for pairs in found]
    pairs = [
        pair for first, second in listed for pair in zip(first.tolist(), second.tolist(), strict=True)
    ]
    return sorted((min(pair), max(pair)) for pair in pairs)


def all_pairs(count: int, targets: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(count) for j in range(i + 1, count) if i < targets]


def random_points(count: int, width: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(count, width, dtype=torch.float64, generator=generator)).to(dtype)


def squared_distances(rows: Tensor, columns: Tensor) -> Tensor:
    return (rows.double()[:, None] - columns.double()[None]).square().sum(dim=2)


@contextmanager
def reduced_precision() -> Iterator[None]:
    """Products of float32 matrices may round their factors to bfloat16."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    yield
    torch.set_float32_matmul_precision(before)


# Arrangements of n points of d coordinates, float64, of norm at most 1


def _on_the_sphere(noise: Tensor, _: torch.Generator) -> Tensor:
    return normalize(noise)


def _in_the_ball(noise: Tensor, generator: torch.Generator) -> Tensor:
    return normalize(noise) * torch.rand(len(noise), 1, dtype=noise.dtype, generator=generator)


def _with_duplicates(noise: Tensor, generator: torch.Generator) -> Tensor:
    distinct = 1 + len(noise) // 3
    return normalize(noise)[torch.randint(distinct, (len(noise),), generator=generator)]


def _on_a_line(noise: Tensor, generator: torch.Generator) -> Tensor:
    along = 2 * torch.rand(len(noise), 1, dtype=noise.dtype, generator=generator) - 1
    return along * normalize(noise[:1])


def _along_the_last_coordinate(noise: Tensor, generator: torch.Generator) -> Tensor:
    points = normalize(noise[:1]).expand_as(noise) / 2
    along = torch.rand(len(noise), 1, dtype=noise.dtype, generator=generator) - 0.5
    return torch.cat([points[:, :-1], along], dim=1)


def _with_a_pair_in_the_core(noise: Tensor, _: torch.Generator) -> Tensor:
    points = normalize(noise)
    points[1:2] = normalize(points[:1] + 0.004 * normalize(noise[-1:]))
    return points


def _collapsed(spread: float) -> Callable[[Tensor, torch.Generator], Tensor]:
    return lambda noise, _: normalize(normalize(noise[:1]) + spread * noise)


def _at_opposite_ends(spread: float) -> Callable[[Tensor, torch.Generator], Tensor]:
    def arrange(noise: Tensor, generator: torch.Generator) -> Tensor:
        sign = 2 * torch.randint(2, (len(noise), 1), generator=generator) - 1
        return sign * normalize(normalize(noise[:1]) + spread * noise)

    return arrange


ARRANGEMENTS = {
    "on the sphere": _on_the_sphere,
    "in the ball": _in_the_ball,
    "with duplicates": _with_duplicates,
    "on a line": _on_a_line,
    "along the last coordinate": _along_the_last_coordinate,
    "with a pair in the core": _with_a_pair_in_the_core,
    "on one point": _collapsed(0),
    "within 1e-3": _collapsed(1e-3),
    "within 1e-6": _collapsed(1e-6),
    "on opposite points": _at_opposite_ends(0),
    "within 1e-3 of opposite points": _at_opposite_ends(1e-3),
    "within 1e-6 of opposite points": _at_opposite_ends(1e-6),
}


@dataclass(frozen=True)
class Case:
    """Points and their labels, how many of them are targets, and a gradient of each target's energy."""

    points: Tensor
    labels: Tensor
    targets: int
    upstream: Tensor


@st.composite
def cases(
    draw: st.DrawFn,
    dtype: torch.dtype = torch.float32,
    most_points: int = 40,
    most_coordinates: int = 4,
    arrangements: Iterable[str] = tuple(ARRANGEMENTS),
) -> Case:
    count, width = draw(st.integers(1, most_points)), draw(st.integers(1, most_coordinates))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**20)))
    noise = torch.randn(count, width, dtype=torch.float64, generator=generator)
    arrange = ARRANGEMENTS[draw(st.sampled_from(sorted(arrangements)))]
    classes = draw(st.integers(1, 6) | st.just(2 * count))
    labels = torch.randint(classes, (count,), generator=generator)
    targets = draw(st.integers(1, count))
    upstream = torch.randn(targets, generator=generator)
    upstream[torch.rand(targets, generator=generator) < 0.2] = 0
    return Case(arrange(noise, generator).to(dtype), labels, targets, upstream.to(dtype))


radii = st.floats(0.02, 2)
segments_and_tile_rows = st.tuples(st.integers(1, 6), st.integers(1, 16)) | st.tuples(
    st.integers(1, 5), st.integers(1, 4)
).map(lambda sizes: (sizes[0], sizes[0] * sizes[1]))
potentials: st.SearchStrategy[Potential] = st.one_of(
    st.builds(PowerLaw, radii, radii, st.floats(0.1, 8)),
    st.builds(Logarithmic, radii, radii),
    st.builds(Contrastive, radii, radii),
)


@dataclass(frozen=True)
class Expected:
    """Energies and gradient by the formula, and the scales by which to judge an error in them.

    Args:
        energies: (targets,).
        excess: Σ_j |psi_ij - plateau|, (targets,).
        magnitude: Σ_j |psi_ij|, (targets,).
        gradient: of Σ_i upstream_i E_i, (n, d).
        forces: Σ_j of the lengths of the terms of the gradient, (n,).
    """

    energies: Tensor
    excess: Tensor
    magnitude: Tensor
    gradient: Tensor
    forces: Tensor


def field_by_differences(case: Case, potential: Potential) -> Expected:
    points, labels = case.points.double(), case.labels
    apart = points[:, None] - points[None]
    squared = apart.square().sum(dim=2)
    same = labels[:, None] == labels
    attraction, repulsion = potential.attraction(squared), potential.repulsion(squared)
    value = torch.where(same, attraction[0], repulsion[0])
    plateau = torch.where(same, potential.attraction_plateau, potential.repulsion_plateau)
    ends = torch.zeros(len(points), dtype=torch.float64)
    ends[: case.targets] = case.upstream.double()
    weight = 2 * torch.where(same, attraction[1], repulsion[1]) * (ends[:, None] + ends)
    terms = apart.mul_(weight[:, :, None])
    return Expected(
        energies=value.sum(dim=1)[: case.targets],
        excess=(value - plateau).abs().sum(dim=1)[: case.targets],
        magnitude=value.abs().sum(dim=1)[: case.targets],
        gradient=terms.sum(dim=1),
        forces=terms.norm(dim=2).sum(dim=1),
    )


def is_clear_of_the_radii(case: Case, potential: Potential) -> bool:
    """Whether no pair is so near to a radius that rounding decides whether it acts."""
    distances = squared_distances(case.points, case.points).sqrt()
    both = torch.tensor([potential.attraction_radius, potential.repulsion_radius], dtype=torch.float64)
    return bool(((distances[:, :, None] - both).abs() > 1e-6 * both).all())


# Ways through the engine


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
