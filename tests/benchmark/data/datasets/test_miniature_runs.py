"""Miniatures of the published data sets run through both protocols, from files to report."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pml_potential.benchmark.config.composing import compose
from pml_potential.benchmark.config.run_folder import RunFolder, fold_folder
from pml_potential.benchmark.experiments.experiment import run_experiment
from tests.benchmark.data.datasets.miniatures import (
    write_cars196_copy,
    write_cub200,
    write_in_shop,
    write_sop,
)

CLASSES, IMAGES = 16, 4
SMALL = [
    "protocol.iterations_per_epoch=2",
    "protocol.max_epochs=2",
    "protocol.validation_interval=1",
    "protocol.batch_size=8",
    "protocol.reproductions=2",
    "loss.params.proxies_per_class=2",
]
WRITERS: list[tuple[str, Callable[..., Path]]] = [
    ("cub200", write_cub200),
    ("cars196", write_cars196_copy),
    ("sop", write_sop),
    ("in_shop", write_in_shop),
]


def run(dataset: str, root: Path, protocol: str, folder: Path, *assignments: str) -> dict[str, Any]:
    presets = {"protocol": protocol, "dataset": dataset, "model": "small_cnn", "loss": "potential_field"}
    config = compose(presets, [*SMALL, f"dataset.root={root}", *assignments])
    return run_experiment(config, folder, Console(file=io.StringIO()))


@pytest.mark.parametrize(("dataset", "write"), WRITERS)
def test_mlrc(dataset: str, write: Callable[..., Path], tmp_path: Path) -> None:
    root = write(tmp_path / "data", CLASSES, IMAGES)
    trials = "protocol.study={trials: 2, startup_trials: 1}"
    results = run(dataset, root, "mlrc", tmp_path / "run", trials)
    parts = results["data"]["classes_by_part"]
    assert parts["test"] == CLASSES // 2
    assert [parts[f"fold {fold}: train"] for fold in (1, 2, 3, 4)] == [6, 6, 6, 6]
    scores = results["test"]["trained"]["separated"]
    assert 0 < scores["mean_average_precision_at_r"]["mean"] <= 1
    assert len(results["trials"]) == 2
    assert all(len(trial["folds"]) == 4 for trial in results["trials"])


@pytest.mark.parametrize(("dataset", "write"), WRITERS)
def test_traditional(dataset: str, write: Callable[..., Path], tmp_path: Path) -> None:
    root = write(tmp_path / "data", CLASSES, IMAGES)
    protocol = {"sop": "traditional_sop", "in_shop": "traditional_in_shop"}.get(dataset, "traditional")
    results = run(dataset, root, protocol, tmp_path / "run")
    scores = results["test"]["trained"]["separated"]
    recall_at = results["config"]["protocol"]["recall_at"]
    recalls = [scores[f"recall_at_{k}"]["mean"] for k in recall_at]
    assert recalls == sorted(recalls)
    assert scores["recall_at_1"]["mean"] == scores["precision_at_1"]["mean"]
    assert scores["recall_at_1"]["deviation"] is not None
    assert results["trials"] == []
    assert all(
        fold["best_epoch"] in (1, 2) for result in results["reproductions"] for fold in result["folds"]
    )
    page = (tmp_path / "run" / "report" / "index.html").read_text()
    assert "selected on the test set" in page
    assert "R@10" in page or "R@8" in page


def test_the_epoch_is_the_best_on_the_test_set(tmp_path: Path) -> None:
    """In-Shop's queries look in its gallery in training as at the end."""
    root = write_in_shop(tmp_path / "data", CLASSES, IMAGES)
    results = run("in_shop", root, "traditional_in_shop", tmp_path / "run")
    for number, result in enumerate(results["reproductions"]):
        (fold,) = result["folds"]
        found = result["trained"]["separated"]["mean_average_precision_at_r"]
        assert found == pytest.approx(fold["score"], abs=1e-6), number
        assert (fold_folder(RunFolder(tmp_path / "run").reproduction(number), 0) / "models").is_dir()


def test_pictures_are_cropped_for_a_network_with_an_input(tmp_path: Path) -> None:
    root = write_cub200(tmp_path / "data", CLASSES, IMAGES)
    results = run(
        "cub200",
        root,
        "mlrc",
        tmp_path / "runs" / "run",
        "protocol.study={trials: 1, startup_trials: 1}",
        "protocol.crop={resize: 20, size: 16}",
        "model.input={mean: [0.5, 0.5, 0.5], std: [0.2, 0.2, 0.2]}",
    )
    assert results["test"]["trained"]["separated"]["precision_at_1"]["mean"] > 0
    assert len(list((tmp_path / "runs" / "resized").iterdir())) == 2
