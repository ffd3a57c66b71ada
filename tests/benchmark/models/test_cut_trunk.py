"""A trunk that is cut at a block computes the same in two steps, whatever library it comes from."""

import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pml_potential.benchmark.config.schema import ConfigError, Crop, Input
from pml_potential.benchmark.models import build_trunk
from pml_potential.benchmark.models.cut_trunk import CutTrunk, image_shape
from pml_potential.benchmark.models.weights import weights_hash
from tests.benchmark.models.networks import IMAGENET, model_of

CUTS = {
    "small_cnn": "3",
    "bn_inception": "backbone.inception_4a_1x1",
    "efficientnet_lite0": "blocks.5",
    "timm/resnet18": "layer3",
    "timm/test_efficientnet": "blocks.2",
    "timm/vit_tiny_patch16_224": "blocks.9",
    "timm/convnext_atto": "stages.2",
    "timm/swin_s3_tiny_224": "layers.2",
    "torchvision/resnet18": "layer4.1",
    "torchvision/mobilenet_v3_small": "features.9",
    "torchvision/densenet121": "features.denseblock4",
    "torchvision/vit_b_32": "encoder.layers.encoder_layer_9",
}
"""A block for each trunk."""

IMAGES = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))


def trunk_of(name: str) -> nn.Module:
    torch.manual_seed(0)
    return build_trunk(model_of(name), channels=3)[0]


@pytest.mark.parametrize("name", CUTS)
def test_both_parts_together_do_what_the_whole_does(name: str) -> None:
    trunk = trunk_of(name).eval()
    cut = CutTrunk(trunk, CUTS[name]).eval()
    with torch.no_grad():
        activations = cut.front(IMAGES)
        assert cut(activations).equal(trunk(IMAGES))
    assert activations.shape != IMAGES.shape


SHAPED = {
    "timm/test_vit": ("blocks.3", 96),
    "timm/vit_small_patch16_dinov3": ("blocks.9", 64),
    "timm/mvitv2_tiny": ("stages.2", 224),
}
"""Networks that decide by the shape of the images, or tell their blocks of it."""


