"""Label noise in a run: the same wrong labels for every trial, and none where it is judged."""

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from tiny import tiny_config

from pml_potential.benchmark.comparison import compare_runs
from pml_potential.benchmark.config import compose, preset_names
from pml_potential.benchmark.datasets import load_glyphs
from pml_potential.benchmark.experiment import run_experiment
from pml_potential.benchmark.folds import FoldData, divide
from pml_potential.benchmark.published_figures import published_figures
from pml_potential.benchmark.schema import Config, ConfigError

NOISY = "dataset.label_noise=0.2"


def data_of(*assignments: str) -> FoldData:
    return divide(tiny_config(*assignments), load_glyphs(), Path("not used"))


@pytest.fixture(scope="module")
def clean() -> FoldData:
    return data_of()


@pytest.fixture(scope="module")
def noisy() -> FoldData:
    return data_of(NOISY)


def test_a_fifth_of_the_training_labels_is_wrong_and_of_training_classes(
    clean: FoldData, noisy: FoldData
) -> None:
    for fold in range(2):
        before, after = (data.fold(fold)[0].labels for data in (clean, noisy))
        assert np.mean(before != after) == pytest.approx(0.2, abs=0.5 / len(before))
        assert set(after) <= set(before)


def test_what_is_read_has_the_wrong_label(noisy: FoldData) -> None:
    train, _ = noisy.fold(0)
    assert [train[index][1] for index in range(50)] == train.labels[:50].tolist()


def test_validation_and_test_labels_stay_clean(clean: FoldData, noisy: FoldData) -> None:
    for fold in range(2):
        np.testing.assert_array_equal(clean.fold(fold)[1].labels, noisy.fold(fold)[1].labels)
    np.testing.assert_array_equal(clean.test.labels, noisy.test.labels)


def test_the_noise_is_the_same_for_the_whole_run_and_another_for_another_seed(noisy: FoldData) -> None:
    again, other = data_of(NOISY), data_of(NOISY, "seed=1")
    for _ in range(2):
        np.testing.assert_array_equal(noisy.fold(1)[0].labels, again.fold(1)[0].labels)
    assert (noisy.fold(1)[0].labels != other.fold(1)[0].labels).any()


def test_a_report_says_that_labels_are_wrong_and_a_comparison_keeps_to_one_noise(tmp_path: Path) -> None:
    folders = []
    for noise in (0.0, 0.2):
        folders.append(tmp_path / str(noise))
        config = tiny_config(f"dataset.label_noise={noise}", "protocol.study=null")
        run_experiment(config, folders[-1], Console(file=io.StringIO()))
    pages = [(folder / "report" / "index.html").read_text() for folder in folders]
    assert ["20% of the training labels are wrong" in page for page in pages] == [False, True]
    with pytest.raises(ConfigError, match=r"dataset.label_noise: 0.0 and 0.2"):
        compare_runs(folders)


def composed(protocol: str, *assignments: str) -> Config:
    presets = {"dataset": "cub200", "model": "bn_inception", "loss": "contrastive"}
    return compose(presets | {"protocol": protocol}, assignments)


@pytest.mark.parametrize("protocol", preset_names("protocol"))
def test_every_protocol_takes_noise(protocol: str) -> None:
    assert composed(protocol, NOISY).dataset.label_noise == 0.2


@pytest.mark.parametrize("protocol", ["mlrc", "traditional"])
def test_no_published_figure_stands_beside_a_run_with_noise(protocol: str) -> None:
    assert published_figures(composed(protocol)) is not None
    assert published_figures(composed(protocol, NOISY)) is None


@pytest.mark.parametrize("noise", ["-0.1", "1.1", "lots", ".nan"])
def test_a_share_that_is_none_is_refused(noise: str) -> None:
    with pytest.raises(ConfigError, match=r"dataset.label_noise"):
        tiny_config(f"dataset.label_noise={noise}")
