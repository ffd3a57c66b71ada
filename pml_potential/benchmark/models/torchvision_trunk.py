"""Any classification network of torchvision."""

from typing import Any

from torch import nn

from pml_potential.benchmark.config.nearest import did_you_mean
from pml_potential.benchmark.config.optional_library import import_library
from pml_potential.benchmark.config.schema import ConfigError, Model
from pml_potential.benchmark.models.pooling import GlobalPool
from pml_potential.benchmark.models.weights import load_weights


def torchvision_trunk(model: Model, name: str, pretrained: bool) -> nn.Module:
    """Build a network of torchvision without the last linear layer of its classifier.

    ``weights: download`` takes torchvision's default weights, its best ones. A vision transformer gives
    its class token.

    Args:
        model: weights and pooling.
        name: as ``torchvision.models.get_model`` takes it.
        pretrained: whether to load the weights.

    Raises:
        ConfigError: torchvision is not installed, the network has no feature map to pool in another
            way, no linear classifier, or its weights cannot be loaded.
        OSError: They cannot be downloaded.
    """
    models = _torchvision_models(name)
    wants_download = pretrained and model.weights == "download"
    network: nn.Module = models.get_model(name, weights="DEFAULT" if wants_download else None)
    _drop_auxiliary_classifiers(network)
    _drop_classifier(network, name)
    if model.pooling != "avg":
        _replace_pooling(network, model)
    if pretrained and model.weights not in {None, "download"}:
        load_weights(network, str(model.weights))
    return network


def check_torchvision_name(name: str) -> None:
    """Raise unless torchvision has a classification network of this name.

    Raises:
        ConfigError: It has none, or it is not installed.
    """
    models = _torchvision_models(name)
    names = models.list_models(module=models)
    if name not in names:
        near = did_you_mean(name, names)
        raise ConfigError(
            f"model.trunk: torchvision has no classification network {name!r}{near}",
            ("model", "trunk"),
        )


def _torchvision_models(name: str) -> Any:
    return import_library("torchvision.models", "torchvision", f"model.trunk: 'torchvision/{name}'")


def _drop_classifier(network: nn.Module, name: str) -> None:
    linear = [path for path, module in network.named_modules() if isinstance(module, nn.Linear)]
    head = {"fc", "classifier", "head", "heads"}
    if not linear or linear[-1].partition(".")[0] not in head:
        raise ConfigError(
            f"model.trunk: 'torchvision/{name}' does not end in a linear classifier that could be taken "
            "off; choose another network",
            ("model", "trunk"),
        )
    parent, _, last = linear[-1].rpartition(".")
    setattr(network.get_submodule(parent), last, nn.Identity())


def _drop_auxiliary_classifiers(network: Any) -> None:
    # Inception and GoogLeNet would return several outputs while they train.
    if getattr(network, "aux_logits", False):
        network.aux_logits = False
        for name in ("AuxLogits", "aux1", "aux2"):
            if hasattr(network, name):
                setattr(network, name, None)


def _replace_pooling(network: nn.Module, model: Model) -> None:
    pool = getattr(network, "avgpool", None)
    if not isinstance(pool, nn.AdaptiveAvgPool2d) or pool.output_size not in {1, (1, 1)}:
        raise ConfigError(
            f"model.pooling: {model.trunk!r} has no layer that pools a feature map to a vector, so it "
            f"cannot be {model.pooling!r}; leave it out, and the network pools as usual",
            ("model", "pooling"),
        )
    network.avgpool = GlobalPool(model.pooling)
