"""Label noise in a run: the same wrong labels for every trial, and none where it is judged."""

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from pml_potential.benchmark.config.composing import compose
from pml_potential.benchmark.config.presets import preset_names
from pml_potential.benchmark.config.schema import Config, ConfigError
from pml_potential.benchmark.data.datasets import load_glyphs
from pml_potential.benchmark.data.folds import FoldData, divide
from pml_potential.benchmark.experiments.experiment import run_experiment
from pml_potential.benchmark.report.comparison import compare_runs
from pml_potential.benchmark.report.published_figures import published_figures
from pml_potential.benchmark.training.names import check_names
from tests.benchmark.tiny import tiny_config

NOISY = "dataset.label_noise=0.2"


GLYPHS = load_glyphs()
CLEAN, NOISY_RUN = tiny_config(), tiny_config(NOISY)


def train_labels(config: Config, fold: int, data: FoldData) -> NDArray[np.int64]:
    return data.fold(config, fold)[0].labels


@pytest.fixture(scope="module")
def data() -> FoldData:
    return divide(CLEAN, GLYPHS, Path("not used"))


def test_a_fifth_of_the_training_labels_is_wrong_and_of_training_classes(data: FoldData) -> None:
    for fold in range(2):
        before, after = (train_labels(config, fold, data) for config in (CLEAN, NOISY_RUN))
        assert np.mean(before != after) == pytest.approx(0.2, abs=0.5 / len(before))
        assert set(after) <= set(before)


def test_what_is_read_has_the_wrong_label(data: FoldData) -> None:
    train, _ = data.fold(NOISY_RUN, 0)
    assert [train[index][1] for index in range(50)] == train.labels[:50].tolist()


def test_validation_and_test_labels_stay_clean(data: FoldData) -> None:
    for fold in range(2):
        clean, noisy = (data.fold(config, fold)[1].labels for config in (CLEAN, NOISY_RUN))
        np.testing.assert_array_equal(clean, noisy)
    np.testing.assert_array_equal(data.test(CLEAN).labels, data.test(NOISY_RUN).labels)


def test_the_noise_is_the_same_for_the_whole_run_and_another_for_another_seed(data: FoldData) -> None:
    first, again = (train_labels(NOISY_RUN, 1, data) for _ in range(2))
    other = train_labels(tiny_config(NOISY, "seed=1"), 1, data)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


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
    return compose(presets | {"protocol": protocol}, assignments, check_names)


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
