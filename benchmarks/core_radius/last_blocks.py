"""The trained blocks of EfficientNet-Lite0 as matrix products, several times as fast on one core.

Maps have the shape (channels, images * places). A convolution of 1 x 1 is then one product. A depthwise
convolution of maps as small as 4 x 4 is a matrix from places to places for each channel. BatchNorm uses
its running statistics, and becomes a factor of the weights and an offset. The parameters are those of
the network; only the order of the sums differs.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import relu6, unfold


class LastBlocks(nn.Module):
    """Blocks from ``first`` on, the last convolution and the mean over places.

    Args:
        network: EfficientNet-Lite0.
        first: number of the first block.
        side: of the maps that enter it, which are square.
    """

    def __init__(self, network: Any, first: int, side: int) -> None:
        super().__init__()
        self.blocks = network._blocks[first:]
        self.last_convolution = network._conv_head
        self.last_norm = network._bn1
        # Not a parameter: where each weight of a depthwise kernel leads.
        self._taps = []
        for block in self.blocks:
            taps = _taps(block._depthwise_conv, side)
            side = round(taps.shape[2] ** 0.5)
            self._taps.append(taps)

    def forward(self, activations: Tensor) -> Tensor:
        """Features (n, 1280) of activations (n, channels, side, side)."""
        images = len(activations)
        maps = activations.transpose(0, 1).flatten(1)
        for block, taps in zip(self.blocks, self._taps, strict=True):
            entered = maps
            maps = relu6(_pointwise(block._expand_conv, block._bn0, maps))
            maps = relu6(_depthwise(block._depthwise_conv, block._bn1, taps, maps, images))
            maps = _pointwise(block._project_conv, block._bn2, maps)
            if maps.shape == entered.shape:
                maps = maps + entered
        maps = relu6(_pointwise(self.last_convolution, self.last_norm, maps))
        features: Tensor = maps.unflatten(1, (images, -1)).mean(dim=2).T
        return features


def _taps(convolution: Any, side: int) -> Tensor:
    """For each weight of a kernel the matrix (places before, places after) that it multiplies."""
    single_places = torch.eye(side**2).view(-1, 1, side, side)
    padded = convolution.static_padding(single_places)
    columns: Tensor = unfold(padded, convolution.kernel_size, stride=convolution.stride)
    return columns.transpose(0, 1).contiguous()


def _pointwise(convolution: Any, norm: Any, maps: Tensor) -> Tensor:
    scale, shift = _affine(norm)
    return torch.addmm(shift[:, None], convolution.weight.flatten(1) * scale[:, None], maps)


def _depthwise(convolution: Any, norm: Any, taps: Tensor, maps: Tensor, images: int) -> Tensor:
    scale, shift = _affine(norm)
    kernels = convolution.weight.flatten(1) * scale[:, None]
    moves = (kernels @ taps.flatten(1)).unflatten(1, taps.shape[1:])
    return torch.baddbmm(shift[:, None, None], maps.unflatten(1, (images, -1)), moves).flatten(1)


def _affine(norm: Any) -> tuple[Tensor, Tensor]:
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale
