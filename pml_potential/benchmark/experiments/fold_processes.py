"""Train the folds of a trial one after another, or in parallel in separate processes."""

import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for_connections
from pathlib import Path
from typing import Any

import torch

from pml_potential.benchmark.config.reasons import reason_of
from pml_potential.benchmark.config.run_folder import fold_folder
from pml_potential.benchmark.config.schema import Config, ConfigError
from pml_potential.benchmark.data.cache import Stamp, checked_files, trust
from pml_potential.benchmark.data.folds import FoldData, load_fold_data
from pml_potential.benchmark.experiments.progress import RunProgress
from pml_potential.benchmark.experiments.work_queue import PieceFailedError
from pml_potential.benchmark.models.device import devices_in_turn
from pml_potential.benchmark.training.fold import (
    EpochReport,
    FoldResult,
    finished_fold,
    train_fold,
)
from pml_potential.benchmark.training.fold_trainer import DivergedError
from pml_potential.benchmark.training.following import announce_fold
from pml_potential.benchmark.training.process_group import number_of_processes

_SECONDS_BETWEEN_LOOKS = 0.2
"""How often to look at the epochs of folds in other processes."""


def end_if_importing() -> None:
    """End a process that was started to train folds or load images, and is still importing the script.

    Without a main guard, the script would start the run again in each process, and wait for itself.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise SystemExit(1)


class _NotWantedError(RuntimeError):
    """The trial of this process's fold was abandoned."""


@dataclass(frozen=True)
class _FoldTask:
    """A fold to train.

    Attributes:
        config: what to train, and how.
        number: of the fold.
        folder: where it keeps its files.
        seed: of the fold.
        keep_models: keep the models of the best epoch.
    """

    config: Config
    number: int
    folder: Path
    seed: int
    keep_models: bool


class FoldRunner:
    """Trains the folds of trials and reproductions; a context manager that ends its processes.

    Args:
        data: the images and their splits.
        cache: folder of the features, from which other processes load them.
        progress: shows each fold.
        processes: how many folds are trained at once; the processes take the GPUs in turn.
    """

    def __init__(self, data: FoldData, cache: Path, progress: RunProgress, processes: int) -> None:
        self._data = data
        self._cache = cache
        self._progress = progress
        self._processes = processes
        self._context = multiprocessing.get_context("spawn")
        # The processes see the other side close when this process closes it or is killed.
        self._sees_end, self._lifeline = self._context.Pipe(duplex=False)
        self._is_abandoned = self._context.Event()
        self._has_begun = self._context.Event()
        # The epoch of each fold. Without a lock, which a killed process would keep.
        self._epochs: Any = ()
        self._pool: ProcessPoolExecutor | None = None
        self._running: list[tuple[_FoldTask, Future[FoldResult]]] = []

    def __enter__(self) -> "FoldRunner":
        """Start nothing yet: processes start with the first fold."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End the processes; after an error, in the middle of their work, which can be resumed."""
        if kind is not None:
            self._lifeline.close()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
        self._lifeline.close()

    def train(
        self,
        config: Config,
        work: str,
        folder: Path,
        seeds: Sequence[int],
        keep_models: bool = False,
    ) -> Iterator[FoldResult]:
        """Train all folds of a configuration, and yield their results in order.

        Args:
            config: what to train, and how.
            work: name of the trial or reproduction.
            folder: where the folds keep their files.
            seeds: of each fold.
            keep_models: keep the models of the best epoch.

        Raises:
            PieceFailedError: The loss or the embeddings became NaN or infinite, memory ran out, or a
                process that trains or loads images ended.
            ConfigError: The processes that train folds cannot be started from this script.
            ConnectionError: A process of a distributed training ended or could not continue.
        """
        tasks = [
            _FoldTask(config, number, fold_folder(folder, number), seed, keep_models)
            for number, seed in enumerate(seeds)
        ]
        results = self._one_by_one(tasks) if self._processes == 1 else self._side_by_side(tasks)
        self._progress.start_piece(work)
        for task in tasks:
            self._progress.start_fold(task.number, len(tasks), config.protocol.max_epochs)
            try:
                result = next(results)
            except (MemoryError, RuntimeError) as error:
                reason = reason_of(error)
                if number_of_processes() > 1 and not isinstance(error, DivergedError):
                    # Only this process failed; the others wait for it, and torchrun ends them all.
                    raise ConnectionError(
                        f"the processes can no longer work together: {reason}"
                    ) from error
                self.abandon()
                raise PieceFailedError(f"fold {task.number + 1}: {reason}") from error
            self._progress.finish_fold(result.seconds)
            yield result

    def abandon(self) -> None:
        """Abandon the folds whose results have not been taken, as for a pruned trial.

        Folds in other processes stop after their epoch and are deleted, so only those remain that
        training one by one would have begun.
        """
        running, self._running = self._running, []
        if not running:
            return
        self._is_abandoned.set()
        for _, future in running:
            future.cancel()
        wait([future for _, future in running])
        self._is_abandoned.clear()
        for task, _ in running:
            shutil.rmtree(task.folder, ignore_errors=True)

    def _one_by_one(self, tasks: Sequence[_FoldTask]) -> Iterator[FoldResult]:
        for task in tasks:
            if number_of_processes() > 1 and finished_fold(task.folder) is None:
                # Fill the cache before the other processes read it.
                self._data.prepare(task.config)
                announce_fold(task.config, self._cache, task.number, task.seed)
            yield _train(self._data, task, partial(self._finish_epoch, task.number))

    def _side_by_side(self, tasks: Sequence[_FoldTask]) -> Iterator[FoldResult]:
        # Fill the cache before the other processes read it.
        self._data.prepare(tasks[0].config)
        if self._pool is None:
            self._epochs = self._context.RawArray("i", len(tasks))
            self._pool = self._start(tasks[0].config)
        self._epochs[:] = [0] * len(self._epochs)
        try:
            with _children_without_interrupts():
                self._running = [(task, self._pool.submit(_train_here, task)) for task in tasks]
                # On a submit, a pool watches the processes it had before it started one for that work.
                # Without a further submit it would not notice that the last one was killed.
                self._pool.submit(int)
            while self._running:
                task, future = self._running.pop(0)
                while not wait([future], timeout=_SECONDS_BETWEEN_LOOKS).done:
                    self._finish_epochs(task.number)
                yield future.result()
        except BrokenExecutor as error:
            self._pool = None
            if not self._has_begun.is_set():
                raise ConfigError(
                    "the processes that train folds ended before they began. If your script calls "
                    "run_experiment at its top level, put the call below if __name__ == "
                    "'__main__':"
                ) from error
            raise RuntimeError(
                "a process that trains folds was killed, probably because memory ran out; lower "
                "--fold-processes"
            ) from error

    def _finish_epoch(self, fold: int, epoch: int, _score: float | None) -> None:
        self._progress.finish_epoch(fold, epoch)

    def _finish_epochs(self, first: int) -> None:
        """Report the epochs of this fold and the later ones."""
        for fold, epoch in enumerate(self._epochs):
            if fold >= first and epoch > 0:
                self._progress.finish_epoch(fold, epoch)

    def _start(self, config: Config) -> ProcessPoolExecutor:
        devices = self._context.Queue()
        for device in devices_in_turn(self._processes, torch.cuda.device_count()):
            devices.put(device)
        return ProcessPoolExecutor(
            self._processes,
            mp_context=self._context,
            initializer=_begin,
            initargs=(
                config,
                self._cache,
                checked_files(),
                self._processes,
                devices,
                self._sees_end,
                self._is_abandoned,
                self._has_begun,
                self._epochs,
            ),
        )


_data: FoldData | None = None
_is_abandoned: Any = None
_epochs: Any = None
"""In a process that trains folds: its images, whether its work is still wanted, the epochs of folds."""


@contextmanager
def _children_without_interrupts() -> Iterator[None]:
    """Make processes that are started inside ignore Ctrl-C from their first import on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _begin(
    config: Config,
    cache: Path,
    checked: frozenset[Stamp],
    processes: int,
    devices: Any,
    sees_end: Connection,
    is_abandoned: Any,
    has_begun: Any,
    epochs: Any,
) -> None:
    """Prepare this process to train folds, and make it end with its parent."""
    has_begun.set()
    threading.Thread(target=_end_with, args=(sees_end,), daemon=True).start()
    if (device := devices.get()) is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    torch.set_num_threads(max(1, torch.get_num_threads() // processes))
    trust(checked)
    global _data, _is_abandoned, _epochs
    _data = load_fold_data(config, cache)
    _is_abandoned = is_abandoned
    _epochs = epochs


def _end_with(lifeline: Connection) -> None:
    wait_for_connections([lifeline])
    os._exit(1)


def _train_here(task: _FoldTask) -> FoldResult:
    assert _data is not None

    def stop_if_abandoned(epoch: int, _score: float | None) -> None:
        _epochs[task.number] = epoch
        if _is_abandoned.is_set():
            raise _NotWantedError(str(task.folder))

    stop_if_abandoned(0, None)
    return _train(_data, task, stop_if_abandoned)


def _train(data: FoldData, task: _FoldTask, report: EpochReport) -> FoldResult:
    """Train a fold in this process."""
    return train_fold(
        task.config,
        *data.fold(task.config, task.number),
        task.folder,
        task.seed,
        report,
        keep_models=task.keep_models,
        queries=data.splits.folds[task.number].queries,
    )
