from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import Tensor, nn

import pml_potential.benchmark
from pml_potential.benchmark.config.composing import compose
from pml_potential.benchmark.config.schema import Config, ConfigError
from pml_potential.benchmark.data.image_files import ImageFiles
from pml_potential.benchmark.data.image_reading import (
    OVER_WHITE,
    UPPER_BITS,
    UPRIGHT,
    UnreadableImageError,
)
from pml_potential.benchmark.data.transforms import evaluation_transform
from pml_potential.benchmark.models import build_models
from pml_potential.benchmark.training.exported_model import EmbeddingModel, export_model, load_model
from tests.benchmark.data.odd_pictures import (
    deep_grey,
    photograph,
    rotated_photograph,
    transparent_picture,
)
from tests.benchmark.tiny import PRESETS

CROPPED = (
    "model.trunk=timm/test_efficientnet",
    "model.input={mean: [104.0, 117.0, 128.0], std: [1.0, 1.0, 1.0], channels: BGR, white: 255.0}",
    "model.pooling=avg_max",
    "model.weights=download",
    "protocol.crop={resize: 40, size: 32}",
)
WHOLE: tuple[str, ...] = ()


def trained(config: Config, channels: int) -> dict[str, nn.Module]:
    """Models whose BatchNorm has seen data."""
    torch.manual_seed(0)
    models = build_models(config.model, channels, pretrained=False)
    seen = channels if config.model.input is None else 3
    for _ in range(3):
        models["trunk"](torch.randn(8, seen, 32, 32))
    return {name: model.eval() for name, model in models.items()}


def pictures(count: int, mode: str, side: int = 48) -> list[Image.Image]:
    shape = (count, side, side) if mode == "L" else (count, side, side, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return [Image.fromarray(array) for array in pixels]


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    config = compose(PRESETS)
    models = trained(config, channels=1)
    export_model(tmp_path / "model", config, models["trunk"], models["embedder"])
    return tmp_path / "model"


@pytest.mark.parametrize(
    ("assignments", "channels", "mode"),
    [(WHOLE, 1, "L"), (WHOLE, 3, "RGB"), (CROPPED, 3, "RGB"), (CROPPED, 1, "L")],
)
def test_an_exported_model_embeds_as_the_trained_one(
    assignments: tuple[str, ...], channels: int, mode: str, tmp_path: Path
) -> None:
    config = compose(PRESETS, assignments)
    models = trained(config, channels)
    images = pictures(5, mode)
    transform = evaluation_transform(config.model.input, config.protocol.crop, channels)
    with torch.no_grad():
        batch = torch.stack([transform(image) for image in images])
        expected = nn.functional.normalize(models["embedder"](models["trunk"](batch)))
    export_model(tmp_path, config, models["trunk"], models["embedder"])
    loaded = load_model(tmp_path)
    assert not loaded.training
    embeddings = loaded.embed(images)
    assert embeddings.shape == (5, config.model.embedding_size)
    assert torch.equal(embeddings, expected)
    assert not embeddings.requires_grad
    torch.testing.assert_close(loaded.embed(images, batch_size=2), expected)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "embedder.safetensors",
        "model.yaml",
        "trunk.safetensors",
    ]


def test_a_compiled_trunk_is_exported_without_its_wrapper(tmp_path: Path) -> None:
    config = compose(PRESETS)
    models = trained(config, channels=1)
    compiled: Any = torch.compile(models["trunk"])
    export_model(tmp_path, config, compiled, models["embedder"])
    assert load_model(tmp_path).embed(pictures(2, "L")).shape == (2, 64)


def test_a_stand_in_for_a_frozen_trunk_is_not_exported(tmp_path: Path) -> None:
    config = compose(PRESETS)
    with pytest.raises(ValueError, match=r"trunk is Identity\(\) without weights"):
        export_model(tmp_path, config, nn.Identity(), nn.Linear(2, 2))


def test_a_second_export_replaces_the_first(exported: Path) -> None:
    config = compose(PRESETS, ["model.embedding_size=3"])
    models = trained(config, channels=1)
    export_model(exported, config, models["trunk"], models["embedder"])
    assert load_model(exported).embed(pictures(1, "L")).shape == (1, 3)


def test_no_pictures_give_no_embeddings(exported: Path) -> None:
    assert load_model(exported).embed([]).shape == (0, 64)


def test_pictures_that_do_not_go_together_are_refused(exported: Path) -> None:
    model = load_model(exported)
    with pytest.raises(ValueError, match=r"\[\(32, 32\), \(48, 48\)\].*whole images"):
        model.embed([*pictures(1, "L"), *pictures(1, "L", side=32)])
    with pytest.raises(ValueError, match="batch_size is 0"):
        model.embed(pictures(1, "L"), batch_size=0)


@pytest.fixture
def for_photographs(tmp_path: Path) -> EmbeddingModel:
    config = compose(PRESETS, CROPPED)
    models = trained(config, channels=3)
    export_model(tmp_path / "model", config, models["trunk"], models["embedder"])
    return load_model(tmp_path / "model")


