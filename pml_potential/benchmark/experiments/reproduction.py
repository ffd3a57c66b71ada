"""Reproductions: the best trial trained again with new seeds and judged on the test classes."""

import warnings
from itertools import product
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState, create_trial
from pydantic import TypeAdapter, ValidationError
from torch import nn

from pml_potential.benchmark.config.reasons import reason_of
from pml_potential.benchmark.config.run_folder import RunFolder, fold_folder
from pml_potential.benchmark.config.schema import Config
from pml_potential.benchmark.config.seeds import derive_seed
from pml_potential.benchmark.data.folds import FoldData
from pml_potential.benchmark.data.labelled_tensors import LabelledTensors
from pml_potential.benchmark.evaluation import (
    PRIMARY_METRIC,
    TestScores,
    embed,
    metrics_of,
    score_on_test_classes,
)
from pml_potential.benchmark.experiments.fold_processes import FoldRunner
from pml_potential.benchmark.experiments.progress import RunProgress
from pml_potential.benchmark.experiments.search import trials_to_run
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
from pml_potential.benchmark.files import (
    DamagedFileError,
    NamedLock,
    read_json,
    read_json_or_set_aside,
    set_aside,
    write_json,
)
from pml_potential.benchmark.models.device import training_device
from pml_potential.benchmark.training.fold import finished_fold, finished_folds
from pml_potential.benchmark.training.fold_models import best_models, untrained_models

STUDY = "reproductions"

_STATES = ("trained", "untrained")
_KINDS = ("separated", "concatenated")


_SCORES = TypeAdapter(dict[str, dict[str, dict[str, float]]])
"""Content of ``result.json`` if the reproduction did not fail."""


def run_reproductions(
    config: Config,
    data: FoldData,
    runner: FoldRunner,
    run: RunFolder,
    storage: TrialStorage,
    progress: RunProgress,
) -> None:
    """Run the remaining reproductions, together with any other workers.

    Each writes ``result.json`` into its folder: the test scores of the trained and of the untrained
    models, or why it failed.

    Args:
        config: with the hyperparameters of the best trial.
        data: the images and their splits.
        runner: trains the folds.
        run: folder of the run.
        storage: holds the study that distributes the reproductions.
        progress: shows each reproduction.
    """
    work = _Reproductions(config, data, runner, run, storage, progress)
    work_off(work, NamedLock(run.claim))
    for trial in ended_pieces(work.study):
        work.mend(trial)


def reproduction_results(config: Config, run: RunFolder) -> list[dict[str, Any]]:
    """Read the results of the reproductions."""
    return [
        read_json(_result(run.reproduction(number))) for number in range(config.protocol.reproductions)
    ]


class _Reproductions(Work):
    """The reproductions of a run, each with all folds of the protocol and its own seed."""

    def __init__(
        self,
        config: Config,
        data: FoldData,
        runner: FoldRunner,
        run: RunFolder,
        storage: TrialStorage,
        progress: RunProgress,
    ) -> None:
        super().__init__(storage.open(STUDY), config.protocol.reproductions, storage.patience)
        self._config = config
        self._data = data
        self._runner = runner
        self._run = run
        self._progress = progress

    def folder(self, number: int) -> Path:
        return self._run.reproduction(number)

    def sampler(self, _number: int) -> BaseSampler:
        return RandomSampler()

    def draw(self, _trial: optuna.Trial) -> None:
        """Draw nothing: the hyperparameters are those of the best trial."""

    def do(self, _trial: optuna.Trial | None, number: int) -> float:
        try:
            result = self._reproduce(number)
        except PieceFailedError as error:
            write_json(_result(self.folder(number)), {"failure": str(error)})
            self._progress.fail(str(error))
            raise
        write_json(_result(self.folder(number)), result)
        score, untrained = (result[state]["separated"][PRIMARY_METRIC] for state in _STATES)
        self._progress.finish_reproduction(score, untrained)
        return score

    def recall(self, number: int) -> FrozenTrial | None:
        result = read_json_or_set_aside(_result(self.folder(number)), self._understood)
        if result is None:
            return None
        if "failure" in result:
            attributes = {NUMBER: number, FAILURE: result["failure"]}
            return create_trial(state=TrialState.FAIL, user_attrs=attributes)
        value = result["trained"]["separated"][PRIMARY_METRIC]
        return create_trial(value=value, user_attrs={NUMBER: number})

    def check(self, ended: list[FrozenTrial]) -> None:
        behind = trials_to_run(self._config) + len(ended)
        folds = behind * self._config.protocol.folds
        self._progress.see_ended("reproductions", len(ended), self.pieces, folds)

    def wait_for(self, running: int) -> None:
        self._progress.wait_for(running, "reproductions")

    def mend(self, trial: FrozenTrial) -> None:
        """Restore missing or damaged files of a finished reproduction."""
        number = number_of(trial)
        recalled = self.recall(number)
        if trial.state is TrialState.FAIL:
            write_json(_result(self.folder(number)), {"failure": trial.user_attrs[FAILURE]})
        elif recalled is None or None in finished_folds(
            self.folder(number), self._config.protocol.folds
        ):
            # Damaged or missing; the same seeds give the same result.
            self.do(None, number)

    def _understood(self, found: Any) -> dict[str, Any]:
        """Check the content of ``result.json``; a ``ValueError`` says in a line what is wrong."""
        if isinstance(found, dict) and isinstance(found.get("failure"), str):
            return found
        try:
            scores = _SCORES.validate_python(found)
        except ValidationError as error:
            raise ValueError(reason_of(error)) from None
        for state, kind, metric in product(_STATES, _KINDS, metrics_of(self._config)):
            if metric not in scores.get(state, {}).get(kind, {}):
                raise ValueError(f"{state}.{kind}.{metric} is missing")
        return scores

    def _reproduce(self, number: int) -> dict[str, TestScores]:
        config, test = self._config, self._data.test(self._config)
        channels = self._data.images.channels
        seeds = [
            derive_seed(config.seed, "reproduction", number, fold)
            for fold in range(config.protocol.folds)
        ]
        places = [fold_folder(self.folder(number), fold) for fold in range(config.protocol.folds)]
        for place in places:
            _set_aside_without_models(config, channels, place)
        name = f"reproduction {number + 1}/{self.pieces}"
        for _ in self._runner.train(config, name, self.folder(number), seeds, keep_models=True):
            pass
        self._progress.start_test()
        trained = [best_models(config, channels, place) for place in places]
        untrained = [
            untrained_models(config, self._data.fold(config, fold)[0], seed)
            for fold, seed in enumerate(seeds)
        ]
        return {"trained": self._score(trained, test), "untrained": self._score(untrained, test)}

    def _score(self, models: list[dict[str, nn.Module]], test: LabelledTensors) -> TestScores:
        embeddings = [embed(model, test, training_device()) for model in models]
        labels = torch.from_numpy(test.labels)
        protocol = self._config.protocol
        return score_on_test_classes(
            embeddings, labels, self._data.splits.queries, protocol.recall_at, protocol.metrics
        )


def _result(folder: Path) -> Path:
    return folder / "result.json"


def _set_aside_without_models(config: Config, channels: int, folder: Path) -> None:
    """Set aside a finished fold whose models are damaged or missing, so that it is trained again."""
    if finished_fold(folder) is None:
        return
    try:
        best_models(config, channels, folder)
    except (DamagedFileError, FileNotFoundError) as error:
        aside = set_aside(folder, "damaged")
        warnings.warn(f"{error}; {folder} is set aside as {aside.name}", stacklevel=2)
