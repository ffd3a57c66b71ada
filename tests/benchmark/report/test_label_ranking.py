"""Wrong labels come first, and are judged by models that were not trained on their class."""

import csv
import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from sklearn.metrics import roc_auc_score

from pml_potential.benchmark.config.composing import compose
from pml_potential.benchmark.config.run_folder import RunFolder, fold_folder
from pml_potential.benchmark.data.folds import load_fold_data
from pml_potential.benchmark.evaluation import embed
from pml_potential.benchmark.experiments.experiment import run_experiment
from pml_potential.benchmark.report.label_ranking import LabelRanking, rank_labels, write_ranking
from pml_potential.benchmark.training.fold_models import best_models
from pml_potential.benchmark.training.names import check_names
from tests.benchmark.conftest import Experiment
from tests.benchmark.data.datasets.miniatures import write_class_folders
from tests.benchmark.report.page_reader import Page
from tests.benchmark.tiny import PRESETS, TINY

WRONG = {(0, 1, 5), (1, 2, 7), (2, 0, 3), (3, 6, 2), (5, 7, 1), (6, 4, 9), (7, 3, 4)}
"""Class, class that the picture is put into, and number of the picture."""


def run_on_wrong_labels(folder: Path, *assignments: str) -> Path:
    """A tiny run on a folder of eight classes with twelve pictures each, of which seven lie wrong."""
    root = write_class_folders(folder / "data", classes=8, images=12)
    for label, other, number in WRONG:
        path = sorted((root / f"kind_{label}").iterdir())[number]
        shutil.move(path, root / f"kind_{other}" / f"wrong_{path.name}")
    presets = PRESETS | {"dataset": "folder"}
    others = [f"dataset.root={root}", "protocol.study=null", "search={}", *assignments]
    config = compose(presets, [*TINY, *others], check_names)
    run_experiment(config, folder / "runs" / "mine", Console(file=io.StringIO()))
    return folder / "runs" / "mine"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_on_wrong_labels(tmp_path_factory.mktemp("wrong"))


@pytest.fixture(scope="module")
def ranking(run: Path) -> LabelRanking:
    return rank_labels(run)


def is_wrong(ranking: LabelRanking) -> list[bool]:
    return ["wrong" in path.name for path in ranking.images.paths]  # type: ignore[attr-defined]


def test_wrong_labels_come_first(ranking: LabelRanking) -> None:
    wrong = is_wrong(ranking)
    assert roc_auc_score(wrong, -ranking.agreement.share) > 0.95
    first = ranking.agreement.order[: len(WRONG)]
    assert sum(wrong[place] for place in first) >= 5


def test_the_right_label_is_suggested(ranking: LabelRanking) -> None:
    right = {other: label for label, other, _ in WRONG}
    suggested = [
        ranking.agreement.suggestion[place] == right[int(ranking.images.labels[place])]
        for place in np.flatnonzero(is_wrong(ranking))
    ]
    assert sum(suggested) >= 6


def shares(experiment: Experiment, places: list[tuple[int, int]]) -> Iterator[np.ndarray]:
    """Shares of ten neighbours of all images, in the models of these reproductions and folds."""
    run = RunFolder(experiment.folder)
    data = load_fold_data(experiment.config, run.feature_cache)
    labels = torch.from_numpy(data.images.labels)
    everything = data.for_evaluation(experiment.config, np.arange(len(labels)))
    for reproduction, fold in places:
        kept = fold_folder(run.reproduction(reproduction), fold)
        points = embed(best_models(experiment.config, 1, kept), everything, torch.device("cpu"))
        near = (points @ points.T).fill_diagonal_(-2).topk(10, dim=1).indices
        yield (labels[near] == labels[:, None]).double().mean(dim=1).numpy()


def test_no_model_judges_a_class_that_it_was_trained_on(experiment: Experiment) -> None:
    ranking = rank_labels(experiment.folder)
    splits = load_fold_data(experiment.config, RunFolder(experiment.folder).feature_cache).splits
    by_fold = {
        fold: np.mean(list(shares(experiment, [(0, fold), (1, fold)])), axis=0) for fold in (0, 1)
    }
    for fold, found in by_fold.items():
        held_out = splits.folds[fold].validation
        assert np.abs(ranking.agreement.share[held_out] - found[held_out]).max() <= 0.1
        assert ranking.agreement.share[held_out].mean() == pytest.approx(
            found[held_out].mean(), abs=1e-3
        )
    together = np.mean(list(by_fold.values()), axis=0)[splits.test]
    assert ranking.agreement.share[splits.test].mean() == pytest.approx(together.mean(), abs=1e-3)
    assert ranking.held_out.all()


def test_with_one_fold_training_images_are_not_held_out(tmp_path: Path) -> None:
    ranking = rank_labels(run_on_wrong_labels(tmp_path, "protocol.folds=1"))
    assert ranking.held_out.tolist() == (ranking.images.labels >= 4).tolist()
    assert not np.isnan(ranking.agreement.share).any()


def test_the_files_have_every_image_and_show_the_first(ranking: LabelRanking, tmp_path: Path) -> None:
    page = Page(write_ranking(ranking, tmp_path).read_text("utf-8"))
    rows = list(csv.DictReader((tmp_path / "labels.csv").read_text("utf-8").splitlines()))
    assert len(rows) == 96
    assert [int(row["rank"]) for row in rows] == list(range(1, 97))
    assert rows[0]["held_out"] == "yes"
    assert "wrong" in rows[0]["image"]
    assert float(rows[0]["share"]) < float(rows[0]["support"])
    assert page.tags.count("img") == 60 * 5
    assert {address.partition(",")[0] for address in page.loads} == {"data:image/jpeg;base64"}
    assert f"{ranking.doubted} of 96 images have more neighbours of another class" in page.text


def test_small_classes_are_asked_for_no_more_than_they_have(tmp_path: Path) -> None:
    root = write_class_folders(tmp_path / "data", classes=8, images=3)
    others = [f"dataset.root={root}", "protocol.study=null", "search={}"]
    config = compose(PRESETS | {"dataset": "folder"}, [*TINY, *others], check_names)
    run_experiment(config, tmp_path / "runs" / "mine", Console(file=io.StringIO()))
    assert set(rank_labels(tmp_path / "runs" / "mine").agreement.share.tolist()) <= {
        0,
        0.25,
        0.5,
        0.75,
        1,
    }
