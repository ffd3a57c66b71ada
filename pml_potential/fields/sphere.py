"""Points on the unit sphere, from vectors of any length."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pml_potential.fields.first_order import Gradients, first_order

_SMALLEST_NORM = 1e-12

_COORDINATES_PER_PIECE = 2**19


def unit_points(parts: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    """Join tensors of vectors and divide every vector by its Euclidean norm.

    The values and the gradients of ``torch.nn.functional.normalize(torch.cat(parts))``, with a third of
    its copies, which take most time and memory with many proxies.

    Args:
        parts: tensors of shape (n_k, d) on one device, of any floating dtypes.
        dtype: dtype to compute in and of the result.

    Returns:
        (Σ n_k, d). A vector shorter than 1e-12 is divided by 1e-12. Differentiable once with respect
        to every part.

    Examples:
        >>> unit_points([torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 2.0]])], torch.float32)
        tensor([[0.6000, 0.8000],
                [0.0000, 1.0000]])
    """
    points: Tensor = _UnitPoints.apply(dtype, *parts)
    return points


class _UnitPoints(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, dtype: torch.dtype, *parts: Tensor) -> Tensor:
        ctx.lengths, ctx.dtypes = [len(part) for part in parts], [part.dtype for part in parts]
        points = parts[0].new_empty(sum(ctx.lengths), parts[0].shape[1], dtype=dtype)
        norms = points.new_empty(len(points), 1)
        for part, own, own_norms in zip(
            parts, points.split(ctx.lengths), norms.split(ctx.lengths), strict=True
        ):
            vectors = part.to(dtype)
            torch.linalg.vector_norm(vectors, dim=1, keepdim=True, out=own_norms)
            torch.div(vectors, own_norms.clamp_min(_SMALLEST_NORM), out=own)
        ctx.save_for_backward(points, norms)
        return points

    @staticmethod
    @first_order
    def backward(ctx: Any, saved: tuple[Tensor, ...], grad_points: Tensor) -> Gradients:
        points, norms = saved
        along = _dot_products(grad_points, points)[:, None].where(norms > _SMALLEST_NORM, 0)
        across = torch.addcmul(grad_points, points, along, value=-1)
        gradients = across.div_(norms.clamp_min(_SMALLEST_NORM)).split(ctx.lengths)
        return None, *(
            gradient.to(dtype) if needed else None
            for gradient, dtype, needed in zip(
                gradients, ctx.dtypes, ctx.needs_input_grad[1:], strict=True
            )
        )


def _dot_products(left: Tensor, right: Tensor) -> Tensor:
    """Dot product of each row with its counterpart, in pieces that stay in the cache."""
    size = max(1, _COORDINATES_PER_PIECE // left.shape[1])
    if len(left) <= size:
        return (left * right).sum(dim=1)
    pieces = zip(left.split(size), right.split(size), strict=True)
    return torch.cat([(rows * others).sum(dim=1) for rows, others in pieces])
