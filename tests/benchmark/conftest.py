"""The data of the tiny benchmark, and one tiny experiment that has run whole."""

import io
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pml_potential.benchmark.config.schema import Config
from pml_potential.benchmark.data.folds import FoldData, load_fold_data
from pml_potential.benchmark.experiments.experiment import run_experiment
from tests.benchmark.data.forbidden import ForbiddenFolder
from tests.benchmark.tiny import tiny_config

TRIALS = "protocol.study={trials: 4, startup_trials: 2}"


@dataclass(frozen=True)
class Experiment:
    """A run that has ended."""

    config: Config
    folder: Path
    results: dict[str, Any]
    output: str


@pytest.fixture
def forbidden_folder() -> Iterator[ForbiddenFolder]:
    """A folder outside of pytest's, which only its owner may enter."""
    if not hasattr(os, "geteuid"):
        pytest.skip("rights are those of Unix")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield ForbiddenFolder(Path(folder))


@pytest.fixture(scope="session")
def fold_data(tmp_path_factory: pytest.TempPathFactory) -> FoldData:
    return load_fold_data(tiny_config(), tmp_path_factory.mktemp("features"))


@pytest.fixture(scope="session")
def experiment(
    made_once: Callable[[str, Callable[[Path], None]], Path], tmp_path_factory: pytest.TempPathFactory
) -> Experiment:
    """Run once for all processes that test; each has a copy of the folder."""
    config = tiny_config(TRIALS, "seed=5")

    def run(folder: Path) -> None:
        output = io.StringIO()
        run_experiment(config, folder / "run", Console(file=output, width=200))
        (folder / "output").write_text(output.getvalue())

    made = made_once("experiment", run)
    folder = tmp_path_factory.mktemp("copied") / "experiment"
    shutil.copytree(made / "run", folder)
    results = run_experiment(config, folder, Console(file=io.StringIO()))
    return Experiment(config, folder, results, (made / "output").read_text())
