"""A study of label noise: every loss at every level, with what suited it on clean labels, and once."""

from pathlib import Path
from typing import Any

import pytest

from pml_potential.benchmark.config.run_folder import RunFolder
from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.experiments.experiment import saved_config
from pml_potential.benchmark.experiments.studies import Study, run_label_noise
from pml_potential.benchmark.report.results import read_results
from tests.benchmark.experiments.studies.study_runs import (
    config_of,
    quiet,
    score_of,
    values,
    write_images,
)
from tests.benchmark.tiny import tiny_config


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("images") / "few"
    write_images(root)
    return root


@pytest.fixture(scope="module")
def noise(
    images: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Study, Path, list[dict[str, int]]]:
    """One loss with a search, and one without."""
    folder = tmp_path_factory.mktemp("noise")
    fixed = ["protocol.study=null"]
    fixed += [f"search.loss.params.{name}=null" for name in ("pos_margin", "neg_margin")]
    configs = {
        "potential_field": config_of(images),
        "contrastive": config_of(images, *fixed, loss="contrastive"),
    }
    told: list[dict[str, int]] = []

    def after_each(study: Study) -> None:
        told.append({name: len(points) for name, points in study.series.items()})

    study = run_label_noise(configs, folder, quiet(), [0.5], after_each=after_each)
    return study, folder, told


def test_every_loss_is_run_clean_and_at_every_level(noise: tuple[Study, Path, Any]) -> None:
    study, folder, told = noise
    assert {name: [point.value for point in points] for name, points in study.series.items()} == {
        "potential_field": [0, 0.5],
        "contrastive": [0, 0.5],
    }
    assert told == [
        {"potential_field": 1},
        {"potential_field": 2},
        {"potential_field": 2, "contrastive": 1},
        {"potential_field": 2, "contrastive": 2},
    ]
    for name, points in study.series.items():
        for point in points:
            assert point.test == score_of(read_results(folder / f"{name}-{point.value:g}"))
    clean, noisy = study.series["potential_field"]
    assert clean.test != noisy.test


def test_noise_is_met_with_the_best_hyperparameters_of_the_clean_search(
    noise: tuple[Study, Path, Any],
) -> None:
    _, folder, _ = noise
    clean = read_results(folder / "potential_field-0")
    best = clean["best"]["config"]
    noisy = values(saved_config(RunFolder(folder / "potential_field-0.5")))
    assert noisy["loss"] == best["loss"] != clean["config"]["loss"]
    assert noisy["dataset"] == best["dataset"] | {"label_noise": 0.5}
    assert noisy["protocol"] == best["protocol"] | {"study": None}
    assert noisy["seed"] == best["seed"]


def test_what_has_ended_is_not_run_again(noise: tuple[Study, Path, Any], images: Path) -> None:
    study, folder, _ = noise
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("fold_*/result.json")}
    assert len(before) == 20
    again = run_label_noise({"potential_field": config_of(images)}, folder, quiet(), [0.5])
    assert again.series["potential_field"] == study.series["potential_field"]
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("fold_*/result.json")} == before


def test_noise_that_is_there_already_is_refused(tmp_path: Path) -> None:
    configs = {"potential_field": tiny_config("dataset.label_noise=0.3")}
    with pytest.raises(ConfigError, match=r"label_noise is 0\.3 for potential_field"):
        run_label_noise(configs, tmp_path, quiet())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("levels", "message"),
    [([0.1, "0.2"], "levels must be numbers, got '0.2'"), ([0.1, 1.5], "dataset.label_noise: .* 1.5")],
)
def test_levels_are_refused_before_anything_is_trained(
    levels: list[Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        run_label_noise({"potential_field": tiny_config()}, tmp_path, quiet(), levels)
    assert not list(tmp_path.iterdir())


def test_a_study_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least one loss"):
        run_label_noise({}, tmp_path, quiet())
