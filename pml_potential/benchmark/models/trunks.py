"""Trunks by name: networks from several libraries behind one function."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import get_args

import torch
from torch import nn

from pml_potential.benchmark.config.nearest import did_you_mean
from pml_potential.benchmark.config.reasons import reason_of
from pml_potential.benchmark.config.schema import ConfigError, Crop, Model
from pml_potential.benchmark.models.bn_inception import bn_inception
from pml_potential.benchmark.models.efficientnet_lite import Size, efficientnet_lite
from pml_potential.benchmark.models.identity import identity
from pml_potential.benchmark.models.small_cnn import small_cnn
from pml_potential.benchmark.models.timm_trunk import check_timm_name, image_size, timm_trunk
from pml_potential.benchmark.models.torchvision_trunk import (
    check_torchvision_name,
    torchvision_trunk,
)

_IMAGENET_SIZE = 224


@dataclass(frozen=True)
class OwnTrunk:
    """A network of this package.

    Attributes:
        build: builds it from the model's section, the colour channels, and whether to load weights.
        any_channels: whether it takes images of any number of channels; others take three.
        of_vectors: whether it takes vectors instead of images; their width counts as the channels.
    """

    build: Callable[[Model, int, bool], nn.Module]
    any_channels: bool = False
    of_vectors: bool = False


def _efficientnet_lite(size: Size) -> OwnTrunk:
    return OwnTrunk(lambda model, _channels, pretrained: efficientnet_lite(size, model, pretrained))


OWN_TRUNKS: Mapping[str, OwnTrunk] = {
    "small_cnn": OwnTrunk(small_cnn, any_channels=True),
    "bn_inception": OwnTrunk(lambda model, _channels, pretrained: bn_inception(model, pretrained)),
    **{f"efficientnet_lite{size}": _efficientnet_lite(size) for size in get_args(Size)},
    "identity": OwnTrunk(lambda model, _width, _pretrained: identity(model), True, of_vectors=True),
}
"""The networks of this package, by their names in configurations."""


def takes_any_channels(name: str) -> bool:
    """Whether a trunk takes images of any number of channels."""
    return name in OWN_TRUNKS and OWN_TRUNKS[name].any_channels


def takes_vectors(name: str) -> bool:
    """Whether a trunk takes vectors instead of images."""
    return name in OWN_TRUNKS and OWN_TRUNKS[name].of_vectors


def build_trunk(model: Model, channels: int, pretrained: bool = True) -> tuple[nn.Module, int]:
    """Build the trunk that a configuration names.

    Args:
        model: its name, weights, pooling and input.
        channels: colour channels of the data set's images, or the width of its vectors. With
            ``model.input`` the trunk always sees three.
        pretrained: whether to load ``model.weights``.

    Returns:
        The network, from (n, channels, height, width), or vectors (n, channels), to (n, features), and
        the number of features.

    Raises:
        ConfigError: There is no such trunk, its library is not installed, it does not fit the images or
            the pooling, or its weights cannot be loaded.
    """
    check_trunk_name(model.trunk)
    seen = channels if model.input is None else 3
    if seen != 3 and not takes_any_channels(model.trunk):
        raise ConfigError(
            f"model.input is null, so images keep their {channels} channel, and {model.trunk!r} "
            "takes 3; give the mean and std that it was trained with",
            ("model", "input"),
        )
    try:
        trunk, size = _build(model, seen, pretrained)
    except (OSError, RuntimeError) as error:
        if not pretrained or model.weights != "download":
            raise
        raise ConfigError(
            f"model.weights: those of {model.trunk!r} could not be downloaded: {reason_of(error)}; "
            "give a local file instead",
            ("model", "weights"),
        ) from error
    if takes_vectors(model.trunk):
        return trunk, channels
    return trunk, _count_features(trunk, seen, size)


def check_trunk_name(name: str) -> None:
    """Raise unless there is a trunk of this name.

    Args:
        name: one of ``OWN_TRUNKS``, ``timm/NAME`` or ``torchvision/NAME``.

    Raises:
        ConfigError: There is none, or its library is not installed.

    Examples:
        >>> check_trunk_name("smal_cnn")
        Traceback (most recent call last):
        ...
        pml_potential.benchmark.config.schema.ConfigError: model.trunk: there is no 'smal_cnn', did
        you mean 'small_cnn'? There are 'small_cnn', 'bn_inception', 'efficientnet_lite0',
        'efficientnet_lite1', 'efficientnet_lite2', 'identity', 'timm/NAME' and 'torchvision/NAME'
    """
    library, slash, rest = name.partition("/")
    if slash and library == "timm":
        check_timm_name(rest)
    elif slash and library == "torchvision":
        check_torchvision_name(rest)
    elif name not in OWN_TRUNKS:
        near = did_you_mean(name, [*OWN_TRUNKS, f"timm/{rest}", f"torchvision/{rest}"])
        own = ", ".join(repr(own) for own in OWN_TRUNKS)
        raise ConfigError(
            f"model.trunk: there is no {name!r}{near or '.'} There are {own}, 'timm/NAME' and "
            "'torchvision/NAME'",
            ("model", "trunk"),
        )


def check_image_size(trunk: nn.Module, model: Model, crop: Crop) -> None:
    """Raise unless the trunk takes the crops of a protocol; some take only images of one size.

    Args:
        trunk: from ``build_trunk``.
        model: what it was built from. Without an input there are no crops and nothing to check.
        crop: the protocol's.

    Raises:
        ConfigError: It does not.
    """
    if model.input is None:
        return
    try:
        _count_features(trunk, 3, crop.size)
    except (AssertionError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"protocol.crop.size is {crop.size}, and {model.trunk!r} does not take such images: "
            f"{reason_of(error)}",
            ("protocol", "crop", "size"),
        ) from error


def _build(model: Model, channels: int, pretrained: bool) -> tuple[nn.Module, int]:
    library, _, name = model.trunk.partition("/")
    if library == "timm":
        network = timm_trunk(model, name, pretrained)
        return network, image_size(network)
    if library == "torchvision":
        return torchvision_trunk(model, name, pretrained), _IMAGENET_SIZE
    return OWN_TRUNKS[model.trunk].build(model, channels, pretrained), _IMAGENET_SIZE


def _count_features(trunk: nn.Module, channels: int, size: int) -> int:
    """Find the number of features with a black image, which leaves the trunk unchanged."""
    parameter = next(trunk.parameters())
    was_training = trunk.training
    trunk.eval()
    with torch.no_grad():
        image = torch.zeros(1, channels, size, size, device=parameter.device, dtype=parameter.dtype)
        features = trunk(image)
    trunk.train(was_training)
    if features.ndim != 2:
        raise RuntimeError(
            f"it gives {tuple(features.shape)} for an image where (1, features) is expected"
        )
    return int(features.shape[1])
