"""Configurations made of presets, files and single values, and what is said of those refused."""

from pathlib import Path

import pytest

from pml_potential.benchmark.config.composing import compose
from pml_potential.benchmark.config.schema import Config, ConfigError
from pml_potential.benchmark.experiments.runnable import check_runnable
from pml_potential.benchmark.training.names import check_names
from tests.benchmark.tiny import PRESETS

LOSS_FILE = """\
loss:
  name: CPMLLoss
  params: {delta: 0.3}
  optimizer: {name: SGD, lr: 0.5}
sampler: {m: 2}
search: {}
seed: 11
"""


def composed(*assignments: str, **presets: str) -> Config:
    return compose(PRESETS | presets, assignments, check_names)


def refusal(*assignments: str, **presets: str) -> str:
    """What a configuration is refused with, by `compose` or by the check before the run."""
    with pytest.raises(ConfigError) as caught:
        check_runnable(composed(*assignments, **presets))
    return str(caught.value)


def own_file(folder: Path, text: str) -> str:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)
