"""A run is opened with its own images, or not at all."""

import shutil
from pathlib import Path

import pytest

from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.files import read_json, write_json
from pml_potential.benchmark.report.ended_run import open_ended_run
from pml_potential.benchmark.report.results import best_config, read_results
from tests.benchmark.conftest import Experiment


def test_a_run_is_opened_with_its_results_its_best_trial_and_its_images(experiment: Experiment) -> None:
    ended = open_ended_run(experiment.folder)
    assert ended.folder.path == experiment.folder
    assert ended.results == read_results(experiment.folder)
    assert ended.config == best_config(experiment.folder, experiment.results)
    assert ended.data.images.sha256 == experiment.results["data"]["sha256"]


def changed(experiment: Experiment, folder: Path, file: str, **values: object) -> Path:
    shutil.copytree(experiment.folder, folder / "run")
    content = read_json(folder / "run" / file)
    write_json(folder / "run" / file, content | values)
    return folder / "run"


def test_a_run_without_a_model_is_refused(experiment: Experiment, tmp_path: Path) -> None:
    folder = changed(experiment, tmp_path, "report/results.json", test={})
    with pytest.raises(ConfigError, match="no reproduction succeeded"):
        open_ended_run(folder)


def test_other_images_than_those_of_the_run_are_refused(experiment: Experiment, tmp_path: Path) -> None:
    folder = changed(experiment, tmp_path, "identity.json", data="0" * 64)
    with pytest.raises(ConfigError, match="was started with different data"):
        open_ended_run(folder)
