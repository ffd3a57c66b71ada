"""Warm-up, schedules, clipping, mixed precision and frozen trunks do what the configuration says."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.data.datasets import load_glyphs
from pml_potential.benchmark.data.folds import divide
from pml_potential.benchmark.data.images import ImageArrays
from pml_potential.benchmark.evaluation import without_progress_bars
from pml_potential.benchmark.training.fold import train_fold
from pml_potential.benchmark.training.fold_models import untrained_models
from pml_potential.benchmark.training.fold_trainer import FoldTrainer
from pml_potential.benchmark.training.record_keeper import record_keeper
from tests.benchmark.tiny import tiny_config


@pytest.fixture(scope="module")
def images() -> ImageArrays:
    glyphs = load_glyphs()
    chosen = np.flatnonzero((glyphs.labels < 40) & (np.arange(len(glyphs.labels)) % 32 < 4))
    return ImageArrays("few", glyphs.images[chosen], glyphs.labels[chosen], glyphs.class_names[:40])


def trained(images: ImageArrays, folder: Path, *assignments: str) -> tuple[Any, dict[str, Any]]:
    """The trainer after its run, and its models."""
    config = tiny_config("protocol.max_epochs=3", "protocol.patience=9", *assignments)
    data = divide(config, images, folder / "features")
    train, validation = data.fold(config, 0)
    models = untrained_models(config, train, seed=3)
    with record_keeper(folder) as keeper, without_progress_bars():
        trainer = FoldTrainer(config, models, train, validation, 3, keeper, None)
        while not trainer.is_done:
            trainer.train_epoch()
    return trainer, models


def weights(module: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten().cpu() for parameter in module.parameters()])


@pytest.mark.parametrize(("epochs", "moved"), [(0, True), (2, True), (3, False)])
def test_in_warm_up_the_trunk_stays(
    images: ImageArrays, tmp_path: Path, epochs: int, moved: bool
) -> None:
    _, models = trained(images, tmp_path, f"model.warm_up_epochs={epochs}")
    start = untrained_models(
        tiny_config(), divide(tiny_config(), images, tmp_path).test(tiny_config()), seed=3
    )
    assert weights(models["trunk"]).equal(weights(start["trunk"])) is not moved
    assert not weights(models["embedder"]).equal(weights(start["embedder"]))


def test_a_schedule_steps_every_optimizer_after_each_epoch(images: ImageArrays, tmp_path: Path) -> None:
    schedule = "training.schedule={name: StepLR, params: {step_size: 1, gamma: 0.5}}"
    trainer, _ = trained(images, tmp_path, schedule)
    settings = trainer._config
    starts = {
        "trunk_optimizer": settings.model.trunk_optimizer.lr,
        "embedder_optimizer": settings.model.embedder_optimizer.lr,
        "metric_loss_optimizer": settings.loss.optimizer.lr,
    }
    rates = {name: optimizer.param_groups[0]["lr"] for name, optimizer in trainer._optimizers.items()}
    assert rates == {name: pytest.approx(rate / 8) for name, rate in starts.items()}


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("training.schedule={name: StepLr}", "has no 'StepLr', did you mean 'StepLR'"),
        ("training.schedule={name: StepLR, params: {size: 1}}", "training.schedule: StepLR: "),
    ],
)
def test_a_schedule_that_does_not_exist_is_refused(
    images: ImageArrays, tmp_path: Path, assignment: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        trained(images, tmp_path, assignment)


def gradients(trainer: Any) -> torch.Tensor:
    groups = [group for each in trainer._optimizers.values() for group in each.param_groups]
    found = [parameter.grad for group in groups for parameter in group["params"]]
    return torch.cat([gradient.flatten() for gradient in found])


def test_gradients_are_clipped_by_value(images: ImageArrays, tmp_path: Path) -> None:
    trainer, _ = trained(images, tmp_path, "training.clip_value=1.0e-3")
    assert gradients(trainer).abs().max().item() == pytest.approx(1e-3)


def test_gradients_are_clipped_by_norm(images: ImageArrays, tmp_path: Path) -> None:
    trainer, _ = trained(images, tmp_path, "training.clip_norm=1.0e-2")
    assert gradients(trainer).norm().item() == pytest.approx(1e-2, rel=1e-3)


@pytest.mark.parametrize("setting", ["amp=bfloat16", "amp=float16", "channels_last=true"])
def test_other_arithmetic_trains_much_alike(images: ImageArrays, tmp_path: Path, setting: str) -> None:
    _, plain = trained(images, tmp_path / "plain", "loss.params.alpha=1.0")
    _, other = trained(images, tmp_path / "other", "loss.params.alpha=1.0", f"model.{setting}")
    difference = (weights(other["embedder"]) - weights(plain["embedder"])).norm()
    assert math.isfinite(difference)
    assert difference < 0.1 * weights(plain["embedder"]).norm()
    assert all(p.dtype == torch.float32 for model in other.values() for p in model.parameters())


FROZEN = "model.freeze_trunk=true"


def test_an_embedder_is_trained_on_features(images: ImageArrays, tmp_path: Path) -> None:
    config = tiny_config(FROZEN, "protocol.max_epochs=3")
    data = divide(config, images, tmp_path / "features")
    result = train_fold(config, *data.fold(config, 0), tmp_path / "fold", 3, lambda *_: None)
    assert 0 < result.score <= 1
