"""Losses that get further classes, and the same losses built with all of them."""

from typing import Any

import torch
from torch import Tensor

from tests.losses.loss_cases import NUM_CLASSES, all_gradients, batch, build

OPTIMIZERS: list[tuple[Any, dict[str, Any]]] = [
    (torch.optim.Adam, {}),
    (torch.optim.Adam, {"amsgrad": True, "foreach": True}),
    (torch.optim.AdamW, {}),
    (torch.optim.RMSprop, {}),
    (torch.optim.SGD, {"momentum": 0.9}),
    (torch.optim.SGD, {"momentum": 0.9, "foreach": True}),
]

ADDED = 3
ALL_CLASSES = NUM_CLASSES + ADDED


def batch_of_all_classes(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    return batch(dtype, size=21, classes=tuple(range(ALL_CLASSES)), seed=3)


def grown(loss_class: Any, dtype: torch.dtype = torch.float32, **arguments: Any) -> Any:
    """A loss that has worked before and after it got further classes."""
    loss = build(loss_class, dtype, **arguments)
    all_gradients(loss, *batch(dtype))
    loss.add_classes(ADDED)
    return loss


def built_large(loss: Any, dtype: torch.dtype = torch.float32) -> Any:
    """A loss built with all classes, with the parameters of one that was not."""
    large = build(type(loss), dtype, num_classes=ALL_CLASSES)
    (parameter,) = large.parameters()
    parameter.data.copy_(next(loss.parameters()).data)
    return large


def one_step(loss: Any, optimizer: torch.optim.Optimizer) -> Tensor:
    (parameter,) = loss.parameters()
    all_gradients(loss, *batch_of_all_classes())
    optimizer.step()
    moved: Tensor = parameter.detach().clone()
    return moved