@pytest.mark.parametrize(
    ("write", "change"),
    [(rotated_photograph, UPRIGHT), (transparent_picture, OVER_WHITE), (deep_grey, UPPER_BITS)],
)
def test_paths_files_and_pictures_are_embedded_as_the_benchmark_saw_them(
    write: Callable[[Path], Path], change: str, for_photographs: EmbeddingModel, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.png")
    seen = ImageFiles("own", (path,), tmp_path, np.zeros(1, np.int64), ("cat",)).image(0)
    expected = for_photographs.embed([seen])
    with path.open("rb") as file, Image.open(path) as picture:
        for source in (path, str(path), file, picture):
            with pytest.warns(UserWarning, match="as in the benchmark") as given:
                assert for_photographs.embed([source]).equal(expected)
            assert [str(each.message) for each in given] == [f"{path}: {change}, as in the benchmark"]
            assert given[0].filename == __file__


def test_what_was_changed_is_said_once_for_all(for_photographs: EmbeddingModel, tmp_path: Path) -> None:
    turned = [rotated_photograph(tmp_path / f"{number}.png") for number in range(3)]
    plain = photograph(tmp_path / "plain.png")
    with pytest.warns(UserWarning, match="as in the benchmark") as given:
        for_photographs.embed([plain, *turned], batch_size=2)
    assert [str(each.message) for each in given] == [
        f"{turned[0]} and 2 more: {UPRIGHT}, as in the benchmark"
    ]


def test_an_elongated_picture_is_embedded_by_its_middle(for_photographs: EmbeddingModel) -> None:
    line = Image.fromarray(np.random.default_rng(0).integers(0, 256, (1, 40_000, 3), dtype=np.uint8))
    with pytest.warns(UserWarning, match=r"^images\[0\]: more than 100 times as long as wide"):
        found = for_photographs.embed([line])
    assert found.allclose(for_photographs.embed([line.crop((19_950, 0, 20_050, 1))]))


def test_a_model_of_grey_pictures_takes_colours_with_a_word(exported: Path) -> None:
    model = load_model(exported)
    (coloured,) = pictures(1, "RGB")
    with pytest.warns(UserWarning, match=r"^images\[0\]: of colours, turned grey, as in the benchmark"):
        found = model.embed([coloured])
    assert found.equal(model.embed([coloured.convert("L")]))


def test_a_file_that_cannot_be_embedded_is_named(exported: Path) -> None:
    model = load_model(exported)
    with pytest.raises(UnreadableImageError, match=r"cannot read the image gone\.png: there is no such"):
        model.embed(["gone.png"])
    with pytest.raises(TypeError, match=r"images\[1\] is a ndarray; give a path, an open file or a pic"):
        model.embed([*pictures(1, "L"), np.zeros((48, 48))])  # type: ignore[list-item]
    single: Any = "a.png"
    with pytest.raises(TypeError, match=r"images is 'a\.png'; give a list of pictures, or \[picture\]"):
        model.embed(single)


def test_a_model_in_training_mode_does_not_embed(exported: Path) -> None:
    model = load_model(exported).train()
    with pytest.raises(RuntimeError, match="training mode"):
        model.embed(pictures(1, "L"))


def test_the_model_trains_on(exported: Path) -> None:
    model = load_model(exported).train()
    embeddings: Tensor = model(torch.randn(4, 1, 32, 32))
    embeddings.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("name", ["model.yaml", "trunk.safetensors", "embedder.safetensors"])
def test_a_missing_file_of_an_export_is_named(name: str, exported: Path) -> None:
    (exported / name).unlink()
    with pytest.raises(ConfigError, match=name):
        load_model(exported)


@pytest.mark.parametrize("name", ["trunk.safetensors", "embedder.safetensors"])
def test_a_truncated_file_of_an_export_is_refused(name: str, exported: Path) -> None:
    path = exported / name
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ConfigError, match=f"{name} is damaged, or not of the same export"):
        load_model(exported)


def test_files_of_two_exports_are_told_apart(exported: Path, tmp_path: Path) -> None:
    config = compose(PRESETS)
    torch.manual_seed(1)
    models = build_models(config.model, channels=1)
    export_model(tmp_path / "other", config, models["trunk"], models["embedder"])
    shutil.copy(tmp_path / "other" / "trunk.safetensors", exported)
    with pytest.raises(ConfigError, match=r"trunk\.safetensors is damaged, or not of the same export"):
        load_model(exported)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has format None"),
        ("a: [", "is no YAML"),
        ("model: {trunk: small_cnn}", "has format None"),
        ("format: other", "has format 'other'"),
        ("format: pml-potential model 1", "channels: Field required"),
    ],
)
def test_a_foreign_description_is_refused(text: str, message: str, exported: Path) -> None:
    (exported / "model.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message) as raised:
        load_model(exported)
    assert "model.yaml" in str(raised.value)


def test_a_description_with_an_unknown_key_is_refused(exported: Path) -> None:
    path = exported / "model.yaml"
    values = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(values | {"extra": 1}))
    with pytest.raises(ConfigError, match=r"extra: Extra inputs are not permitted"):
        load_model(exported)


def test_the_package_offers_load_model(exported: Path) -> None:
    assert isinstance(pml_potential.benchmark.load_model(exported), EmbeddingModel)
    with pytest.raises(AttributeError, match="has no attribute 'load_modl'"):
        pml_potential.benchmark.load_modl  # noqa: B018


def test_importing_the_benchmark_stays_cheap() -> None:
    program = (
        "import sys, pml_potential.benchmark;"
        "assert not {'timm', 'torchvision', 'pydantic', 'optuna'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
