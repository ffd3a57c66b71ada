import sys

import pytest
import torch
from torch import nn

from pml_potential.benchmark.config.schema import ConfigError, Crop
from pml_potential.benchmark.models import build_trunk, check_image_size, check_trunk_name
from tests.benchmark.models.networks import assert_pools_both_ways, features_of, model_of


@pytest.mark.parametrize(
    ("name", "crop", "features"),
    [
        ("timm/test_resnet", 160, 96),
        ("timm/test_vit", 160, 64),
        ("timm/test_convnext", 160, 64),
        ("timm/mobilenetv3_small_050", 227, 1024),
    ],
)
def test_crops_become_vectors(name: str, crop: int, features: int) -> None:
    model = model_of(name)
    trunk, size = build_trunk(model, channels=1)
    assert size == features
    assert features_of(trunk, torch.rand(2, 3, crop, crop)).shape == (2, features)
    check_image_size(trunk, model, Crop(size=crop))


@pytest.mark.parametrize("name", ["timm/test_resnet", "timm/test_efficientnet"])
def test_pooling_both_ways_is_the_sum_of_mean_and_maximum(name: str) -> None:
    assert_pools_both_ways(name)


def test_norms_between_pooling_and_classifier_stay() -> None:
    trunk, _ = build_trunk(model_of("timm/test_convnext", pooling="max"), channels=3)
    assert [name for name, part in trunk.named_modules() if isinstance(part, nn.Linear)][-1] != "head.fc"
    found = features_of(trunk, torch.rand(2, 3, 160, 160))
    # Layer norm is what comes last.
    torch.testing.assert_close(found.mean(dim=1), torch.zeros(2), atol=1e-5, rtol=0)


@pytest.mark.parametrize("pooling", ["max", "avg_max"])
def test_a_vision_transformer_has_no_feature_map_to_pool(pooling: str) -> None:
    with pytest.raises(ConfigError, match=rf"model\.pooling: 'timm/test_vit'.*'{pooling}'") as raised:
        build_trunk(model_of("timm/test_vit", pooling=pooling), channels=3)
    assert raised.value.keys == ("model", "pooling")


def test_a_vision_transformer_refuses_crops_that_its_patches_do_not_cover() -> None:
    model = model_of("timm/vit_tiny_patch16_224")
    trunk, _ = build_trunk(model, channels=3)
    with pytest.raises(ConfigError, match=r"protocol\.crop\.size is 227, and .*vit_tiny.*224"):
        check_image_size(trunk, model, Crop(size=227))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm/resnt50", "timm has no network 'resnt50', did you mean 'resnet50'"),
        ("timm/resnet50.tv_in2k", "no weights 'resnet50.tv_in2k', did you mean 'resnet50.tv_in1k'"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(name: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        check_trunk_name(name)
    assert message in str(raised.value)
    assert raised.value.keys == ("model", "trunk")


def test_its_missing_library_is_named_with_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ConfigError, match=r"'timm/resnet18' needs 'timm'.*: pip install timm$"):
        build_trunk(model_of("timm/resnet18"), channels=3)
