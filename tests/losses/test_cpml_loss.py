import math
from typing import Any

import pytest
import torch
from torch import Tensor

from pml_potential import CPMLLoss
from tests.losses.loss_cases import (
    NUM_CLASSES,
    all_gradients,
    batch,
    batch_with_core_pair,
    build,
    each_precision,
)
from tests.losses.oracles import contrastive_law, field_energies

SETTINGS: list[dict[str, Any]] = [
    {},
    {"delta": 0.02},
    {"delta": 0.7},
    {"delta": 2.0, "proxies_per_class": 1},
    {"delta": 0.7, "proxies_per_class": 0},
]


def oracle(loss: Any, embeddings: Tensor, labels: Tensor) -> float:
    points = embeddings.tolist() + loss.proxies.tolist()
    point_labels = labels.tolist() + [
        c for c in range(NUM_CLASSES) for _ in range(len(loss.proxies) // NUM_CLASSES)
    ]
    energies = field_energies(points, point_labels, contrastive_law(loss.delta), len(points))
    return sum(energies) / len(points)


@each_precision
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("classes", [(0, 1, 2, 3), (2, 0)])
@pytest.mark.parametrize("points", [batch, batch_with_core_pair])
def test_value_is_the_mean_energy(
    settings: dict[str, Any],
    classes: tuple[int, ...],
    points: Any,
    dtype: torch.dtype,
    tolerance: float,
) -> None:
    loss = build(CPMLLoss, dtype, **settings)
    embeddings, labels = points(dtype)
    labels = torch.tensor(classes)[labels % len(classes)]
    expected = oracle(loss, embeddings, labels)
    assert loss(embeddings, labels).item() == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("delta", [0.3, 0.7])
@pytest.mark.parametrize("points", [batch, batch_with_core_pair])
def test_gradient_is_that_of_the_value(delta: float, points: Any) -> None:
    loss = build(CPMLLoss, torch.float64, delta=delta)
    embeddings, labels = points(torch.float64)

    def value(embeddings: Tensor, proxies: Tensor) -> Tensor:
        result: Tensor = torch.func.functional_call(loss, {"proxies": proxies}, (embeddings, labels))
        return result

    assert torch.autograd.gradcheck(value, (embeddings, loss.proxies), eps=1e-7, rtol=1e-4)


def pull_at_angle(angle: float) -> Tensor:
    """Force between two embeddings of one class."""
    embeddings = torch.tensor([[1.0, 0.0, 0.0], [math.cos(angle), math.sin(angle), 0.0]])
    loss = build(CPMLLoss, proxies_per_class=0)
    gradient = all_gradients(loss, embeddings, torch.tensor([0, 0]))[1]
    return gradient[0].abs().max()


def test_attraction_grows_with_distance() -> None:
    assert pull_at_angle(0.1) == 0
    assert 0 < pull_at_angle(0.3) < pull_at_angle(0.6) < pull_at_angle(1.2)
