"""Another class by ``--set ...name=`` starts without the arguments of the one before."""

from pathlib import Path
from typing import Any

import pytest

from pml_potential.benchmark.config.composing import compose
from pml_potential.benchmark.config.schema import Config
from tests.benchmark.tiny import PRESETS

LOSS = """\
loss:
  name: ContrastiveLoss
  params: {pos_margin: 0.1, neg_margin: 0.9}
  optimizer: {name: SGD, lr: 0.5, momentum: 0.9}
  miner: {name: TripletMarginMiner, params: {margin: 0.3}}
  embedding_regularizer: {name: LpRegularizer, params: {p: 1}}
  weight_regularizer: {name: LpRegularizer, params: {p: 1}}
training: {schedule: {name: StepLR, params: {step_size: 3, gamma: 0.5}}}
protocol: {study: {pruner: {name: MedianPruner, params: {n_startup_trials: 2}}}}
sampler: {m: 4}
search: {}
"""

OTHERS = {
    "loss.miner": ("MultiSimilarityMiner", "params.epsilon", 0.2),
    "loss.embedding_regularizer": ("CenterInvariantRegularizer", "params.power", 2),
    "loss.weight_regularizer": ("CenterInvariantRegularizer", "params.power", 2),
    "loss.optimizer": ("Adagrad", "lr", 0.25),
    "loss": ("CosFaceLoss", "params.margin", 0.2),
    "training.schedule": ("ExponentialLR", "params.gamma", 0.9),
    "protocol.study.pruner": ("PercentilePruner", "params.percentile", 25.0),
}


@pytest.fixture
def presets(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "loss.yaml").write_text(LOSS)
    return PRESETS | {"loss": str(tmp_path / "loss.yaml")}


def section(config: Config, path: str) -> dict[str, Any]:
    found: Any = config.model_dump()
    for key in path.split("."):
        found = found[key]
    return dict(found)


def given(path: str, section_then: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a class, wherever its section keeps them."""
    if path.endswith("optimizer"):
        return {key: value for key, value in section_then.items() if key != "name"}
    return dict(section_then["params"])


@pytest.mark.parametrize("path", OTHERS)
@pytest.mark.parametrize("name_comes_first", [True, False])
def test_only_arguments_that_were_set_go_to_another_class(
    path: str, name_comes_first: bool, presets: dict[str, str]
) -> None:
    name, argument, value = OTHERS[path]
    assignments = [f"{path}.name={name}", f"{path}.{argument}={value}"]
    config = compose(presets, assignments if name_comes_first else assignments[::-1])
    found = section(config, path)
    assert found["name"] == name
    assert given(path, found) == {argument.rpartition(".")[2]: value}


@pytest.mark.parametrize("path", OTHERS)
def test_the_same_class_keeps_its_arguments(path: str, presets: dict[str, str]) -> None:
    before = section(compose(presets), path)
    assert section(compose(presets, [f"{path}.name={before['name']}"]), path) == before


def test_another_protocol_name_changes_nothing_else(presets: dict[str, str]) -> None:
    before, after = compose(presets), compose(presets, ["protocol.name=mine"])
    assert after.protocol == before.protocol.model_copy(update={"name": "mine"})
