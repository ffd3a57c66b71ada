import math
from typing import Any

import pytest
import torch
from torch import Tensor

from pml_potential import PotentialFieldLoss
from tests.losses.loss_cases import (
    NUM_CLASSES,
    all_gradients,
    batch,
    batch_with_core_pair,
    build,
    each_precision,
)
from tests.losses.oracles import field_energies, power_law

SETTINGS: list[dict[str, Any]] = [
    {},
    {"alpha": 0, "delta": 0.6},
    {"alpha": 1, "delta": 0.9},
    {"alpha": 2.5, "delta": 0.3, "delta_rep": 0.8},
    {"alpha": 2.5, "delta": 0.8, "delta_rep": 0.3},
    {"alpha": 0, "delta": 0.3, "delta_rep": 1.2},
    {"alpha": 6, "delta": 0.1},
    {"alpha": 4, "delta": 0.5, "proxies_per_class": 0},
    {"alpha": 3, "delta": 2.0, "proxies_per_class": 1},
]
EVERYBODY = (0, 1, 2, 3)


def oracle(loss: Any, embeddings: Tensor, labels: Tensor) -> float:
    points = embeddings.tolist() + loss.proxies.tolist()
    point_labels = labels.tolist() + [
        c for c in range(NUM_CLASSES) for _ in range(len(loss.proxies) // NUM_CLASSES)
    ]
    laws = power_law(loss.alpha, loss.delta, loss.delta_rep, loss.core_radius)
    return sum(field_energies(points, point_labels, laws, len(points))) / len(points)


@each_precision
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("classes", [EVERYBODY, (2, 0)])
def test_value_is_the_mean_energy(
    settings: dict[str, Any], classes: tuple[int, ...], dtype: torch.dtype, tolerance: float
) -> None:
    loss = build(PotentialFieldLoss, dtype, **settings)
    embeddings, labels = batch(dtype, classes=classes)
    expected = oracle(loss, embeddings, labels)
    assert loss(embeddings, labels).item() == pytest.approx(expected, rel=tolerance)


@each_precision
@pytest.mark.parametrize(("alpha", "core_radius"), [(0, None), (1, 0.01), (4, 0.01), (4, 0.2)])
def test_value_holds_in_the_core(
    alpha: float, core_radius: float | None, dtype: torch.dtype, tolerance: float
) -> None:
    loss = build(PotentialFieldLoss, dtype, alpha=alpha, core_radius=core_radius)
    embeddings, labels = batch_with_core_pair(dtype)
    expected = oracle(loss, embeddings, labels)
    assert loss(embeddings, labels).item() == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("alpha", [0, 1, 2])
@pytest.mark.parametrize("points", [batch, batch_with_core_pair])
def test_gradient_is_that_of_the_value(alpha: float, points: Any) -> None:
    loss = build(PotentialFieldLoss, torch.float64, alpha=alpha, delta=0.5, delta_rep=0.7)
    embeddings, labels = points(torch.float64)

    def value(embeddings: Tensor, proxies: Tensor) -> Tensor:
        result: Tensor = torch.func.functional_call(loss, {"proxies": proxies}, (embeddings, labels))
        return result

    assert torch.autograd.gradcheck(value, (embeddings, loss.proxies), eps=1e-7, rtol=1e-4)


def pair_apart(distance: float, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Two embeddings that float32 can hold and normalise as far apart as asked for."""
    embeddings = torch.tensor([[1.0, 0.0, 0.0], [1.0, distance, 0.0]], dtype=torch.float32)
    return embeddings.to(dtype), torch.tensor([0, 1])


def loss_without_proxies(dtype: torch.dtype = torch.float32, **arguments: Any) -> Any:
    return build(PotentialFieldLoss, dtype, proxies_per_class=0, **arguments)


def separation(embeddings: Tensor) -> float:
    first, second = torch.nn.functional.normalize(embeddings.double())
    return math.dist(first.tolist(), second.tolist())


@pytest.mark.parametrize("distance", [1e-3, 1e-5, 1e-7])
@pytest.mark.parametrize("alpha", [0, 4, 8])
def test_nearly_coincident_points_are_driven_apart(distance: float, alpha: float) -> None:
    embeddings, labels = pair_apart(distance)
    gradient = all_gradients(loss_without_proxies(alpha=alpha), embeddings, labels)[1]
    assert gradient.isfinite().all()
    moved = embeddings - 1e-3 * gradient / gradient.norm()
    assert separation(moved) > separation(embeddings) + 1e-3


@pytest.mark.parametrize("distance", [1e-3, 1e-5, 1e-7])
@pytest.mark.parametrize(("alpha", "core"), [(0, 0.01), (4, 0.01), (4, 0.1), (8, 0.01), (8, 0.2)])
def test_force_in_the_core_is_that_of_its_edge(distance: float, alpha: float, core: float) -> None:
    embeddings, labels = pair_apart(distance)
    gradient = all_gradients(loss_without_proxies(alpha=alpha, core_radius=core), embeddings, labels)[1]
    force = 1 / core if alpha == 0 else alpha * core ** (-alpha - 1)
    # Either end counts the pair, and two points share the sum.
    assert gradient[0].norm().item() == pytest.approx(2 * force / 2, rel=1e-4)


@pytest.mark.parametrize("distance", [0.01, 0.001])
@pytest.mark.parametrize("alpha", [0, 4, 8])
def test_float32_gradient_of_near_points_is_that_of_float64(distance: float, alpha: float) -> None:
    generator = torch.Generator().manual_seed(3)
    direction, aside = torch.randn(2, 3, generator=generator)
    direction /= direction.norm()
    aside -= (aside @ direction) * direction
    embeddings = torch.stack([direction, direction + distance * aside / aside.norm()])
    labels = torch.tensor([0, 1])
    settings: dict[str, Any] = {"alpha": alpha, "core_radius": 0.01}
    actual = all_gradients(loss_without_proxies(**settings), embeddings, labels)[1]
    in_float64 = loss_without_proxies(torch.float64, **settings)
    exact = all_gradients(in_float64, embeddings.double(), labels)[1]
    error = (actual.double() - exact).norm() / exact.norm()
    assert error.item() < 1e-3


def test_coincident_points_of_different_classes_exert_no_force_on_each_other() -> None:
    gradient = all_gradients(loss_without_proxies(), *pair_apart(0.0))[1]
    assert gradient.abs().max() == 0


def cluster_in_the_core() -> tuple[Tensor, Tensor]:
    """Classes lined up so that the repulsion of all of them adds up on the outermost one."""
    offsets = 1e-4 * torch.arange(NUM_CLASSES)
    embeddings = torch.stack([torch.ones(NUM_CLASSES), offsets, torch.zeros(NUM_CLASSES)], dim=1)
    return embeddings, torch.arange(NUM_CLASSES)


def test_adam_survives_the_strongest_force() -> None:
    embeddings, labels = cluster_in_the_core()
    weight = torch.nn.Parameter(embeddings.clone())
    optimizer = torch.optim.Adam([weight], lr=1e-3)
    loss = loss_without_proxies(alpha=8, delta=0.05, core_radius=0.01)
    loss(weight, labels).backward()
    optimizer.step()
    assert optimizer.state[weight]["exp_avg_sq"].isfinite().all()
    assert (weight - embeddings).abs().max() > 5e-4


def test_adam_moves_proxies_that_lie_on_one_another_almost() -> None:
    loss = build(PotentialFieldLoss, alpha=8, delta=0.05, core_radius=0.01, proxies_per_class=1)
    start, labels = cluster_in_the_core()
    loss.proxies.data = start.clone()
    optimizer = torch.optim.Adam(loss.parameters(), lr=1e-3)
    loss(start, labels).backward()
    optimizer.step()
    assert optimizer.state[loss.proxies]["exp_avg_sq"].isfinite().all()
    assert (loss.proxies - start).abs().max() > 5e-4


def test_only_pairs_that_act_have_a_gradient() -> None:
    """One class within delta, the other farther than delta_rep: plateaus everywhere."""
    embeddings = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.1, 0.0], [0.0, 0.0, 1.0]])
    gradient = all_gradients(loss_without_proxies(), embeddings, torch.tensor([0, 0, 1]))[1]
    assert gradient.abs().max() == 0


def test_delta_rep_defaults_to_delta() -> None:
    embeddings, labels = batch()
    implied = build(PotentialFieldLoss, delta=0.7)(embeddings, labels)
    assert implied == build(PotentialFieldLoss, delta=0.7, delta_rep=0.7)(embeddings, labels)


def test_alpha_zero_is_the_limit_of_small_alpha() -> None:
    embeddings, labels = batch(torch.float64)
    alpha = 1e-5
    limit = all_gradients(build(PotentialFieldLoss, torch.float64, alpha=0), embeddings, labels)
    near = all_gradients(build(PotentialFieldLoss, torch.float64, alpha=alpha), embeddings, labels)
    torch.testing.assert_close(near[1] / alpha, limit[1], rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(near[2] / alpha, limit[2], rtol=1e-3, atol=1e-6)


def test_proxies_are_fifteen_a_class_by_default() -> None:
    assert len(PotentialFieldLoss(2, 3).proxies) == 2 * 15


def test_core_is_half_of_the_radius_of_repulsion_unless_given() -> None:
    loss = PotentialFieldLoss(2, 3, delta=0.3, delta_rep=0.4)
    assert loss.core_radius == 0.2
    assert PotentialFieldLoss(2, 3, delta=0.015).core_radius == 0.01
    loss.delta_rep = 0.6
    assert loss.core_radius == 0.3
    loss.core_radius = 0.1
    loss.delta_rep = 0.8
    assert loss.core_radius == 0.1


def test_core_that_is_larger_than_the_radius_of_repulsion_is_refused() -> None:
    with pytest.raises(ValueError, match=r"core_radius is 0\.3; it must be at most delta_rep, 0\.2"):
        PotentialFieldLoss(2, 3, delta=0.2, core_radius=0.3)


def test_numbers_that_change_count_from_the_next_call() -> None:
    embeddings, labels = batch()
    loss = build(PotentialFieldLoss)
    loss(embeddings, labels)
    loss.alpha, loss.delta = 2, 0.6
    fresh = build(PotentialFieldLoss, alpha=2, delta=0.6)
    fresh.load_state_dict(loss.state_dict())
    assert loss(embeddings, labels) == fresh(embeddings, labels)
    with pytest.raises(ValueError, match=r"delta is -1; it must lie in \(0\.01, 2\]"):
        loss.delta = -1
