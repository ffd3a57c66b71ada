"""The losses of a field against its formula: values and gradients, on the training device."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.loss_step_case import Case, Inputs
from pml_potential import CPMLLoss, PotentialFieldLoss
from pml_potential.fields import gpu_field
from pml_potential.fields.formula import energies_by_formula

LOSSES: Mapping[str, Any] = {
    "PotentialFieldLoss, alpha 4, delta 0.2": (PotentialFieldLoss, {"alpha": 4.0, "delta": 0.2}),
    "PotentialFieldLoss, alpha 1, delta 0.8": (PotentialFieldLoss, {"alpha": 1.0, "delta": 0.8}),
    "PotentialFieldLoss, alpha 0, delta 0.5": (PotentialFieldLoss, {"alpha": 0.0, "delta": 0.5}),
    "CPMLLoss, delta 0.5": (CPMLLoss, {"delta": 0.5}),
}
"""One for each law of the field, and a second radius for the first."""

ALLOWED = {torch.float32: 1e-4, torch.bfloat16: 1e-4 + 2**-8}
"""Allowed relative error of values and gradients, by the type of the embeddings and gradients."""


@dataclass(frozen=True)
class Shape:
    """How many points there are: neither multiples of a tile, nor of each other."""

    classes: int
    proxies_per_class: int
    width: int
    batch_size: int

    @property
    def points(self) -> int:
        """Embeddings and proxies together."""
        return self.batch_size + self.classes * self.proxies_per_class


SHAPES = (
    Shape(1, 1, 3, 1),
    Shape(5, 3, 16, 18),
    Shape(20, 5, 123, 27),
    Shape(36, 7, 3, 1),
    Shape(100, 4, 129, 107),
    Shape(100, 15, 512, 128),
    Shape(2000, 2, 64, 99),
    Shape(2801, 2, 128, 130),
)


def check_loss(loss: str, shapes: Sequence[Shape], device: torch.device) -> dict[str, Any]:
    """Compare a loss with its formula for every shape, state and type.

    Args:
        loss: a key of ``LOSSES``.
        shapes: of the points.
        device: where the loss and the formula compute, the formula in float64.

    Returns:
        ``engine``: gpu_kernels or pairs, ``checks``: an entry for each case, and whether all
        ``are_right``.
    """
    checks = [
        _check(loss, shape, state, dtype, device)
        for shape in shapes
        for state in ("random", "clustered")
        for dtype in ALLOWED
    ]
    return {
        "engine": "gpu_kernels" if gpu_field.are_usable(torch.ones(1, device=device)) else "pairs",
        "are_right": all(check["is_right"] for check in checks),
        "checks": checks,
    }


def _check(
    name: str, shape: Shape, state: str, dtype: torch.dtype, device: torch.device
) -> dict[str, Any]:
    inputs = Inputs(Case("", state, **asdict(shape)), device)
    loss_class, arguments = LOSSES[name]
    loss = loss_class(shape.classes, shape.width, shape.proxies_per_class, **arguments).to(device)
    loss.proxies.data.copy_(inputs.proxies)
    embeddings = inputs.embeddings.detach().to(dtype).requires_grad_()
    value = loss(embeddings, inputs.labels)
    slopes_found = torch.autograd.grad(value, [embeddings, loss.proxies])
    found = torch.cat([slope.double() for slope in slopes_found])
    expected, slopes = _by_formula(loss, embeddings, inputs)
    errors = {
        "value_error": _relative(abs(value.item() - expected), abs(expected)),
        "gradient_error": _relative((found - slopes).norm().item(), slopes.norm().item()),
    }
    return {
        **asdict(shape),
        "state": state,
        "dtype": str(dtype).removeprefix("torch."),
        **errors,
        "is_right": max(errors.values()) <= ALLOWED[dtype],
    }


def _relative(error: float, size: float) -> float:
    """The relative error; the absolute one if the right value is 0, as when no pair acts."""
    return error / size if size else error


def _by_formula(loss: Any, embeddings: Tensor, inputs: Inputs) -> tuple[float, Tensor]:
    """Value and gradient in float64, by autograd."""
    points = torch.cat([embeddings.detach().double(), loss.proxies.detach().double()]).requires_grad_()
    labels = torch.cat([inputs.labels, inputs.proxy_labels])
    value = energies_by_formula(normalize(points), labels, loss.potential).mean()
    (slopes,) = torch.autograd.grad(value, points)
    return value.item(), slopes
