from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from pml_potential import CPMLLoss, PotentialFieldLoss
from pml_potential.fields.energy import point_energies
from pml_potential.fields.first_order import Gradients, first_order
from pml_potential.fields.sphere import unit_points
from tests.fields.field_cases import POTENTIALS, points_on_the_sphere


class Twice(torch.autograd.Function):
    """2 x, by a product whose gradient autocast would compute in half precision."""

    @staticmethod
    def forward(_: Any, x: Tensor, __: float) -> Tensor:
        return 2 * x

    @staticmethod
    @first_order
    def backward(_: Any, saved: tuple[Tensor, ...], grad: Tensor) -> Gradients:
        assert saved == ()
        return grad @ (2 * torch.eye(len(grad))), None


def twice() -> tuple[Tensor, Tensor]:
    x = torch.tensor([1.001, -3.003], requires_grad=True)
    total: Tensor = Twice.apply(x, 0.0).square().sum()
    return x, total


@pytest.mark.parametrize("create_graph", [False, True])
def test_the_first_derivative_is_given(create_graph: bool) -> None:
    x, total = twice()
    (gradient,) = torch.autograd.grad(total, x, create_graph=create_graph)
    torch.testing.assert_close(gradient.detach(), 8 * x.detach())


def test_autocast_is_off_in_the_backward_pass() -> None:
    x, total = twice()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (gradient,) = torch.autograd.grad(total, x)
    assert gradient.dtype == torch.float32
    torch.testing.assert_close(gradient, 8 * x.detach())


def test_the_second_derivative_is_refused() -> None:
    x, total = twice()
    (gradient,) = torch.autograd.grad(total, x, create_graph=True)
    with pytest.raises(RuntimeError, match="once, not twice"):
        gradient.sum().backward()


def test_a_second_derivative_of_energies_is_refused() -> None:
    points, labels = points_on_the_sphere()
    points.requires_grad_()
    total = point_energies(points, labels, POTENTIALS[0]).square().sum()
    (gradient,) = torch.autograd.grad(total, points, create_graph=True)
    with pytest.raises(RuntimeError, match="once, not twice"):
        gradient.sum().backward()


def test_a_gradient_penalty_is_refused_and_not_left_out() -> None:
    points, labels = points_on_the_sphere()
    points.requires_grad_()
    total = point_energies(points, labels, POTENTIALS[0]).sum()
    (gradient,) = torch.autograd.grad(total, points, create_graph=True)
    with pytest.raises(RuntimeError, match="once, not twice"):
        torch.autograd.grad(total + gradient.square().sum(), points)


def test_a_second_derivative_is_refused_behind_the_sphere() -> None:
    points, labels = points_on_the_sphere()
    vectors = (3 * points).requires_grad_()
    energies = point_energies(unit_points([vectors], points.dtype), labels, POTENTIALS[0])
    (gradient,) = torch.autograd.grad(energies.sum(), vectors, create_graph=True)
    with pytest.raises(RuntimeError, match="once, not twice"):
        gradient.square().sum().backward()


@pytest.mark.parametrize("loss_class", [PotentialFieldLoss, CPMLLoss])
def test_a_second_derivative_of_a_loss_is_refused(loss_class: Any) -> None:
    points, labels = points_on_the_sphere()
    loss = loss_class(num_classes=5, embedding_size=3, proxies_per_class=2).double()
    inputs = points.requires_grad_(), loss.proxies
    expected = torch.autograd.grad(loss(points, labels), inputs)
    gradients = torch.autograd.grad(loss(points, labels), inputs, create_graph=True)
    assert all(a.equal(b) for a, b in zip(gradients, expected, strict=True))
    with pytest.raises(RuntimeError, match="once, not twice"):
        torch.stack([gradient.square().sum() for gradient in gradients]).sum().backward()


@pytest.mark.parametrize("loss_class", [PotentialFieldLoss, CPMLLoss])
def test_a_loss_computed_again_for_its_backward_pass_has_the_same_gradient(loss_class: Any) -> None:
    points, labels = points_on_the_sphere()
    loss = loss_class(num_classes=5, embedding_size=3, proxies_per_class=2).double()
    inputs = points.requires_grad_(), loss.proxies
    expected = torch.autograd.grad(loss(points, labels), inputs)
    value = checkpoint(loss, points, labels, use_reentrant=False)
    gradients = torch.autograd.grad(value, inputs)
    assert all(a.equal(b) for a, b in zip(gradients, expected, strict=True))
    assert all(gradient.abs().max() > 0 for gradient in gradients)


@pytest.mark.parametrize("loss_class", [PotentialFieldLoss, CPMLLoss])
@pytest.mark.parametrize("transform", [torch.func.grad, torch.func.vmap])
def test_a_transform_of_torch_func_is_refused_in_words(loss_class: Any, transform: Any) -> None:
    loss = loss_class(num_classes=3, embedding_size=4, proxies_per_class=1, check_finite=False)
    embeddings = torch.randn(2, 5, 4) if transform is torch.func.vmap else torch.randn(5, 4)
    with pytest.raises(RuntimeError, match=r"cannot be transformed by torch\.func"):
        transform(lambda batch: loss(batch, torch.tensor([0, 1, 2, 0, 1])))(embeddings)
