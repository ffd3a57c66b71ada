"""Networks as tests ask for them, and what they make of images."""

from typing import Any

import torch
from torch import Tensor, nn

from pml_potential.benchmark.config.schema import Input, Model, Optimizer
from pml_potential.benchmark.models import build_trunk
from pml_potential.benchmark.models.weights import weights_hash

ADAM = Optimizer(name="Adam", lr=1e-3)
IMAGENET = Input(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def model_of(trunk: str, **values: Any) -> Model:
    defaults: dict[str, Any] = {"input": IMAGENET, "embedding_size": 8}
    return Model(trunk=trunk, **(defaults | values), trunk_optimizer=ADAM, embedder_optimizer=ADAM)


def features_of(trunk: nn.Module, images: Tensor) -> Tensor:
    trunk.eval()
    with torch.no_grad():
        features: Tensor = trunk(images)
    return features


def assert_pools_both_ways(name: str) -> None:
    """``avg_max`` gives the sum of mean and maximum, and all three differ in their hashes."""
    found, hashes = {}, set()
    images = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    for pooling in ("avg", "max", "avg_max"):
        torch.manual_seed(0)
        trunk, _ = build_trunk(model_of(name, pooling=pooling), channels=3)
        found[pooling] = features_of(trunk, images)
        hashes.add(weights_hash(trunk))
    assert not torch.allclose(found["avg"], found["max"])
    torch.testing.assert_close(found["avg_max"], found["avg"] + found["max"])
    # avg_max of timm is its avgmax with a hook, so all three differ in what they show.
    assert len(hashes) == 3
