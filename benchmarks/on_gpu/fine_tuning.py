"""Training a whole network on pictures that stay on the device."""

import shutil
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import Any, cast

import torch
from torch import Tensor, nn

from benchmarks.on_gpu.pictures import PictureNumbers, Pictures, decoded
from benchmarks.photographs.cells import FOLD
from pml_potential.benchmark.config.run_folder import image_cache
from pml_potential.benchmark.config.schema import Config
from pml_potential.benchmark.config.seeds import seed_everything
from pml_potential.benchmark.data.folds import FoldData, load_fold_data
from pml_potential.benchmark.data.labelled_tensors import LabelledTensors
from pml_potential.benchmark.evaluation import (
    METRICS,
    PRIMARY_METRIC,
    embed,
    judge,
    trunk_output,
    without_progress_bars,
)
from pml_potential.benchmark.models.building import build_models
from pml_potential.benchmark.training.fold_trainer import DivergedError, FoldTrainer
from pml_potential.benchmark.training.record_keeper import record_keeper
from pml_potential.losses import initialize_head


class FineTuning:
    """Trainings on one set of pictures, which are decoded for the first and kept for the others.

    Args:
        config: of any of the trainings, which differ in losses, networks and seeds, not in the data.
        work: folder for caches and records.
        device: where networks are trained.
    """

    def __init__(self, config: Config, work: Path, device: torch.device) -> None:
        self._config = config
        self._work = work
        self._device = device
        self._data: FoldData = load_fold_data(config, work / "features")

    @property
    def data(self) -> dict[str, Any]:
        """Hash and sizes of the set of pictures."""
        images, splits = self._data.images, self._data.splits
        return {
            "sha256": images.sha256,
            "classes": len(images.class_names),
            "train": len(splits.folds[FOLD].train),
            "validation": len(splits.folds[FOLD].validation),
            "test": len(splits.test),
        }

    def train(self, config: Config, seed: int) -> dict[str, Any]:
        """Train a network, choose the epoch on the validation classes, and judge it on the test classes.

        Raises:
            ConfigError: The network or its weights are not available.
        """
        start = perf_counter()
        splits = self._data.splits
        train, validation = (
            PictureNumbers(self._data.images, indices)
            for indices in (splits.folds[FOLD].train, splits.folds[FOLD].validation)
        )
        train.labels = self._data.training_labels(config, FOLD)
        models = self._untrained(config, train, seed)
        untrained = self._judged(models, validation)
        records = self._work / "records"
        shutil.rmtree(records, ignore_errors=True)
        best: dict[str, dict[str, Tensor]] = {}
        ready = perf_counter()
        try:
            with record_keeper(records) as keeper, without_progress_bars():
                trainer = FoldTrainer(config, models, train, validation, seed, keeper, None)
                while not trainer.is_done:
                    trainer.train_epoch()
                    if trainer.has_validated and trainer.best["epoch"] == trainer.epoch:
                        best = {name: _copy(model) for name, model in models.items()}
        except DivergedError as error:
            return {"data": self.data, "failure": str(error)}
        seconds = perf_counter() - ready
        for name, model in models.items():
            model.load_state_dict(best[name])
        protocol = config.protocol
        images = trainer.epoch * protocol.iterations_per_epoch * protocol.batch_size
        return {
            "data": self.data,
            "untrained_validation": untrained[PRIMARY_METRIC],
            "validation": trainer.best[PRIMARY_METRIC],
            "best_epoch": int(trainer.best["epoch"]),
            "history": [round(entry[PRIMARY_METRIC], 5) for entry in trainer.history],
            "test": self._judged(models, PictureNumbers(self._data.images, splits.test)),
            "seconds": round(seconds, 1),
            "seconds_before": round(ready - start, 1),
            "images_per_second": round(images / seconds, 1),
        }

    @cached_property
    def _pixels(self) -> Tensor:
        crop = self._config.protocol.crop
        return decoded(self._data.images, crop, image_cache(self._work / "features"), self._device)

    def _untrained(self, config: Config, train: LabelledTensors, seed: int) -> dict[str, nn.Module]:
        """The networks before their first step, as ``untrained_models`` builds them for other data."""
        seed_everything(seed)
        models = build_models(config.model, train.channels)
        assert config.model.input is not None
        pictures = Pictures(self._pixels, config.model.input, config.protocol.crop)
        models["trunk"] = nn.Sequential(pictures, models["trunk"])
        models = {name: model.to(self._device) for name, model in models.items()}
        if config.model.head.start == "pca":
            with torch.random.fork_rng(devices=[]):
                features = trunk_output(models["trunk"], train, self._device)
            initialize_head(cast("nn.Linear", models["embedder"]), features)
        return models

    def _judged(self, models: dict[str, nn.Module], images: LabelledTensors) -> dict[str, float]:
        scores = judge(embed(models, images, self._device), torch.from_numpy(images.labels))
        return {metric: scores[metric] for metric in METRICS}


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}
