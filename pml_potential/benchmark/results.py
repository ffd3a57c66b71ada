"""Everything that a run found out, as one dictionary: what ``results.json`` holds."""

import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import optuna
import torch
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import TrialState
from scipy.stats import t as student_t

from pml_potential.benchmark.evaluation import metrics_of
from pml_potential.benchmark.folds import FoldData, frozen_trunk
from pml_potential.benchmark.models.weights import weights_hash
from pml_potential.benchmark.published_figures import published_figures
from pml_potential.benchmark.records import read_json
from pml_potential.benchmark.reproduction import reproduction_folder, reproduction_results
from pml_potential.benchmark.schema import Config, ConfigError
from pml_potential.benchmark.search import (
    best_config,
    best_trial,
    failure_of,
    score_of,
    trial_folder,
)
from pml_potential.benchmark.training import finished_fold
from pml_potential.benchmark.work_queue import ended_pieces, order_of

FORMAT = 2
"""Number of the layout of ``results.json``; files before the number was written have the first."""

_PACKAGES = (
    "pml-potential",
    "pytorch-metric-learning",
    "torch",
    "optuna",
    "faiss-cpu",
    "numpy",
    "record-keeper",
)


def confidence_interval(values: Sequence[float]) -> dict[str, Any]:
    """Mean, standard deviation and half the width of the mean's 95% confidence interval (Student t).

    Args:
        values: independent repetitions; deviation and interval need two of them.

    Returns:
        ``mean``, ``deviation`` and ``half_width`` (None for a single value) and the ``values``.

    Examples:
        >>> interval = confidence_interval([0.5, 0.7])
        >>> round(interval["mean"], 3), round(interval["half_width"], 3)
        (0.6, 1.271)
    """
    deviation = half_width = None
    if len(values) > 1:
        deviation = stdev(values)
        half_width = float(student_t.ppf(0.975, len(values) - 1)) * deviation / len(values) ** 0.5
    return {
        "mean": mean(values),
        "deviation": deviation,
        "half_width": half_width,
        "values": list(values),
    }


def describe_environment(processes: int = 1) -> dict[str, Any]:
    """Versions, machine and state of the source, as far as they can influence a result.

    Args:
        processes: how many train at a time, and share the threads. Default 1.
    """
    packages = {}
    for package in _PACKAGES:
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "threads": max(1, torch.get_num_threads() // processes),
        "gpus": [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())],
        "packages": packages,
        "commit": _commit(),
    }


def _processor() -> str:
    """Name of the processor, where the system tells it, or else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def collect_results(
    config: Config, data: FoldData, study: optuna.Study, folder: Path, environment: dict[str, Any]
) -> dict[str, Any]:
    """Gather the results of a run that has ended.

    Args:
        config: the configuration of the run.
        data: its images and splits.
        study: its search.
        folder: its folder.
        environment: what ``describe_environment`` said when it started.

    Returns:
        A dictionary that JSON can hold; every number that a report shows is in it.
    """
    best = best_trial(study)
    metrics = metrics_of(config)
    trials = [_trial(trial, config, folder) for trial in ended_pieces(study)]
    tested = reproduction_results(config, folder)
    succeeded = [result for result in tested if "failure" not in result]
    reproductions = [
        result | {"folds": _fold_dicts(reproduction_folder(folder, number), config.protocol.folds)}
        for number, result in enumerate(tested)
    ]
    return {
        "format": FORMAT,
        "config": config.model_dump(),
        "seed": config.seed,
        "data": _describe(data),
        "weights_sha256": _hash_of_weights(config, data),
        "environment": environment,
        "trials": trials,
        "best": {
            "trial": order_of(best) if best else None,
            "params": best.params if best else {},
            "config": best_config(config, study).model_dump(),
            "validation_map_at_r": best.value if best else None,
        },
        "importance": _importance(study),
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


def read_results(folder: Path) -> dict[str, Any]:
    """Read the results of a run.

    Args:
        folder: folder of the run.

    Returns:
        What ``collect_results`` gathered.

    Raises:
        ConfigError: The run has not ended, or the file is damaged or of another version.
    """
    path = folder / "report" / "results.json"
    if not path.is_file():
        raise ConfigError(f"{path} does not exist; a run writes it at its end")
    try:
        results = read_json(path)
    except ValueError as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    found = results.get("format", 1) if isinstance(results, dict) else None
    if found != FORMAT:
        raise ConfigError(
            f"{path} has layout {found}, and this version of pml-potential reads layout {FORMAT}; the "
            "command that made the run writes it anew, without training again"
        )
    return dict(results)


def _hash_of_weights(config: Config, data: FoldData) -> str | None:
    if config.model.weights is None:
        return None
    return weights_hash(frozen_trunk(config, data.images))


def _describe(data: FoldData) -> dict[str, Any]:
    classes = {name: len(set(data.images.labels[part])) for name, part in _parts(data).items()}
    return {
        "name": data.images.name,
        "sha256": data.images.sha256,
        "images": len(data.images.labels),
        "classes": len(data.images.class_names),
        "classes_by_part": classes,
    }


def _parts(data: FoldData) -> Mapping[str, Any]:
    parts: dict[str, Any] = {"test": data.splits.test}
    for number, fold in enumerate(data.splits.folds):
        parts[f"fold {number + 1}: train"] = fold.train
        parts[f"fold {number + 1}: validation"] = fold.validation
    return parts


def _trial(trial: optuna.trial.FrozenTrial, config: Config, folder: Path) -> dict[str, Any]:
    order = order_of(trial)
    return {
        "number": order,
        "params": trial.params,
        "validation_map_at_r": score_of(trial) if trial.state is TrialState.COMPLETE else None,
        "failure": failure_of(trial),
        "folds": _fold_dicts(trial_folder(folder, order), config.protocol.folds),
    }


def _fold_dicts(folder: Path, count: int) -> list[dict[str, Any]]:
    results = [finished_fold(folder / f"fold_{fold}") for fold in range(count)]
    return [dict(vars(result)) for result in results if result is not None]


def _cost(config: Config, pieces: Sequence[dict[str, Any]]) -> dict[str, float]:
    """What trials or reproductions took, by their finished folds, each up to its last validation."""
    folds = [fold for piece in pieces for fold in piece["folds"]]
    epochs = sum(int(fold["history"][-1]["epoch"]) for fold in folds)
    return {
        "pieces": len(pieces),
        "folds": len(folds),
        "epochs": epochs,
        "images": epochs * config.protocol.iterations_per_epoch * config.protocol.batch_size,
        "seconds": sum(fold["seconds"] for fold in folds),
    }


def _importance(study: optuna.Study) -> dict[str, float]:
    """Share of each hyperparameter in telling good trials from the others (PED-ANOVA)."""
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    if len(complete) < 4 or not complete[0].params:
        return {}
    return get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())


def _commit() -> str | None:
    """Commit of the checkout that this package runs from, with ``-dirty`` if it was changed."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        answer = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()
