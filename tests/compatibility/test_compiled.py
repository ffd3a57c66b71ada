"""``torch.compile`` gives what the losses give without it, whatever the batch."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo import config

from pml_potential import CPMLLoss
from tests.losses.loss_cases import LOSSES, all_gradients, batch, build, each_loss

Step = tuple[int, tuple[int, ...]]
"""Size of a batch, and its classes."""

# More sizes of a batch than dynamo compiles a function for.
STEPS: list[Step] = [
    (12, (0, 1, 2, 3)),
    (7, (0, 1)),
    (1, (3,)),
    (9, (2,)),
    (30, (0, 1, 2, 3)),
    (2, (1, 2)),
    (17, (3, 0)),
    (24, (0, 0, 1)),
    (5, (2, 3)),
    (11, (0, 1, 2, 3)),
]

# Raises where dynamo would give up on a function that it compiles again and again. Renamed in torch 2.6.
STRICT = {
    name: True
    for name in ("fail_on_recompile_limit_hit", "fail_on_cache_limit_hit")
    if hasattr(config, name)
}


@pytest.fixture(autouse=True)
def compiling_anew() -> Iterator[None]:
    torch.compiler.reset()
    with config.patch(STRICT):
        yield
    torch.compiler.reset()


class Trunk(torch.nn.Module):
    """A step of training up to the loss."""

    def __init__(self, loss: Any) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, embeddings: Tensor, labels: Tensor) -> Any:
        return 3 * self.loss(embeddings.tanh() - embeddings.mean(dim=0), labels)


def assert_compiled_is_eager(
    eager: Any, original: Any, compiled: Any, steps: list[Step], dtype: torch.dtype, tolerance: float
) -> None:
    """Train both for some steps, and compare their values and gradients."""
    for seed, (size, classes) in enumerate(steps):
        embeddings, labels = batch(dtype, size=size, classes=classes, seed=seed)
        expected = all_gradients(eager, embeddings, labels)
        found = all_gradients(compiled, embeddings, labels)
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance / 10)
        for parameter, other in zip(eager.parameters(), original.parameters(), strict=True):
            parameter.data -= 0.1 * parameter.grad / parameter.grad.norm()
            other.data.copy_(parameter.data)


@pytest.mark.feature("PyTorch", "`torch.compile`", "the search for pairs stays outside the graph")
@each_loss
def test_a_compiled_loss_is_the_loss(loss_class: Any) -> None:
    eager, original = build(loss_class), build(loss_class)
    compiled = torch.compile(original, backend="aot_eager", dynamic=True)
    assert_compiled_is_eager(eager, original, compiled, STEPS, torch.float32, 1e-4)


def test_sizes_become_dynamic_where_they_are_found_to_change() -> None:
    """The default, which compiles for the size of the first batch at first."""
    eager, original = build(CPMLLoss), build(CPMLLoss)
    compiled = torch.compile(original, backend="eager")
    assert_compiled_is_eager(eager, original, compiled, STEPS, torch.float32, 1e-4)


@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
def test_what_inductor_makes_of_a_trunk_and_its_loss_is_the_two() -> None:
    # Its code rounds otherwise, and where forces cancel float32 keeps three digits of what is left.
    eager, original = (Trunk(build(LOSSES[0], torch.float64)) for _ in range(2))
    # One compilation for all sizes but a batch of one: C++ takes long, and sizes are dynamo's work.
    compiled = torch.compile(original, backend="inductor", dynamic=True)
    steps = [step for step in STEPS if step[0] > 1]
    assert_compiled_is_eager(eager, original, compiled, steps, torch.float64, 1e-9)
