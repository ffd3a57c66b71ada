"""The hyperparameter search: an Optuna study whose value is the mean MAP@R over the folds."""

from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Any

import optuna
from filelock import FileLock
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from pml_potential.benchmark.config import with_values
from pml_potential.benchmark.fold_processes import FoldTraining, has_all_folds
from pml_potential.benchmark.progress import RunProgress
from pml_potential.benchmark.records import read_json_or_set_aside, set_aside, write_json
from pml_potential.benchmark.sampling import build_pruner, build_sampler
from pml_potential.benchmark.schema import Config, SearchRange
from pml_potential.benchmark.seeds import derive_seed
from pml_potential.benchmark.study_storage import StudyStorage
from pml_potential.benchmark.training import FoldResult
from pml_potential.benchmark.work_queue import (
    FAILURE,
    ORDER,
    PieceFailedError,
    Queue,
    ended_pieces,
    order_of,
    work_off,
)

STUDY = "search"


class SearchFailedError(RuntimeError):
    """No trial of the search came to a score."""


def trials_to_run(config: Config) -> int:
    """Trials of a run: none without a study; without anything to search, one is enough."""
    if config.protocol.study is None:
        return 0
    return config.protocol.study.trials if config.search else 1


def run_search(
    config: Config, training: FoldTraining, folder: Path, storage: StudyStorage, progress: RunProgress
) -> optuna.Study:
    """Run the trials that are still to be run, together with whoever else works on them.

    A trial depends only on the run's seed, on its place in the run and on the scores before it, so that
    a search that was interrupted ends as one that was not.

    Raises:
        SearchFailedError: The first trials failed, all of them.
    """
    study = storage.open(STUDY)
    settings = config.protocol.study
    if settings is None:
        return study
    study.pruner = build_pruner(settings.pruner)
    total = trials_to_run(config)
    enough = min(total, settings.startup_trials)
    distributions = {path: _distribution(found) for path, found in config.search.items()}

    def draw(trial: optuna.Trial) -> None:
        for path, found in config.search.items():
            if isinstance(found.low, int) and isinstance(found.high, int):
                trial.suggest_int(path, found.low, found.high, log=found.log)
            else:
                trial.suggest_float(path, found.low, found.high, log=found.log)

    def work(trial: optuna.Trial, order: int) -> float:
        return _run_trial(config, trial, order, training, folder, total)

    def recall(order: int) -> FrozenTrial | None:
        return _recalled(folder, order, distributions)

    def check(ended: list[FrozenTrial]) -> None:
        progress.set_ended(len(ended) * config.protocol.folds)
        scores = [score_of(trial) for trial in ended if trial.state is TrialState.COMPLETE]
        if scores:
            progress.set_best(max(scores))
        elif len(ended) >= enough:
            if all(trial.state is TrialState.PRUNED for trial in ended):
                raise SearchFailedError(
                    f"the first {len(ended)} of {total} trials were all pruned. Choose a "
                    "protocol.study.pruner that prunes less, or null"
                )
            raise SearchFailedError(
                f"the first {len(ended)} of {total} trials all failed; trial {order_of(ended[0]) + 1} "
                f"in {failure_of(ended[0])}. If it diverged, lower the learning rates, or "
                "the upper ends of the search ranges"
            )

    queue = Queue(
        study,
        total,
        lambda order: trial_folder(folder, order),
        draw,
        lambda order: build_sampler(settings, derive_seed(config.seed, "sampler", order)),
        work,
        recall,
        check,
        lambda running: progress.say(f"waiting for {running} trials that other workers run"),
        storage.patience,
    )
    work_off(queue, FileLock(folder / ".claim"))
    for trial in ended_pieces(study):
        if trial.state is TrialState.COMPLETE:
            _mend(config, trial, training, folder, total)
    return study


def best_trial(study: optuna.Study) -> FrozenTrial | None:
    """The trial with the best score, the first of them; None if there is none."""
    complete = [trial for trial in ended_pieces(study) if trial.state is TrialState.COMPLETE]
    return max(complete, key=score_of) if complete else None


def best_config(config: Config, study: optuna.Study) -> Config:
    """The configuration with the hyperparameters of the best trial, or as it is without a search."""
    best = best_trial(study)
    return config if best is None else with_values(config, best.params)


def failure_of(trial: FrozenTrial) -> str | None:
    """Why a trial has no score, if it has none."""
    if trial.state is TrialState.PRUNED:
        return f"fold {len(trial.intermediate_values)}: pruned"
    reason: str | None = trial.user_attrs.get(FAILURE)
    return reason


def trial_folder(folder: Path, order: int) -> Path:
    """Where a trial keeps its folds."""
    return folder / "trials" / f"{order:04d}"


def score_of(trial: FrozenTrial) -> float:
    """Mean validation MAP@R of a complete trial."""
    if trial.value is None:
        raise RuntimeError(f"trial {trial.number} is complete without a score")
    return trial.value


def _run_trial(
    config: Config,
    trial: optuna.Trial,
    order: int,
    training: FoldTraining,
    folder: Path,
    total: int,
) -> float:
    place = trial_folder(folder, order)
    record = place / "trial.json"
    found = read_json_or_set_aside(record)
    if found is not None and found["params"] != trial.params:
        # A study that was lost with this trial in the midst of its work proposed something else.
        set_aside(place)
    write_json(record, {"params": trial.params})
    scores: list[float] = []
    try:
        for result in _folds(config, trial.params, order, training, folder, total):
            scores.append(result.score)
            trial.report(mean(scores), step=len(scores))
            if len(scores) < config.protocol.folds and trial.should_prune():
                raise optuna.TrialPruned
    except PieceFailedError as error:
        write_json(record, {"params": trial.params, "failure": str(error)})
        raise
    write_json(record, {"params": trial.params, "score": mean(scores)})
    return mean(scores)


def _folds(
    config: Config,
    params: dict[str, Any],
    order: int,
    training: FoldTraining,
    folder: Path,
    total: int,
) -> Iterator[FoldResult]:
    folds = range(config.protocol.folds)
    return training.train(
        with_values(config, params),
        f"trial {order + 1}/{total}",
        trial_folder(folder, order),
        [derive_seed(config.seed, "search", order, fold) for fold in folds],
    )


def _mend(config: Config, trial: FrozenTrial, training: FoldTraining, folder: Path, total: int) -> None:
    """Train those folds of a complete trial again whose results are damaged or gone."""
    order = order_of(trial)
    if has_all_folds(trial_folder(folder, order), config.protocol.folds):
        return
    for _ in _folds(config, trial.params, order, training, folder, total):
        pass


def _recalled(
    folder: Path, order: int, distributions: dict[str, BaseDistribution]
) -> FrozenTrial | None:
    """A trial as its folder has it, for a study that was lost."""
    found = read_json_or_set_aside(trial_folder(folder, order) / "trial.json")
    if found is None or not {"score", "failure"} & found.keys():
        return None
    reason = found.get("failure")
    return create_trial(
        state=TrialState.COMPLETE if reason is None else TrialState.FAIL,
        value=found.get("score"),
        params=found["params"],
        distributions=distributions,
        user_attrs={ORDER: order} if reason is None else {ORDER: order, FAILURE: reason},
    )


def _distribution(found: SearchRange) -> BaseDistribution:
    if isinstance(found.low, int) and isinstance(found.high, int):
        return IntDistribution(found.low, found.high, log=found.log)
    return FloatDistribution(found.low, found.high, log=found.log)
