"""PML's trainer, tester and hooks, put together for one fold."""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from pytorch_metric_learning.utils.logging_presets import HookContainer
from torch import Tensor, nn
from torch.profiler import record_function
from torch.utils.data import Subset

from pml_potential.analysis import proxies_of, proxy_alignment
from pml_potential.benchmark.config.schema import Config
from pml_potential.benchmark.config.seeds import derive_seed, seed_everything
from pml_potential.benchmark.data.labelled_tensors import LabelledTensors
from pml_potential.benchmark.data.long_step import long_step
from pml_potential.benchmark.evaluation import METRICS, PRIMARY_METRIC, build_tester, embed
from pml_potential.benchmark.training.batches import BatchDraws, DrawnImages
from pml_potential.benchmark.training.fold_models import LOSS
from pml_potential.benchmark.training.losses import build_loss, build_miner
from pml_potential.benchmark.training.optimizers import build_optimizer, build_schedule
from pml_potential.benchmark.training.pml_trainer import PMLTrainer
from pml_potential.benchmark.training.process_group import (
    mean_of_processes,
    number_of_processes,
    rank,
    synchronize_batchnorm,
    tell_followers,
    whole_batch,
)
from pml_potential.functional.validation import check_embeddings, check_finite
from pml_potential.losses import NonFiniteError

_RECORDS_PER_EPOCH = 5
_LOSS_OPTIMIZER = "metric_loss_optimizer"


def _is_not_about_the_trunk(record: logging.LogRecord) -> bool:
    return 'optimizers is missing "trunk_optimizer"' not in record.getMessage()


class DivergedError(RuntimeError):
    """Training produced NaN or infinity."""


