"""Reproductions: the best trial trained again with new seeds and judged on the test classes."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import Tensor, nn

from pml_potential.benchmark.evaluation import embed, judge
from pml_potential.benchmark.fold_trainer import DivergedError
from pml_potential.benchmark.folds import FoldData
from pml_potential.benchmark.labelled_dataset import LabelledDataset
from pml_potential.benchmark.progress import RunProgress
from pml_potential.benchmark.records import read_json, write_json
from pml_potential.benchmark.schema import Config
from pml_potential.benchmark.seeds import derive_seed
from pml_potential.benchmark.training import (
    best_models,
    device_for_training,
    finished_fold,
    train_fold,
    untrained_models,
)

TestScores = dict[str, dict[str, float]]
"""``separated`` and ``concatenated``, each with every metric."""


def run_reproductions(config: Config, data: FoldData, folder: Path, progress: RunProgress) -> None:
    """Run the reproductions that are still to be run.

    Each writes ``result.json`` into its folder: the test scores of the trained and of the untrained
    models, or why it failed.

    Args:
        config: with the hyperparameters of the best trial.
        data: the images and their splits.
        folder: folder of the run.
        progress: told of each fold.
    """
    for number in range(config.protocol.reproductions):
        path = reproduction_folder(folder, number) / "result.json"
        if path.is_file():
            progress.skip(config.protocol.folds)
        else:
            write_json(path, _reproduce(config, data, folder, number, progress))


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
    config: Config, data: FoldData, folder: Path, number: int, progress: RunProgress
) -> dict[str, Any]:
    folds, test = config.protocol.folds, data.test
    trained: list[dict[str, nn.Module]] = []
    untrained: list[dict[str, nn.Module]] = []
    for fold in range(folds):
        work = f"reproduction {number + 1}/{config.protocol.reproductions}"
        progress.start_fold(work, fold, folds)
        fold_folder = reproduction_folder(folder, number) / f"fold_{fold}"
        seed = derive_seed(config.seed, "reproduction", number, fold)
        was_done = finished_fold(fold_folder) is not None
        try:
            result = train_fold(
                config,
                *data.fold(fold),
                fold_folder,
                seed,
                progress.finish_epoch,
                keep_models=True,
                queries=data.splits.queries,
            )
        except DivergedError as error:
            progress.fail(str(error), folds - fold)
            return {"failure": f"fold {fold + 1}: {error}"}
        progress.finish_fold(result.score, result.best_epoch, result.seconds, was_done)
        trained.append(best_models(config, test, fold_folder))
        untrained.append(untrained_models(config, test, seed))
    arguments = test, data.splits.queries, config.protocol.recall_at
    return {"trained": _score(trained, *arguments), "untrained": _score(untrained, *arguments)}


def _score(
    models: list[dict[str, nn.Module]],
    test: LabelledDataset,
    queries: int | None,
    recall_at: Sequence[int],
) -> TestScores:
    embeddings = [embed(model, test, device_for_training()) for model in models]
    return score_on_test_classes(embeddings, torch.from_numpy(test.labels), queries, recall_at)
