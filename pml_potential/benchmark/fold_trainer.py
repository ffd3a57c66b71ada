"""PML's trainer, tester and hooks, put together for one fold."""

import math
from collections.abc import Callable
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
from pml_potential.benchmark.schema import Config
from pml_potential.losses import NonFiniteError
from pml_potential.losses.validation import check_embeddings, check_finite

EpochReport = Callable[[int, float], None]
"""Called after each validation with the epoch and its MAP@R."""

_RECORDS_PER_EPOCH = 5


class DivergedError(RuntimeError):
    """Training produced NaN or infinity."""


class FoldTrainer:
    """Trains the models of one fold, and validates and records as it goes.

    Args:
        config: what to train, and how.
        models: trunk and embedder, on the device where they are trained.
        train: images of the training classes.
        validation: images of the validation classes.
        models_folder: where the latest and the best models go, if they are kept.
        keep_models: whether they are.
        record_keeper: where losses, metrics and hyperparameters go.
        report: called after each validation.
    """

    def __init__(
        self,
        config: Config,
        models: dict[str, nn.Module],
        train: ImageDataset,
        validation: ImageDataset,
        models_folder: Path,
        keep_models: bool,
        record_keeper: Any,
        report: EpochReport,
    ) -> None:
        self._config = config
        self._models = models
        self._train = train
        self._report = report
        self._history: list[dict[str, float]] = []
        self._device = next(models["trunk"].parameters()).device
        self._loss: Any = build_loss(config.loss, train.num_classes, config.model.embedding_size)
        self._loss.to(self._device)
        self._optimizers = self._build_optimizers()
        protocol = config.protocol
        self._hooks = HookContainer(
            record_keeper,
            primary_metric=PRIMARY_METRIC,
            save_models=keep_models,
            log_freq=max(1, protocol.iterations_per_epoch // _RECORDS_PER_EPOCH),
        )
        self._tester = build_tester(self._device, self._hooks.end_of_testing_hook)
        self._validate = self._hooks.end_of_epoch_hook(
            self._tester,
            {"val": validation},
            str(models_folder),
            test_interval=protocol.validation_interval,
            patience=protocol.patience,
        )
        self._trainer = MetricLossOnly(
            models=models,
            optimizers=self._optimizers,
            batch_size=protocol.batch_size,
            loss_funcs={"metric_loss": self._loss},
            dataset=train,
            sampler=MPerClassSampler(
                train.labels, config.sampler.m, protocol.batch_size, length_before_new_iter=len(train)
            ),
            iterations_per_epoch=protocol.iterations_per_epoch,
            data_device=self._device,
            dataloader_num_workers=0,
            end_of_iteration_hook=self._after_iteration,
            end_of_epoch_hook=self._after_epoch,
        )

    def run(self) -> list[dict[str, float]]:
        """Train until validation stops to improve, or for as many epochs as the protocol allows.

        Returns:
            An entry a validation, with ``epoch`` and every metric.

        Raises:
            DivergedError: The loss, its parameters or the embeddings became NaN or infinite.
        """
        # Before anybody normalises them: an overflow would leave zeros that look like embeddings.
        checked = self._models["embedder"].register_forward_hook(self._check_embeddings)
        try:
            if self._config.loss.initialize_proxies_after_epoch == 0:
                self._start_proxies()
            self._trainer.train(num_epochs=self._config.protocol.max_epochs)
        except NonFiniteError as error:
            raise DivergedError(f"{error}, in {self._moment()}") from error
        finally:
            checked.remove()
        return self._history

    def _build_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        model = self._config.model
        settings = {"trunk": model.trunk_optimizer, "embedder": model.embedder_optimizer}
        optimizers = {
            f"{name}_optimizer": build_optimizer(setting, self._models[name].parameters())
            for name, setting in settings.items()
        }
        if self._config.loss.optimizer is not None:
            optimizers["metric_loss_optimizer"] = build_optimizer(
                self._config.loss.optimizer, self._loss.parameters()
            )
        return optimizers

    def _start_proxies(self) -> None:
        labels = torch.from_numpy(self._train.labels).to(self._device)
        self._loss.initialize_proxies(embed(self._models, self._train, self._device), labels)
        # Its moments belong to the proxies as they were.
        self._optimizers["metric_loss_optimizer"].state.pop(self._loss.proxies, None)

    def _check_embeddings(self, _module: nn.Module, _inputs: Any, embeddings: Tensor) -> None:
        check_embeddings("embeddings", embeddings, self._config.model.embedding_size)

    def _after_iteration(self, trainer: Any) -> None:
        value = trainer.losses["total_loss"].item()
        if not math.isfinite(value):
            raise DivergedError(f"the loss is {value} in {self._moment()}")
        self._hooks.end_of_iteration_hook(trainer)

    def _after_epoch(self, trainer: MetricLossOnly) -> bool:
        if trainer.epoch == self._config.loss.initialize_proxies_after_epoch:
            self._start_proxies()
        for name, parameter in self._loss.named_parameters():
            check_finite(name, parameter)
        goes_on: bool = self._validate(trainer)
        if trainer.epoch % self._config.protocol.validation_interval == 0:
            accuracies = self._tester.all_accuracies["val"]
            metrics = {metric: float(accuracies[f"{metric}_level0"]) for metric in METRICS}
            self._history.append({"epoch": trainer.epoch, **metrics})
            self._report(trainer.epoch, metrics[PRIMARY_METRIC])
        return goes_on

    def _moment(self) -> str:
        epoch = getattr(self._trainer, "epoch", 0)
        return f"epoch {epoch}, iteration {getattr(self._trainer, 'iteration', -1) + 1}"
