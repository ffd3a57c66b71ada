from collections.abc import Callable, Iterator

import pytest
import torch

from pml_potential.fields.precision import float32_products_are_exact


@pytest.fixture(autouse=True)
def exact_afterwards() -> Iterator[None]:
    yield
    torch.set_float32_matmul_precision("highest")


def test_products_are_exact_by_default() -> None:
    assert float32_products_are_exact()


@pytest.mark.parametrize("precision", ["high", "medium"])
def test_a_reduced_precision_is_seen(precision: str) -> None:
    torch.set_float32_matmul_precision(precision)
    assert not float32_products_are_exact()


def allow_tf32() -> None:
    torch.backends.cuda.matmul.allow_tf32 = True


def set_precision_of_cuda() -> None:
    torch.backends.cuda.matmul.fp32_precision = "tf32"


def set_precision_of_mkldnn() -> None:
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"  # type: ignore[attr-defined]


@pytest.mark.skipif(
    not hasattr(torch.backends.cuda.matmul, "fp32_precision"), reason="this PyTorch has no such setting"
)
@pytest.mark.parametrize("reduce", [allow_tf32, set_precision_of_cuda, set_precision_of_mkldnn])
def test_a_reduced_precision_of_one_backend_is_seen(reduce: Callable[[], None]) -> None:
    reduce()
    assert not float32_products_are_exact()
