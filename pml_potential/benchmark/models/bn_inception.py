"""BN-Inception, the trunk of "A Metric Learning Reality Check"."""

from typing import Any

import torch
from torch import Tensor, nn

from pml_potential.benchmark.config.optional_library import import_library
from pml_potential.benchmark.config.schema import Model
from pml_potential.benchmark.models.pooling import GlobalPool, Pooling
from pml_potential.benchmark.models.weights import fit_weights, load_weights


class BNInceptionTrunk(nn.Module):
    """BN-Inception up to its last feature map, pooled.

    Args:
        backbone: ``pretrainedmodels.bninception``.
        pooling: how its feature map becomes a vector.
    """

    backbone: Any

    def __init__(self, backbone: nn.Module, pooling: Pooling) -> None:
        super().__init__()
        backbone.last_linear = nn.Identity()
        self.backbone = backbone
        self.pool = GlobalPool(pooling)

    def forward(self, images: Tensor) -> Tensor:
        """Features (n, 1024) of images (n, 3, h, w)."""
        features: Tensor = self.pool(self.backbone.features(images)).flatten(1)
        return features


def bn_inception(model: Model, pretrained: bool) -> nn.Module:
    """Build BN-Inception of ``pretrainedmodels``, 1024 features.

    ``weights: download`` takes the ImageNet weights from the address that the library names. They are
    read as tensors only: the library itself would run any code in the file.

    Args:
        model: weights and pooling.
        pretrained: whether to load the weights.

    Raises:
        ConfigError: ``pretrainedmodels`` is not installed, or the weights cannot be loaded.
        OSError: They cannot be downloaded.
    """
    # The library imports six without requiring it.
    library = import_library("pretrainedmodels", "pretrainedmodels six", "model.trunk: 'bn_inception'")
    backbone = library.bninception(pretrained=None)
    trunk = BNInceptionTrunk(backbone, model.pooling)
    if pretrained and model.weights == "download":
        address = library.pretrained_settings["bninception"]["imagenet"]["url"]
        state = torch.hub.load_state_dict_from_url(address, map_location="cpu", weights_only=True)
        fit_weights(backbone, state, address)
    elif pretrained and model.weights is not None:
        load_weights(backbone, model.weights)
    return trunk
