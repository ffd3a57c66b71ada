import pytest
import torch
from torch import Tensor

from pml_potential.fields import pair_sum
from pml_potential.fields.pair_sum import sum_over_pairs

each_tile = pytest.mark.parametrize("tile_rows", [1, 4, 7, 1024])


def kernel(rows: Tensor, columns: Tensor) -> Tensor:
    """A symmetric function that is not zero for a vector and itself."""
    return (rows @ columns.T / 3).exp()


def vectors(count: int = 11) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, 4, dtype=torch.float64, generator=generator).requires_grad_()


def sum_by_loops(vectors: Tensor) -> Tensor:
    terms = [
        kernel(vectors[i : i + 1], vectors[j : j + 1]).sum()
        for i in range(len(vectors))
        for j in range(len(vectors))
        if i != j
    ]
    return torch.stack(terms).sum()


@each_tile
def test_sum_and_gradient_are_those_of_loops(monkeypatch: pytest.MonkeyPatch, tile_rows: int) -> None:
    monkeypatch.setattr(pair_sum, "_TILE_ROWS", tile_rows)
    x = vectors()
    total, expected = sum_over_pairs(kernel, x), sum_by_loops(x)
    torch.testing.assert_close(total, expected)
    gradient, expected_gradient = (torch.autograd.grad(2 * y, x)[0] for y in (total, expected))
    torch.testing.assert_close(gradient, expected_gradient)


@each_tile
def test_gradient_of_a_sum_over_pairs(monkeypatch: pytest.MonkeyPatch, tile_rows: int) -> None:
    monkeypatch.setattr(pair_sum, "_TILE_ROWS", tile_rows)
    assert torch.autograd.gradcheck(lambda x: sum_over_pairs(kernel, x), (vectors(),))


@pytest.mark.parametrize("count", [0, 1])
def test_less_than_two_vectors_have_no_pair(count: int) -> None:
    x = vectors(count)
    total = sum_over_pairs(kernel, x)
    total.backward()
    assert total.item() == 0
    assert x.grad is not None
    assert x.grad.count_nonzero() == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_sum_has_the_dtype_of_the_vectors(dtype: torch.dtype) -> None:
    assert sum_over_pairs(kernel, vectors().to(dtype)).dtype == dtype


def test_a_second_derivative_of_a_sum_over_pairs_is_refused() -> None:
    x = vectors()
    (gradient,) = torch.autograd.grad(sum_over_pairs(kernel, x).square(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once, not twice"):
        gradient.sum().backward()
