"""Where files lie is remembered as whole paths, and is no part of what a configuration asks for."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from pml_potential.benchmark.config.composing import differences, read_saved
from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.data.locations import located, without_locations
from pml_potential.benchmark.experiments.experiment import join_experiment, run_experiment
from pml_potential.benchmark.experiments.sharing import Sharing
from tests.benchmark.data.datasets.miniatures import write_class_folders
from tests.benchmark.data.own_folder import folder_config
from tests.benchmark.tiny import tiny_config


def test_paths_are_made_whole_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    config = located(folder_config("imgs", "model.weights=~/w.pth"))
    assert config.dataset.root == str(tmp_path / "imgs")
    assert config.model.weights == str(tmp_path / "home" / "w.pth")
    table = located(tiny_config("dataset={name: table, file: a/b.csv}"))
    assert (table.dataset.root, table.dataset.file) == (None, str(tmp_path / "a" / "b.csv"))


def test_what_is_no_path_stays_as_it_is() -> None:
    config = tiny_config("model.weights=download")
    assert located(config) == config
    assert without_locations(config) == config


def test_configurations_that_differ_in_paths_alone_are_the_same() -> None:
    one, other = (folder_config(name, f"model.weights={name}.pth") for name in ("a", "b"))
    assert differences(without_locations(one), without_locations(other)) == []
    none = folder_config("a")
    assert differences(without_locations(one), without_locations(none)) == [
        "model.weights: 'a file' and None"
    ]


def test_a_worker_in_another_folder_finds_the_images_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own folder has other images under the same name."""
    write_class_folders(tmp_path / "here" / "imgs", classes=16, images=2)
    write_class_folders(tmp_path / "there" / "imgs", classes=20, images=2)
    run = tmp_path / "here" / "runs" / "run"
    monkeypatch.chdir(tmp_path / "here")
    results = run_experiment(folder_config("imgs"), run, Console(file=io.StringIO()))
    assert read_saved(run / "config.yaml").dataset.root == str(tmp_path / "here" / "imgs")
    monkeypatch.chdir(tmp_path / "there")
    assert join_experiment(run, Console(file=io.StringIO()), Sharing()) == results
    with pytest.raises(ConfigError, match="classes 16 and 20"):
        run_experiment(folder_config("imgs"), run, Console(file=io.StringIO()))
