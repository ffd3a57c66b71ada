"""Training one fold with PML's trainer, judged on the fold's validation classes."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from pytorch_metric_learning.samplers import MPerClassSampler
from pytorch_metric_learning.trainers import MetricLossOnly
from pytorch_metric_learning.utils.logging_presets import HookContainer
from torch import Tensor, nn

from pml_potential.benchmark.evaluation import METRICS, PRIMARY_METRIC, build_tester, embed
from pml_potential.benchmark.image_dataset import ImageDataset
from pml_potential.benchmark.loss_building import build_loss, build_optimizer
from pml_potential.benchmark.models import build_models
from pml_potential.benchmark.records import read_json, record_keeper, set_aside, write_json
from pml_potential.benchmark.schema import Config
from pml_potential.benchmark.seeds import seed_everything
from pml_potential.benchmark.silence import without_progress_bars
from pml_potential.losses import NonFiniteError
from pml_potential.losses.validation import check_embeddings, check_finite

EpochReport = Callable[[int, float], None]
"""Called after each validation with the epoch and its MAP@R."""

_RECORDS_PER_EPOCH = 5


class DivergedError(RuntimeError):
    """Training produced NaN or infinity."""


@dataclass(frozen=True)
class FoldResult:
    """How one fold went.

    Attributes:
        score: best validation MAP@R.
        best_epoch: the epoch that had it.
        history: an entry a validation, with ``epoch`` and every metric.
        seconds: wall time.
    """

    score: float
    best_epoch: int
    history: list[dict[str, float]]
    seconds: float


def finished_fold(folder: Path) -> FoldResult | None:
    """Read the result of a fold that was trained to its end, if there is one."""
    path = folder / "result.json"
    return FoldResult(**read_json(path)) if path.is_file() else None


def device_for_training() -> torch.device:
    """The first CUDA device, or the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def untrained_models(config: Config, channels: int, seed: int) -> dict[str, nn.Module]:
    """The models as ``train_fold`` has them before its first step with the same seed."""
    seed_everything(seed)
    models = build_models(config.model, channels)
    return {name: model.to(device_for_training()) for name, model in models.items()}


def best_models(config: Config, channels: int, folder: Path) -> dict[str, nn.Module]:
    """The models at the best epoch of a fold that was trained with ``keep_models``."""
    models = build_models(config.model, channels)
    for name, model in models.items():
        (path,) = folder.glob(f"models/{name}_best*.pth")
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        model.to(device_for_training()).eval()
    return models


def train_fold(
    config: Config,
    train: ImageDataset,
    validation: ImageDataset,
    channels: int,
    folder: Path,
    seed: int,
    report: EpochReport,
    keep_models: bool = False,
) -> FoldResult:
    """Train a model on one fold until validation stops to improve, and record everything.

    A fold whose folder already holds a result is not trained again. One that was interrupted starts
    anew, and what it left is kept under another name.

    Args:
        config: what to train, and how.
        train: images of the training classes.
        validation: images of the validation classes, none of them a training class.
        channels: colour channels of the images.
        folder: where records, models and the result go.
        seed: decides initial weights and batches.
        report: called after each validation.
        keep_models: save the latest and the best models under ``models``.

    Returns:
        The result, also written to ``result.json``.

    Raises:
        DivergedError: The loss or the embeddings became NaN or infinite.
        ConfigError: The configuration names a loss or an optimizer that cannot be built.
    """
    if (done := finished_fold(folder)) is not None:
        return done
    set_aside(folder)
    folder.mkdir(parents=True)
    start = time.perf_counter()
    with record_keeper(folder) as keeper, without_progress_bars():
        history = _train(config, train, validation, channels, folder, seed, report, keep_models, keeper)
    best = max(history, key=lambda entry: entry[PRIMARY_METRIC])
    result = FoldResult(
        score=best[PRIMARY_METRIC],
        best_epoch=int(best["epoch"]),
        history=history,
        seconds=time.perf_counter() - start,
    )
    write_json(folder / "result.json", asdict(result))
    return result


