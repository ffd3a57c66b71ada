"""Reproductions: the best trial trained again with new seeds and judged on the test classes."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import optuna
import torch
from filelock import FileLock
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial, TrialState, create_trial
from torch import Tensor, nn

from pml_potential.benchmark.evaluation import PRIMARY_METRIC, embed, judge
from pml_potential.benchmark.fold_processes import FoldTraining, has_all_folds
from pml_potential.benchmark.folds import FoldData
from pml_potential.benchmark.labelled_dataset import LabelledDataset
from pml_potential.benchmark.progress import RunProgress
from pml_potential.benchmark.records import (
    read_json,
    read_json_or_set_aside,
    set_aside,
    write_json,
)
from pml_potential.benchmark.schema import Config
from pml_potential.benchmark.search import trials_to_run
from pml_potential.benchmark.seeds import derive_seed
from pml_potential.benchmark.state_file import DamagedFileError
from pml_potential.benchmark.study_storage import StudyStorage
from pml_potential.benchmark.training import (
    best_models,
    device_for_training,
    finished_fold,
    untrained_models,
)
from pml_potential.benchmark.work_queue import (
    FAILURE,
    ORDER,
    PieceFailedError,
    Queue,
    ended_pieces,
    order_of,
    work_off,
)

STUDY = "reproductions"

TestScores = dict[str, dict[str, float]]
"""``separated`` and ``concatenated``, each with every metric."""


def run_reproductions(
    config: Config,
    data: FoldData,
    training: FoldTraining,
    folder: Path,
    storage: StudyStorage,
    progress: RunProgress,
) -> None:
    """Run the reproductions that are still to be run, together with whoever else works on them.

    Each writes ``result.json`` into its folder: the test scores of the trained and of the untrained
    models, or why it failed.

    Args:
        config: with the hyperparameters of the best trial.
        data: the images and their splits.
        training: trains the folds.
        folder: folder of the run.
        storage: where the study is by which the reproductions are shared out.
        progress: told of each reproduction.
    """
    study = storage.open(STUDY)
    before = trials_to_run(config)

    def result_path(number: int) -> Path:
        return reproduction_folder(folder, number) / "result.json"

    def work(_trial: optuna.Trial | None, number: int) -> float:
        try:
            result = _reproduce(config, data, training, folder, number)
        except PieceFailedError as error:
            write_json(result_path(number), {"failure": str(error)})
            raise
        write_json(result_path(number), result)
        return result["trained"]["separated"][PRIMARY_METRIC]

    def recall(number: int) -> FrozenTrial | None:
        result = read_json_or_set_aside(result_path(number))
        if result is None:
            return None
        if "failure" in result:
            attributes = {ORDER: number, FAILURE: result["failure"]}
            return create_trial(state=TrialState.FAIL, user_attrs=attributes)
        value = result["trained"]["separated"][PRIMARY_METRIC]
        return create_trial(value=value, user_attrs={ORDER: number})

    def check(ended: list[FrozenTrial]) -> None:
        progress.set_ended((before + len(ended)) * config.protocol.folds)

    queue = Queue(
        study,
        config.protocol.reproductions,
        lambda number: reproduction_folder(folder, number),
        lambda _trial: None,
        lambda _number: RandomSampler(),
        work,
        recall,
        check,
        lambda running: progress.say(f"waiting for {running} reproductions of other workers"),
        storage.patience,
    )
    work_off(queue, FileLock(folder / ".claim"))
    for trial in ended_pieces(study):
        number = order_of(trial)
        recalled = recall(number)
        place = reproduction_folder(folder, number)
        if trial.state is TrialState.FAIL:
            write_json(result_path(number), {"failure": trial.user_attrs[FAILURE]})
        elif recalled is None or not has_all_folds(place, config.protocol.folds):
            # Damaged or gone; the same seeds give the same result.
            work(None, number)


def reproduction_folder(folder: Path, number: int) -> Path:
    """Where a reproduction keeps its folds, its models and its result."""
    return folder / "reproductions" / f"{number:04d}"


def reproduction_results(config: Config, folder: Path) -> list[dict[str, Any]]:
    """Read what the reproductions wrote."""
    return [
        read_json(reproduction_folder(folder, number) / "result.json")
        for number in range(config.protocol.reproductions)
    ]


def score_on_test_classes(
    embeddings: list[Tensor],
    labels: Tensor,
    queries: int | None = None,
    recall_at: Sequence[int] = (),
) -> TestScores:
    """Judge the models of a cross-validation together on the test set.

    Args:
        embeddings: for each model, (n, d), l2-normalised.
        labels: (n,).
        queries: so many of the first are queries, which look among the others; None: all among all.
        recall_at: K of each Recall@K.

    Returns:
        ``separated``: the mean over the models of each metric; ``concatenated``: each metric of the
        embeddings of all models side by side.

    Examples:
        >>> model = torch.eye(4).repeat_interleave(2, 0)
        >>> scores = score_on_test_classes([model, model], torch.arange(4).repeat_interleave(2))
        >>> scores["concatenated"]["precision_at_1"]
        1.0
    """

    def judged(points: Tensor) -> dict[str, float]:
        if queries is None:
            return judge(points, labels, recall_at=recall_at)
        ends = (points[:queries], labels[:queries], points[queries:], labels[queries:])
        return judge(*ends, recall_at=recall_at)

    each = [judged(points) for points in embeddings]
    separated = {metric: mean(scores[metric] for scores in each) for metric in each[0]}
    # One model is its own concatenation; a large test set takes minutes to judge.
    together = each[0] if len(embeddings) == 1 else judged(torch.cat(embeddings, dim=1))
    return {"separated": separated, "concatenated": together}


def _reproduce(
    config: Config, data: FoldData, training: FoldTraining, folder: Path, number: int
) -> dict[str, TestScores]:
    folds, test = config.protocol.folds, data.test
    place = reproduction_folder(folder, number)
    seeds = [derive_seed(config.seed, "reproduction", number, fold) for fold in range(folds)]
    work = f"reproduction {number + 1}/{config.protocol.reproductions}"
    for fold in range(folds):
        _set_aside_without_models(config, test, place / f"fold_{fold}")
    for _ in training.train(config, work, place, seeds, keep_models=True):
        pass
    trained = [best_models(config, test, place / f"fold_{fold}") for fold in range(folds)]
    untrained = [untrained_models(config, test, seed) for seed in seeds]
    arguments = test, data.splits.queries, config.protocol.recall_at
    return {"trained": _score(trained, *arguments), "untrained": _score(untrained, *arguments)}


def _set_aside_without_models(config: Config, test: LabelledDataset, folder: Path) -> None:
    """Set a finished fold aside whose models are damaged or gone, so that it is trained again."""
    if finished_fold(folder) is None:
        return
    try:
        best_models(config, test, folder)
    except (DamagedFileError, FileNotFoundError) as error:
        aside = set_aside(folder, "damaged")
        warnings.warn(f"{error}; {folder} is set aside as {aside.name}", stacklevel=2)


def _score(
    models: list[dict[str, nn.Module]],
    test: LabelledDataset,
    queries: int | None,
    recall_at: Sequence[int],
) -> TestScores:
    embeddings = [embed(model, test, device_for_training()) for model in models]
    return score_on_test_classes(embeddings, torch.from_numpy(test.labels), queries, recall_at)