@pytest.mark.parametrize("name", SHAPED)
def test_a_network_that_asks_for_the_shape_of_its_images_is_cut_for_that_shape(name: str) -> None:
    block, size = SHAPED[name]
    trunk = trunk_of(name).eval()
    cut = CutTrunk(trunk, block, (3, size, size)).eval()
    # As many as in no trial run.
    images = torch.rand(5, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert cut(cut.front.eval()(images)).equal(trunk(images))
    with pytest.raises(ConfigError, match="cannot be cut at"):
        CutTrunk(trunk, block)


def test_tensors_that_tracing_finds_move_with_the_network_and_are_no_part_of_its_state() -> None:
    trunk = trunk_of("timm/vit_small_patch16_dinov3")
    before = trunk.state_dict().keys()
    cut = CutTrunk(trunk, "blocks.9", (3, 64, 64)).eval().to(torch.float64)
    assert trunk.state_dict().keys() == before
    found = {name: value.dtype for name, value in cut.named_buffers() if "_tensor_constant" in name}
    assert set(found.values()) == {torch.float64}
    images = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(cut(cut.front.eval()(images)), trunk(images))


@pytest.mark.parametrize(
    ("given", "shape"), [(None, None), (IMAGENET, (3, 128, 128))], ids=["whole", "cropped"]
)
def test_the_shape_is_that_of_the_crops(given: Input | None, shape: tuple[int, int, int] | None) -> None:
    assert image_shape(model_of("timm/resnet18", input=given), Crop(size=128)) == shape


@pytest.mark.parametrize("name", ["timm/resnet18", "timm/vit_tiny_patch16_224", "efficientnet_lite0"])
def test_only_what_comes_from_the_block_on_learns_and_runs_in_training(name: str) -> None:
    trunk = trunk_of(name)
    cut = CutTrunk(trunk, CUTS[name])
    with torch.no_grad():
        activations = cut.front.eval()(IMAGES)
    before = {key: value.clone() for key, value in trunk.state_dict().items()}
    cut.train()
    cut(activations).square().sum().backward()
    learning = {key for key, value in trunk.named_parameters() if value.grad is not None}
    moved = {key for key, value in trunk.state_dict().items() if not value.equal(before[key])}
    assert learning
    with torch.no_grad():
        for parameter in trunk.parameters():
            parameter.add_(parameter.grad if parameter.grad is not None else 0.0)
    after = CutTrunk(trunk, CUTS[name]).front.eval()
    with torch.no_grad():
        assert after(IMAGES).equal(activations)
    # Statistics of BatchNorm, where there are some, of the layers that learn alone.
    assert {key.rpartition(".")[0] for key in moved} <= {key.rpartition(".")[0] for key in learning}


def test_the_state_is_that_of_the_whole_network() -> None:
    trunk = trunk_of("timm/resnet18")
    cut = CutTrunk(trunk, "layer3")
    assert {f"network.{key}" for key in trunk.state_dict()} == cut.state_dict().keys()
    assert len(list(cut.parameters())) == len(list(trunk.parameters()))


def test_fronts_before_different_blocks_have_different_hashes() -> None:
    trunk = trunk_of("timm/resnet18")
    hashes = [weights_hash(CutTrunk(trunk, block).front) for block in ("layer3", "layer4", "layer3")]
    assert hashes[0] == hashes[2] != hashes[1]


class _Dropping(nn.Module):
    """Drops in its own code, as some networks do between their blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4)

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.dropout(self.second(self.first(images)), 0.5, self.training)


def test_code_between_the_blocks_knows_training_from_evaluation() -> None:
    cut = CutTrunk(_Dropping(), "second")
    activations = torch.ones(50, 4)
    assert (cut.train()(activations) == 0).any()
    assert not (cut.eval()(activations) == 0).any()
    assert not (cut.front.eval()(activations) == 0).any()


@pytest.mark.parametrize(
    ("name", "block", "blocks"),
    [
        (
            "timm/resnet18",
            "layer_3",
            "'layer_3'.*did you mean 'layer3'.*: layer1, layer2, layer3, layer4",
        ),
        ("timm/vit_tiny_patch16_224", "block.3", ": blocks.0, blocks.1, .*blocks.11$"),
        ("efficientnet_lite0", "blocks.7", "blocks.0, blocks.1, .*, blocks.6$"),
        ("timm/test_efficientnet", "stages.1", ": blocks.0, blocks.1, .*blocks.4$"),
        ("torchvision/vit_b_32", "blocks.3", "encoder.layers.encoder_layer_0, .*"),
        ("small_cnn", "11", ": 1, 3, 4, 6, 7$"),
    ],
)
def test_a_wrong_name_says_which_blocks_there_are(name: str, block: str, blocks: str) -> None:
    with pytest.raises(ConfigError, match=blocks) as raised:
        CutTrunk(trunk_of(name), block)
    assert raised.value.keys == ("model", "freeze_until")
    assert "it has no block of this name" in str(raised.value)


@pytest.mark.parametrize(
    ("name", "block", "reason"),
    [
        ("timm/resnet18", "conv1", "there are no weights before it to freeze"),
        ("timm/resnet18", "layer1.0.conv2", "later layers also take outputs from before it"),
        ("timm/resnet18", "", "it has no block of this name"),
        ("torchvision/resnet18", "layer1.0.relu", "it is called 2 times"),
    ],
)
def test_a_place_where_no_cut_is_possible_is_told(name: str, block: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"cannot be cut at '{re.escape(block)}': {reason}"):
        CutTrunk(trunk_of(name), block)


class _Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.first(self.second(self.first(images)))
        return found


class _Deciding(_Twice):
    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.second(self.first(images)) if images.sum() > 0 else images
        return found


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (_Twice(), "layers before it share weights with later ones"),
        (_Deciding(), "its code cannot be traced to there"),
    ],
)
def test_a_network_that_cannot_be_taken_apart_is_told(network: Any, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        CutTrunk(network, "second")
