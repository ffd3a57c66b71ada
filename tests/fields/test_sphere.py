import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from pml_potential.fields import sphere
from pml_potential.fields.sphere import unit_points

LENGTHS = [1e-30, 1e-13, 1e-12, 1e-6, 1.0, 1e6, 1e18]


def vectors(count: int, seed: int = 0, width: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-14)], ids=["float32", "float64"]
)
@pytest.mark.parametrize("lengths", [[1.0], LENGTHS, [0.0, 1.0]])
@pytest.mark.parametrize("coordinates", [1, 20, 2**19])
def test_values_and_gradients_are_those_of_normalize(
    monkeypatch: pytest.MonkeyPatch,
    coordinates: int,
    dtype: torch.dtype,
    tolerance: float,
    lengths: list[float],
) -> None:
    monkeypatch.setattr(sphere, "_COORDINATES_PER_PIECE", coordinates)
    scale = torch.tensor(lengths, dtype=torch.float64)[torch.arange(12) % len(lengths), None]
    inputs = (scale * vectors(12)).to(dtype)
    parts = [part.clone().requires_grad_() for part in inputs.split([3, 0, 8, 1])]
    whole = inputs.clone().requires_grad_()
    upstream = vectors(12, seed=1).to(dtype)
    points, expected = unit_points(parts, dtype), normalize(whole)
    gradients = torch.autograd.grad(points, parts, upstream)
    (expected_gradient,) = torch.autograd.grad(expected, whole, upstream)
    torch.testing.assert_close(points, expected, rtol=tolerance, atol=tolerance)
    length = inputs.norm(dim=1, keepdim=True).clamp_min(1e-12)
    error = (torch.cat(gradients) - expected_gradient) * length
    assert error.abs().max() < 4 * tolerance


@pytest.mark.parametrize("part", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_parts_of_any_dtype_get_gradients_of_their_own(dtype: torch.dtype, part: torch.dtype) -> None:
    inputs = [vectors(3).to(part).requires_grad_(), vectors(4, seed=1).float().requires_grad_()]
    points = unit_points(inputs, dtype)
    points.sum().backward()
    assert points.dtype == dtype
    torch.testing.assert_close(points, normalize(torch.cat([each.to(dtype) for each in inputs])))
    assert [each.grad.dtype for each in inputs if each.grad is not None] == [part, torch.float32]


def test_half_precision_is_raised_before_the_norm() -> None:
    vector = torch.full((1, 400), 300.0, dtype=torch.float16)
    assert unit_points([vector], torch.float32).norm().item() == pytest.approx(1)


def test_gradient_of_unit_points() -> None:
    assert torch.autograd.gradcheck(
        lambda *parts: unit_points(parts, torch.float64),
        (vectors(3).requires_grad_(), vectors(4, seed=1).requires_grad_()),
    )


@pytest.mark.parametrize("needed", [[True, False], [False, True]])
def test_only_what_needs_a_gradient_gets_one(needed: list[bool]) -> None:
    parts = [vectors(3).requires_grad_(needed[0]), vectors(4).requires_grad_(needed[1])]
    unit_points(parts, torch.float64).sum().backward()
    assert [part.grad is not None for part in parts] == needed


def test_parts_are_left_as_they_were() -> None:
    part = vectors(3)
    unit_points([part], torch.float64)
    assert part.equal(vectors(3))


def test_a_second_derivative_of_unit_points_is_refused() -> None:
    part = vectors(3).requires_grad_()
    total = unit_points([part], torch.float64).pow(3).sum()
    (gradient,) = torch.autograd.grad(total, part, create_graph=True)
    with pytest.raises(RuntimeError, match="once, not twice"):
        gradient.sum().backward()
