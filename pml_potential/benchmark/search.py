"""The hyperparameter search: an Optuna study whose value is the mean MAP@R over the folds."""

from pathlib import Path
from statistics import mean

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import GPSampler
from optuna.trial import FrozenTrial, TrialState

from pml_potential.benchmark.config import with_values
from pml_potential.benchmark.fold_trainer import DivergedError
from pml_potential.benchmark.folds import FoldData
from pml_potential.benchmark.progress import RunProgress
from pml_potential.benchmark.schema import Config, ConfigError, SearchRange
from pml_potential.benchmark.seeds import derive_seed
from pml_potential.benchmark.training import finished_fold, train_fold

_STUDY_NAME = "search"


class SearchFailedError(RuntimeError):
    """No trial of the search came to a score."""


def open_study(folder: Path) -> optuna.Study:
    """Open the study of a run, or make it: one SQLite file, ``study.db``.

    Raises:
        ConfigError: The path holds a '?', which SQLite's addresses cannot.
    """
    path = (folder / "study.db").resolve()
    if "?" in str(path):
        raise ConfigError(f"{path}: the address of a database ends at a '?'; choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    return optuna.create_study(
        storage=f"sqlite:///{path}",
        study_name=_STUDY_NAME,
        direction="maximize",
        load_if_exists=True,
    )


def trials_to_run(config: Config) -> int:
    """Trials of a run: none without a study; without anything to search, one is enough."""
    if config.protocol.study is None:
        return 0
    return config.protocol.study.trials if config.search else 1


def run_search(config: Config, data: FoldData, folder: Path, progress: RunProgress) -> optuna.Study:
    """Run the trials that are still to be run.

    A trial depends only on the run's seed, on how many trials ended before it and on their scores, so
    that a search that was interrupted ends as one that was not.

    Raises:
        SearchFailedError: Every trial failed.
    """
    study = open_study(folder)
    total = trials_to_run(config)
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        if failure_of(study, trial.number):
            # Stopped between writing down the reason and ending the trial.
            study.tell(trial.number, state=TrialState.FAIL)
    for trial in study.get_trials(states=(TrialState.COMPLETE,)):
        progress.finish_trial(score_of(trial))
    ended = len(ended_trials(study))
    progress.skip(ended * config.protocol.folds)
    for order in range(ended, total):
        number, values = _next_trial(config, study, order)
        _run_trial(config, values, data, folder, study, number, order, progress)
    if total > 0 and not study.get_trials(states=(TrialState.COMPLETE,)):
        first = ended_trials(study)[0].number
        raise SearchFailedError(
            f"all {total} trials failed; the first one in {failure_of(study, first)}. Lower the "
            "learning rates, or the upper ends of the search ranges"
        )
    return study


def best_config(config: Config, study: optuna.Study) -> Config:
    """The configuration with the hyperparameters of the best trial, or as it is without a search."""
    return with_values(config, study.best_trial.params) if trials_to_run(config) > 0 else config


def ended_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that have a score, or a reason why they have none, in the order in which they ran."""
    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if trial.state is TrialState.COMPLETE or failure_of(study, trial.number)
    ]


def failure_of(study: optuna.Study, number: int) -> str | None:
    """Why a trial failed, if it did."""
    reason: str | None = study.user_attrs.get(f"failure_of_trial_{number}")
    return reason


def trial_folder(folder: Path, number: int) -> Path:
    """Where a trial keeps its folds."""
    return folder / "trials" / f"{number:04d}"


def _next_trial(config: Config, study: optuna.Study, order: int) -> tuple[int, dict[str, float]]:
    """Take up the trial that was interrupted, or ask for a new one."""
    for interrupted in study.get_trials(states=(TrialState.RUNNING,)):
        if interrupted.params.keys() == config.search.keys():
            return interrupted.number, interrupted.params
        # Stopped while its values were being drawn: it never ran, and does not count.
        study.tell(interrupted.number, state=TrialState.FAIL)
    startup = 0 if config.protocol.study is None else config.protocol.study.startup_trials
    study.sampler = GPSampler(seed=derive_seed(config.seed, "sampler", order), n_startup_trials=startup)
    trial = study.ask({path: _distribution(found) for path, found in config.search.items()})
    return trial.number, trial.params


def _run_trial(
    config: Config,
    values: dict[str, float],
    data: FoldData,
    folder: Path,
    study: optuna.Study,
    number: int,
    order: int,
    progress: RunProgress,
) -> None:
    tried = with_values(config, values)
    scores: list[float] = []
    for fold in range(config.protocol.folds):
        progress.start_fold(f"trial {order + 1}/{trials_to_run(config)}", fold, config.protocol.folds)
        fold_folder = trial_folder(folder, number) / f"fold_{fold}"
        was_done = finished_fold(fold_folder) is not None
        try:
            result = train_fold(
                tried,
                *data.fold(fold),
                fold_folder,
                derive_seed(config.seed, "search", order, fold),
                progress.finish_epoch,
            )
        except DivergedError as error:
            study.set_user_attr(f"failure_of_trial_{number}", f"fold {fold + 1}: {error}")
            study.tell(number, state=TrialState.FAIL)
            progress.fail(str(error), config.protocol.folds - fold)
            return
        scores.append(result.score)
        progress.finish_fold(result.score, result.best_epoch, result.seconds, was_done)
    study.tell(number, mean(scores))
    progress.finish_trial(mean(scores))


def _distribution(found: SearchRange) -> BaseDistribution:
    if isinstance(found.low, int) and isinstance(found.high, int):
        return IntDistribution(found.low, found.high, log=found.log)
    return FloatDistribution(found.low, found.high, log=found.log)


def score_of(trial: FrozenTrial) -> float:
    """Mean validation MAP@R of a complete trial."""
    if trial.value is None:
        raise RuntimeError(f"trial {trial.number} is complete without a score")
    return trial.value
