"""Training the folds of a trial one after the other, or side by side in processes of their own."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch

from pml_potential.benchmark.fold_trainer import DivergedError
from pml_potential.benchmark.folds import FoldData, load_fold_data
from pml_potential.benchmark.following import SharedFold
from pml_potential.benchmark.process_group import number_of_processes, tell_followers
from pml_potential.benchmark.progress import RunProgress
from pml_potential.benchmark.schema import Config
from pml_potential.benchmark.training import FoldResult, finished_fold, train_fold
from pml_potential.benchmark.work_queue import PieceFailedError

_data: FoldData | None = None
"""In a process that trains folds: its images."""


def has_all_folds(folder: Path, folds: int) -> bool:
    """Whether the results of all folds of a trial or reproduction are there."""
    return all(finished_fold(folder / f"fold_{fold}") is not None for fold in range(folds))


class FoldTraining:
    """Trains folds; a context that ends its processes.

    Args:
        config: of the run, which says what the images are.
        data: its images and splits.
        cache: folder of the features, from which other processes load them.
        progress: told of each fold.
        processes: how many folds are trained at a time; each process has the next of the GPUs.
    """

    def __init__(
        self, config: Config, data: FoldData, cache: Path, progress: RunProgress, processes: int
    ) -> None:
        self._config = config
        self._data = data
        self._cache = cache
        self._progress = progress
        self._processes = processes
        self._context = multiprocessing.get_context("spawn")
        # Whose end at the other side the processes see when this one closes it, or is killed.
        self._sees_end, self._lifeline = self._context.Pipe(duplex=False)
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "FoldTraining":
        """Start nothing yet: processes come with the first fold."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End the processes, after an error in the midst of their work; it is resumed another time."""
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
        """Train all folds of a configuration, and hand over each result, in order.

        Args:
            config: what to train, and how.
            work: name of the trial or reproduction.
            folder: where the folds keep their files.
            seeds: of each fold.
            keep_models: keep the models of the best epoch.

        Raises:
            PieceFailedError: The loss or the embeddings became NaN or infinite, memory ran out, or a
                process that trains or loads images ended.
            ConnectionError: One of the processes that train together ended, or could not go on.
        """
        places = [folder / f"fold_{fold}" for fold in range(len(seeds))]
        were_done = [finished_fold(place) is not None for place in places]
        arguments = list(zip(range(len(seeds)), places, seeds, strict=True))
        if self._processes == 1:
            results = self._one_by_one(config, arguments, keep_models)
        else:
            results = self._side_by_side(config, arguments, keep_models)
        for fold, was_done in enumerate(were_done):
            self._progress.start_fold(work, fold, len(seeds))
            try:
                result = next(results)
            except (MemoryError, RuntimeError) as error:
                reason = str(error) or type(error).__name__
                if number_of_processes() > 1 and not isinstance(error, DivergedError):
                    # Of one process; the others wait for it, and torchrun ends them all.
                    raise ConnectionError(
                        f"the processes do not work together any more: {reason}"
                    ) from error
                self._progress.fail(reason)
                raise PieceFailedError(f"fold {fold + 1}: {reason}") from error
            self._progress.finish_fold(result.score, result.best_epoch, result.seconds, was_done)
            yield result

    def _one_by_one(
        self, config: Config, arguments: list[tuple[int, Path, int]], keep_models: bool
    ) -> Iterator[FoldResult]:
        for fold, place, seed in arguments:
            if finished_fold(place) is None:
                tell_followers(SharedFold(self._config, self._cache, config, fold, seed))
            yield train_fold(
                config,
                *self._data.fold(fold),
                place,
                seed,
                self._progress.finish_epoch,
                keep_models=keep_models,
                queries=self._data.splits.queries,
            )

    def _side_by_side(
        self, config: Config, arguments: list[tuple[int, Path, int]], keep_models: bool
    ) -> Iterator[FoldResult]:
        if self._pool is None:
            self._pool = self._start()
        try:
            with _children_without_interrupts():
                futures = [
                    self._pool.submit(_train_here, config, fold, place, seed, keep_models)
                    for fold, place, seed in arguments
                ]
                # A pool watches the processes that it had when work was last submitted, before it
                # started one for that work. Without this it would not see the last of them killed.
                self._pool.submit(int)
            for future in futures:
                yield future.result()
        except BrokenExecutor as error:
            self._pool = None
            raise RuntimeError(
                "a process that trains folds was killed, as a system does that is short of memory; "
                "lower --fold-processes"
            ) from error

    def _start(self) -> ProcessPoolExecutor:
        devices = self._context.Queue()
        count = torch.cuda.device_count()
        for number in range(self._processes):
            devices.put(number % count if count else None)
        return ProcessPoolExecutor(
            self._processes,
            mp_context=self._context,
            initializer=_begin,
            initargs=(self._config, self._cache, self._processes, devices, self._sees_end),
        )


@contextmanager
def _children_without_interrupts() -> Iterator[None]:
    """Let processes that are started inside ignore Ctrl-C, from their first import on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _begin(config: Config, cache: Path, processes: int, devices: Any, sees_end: Connection) -> None:
    """Make this process ready to train folds, and have it end with the one that started it."""
    threading.Thread(target=_end_with, args=(sees_end,), daemon=True).start()
    if (device := devices.get()) is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(device)
    torch.set_num_threads(max(1, torch.get_num_threads() // processes))
    global _data
    _data = load_fold_data(config, cache)


def _end_with(lifeline: Connection) -> None:
    wait([lifeline])
    os._exit(1)


def _train_here(config: Config, fold: int, place: Path, seed: int, keep_models: bool) -> FoldResult:
    assert _data is not None
    return train_fold(
        config,
        *_data.fold(fold),
        place,
        seed,
        lambda _epoch, _score: None,
        keep_models=keep_models,
        queries=_data.splits.queries,
    )
