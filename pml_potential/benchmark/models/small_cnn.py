"""A network that is small enough to train on a CPU."""

from torch import nn

from pml_potential.benchmark.config.schema import ConfigError, Model
from pml_potential.benchmark.models.pooling import GlobalPool
from pml_potential.benchmark.models.weights import load_weights


def small_cnn(model: Model, channels: int, pretrained: bool) -> nn.Module:
    """Three convolutions and a pooled response of each filter, for images of about 32 x 32.

    A maximum does not depend on where in the image a shape lies: on letters it learns far faster than a
    mean, so its preset has ``pooling: max``.

    Args:
        model: pooling, and a local file of weights, if any.
        channels: colour channels of the images.
        pretrained: whether to load that file.

    Returns:
        The network, from (n, channels, height, width) to (n, 96).

    Raises:
        ConfigError: The weights are to be downloaded, or cannot be loaded.
    """
    trunk = nn.Sequential(
        *_convolution(channels, 24, kernel_size=5, stride=2),
        *_convolution(24, 48, kernel_size=3, stride=2),
        *_convolution(48, 96, kernel_size=3, stride=1),
        GlobalPool(model.pooling),
        nn.Flatten(),
    )
    if pretrained and model.weights == "download":
        raise ConfigError(
            "model.weights: there is nothing to download for 'small_cnn'; give a local file or null",
            ("model", "weights"),
        )
    if pretrained and model.weights is not None:
        load_weights(trunk, model.weights)
    return trunk


def _convolution(narrow: int, wide: int, kernel_size: int, stride: int) -> list[nn.Module]:
    return [
        nn.Conv2d(narrow, wide, kernel_size, stride, padding=kernel_size // 2, bias=False),
        nn.BatchNorm2d(wide),
        nn.ReLU(),
    ]
