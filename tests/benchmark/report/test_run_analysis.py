"""What ``analyze`` says of a run, against the instruments applied by hand."""

import io
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
import torch
from rich.console import Console

from pml_potential.analysis import embedding_health, proxy_alignment
from pml_potential.benchmark.config.schema import Config, ConfigError
from pml_potential.benchmark.data.folds import load_fold_data
from pml_potential.benchmark.evaluation import embed
from pml_potential.benchmark.experiments.experiment import run_experiment
from pml_potential.benchmark.files import read_json
from pml_potential.benchmark.report.run_analysis import MEASURES, analyze_run
from pml_potential.benchmark.training.fold_models import best_models
from tests.benchmark.tiny import tiny_config

SMALL = ("protocol.study=null", "protocol.max_epochs=2", "protocol.proxy_alignment=true")


def run(folder: Path, *assignments: str, loss: str = "potential_field") -> dict[str, Any]:
    config = tiny_config(*assignments, loss=loss)
    return run_experiment(config, folder, Console(file=io.StringIO()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("analysis") / "run"
    run(folder, *SMALL)
    return folder


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, Any]:
    return analyze_run(folder)


def test_alignment_and_health_are_those_of_the_models_that_are_kept(
    folder: Path, found: dict[str, Any]
) -> None:
    config = Config.model_validate(read_json(folder / "report" / "results.json")["best"]["config"])
    data = load_fold_data(config, folder.parent / "features")
    aligned, hubs = [], []
    for reproduction in range(2):
        places = [folder / "reproductions" / f"{reproduction:04d}" / f"fold_{fold}" for fold in (0, 1)]
        for fold, place in enumerate(places):
            train, _ = data.fold(config, fold)
            models = best_models(config, train.channels, place)
            saved = torch.load(place / "models" / "metric_loss_best.pth", weights_only=True)
            labels = torch.from_numpy(train.labels)
            embeddings = embed(models, train, torch.device("cpu"))
            of_proxies = torch.arange(train.num_classes).repeat_interleave(5)
            aligned.append(proxy_alignment(saved["proxies"], of_proxies, embeddings, labels).mean)
            test = embed(models, data.test(config), torch.device("cpu"))
            hubs.append(embedding_health(test, torch.from_numpy(data.test(config).labels)).hubness)
    measures = found["measures"]
    for name, values in (("proxy_alignment", aligned), ("hubness", hubs)):
        expected = [mean(values[:2]), mean(values[2:])]
        assert measures[name]["values"] == pytest.approx(expected, rel=1e-6)
        assert measures[name]["half_width"] > 0


def test_alignment_of_the_best_epoch_was_in_the_records_of_the_training(
    folder: Path, found: dict[str, Any]
) -> None:
    followed = []
    for reproduction in read_json(folder / "report" / "results.json")["reproductions"]:
        best = [fold["history"][fold["best_epoch"] - 1] for fold in reproduction["folds"]]
        followed.append(mean(entry["proxy_alignment"] for entry in best))
    assert found["measures"]["proxy_alignment"]["values"] == pytest.approx(followed, rel=1e-6)


def test_epochs_to_the_best_are_counted_in_the_histories(folder: Path, found: dict[str, Any]) -> None:
    expected = []
    for reproduction in read_json(folder / "report" / "results.json")["reproductions"]:
        epochs = []
        for fold in reproduction["folds"]:
            scores = [entry["mean_average_precision_at_r"] for entry in fold["history"]]
            epochs.append(1 + next(n for n, score in enumerate(scores) if score >= 0.95 * max(scores)))
        expected.append(mean(epochs))
    assert found["measures"]["epochs_to_95_percent"]["values"] == expected


def test_everything_is_written_beside_the_run(folder: Path, found: dict[str, Any]) -> None:
    assert read_json(folder / "analysis" / "analysis.json") == found
    assert found["measures"].keys() == MEASURES.keys()
    for name in ("retrieval_sheet.png", "field.png"):
        assert (folder / "analysis" / name).read_bytes().startswith(b"\x89PNG")


def test_a_loss_without_proxies_has_no_alignment(tmp_path: Path) -> None:
    run(tmp_path / "run", "protocol.study=null", "protocol.folds=1", loss="contrastive")
    found = analyze_run(tmp_path / "run")
    assert found["measures"]["proxy_alignment"] is None
    assert found["measures"]["intra"]["mean"] > 0
    assert not (tmp_path / "run" / "analysis" / "field.png").exists()


def test_proxies_that_are_not_there_cannot_be_followed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="proxy_alignment is true, but loss is a ContrastiveLoss"):
        run(tmp_path / "run", "protocol.proxy_alignment=true", loss="contrastive")


def test_a_run_that_has_not_ended_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist; a run writes it at its end"):
        analyze_run(tmp_path)
