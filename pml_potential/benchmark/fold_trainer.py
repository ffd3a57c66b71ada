"""PML's trainer, tester and hooks, put together for one fold."""

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pytorch_metric_learning.samplers import MPerClassSampler
from pytorch_metric_learning.utils.logging_presets import HookContainer
from torch import Tensor, nn
from torch.profiler import record_function
from torch.utils.data import Subset

from pml_potential.benchmark.evaluation import METRICS, PRIMARY_METRIC, build_tester, embed
from pml_potential.benchmark.labelled_dataset import LabelledDataset
from pml_potential.benchmark.loss_building import (
    build_loss,
    build_miner,
    build_optimizer,
    build_schedule,
)
from pml_potential.benchmark.metric_trainer import MetricTrainer
from pml_potential.benchmark.schema import Config
from pml_potential.losses import NonFiniteError
from pml_potential.losses.validation import check_embeddings, check_finite

EpochReport = Callable[[int, float], None]
"""Called after each validation with the epoch and its MAP@R."""

_RECORDS_PER_EPOCH = 5


def _is_not_about_the_trunk(record: logging.LogRecord) -> bool:
    return 'optimizers is missing "trunk_optimizer"' not in record.getMessage()


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
        queries: so many of the first validation images look among the others; None: all among all.
    """

    def __init__(
        self,
        config: Config,
        models: dict[str, nn.Module],
        train: LabelledDataset,
        validation: LabelledDataset,
        models_folder: Path,
        keep_models: bool,
        record_keeper: Any,
        report: EpochReport,
        queries: int | None,
    ) -> None:
        self._config = config
        self._models = models
        self._train = train
        self._report = report
        self._history: list[dict[str, float]] = []
        self._device = next(models["embedder"].parameters()).device
        self._loss: Any = build_loss(config.loss, train.num_classes, config.model.embedding_size)
        self._loss.to(self._device)
        self._optimizers = self._build_optimizers()
        miner = build_miner(config.loss)
        protocol = config.protocol
        self._hooks = HookContainer(
            record_keeper,
            primary_metric=PRIMARY_METRIC,
            save_models=keep_models,
            log_freq=max(1, protocol.iterations_per_epoch // _RECORDS_PER_EPOCH),
        )
        sets: dict[str, Any] = {"val": validation}
        if queries is not None:
            sets = {
                "val": Subset(validation, range(queries)),
                "gallery": Subset(validation, range(queries, len(validation))),
            }
        self._tester = build_tester(self._device, self._hooks.end_of_testing_hook)
        self._tester.dataloader_num_workers = validation.workers
        self._validate = self._hooks.end_of_epoch_hook(
            self._tester,
            sets,
            str(models_folder),
            test_interval=protocol.validation_interval,
            patience=protocol.patience,
            splits_to_eval=None if queries is None else [("val", ["gallery"])],
        )
        model = config.model
        if model.channels_last:
            models["trunk"].to(memory_format=torch.channels_last)
        if model.compile:
            models["trunk"].compile()
        self._is_frozen = model.freeze_trunk or model.warm_up_epochs > 0
        # On features the trunk has nothing to train, and needs no optimizer that PML could miss.
        logging.getLogger("PML").addFilter(_is_not_about_the_trunk)
        self._trainer = MetricTrainer(
            model.amp,
            models=models,
            optimizers=self._optimizers,
            batch_size=protocol.batch_size,
            loss_funcs={"metric_loss": self._loss},
            mining_funcs={} if miner is None else {"tuple_miner": miner},
            dataset=train,
            sampler=MPerClassSampler(
                train.labels, config.sampler.m, protocol.batch_size, length_before_new_iter=len(train)
            ),
            iterations_per_epoch=protocol.iterations_per_epoch,
            lr_schedulers=self._build_schedulers(),
            gradient_clippers={"trunk_grad_clipper": self._clip_gradients},
            freeze_these=("trunk",) if self._is_frozen else (),
            freeze_trunk_batchnorm=model.freeze_batchnorm,
            data_device=self._device,
            dataloader_num_workers=train.workers,
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
            f"{name}_optimizer": build_optimizer(setting, parameters)
            for name, setting in settings.items()
            if (parameters := list(self._models[name].parameters()))
        }
        if self._config.loss.optimizer is not None:
            optimizers["metric_loss_optimizer"] = build_optimizer(
                self._config.loss.optimizer, self._loss.parameters()
            )
        return optimizers

    def _build_schedulers(self) -> dict[str, Any]:
        setting = self._config.training.schedule
        if setting is None:
            return {}
        return {
            name.replace("_optimizer", "_scheduler_by_epoch"): build_schedule(setting, optimizer)
            for name, optimizer in self._optimizers.items()
        }

    def _clip_gradients(self) -> None:
        """Clip the gradients of everything that is trained, not only of the trunk."""
        training = self._config.training
        groups = [group for optimizer in self._optimizers.values() for group in optimizer.param_groups]
        parameters = [parameter for group in groups for parameter in group["params"]]
        if training.clip_value is not None:
            nn.utils.clip_grad_value_(parameters, training.clip_value)
        if training.clip_norm is not None:
            nn.utils.clip_grad_norm_(parameters, training.clip_norm)

    def _thaw_trunk(self) -> None:
        """Begin to train the trunk, after the epochs in which it stayed as it was."""
        self._is_frozen = False
        self._trainer.freeze_these = ()
        self._models["trunk"].requires_grad_(True)

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

    def _after_epoch(self, trainer: MetricTrainer) -> bool:
        warm_up = self._config.model.warm_up_epochs
        if self._is_frozen and not self._config.model.freeze_trunk and trainer.epoch >= warm_up:
            self._thaw_trunk()
        if trainer.epoch == self._config.loss.initialize_proxies_after_epoch:
            self._start_proxies()
        for name, parameter in self._loss.named_parameters():
            check_finite(name, parameter)
        with record_function("evaluation"):
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
