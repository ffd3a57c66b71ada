"""Every name that a configuration gives is looked up, and an error knows where it stands."""

from typing import Any

import pytest

from pml_potential.benchmark.config.composing import with_values
from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.training.names import check_names
from tests.benchmark.tiny import tiny_config


@pytest.mark.parametrize("loss", ["potential_field", "contrastive", "multi_similarity_miner"])
def test_what_exists_passes(loss: str) -> None:
    check_names(tiny_config(loss=loss))


@pytest.mark.parametrize(
    ("path", "value", "keys", "message"),
    [
        ("dataset.name", "glyph", ("dataset", "name"), "did you mean 'glyphs'"),
        ("loss.name", "PotentialFieldLos", ("loss", "name"), "did you mean 'PotentialFieldLoss'"),
        ("loss.params.alhpa", 1.0, ("loss", "params", "alhpa"), "did you mean 'alpha'"),
        ("loss.optimizer.name", "Adan", ("loss", "optimizer", "name"), "did you mean 'Adam'"),
        ("loss.optimizer.momentun", 0.5, ("loss", "optimizer", "momentun"), "did you mean 'momentum'"),
        ("model.trunk", "small_cn", ("model", "trunk"), "did you mean 'small_cnn'"),
        (
            "model.trunk_optimizer.name",
            "Adan",
            ("model", "trunk_optimizer", "name"),
            "did you mean 'Adam'",
        ),
        (
            "model.embedder_optimizer.betaz",
            0.5,
            ("model", "embedder_optimizer", "betaz"),
            "did you mean 'betas'",
        ),
    ],
)
def test_what_does_not_exist_is_named_with_its_place(
    path: str, value: Any, keys: tuple[str, ...], message: str
) -> None:
    config = with_values(tiny_config(), {path: value})
    with pytest.raises(ConfigError, match=message) as caught:
        check_names(config)
    assert caught.value.keys == keys


@pytest.mark.parametrize(
    ("path", "value", "keys", "message"),
    [
        (
            "name",
            "MultiSimilarityMine",
            ("loss", "miner", "name"),
            "did you mean 'MultiSimilarityMiner'",
        ),
        ("params.epsilom", 0.2, ("loss", "miner", "params", "epsilom"), "did you mean 'epsilon'"),
    ],
)
def test_what_goes_with_a_loss_is_looked_up_too(
    path: str, value: Any, keys: tuple[str, ...], message: str
) -> None:
    config = with_values(tiny_config(loss="multi_similarity_miner"), {f"loss.miner.{path}": value})
    with pytest.raises(ConfigError, match=message) as caught:
        check_names(config)
    assert caught.value.keys == keys
