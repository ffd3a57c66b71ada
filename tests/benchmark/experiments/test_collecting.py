"""results.json: every number of a run, finite, with what it cost and where it was found."""

import json
import math
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
import torch

from pml_potential import __version__
from pml_potential.benchmark.config.composing import read_saved, with_values
from pml_potential.benchmark.config.run_folder import RunFolder
from pml_potential.benchmark.data.folds import FoldData
from pml_potential.benchmark.evaluation import METRICS, PRIMARY_METRIC
from pml_potential.benchmark.experiments.collecting import collect_results
from pml_potential.benchmark.experiments.search import STUDY
from pml_potential.benchmark.experiments.sharing import HEARTBEAT
from pml_potential.benchmark.experiments.trial_storage import open_storage
from pml_potential.benchmark.experiments.work_queue import requeue
from pml_potential.benchmark.files import read_json, write_json
from pml_potential.benchmark.models import build_models
from pml_potential.benchmark.models.weights import weights_hash
from tests.benchmark.conftest import Experiment


def numbers_in(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        for each in value.values():
            yield from numbers_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from numbers_in(each)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield value


def test_the_file_holds_the_results(experiment: Experiment) -> None:
    path = experiment.folder / "report" / "results.json"
    assert read_json(path) == json.loads(json.dumps(experiment.results))


def test_every_number_is_finite(experiment: Experiment) -> None:
    numbers = list(numbers_in(experiment.results))
    assert len(numbers) > 200
    assert all(math.isfinite(number) for number in numbers)


def test_the_configuration_is_saved_with_the_run(experiment: Experiment) -> None:
    assert read_saved(experiment.folder / "config.yaml") == experiment.config
    assert experiment.results["config"] == experiment.config.model_dump()
    assert experiment.results["seed"] == 5


def test_trials_have_their_folds(experiment: Experiment) -> None:
    for trial in experiment.results["trials"]:
        assert trial["failure"] is None
        assert trial["validation_map_at_r"] == mean(fold["score"] for fold in trial["folds"])
        assert [len(fold["history"]) for fold in trial["folds"]] == [1, 1]


def test_the_best_trial_is_the_best(experiment: Experiment) -> None:
    best, trials = experiment.results["best"], experiment.results["trials"]
    chosen = trials[best["trial"]]
    assert best["validation_map_at_r"] == max(trial["validation_map_at_r"] for trial in trials)
    assert best["validation_map_at_r"] == chosen["validation_map_at_r"]
    assert best["params"] == chosen["params"]
    assert best["config"]["loss"]["params"]["alpha"] == chosen["params"]["loss.params.alpha"]


def test_importances_are_shares(experiment: Experiment) -> None:
    importance = experiment.results["importance"]
    assert importance.keys() == experiment.config.search.keys()
    assert sum(importance.values()) == pytest.approx(1)


@pytest.mark.parametrize("state", ["trained", "untrained"])
@pytest.mark.parametrize("kind", ["separated", "concatenated"])
@pytest.mark.parametrize("metric", METRICS)
def test_test_scores_are_those_of_the_reproductions(
    experiment: Experiment, state: str, kind: str, metric: str
) -> None:
    folders = sorted((experiment.folder / "reproductions").glob("[0-9]*"))
    values = [read_json(folder / "result.json")[state][kind][metric] for folder in folders]
    found = experiment.results["test"][state][kind][metric]
    assert found["values"] == values
    assert len(values) == 2
    assert found["mean"] == pytest.approx(mean(values))
    # Half of the difference is the standard error of two values; t with one degree of freedom.
    assert found["half_width"] == pytest.approx(12.7062 * abs(values[0] - values[1]) / 2, rel=1e-4)


def test_reproductions_have_seeds_of_their_own(experiment: Experiment) -> None:
    pieces = [*experiment.results["trials"], *experiment.results["reproductions"]]
    scores = [fold["score"] for piece in pieces for fold in piece["folds"]]
    assert len(set(scores)) == len(scores) == 12


def test_concatenated_embeddings_are_better_than_one_of_them(experiment: Experiment) -> None:
    trained = experiment.results["test"]["trained"]
    assert trained["concatenated"][PRIMARY_METRIC]["mean"] > trained["separated"][PRIMARY_METRIC]["mean"]


def test_the_data_is_described(experiment: Experiment) -> None:
    data = experiment.results["data"]
    assert (data["name"], data["images"], data["classes"]) == ("glyphs", 6400, 200)
    assert len(data["sha256"]) == 64
    assert data["classes_by_part"] == {
        "test": 100,
        "fold 1: train": 50,
        "fold 1: validation": 50,
        "fold 2: train": 50,
        "fold 2: validation": 50,
    }


def test_the_environment_is_described(experiment: Experiment) -> None:
    environment = experiment.results["environment"]
    assert environment["packages"]["pml-potential"] == __version__
    assert {"torch", "pytorch-metric-learning", "optuna"} <= environment["packages"].keys()
    assert environment["threads"] == torch.get_num_threads()
    assert len(environment["gpus"]) == torch.cuda.device_count()


def test_the_processor_is_named_where_linux_names_it(experiment: Experiment) -> None:
    told = Path("/proc/cpuinfo").read_text() if sys.platform == "linux" else ""
    if "model name" not in told:
        pytest.skip("nothing names the processor")
    assert f": {experiment.results['environment']['processor']}\n" in told


def test_cost_is_the_sum_over_the_folds(experiment: Experiment) -> None:
    for stage, count in (("search", 4), ("reproductions", 2)):
        pieces = experiment.results["trials" if stage == "search" else "reproductions"]
        # One epoch of two batches of eight images for each of two folds.
        assert experiment.results["cost"][stage] == {
            "pieces": count,
            "folds": 2 * count,
            "epochs": 2 * count,
            "images": 32 * count,
            "seconds": sum(fold["seconds"] for piece in pieces for fold in piece["folds"]),
        }


def test_a_network_from_scratch_has_no_hash_of_weights(experiment: Experiment) -> None:
    assert experiment.results["weights_sha256"] is None


def test_pretrained_weights_are_named_by_their_hash(
    experiment: Experiment, fold_data: FoldData, tmp_path: Path
) -> None:
    trunk = build_models(experiment.config.model, channels=1)["trunk"]
    torch.save(trunk.state_dict(), tmp_path / "weights.pth")
    config = with_values(experiment.config, {"model.weights": str(tmp_path / "weights.pth")})
    study = open_storage(RunFolder(experiment.folder), None, HEARTBEAT, requeue).open(STUDY)
    results = collect_results(config, fold_data, study, RunFolder(experiment.folder), {})
    assert results["weights_sha256"] == weights_hash(trunk)


def test_cost_counts_every_epoch_up_to_the_last_validation(
    experiment: Experiment, fold_data: FoldData, tmp_path: Path
) -> None:
    """Training goes on beyond the best epoch for as long as its patience lasts, and costs."""
    folder = tmp_path / "run"
    shutil.copytree(experiment.folder, folder)
    for path in folder.rglob("fold_*/result.json"):
        result = read_json(path)
        worse = result["history"][0] | {PRIMARY_METRIC: result["score"] / 2}
        further = [worse | {"epoch": epoch} for epoch in (2, 3)]
        write_json(path, result | {"history": [*result["history"], *further]})
    run = RunFolder(folder)
    study = open_storage(run, None, HEARTBEAT, requeue).open(STUDY)
    cost = collect_results(experiment.config, fold_data, study, run, {})["cost"]
    for stage, folds in (("search", 8), ("reproductions", 4)):
        assert cost[stage]["epochs"] == 3 * folds
        assert cost[stage]["images"] == 3 * folds * 2 * 8
