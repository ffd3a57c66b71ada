import math

import pytest
import torch
from torch import Tensor

from pml_potential.fields.class_means import (
    LOG_OF_ZERO,
    first_of_group,
    log1p_exp,
    log_add_exp,
    log_mean_exp_by_group,
)

GROUPS = torch.tensor([2, 0, 2, 2, 0, 3])


def exponents(scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return scale * torch.randn(6, 4, dtype=torch.float64, generator=generator)


def test_logarithm_of_the_mean_of_each_group() -> None:
    x = exponents()
    means = log_mean_exp_by_group(x, GROUPS, 4)
    for_group_2 = [math.log(sum(math.exp(x[i, 1]) for i in (0, 2, 3)) / 3)]
    assert means[2, 1:2].tolist() == pytest.approx(for_group_2)
    torch.testing.assert_close(means[3], x[5])


def test_mean_of_a_group_without_rows_is_zero() -> None:
    assert (log_mean_exp_by_group(exponents(), GROUPS, 5)[[1, 4]] == LOG_OF_ZERO).all()


def test_weights_weigh_the_mean() -> None:
    x = exponents()
    weights = [0.5, 1.0, 0.25, 0.0, 0.0, 0.1]
    means = log_mean_exp_by_group(x, GROUPS, 4, torch.tensor(weights).double().log())
    expected = (0.5 * math.exp(x[0, 0]) + 0.25 * math.exp(x[2, 0])) / 0.75
    assert means[2, 0].item() == pytest.approx(math.log(expected))
    torch.testing.assert_close(means[0], x[1])
    torch.testing.assert_close(means[3], x[5])


def test_mean_of_a_group_of_weight_zero_is_zero() -> None:
    log_weights = torch.tensor([0.0, 0, 0, 0, 0, -math.inf]).double()
    assert (log_mean_exp_by_group(exponents(), GROUPS, 4, log_weights)[3] == LOG_OF_ZERO).all()


@pytest.mark.parametrize("shift", [-1e5, -1000.0, 1000.0, 1e5])
def test_exponents_of_any_size_shift_the_logarithm(shift: float) -> None:
    shifted = log_mean_exp_by_group(exponents() + shift, GROUPS, 4)[[0, 2, 3]]
    expected = log_mean_exp_by_group(exponents(), GROUPS, 4)[[0, 2, 3]] + shift
    torch.testing.assert_close(shifted, expected)


def test_no_rows_at_all() -> None:
    x = torch.empty(0, 2, requires_grad=True)
    means = log_mean_exp_by_group(x, torch.empty(0, dtype=torch.long), 3)
    log1p_exp(means).sum().backward()
    assert (means == LOG_OF_ZERO).all()
    assert x.grad is not None


def test_gradient_of_the_means() -> None:
    weights = torch.tensor([0.5, 1.0, 0.25, 1.0, 0.0, 0.1]).double().log()
    assert torch.autograd.gradcheck(
        lambda x: log_mean_exp_by_group(x, GROUPS, 4, weights)[[0, 2, 3]],
        (exponents().requires_grad_(),),
    )


def test_second_derivatives_of_the_means() -> None:
    weights = torch.tensor([0.5, 1.0, 0.25, 1.0, 0.0, 0.1]).double().log()
    assert torch.autograd.gradgradcheck(
        lambda x: log1p_exp(log_mean_exp_by_group(x, GROUPS, 5, weights)),
        (exponents().requires_grad_(),),
    )


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_gradient_is_finite_where_groups_are_empty(scale: float) -> None:
    x = exponents(scale).requires_grad_()
    log1p_exp(log_mean_exp_by_group(x, GROUPS, 6)).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("x", [-800.0, -40.0, -1.0, 0.0, 3.0, 30.0])
def test_log1p_exp_is_exact(x: float) -> None:
    value = log1p_exp(torch.tensor(x, dtype=torch.float64)).item()
    assert value == pytest.approx(math.log1p(math.exp(x)), rel=1e-14, abs=0)


@pytest.mark.parametrize("x", [LOG_OF_ZERO, -800.0, -3.0, 0.0, 3.0, 79.0, 81.0, 1e6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_derivatives_of_log1p_exp_are_exact(x: float, dtype: torch.dtype) -> None:
    variable = torch.tensor(x, dtype=dtype, requires_grad=True)
    (first,) = torch.autograd.grad(log1p_exp(variable), variable, create_graph=True)
    (second,) = torch.autograd.grad(first, variable)
    slope = 1 / (1 + math.exp(-max(x, -700.0)))
    assert first.item() == pytest.approx(slope, rel=1e-6, abs=1e-30)
    assert second.item() == pytest.approx(slope * (1 - slope), rel=1e-6, abs=1e-30)


@pytest.mark.parametrize("other", [LOG_OF_ZERO, -800.0, 0.3, 5.0, 800.0])
@pytest.mark.parametrize("one", [LOG_OF_ZERO, -800.0, 0.3, 800.0])
def test_log_add_exp_and_its_derivatives(one: float, other: float) -> None:
    x, y = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (one, other))
    value = log_add_exp(x, y)
    assert value.item() == torch.logaddexp(x, y).item()
    (first,) = torch.autograd.grad(value, x, create_graph=True)
    (second,) = torch.autograd.grad(first, x)
    slope = torch.sigmoid(x - y)
    # For two numbers that both stand for zero it is any number, and finite.
    if max(one, other) > LOG_OF_ZERO:
        torch.testing.assert_close((first, second), (slope, slope * (1 - slope)))
    assert first.isfinite()
    assert second.isfinite()


@pytest.mark.parametrize(("x", "expected"), [(-math.inf, 0.0), (1e6, 1e6)])
def test_log1p_exp_at_the_ends(x: float, expected: float) -> None:
    assert log1p_exp(torch.tensor(x)).item() == expected


def test_first_row_of_each_group() -> None:
    assert first_of_group(torch.tensor([3, 1, 1, 0, 2, 3]), 4).tolist() == [3, 1, 4, 0]
