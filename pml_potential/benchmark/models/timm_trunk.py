"""Any image network of timm."""

from typing import Any

from torch import Tensor, nn

from pml_potential.benchmark.config.nearest import did_you_mean
from pml_potential.benchmark.config.optional_library import import_library
from pml_potential.benchmark.config.schema import ConfigError, Model
from pml_potential.benchmark.models.weights import load_weights

_NAMES_OF_POOLING = {"avg": "avg", "max": "max", "avg_max": "avgmax"}
_MEANS = {"avg", "fast", "fastavg"}
"""Names that timm has for a mean."""


def timm_trunk(model: Model, name: str, pretrained: bool) -> nn.Module:
    """Build a network of timm without its classifier.

    A network with a pooled feature map pools it as ``model.pooling`` says, followed by the norm or
    layers that the network has between pooling and classifier. One without, such as a vision
    transformer, gives the input of its own classifier, most often the class token.

    Args:
        model: weights and pooling.
        name: as ``timm.create_model`` takes it, with or without a tag for the weights.
        pretrained: whether to load the weights.

    Raises:
        ConfigError: timm is not installed, the network has no feature map to pool in another way, or
            its weights cannot be loaded.
        OSError: They cannot be downloaded.
        RuntimeError: timm has none.
    """
    timm = _timm(name)
    network: nn.Module = timm.create_model(
        name, pretrained=pretrained and model.weights == "download", num_classes=0
    )
    _set_pooling(network, model, timm.layers.SelectAdaptivePool2d)
    if pretrained and model.weights not in {None, "download"}:
        load_weights(network, str(model.weights))
    return network


def image_size(network: nn.Module) -> int:
    """Side of the images that a network of timm was trained on."""
    settings: Any = network.default_cfg
    return int(settings["input_size"][-1])


def check_timm_name(name: str) -> None:
    """Raise unless timm has a network, and the tagged weights, of this name.

    Raises:
        ConfigError: It has none, or it is not installed.
    """
    timm = _timm(name)
    architecture, dot, _ = name.partition(".")
    if not timm.is_model(architecture):
        near = did_you_mean(name, timm.list_models())
        raise ConfigError(f"model.trunk: timm has no network {name!r}{near}", ("model", "trunk"))
    if dot and name not in (tagged := timm.list_pretrained(f"{architecture}.*")):
        known = ", ".join(tagged) or "none"
        raise ConfigError(
            f"model.trunk: timm has no weights {name!r}{did_you_mean(name, tagged)}; there are: {known}",
            ("model", "trunk"),
        )


def _timm(name: str) -> Any:
    return import_library("timm", "timm", f"model.trunk: 'timm/{name}'")


def _set_pooling(network: nn.Module, model: Model, pool_class: type[nn.Module]) -> None:
    pools = [module for module in network.modules() if isinstance(module, pool_class)]
    if len(pools) != 1:
        if model.pooling != "avg":
            raise ConfigError(
                f"model.pooling: {model.trunk!r} has no feature map that {model.pooling!r} could pool; "
                "leave it out, and the network's own head gives the features",
                ("model", "pooling"),
            )
        return
    if model.pooling == "avg" and pools[0].pool_type in _MEANS:
        return
    reset: Any = network.reset_classifier
    reset(0, global_pool=_NAMES_OF_POOLING[model.pooling])
    if model.pooling == "avg_max":
        (pool,) = (module for module in network.modules() if isinstance(module, pool_class))
        pool.register_forward_hook(_double)


def _double(_module: nn.Module, _inputs: Any, pooled: Tensor) -> Tensor:
    """Turn timm's mean of average and maximum into their sum, as in all other trunks."""
    return 2 * pooled
