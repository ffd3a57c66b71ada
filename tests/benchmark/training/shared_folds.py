"""Folds that several processes train together, or one alone; a script for torchrun."""

import io
import os
import sys
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from pml_potential.benchmark.config.schema import Config, ConfigError
from pml_potential.benchmark.data.datasets import load_glyphs
from pml_potential.benchmark.data.folds import divide, load_fold_data
from pml_potential.benchmark.data.images import ImageArrays
from pml_potential.benchmark.data.labelled_tensors import ArrayTensors
from pml_potential.benchmark.evaluation import without_progress_bars
from pml_potential.benchmark.experiments.fold_processes import FoldRunner
from pml_potential.benchmark.experiments.progress import RunProgress
from pml_potential.benchmark.experiments.work_queue import PieceFailedError
from pml_potential.benchmark.files import write_json
from pml_potential.benchmark.models import build_trunk
from pml_potential.benchmark.training.fold import FoldResult
from pml_potential.benchmark.training.fold_models import untrained_models
from pml_potential.benchmark.training.fold_trainer import DivergedError, FoldTrainer
from pml_potential.benchmark.training.following import follow
from pml_potential.benchmark.training.process_group import (
    check_fold_processes,
    check_shared,
    process_group,
    rank,
    tell_followers,
    told_by_leader,
)
from pml_potential.benchmark.training.record_keeper import record_keeper
from tests.benchmark.tiny import tiny_config

SEED = 3

LONG = ("protocol.max_epochs=5", "protocol.patience=9")

CASES: dict[str, tuple[str, tuple[str, ...]]] = {
    "killed": ("potential_field", LONG),
    "proxies that start in the data": ("potential_field", ("loss.initialize_proxies_after_epoch=0",)),
    "a head that starts in the data": ("contrastive", ("model.head.start=pca",)),
    "warm-up, schedule and clipping": (
        "contrastive",
        (
            "model.warm_up_epochs=1",
            "training.schedule={name: StepLR, params: {step_size: 1, gamma: 0.5}}",
            "training.clip_norm=0.01",
        ),
    ),
    "mean fields": ("mean_field_contrastive", ()),
    "a miner": ("multi_similarity_miner", ()),
    "float16": ("potential_field", ("model.amp=float16",)),
}
"""Presets of losses, and assignments."""


class PoisonedImages(ArrayTensors):
    """Images of which those of the first class are not numbers."""

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image, label = super().__getitem__(index)
        return (image if label else image * torch.nan), label


def config_of(*assignments: str, loss: str = "potential_field") -> Config:
    return tiny_config(
        "model.freeze_batchnorm=true",
        "protocol.folds=4",
        "protocol.max_epochs=2",
        "protocol.patience=0",
        *assignments,
        loss=loss,
    )


class Folds:
    """Trains the first fold of cases, each in a folder of its name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._data = load_fold_data(config_of(), folder)

    def train(self, name: str, config: Config | None = None) -> FoldResult:
        loss, assignments = CASES.get(name, ("", ()))
        config = config or config_of(*assignments, loss=loss)
        progress = RunProgress(Console(file=io.StringIO()), 1)
        with FoldRunner(self._data, self._folder, progress, 1) as runner:
            (result,) = runner.train(config, name, self._folder / name, [SEED], keep_models=True)
        return result


def poisoned(folder: Path) -> str:
    """Train on images that are bad in one process only, and return what every process says."""
    config = config_of("protocol.iterations_per_epoch=30")
    glyphs = load_glyphs()
    chosen = np.flatnonzero(glyphs.labels < 40)
    few = ImageArrays("few", glyphs.images[chosen], glyphs.labels[chosen], glyphs.class_names[:40])
    data = divide(config, few, folder)
    _, validation = data.fold(config, 0)
    train = PoisonedImages(few, data.splits.folds[0].train)
    models = untrained_models(config, train, SEED)
    try:
        with record_keeper(folder / f"poisoned_{rank()}") as keeper, without_progress_bars():
            trainer = FoldTrainer(config, models, train, validation, SEED, keeper, None)
            if rank() == 0:
                trainer.train_epoch()
            else:
                trainer.follow_epoch(told_by_leader())
    except DivergedError as error:
        return str(error)
    return "no error"


def refusals() -> list[str]:
    odd, own = config_of("protocol.batch_size=9", "sampler.m=3"), tiny_config()
    parts = tiny_config("model.chunk_size=2")
    trunk, _ = build_trunk(own.model, 1)
    found = []
    for check in (
        lambda: check_shared(odd, trunk),
        lambda: check_shared(own, trunk),
        lambda: check_shared(parts, trunk),
        lambda: check_fold_processes(2),
    ):
        try:
            check()
        except ConfigError as error:
            found.append(str(error))
    return found


class Code:
    """What would run code in the process that reads it."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("ran",)


def told_code(folder: Path) -> str:
    """Send code from rank 0 to rank 1, and return what the latter says of it."""
    if rank() == 0:
        tell_followers({"fold": Code()})
        return ""
    os.chdir(folder)
    try:
        told_by_leader()
    except UnpicklingError as error:
        return f"refused: {'weights_only' in str(error)}"
    return "read"


def lead(folder: Path) -> None:
    folds = Folds(folder)
    found: dict[str, object] = {"refusals": refusals()}
    try:
        folds.train("diverging", config_of("loss.optimizer.lr=1.0e+38"))
    except PieceFailedError as error:
        found["diverging"] = str(error)
    for name in CASES:
        folds.train(name)
    write_json(folder / "found.json", found)


def threads() -> list[str]:
    """Names of the threads of this process, those included that Python does not know."""
    return [name.read_text().strip() for name in Path("/proc/self/task").glob("*/comm")]


def main(work: str, folder: Path) -> None:
    torch.set_num_threads(1)
    with process_group():
        write_json(folder / f"process_{rank()}.json", os.getpid())
        if work == "everything":
            write_json(folder / f"poisoned_{rank()}.json", poisoned(folder))
            write_json(folder / f"code_{rank()}.json", told_code(folder))
        if rank() > 0:
            follow()
        elif work == "everything":
            lead(folder)
        else:
            Folds(folder).train(work)
        number = rank()
        write_json(folder / f"threads_within_{number}.json", threads())
    write_json(folder / f"threads_after_{number}.json", threads())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
