"""Reproductions are judged as the protocol says, each fold with a seed of its own."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from torch import Tensor

from pml_potential.benchmark.config.composing import compose
from pml_potential.benchmark.config.run_folder import RunFolder, fold_folder
from pml_potential.benchmark.config.schema import Config, ConfigError
from pml_potential.benchmark.config.seeds import Stage, derive_seed
from pml_potential.benchmark.data.folds import FoldData, load_fold_data
from pml_potential.benchmark.data.image_files import ImageFiles
from pml_potential.benchmark.evaluation import embed, judge, score_on_test_classes
from pml_potential.benchmark.experiments.experiment import run_experiment
from pml_potential.benchmark.report.results import best_config, run_config
from pml_potential.benchmark.training.fold import train_fold
from pml_potential.benchmark.training.fold_models import best_models, untrained_models
from pml_potential.benchmark.training.names import check_names
from tests.benchmark.conftest import Experiment

CPU = torch.device("cpu")
SMALL = [
    "protocol.iterations_per_epoch=2",
    "protocol.max_epochs=2",
    "protocol.validation_interval=1",
    "protocol.batch_size=4",
    "protocol.reproductions=2",
]
DIVISION = {"train": (8, 4), "query": (6, 2), "gallery": (6, 4)}
"""Classes, and images of each; queries and gallery are of the same classes."""


def write_noise(root: Path) -> Path:
    """Images that no network tells apart, so that every score depends on who looks among whom."""
    generator = np.random.default_rng(1)
    for split, (classes, images) in DIVISION.items():
        for label in range(classes):
            folder = root / split / f"{'train' if split == 'train' else 'test'}_{label}"
            folder.mkdir(parents=True)
            for number in range(images):
                pixels = generator.integers(0, 256, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{split}_{number}.png")
    return root


def composed(root: Path, protocol: str, *assignments: str) -> Config:
    presets = {"model": "small_cnn", "loss": "contrastive"}
    own = root.parent / "own.yaml"
    own.write_text(f"dataset: {{name: folder, root: '{root}'}}\n")
    presets |= {"protocol": protocol, "dataset": str(own)}
    return compose(presets, [*SMALL, "sampler.m=2", *assignments], check_names)


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_noise(tmp_path_factory.mktemp("noise") / "images")


def run(config: Config, folder: Path) -> tuple[dict[str, Any], FoldData]:
    results = run_experiment(config, folder, Console(file=io.StringIO()))
    return results, load_fold_data(config, folder.parent / "features")


def judged_apart(embeddings: Tensor, labels: Tensor, queries: int) -> dict[str, float]:
    return judge(embeddings[:queries], labels[:queries], embeddings[queries:], labels[queries:])


def test_queries_look_in_the_gallery_in_training_and_in_the_end(noise: Path, tmp_path: Path) -> None:
    config = composed(noise, "traditional_in_shop")
    results, data = run(config, tmp_path / "runs" / "run")
    test = data.test(config)
    labels, queries = torch.from_numpy(test.labels), 12
    for number, result in enumerate(results["reproductions"]):
        place = fold_folder(RunFolder(tmp_path / "runs" / "run").reproduction(number), 0)
        seed = derive_seed(config.seed, "reproduction", number, 0)
        states = {
            "trained": best_models(config, test.channels, place),
            "untrained": untrained_models(config, test, seed),
        }
        for state, models in states.items():
            embeddings = embed(models, test, CPU)
            expected = judged_apart(embeddings, labels, queries)
            among_themselves = judge(embeddings[:queries], labels[:queries])
            assert expected != pytest.approx(among_themselves, rel=0.05), "the test tells nothing"
            found = result[state]["separated"]
            assert {metric: found[metric] for metric in expected} == pytest.approx(expected, abs=1e-6)
        best = max(entry["mean_average_precision_at_r"] for entry in result["folds"][0]["history"])
        assert best == pytest.approx(result["trained"]["separated"]["mean_average_precision_at_r"])


def test_a_division_of_ones_own_is_kept_by_cross_validation(noise: Path, tmp_path: Path) -> None:
    settings = ("protocol.folds=2", "protocol.study={trials: 1, startup_trials: 1}")
    results, data = run(composed(noise, "quick", *settings), tmp_path / "runs" / "run")
    assert isinstance(data.images, ImageFiles)
    names = [path.parent.name for path in data.images.paths]
    trained = {names[index] for fold in data.splits.folds for index in (*fold.train, *fold.validation)}
    tested = {names[index] for index in data.splits.test}
    assert trained == {f"train_{label}" for label in range(8)}
    assert tested == {f"test_{label}" for label in range(6)}
    assert data.splits.queries == 12
    assert results["data"]["classes_by_part"] == {
        "test": 6,
        "fold 1: train": 4,
        "fold 1: validation": 4,
        "fold 2: train": 4,
        "fold 2: validation": 4,
    }


def test_a_division_with_too_few_training_classes_is_refused(noise: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="8 classes for training; 5 folds of them need at least 10"):
        run(composed(noise, "quick", "protocol.folds=5"), tmp_path / "run")


def test_untrained_scores_are_those_of_the_models_before_their_first_step(
    experiment: Experiment, fold_data: FoldData
) -> None:
    config = run_config(experiment.folder, experiment.results)
    test = fold_data.test(config)
    labels = torch.from_numpy(test.labels)
    for number, result in enumerate(experiment.results["reproductions"]):
        seeds = [derive_seed(5, "reproduction", number, fold) for fold in range(2)]
        embeddings = [embed(untrained_models(config, test, seed), test, CPU) for seed in seeds]
        expected = score_on_test_classes(embeddings, labels)
        assert result["untrained"] == {
            kind: pytest.approx(scores, abs=1e-6) for kind, scores in expected.items()
        }
        assert result["untrained"] != result["trained"]


def test_untrained_heads_start_in_the_training_images_of_their_folds(
    noise: Path, tmp_path: Path
) -> None:
    quick = ("protocol.folds=2", "protocol.study=null", "model.embedding_size=4")
    config = composed(noise, "quick", *quick, "model.head.start=pca")
    results, data = run(config, tmp_path / "run")
    test = data.test(config)
    for number, result in enumerate(results["reproductions"]):
        embeddings = []
        for fold in range(2):
            seed = derive_seed(config.seed, "reproduction", number, fold)
            models = untrained_models(config, data.fold(config, fold)[0], seed)
            embeddings.append(embed(models, test, CPU))
        expected = score_on_test_classes(
            embeddings, torch.from_numpy(test.labels), data.splits.queries, config.protocol.recall_at
        )
        assert result["untrained"] == {
            kind: pytest.approx(scores, abs=1e-6) for kind, scores in expected.items()
        }


@pytest.mark.parametrize("fold", [0, 1])
def test_every_fold_has_the_seed_that_the_report_tells(
    experiment: Experiment, fold_data: FoldData, fold: int, tmp_path: Path
) -> None:
    config = best_config(experiment.folder, experiment.results)
    best = experiment.results["best"]["trial"]
    pieces: dict[Stage, tuple[int, Any]] = {
        "search": (best, experiment.results["trials"][best]["folds"]),
        "reproduction": (1, experiment.results["reproductions"][1]["folds"]),
    }
    for stage, (number, folds) in pieces.items():
        seed = derive_seed(5, stage, number, fold)
        again = train_fold(
            config, *fold_data.fold(config, fold), tmp_path / stage, seed, lambda *_: None
        )
        assert again.history == folds[fold]["history"]