class FoldTrainer:
    """Trains the models of one fold epoch by epoch, with validations and records.

    An epoch depends only on the seed, its number and ``state()`` before it.

    Args:
        config: what to train, and how.
        models: trunk and embedder, on the device where they are trained.
        train: images of the training classes.
        validation: images of the validation classes.
        seed: of the fold.
        record_keeper: where losses, metrics and hyperparameters go; None for a trainer that follows.
        queries: number of validation images, from the first, that are queries; the others are the
            gallery. None: each image is a query among all others.

    Attributes:
        epoch: number of finished epochs.
        history: an entry for each validation, with ``epoch`` and every metric.
        modules: the models and the loss.
    """

    def __init__(
        self,
        config: Config,
        models: dict[str, nn.Module],
        train: LabelledTensors,
        validation: LabelledTensors,
        seed: int,
        record_keeper: Any,
        queries: int | None,
    ) -> None:
        models["trunk"] = synchronize_batchnorm(models["trunk"])
        self.epoch = 0
        self.history: list[dict[str, float]] = []
        self._config = config
        self._models = models
        self._train = train
        self._seed = seed
        self._device = next(models["embedder"].parameters()).device
        self._loss: Any = build_loss(config.loss, train.num_classes, config.model.embedding_size)
        self._loss.to(self._device)
        self.modules: dict[str, nn.Module] = models | {LOSS: self._loss}
        self._optimizers = self._build_optimizers()
        self._schedulers = self._build_schedulers()
        miner = build_miner(config.loss)
        protocol = config.protocol
        self._hooks = HookContainer(
            record_keeper,
            primary_metric=PRIMARY_METRIC,
            log_freq=max(1, protocol.iterations_per_epoch // _RECORDS_PER_EPOCH),
        )
        self._sets: dict[str, Any] = {"val": validation}
        self._splits: list[tuple[str, list[str]]] | None = None
        if queries is not None:
            self._sets = {
                "val": Subset(validation, range(queries)),
                "gallery": Subset(validation, range(queries, len(validation))),
            }
            self._splits = [("val", ["gallery"])]
        self._tester = build_tester(self._device, self._hooks.end_of_testing_hook)
        self._tester.dataloader_num_workers = validation.workers
        model = config.model
        if model.channels_last:
            models["trunk"].to(memory_format=torch.channels_last)
        if model.compile:
            models["trunk"].compile()
        # On features the trunk has nothing to train, so PML must not warn of its missing optimizer.
        logging.getLogger("PML").addFilter(_is_not_about_the_trunk)
        self._trainer = PMLTrainer(
            model.amp,
            model.chunk_size,
            models=models,
            optimizers=self._optimizers,
            batch_size=protocol.batch_size // number_of_processes(),
            loss_funcs={LOSS: self._loss},
            mining_funcs={} if miner is None else {"tuple_miner": miner},
            dataset=DrawnImages(train),
            sampler=BatchDraws(
                train.labels,
                config.sampler.m,
                protocol.batch_size,
                protocol.iterations_per_epoch,
                number_of_processes(),
                rank(),
            ),
            iterations_per_epoch=protocol.iterations_per_epoch,
            lr_schedulers=self._schedulers,
            gradient_clippers={"trunk_grad_clipper": self._clip_gradients},
            freeze_these=("trunk",) if model.freeze_trunk or model.warm_up_epochs > 0 else (),
            freeze_trunk_batchnorm=model.freeze_batchnorm,
            data_device=self._device,
            dataloader_num_workers=train.workers,
            end_of_iteration_hook=self._after_iteration,
        )

    @property
    def best(self) -> dict[str, float]:
        """The entry of the history with the highest MAP@R, the first of several."""
        return max(self.history, key=lambda entry: entry[PRIMARY_METRIC])

    @property
    def has_validated(self) -> bool:
        """Whether the last epoch ended with a validation."""
        return self.epoch > 0 and self.epoch % self._config.protocol.validation_interval == 0

    @property
    def is_done(self) -> bool:
        """Whether validation has stopped improving, or the protocol allows no further epoch."""
        protocol = self._config.protocol
        if self.history and self.history[-1]["epoch"] - self.best["epoch"] > protocol.patience:
            return True
        return self.epoch >= protocol.max_epochs

    def train_epoch(self) -> None:
        """Train the next epoch, and validate if one is due.

        Raises:
            DivergedError: The loss, its parameters or the embeddings became NaN or infinite.
        """
        with self._checks():
            if self.epoch == self._config.loss.initialize_proxies_after_epoch == 0:
                self._start_proxies()
            if number_of_processes() > 1:
                tell_followers(self.state())
            self._iterate()
            self._end_epoch()

    def follow_epoch(self, state: dict[str, Any]) -> None:
        """Train an epoch together with rank 0, which validates and records.

        Args:
            state: of rank 0 before the epoch.

        Raises:
            DivergedError: The loss or the embeddings became NaN or infinite, in all processes.
        """
        self.load_state(state)
        with self._checks():
            self._iterate()

    def state(self) -> dict[str, Any]:
        """All that the next epochs depend on."""
        stateful: dict[str, dict[str, Any]] = {
            "modules": self.modules,
            "optimizers": self._optimizers,
            "schedulers": self._schedulers,
        }
        states = {
            kind: {name: each.state_dict() for name, each in found.items()}
            for kind, found in stateful.items()
        }
        scaler = self._trainer.scaler.state_dict()
        return states | {"epoch": self.epoch, "history": self.history, "scaler": scaler}

    def load_state(self, state: dict[str, Any]) -> None:
        """Resume from the state of a trainer with the same arguments."""
        self.epoch, self.history = state["epoch"], state["history"]
        for name, module in self.modules.items():
            module.load_state_dict(state["modules"][name])
        for name, optimizer in self._optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        for name, scheduler in self._schedulers.items():
            scheduler.load_state_dict(state["schedulers"][name])
        self._trainer.scaler.load_state_dict(state["scaler"])
        self._end_warm_up()

    def _build_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        model = self._config.model
        settings = {"trunk": model.trunk_optimizer, "embedder": model.embedder_optimizer}
        optimizers = {
            f"{name}_optimizer": build_optimizer(setting, parameters)
            for name, setting in settings.items()
            if (parameters := list(self._models[name].parameters()))
        }
        if self._config.loss.optimizer is not None:
            optimizers[_LOSS_OPTIMIZER] = build_optimizer(
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
        """Clip the gradients of everything in training, or only of the network."""
        training = self._config.training
        parameters = [
            parameter
            for name, optimizer in self._optimizers.items()
            if training.clipped == "all" or name != _LOSS_OPTIMIZER
            for group in optimizer.param_groups
            for parameter in group["params"]
        ]
        if training.clip_value is not None:
            nn.utils.clip_grad_value_(parameters, training.clip_value)
        if training.clip_norm is not None:
            nn.utils.clip_grad_norm_(parameters, training.clip_norm)

    def _end_warm_up(self) -> None:
        """Begin to train the trunk, if the epochs in which it was frozen are over."""
        model = self._config.model
        if not model.freeze_trunk and self.epoch >= model.warm_up_epochs:
            self._trainer.freeze_these = ()
            self._models["trunk"].requires_grad_(True)

    def _start_proxies(self) -> None:
        labels = torch.from_numpy(self._train.labels).to(self._device)
        with long_step(f"initializing the proxies from the embeddings of {len(labels):,} images"):
            self._loss.initialize_proxies(embed(self._models, self._train, self._device), labels)
        # The optimizer's moments belong to the former proxies.
        self._optimizers[_LOSS_OPTIMIZER].state.pop(self._loss.proxies, None)

    def _iterate(self) -> None:
        self.epoch += 1
        seed_everything(derive_seed(self._seed, "epoch", self.epoch))
        self._trainer.train_epoch(self.epoch)

    @contextmanager
    def _checks(self) -> Iterator[None]:
        # Before they are normalised: an overflow would leave zeros that look like embeddings.
        checked = self._models["embedder"].register_forward_hook(self._checked_embeddings)
        try:
            yield
        except NonFiniteError as error:
            raise DivergedError(f"{error}, in {self._moment()}") from error
        finally:
            checked.remove()

    def _checked_embeddings(self, embedder: nn.Module, _inputs: Any, embeddings: Tensor) -> Tensor:
        if embedder.training:
            # First gather those of the others: a process that raised alone would leave them waiting.
            embeddings = whole_batch(embeddings)
        check_embeddings("embeddings", embeddings, self._config.model.embedding_size)
        return embeddings

    def _after_iteration(self, trainer: Any) -> None:
        value = mean_of_processes(trainer.losses["total_loss"]).item()
        if not math.isfinite(value):
            raise DivergedError(f"the loss is {value} in {self._moment()}")
        if self._hooks.record_keeper is not None:
            self._hooks.end_of_iteration_hook(trainer)

    def _end_epoch(self) -> None:
        self._end_warm_up()
        if self.epoch == self._config.loss.initialize_proxies_after_epoch:
            self._start_proxies()
        for name, parameter in self._loss.named_parameters():
            check_finite(name, parameter)
        if self.has_validated:
            with record_function("evaluation"):
                self._tester.test(
                    self._sets, self.epoch, self._models["trunk"], self._models["embedder"], self._splits
                )
            accuracies = self._tester.all_accuracies["val"]
            metrics = {metric: float(accuracies[f"{metric}_level0"]) for metric in METRICS}
            if self._config.protocol.proxy_alignment:
                metrics |= self._align_proxies()
            self.history.append({"epoch": self.epoch, **metrics})

    def _align_proxies(self) -> dict[str, float]:
        labels = torch.from_numpy(self._train.labels)
        embeddings = embed(self._models, self._train, self._device)
        found = {"proxy_alignment": proxy_alignment(*proxies_of(self._loss), embeddings, labels).mean}
        self._hooks.record_keeper.update_records(found, self.epoch, parent_name="proxies")
        return found

    def _moment(self) -> str:
        return f"epoch {self.epoch}, iteration {getattr(self._trainer, 'iteration', -1) + 1}"
