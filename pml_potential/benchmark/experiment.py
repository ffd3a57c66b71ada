"""One experiment from configuration to report: search, reproductions, results."""

from pathlib import Path
from typing import Any

import optuna
import torch
from rich.console import Console

from pml_potential.benchmark import config as configuration
from pml_potential.benchmark.config import differences, read_saved, with_values
from pml_potential.benchmark.folds import load_fold_data
from pml_potential.benchmark.loss_building import (
    build_loss,
    build_miner,
    build_optimizer,
    build_schedule,
)
from pml_potential.benchmark.models import build_models, check_image_size
from pml_potential.benchmark.progress import RunProgress
from pml_potential.benchmark.records import read_json, write_json, write_text
from pml_potential.benchmark.report import write_report
from pml_potential.benchmark.reproduction import run_reproductions
from pml_potential.benchmark.results import collect_results, describe_environment
from pml_potential.benchmark.schema import Config, ConfigError
from pml_potential.benchmark.search import best_config, run_search, trials_to_run


def run_experiment(config: Config, folder: Path, console: Console) -> dict[str, Any]:
    """Run an experiment, or go on with one that was interrupted.

    Finished folds are not trained again. With the same configuration the results are the same, in one
    session or in many.

    Args:
        config: what to run.
        folder: where everything goes; made if it is not there.
        console: told how far the run is.

    Returns:
        The results, also written to ``report/results.json`` beside ``report/index.html``.

    Raises:
        ConfigError: The configuration cannot be run, or the folder holds a run of another one.
        SearchFailedError: Every trial failed.
    """
    check_runnable(config)
    # Asked before a frozen trunk computes features, and claimed when the data are known to be there.
    is_claimed = _is_claimed(folder, config)
    data = load_fold_data(config, folder.parent / "features")
    if not is_claimed:
        write_text(folder / "config.yaml", configuration.to_yaml(config))
    environment = _remembered_environment(folder)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    total = (trials_to_run(config) + config.protocol.reproductions) * config.protocol.folds
    with RunProgress(console, total) as progress:
        study = run_search(config, data, folder, progress)
        run_reproductions(best_config(config, study), data, folder, progress)
    results = collect_results(config, data, study, folder, environment)
    write_json(folder / "report" / "results.json", results)
    write_report(results, folder / "report")
    return results


def check_runnable(config: Config) -> None:
    """Build losses and optimizers at both ends of the search and use them once, before any work.

    Raises:
        ConfigError: One of them cannot be built or used.
    """
    for end in ("low", "high"):
        values = {path: getattr(found, end) for path, found in config.search.items()}
        corner = with_values(config, values)
        models = build_models(corner.model, channels=1, pretrained=False)
        check_image_size(models["trunk"], corner.model, corner.protocol.crop)
        optimizer = build_optimizer(corner.model.trunk_optimizer, models["trunk"].parameters())
        if corner.training.schedule is not None:
            build_schedule(corner.training.schedule, optimizer)
        build_miner(corner.loss)
        build_optimizer(corner.model.embedder_optimizer, models["embedder"].parameters())
        loss = build_loss(corner.loss, num_classes=2, embedding_size=corner.model.embedding_size)
        if corner.loss.optimizer is not None:
            build_optimizer(corner.loss.optimizer, loss.parameters())
        try:
            loss(torch.randn(4, corner.model.embedding_size), torch.tensor([0, 0, 1, 1]))
        except (AttributeError, RuntimeError, TypeError, ValueError) as error:
            raise ConfigError(
                f"{corner.loss.name} with {corner.loss.params} cannot compute a loss: {error}"
            ) from error


def _is_claimed(folder: Path, config: Config) -> bool:
    """Whether the folder holds this run already; one that holds another is an error."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; choose a folder with --folder")
    path = folder / "config.yaml"
    if not path.is_file():
        return False
    if found := differences(read_saved(path), config):
        raise ConfigError(
            f"{folder} holds a run of another configuration; they differ (there, here) in\n  "
            + "\n  ".join(found)
            + "\nchoose another folder with --folder, or go on with the configuration that is there"
        )
    return True


def _remembered_environment(folder: Path) -> dict[str, Any]:
    path = folder / "environment.json"
    if not path.is_file():
        write_json(path, describe_environment())
    environment: dict[str, Any] = read_json(path)
    return environment
