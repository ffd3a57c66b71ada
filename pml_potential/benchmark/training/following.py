"""A process that helps rank 0 to train: it computes its share of each batch, and nothing else."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from pml_potential.benchmark.config.schema import Config
from pml_potential.benchmark.data.folds import FoldData, load_fold_data
from pml_potential.benchmark.evaluation import without_progress_bars
from pml_potential.benchmark.training.fold_models import models_to_load
from pml_potential.benchmark.training.fold_trainer import DivergedError, FoldTrainer
from pml_potential.benchmark.training.process_group import tell_followers, told_by_leader

_FOLD = "fold"
"""Key of a message that announces a fold; all others are states before an epoch."""


def announce_fold(config: Config, cache: Path, fold: int, seed: int) -> None:
    """Tell the followers which fold rank 0 is about to train; the state before each epoch follows.

    Args:
        config: what to train, and how.
        cache: folder of the features, which rank 0 has filled.
        fold: its number.
        seed: of the fold.
    """
    tell_followers({_FOLD: fold, "config": config.model_dump_json(), "cache": str(cache), "seed": seed})


def follow() -> None:
    """Train with rank 0 until it says that the run is finished."""
    data: FoldData | None = None
    trainer: FoldTrainer | None = None
    with without_progress_bars():
        while (message := told_by_leader()) is not None:
            if _FOLD in message:
                # Free its memory before the next one is built.
                trainer = None
                config = Config.model_validate_json(message["config"])
                # Rank 0 has loaded them already, and cached what takes long.
                data = data or load_fold_data(config, Path(message["cache"]))
                trainer = _trainer(config, data, message)
            elif trainer is not None:
                # Rank 0 gets the same error, and says why the fold failed.
                with suppress(DivergedError):
                    trainer.follow_epoch(message)


def _trainer(config: Config, data: FoldData, message: dict[str, Any]) -> FoldTrainer:
    train, validation = data.fold(config, message[_FOLD])
    models = models_to_load(config, train)
    return FoldTrainer(config, models, train, validation, message["seed"], None, None)
