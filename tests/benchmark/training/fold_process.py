"""Training a fold in a process of its own, which can be killed, and all that a fold leaves."""

import multiprocessing
import os
import resource
import signal
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pml_potential.benchmark.data.folds import divide
from pml_potential.benchmark.data.labelled_tensors import ImageTensors, LabelledTensors
from pml_potential.benchmark.files import read_state
from pml_potential.benchmark.training.fold import EpochReport, FoldResult, train_fold
from tests.benchmark.tiny import tiny_config
from tests.benchmark.training.few_glyphs import few_glyphs

LONG = ("protocol.iterations_per_epoch=3", "protocol.max_epochs=5", "protocol.patience=9")

_CONTEXT = multiprocessing.get_context("forkserver")
# What a first training step imports takes seconds, which every process would spend again.
_CONTEXT.set_forkserver_preload(
    ["pml_potential.benchmark.training.fold", "faiss", "torch._dynamo", "pytest"]
)


@dataclass(frozen=True)
class Work:
    """What a process trains.

    Attributes:
        assignments: of the configuration.
        loss: its preset.
        seed: of the fold.
        keep_models: whether the models of the best epoch are kept.
        workers: processes that load images; the images are then turned by chance.
        limits: bytes that a file may have after so many epochs.
        dies_at_limit: whether the process ends in the middle of a write beyond the limit, at once.
    """

    assignments: tuple[str, ...] = ()
    loss: str = "potential_field"
    seed: int = 3
    keep_models: bool = True
    workers: int | None = None
    limits: tuple[tuple[int, int], ...] = ()
    dies_at_limit: bool = False

    def train(self, folder: Path, report: EpochReport | None = None) -> FoldResult:
        """Train in this process."""
        config = tiny_config(*LONG, *self.assignments, loss=self.loss)
        few = few_glyphs()
        data = divide(config, few, folder.parent / "features")
        train: LabelledTensors
        train, validation = data.fold(config, 0)
        if self.workers is not None:
            train = ImageTensors(few, data.splits.folds[0].train, _turned)
            train.workers = self.workers
        self._limit(0)

        def after_epoch(epoch: int, score: float | None) -> None:
            self._limit(epoch)
            if report is not None:
                report(epoch, score)

        return train_fold(config, train, validation, folder, self.seed, after_epoch, self.keep_models)

    def start(self, folder: Path) -> Any:
        """Start a process that trains."""
        process = _CONTEXT.Process(target=_train, args=(self, folder))
        process.start()
        return process

    def end(self, folder: Path) -> int:
        """Train in a process to its end, and return its exit code."""
        process = self.start(folder)
        process.join()
        code: int = process.exitcode
        return code

    def _limit(self, epoch: int) -> None:
        for after, size in self.limits:
            if after == epoch:
                if self.dies_at_limit:
                    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _turned(image: Any) -> torch.Tensor:
    pixels = torch.from_numpy(np.array(image)).unsqueeze(0).float() / 127.5 - 1
    return pixels.rot90(int(torch.randint(4, ())), (1, 2))


def _train(work: Work, folder: Path) -> None:
    # A group of its own, so that a kill takes the processes along that load images.
    os.setsid()
    # As in a process that a person started.
    multiprocessing.set_start_method("fork", force=True)
    torch.set_num_threads(1)
    try:
        work.train(folder)
    except OSError as error:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        folder.with_name("error").write_text(str(error))
        os._exit(3)


def kill(process: Any) -> None:
    """End a process and what it started, at once."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        # Not yet the head of a group, or no more there.
        process.kill()
    process.join()


def everything(folder: Path) -> dict[str, Any]:
    """What a finished fold holds, but for the time that it took."""
    events = EventAccumulator(str(folder / "tensorboard"), {"scalars": 0})
    events.Reload()
    scalars = {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }
    with closing(sqlite3.connect(folder / "logs" / "logs.db")) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master")]
        tables = {name: connection.execute(f'SELECT * FROM "{name}"').fetchall() for name in names}
    return {
        "scalars": scalars,
        "tables": tables,
        "csv": {path.name: path.read_bytes() for path in (folder / "logs").glob("*.csv")},
        "models": {path.name: _lists(read_state(path)) for path in folder.glob("models/*.pth")},
        "others": sorted(
            str(path.relative_to(folder))
            for path in folder.rglob("*")
            if path.is_file() and path.parent.name not in {"tensorboard", "logs"}
        ),
    }


def _lists(state: dict[str, torch.Tensor]) -> dict[str, Any]:
    return {name: value.tolist() for name, value in state.items()}
