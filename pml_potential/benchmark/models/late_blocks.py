"""The late blocks of an EfficientNet-Lite as matrix products: twice as fast to train on one core.

Maps have the shape (channels, images * places). A convolution of 1 x 1 is then one product. A depthwise
convolution of maps as small as 8 x 8 is a matrix from places to places for each channel. BatchNorm uses
its running statistics, and becomes a factor of the weights and an offset. The parameters are those of
the network; only the order of the sums differs.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import relu6, unfold

LARGEST_SIDE = 8
"""Largest side of the input maps; on larger ones convolutions are as fast."""


def can_be_products(backbone: Any, activations: Tensor) -> bool:
    """Whether ``late_maps`` can compute the blocks that take these activations.

    It can on a CPU, with square maps of up to 8 x 8, BatchNorm in evaluation mode, and no autocast.
    """
    height, width = activations.shape[2:]
    is_small = height == width <= LARGEST_SIDE
    is_frozen = not any(
        module.training for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)
    )
    return (
        is_small
        and is_frozen
        and activations.device.type == "cpu"
        and not torch.is_autocast_enabled("cpu")
    )


def late_maps(backbone: Any, first: int, activations: Tensor) -> Tensor:
    """The last feature maps of a network from the input of one of its blocks.

    Args:
        backbone: ``efficientnet_lite_pytorch.EfficientNet``.
        first: number of the block.
        activations: its input, (n, channels, side, side).

    Returns:
        (n, 1280, side, side), as ``backbone.extract_features`` gives them.
    """
    images, _, side, _ = activations.shape
    maps = activations.transpose(0, 1).flatten(1)
    for number, block in enumerate(backbone._blocks[first:], start=first):
        entered = maps
        maps = relu6(_pointwise(block._expand_conv, block._bn0, maps))
        taps = _taps_of(block._depthwise_conv, side)
        side = round(taps.shape[2] ** 0.5)
        maps = relu6(_depthwise(block._depthwise_conv, block._bn1, taps, maps, images))
        maps = _pointwise(block._project_conv, block._bn2, maps)
        if maps.shape == entered.shape:
            maps = _dropped(backbone, number, block.training, maps, images) + entered
    maps = _pointwise(backbone._conv_head, backbone._bn1, maps)
    last: Tensor = relu6(maps).unflatten(1, (images, side, side))
    return last.transpose(0, 1)


def _dropped(backbone: Any, number: int, training: bool, maps: Tensor, images: int) -> Tensor:
    """Stochastic depth, with the random numbers that the network itself would draw."""
    rate = (backbone._global_params.drop_connect_rate or 0.0) * number / len(backbone._blocks)
    if not training or rate == 0:
        return maps
    kept = torch.floor(1 - rate + torch.rand([images, 1, 1, 1], dtype=maps.dtype))
    factors = (kept / (1 - rate)).view(images, 1)
    dropped: Tensor = maps.unflatten(1, (images, -1)) * factors
    return dropped.flatten(1)


def _pointwise(convolution: Any, norm: Any, maps: Tensor) -> Tensor:
    scale, shift = _affine(norm)
    kernels: Tensor = convolution.weight.flatten(1) * scale[:, None]
    found: Tensor = torch.addmm(shift[:, None], kernels, maps)
    return found


def _depthwise(convolution: Any, norm: Any, taps: Tensor, maps: Tensor, images: int) -> Tensor:
    scale, shift = _affine(norm)
    kernels: Tensor = convolution.weight.flatten(1) * scale[:, None]
    moves: Tensor = (kernels @ taps.flatten(1)).unflatten(1, taps.shape[1:])
    found: Tensor = torch.baddbmm(shift[:, None, None], maps.unflatten(1, (images, -1)), moves)
    return found.flatten(1)


def _affine(norm: Any) -> tuple[Tensor, Tensor]:
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale


def _taps_of(convolution: Any, side: int) -> Tensor:
    padding = getattr(convolution.static_padding, "padding", (0, 0, 0, 0))
    return _taps(side, padding, tuple(convolution.kernel_size), tuple(convolution.stride))


@cache
def _taps(
    side: int, padding: tuple[int, int, int, int], kernel: tuple[int, int], stride: tuple[int, int]
) -> Tensor:
    """For each weight of a kernel, the matrix (input places, output places) that it multiplies."""
    single_places = torch.eye(side**2).view(-1, 1, side, side)
    columns: Tensor = unfold(nn.functional.pad(single_places, padding), kernel, stride=stride)
    return columns.transpose(0, 1).contiguous()
