"""Forty of the characters, a few images of each: enough to train on, and quick."""

from pathlib import Path

import numpy as np

from pml_potential.benchmark.config.schema import Config
from pml_potential.benchmark.data.datasets import load_glyphs
from pml_potential.benchmark.data.folds import FoldData, divide
from pml_potential.benchmark.data.images import ImageArrays
from pml_potential.benchmark.training.fold import EpochReport, FoldResult, train_fold
from tests.benchmark.tiny import tiny_config

CLASSES = 40


def few_glyphs(images: int = 8) -> ImageArrays:
    """So many images of each class."""
    glyphs = load_glyphs()
    chosen = np.flatnonzero((glyphs.labels < CLASSES) & (np.arange(len(glyphs.labels)) % 32 < images))
    return ImageArrays("few", glyphs.images[chosen], glyphs.labels[chosen], glyphs.class_names[:CLASSES])


class FewFolds:
    """Trains the first fold of configurations on these images."""

    def __init__(self, cache: Path) -> None:
        self.data: FoldData = divide(tiny_config(), few_glyphs(), cache)

    def train(
        self,
        config: Config,
        folder: Path,
        seed: int = 3,
        report: EpochReport = lambda _epoch, _score: None,
        keep_models: bool = True,
    ) -> FoldResult:
        """Train it into a folder."""
        return train_fold(config, *self.data.fold(config, 0), folder, seed, report, keep_models)
