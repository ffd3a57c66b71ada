import sys

import pytest
import torch

from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.models import build_trunk, check_trunk_name
from tests.benchmark.models.networks import assert_pools_both_ways, features_of, model_of


@pytest.mark.parametrize(
    ("name", "features"),
    [
        ("torchvision/resnet18", 512),
        ("torchvision/mobilenet_v3_small", 1024),
        ("torchvision/shufflenet_v2_x0_5", 1024),
    ],
)
def test_crops_of_227_pixels_become_vectors(name: str, features: int) -> None:
    trunk, size = build_trunk(model_of(name), channels=1)
    assert size == features
    assert features_of(trunk, torch.rand(2, 3, 227, 227)).shape == (2, features)


def test_pooling_both_ways_is_the_sum_of_mean_and_maximum() -> None:
    assert_pools_both_ways("torchvision/resnet18")


def test_a_network_without_a_layer_that_pools_keeps_its_mean() -> None:
    name = "torchvision/shufflenet_v2_x0_5"
    with pytest.raises(ConfigError, match=rf"model\.pooling: '{name}'.*'max'") as raised:
        build_trunk(model_of(name, pooling="max"), channels=3)
    assert raised.value.keys == ("model", "pooling")


def test_a_network_without_a_linear_classifier_is_refused() -> None:
    with pytest.raises(ConfigError, match="squeezenet1_1' does not end in a linear classifier"):
        build_trunk(model_of("torchvision/squeezenet1_1"), channels=3)


def test_auxiliary_classifiers_are_gone_in_training() -> None:
    with pytest.warns(FutureWarning, match="initialization"):
        trunk, _ = build_trunk(model_of("torchvision/googlenet"), channels=3)
    assert trunk(torch.rand(2, 3, 64, 64)).shape == (2, 1024)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torchvision/resnet5", "no classification network 'resnet5', did you mean 'resnet50'"),
        ("torchvision/fcn_resnet50", "no classification network 'fcn_resnet50'"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(name: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        check_trunk_name(name)
    assert message in str(raised.value)
    assert raised.value.keys == ("model", "trunk")


def test_its_missing_library_is_named_with_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    expected = r"'torchvision/resnet18' needs 'torchvision\.models'.*: pip install torchvision$"
    with pytest.raises(ConfigError, match=expected):
        build_trunk(model_of("torchvision/resnet18"), channels=3)
