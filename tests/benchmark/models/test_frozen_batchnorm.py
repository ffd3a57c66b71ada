"""PML freezes BatchNorm by the name of its class; these trunks must have only such names."""

from __future__ import annotations

import pytest
import torch
from pytorch_metric_learning.losses import ContrastiveLoss
from pytorch_metric_learning.trainers import MetricLossOnly
from torch import nn
from torch.utils.data import TensorDataset

from pml_potential.benchmark.models import build_models
from tests.benchmark.models.networks import model_of

TRUNKS = [
    "small_cnn",
    "bn_inception",
    "efficientnet_lite0",
    "timm/test_efficientnet",
    "torchvision/resnet18",
]


def train(name: str, freeze_batchnorm: bool = False, freeze: tuple[str, ...] = ()) -> set[str]:
    """Train two epochs of two steps; return which parts of the trunk have moved."""
    torch.manual_seed(0)
    models = build_models(model_of(name), channels=3)
    before = {key: value.clone() for key, value in models["trunk"].state_dict().items()}
    images = torch.rand(8, 3, 64, 64)
    MetricLossOnly(
        models=models,
        optimizers={f"{key}_optimizer": optimizer_of(part) for key, part in models.items()},
        batch_size=8,
        loss_funcs={"metric_loss": ContrastiveLoss()},
        dataset=TensorDataset(images, torch.arange(8) % 2),
        iterations_per_epoch=2,
        data_device=torch.device("cpu"),
        dataloader_num_workers=0,
        freeze_trunk_batchnorm=freeze_batchnorm,
        freeze_these=freeze,
    ).train(num_epochs=2)
    after = models["trunk"].state_dict()
    moved = {key for key, value in before.items() if not torch.equal(value, after[key])}
    norms = {key for key, part in models["trunk"].named_modules() if isinstance(part, nn.BatchNorm2d)}
    assert norms
    return {
        "statistics" if key.rpartition(".")[2] in {"running_mean", "running_var"} else "weights"
        for key in moved
        if "num_batches" not in key
    } | {"affine" for key in moved if key.rpartition(".")[0] in norms and key.endswith("weight")}


def optimizer_of(module: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(module.parameters(), lr=1e-2)


@pytest.mark.parametrize("name", TRUNKS)
def test_frozen_statistics_do_not_move_while_weights_train(name: str) -> None:
    assert train(name, freeze_batchnorm=True) == {"weights", "affine"}


def test_statistics_move_unless_they_are_frozen() -> None:
    assert train("timm/test_efficientnet") == {"weights", "affine", "statistics"}


def test_nothing_of_a_frozen_trunk_moves() -> None:
    assert train("timm/test_efficientnet", freeze=("trunk",)) == set()
