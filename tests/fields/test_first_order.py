from typing import Any

import pytest
import torch
from torch import Tensor

from pml_potential.fields.first_order import Gradients, first_order


class Twice(torch.autograd.Function):
    """2 x, by a product whose gradient autocast would compute in half precision."""

    @staticmethod
    def forward(_: Any, x: Tensor, __: float) -> Tensor:
        return 2 * x

    @staticmethod
    @first_order
    def backward(_: Any, grad: Tensor) -> Gradients:
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
