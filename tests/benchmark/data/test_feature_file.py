"""What a trunk computes can be taken for a data set of its own, with the same scores."""

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from pml_potential.benchmark.config.composing import compose
from pml_potential.benchmark.config.schema import Config, ConfigError
from pml_potential.benchmark.data.datasets import load_images
from pml_potential.benchmark.data.datasets.features import load_features
from pml_potential.benchmark.data.feature_file import _names_in_order, write_features
from pml_potential.benchmark.data.image_files import ImageFiles
from pml_potential.benchmark.experiments.experiment import run_experiment
from tests.benchmark.data.datasets.miniatures import write_in_shop
from tests.benchmark.data.matrix_files import vectors, write

SMALL = (
    "protocol.study=null",
    "protocol.folds=2",
    "protocol.batch_size=8",
    "protocol.iterations_per_epoch=2",
    "protocol.max_epochs=1",
    "protocol.reproductions=2",
    "model.embedding_size=4",
)


def config_of(dataset: str, model: str, *assignments: str) -> Config:
    presets = {"protocol": "quick", "dataset": dataset, "model": model, "loss": "contrastive"}
    return compose(presets, [*SMALL, *assignments])


def test_a_run_on_the_file_is_the_run_on_the_frozen_trunk(tmp_path: Path) -> None:
    config = config_of("digits", "small_cnn", "model.freeze_trunk=true")
    path = tmp_path / "digits.npz"
    assert write_features(config, path, tmp_path / "features") == (1797, 96)
    of_vectors = config_of("features", "vectors", f"dataset.file={path}")
    # The preset has a learning rate of its own.
    embedder = {"embedder_optimizer": config.model.embedder_optimizer}
    of_vectors = of_vectors.model_copy(update={"model": of_vectors.model.model_copy(update=embedder)})
    console = Console(file=io.StringIO())
    expected = run_experiment(config, tmp_path / "frozen", console)["test"]["trained"]
    assert run_experiment(of_vectors, tmp_path / "vectors", console)["test"]["trained"] == expected


def test_parts_labels_and_paths_come_along(tmp_path: Path) -> None:
    root = write_in_shop(tmp_path / "data", 16, 4)
    config = config_of("in_shop", "small_cnn", f"dataset.root={root}")
    path = tmp_path / "shop.npz"
    write_features(config, path, tmp_path / "features")
    images, found = load_images(config.dataset), load_features(path)
    assert isinstance(images, ImageFiles)
    assert found.class_names == images.class_names
    np.testing.assert_array_equal(found.labels, images.labels)
    assert images.division is not None
    assert found.division is not None
    assert found.division.tolist() == images.division.tolist()
    assert found.ids == tuple(images.relative_path(place) for place in range(len(images.paths)))
    (cached,) = (tmp_path / "features").glob("*.npy")
    np.testing.assert_array_equal(found.vectors, np.load(cached))


def test_classes_stay_in_their_order() -> None:
    assert _names_in_order(("9", "10")) == ("9", "10")
    names = [f"{letter}!" for letter in "zyxwvutsrqponml"]
    assert _names_in_order(names) == sorted(_names_in_order(names))
    assert _names_in_order(names)[10] == "10 p!"


def test_what_cannot_be_written_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"features.pt is the file to write; .* in .npz"):
        write_features(config_of("glyphs", "small_cnn"), tmp_path / "features.pt", tmp_path)
    path = write(tmp_path, "npz", vectors(), label=list(range(24)))
    of_vectors = config_of("features", "vectors", f"dataset.file={path}")
    with pytest.raises(ConfigError, match="'features' already holds vectors"):
        write_features(of_vectors, tmp_path / "again.npz", tmp_path)
