"""One experiment from configuration to report: search, reproductions, results."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from rich.console import Console

from pml_potential.benchmark.config.composing import differences, read_saved, to_yaml
from pml_potential.benchmark.config.run_folder import RunFolder
from pml_potential.benchmark.config.schema import Config, ConfigError
from pml_potential.benchmark.data.folds import FoldData, load_fold_data
from pml_potential.benchmark.data.identity import bind, check_bound, identity_of
from pml_potential.benchmark.data.locations import located, without_locations
from pml_potential.benchmark.data.long_step import long_step, steps_shown_on
from pml_potential.benchmark.experiments.collecting import collect_results
from pml_potential.benchmark.experiments.fold_processes import FoldRunner, end_if_importing
from pml_potential.benchmark.experiments.progress import RunProgress
from pml_potential.benchmark.experiments.reproduction import run_reproductions
from pml_potential.benchmark.experiments.runnable import check_runnable
from pml_potential.benchmark.experiments.search import run_search, trials_to_run, with_best_trial
from pml_potential.benchmark.experiments.sharing import HEARTBEAT, Sharing
from pml_potential.benchmark.experiments.trial_storage import open_storage
from pml_potential.benchmark.experiments.work_queue import release, requeue
from pml_potential.benchmark.files import NamedLock, read_json_or_set_aside, write_json, write_text
from pml_potential.benchmark.report.audit_report import audit_of_run
from pml_potential.benchmark.report.ended_run import EndedRun
from pml_potential.benchmark.report.environment import check_environment, describe_environment
from pml_potential.benchmark.report.retrieval import retrieval_of_run
from pml_potential.benchmark.report.run_report import write_report
from pml_potential.benchmark.training.batches import check_batches
from pml_potential.benchmark.training.process_group import check_fold_processes


def run_experiment(
    config: Config, folder: Path, console: Console, sharing: Sharing | None = None
) -> dict[str, Any]:
    """Run an experiment, resume an interrupted one, or help other workers with one.

    Finished folds are not trained again. The same configuration gives the same results, in one session
    or in many. Several workers at once see other scores when they propose, so they try other
    hyperparameters.

    Args:
        config: what to run.
        folder: of the run; created if missing.
        console: shows the progress.
        sharing: how the work is distributed; default: this process does all of it.

    Returns:
        The results, also written to ``report/results.json`` beside ``report/index.html``.

    Raises:
        ConfigError: The configuration cannot be run, or the folder holds a run with another
            configuration, images or weights.
        SearchFailedError: All of the first trials failed.
    """
    end_if_importing()
    with steps_shown_on(console):
        return _run(config, RunFolder(folder), console, sharing or Sharing())


def _run(config: Config, run: RunFolder, console: Console, sharing: Sharing) -> dict[str, Any]:
    check_fold_processes(sharing.fold_processes)
    with long_step("checking the configuration"):
        check_runnable(config)
    config = located(config)
    # Checked before a frozen trunk computes features; claimed once the data are known to exist.
    _is_claimed(run, config)
    data = load_fold_data(config, run.feature_cache)
    check_batches(config, data)
    identity = identity_of(config, data)
    check_bound(run, identity)
    data.prepare(config)
    with _only_one_at_a_time(run):
        check_bound(run, identity)
        if not _is_claimed(run, config):
            write_text(run.configuration, to_yaml(config))
        bind(run, identity)
        environment = _remembered_environment(run, sharing.fold_processes)
    return _work(config, data, run, console, sharing, environment)


def join_experiment(folder: Path, console: Console, sharing: Sharing) -> dict[str, Any]:
    """Help with a run that was started elsewhere; returns its results, as ``run_experiment``.

    Raises:
        ConfigError: There is no run in the folder.
    """
    return run_experiment(saved_config(RunFolder(folder)), folder, console, sharing)


def release_pieces(folder: Path, address: str | None, pieces: Sequence[int], study_name: str) -> None:
    """Requeue trials or reproductions whose workers have died.

    Args:
        folder: of the run.
        address: of its storage; None: the one that it has used.
        pieces: their numbers, from 0.
        study_name: ``search`` or ``reproductions``.

    Raises:
        ConfigError: There is no such run, or a piece is not being worked on.
    """
    run = RunFolder(folder)
    saved_config(run)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with _only_one_at_a_time(run):
        study = open_storage(run, address, HEARTBEAT, requeue).open(study_name)
        for piece in pieces:
            if not release(study, piece):
                raise ConfigError(
                    f"number {piece + 1} of the {study_name} of {folder} is not being worked on, so "
                    f"there is nothing to requeue; pml-potential worker continues the run"
                )


def saved_config(run: RunFolder) -> Config:
    """Configuration of a run.

    Raises:
        ConfigError: There is none.
    """
    if not run.configuration.is_file():
        raise ConfigError(f"{run.configuration} does not exist; pml-potential run starts a run")
    return read_saved(run.configuration)


def _work(
    config: Config,
    data: FoldData,
    run: RunFolder,
    console: Console,
    sharing: Sharing,
    environment: dict[str, Any],
) -> dict[str, Any]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with _only_one_at_a_time(run):
        storage = open_storage(run, sharing.storage, sharing.heartbeat, requeue)
    folds = config.protocol.folds
    total = (trials_to_run(config) + config.protocol.reproductions) * folds
    with (
        RunProgress(console, total, min(sharing.fold_processes, folds)) as progress,
        FoldRunner(data, run.feature_cache, progress, sharing.fold_processes) as runner,
    ):
        search = run_search(config, runner, run, storage, progress)
        best = with_best_trial(config, search)
        run_reproductions(best, data, runner, run, storage, progress)
    with _only_one_at_a_time(run), long_step("writing the report"):
        results = collect_results(config, data, search, run, environment)
        write_json(run.results, results)
        found = retrieval_of_run(run, results, EndedRun(run, results, best, data))
        write_report(results, run.report, audit_of_run(run, results), found)
    return results


def _only_one_at_a_time(run: RunFolder) -> NamedLock:
    """Lock of the process that starts a run, opens its studies or writes its report."""
    try:
        run.path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise ConfigError(f"{run.path} is a file; choose a folder with --folder") from None
    return NamedLock(run.claim)


def _is_claimed(run: RunFolder, config: Config) -> bool:
    """Whether the folder already holds this run; another run in it is an error."""
    if any("\ud800" <= character <= "\udfff" for character in str(run.path)):
        raise ConfigError(
            f"{run.path}: the name is not valid UTF-8, and TensorBoard cannot write there; choose "
            "another folder with --folder"
        )
    if run.path.exists() and not run.path.is_dir():
        raise ConfigError(f"{run.path} is a file; choose a folder with --folder")
    if not run.configuration.is_file():
        return False
    saved = without_locations(read_saved(run.configuration))
    if found := differences(saved, without_locations(config)):
        raise ConfigError(
            f"{run.path} holds a run with another configuration; they differ (there, here) in\n  "
            + "\n  ".join(found)
            + "\nchoose another folder with --folder, or use the configuration of that run"
        )
    return True


def _remembered_environment(run: RunFolder, processes: int) -> dict[str, Any]:
    environment: dict[str, Any] | None = read_json_or_set_aside(run.environment, check_environment)
    if environment is None:
        environment = describe_environment(processes)
        write_json(run.environment, environment)
    return environment
