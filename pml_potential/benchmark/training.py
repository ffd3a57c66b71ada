"""Training one fold, once, with everything that it leaves on disk."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from pml_potential.benchmark.evaluation import PRIMARY_METRIC
from pml_potential.benchmark.fold_trainer import EpochReport, FoldTrainer
from pml_potential.benchmark.labelled_dataset import LabelledDataset
from pml_potential.benchmark.models import build_models
from pml_potential.benchmark.records import read_json, record_keeper, set_aside, write_json
from pml_potential.benchmark.schema import Config
from pml_potential.benchmark.seeds import seed_everything
from pml_potential.benchmark.silence import without_progress_bars


@dataclass(frozen=True)
class FoldResult:
    """How one fold went.

    Attributes:
        score: best validation MAP@R.
        best_epoch: the epoch that had it.
        history: an entry a validation, with ``epoch`` and every metric.
        seconds: wall time.
    """

    score: float
    best_epoch: int
    history: list[dict[str, float]]
    seconds: float


def finished_fold(folder: Path) -> FoldResult | None:
    """Read the result of a fold that was trained to its end, if there is one."""
    path = folder / "result.json"
    return FoldResult(**read_json(path)) if path.is_file() else None


def device_for_training() -> torch.device:
    """The first CUDA device, or the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def untrained_models(config: Config, dataset: LabelledDataset, seed: int) -> dict[str, nn.Module]:
    """The models as ``train_fold`` has them before its first step with the same seed."""
    seed_everything(seed)
    models = _models(config, dataset)
    return {name: model.to(device_for_training()) for name, model in models.items()}


def best_models(config: Config, dataset: LabelledDataset, folder: Path) -> dict[str, nn.Module]:
    """The models at the best epoch of a fold that was trained with ``keep_models``."""
    models = _models(config, dataset, pretrained=False)
    for name, model in models.items():
        (path,) = folder.glob(f"models/{name}_best*.pth")
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        model.to(device_for_training()).eval()
    return models


def _models(config: Config, dataset: LabelledDataset, pretrained: bool = True) -> dict[str, nn.Module]:
    """Trunk and embedder; on features of a trunk, the embedder alone."""
    if dataset.width is None:
        return build_models(config.model, dataset.channels, pretrained)
    return {
        "trunk": nn.Identity(),
        "embedder": nn.Linear(dataset.width, config.model.embedding_size),
    }


def train_fold(
    config: Config,
    train: LabelledDataset,
    validation: LabelledDataset,
    folder: Path,
    seed: int,
    report: EpochReport,
    keep_models: bool = False,
    queries: int | None = None,
) -> FoldResult:
    """Train a model on one fold until validation stops to improve, and record everything.

    A fold whose folder already holds a result is not trained again. One that was interrupted starts
    anew, and what it left is kept under another name.

    Args:
        config: what to train, and how.
        train: images of the training classes.
        validation: images of the validation classes, none of them a training class.
        folder: where records, models and the result go.
        seed: decides initial weights and batches.
        report: called after each validation.
        keep_models: save the latest and the best models under ``models``.
        queries: so many of the first validation images look among the others; None: all among all.

    Returns:
        The result, also written to ``result.json``.

    Raises:
        DivergedError: The loss or the embeddings became NaN or infinite.
        ConfigError: The configuration names a loss or an optimizer that cannot be built.
    """
    if (done := finished_fold(folder)) is not None:
        return done
    set_aside(folder)
    folder.mkdir(parents=True)
    start = time.perf_counter()
    models = untrained_models(config, train, seed)
    with record_keeper(folder) as keeper, without_progress_bars():
        trainer = FoldTrainer(
            config, models, train, validation, folder / "models", keep_models, keeper, report, queries
        )
        history = trainer.run()
    best = max(history, key=lambda entry: entry[PRIMARY_METRIC])
    result = FoldResult(
        score=best[PRIMARY_METRIC],
        best_epoch=int(best["epoch"]),
        history=history,
        seconds=time.perf_counter() - start,
    )
    write_json(folder / "result.json", asdict(result))
    return result
