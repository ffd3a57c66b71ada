from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from pml_potential.benchmark.config.composing import compose
from pml_potential.benchmark.config.presets import preset_names
from pml_potential.benchmark.config.schema import Config
from pml_potential.benchmark.data.datasets import load_glyphs
from pml_potential.benchmark.data.folds import divide
from pml_potential.benchmark.data.images import ImageArrays
from pml_potential.benchmark.evaluation import PRIMARY_METRIC
from pml_potential.benchmark.models import build_models, check_image_size
from pml_potential.benchmark.training.fold import train_fold
from pml_potential.benchmark.training.names import check_names


def composed(model: str, protocol: str = "quick", *assignments: str) -> Config:
    presets = {"protocol": protocol, "dataset": "glyphs", "loss": "potential_field"}
    return compose(presets | {"model": model}, assignments, check_names)


@pytest.mark.parametrize("protocol", ["quick", "mlrc"])
@pytest.mark.parametrize("model", preset_names("model"))
def test_a_model_goes_with_a_protocol(model: str, protocol: str) -> None:
    config = composed(model, protocol)
    assert config.model.weights == (None if model == "small_cnn" else "download")


@pytest.mark.parametrize(
    ("model", "features"),
    [("bn_inception", 1024), ("resnet50", 2048), ("vit_small", 384), ("efficientnet_lite0", 1280)],
)
def test_the_trunk_takes_the_crops_of_its_preset(model: str, features: int) -> None:
    config = composed(model, "mlrc")
    models = build_models(config.model, channels=1, pretrained=False)
    check_image_size(models["trunk"], config.model, config.protocol.crop)
    assert models["embedder"].weight.shape == (config.model.embedding_size, features)


@pytest.mark.parametrize("model", ["resnet50", "vit_small", "dino_vit_small"])
def test_a_network_of_timm_takes_what_timm_says(model: str) -> None:
    config = composed(model).model
    published = import_module("timm").get_pretrained_cfg(config.trunk.removeprefix("timm/"))
    assert config.input is not None
    assert published is not None
    assert config.input.mean == published.mean
    assert config.input.std == published.std


def test_bn_inception_takes_what_its_library_says() -> None:
    published = import_module("pretrainedmodels").pretrained_settings["bninception"]["imagenet"]
    found = composed("bn_inception").model.input
    assert found is not None
    assert list(found.mean) == published["mean"]
    assert list(found.std) == published["std"]
    assert [0, found.white] == published["input_range"]
    assert found.channels == published["input_space"]


@pytest.mark.parametrize("model", preset_names("model"))
def test_every_preset_trains_a_step_and_is_judged(model: str, tmp_path: Path) -> None:
    config = composed(
        model,
        "mlrc",
        "protocol={folds: 2, batch_size: 4, iterations_per_epoch: 1, max_epochs: 1}",
        "protocol.validation_interval=1",
        "sampler.m=2",
        # Its download is what these tests cannot have.
        "model.weights=null",
    )
    glyphs = load_glyphs()
    chosen = np.flatnonzero((glyphs.labels < 8) & (np.arange(len(glyphs.labels)) % 32 < 4))
    few = ImageArrays("few", glyphs.images[chosen], glyphs.labels[chosen], glyphs.class_names[:8])
    data = divide(config, few, tmp_path / "features")
    result = train_fold(config, *data.fold(config, 0), tmp_path / "fold", 0, lambda *_: None)
    assert 0 < result.history[0][PRIMARY_METRIC] <= 1
