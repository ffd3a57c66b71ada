"""Runs the study with the benchmark's own functions; finished runs are not repeated."""

from pathlib import Path
from statistics import mean
from typing import Any

import torch
from rich.console import Console

from benchmarks.glyphs_study.settings import (
    CONVERGENCE,
    DELTAS_FROM_SCRATCH,
    GRIDS,
    LOSSES,
    RUNS,
    STARTS,
    from_scratch_config,
    searched_config,
)
from pml_potential.analysis import embedding_health, epochs_to_reach
from pml_potential.benchmark.config.composing import with_values
from pml_potential.benchmark.config.schema import Config
from pml_potential.benchmark.data.folds import load_fold_data
from pml_potential.benchmark.evaluation import PRIMARY_METRIC, embed
from pml_potential.benchmark.experiments.experiment import run_experiment
from pml_potential.benchmark.experiments.studies import Study, run_ablation, run_label_noise
from pml_potential.benchmark.files import read_json_or_set_aside
from pml_potential.benchmark.report.comparison import compare_runs
from pml_potential.benchmark.report.comparison_report import comparison_in_markdown
from pml_potential.benchmark.report.environment import describe_environment
from pml_potential.benchmark.report.intervals import confidence_interval
from pml_potential.benchmark.report.results import read_results
from pml_potential.benchmark.report.run_analysis import analyze_run
from pml_potential.benchmark.training.fold_models import untrained_models

_CONSOLE = Console()


def measure() -> dict[str, Any]:
    """Run every part, and gather the results that the page shows."""
    environment = describe_environment()
    configs = {loss: searched_config(loss) for loss in LOSSES}
    noise = run_label_noise(configs, RUNS / "noise", _CONSOLE)
    runs = {loss: RUNS / "noise" / f"{loss}-0" for loss in LOSSES}
    best = {loss: _best(folder) for loss, folder in runs.items()}
    return {
        "environment": environment,
        "runs": {loss: _summary(read_results(folder)) for loss, folder in runs.items()},
        "comparison": comparison_in_markdown(compare_runs(list(runs.values()))),
        "noise": noise.to_json(),
        "analysis": {
            loss: _analysis(folder)["measures"]
            for loss, folder in runs.items()
            if best[loss].loss.optimizer is not None
        },
        "convergence": {loss: _converge(loss, best[loss]) for loss in LOSSES},
        "ablations": {path: _ablation(best["potential_field"], path).to_json() for path in GRIDS},
        "from_scratch": run_ablation(
            from_scratch_config(),
            "loss.params.delta",
            DELTAS_FROM_SCRATCH,
            RUNS / "from_scratch",
            _CONSOLE,
        ).to_json(),
        "scale_at_start": {
            name: _scale_at_start(config)
            for name, config in (
                ("frozen features", searched_config("potential_field")),
                ("from scratch", from_scratch_config()),
            )
        },
        "commits": sorted(
            {
                read_results(results.parents[1])["environment"]["commit"]
                for results in RUNS.rglob("report/results.json")
            }
        ),
    }


def _best(folder: Path) -> Config:
    return Config.model_validate(read_results(folder)["best"]["config"])


def _name(loss: dict[str, Any]) -> str:
    name: str = loss["name"]
    starts_in_data = loss["initialize_proxies_after_epoch"] is not None
    return f"{name}, proxies in the data" if starts_in_data else name


def _summary(results: dict[str, Any]) -> dict[str, Any]:
    return {
        "loss": _name(results["config"]["loss"]),
        "validation": results["best"]["validation_map_at_r"],
        "params": results["best"]["params"],
        "test": results["test"],
        "cost": results["cost"],
        "failed_trials": sum(trial["failure"] is not None for trial in results["trials"]),
        "commit": results["environment"]["commit"],
        "data_sha256": results["data"]["sha256"],
        "weights_sha256": results["weights_sha256"],
    }


def _analysis(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] | None = read_json_or_set_aside(folder / "analysis" / "analysis.json")
    return found or analyze_run(folder)


def _converge(loss: str, config: Config) -> dict[str, Any]:
    follows = config.loss.optimizer is not None
    changes = {**CONVERGENCE, "protocol.study": None, "search": {}, "protocol.proxy_alignment": follows}
    folder = RUNS / "convergence" / loss
    results = run_experiment(with_values(config, changes), folder, _CONSOLE)
    histories = [[fold["history"] for fold in each["folds"]] for each in results["reproductions"]]
    curves = {
        name: [confidence_interval(values) for values in _by_epoch(histories, name)]
        for name in (PRIMARY_METRIC, "proxy_alignment")
        if all(name in entry for folds in histories for fold in folds for entry in fold)
    }
    epochs = [mean(map(_epochs, folds)) for folds in histories]
    return {"curves": curves, "epochs_to_95_percent": confidence_interval(epochs)}


def _by_epoch(histories: list[list[list[dict[str, float]]]], name: str) -> list[list[float]]:
    """For each epoch the mean over the folds, of each reproduction."""
    return [
        [mean(fold[epoch][name] for fold in folds) for folds in histories]
        for epoch in range(len(histories[0][0]))
    ]


def _epochs(history: list[dict[str, float]]) -> int:
    found = epochs_to_reach([(int(entry["epoch"]), entry[PRIMARY_METRIC]) for entry in history])
    assert found is not None, "a history reaches its own best"
    return found


def _ablation(config: Config, path: str) -> Study:
    studies = [
        run_ablation(
            with_values(config, {"protocol.reproductions": 3, **changes}),
            path,
            GRIDS[path],
            RUNS / "ablation" / start.replace(" ", "_"),
            _CONSOLE,
            series=start,
        )
        for start, changes in STARTS.items()
    ]
    series = {name: points for study in studies for name, points in study.series.items()}
    return Study(path, series)


def _scale_at_start(config: Config) -> dict[str, Any]:
    """Mean distance within classes of the training embeddings before the first step, by fold."""
    data = load_fold_data(config, RUNS / "noise" / "features")
    distances = []
    for fold in range(config.protocol.folds):
        train, _ = data.fold(config, fold)
        embeddings = embed(untrained_models(config, train, seed=fold), train, torch.device("cpu"))
        distances.append(embedding_health(embeddings, torch.from_numpy(train.labels)).intra)
    return confidence_interval(distances)
