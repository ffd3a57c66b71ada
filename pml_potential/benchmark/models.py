"""The networks that are trained: a trunk, and a linear embedder on its features."""

from torch import nn

from pml_potential.benchmark.schema import Model


def build_models(model: Model, channels: int) -> dict[str, nn.Module]:
    """Build the trunk and the embedder of a configuration, as PML's trainers take them.

    Args:
        model: which trunk, and the width of the embedding.
        channels: colour channels of the images.

    Returns:
        ``{"trunk": ..., "embedder": ...}``, freshly initialised from torch's global generator.
    """
    trunk, features = small_cnn(channels)
    return {"trunk": trunk, "embedder": nn.Linear(features, model.embedding_size)}


def small_cnn(channels: int) -> tuple[nn.Module, int]:
    """Three convolutions and the largest response of each filter, for images of about 32 x 32.

    Args:
        channels: colour channels of the images.

    Returns:
        The network, from (n, channels, height, width) to (n, features), and the number of features.
    """
    trunk = nn.Sequential(
        *_convolution(channels, 24, kernel_size=5, stride=2),
        *_convolution(24, 48, kernel_size=3, stride=2),
        *_convolution(48, 96, kernel_size=3, stride=1),
        # A maximum does not mind where in the image a shape lies; it learns letters far faster here
        # than a mean or the whole feature map.
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
    )
    return trunk, 96


def _convolution(narrow: int, wide: int, kernel_size: int, stride: int) -> list[nn.Module]:
    return [
        nn.Conv2d(narrow, wide, kernel_size, stride, padding=kernel_size // 2, bias=False),
        nn.BatchNorm2d(wide),
        nn.ReLU(),
    ]
