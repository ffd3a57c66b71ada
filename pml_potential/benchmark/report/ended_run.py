"""A finished run, opened with its images, so that its models can be used again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pml_potential.benchmark.config.run_folder import RunFolder
from pml_potential.benchmark.config.schema import Config, ConfigError
from pml_potential.benchmark.data.folds import FoldData, load_fold_data
from pml_potential.benchmark.data.identity import check_bound, identity_of
from pml_potential.benchmark.report.results import best_config, read_results


@dataclass(frozen=True)
class EndedRun:
    """A run whose models can be used on its images.

    Attributes:
        folder: of the run.
        results: content of its ``results.json``.
        config: the configuration of the best trial, which the reproductions have.
        data: its images and their splits.
    """

    folder: RunFolder
    results: dict[str, Any]
    config: Config
    data: FoldData


def open_ended_run(folder: Path) -> EndedRun:
    """Open a finished run that has at least one model.

    Args:
        folder: of the run.

    Raises:
        ConfigError: The run has not finished, no reproduction succeeded, or the images or weights are
            not those of the run.
    """
    run = RunFolder(folder)
    results = read_results(folder)
    config = best_config(folder, results)
    if not results["test"]:
        raise ConfigError(f"{folder}: no reproduction succeeded, so there is no model")
    data = load_fold_data(config, run.feature_cache)
    check_bound(run, identity_of(config, data))
    return EndedRun(run, results, config, data)
