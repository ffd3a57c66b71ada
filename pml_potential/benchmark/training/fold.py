"""Train one fold, once, with all its files."""

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import Timeout
from pydantic import TypeAdapter

from pml_potential.benchmark.config.run_folder import fold_folder
from pml_potential.benchmark.config.schema import Config
from pml_potential.benchmark.data.labelled_tensors import LabelledTensors
from pml_potential.benchmark.evaluation import PRIMARY_METRIC, without_progress_bars
from pml_potential.benchmark.files import DamagedFileError, NamedLock, read_json, set_aside, write_json
from pml_potential.benchmark.training.checkpoints import Checkpoints, remove_checkpoints, work_hash
from pml_potential.benchmark.training.fold_models import models_to_load, save_best, untrained_models
from pml_potential.benchmark.training.fold_trainer import DivergedError, FoldTrainer
from pml_potential.benchmark.training.record_keeper import record_keeper
from pml_potential.benchmark.training.record_position import cut_back, save_records

EpochReport = Callable[[int, float | None], None]
"""Called after each epoch with its number, and its MAP@R if it ended with a validation."""


@dataclass(frozen=True)
class FoldResult:
    """Result of one fold.

    Attributes:
        score: best validation MAP@R.
        best_epoch: its epoch.
        history: an entry for each validation, with ``epoch`` and every metric.
        seconds: wall time.
    """

    score: float
    best_epoch: int
    history: list[dict[str, float]]
    seconds: float


_RESULT = TypeAdapter(FoldResult)


def finished_fold(folder: Path) -> FoldResult | None:
    """Read the result of a finished fold; None if there is none, or if it is damaged."""
    try:
        result = _RESULT.validate_python(read_json(folder / "result.json"))
        best = next(entry for entry in result.history if entry["epoch"] == result.best_epoch)
        is_whole = best[PRIMARY_METRIC] == result.score
    except (FileNotFoundError, KeyError, StopIteration, ValueError):
        return None
    return result if is_whole else None


def finished_folds(piece: Path, folds: int) -> list[FoldResult | None]:
    """Results of the folds of a trial or reproduction, by its folder; None for each that has none."""
    return [finished_fold(fold_folder(piece, fold)) for fold in range(folds)]


def train_fold(
    config: Config,
    train: LabelledTensors,
    validation: LabelledTensors,
    folder: Path,
    seed: int,
    report: EpochReport,
    keep_models: bool = False,
    queries: int | None = None,
) -> FoldResult:
    """Train a model on one fold until validation stops improving, and record everything.

    A fold whose folder already holds a result is not trained again. An interrupted one resumes from its
    last checkpoint, with the same result as without the interruption. Files that are damaged or of
    another configuration are kept under another name, with a warning. If another process is training
    the fold, this one waits for it.

    Args:
        config: what to train, and how.
        train: images of the training classes.
        validation: images of the validation classes, none of them a training class.
        folder: for records, models, checkpoints and the result.
        seed: decides initial weights and batches.
        report: called after each epoch.
        keep_models: save the models of the best epoch, and the loss, under ``models``.
        queries: number of validation images, from the first, that are queries; the others are the
            gallery. None: each image is a query among all others.

    Returns:
        The result, also written to ``result.json``.

    Raises:
        DivergedError: The loss or the embeddings became NaN or infinite.
        ConfigError: The configuration names a loss or an optimizer that cannot be built.
        OSError: Something cannot be written, as on a full disk; the same call resumes later.
    """
    result = finished_fold(folder)
    if result is None:
        with _alone_in(folder):
            # Another process may have finished it in the meantime.
            result = finished_fold(folder)
            if result is None:
                work = work_hash(config, seed, train, validation, keep_models, queries)
                checkpoints = Checkpoints(folder, work)
                try:
                    result = _train(
                        config,
                        train,
                        validation,
                        folder,
                        seed,
                        report,
                        keep_models,
                        queries,
                        checkpoints,
                    )
                except DivergedError:
                    remove_checkpoints(folder)
                    raise
                write_json(folder / "result.json", asdict(result))
    remove_checkpoints(folder)
    return result


def _train(
    config: Config,
    train: LabelledTensors,
    validation: LabelledTensors,
    folder: Path,
    seed: int,
    report: EpochReport,
    keep_models: bool,
    queries: int | None,
    checkpoints: Checkpoints,
) -> FoldResult:
    start = time.perf_counter()
    _set_damaged_result_aside(folder)
    state = checkpoints.latest()
    if state is not None:
        try:
            cut_back(folder, state["records"])
            start -= state["seconds"]
        except DamagedFileError as error:
            warnings.warn(f"{error}; the fold starts again", stacklevel=2)
            state = None
    if state is None:
        set_aside(folder)
        folder.mkdir(parents=True)
    for unfinished in folder.rglob(".*.tmp"):
        unfinished.unlink()
    models = untrained_models(config, train, seed) if state is None else models_to_load(config, train)
    with record_keeper(folder) as keeper, without_progress_bars():
        trainer = FoldTrainer(config, models, train, validation, seed, keeper, queries)
        if state is not None:
            trainer.load_state(state["trainer"])
        while not trainer.is_done:
            trainer.train_epoch()
            if keep_models and trainer.has_validated and trainer.best["epoch"] == trainer.epoch:
                save_best(trainer.modules, folder)
            # Last, as a checkpoint says that all before it is on the disk.
            state = {"records": save_records(keeper, folder), "trainer": trainer.state()}
            checkpoints.write(trainer.epoch, state | {"seconds": time.perf_counter() - start})
            score = trainer.history[-1][PRIMARY_METRIC] if trainer.has_validated else None
            report(trainer.epoch, score)
    return FoldResult(
        score=trainer.best[PRIMARY_METRIC],
        best_epoch=int(trainer.best["epoch"]),
        history=trainer.history,
        seconds=time.perf_counter() - start,
    )


def _set_damaged_result_aside(folder: Path) -> None:
    path = folder / "result.json"
    if path.exists():
        aside = set_aside(path, "damaged")
        warnings.warn(f"{path} is damaged; set aside as {aside.name}", stacklevel=2)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder that may not exist yet, or any more."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = NamedLock(folder.with_name(f".{folder.name}.lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        warnings.warn(f"{folder}: another process is training this fold; waiting for it", stacklevel=2)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
