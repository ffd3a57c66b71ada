"""One experiment from configuration to report: search, reproductions, results."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from rich.console import Console

from pml_potential.benchmark import config as configuration
from pml_potential.benchmark.config import differences, read_saved
from pml_potential.benchmark.fold_processes import FoldTraining
from pml_potential.benchmark.folds import FoldData, load_fold_data
from pml_potential.benchmark.process_group import check_fold_processes
from pml_potential.benchmark.progress import RunProgress
from pml_potential.benchmark.records import read_json_or_set_aside, write_json, write_text
from pml_potential.benchmark.report import write_report
from pml_potential.benchmark.reproduction import run_reproductions
from pml_potential.benchmark.results import collect_results, describe_environment
from pml_potential.benchmark.runnable import check_runnable
from pml_potential.benchmark.schema import Config, ConfigError
from pml_potential.benchmark.search import best_config, run_search, trials_to_run
from pml_potential.benchmark.study_storage import HEARTBEAT, open_storage
from pml_potential.benchmark.work_queue import hand_on, release


@dataclass(frozen=True)
class Sharing:
    """How the work of a run is shared out.

    Attributes:
        storage: address of the database, or path of the journal file, in which Optuna keeps the studies;
            None: what the run has used before, or a file in its folder.
        fold_processes: folds that this worker trains at a time.
        heartbeat: seconds between its signs of life.
    """

    storage: str | None = None
    fold_processes: int = 1
    heartbeat: int = HEARTBEAT


def run_experiment(
    config: Config, folder: Path, console: Console, sharing: Sharing | None = None
) -> dict[str, Any]:
    """Run an experiment, or go on with one that was interrupted, or help with one that others run.

    Finished folds are not trained again. With the same configuration the results are the same, in one
    session or in many; several workers at once see other scores when they propose, and so try other
    hyperparameters.

    Args:
        config: what to run.
        folder: where everything goes; made if it is not there.
        console: told how far the run is.
        sharing: how the work is shared out; default: all of it here.

    Returns:
        The results, also written to ``report/results.json`` beside ``report/index.html``.

    Raises:
        ConfigError: The configuration cannot be run, or the folder holds a run of another one.
        SearchFailedError: The first trials failed, all of them.
    """
    sharing = sharing or Sharing()
    check_fold_processes(sharing.fold_processes)
    check_runnable(config)
    # Asked before a frozen trunk computes features, and claimed when the data are known to be there.
    _is_claimed(folder, config)
    data = load_fold_data(config, folder.parent / "features")
    with _only_one_at_a_time(folder):
        if not _is_claimed(folder, config):
            write_text(folder / "config.yaml", configuration.to_yaml(config))
        environment = _remembered_environment(folder, sharing.fold_processes)
    return _work(config, data, folder, console, sharing, environment)


def join_experiment(folder: Path, console: Console, sharing: Sharing) -> dict[str, Any]:
    """Help with a run that somebody has started; as ``run_experiment``, whose results it returns.

    Raises:
        ConfigError: There is no run in the folder.
    """
    return run_experiment(saved_config(folder), folder, console, sharing)


def release_pieces(folder: Path, address: str | None, pieces: Sequence[int], study_name: str) -> None:
    """Hand on trials or reproductions whose workers are gone without a sign.

    Args:
        folder: of the run.
        address: of its storage; None: the one that it has used.
        pieces: their numbers, from 0.
        study_name: ``search`` or ``reproductions``.

    Raises:
        ConfigError: There is no such run, or a piece is not being worked on.
    """
    saved_config(folder)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with _only_one_at_a_time(folder):
        study = open_storage(folder, address, HEARTBEAT, hand_on).open(study_name)
        for piece in pieces:
            if not release(study, piece):
                raise ConfigError(
                    f"number {piece + 1} of the {study_name} of {folder} is not being worked on, so "
                    "that there is nothing to hand on; pml-potential worker does what is left"
                )


def saved_config(folder: Path) -> Config:
    """Configuration of the run in a folder.

    Raises:
        ConfigError: There is none.
    """
    path = folder / "config.yaml"
    if not path.is_file():
        raise ConfigError(f"{path} does not exist; pml-potential run starts a run")
    return read_saved(path)


def _work(
    config: Config,
    data: FoldData,
    folder: Path,
    console: Console,
    sharing: Sharing,
    environment: dict[str, Any],
) -> dict[str, Any]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with _only_one_at_a_time(folder):
        storage = open_storage(folder, sharing.storage, sharing.heartbeat, hand_on)
    cache = folder.parent / "features"
    folds = config.protocol.folds
    total = (trials_to_run(config) + config.protocol.reproductions) * folds
    with (
        RunProgress(console, total, min(sharing.fold_processes, folds)) as progress,
        FoldTraining(config, data, cache, progress, sharing.fold_processes) as training,
    ):
        study = run_search(config, training, folder, storage, progress)
        best = best_config(config, study)
        run_reproductions(best, data, training, folder, storage, progress)
    with _only_one_at_a_time(folder):
        results = collect_results(config, data, study, folder, environment)
        write_json(folder / "report" / "results.json", results)
        write_report(results, folder / "report")
    return results


def _only_one_at_a_time(folder: Path) -> FileLock:
    """Held by the one who begins a run, opens its studies or writes its report."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise ConfigError(f"{folder} is a file; choose a folder with --folder") from None
    return FileLock(folder / ".claim")


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


def _remembered_environment(folder: Path, processes: int) -> dict[str, Any]:
    path = folder / "environment.json"
    environment: dict[str, Any] | None = read_json_or_set_aside(path)
    if environment is None:
        environment = describe_environment(processes)
        write_json(path, environment)
    return environment
