import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from pml_potential.fields.potentials import (
    SMALLEST_CORE_RADIUS,
    Contrastive,
    Logarithmic,
    Potential,
    PowerLaw,
)

POTENTIALS: list[Potential] = [
    PowerLaw(0.2, 0.2, 4.0),
    PowerLaw(0.3, 0.5, 1.0),
    PowerLaw(0.5, 0.3, 2.5),
    PowerLaw(0.05, 0.05, 8.0),
    Logarithmic(0.2, 0.4),
    Contrastive(0.2, 0.2),
    Contrastive(0.4, 1.0),
]
HALVES = ["attraction", "repulsion"]
each_half = pytest.mark.parametrize("half", HALVES)
each_potential = pytest.mark.parametrize("potential", POTENTIALS, ids=repr)


def at(potential: Potential, half: str, distances: list[float]) -> tuple[Tensor, Tensor]:
    squared = torch.tensor(distances, dtype=torch.float64).square()
    result: tuple[Tensor, Tensor] = getattr(potential, half)(squared)
    return result


FORMULAS: list[tuple[Potential, str, Callable[[float], float]]] = [
    (PowerLaw(0.3, 0.5, 2.5), "attraction", lambda r: -(max(r, 0.3) ** -2.5)),
    (PowerLaw(0.3, 0.5, 2.5), "repulsion", lambda r: min(r, 0.5) ** -2.5),
    (Logarithmic(0.3, 0.5), "attraction", lambda r: math.log(max(r, 0.3))),
    (Logarithmic(0.3, 0.5), "repulsion", lambda r: -math.log(min(r, 0.5))),
    (Contrastive(0.3, 0.5), "attraction", lambda r: max(r, 0.3) ** 2),
    (Contrastive(0.3, 0.5), "repulsion", lambda r: max(0.5 - r, 0) ** 2),
]


@pytest.mark.parametrize("r", [0.011, 0.1, 0.29, 0.31, 0.45, 0.49, 0.51, 1.0, 2.0])
@pytest.mark.parametrize(("potential", "half", "formula"), FORMULAS)
def test_value_outside_the_core(
    potential: Potential, half: str, formula: Callable[[float], float], r: float
) -> None:
    value, _ = at(potential, half, [r])
    assert value.item() == pytest.approx(formula(r), rel=1e-12)


@pytest.mark.parametrize("r", [0.0, 1e-9, 1e-5, 0.003, 0.009])
@pytest.mark.parametrize(
    ("potential", "edge", "force"),
    [
        (PowerLaw(0.2, 0.2, 4.0), 0.01**-4.0, 4 * 0.01**-5.0),
        (PowerLaw(0.2, 0.2, 8.0), 0.01**-8.0, 8 * 0.01**-9.0),
        (Logarithmic(0.2, 0.2), -math.log(0.01), 1 / 0.01),
    ],
)
def test_repulsion_in_the_core_is_a_straight_line(
    potential: Potential, edge: float, force: float, r: float
) -> None:
    value, _ = at(potential, "repulsion", [r])
    assert value.item() == pytest.approx(edge + force * (SMALLEST_CORE_RADIUS - r), rel=1e-12)


@pytest.mark.parametrize("r", [0.004, 0.02, 0.1, 0.21, 0.45, 0.9, 1.9])
@each_half
@each_potential
def test_slope_is_the_derivative_by_the_squared_distance(
    potential: Potential, half: str, r: float
) -> None:
    step = 1e-6 * r**2
    ends = [math.sqrt(r**2 - step), math.sqrt(r**2 + step)]
    values, _ = at(potential, half, ends)
    _, slope = at(potential, half, [r])
    expected = ((values[1] - values[0]) / (2 * step)).item()
    assert slope.item() == pytest.approx(expected, rel=1e-5, abs=1e-9)


@each_half
@each_potential
def test_plateau_is_flat(potential: Potential, half: str) -> None:
    inner, outer = potential.attraction_radius, potential.repulsion_radius
    plateau = [0.0, 1e-4, inner / 2, inner - 1e-9]
    if half == "repulsion":
        plateau = [outer + 1e-9, (outer + 2) / 2, 2.0]
    values, slopes = at(potential, half, plateau)
    expected = torch.full_like(values, getattr(potential, f"{half}_plateau"))
    torch.testing.assert_close(values, expected, rtol=1e-12, atol=0)
    assert slopes.abs().max() == 0


@pytest.mark.parametrize("place", ["core", "attraction_radius", "repulsion_radius"])
@each_half
@each_potential
def test_value_is_continuous(potential: Potential, half: str, place: str) -> None:
    r = SMALLEST_CORE_RADIUS if place == "core" else getattr(potential, place)
    values, _ = at(potential, half, [r * (1 - 1e-9), r * (1 + 1e-9)])
    assert values[0].item() == pytest.approx(values[1].item(), rel=1e-6, abs=1e-9)


@each_potential
def test_nothing_pulls_outwards_and_nothing_pushes_inwards(potential: Potential) -> None:
    distances = torch.linspace(0, 2, 401).tolist()
    assert at(potential, "attraction", distances)[1].min() >= 0
    assert at(potential, "repulsion", distances)[1].max() <= 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@each_half
@each_potential
def test_distance_zero_is_finite_in_the_dtype_of_the_input(
    potential: Potential, half: str, dtype: torch.dtype
) -> None:
    results: tuple[Any, Any] = getattr(potential, half)(torch.zeros(3, dtype=dtype))
    assert all(result.dtype == dtype for result in results)
    assert all(result.isfinite().all() for result in results)


def test_force_of_the_power_law_decays_and_that_of_the_contrast_grows() -> None:
    near, far = 0.5, 1.5
    decaying = at(PowerLaw(0.2, 0.2, 4.0), "attraction", [near, far])[1]
    growing = at(Contrastive(0.2, 0.2), "attraction", [near, far])[1]
    assert decaying[0] * near > decaying[1] * far > 0
    assert 0 < growing[0] * near < growing[1] * far
