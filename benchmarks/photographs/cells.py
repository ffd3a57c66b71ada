"""A training of the study, and the files that store the results."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import Timeout
from torch import nn

from benchmarks.photographs.settings import CARS, base_config
from benchmarks.photographs.variants import register
from pml_potential.benchmark.config.composing import with_values
from pml_potential.benchmark.config.schema import Config
from pml_potential.benchmark.data.folds import FoldData, load_fold_data
from pml_potential.benchmark.data.labelled_tensors import LabelledTensors
from pml_potential.benchmark.evaluation import METRICS, PRIMARY_METRIC, embed, judge
from pml_potential.benchmark.files import NamedLock, read_json, write_json
from pml_potential.benchmark.models.device import training_device
from pml_potential.benchmark.report.environment import describe_environment
from pml_potential.benchmark.training.fold import train_fold
from pml_potential.benchmark.training.fold_models import best_models, untrained_models
from pml_potential.benchmark.training.fold_trainer import DivergedError

RESULTS = Path(__file__).parents[2] / "docs" / "results" / "photographs"

FOLD = 0
"""Of the protocol's four: it validates on the last quarter of the training classes."""


@dataclass(frozen=True)
class Cell:
    """A training of the study.

    Attributes:
        part: its part of the study; the results of a part are in one file.
        name: unique in the part.
        preset: its loss.
        changes: to the loss's configuration in the study's regime, by dotted paths.
        seed: of weights, batches and wrong labels.
        is_judged: whether its best epoch is judged on the test classes.
        images: its set of images.
    """

    part: str
    name: str
    preset: str
    changes: Mapping[str, Any]
    seed: int = 0
    is_judged: bool = False
    images: str = CARS


class Laboratory:
    """Trains cells; finished ones are not trained again.

    Several processes may work on the same cells.

    Args:
        data: folder of the sets of images.
        work: folder for caches, and for cells in training.
    """

    def __init__(self, data: Path, work: Path) -> None:
        register()
        self._folder = data
        self._work = work
        self._data: dict[str, FoldData] = {}

    def train(self, cell: Cell) -> None:
        """Train a cell, unless it is finished or another process is training it."""
        folder = self._work / "cells" / cell.part / cell.name
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            with NamedLock(folder.with_name(f".{folder.name}.claim"), timeout=0):
                if cell.name not in read_part(cell.part):
                    self._keep(cell, self._trained(cell, folder))
                    shutil.rmtree(folder)
        except Timeout:
            return

    def measure_untrained(self, cell: Cell) -> None:
        """Judge the network of a cell before its first step."""
        if cell.name not in read_part(cell.part):
            config, data = self.set_up(cell)
            train, validation = data.fold(config, FOLD)
            models = untrained_models(config, train, cell.seed)
            test = data.test(config)
            parts = {"validation": validation, "test": test}
            self._keep(cell, {name: _judged(models, images) for name, images in parts.items()})

    def _trained(self, cell: Cell, folder: Path) -> dict[str, Any]:
        config, data = self.set_up(cell)
        train, validation = data.fold(config, FOLD)
        try:
            found = train_fold(
                config, train, validation, folder, cell.seed, _silent, keep_models=cell.is_judged
            )
        except DivergedError as error:
            folder.mkdir(exist_ok=True)
            return {"failure": str(error)}
        row: dict[str, Any] = {
            "validation": found.score,
            "best_epoch": found.best_epoch,
            "history": [round(entry[PRIMARY_METRIC], 5) for entry in found.history],
            "seconds": round(found.seconds, 1),
        }
        if cell.is_judged:
            models = best_models(config, data.images.channels, folder)
            row["test"] = _judged(models, data.test(config))
        return row

    def set_up(self, cell: Cell) -> tuple[Config, FoldData]:
        """The configuration of a cell, and its images."""
        changes = {**cell.changes, "seed": cell.seed}
        root = self._folder / cell.images
        config = with_values(base_config(cell.preset, cell.images, str(root)), changes)
        if cell.images not in self._data:
            self._data[cell.images] = load_fold_data(config, self._work / "features")
            self._data[cell.images].prepare(config)
        return config, self._data[cell.images]

    def _keep(self, cell: Cell, found: Mapping[str, Any]) -> None:
        """Add a row to the file of its part."""
        path = RESULTS / f"{cell.part}.json"
        RESULTS.mkdir(parents=True, exist_ok=True)
        asked = {"preset": cell.preset, "changes": dict(cell.changes), "seed": cell.seed}
        with NamedLock(self._work / f".{cell.part}.lock"):
            rows = read_part(cell.part) | {cell.name: {**asked, **found, **_origin()}}
            write_json(path, dict(sorted(rows.items())))


def read_part(part: str) -> dict[str, Any]:
    """Rows of a part of the study, by the names of their cells."""
    path = RESULTS / f"{part}.json"
    found: dict[str, Any] = read_json(path) if path.exists() else {}
    return found


def _origin() -> dict[str, str]:
    environment = describe_environment()
    return {"commit": environment["commit"], "processor": environment["processor"]}


def _judged(models: dict[str, nn.Module], images: LabelledTensors) -> dict[str, float]:
    embeddings = embed(models, images, training_device())
    scores = judge(embeddings, torch.from_numpy(images.labels))
    return {metric: scores[metric] for metric in METRICS}


def _silent(_epoch: int, _score: float | None) -> None:
    pass
