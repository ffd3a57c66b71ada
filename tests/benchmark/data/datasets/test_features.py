"""A matrix of vectors with labels is a data set, from `datasets check` to an exported model."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn
from typer.testing import CliRunner, Result

from pml_potential.benchmark import load_model
from pml_potential.benchmark.commands.app import app
from pml_potential.benchmark.config.composing import compose
from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.data.datasets.features import load_features
from pml_potential.benchmark.data.folds import load_fold_data
from pml_potential.benchmark.experiments.experiment import run_experiment
from pml_potential.benchmark.training.fold_models import best_models
from tests.benchmark.data.matrix_files import KINDS, vectors, write, write_table

COUNT = 24
LABELS = np.repeat(np.arange(6), 4).tolist()
NAMES = [f"class {label}" for label in LABELS]
PARTS = ["train"] * 12 + ["query", "gallery"] * 6
SMALL = (
    "protocol.folds=2",
    "protocol.batch_size=8",
    "protocol.iterations_per_epoch=2",
    "protocol.max_epochs=1",
    "protocol.study={trials: 2, startup_trials: 1}",
    "model.embedding_size=4",
)


def command(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})


def assigned(*values: str) -> list[str]:
    return [word for value in values for word in ("--set", value)]


@pytest.mark.parametrize("kind", KINDS)
def test_labels_parts_and_ids_come_from_the_file_or_from_a_table_beside_it(
    kind: str, tmp_path: Path
) -> None:
    ids = [f"id {number}" for number in range(COUNT)]
    path = write(tmp_path, kind, vectors(), label=NAMES, split=PARTS, id=ids)
    found = load_features(path)
    np.testing.assert_array_equal(found.vectors, vectors())
    assert found.class_names == tuple(f"class {label}" for label in range(6))
    assert found.labels.tolist() == LABELS
    assert found.division is not None
    assert found.division.tolist() == PARTS
    assert found.ids == tuple(ids)


@pytest.mark.parametrize("kind", KINDS)
def test_labels_alone_are_enough(kind: str, tmp_path: Path) -> None:
    labels = [10 - label for label in LABELS]
    found = load_features(write(tmp_path, kind, vectors(), label=labels))
    assert found.class_names == ("5", "6", "7", "8", "9", "10")
    assert found.division is None
    assert found.ids is None


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_matrix_without_labels_takes_those_of_the_table_beside_it(suffix: str, tmp_path: Path) -> None:
    path = write(tmp_path, "npy", vectors())
    with pytest.raises(ConfigError, match=r"vectors.npy has no labels; give a table vectors.csv"):
        load_features(path)
    if suffix == ".csv":
        write_table(path.with_suffix(suffix), id=list(range(COUNT)), label=NAMES)
    else:
        write(tmp_path, "parquet", vectors(), label=NAMES)
    assert load_features(path).labels.tolist() == LABELS
    write_table(path.with_suffix(".tsv"), label=NAMES)
    with pytest.raises(ConfigError, match=r"could both hold the labels of vectors.npy; remove one"):
        load_features(path)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"label": NAMES[:-1]}, r"has 23 rows of 'label', and .*vectors.npz 24 vectors"),
        ({"label": NAMES, "split": PARTS[:-1]}, r"has 23 rows of 'split'"),
        ({"label": [*NAMES[:-1], " "]}, r"'label' of row 24 is ' '; it must be an integer or text"),
        ({"label": NAMES, "split": ["left", *PARTS[1:]]}, r"'split' of row 1 is 'left'; .* train, test"),
        ({"label": NAMES, "id": ["a", "a", *NAMES[2:]]}, r"the 'id' 'a' appears twice"),
        ({"lable": NAMES}, r"has no labels; give an array 'label' in it, or a table vectors.csv"),
    ],
)
def test_bad_columns_are_named(columns: dict[str, Any], reason: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=reason):
        load_features(write(tmp_path, "npz", vectors(), **columns))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_without_labels_is_named(kind: str, tmp_path: Path) -> None:
    path = write(tmp_path, "npy", vectors())
    if kind == "csv":
        write_table(path.with_suffix(".csv"), lable=NAMES)
    else:
        path = write(tmp_path, "parquet", vectors(), lable=NAMES)
    reason = rf"dataset.file.label: .*vectors.{kind} has no column 'label'; it has .*lable"
    with pytest.raises(ConfigError, match=reason):
        load_features(path)
    if kind == "parquet":
        with pytest.raises(ConfigError, match=r"'label' of row 1 is 0.5; it must be an integer or text"):
            load_features(write(tmp_path, "parquet", vectors(), label=[0.5] * COUNT))


def test_files_of_another_kind_or_place_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"vectors.pt'; a matrix must end in .npy, .npz"):
        load_features(tmp_path / "vectors.pt")
    with pytest.raises(ConfigError, match=r"vectors.npy'; there is no such file"):
        load_features(tmp_path / "vectors.npy")
    result = command("run", "--dataset", "features", "--model", "vectors")
    assert result.exit_code == 2
    assert "needs a matrix: --file VECTORS" in result.stderr


def test_vectors_and_pictures_do_not_mix(tmp_path: Path) -> None:
    path = write(tmp_path, "npz", vectors(), label=LABELS)
    result = command("run", "--dataset", "features", "--file", path)
    assert result.exit_code == 2
    assert "holds vectors, and model.trunk 'small_cnn' takes pictures" in result.stderr
    result = command("run", "--model", "vectors")
    assert result.exit_code == 2
    assert "'identity' takes vectors, and the data set 'glyphs' holds pictures" in result.stderr


@pytest.mark.parametrize("kind", ["npz", "parquet"])
def test_check_finds_copies_and_what_is_not_finite(kind: str, tmp_path: Path) -> None:
    matrix = vectors()
    matrix[7] = matrix[2]
    result = command(
        "datasets", "check", "features", "--file", write(tmp_path, kind, matrix, label=LABELS)
    )
    assert result.exit_code == 0, result.output
    assert "features: 24 images of 6 classes" in result.output
    assert "1 row is a copy of another, the first is row 8 of row 3" in result.output
    assert "vectors: 8 numbers each" in result.output
    matrix[4, 2] = np.nan
    result = command(
        "datasets", "check", "features", "--file", write(tmp_path, kind, matrix, label=LABELS)
    )
    assert result.exit_code == 1
    assert "row 5 holds NaN or infinity" in result.output


def test_a_matrix_goes_through_every_command(tmp_path: Path) -> None:
    classes, of_each = 12, 4
    matrix = vectors(classes, of_each, width=16)
    labels = np.repeat(np.arange(classes), of_each).tolist()
    path = write(tmp_path, "parquet", matrix, label=labels)
    words: list[str | Path] = [
        "--dataset",
        "features",
        "--file",
        path,
        "--model",
        "vectors",
        *assigned(*SMALL),
    ]
    folder = tmp_path / "runs" / "run"
    for name, loss in (("run", "potential_field"), ("train", "contrastive")):
        target = folder.with_name(name)
        alone = assigned("protocol.study=null")
        result = command(name, *words, *alone, "--loss", loss, "--folder", target)
        assert result.exit_code == 0, result.output
    for name, further in (("report", [folder]), ("analyze", [folder]), ("profile", words)):
        result = command(name, *further)
        assert result.exit_code == 0, result.output
    assert (folder / "analysis" / "retrieval_sheet.png").is_file()
    result = command("compare", folder, folder.with_name("train"), "--folder", tmp_path / "comparison")
    assert result.exit_code == 0, result.output
    result = command("export", folder, tmp_path / "model")
    assert result.exit_code == 0, result.output
    model = load_model(tmp_path / "model")
    embeddings = model.embed(matrix, batch_size=7)
    assert embeddings.shape == (len(matrix), 4)
    torch.testing.assert_close(embeddings, model(torch.from_numpy(matrix)).detach())
    torch.testing.assert_close(embeddings, model.embed(torch.from_numpy(matrix).double()))


def test_the_head_that_is_exported_is_the_trained_one(tmp_path: Path) -> None:
    path = write(tmp_path, "npz", vectors(12, 4), label=np.repeat(np.arange(12), 4).tolist())
    presets = {
        "protocol": "quick",
        "dataset": "features",
        "model": "vectors",
        "loss": "potential_field",
    }
    config = compose(
        presets, [*SMALL, "protocol.study=null", "model.head.start=pca", f"dataset.file={path}"]
    )
    console = Console(file=io.StringIO())
    results = run_experiment(config, tmp_path / "run", console)
    assert results["data"]["sha256"] == load_features(path).sha256
    assert results["weights_sha256"] is None
    place = tmp_path / "run" / "reproductions" / "0000" / "fold_0"
    models = best_models(config, 8, place)
    assert isinstance(models["trunk"], nn.Identity)
    assert command("export", tmp_path / "run", tmp_path / "model").exit_code == 0
    exported = load_model(tmp_path / "model")
    torch.testing.assert_close(exported.embedder.state_dict(), models["embedder"].cpu().state_dict())
    card = (tmp_path / "model" / "README.md").read_text()
    assert "image" not in card.partition("## Scores")[0]
    assert "picture" not in card
    assert "model.embed(vectors)" in card
    refused = command("export", tmp_path / "run", tmp_path / "graph", "--onnx")
    assert refused.exit_code == 2
    assert "the model takes vectors, and --onnx writes graphs that take pictures" in refused.output
    assert not (tmp_path / "graph").exists()


def test_parts_divide_the_rows(tmp_path: Path) -> None:
    path = write(tmp_path, "npz", vectors(), label=LABELS, split=PARTS)
    presets = {
        "protocol": "traditional",
        "dataset": "features",
        "model": "vectors",
        "loss": "contrastive",
    }
    data = load_fold_data(compose(presets, [f"dataset.file={path}"]), tmp_path / "cache")
    assert data.splits.folds[0].train.tolist() == list(range(12))
    assert data.splits.test.tolist() == [*range(12, 24, 2), *range(13, 24, 2)]
    assert data.splits.queries == 6
    train, _ = data.fold(compose(presets, [f"dataset.file={path}"]), 0)
    assert train.width == train.channels == 8
    torch.testing.assert_close(train[5][0], torch.from_numpy(vectors()[5]))