def _train(
    config: Config,
    train: ImageDataset,
    validation: ImageDataset,
    channels: int,
    folder: Path,
    seed: int,
    report: EpochReport,
    keep_models: bool,
    keeper: Any,
) -> list[dict[str, float]]:
    protocol, device = config.protocol, device_for_training()
    models = untrained_models(config, channels, seed)
    loss: Any = build_loss(config.loss, train.num_classes, config.model.embedding_size).to(device)
    optimizers = {
        "trunk_optimizer": build_optimizer(config.model.trunk_optimizer, models["trunk"].parameters()),
        "embedder_optimizer": build_optimizer(
            config.model.embedder_optimizer, models["embedder"].parameters()
        ),
    }
    if config.loss.optimizer is not None:
        optimizers["metric_loss_optimizer"] = build_optimizer(config.loss.optimizer, loss.parameters())

    hooks = HookContainer(
        keeper,
        primary_metric=PRIMARY_METRIC,
        save_models=keep_models,
        log_freq=max(1, protocol.iterations_per_epoch // _RECORDS_PER_EPOCH),
    )
    tester = build_tester(device, hooks.end_of_testing_hook)
    validate = hooks.end_of_epoch_hook(
        tester,
        {"val": validation},
        str(folder / "models"),
        test_interval=protocol.validation_interval,
        patience=protocol.patience,
    )
    history: list[dict[str, float]] = []

    def check_raw_embeddings(_module: nn.Module, _inputs: Any, embeddings: Tensor) -> None:
        check_embeddings("embeddings", embeddings, config.model.embedding_size)

    # Before anybody normalises them: an overflow would leave zeros that look like embeddings.
    models["embedder"].register_forward_hook(check_raw_embeddings)

    def start_proxies() -> None:
        loss.initialize_proxies(embed(models, train, device), torch.from_numpy(train.labels).to(device))
        # Its moments belong to the proxies as they were.
        optimizers["metric_loss_optimizer"].state.pop(loss.proxies, None)

    def after_iteration(trainer: Any) -> None:
        value = trainer.losses["total_loss"].item()
        if not math.isfinite(value):
            raise DivergedError(
                f"the loss is {value} in epoch {trainer.epoch}, iteration {trainer.iteration + 1}"
            )
        hooks.end_of_iteration_hook(trainer)

    def after_epoch(trainer: MetricLossOnly) -> bool:
        if trainer.epoch == config.loss.initialize_proxies_after_epoch:
            start_proxies()
        for name, parameter in loss.named_parameters():
            check_finite(name, parameter)
        goes_on: bool = validate(trainer)
        if trainer.epoch % protocol.validation_interval == 0:
            accuracies = tester.all_accuracies["val"]
            metrics = {metric: float(accuracies[f"{metric}_level0"]) for metric in METRICS}
            history.append({"epoch": trainer.epoch, **metrics})
            report(trainer.epoch, metrics[PRIMARY_METRIC])
        return goes_on

    trainer = MetricLossOnly(
        models=models,
        optimizers=optimizers,
        batch_size=protocol.batch_size,
        loss_funcs={"metric_loss": loss},
        dataset=train,
        sampler=MPerClassSampler(
            train.labels, config.sampler.m, protocol.batch_size, length_before_new_iter=len(train)
        ),
        iterations_per_epoch=protocol.iterations_per_epoch,
        data_device=device,
        dataloader_num_workers=0,
        end_of_iteration_hook=after_iteration,
        end_of_epoch_hook=after_epoch,
    )
    try:
        if config.loss.initialize_proxies_after_epoch == 0:
            start_proxies()
        trainer.train(num_epochs=protocol.max_epochs)
    except NonFiniteError as error:
        iteration = getattr(trainer, "iteration", -1) + 1
        epoch = getattr(trainer, "epoch", 0)
        raise DivergedError(f"{error}, in epoch {epoch}, iteration {iteration}") from error
    return history
