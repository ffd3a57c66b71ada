"""The hyperparameter search: an Optuna study whose value is the mean MAP@R over the folds."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean
from typing import Annotated, Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState, create_trial
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pml_potential.benchmark.config.composing import with_values
from pml_potential.benchmark.config.reasons import reason_of
from pml_potential.benchmark.config.run_folder import RunFolder
from pml_potential.benchmark.config.schema import Config, Number, SearchRange, SearchSettings
from pml_potential.benchmark.config.seeds import derive_seed
from pml_potential.benchmark.experiments.fold_processes import FoldRunner
from pml_potential.benchmark.experiments.progress import RunProgress
from pml_potential.benchmark.experiments.proposing import build_pruner, build_sampler
from pml_potential.benchmark.experiments.trial_storage import TrialStorage
from pml_potential.benchmark.experiments.work_queue import (
    FAILURE,
    NUMBER,
    PieceFailedError,
    Work,
    ended_pieces,
    number_of,
    work_off,
)
from pml_potential.benchmark.files import NamedLock, read_json_or_set_aside, set_aside, write_json
from pml_potential.benchmark.training.fold import FoldResult, finished_folds

STUDY = "search"


class SearchFailedError(RuntimeError):
    """No trial of the search has a score."""


def trials_to_run(config: Config) -> int:
    """Number of trials of a run: 0 without a study, 1 if nothing is searched."""
    if config.protocol.study is None:
        return 0
    return config.protocol.study.trials if config.search else 1


def run_search(
    config: Config, runner: FoldRunner, run: RunFolder, storage: TrialStorage, progress: RunProgress
) -> optuna.Study:
    """Run the remaining trials, together with any other workers.

    A trial depends only on the run's seed, its place in the run and the scores before it, so an
    interrupted search gives the same results as an uninterrupted one.

    Args:
        config: of the run.
        runner: trains the folds.
        run: folder of the run.
        storage: where the trials are.
        progress: shows each trial.

    Raises:
        SearchFailedError: All of the first trials failed.
    """
    study = storage.open(STUDY)
    settings = config.protocol.study
    if settings is None:
        return study
    study.pruner = build_pruner(settings.pruner)
    trials = _Trials(config, settings, study, runner, run, storage.patience, progress)
    work_off(trials, NamedLock(run.claim))
    for trial in ended_pieces(study):
        if trial.state is TrialState.COMPLETE:
            trials.mend(trial)
    return study


def best_trial(search: optuna.Study) -> FrozenTrial | None:
    """The first trial with the best score; None if no trial has one."""
    return _best(ended_pieces(search))


def with_best_trial(config: Config, search: optuna.Study) -> Config:
    """The configuration with the hyperparameters of the best trial; unchanged without a search."""
    best = best_trial(search)
    return config if best is None else with_values(config, best.params)


def failure_of(trial: FrozenTrial) -> str | None:
    """Why a trial has no score; None if it has one."""
    if trial.state is TrialState.PRUNED:
        return f"fold {len(trial.intermediate_values)}: pruned"
    reason: str | None = trial.user_attrs.get(FAILURE)
    return reason


def score_of(trial: FrozenTrial) -> float:
    """Mean validation MAP@R of a complete trial."""
    if trial.value is None:
        raise RuntimeError(f"trial {trial.number} is complete without a score")
    return trial.value


def folds_of(trial: FrozenTrial, config: Config) -> int:
    """Number of folds of a trial that count: of a pruned one, those trained before it was pruned."""
    is_pruned = trial.state is TrialState.PRUNED
    return len(trial.intermediate_values) if is_pruned else config.protocol.folds


class _TrialRecord(BaseModel):
    """Content of ``trial.json``: a trial that was begun, and its result."""

    model_config = ConfigDict(extra="forbid", strict=True)

    params: dict[str, Number | str]
    score: Annotated[float, Field(ge=0, le=1)] | None = None
    failure: str | None = None

    @classmethod
    def understood(cls, found: Any) -> "_TrialRecord":
        """Check the content; a ``ValueError`` says in a line what is wrong."""
        try:
            return cls.model_validate(found)
        except ValidationError as error:
            raise ValueError(reason_of(error)) from None


class _Trials(Work):
    """The trials of a search, each with all folds of the protocol and its own hyperparameters."""

    def __init__(
        self,
        config: Config,
        settings: SearchSettings,
        study: optuna.Study,
        runner: FoldRunner,
        run: RunFolder,
        patience: float | None,
        progress: RunProgress,
    ) -> None:
        super().__init__(study, trials_to_run(config), patience)
        self._config = config
        self._settings = settings
        self._runner = runner
        self._run = run
        self._progress = progress

    def folder(self, number: int) -> Path:
        return self._run.trial(number)

    def sampler(self, number: int) -> BaseSampler:
        return build_sampler(self._settings, derive_seed(self._config.seed, "sampler", number))

    def draw(self, trial: optuna.Trial) -> None:
        for path, found in self._config.search.items():
            match _distribution(found):
                case CategoricalDistribution(choices=choices):
                    trial.suggest_categorical(path, choices)
                case IntDistribution(low=low, high=high, log=log):
                    trial.suggest_int(path, low, high, log=log)
                case FloatDistribution(low=low, high=high, log=log):
                    trial.suggest_float(path, low, high, log=log)

    def do(self, trial: optuna.Trial, number: int) -> float:
        record = self._record(number)
        found = read_json_or_set_aside(record, _TrialRecord.understood)
        if found is not None and found.params != trial.params:
            # A study that was lost before this trial finished had proposed other hyperparameters.
            set_aside(self.folder(number))
        write_json(record, {"params": trial.params})
        scores: list[float] = []
        try:
            for result in self._train(number, trial.params):
                scores.append(result.score)
                trial.report(mean(scores), step=len(scores))
                if len(scores) < self._config.protocol.folds and trial.should_prune():
                    self._runner.abandon()
                    self._progress.prune_trial(len(scores))
                    raise optuna.TrialPruned
        except PieceFailedError as error:
            write_json(record, {"params": trial.params, "failure": str(error)})
            self._progress.fail(str(error))
            raise
        write_json(record, {"params": trial.params, "score": mean(scores)})
        self._progress.finish_trial(number + 1, mean(scores))
        return mean(scores)

    def recall(self, number: int) -> FrozenTrial | None:
        def ended(found: Any) -> FrozenTrial | None:
            record = _TrialRecord.understood(found)
            attributes: dict[str, Any] = {NUMBER: number}
            if record.failure is not None:
                attributes[FAILURE] = record.failure
            elif record.score is None:
                return None
            # Raises a ValueError for hyperparameters that are not those of the search.
            return create_trial(
                state=TrialState.COMPLETE if record.failure is None else TrialState.FAIL,
                value=record.score if record.failure is None else None,
                params=record.params,
                distributions={path: _distribution(each) for path, each in self._config.search.items()},
                user_attrs=attributes,
            )

        recalled: FrozenTrial | None = read_json_or_set_aside(self._record(number), ended)
        return recalled

    def check(self, ended: list[FrozenTrial]) -> None:
        folds = len(ended) * self._config.protocol.folds
        best = _best(ended)
        if best is not None:
            self._progress.see_best(score_of(best), number_of(best) + 1)
        self._progress.see_ended("trials", len(ended), self.pieces, folds)
        if best is None and len(ended) >= min(self.pieces, self._settings.startup_trials):
            if all(trial.state is TrialState.PRUNED for trial in ended):
                raise SearchFailedError(
                    f"the first {len(ended)} of {self.pieces} trials were all pruned. Choose a "
                    "protocol.study.pruner that prunes less, or null"
                )
            raise SearchFailedError(
                f"the first {len(ended)} of {self.pieces} trials all failed; trial "
                f"{number_of(ended[0]) + 1} in {failure_of(ended[0])}. If it diverged, lower the "
                "learning rates, or the upper ends of the search ranges"
            )

    def wait_for(self, running: int) -> None:
        self._progress.wait_for(running, "trials")

    def mend(self, trial: FrozenTrial) -> None:
        """Retrain the folds of a complete trial whose results are damaged or missing."""
        number = number_of(trial)
        if None in finished_folds(self.folder(number), self._config.protocol.folds):
            self._progress.mend(self._called(number))
            for _ in self._train(number, trial.params):
                pass

    def _called(self, number: int) -> str:
        return f"trial {number + 1}/{self.pieces}"

    def _record(self, number: int) -> Path:
        return self.folder(number) / "trial.json"

    def _train(self, number: int, params: dict[str, Any]) -> Iterator[FoldResult]:
        return self._runner.train(
            with_values(self._config, params),
            self._called(number),
            self.folder(number),
            [
                derive_seed(self._config.seed, "search", number, fold)
                for fold in range(self._config.protocol.folds)
            ],
        )


def _best(ended: Sequence[FrozenTrial]) -> FrozenTrial | None:
    complete = [trial for trial in ended if trial.state is TrialState.COMPLETE]
    return max(complete, key=score_of) if complete else None


def _distribution(found: SearchRange) -> BaseDistribution:
    if found.low is None or found.high is None:
        return CategoricalDistribution(found.choices)
    if isinstance(found.low, int) and isinstance(found.high, int):
        return IntDistribution(found.low, found.high, log=found.log)
    return FloatDistribution(found.low, found.high, log=found.log)
