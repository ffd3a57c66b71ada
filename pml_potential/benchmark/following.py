"""What a process does that helps rank 0 to train: its share of each batch, and nothing else."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pml_potential.benchmark.fold_trainer import DivergedError, FoldTrainer
from pml_potential.benchmark.folds import FoldData, load_fold_data
from pml_potential.benchmark.process_group import told_by_leader
from pml_potential.benchmark.schema import Config
from pml_potential.benchmark.silence import without_progress_bars
from pml_potential.benchmark.training import device_for_training, fold_models


@dataclass(frozen=True)
class SharedFold:
    """A fold that rank 0 is about to train; the state before each of its epochs follows.

    Attributes:
        run: configuration of the run, which says what the images are.
        cache: folder of the features.
        config: what to train, and how.
        fold: its number.
        seed: of the fold.
    """

    run: Config
    cache: Path
    config: Config
    fold: int
    seed: int


def follow() -> None:
    """Train with rank 0 until it says that the run has ended."""
    data: FoldData | None = None
    trainer: FoldTrainer | None = None
    with without_progress_bars():
        while (message := told_by_leader()) is not None:
            if isinstance(message, SharedFold):
                # Its memory goes before the next one takes some.
                trainer = None
                # Rank 0 has loaded them, and has left what takes long in its cache.
                data = data or load_fold_data(message.run, message.cache)
                trainer = _trainer(message, data)
            elif trainer is not None:
                # Rank 0 has found the same, and says why the fold failed.
                with suppress(DivergedError):
                    trainer.follow_epoch(message)


def _trainer(shared: SharedFold, data: FoldData) -> FoldTrainer:
    train, validation = data.fold(shared.fold)
    models = fold_models(shared.config, train, pretrained=False)
    models = {name: model.to(device_for_training()) for name, model in models.items()}
    return FoldTrainer(shared.config, models, train, validation, shared.seed, None, None)
