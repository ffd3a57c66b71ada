"""What a model finds is shown as it is, kept, and not needed again."""

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from pml_potential.analysis.nearest_neighbors import nearest_neighbors
from pml_potential.benchmark.config.composing import compose
from pml_potential.benchmark.config.run_folder import RunFolder, fold_folder
from pml_potential.benchmark.data.folds import load_fold_data
from pml_potential.benchmark.evaluation import embed, judge
from pml_potential.benchmark.experiments.experiment import run_experiment
from pml_potential.benchmark.files import read_json, write_json, write_state
from pml_potential.benchmark.report import retrieval
from pml_potential.benchmark.report.results import read_results
from pml_potential.benchmark.report.retrieval import retrieval_of_run
from pml_potential.benchmark.training.fold_models import best_models
from pml_potential.benchmark.training.names import check_names
from tests.benchmark.conftest import Experiment
from tests.benchmark.data.datasets.miniatures import write_class_folders, write_in_shop
from tests.benchmark.data.matrix_files import vectors, write
from tests.benchmark.tiny import PRESETS, TINY


def tiny_run(folder: Path, *assignments: str, classes: int = 8, images: int = 6) -> Path:
    """A run without search on a folder of pictures."""
    root = write_class_folders(folder / "data", classes=classes, images=images)
    presets = PRESETS | {"dataset": "folder"}
    others = [f"dataset.root={root}", "protocol.study=null", "search={}", *assignments]
    config = compose(presets, [*TINY, *others], check_names)
    run_experiment(config, folder / "runs" / "mine", Console(file=io.StringIO()))
    return folder / "runs" / "mine"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small run, and the pictures that it was made with."""
    folder = tmp_path_factory.mktemp("small")
    tiny_run(folder)
    return folder


@pytest.fixture
def ended(small: Path, tmp_path: Path) -> RunFolder:
    """A copy of that run, to be changed."""
    shutil.copytree(small / "runs", tmp_path / "runs")
    return RunFolder(tmp_path / "runs" / "mine")


def found_in(folder: Path) -> dict[str, Any]:
    return retrieval_of_run(RunFolder(folder), read_results(folder))


@pytest.fixture(scope="module")
def found(experiment: Experiment) -> dict[str, Any]:
    return found_in(experiment.folder)


def embedded(experiment: Experiment) -> tuple[torch.Tensor, torch.Tensor]:
    """The test embeddings of the first model, and their labels."""
    run = RunFolder(experiment.folder)
    data = load_fold_data(experiment.config, run.feature_cache)
    models = best_models(experiment.config, 1, fold_folder(run.reproduction(0), 0))
    points = embed(models, data.test(experiment.config), torch.device("cpu"))
    return points, torch.from_numpy(data.images.labels[data.splits.test])


def test_the_classes_average_to_the_score_of_the_model(
    experiment: Experiment, found: dict[str, Any]
) -> None:
    expected = judge(*embedded(experiment))
    total = sum(each["queries"] for each in found["classes"])
    assert total == found["images"] == found["test_images"]
    for metric in ("precision_at_1", "mean_average_precision_at_r"):
        averaged = sum(each["queries"] * each[metric] for each in found["classes"]) / total
        assert averaged == pytest.approx(expected[metric], abs=1e-6)
    hardness = [each["mean_average_precision_at_r"] for each in found["classes"]]
    assert hardness == sorted(hardness)


def test_a_row_has_the_nearest_neighbours_of_its_query_and_which_are_right(
    experiment: Experiment, found: dict[str, Any]
) -> None:
    points, _ = embedded(experiment)
    run = RunFolder(experiment.folder)
    data = load_fold_data(experiment.config, run.feature_cache)
    place = {f"image {index}": number for number, index in enumerate(data.splits.test.tolist())}
    rows = [*found["rows"]["others"], *found["rows"]["hardest"]]
    assert len(rows) == 10
    for row in rows:
        (expected,) = nearest_neighbors(points, 6, [place[row["query"]["name"]]]).tolist()
        assert [place[each["name"]] for each in row["neighbors"]] == expected
        assert [each["hit"] for each in row["neighbors"]] == [
            each["class"] == row["query"]["class"] for each in row["neighbors"]
        ]
        assert row["query"]["picture"].startswith("data:image/jpeg;base64,")
    hardest = [each["class"] for each in found["classes"][:5]]
    assert [row["query"]["class"] for row in found["rows"]["hardest"]] == hardest
    others = {row["query"]["class"] for row in found["rows"]["others"]}
    assert len(others) == 5
    assert not others & set(hardest)


def test_the_map_is_bounded_and_names_the_class_of_each_point(found: dict[str, Any]) -> None:
    placed = found["map"]
    assert len(placed["x"]) == len(placed["y"]) == len(placed["class"]) == retrieval.MOST_ON_MAP
    assert set(placed["class"]) == {each["class"] for each in found["classes"]}


def test_what_is_kept_stays_below_half_a_megabyte(experiment: Experiment, found: dict[str, Any]) -> None:
    assert found == read_json(RunFolder(experiment.folder).retrieval)
    assert RunFolder(experiment.folder).retrieval.stat().st_size < 500_000


def test_a_run_keeps_it_at_its_end_and_needs_neither_images_nor_models_again(ended: RunFolder) -> None:
    kept = ended.retrieval.read_bytes()
    shutil.rmtree(ended.path / "reproductions")
    assert "missing" not in found_in(ended.path)
    assert ended.retrieval.read_bytes() == kept


def test_an_old_run_is_looked_at_again_and_gives_the_same(ended: RunFolder) -> None:
    kept = ended.retrieval.read_bytes()
    ended.retrieval.unlink()
    assert "missing" not in found_in(ended.path)
    assert ended.retrieval.read_bytes() == kept


def test_what_was_kept_of_another_model_is_not_shown(ended: RunFolder) -> None:
    kept = read_json(ended.retrieval)
    write_json(ended.retrieval, kept | {"model": kept["model"] | {"score": 2.0}, "images": 1})
    assert found_in(ended.path) == kept


@pytest.mark.filterwarnings("ignore:.* is damaged")
def test_damage_is_made_good(ended: RunFolder) -> None:
    kept = ended.retrieval.read_bytes()
    for damage in (kept[:1000], b'{"format": 1}', b"[1]"):
        ended.retrieval.write_bytes(damage)
        found_in(ended.path)
        assert ended.retrieval.read_bytes() == kept


def test_an_old_run_without_its_images_says_what_is_missing(small: Path, ended: RunFolder) -> None:
    ended.retrieval.unlink()
    (small / "data").rename(small / "moved")
    found = found_in(ended.path)
    (small / "moved").rename(small / "data")
    assert set(found) == {"missing"}
    assert str(small / "data") in found["missing"]
    assert not ended.retrieval.exists()


@pytest.mark.parametrize("name", ["trunk_best.pth", "embedder_best.pth"])
def test_an_old_run_without_its_models_says_what_is_missing(ended: RunFolder, name: str) -> None:
    ended.retrieval.unlink()
    (fold_folder(ended.reproduction(0), 0) / "models" / name).unlink()
    assert name in found_in(ended.path)["missing"]


def test_models_that_no_longer_fit_the_network_are_said_to_be_so(ended: RunFolder) -> None:
    ended.retrieval.unlink()
    state = {"weight": torch.zeros(1, 1), "bias": torch.zeros(1)}
    write_state(fold_folder(ended.reproduction(0), 0) / "models" / "embedder_best.pth", state)
    assert "size mismatch" in found_in(ended.path)["missing"]


def test_the_first_reproduction_that_came_to_a_result_is_shown(ended: RunFolder) -> None:
    results = read_results(ended.path)
    results["reproductions"][0] |= {"failure": "the loss is nan", "folds": []}
    assert retrieval_of_run(ended, results)["model"]["reproduction"] == 2
    results["reproductions"][1] |= {"failure": "the loss is nan", "folds": []}
    assert retrieval_of_run(ended, results) == {"missing": "no reproduction succeeded"}


def test_small_sets_have_fewer_neighbours_and_no_map(tmp_path: Path) -> None:
    found = found_in(tiny_run(tmp_path, "protocol.folds=1", classes=4, images=2))
    asked = [row["query"]["name"] for row in found["rows"]["hardest"]]
    assert len(set(asked)) == len(asked) == 2
    assert [len(row["neighbors"]) for row in found["rows"]["hardest"]] == [3, 3]
    assert found["map"] is None


def test_queries_look_in_the_gallery(tmp_path: Path) -> None:
    """Of a class of In-Shop the first picture is the query, the others are the gallery."""
    root = write_in_shop(tmp_path / "data", 8, 4)
    presets = PRESETS | {"protocol": "traditional_in_shop", "dataset": "in_shop"}
    small = [each for each in TINY if "folds" not in each and "study" not in each]
    others = [f"dataset.root={root}", "search={}", "protocol.validation_interval=1"]
    config = compose(presets, [*small, *others], check_names)
    run_experiment(config, tmp_path / "runs" / "mine", Console(file=io.StringIO()))
    found = found_in(tmp_path / "runs" / "mine")
    assert len(found["rows"]["hardest"]) == 4
    for row in found["rows"]["hardest"]:
        assert "/01_1_front" in row["query"]["name"]
        assert [each for each in row["neighbors"] if "/01_1_front" in each["name"]] == []
    assert [each["queries"] for each in found["classes"]] == [1] * 4


def test_vectors_have_names_and_no_pictures(tmp_path: Path) -> None:
    path = write(tmp_path, "npz", vectors(12, 4), label=np.repeat(np.arange(12), 4).tolist())
    presets = PRESETS | {"dataset": "features", "model": "vectors"}
    others = [f"dataset.file={path}", "protocol.study=null", "search={}"]
    config = compose(presets, [*TINY, *others], check_names)
    run_experiment(config, tmp_path / "runs" / "mine", Console(file=io.StringIO()))
    found = found_in(tmp_path / "runs" / "mine")
    assert found["has_pictures"] is False
    row = found["rows"]["hardest"][0]
    assert [each["picture"] for each in (row["query"], *row["neighbors"])] == [None] * 7
    assert row["query"]["name"].startswith("row ")
