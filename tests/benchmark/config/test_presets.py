"""Every preset composes, trains and is saved as it was; searches hold what was published."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

from pml_potential.benchmark.config.composing import read_saved, to_yaml
from pml_potential.benchmark.config.presets import KINDS, preset_names, preset_path, presets_folder
from pml_potential.benchmark.config.schema import Config
from pml_potential.benchmark.data.datasets import load_glyphs
from pml_potential.benchmark.data.folds import divide
from pml_potential.benchmark.data.images import ImageArrays
from pml_potential.benchmark.data.labelled_tensors import ArrayTensors
from pml_potential.benchmark.evaluation import PRIMARY_METRIC
from pml_potential.benchmark.experiments.runnable import check_runnable
from pml_potential.benchmark.files import read_state
from pml_potential.benchmark.models import build_models, check_image_size
from pml_potential.benchmark.training.fold import train_fold
from tests.benchmark.config.configurations import LOSS_FILE, composed, own_file, refusal
from tests.benchmark.config.published_optima import (
    COLUMNS,
    LOSSES,
    losses_with_optima,
    missed_by_search,
    optima,
)
from tests.benchmark.tiny import PRESETS

FEATURES = {
    "small_cnn": 96,
    "bn_inception": 1024,
    "efficientnet_lite0": 1280,
    "efficientnet_lite1": 1280,
    "efficientnet_lite2": 1280,
    "efficientnet_lite0_partial": 1280,
    "efficientnet_lite0_whole": 1280,
    "resnet50": 2048,
    "vit_small": 384,
    "dino_vit_small": 384,
}


FOUNDATION = {
    "dinov2_vit_small": (384, "apache-2.0"),
    "dinov2_vit_base": (768, "apache-2.0"),
    "dinov3_vit_small": (384, "dinov3-license"),
    "dinov3_vit_base": (768, "dinov3-license"),
    "siglip2_vit_base": (768, "apache-2.0"),
    "clip_vit_base": (768, "apache-2.0"),
}
"""Networks whose features are used as they are, with the features and the licence of each."""


def few_glyphs(classes: int) -> ImageArrays:
    glyphs = load_glyphs()
    chosen = np.flatnonzero((glyphs.labels < classes) & (np.arange(len(glyphs.labels)) % 32 < 4))
    return ImageArrays("few", glyphs.images[chosen], glyphs.labels[chosen], glyphs.class_names[:classes])


def assert_saved_as_it_was(config: Config, folder: Path) -> None:
    assert read_saved(Path(own_file(folder, to_yaml(config)))) == config


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in ("protocol", "dataset") for name in preset_names(kind)]
)
def test_a_protocol_or_data_set_can_be_run(kind: str, name: str, tmp_path: Path) -> None:
    of_vectors = {"model": "vectors"} if name == "features" else {}
    config = composed(**{kind: name}, **of_vectors)
    check_runnable(config)
    assert getattr(config, kind).name == name
    assert_saved_as_it_was(config, tmp_path)


@pytest.mark.parametrize("name", preset_names("loss"))
def test_a_loss_can_be_run_and_trains_a_step(name: str, tmp_path: Path) -> None:
    config = composed(
        "protocol.iterations_per_epoch=1", "protocol.max_epochs=1", protocol="quick", loss=name
    )
    check_runnable(config)
    assert_saved_as_it_was(config, tmp_path)
    images = few_glyphs(44)
    train, validation = (np.flatnonzero(images.labels < 36), np.flatnonzero(images.labels >= 36))
    parts = ArrayTensors(images, train), ArrayTensors(images, validation)
    result = train_fold(config, *parts, tmp_path / "fold", 0, lambda *_: None)
    assert 0 < result.score <= 1


@pytest.mark.parametrize("name", sorted(FEATURES))
def test_a_model_takes_the_crops_of_the_reality_check_and_trains_a_step(
    name: str, tmp_path: Path
) -> None:
    assignments = (
        "protocol={folds: 2, batch_size: 4, iterations_per_epoch: 1, max_epochs: 1}",
        "protocol.validation_interval=1",
        "sampler.m=2",
    )
    config = composed(*assignments, protocol="mlrc", model=name)
    assert config.model.weights == (None if name == "small_cnn" else "download")
    assert_saved_as_it_was(config, tmp_path)
    # The download is what these tests cannot have.
    config = composed(*assignments, "model.weights=null", protocol="mlrc", model=name)
    data = divide(config, few_glyphs(8), tmp_path / "features")
    fold = tmp_path / "fold"
    result = train_fold(config, *data.fold(config, 0), fold, 0, lambda *_: None, keep_models=True)
    assert 0 < result.history[0][PRIMARY_METRIC] <= 1
    embedder = read_state(fold / "models" / "embedder_best.pth")
    assert embedder["weight"].shape == (config.model.embedding_size, FEATURES[name])


def test_every_model_is_tested() -> None:
    assert {*FEATURES, *FOUNDATION, "vectors"} == set(preset_names("model"))


@pytest.mark.parametrize("name", FOUNDATION)
def test_a_foundation_model_is_built_and_takes_the_size_that_timm_says(
    name: str, tmp_path: Path
) -> None:
    config = composed(model=name)
    assert_saved_as_it_was(config, tmp_path)
    assert config.model.weights == "download"
    assert config.model.freeze_trunk
    assert not config.protocol.crop.augment
    published = import_module("timm").get_pretrained_cfg(config.model.trunk.removeprefix("timm/"))
    width, licence = FOUNDATION[name]
    assert published.license == licence
    assert f"licence {licence}" in preset_path("model", name).read_text().lower()
    assert config.protocol.crop.size == published.input_size[-1]
    assert config.protocol.crop.resize == int(published.input_size[-1] / published.crop_pct)
    # Shapes alone: the weights cannot be had here, and random ones would take a gigabyte.
    with torch.device("meta"):
        models = build_models(config.model, 3, pretrained=False)
    assert models["embedder"].weight.shape == (config.model.embedding_size, width)
    check_image_size(models["trunk"], config.model, config.protocol.crop)


@pytest.mark.parametrize("name", ["resnet50", "vit_small", "dino_vit_small", *FOUNDATION])
def test_a_network_of_timm_takes_what_timm_says(name: str) -> None:
    config = composed(model=name).model
    published = import_module("timm").get_pretrained_cfg(config.trunk.removeprefix("timm/"))
    assert config.input is not None
    assert published is not None
    assert config.input.mean == published.mean
    assert config.input.std == published.std


def test_bn_inception_takes_what_its_library_says() -> None:
    published = import_module("pretrainedmodels").pretrained_settings["bninception"]["imagenet"]
    found = composed(model="bn_inception").model.input
    assert found is not None
    assert list(found.mean) == published["mean"]
    assert list(found.std) == published["std"]
    assert [0, found.white] == published["input_range"]
    assert found.channels == published["input_space"]


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("loss", LOSSES)
def test_a_search_holds_the_published_optima(loss: str, column: str) -> None:
    found = optima(loss, column)
    assert found
    assert missed_by_search(composed(loss=LOSSES[loss]), found) == {}


def test_every_loss_with_a_published_optimum_has_a_preset() -> None:
    assert losses_with_optima() == LOSSES.keys()


def test_every_file_of_the_presets_belongs_to_a_kind() -> None:
    files = {path.relative_to(presets_folder()) for path in presets_folder().rglob("*.yaml")}
    files -= {path for path in files if path.parent.name == "recipes"}
    named = {Path(KINDS[kind], f"{name}.yaml") for kind in KINDS for name in preset_names(kind)}
    assert files == named
    assert len(files) >= 11


def test_mlrc_is_the_protocol_of_the_paper() -> None:
    assert composed(protocol="mlrc").protocol.model_dump() == {
        "name": "mlrc",
        "folds": 4,
        "batch_size": 32,
        "iterations_per_epoch": 100,
        "max_epochs": 1000,
        "validation_interval": 2,
        "patience": 9,
        "study": {"trials": 50, "startup_trials": 10, "sampler": "gp", "pruner": None},
        "reproductions": 10,
        "recall_at": (),
        "metrics": (),
        "proxy_alignment": False,
        "deterministic": False,
        "crop": {
            "resize": 256,
            "size": 227,
            "fit": "crop",
            "scale": (0.16, 1.0),
            "ratio": (0.75, 4 / 3),
            "flip": 0.5,
            "augment": True,
            "views": 5,
        },
    }


@pytest.mark.parametrize(("loss", "images"), [("contrastive", 4), ("proxy_anchor", 1), ("cpml", 4)])
def test_a_loss_brings_its_sampler(loss: str, images: int) -> None:
    assert composed(loss=loss).sampler.m == images


def test_a_file_of_ones_own_is_given_by_its_path(tmp_path: Path) -> None:
    config = composed(loss=own_file(tmp_path, LOSS_FILE))
    assert config.loss.params == {"delta": 0.3}
    check_runnable(config)


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_preset_is_refused_with_those_that_exist(kind: str) -> None:
    name = PRESETS[kind]
    message = refusal(**{kind: name + "x"})
    assert f"no {kind} '{name}x', did you mean '{name}'" in message
    assert all(each in message for each in preset_names(kind))
