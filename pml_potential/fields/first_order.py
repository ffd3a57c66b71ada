"""Backward passes written by hand: full precision, and a clear error for second derivatives."""

from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn

import torch
from torch import Tensor

Gradients = tuple[Tensor | None, ...]


def first_order(backward: Callable[..., Gradients]) -> Callable[..., Gradients]:
    """Decorate the ``backward`` of an autograd function whose gradients have no gradients themselves.

    ``backward`` gets the context, the saved tensors, which can be read only once under
    ``torch.utils.checkpoint``, and the gradients of the outputs.

    Raises:
        RuntimeError: When the gradients that it returned are differentiated.
    """

    @wraps(backward)
    def wrapper(ctx: Any, *grad_outputs: Tensor) -> Gradients:
        device, saved = grad_outputs[0].device.type, ctx.saved_tensors
        with torch.no_grad(), torch.autocast(device, enabled=False):
            gradients = backward(ctx, saved, *grad_outputs)
        # With create_graph, the gradients must stay connected to their inputs: autograd would treat
        # them as constants, and silently leave out their derivatives.
        origins = [origin for origin in (*saved, *grad_outputs) if origin.requires_grad]
        if not torch.is_grad_enabled() or not origins:
            return gradients
        return tuple(
            None if gradient is None else _FirstOrder.apply(gradient, *origins) for gradient in gradients
        )

    return wrapper


class _FirstOrder(torch.autograd.Function):
    @staticmethod
    def forward(_: Any, gradient: Tensor, *origins: Tensor) -> Tensor:
        del origins
        return gradient.view_as(gradient)

    @staticmethod
    def backward(*_: Any) -> NoReturn:
        raise RuntimeError(
            "this loss can be differentiated once, not twice: leave out what needs second derivatives "
            "of it, such as a gradient penalty or a second-order optimizer"
        )
