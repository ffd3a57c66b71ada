"""The smallest run on a folder of one's own images, as a person changes it afterwards."""

from pathlib import Path

from pml_potential.benchmark.config.schema import Config
from tests.benchmark.tiny import tiny_config

ONE_TRIAL = "protocol.study={trials: 1, startup_trials: 1}"


def folder_config(root: Path | str, *assignments: str) -> Config:
    """A run without augmentation on a folder of pictures of one size."""
    return tiny_config(ONE_TRIAL, "dataset.name=folder", f"dataset.root={root}", *assignments)
