"""Late blocks of an EfficientNet-Lite give the same as products as they give as convolutions."""

from typing import Any

import pytest
import torch
from torch import nn

from pml_potential.benchmark.config.schema import Model, Optimizer
from pml_potential.benchmark.models.cut_trunk import CutTrunk
from pml_potential.benchmark.models.efficientnet_lite import efficientnet_lite
from pml_potential.benchmark.models.late_blocks import can_be_products

ADAM = Optimizer(name="Adam", lr=1e-3)
MODEL = Model(
    trunk="efficientnet_lite0", embedding_size=8, trunk_optimizer=ADAM, embedder_optimizer=ADAM
)


def trunk_cut_at(block: str) -> CutTrunk:
    torch.manual_seed(0)
    cut = CutTrunk(efficientnet_lite(0, MODEL, pretrained=False), block, (3, 128, 128)).train()
    for module in cut.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
            nn.init.uniform_(module.running_mean)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 2.0)  # type: ignore[arg-type]
            nn.init.uniform_(module.weight, 0.5, 2.0)
    return cut


def by_convolutions(cut: CutTrunk, monkeypatch: pytest.MonkeyPatch, activations: torch.Tensor) -> Any:
    with monkeypatch.context() as patch:
        patch.setattr(type(cut.network), "features_from", lambda *_: None)
        return cut(activations)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("block", ["blocks.5", "blocks.4", "blocks.6"])
def test_features_and_gradients_are_those_of_convolutions(
    block: str, training: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = trunk_cut_at(block).train(training)
    for module in cut.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    activations = cut.front(torch.rand(5, 3, 128, 128)).detach()
    trained = [each for each in cut.parameters() if each.requires_grad]
    found = {}
    for name in ("products", "convolutions"):
        torch.manual_seed(1)
        features = (
            cut(activations) if name == "products" else by_convolutions(cut, monkeypatch, activations)
        )
        gradients = torch.autograd.grad(features.pow(2).sum(), trained, allow_unused=True)
        found[name] = (features, gradients)
    (features, gradients), (expected, others) = found["products"], found["convolutions"]
    torch.testing.assert_close(features, expected, rtol=1e-3, atol=1e-4)
    assert not features.equal(expected)
    assert [each is None for each in gradients] == [each is None for each in others]
    for one, other in zip(gradients, others, strict=True):
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-3 * float(other.abs().max()))


def test_training_drops_blocks_as_the_network_does(monkeypatch: pytest.MonkeyPatch) -> None:
    cut = trunk_cut_at("blocks.5")
    activations = torch.rand(64, 112, 8, 8)
    torch.manual_seed(1)
    found = cut(activations)
    drawn = torch.rand(())
    torch.manual_seed(1)
    torch.testing.assert_close(
        found, by_convolutions(cut, monkeypatch, activations), rtol=1e-3, atol=1e-4
    )
    assert torch.rand(()).equal(drawn)
    assert not cut(activations).equal(found)


@pytest.mark.parametrize(
    "change",
    [
        lambda cut, activations: (cut.train(), activations),
        lambda cut, activations: (cut, activations.repeat(1, 1, 2, 2)),
        lambda cut, activations: (cut, activations[..., :4]),
    ],
    ids=["BatchNorm in training", "large maps", "no squares"],
)
def test_other_cases_are_left_to_convolutions(change: Any) -> None:
    cut, activations = change(trunk_cut_at("blocks.5"), torch.rand(2, 112, 8, 8))
    assert can_be_products(cut.network.backbone, activations) is False
    assert cut(activations).shape == (2, 1280)


def test_a_cast_network_is_left_to_convolutions() -> None:
    cut: Any = trunk_cut_at("blocks.5")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not can_be_products(cut.network.backbone, torch.rand(2, 112, 8, 8))
