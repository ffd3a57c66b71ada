"""A trunk and an embedder, as PML's trainers take them."""

from torch import nn

from pml_potential.benchmark.config.schema import Model
from pml_potential.benchmark.models.trunks import build_trunk


def build_models(model: Model, channels: int, pretrained: bool = True) -> dict[str, nn.Module]:
    """Build the trunk and the embedder of a configuration.

    Args:
        model: which trunk, with which weights, and the width of the embedding.
        channels: colour channels of the data set's images, 1 or 3.
        pretrained: whether to load ``model.weights``; False is for callers that load their own.

    Returns:
        ``{"trunk": ..., "embedder": ...}``. Weights that are not pretrained are initialised from torch's
        global generator.

    Raises:
        ConfigError: There is no such trunk, its library is not installed, it does not fit the images or
            the pooling, or its weights cannot be loaded.

    Examples:
        >>> from pml_potential.benchmark.config.schema import Optimizer
        >>> adam = Optimizer(name="Adam", lr=1e-3)
        >>> model = Model(
        ...     trunk="small_cnn", embedding_size=8, trunk_optimizer=adam, embedder_optimizer=adam
        ... )
        >>> build_models(model, channels=1)["embedder"]
        Linear(in_features=96, out_features=8, bias=True)
    """
    trunk, features = build_trunk(model, channels, pretrained)
    return {"trunk": trunk, "embedder": nn.Linear(features, model.embedding_size)}
