"""Losses are built by their names, with their sizes, miners, regularizers and optimizers."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_metric_learning import miners, regularizers
from torch import Tensor

import pml_potential
from pml_potential.benchmark.config.schema import ConfigError, Loss
from pml_potential.benchmark.training.fold_models import best_models, untrained_models
from pml_potential.benchmark.training.losses import (
    build_loss,
    build_miner,
    component_class,
    loss_class,
)
from tests.benchmark.tiny import tiny_config
from tests.benchmark.training.few_glyphs import FewFolds

SGD = {"name": "SGD", "lr": 0.1}


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> FewFolds:
    return FewFolds(tmp_path_factory.mktemp("features"))


def loss_of(name: str, **settings: Any) -> Loss:
    return Loss.model_validate({"name": name, "optimizer": None} | settings)


def parameters(models: dict[str, torch.nn.Module]) -> Tensor:
    both = [parameter.flatten() for model in models.values() for parameter in model.parameters()]
    return torch.cat(both).detach().cpu()


@pytest.mark.parametrize(
    "loss", ["contrastive", "proxy_anchor", "potential_field", "mean_field_contrastive"]
)
def test_a_loss_trains_the_network_and_its_optimizer_its_own_parameters(
    folds: FewFolds, tmp_path: Path, loss: str
) -> None:
    config = tiny_config(loss=loss)
    train = folds.data.fold(config, 0)[0]
    assert folds.train(config, tmp_path / "fold").score > 0
    start = parameters(untrained_models(config, train, seed=3))
    # Next, as in training: its proxies are drawn after the network.
    own = build_loss(config.loss, train.num_classes, config.model.embedding_size)
    assert not parameters(best_models(config, 1, tmp_path / "fold")).equal(start)
    end = torch.load(tmp_path / "fold" / "models" / "metric_loss_best.pth", weights_only=True)
    for name, value in own.named_parameters():
        assert not end[name].cpu().equal(value.detach()), name
    assert any(True for _ in own.parameters()) is (config.loss.optimizer is not None)


def test_the_loss_of_this_package_comes_before_one_of_pml() -> None:
    assert loss_class("PotentialFieldLoss") is pml_potential.PotentialFieldLoss
    message = r"^loss\.name: neither pml_potential nor .* has 'Contrastive', did you mean 'ContrastiveL"
    with pytest.raises(ConfigError, match=message):
        loss_class("Contrastive")


def test_sizes_are_those_of_the_training_set() -> None:
    loss: Any = build_loss(loss_of("ProxyAnchorLoss", optimizer=SGD), num_classes=5, embedding_size=3)
    assert loss.proxies.shape == (5, 3)


def test_regularizers_and_miners_are_built_with_their_arguments() -> None:
    chosen = loss_of(
        "ContrastiveLoss",
        embedding_regularizer={"name": "LpRegularizer", "params": {"p": 3}},
        miner={"name": "TripletMarginMiner", "params": {"margin": 0.7}},
    )
    loss: Any = build_loss(chosen, 2, 2)
    assert type(loss.embedding_regularizer) is regularizers.LpRegularizer
    assert loss.embedding_regularizer.p == 3
    miner: Any = build_miner(chosen)
    assert type(miner) is miners.TripletMarginMiner
    assert miner.margin == 0.7
    assert component_class(chosen, "weight_regularizer") is None
    assert build_miner(loss_of("ContrastiveLoss")) is None


def test_a_reducer_makes_a_field_the_sum_over_its_points() -> None:
    torch.manual_seed(0)
    embeddings, labels = torch.randn(6, 3), torch.arange(6) % 2
    params = {"proxies_per_class": 2}
    values = []
    for reducer in (None, {"name": "SumReducer"}):
        torch.manual_seed(1)
        loss = build_loss(
            loss_of("PotentialFieldLoss", optimizer=SGD, params=params, reducer=reducer), 2, 3
        )
        values.append(loss(embeddings, labels).item())
    assert values[1] == pytest.approx(values[0] * (6 + 2 * 2), rel=1e-6)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (loss_of("PotentialFieldLoss"), r"^loss\.optimizer is missing: PotentialFieldLoss has param"),
        (
            loss_of("ContrastiveLoss", optimizer=SGD),
            r"^loss\.optimizer is given, but ContrastiveLoss has no parameters",
        ),
        (
            loss_of("PotentialFieldLoss", optimizer=SGD, params={"alpha": -1.0}),
            r"^loss\.params: PotentialFieldLoss: alpha",
        ),
        (
            loss_of("ContrastiveLoss", params={"margin": 1}),
            r"^loss\.params: ContrastiveLoss: .*'margin'",
        ),
        (
            loss_of("ProxyAnchorLoss", optimizer=SGD, initialize_proxies_after_epoch=1),
            r"^loss\.initialize_proxies_after_epoch is 1, but ProxyAnchorLoss has no initialize_proxies",
        ),
        (
            loss_of("ContrastiveLoss", embedding_regularizer={"name": "LpRegularizr"}),
            r"^loss\.embedding_regularizer\.name: .*did you mean 'LpRegularizer'",
        ),
        (
            loss_of("ContrastiveLoss", reducer={"name": "SumReduser"}),
            r"^loss\.reducer\.name: .*did you mean 'SumReducer'",
        ),
        (
            loss_of("ContrastiveLoss", reducer={"name": "SumReducer", "params": {"size": 1}}),
            r"^loss\.reducer: SumReducer: .*'size'",
        ),
        (
            loss_of("ContrastiveLoss", reducer={"name": "ThresholdReducer"}),
            r"^loss\.reducer: ThresholdReducer: At least one of low or high",
        ),
    ],
)
def test_a_loss_that_cannot_be_built_is_refused(loss: Loss, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_loss(loss, num_classes=2, embedding_size=2)


@pytest.mark.parametrize(
    ("miner", "message"),
    [
        ({"name": "TripletMarginMinr"}, r"^loss\.miner\.name: .*did you mean 'TripletMarginMiner'"),
        (
            {"name": "TripletMarginMiner", "params": {"size": 1}},
            "^loss.miner: TripletMarginMiner: .*'size'",
        ),
    ],
)
def test_a_miner_that_cannot_be_built_is_refused(miner: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_miner(loss_of("ContrastiveLoss", miner=miner))
