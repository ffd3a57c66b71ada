"""All results of a finished run: the content of ``results.json``."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

from pml_potential.benchmark.config.run_folder import RunFolder
from pml_potential.benchmark.config.schema import Config
from pml_potential.benchmark.data.folds import FoldData
from pml_potential.benchmark.data.identity import hash_of_weights
from pml_potential.benchmark.evaluation import metrics_of
from pml_potential.benchmark.experiments.reproduction import reproduction_results
from pml_potential.benchmark.experiments.search import (
    best_trial,
    failure_of,
    folds_of,
    score_of,
    with_best_trial,
)
from pml_potential.benchmark.experiments.work_queue import ended_pieces, number_of
from pml_potential.benchmark.report.intervals import confidence_interval
from pml_potential.benchmark.report.published_figures import published_figures
from pml_potential.benchmark.report.results import FORMAT
from pml_potential.benchmark.training.fold import FoldResult, finished_folds


def collect_results(
    config: Config,
    data: FoldData,
    search: optuna.Study,
    run: RunFolder,
    environment: dict[str, Any],
) -> dict[str, Any]:
    """Collect the results of a finished run.

    Args:
        config: the configuration of the run.
        data: its images and splits.
        search: the Optuna study of its search.
        run: its folder.
        environment: result of ``describe_environment`` when it started.

    Returns:
        A JSON-serialisable dictionary with every number that a report shows.
    """
    best = best_trial(search)
    metrics = metrics_of(config)
    trials = [_trial(trial, config, run) for trial in ended_pieces(search)]
    tested = reproduction_results(config, run)
    succeeded = [result for result in tested if "failure" not in result]
    reproductions = [
        result | {"folds": _as_dicts(finished_folds(run.reproduction(number), config.protocol.folds))}
        for number, result in enumerate(tested)
    ]
    return {
        "format": FORMAT,
        "config": config.model_dump(),
        "seed": config.seed,
        "data": _describe(data),
        "weights_sha256": hash_of_weights(config, data.images),
        "environment": environment,
        "trials": trials,
        "best": {
            "trial": number_of(best) if best else None,
            "params": best.params if best else {},
            "config": with_best_trial(config, search).model_dump(),
            "validation_map_at_r": best.value if best else None,
        },
        "importance": _importance(search),
        "reproductions": reproductions,
        "test": {
            state: {
                kind: {
                    metric: confidence_interval([result[state][kind][metric] for result in succeeded])
                    for metric in metrics
                }
                for kind in ("separated", "concatenated")
            }
            for state in ("trained", "untrained")
            if succeeded
        },
        "cost": {"search": _cost(config, trials), "reproductions": _cost(config, reproductions)},
        "published": published_figures(config),
    }


def _describe(data: FoldData) -> dict[str, Any]:
    indices = {"test": data.splits.test}
    for number, fold in enumerate(data.splits.folds, start=1):
        indices[f"fold {number}: train"] = fold.train
        indices[f"fold {number}: validation"] = fold.validation
    return {
        "name": data.images.name,
        "sha256": data.images.sha256,
        "images": len(data.images.labels),
        "classes": len(data.images.class_names),
        "classes_by_part": {
            name: len(np.unique(data.images.labels[places])) for name, places in indices.items()
        },
    }


def _trial(trial: FrozenTrial, config: Config, run: RunFolder) -> dict[str, Any]:
    number = number_of(trial)
    return {
        "number": number,
        "params": trial.params,
        "validation_map_at_r": score_of(trial) if trial.state is TrialState.COMPLETE else None,
        "failure": failure_of(trial),
        "folds": _as_dicts(finished_folds(run.trial(number), folds_of(trial, config))),
    }


def _as_dicts(folds: Sequence[FoldResult | None]) -> list[dict[str, Any]]:
    return [asdict(fold) for fold in folds if fold is not None]


def _cost(config: Config, pieces: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Cost of trials or reproductions: their finished folds, each up to its last validation."""
    folds = [fold for piece in pieces for fold in piece["folds"]]
    epochs = sum(int(fold["history"][-1]["epoch"]) for fold in folds)
    return {
        "pieces": len(pieces),
        "folds": len(folds),
        "epochs": epochs,
        "images": epochs * config.protocol.iterations_per_epoch * config.protocol.batch_size,
        "seconds": sum(fold["seconds"] for fold in folds),
    }


def _importance(search: optuna.Study) -> dict[str, float]:
    """Importance of each hyperparameter in separating good trials from the others (PED-ANOVA)."""
    complete = search.get_trials(states=(TrialState.COMPLETE,))
    if len(complete) < 4 or not complete[0].params:
        return {}
    return get_param_importances(search, evaluator=PedAnovaImportanceEvaluator())
