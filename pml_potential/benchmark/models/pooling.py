"""From a feature map to a vector."""

from typing import Literal

from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, adaptive_max_pool2d

Pooling = Literal["avg", "max", "avg_max"]


class GlobalPool(nn.Module):
    """Mean, maximum, or the sum of both, of each channel of a feature map.

    Args:
        pooling: ``avg``, ``max`` or ``avg_max``.

    Examples:
        >>> import torch
        >>> GlobalPool("avg_max")(torch.tensor([[[[1.0, 3.0]]]])).item()
        5.0
    """

    def __init__(self, pooling: Pooling) -> None:
        super().__init__()
        self._pooling = pooling

    def forward(self, maps: Tensor) -> Tensor:
        """Pool (n, c, h, w) to (n, c, 1, 1)."""
        if self._pooling == "avg":
            return adaptive_avg_pool2d(maps, 1)
        if self._pooling == "max":
            return adaptive_max_pool2d(maps, 1)
        return adaptive_avg_pool2d(maps, 1) + adaptive_max_pool2d(maps, 1)

    def extra_repr(self) -> str:
        """Return the kind of pooling, which ``repr`` shows."""
        return self._pooling
