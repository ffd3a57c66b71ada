"""Where there is no trunk, nothing that is said of one is ignored."""

import pytest
import torch

from pml_potential.benchmark.config.composing import compose, with_values
from pml_potential.benchmark.config.schema import Config, ConfigError
from pml_potential.benchmark.models import build_models


def config() -> Config:
    presets = {"protocol": "quick", "dataset": "features", "model": "vectors", "loss": "contrastive"}
    return compose(presets, ["model.embedding_size=3"])


def test_the_embedder_is_as_wide_as_the_vectors() -> None:
    models = build_models(config().model, channels=5)
    vectors = torch.randn(2, 5)
    assert models["trunk"](vectors) is vectors
    assert models["embedder"](vectors).shape == (2, 3)


@pytest.mark.parametrize(
    ("key", "value", "due"),
    [
        ("weights", "download", "null"),
        ("input", {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}, "null"),
        ("pooling", "max", "avg"),
        ("freeze_trunk", False, "true"),
    ],
)
def test_what_could_only_be_ignored_is_refused(key: str, value: object, due: str) -> None:
    model = with_values(config(), {f"model.{key}": value}).model
    with pytest.raises(ConfigError, match=f"model.{key} is .*; set it to {due}") as caught:
        build_models(model, channels=5)
    assert caught.value.keys == ("model", key)


def test_a_block_is_refused() -> None:
    model = with_values(config(), {"model.freeze_trunk": False, "model.freeze_until": "blocks.1"}).model
    with pytest.raises(ConfigError, match=r"model.freeze_until is 'blocks.1'"):
        build_models(model, channels=5)
