"""Training a fold: it learns, it is recorded, it repeats, it stops, and it says when it diverged."""

import math
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import (
    EventAccumulator,
)
from torch import Tensor

from pml_potential.benchmark.config.schema import Config, ConfigError
from pml_potential.benchmark.evaluation import METRICS, PRIMARY_METRIC, embed, judge
from pml_potential.benchmark.files import read_json
from pml_potential.benchmark.models.device import training_device
from pml_potential.benchmark.training.fold import FoldResult, finished_fold
from pml_potential.benchmark.training.fold_models import best_models, untrained_models
from pml_potential.benchmark.training.fold_trainer import DivergedError
from tests.benchmark.tiny import tiny_config
from tests.benchmark.training.few_glyphs import FewFolds
from tests.pairwise import pairwise

LEARNING = ("protocol.iterations_per_epoch=3", "protocol.max_epochs=4", "protocol.patience=9")
RISE_AND_FALL = (
    "protocol.iterations_per_epoch=1",
    "protocol.max_epochs=6",
    "model.trunk_optimizer.lr=3.0e-2",
)
STILL_PROXIES = "loss.optimizer={name: SGD, lr: 1.0e-30}"


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> FewFolds:
    return FewFolds(tmp_path_factory.mktemp("features"))


@pytest.fixture(scope="module")
def train(folds: FewFolds) -> Callable[..., FoldResult]:
    return folds.train


@pytest.fixture(scope="module")
def learnt(
    train: Callable[..., FoldResult], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, FoldResult]:
    folder = tmp_path_factory.mktemp("learnt") / "fold"
    return folder, train(tiny_config(*LEARNING), folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def numbers(result: FoldResult) -> tuple[float, int, list[dict[str, float]]]:
    return result.score, result.best_epoch, result.history


def parameters(models: dict[str, torch.nn.Module]) -> Tensor:
    both = [parameter.flatten() for model in models.values() for parameter in model.parameters()]
    return torch.cat(both).detach().cpu()


def test_training_makes_the_embeddings_of_new_classes_far_better(
    train: Callable[..., FoldResult], folds: FewFolds, tmp_path: Path
) -> None:
    config = tiny_config(
        "protocol.batch_size=32", "protocol.iterations_per_epoch=40", loss="contrastive"
    )
    validation = folds.data.fold(config, 0)[1]
    models = untrained_models(config, folds.data.test(config), seed=3)
    before = judge(embed(models, validation, training_device()), torch.from_numpy(validation.labels))
    after = train(config, tmp_path / "fold")
    assert after.score > before[PRIMARY_METRIC] + 0.1


def test_the_result_is_the_best_of_the_history(learnt: tuple[Path, FoldResult]) -> None:
    folder, result = learnt
    scores = {int(entry["epoch"]): entry[PRIMARY_METRIC] for entry in result.history}
    assert list(scores) == [1, 2, 3, 4]
    assert result.score == max(scores.values()) == scores[result.best_epoch]
    assert all(math.isfinite(entry[metric]) for entry in result.history for metric in METRICS)
    assert result.seconds > 0
    assert read_json(folder / "result.json") == vars(result)
    assert finished_fold(folder) == result


def test_each_validation_is_reported(train: Callable[..., FoldResult], tmp_path: Path) -> None:
    told: list[tuple[int, float]] = []
    result = train(tiny_config(*LEARNING), tmp_path / "fold", report=lambda *report: told.append(report))
    assert told == [(entry["epoch"], entry[PRIMARY_METRIC]) for entry in result.history]


def test_sqlite_holds_the_history_and_the_losses(learnt: tuple[Path, FoldResult]) -> None:
    folder, result = learnt
    connection = sqlite3.connect(folder / "logs" / "logs.db")
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master")]
    (accuracies,) = [name for name in tables if name.startswith("accuracies")]
    scores = connection.execute(f"SELECT epoch, {PRIMARY_METRIC}_level0 FROM {accuracies}").fetchall()
    losses = [value for (value,) in connection.execute("SELECT metric_loss FROM loss_histories")]
    connection.close()
    assert scores == [(entry["epoch"], entry[PRIMARY_METRIC]) for entry in result.history]
    assert len(losses) == 12
    assert all(math.isfinite(value) for value in losses)


def test_csv_files_repeat_the_tables(learnt: tuple[Path, FoldResult]) -> None:
    folder, result = learnt
    (path,) = (folder / "logs").glob("accuracies*.csv")
    header, *rows = path.read_text().splitlines()
    assert f"{PRIMARY_METRIC}_level0" in header
    assert len(rows) == len(result.history)


def test_tensorboard_reads_scalars(learnt: tuple[Path, FoldResult]) -> None:
    folder, result = learnt
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    (tag,) = [tag for tag in events.Tags()["scalars"] if f"{PRIMARY_METRIC}_level0" in tag]
    assert [event.value for event in events.Scalars(tag)] == pytest.approx(
        [entry[PRIMARY_METRIC] for entry in result.history]
    )


def test_the_same_seed_gives_the_same_bits(
    train: Callable[..., FoldResult],
    learnt: tuple[Path, FoldResult],
    folds: FewFolds,
    tmp_path: Path,
) -> None:
    folder, result = learnt
    config = tiny_config(*LEARNING)
    again = train(config, tmp_path / "again")
    assert numbers(again) == numbers(result)
    folders = (folder, tmp_path / "again")
    weights = [parameters(best_models(config, folds.data.images.channels, each)) for each in folders]
    assert weights[0].equal(weights[1])


def test_another_seed_gives_other_numbers(
    train: Callable[..., FoldResult], learnt: tuple[Path, FoldResult], tmp_path: Path
) -> None:
    assert train(tiny_config(*LEARNING), tmp_path / "fold", seed=4).history != learnt[1].history


def test_keeping_models_does_not_change_the_numbers(
    train: Callable[..., FoldResult], learnt: tuple[Path, FoldResult], tmp_path: Path
) -> None:
    without = train(tiny_config(*LEARNING), tmp_path / "fold", keep_models=False)
    assert numbers(without) == numbers(learnt[1])
    assert not list((tmp_path / "fold").rglob("*.pth"))


def test_a_finished_fold_is_not_trained_again(
    train: Callable[..., FoldResult], learnt: tuple[Path, FoldResult]
) -> None:
    folder, result = learnt
    before, reports = contents(folder), []
    again = train(tiny_config(*LEARNING), folder, seed=99, report=lambda *told: reports.append(told))
    assert again == result
    assert reports == []
    assert contents(folder) == before


def stops_after(scores: list[float], interval: int, patience: int) -> int:
    """Epoch at which training stops: the first at which the best is more than `patience` old."""
    best_epoch, best = 0, -1.0
    for place, score in enumerate(scores):
        epoch = (place + 1) * interval
        if score > best:
            best_epoch, best = epoch, score
        if epoch - best_epoch > patience:
            return epoch
    return len(scores) * interval


@pytest.mark.parametrize(
    ("patience", "interval", "stops_early"), [(0, 1, True), (1, 1, True), (1, 2, True), (9, 1, False)]
)
def test_patience_stops_training_when_it_should_and_not_before(
    train: Callable[..., FoldResult], tmp_path: Path, patience: int, interval: int, stops_early: bool
) -> None:
    budget = (*RISE_AND_FALL, f"protocol.validation_interval={interval}")
    result = train(tiny_config(*budget, f"protocol.patience={patience}"), tmp_path / "fold", seed=4)
    whole = train(tiny_config(*budget, "protocol.patience=99"), tmp_path / "whole", seed=4)
    scores = [entry[PRIMARY_METRIC] for entry in whole.history]
    last = stops_after(scores, interval, patience)
    assert (last < 6) == stops_early
    assert result.history == whole.history[: last // interval]


@pytest.mark.parametrize(
    "assignments", [("protocol.validation_interval=2",), ("protocol.validation_interval=10",)]
)
def test_a_run_that_would_never_validate_is_refused(
    train: Callable[..., FoldResult], tmp_path: Path, assignments: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError, match="validation_interval"):
        train(tiny_config(*assignments), tmp_path / "fold")


HUGE = "model.trunk_optimizer.lr=1.0e+30"
DIVERGING = {
    "the trunk after its first step": (HUGE, "protocol.iterations_per_epoch=4"),
    "the trunk in the last step before validation": (HUGE, "protocol.iterations_per_epoch=1"),
    "the embeddings by an overflow": (
        "model.embedder_optimizer={name: SGD, lr: 1.0e+38}",
        "protocol.iterations_per_epoch=4",
    ),
}
LOSSES = (
    "potential_field",
    "cpml",
    "mean_field_contrastive",
    "class_wise_multi_similarity",
    "mean_field_class_wise_multi_similarity",
    "contrastive",
    "proxy_anchor",
)


@pytest.mark.parametrize(
    ("loss", "cause", "keep_models"), pairwise(LOSSES, tuple(DIVERGING), (True, False))
)
def test_what_diverges_is_an_error_that_names_the_epoch_and_no_score(
    train: Callable[..., FoldResult], tmp_path: Path, loss: str, cause: str, keep_models: bool
) -> None:
    config = tiny_config(*DIVERGING[cause], loss=loss)
    with pytest.raises(DivergedError, match="epoch 1"):
        train(config, tmp_path / "fold", keep_models=keep_models)
    assert finished_fold(tmp_path / "fold") is None


@pytest.mark.parametrize("loss", ["contrastive", "potential_field"])
def test_a_diverging_loss_is_an_error_that_names_the_iteration(
    train: Callable[..., FoldResult], tmp_path: Path, loss: str
) -> None:
    config = tiny_config(*DIVERGING["the trunk after its first step"], loss=loss)
    with pytest.raises(DivergedError, match="iteration 2"):
        train(config, tmp_path / "fold")


def test_proxies_that_overflow_are_no_score(train: Callable[..., FoldResult], tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match="epoch 1"):
        train(
            tiny_config("loss.optimizer.lr=1.0e+38", "protocol.iterations_per_epoch=4"),
            tmp_path / "fold",
        )


def test_an_embedder_is_trained_on_features(train: Callable[..., FoldResult], tmp_path: Path) -> None:
    result = train(tiny_config("model.freeze_trunk=true", "protocol.max_epochs=3"), tmp_path / "fold")
    assert 0 < result.score <= 1


def distance_to_own_class(proxies: Tensor, embeddings: Tensor, labels: Tensor) -> float:
    """Mean distance from a proxy to the nearest embedding of its class."""
    own = torch.arange(len(proxies)) // (len(proxies) // int(labels.max() + 1))
    distances = torch.cdist(torch.nn.functional.normalize(proxies, dim=1), embeddings)
    return distances.where(own[:, None] == labels, torch.inf).amin(1).mean().item()


def saved_models(
    config: Config, channels: int, folder: Path
) -> tuple[dict[str, torch.nn.Module], Tensor]:
    """The models and the proxies as they were saved at the only validation."""
    state = torch.load(folder / "models" / "metric_loss_best.pth", weights_only=True)
    return best_models(config, channels, folder), state["proxies"].cpu()


@pytest.mark.parametrize(("after", "moved"), [("null", False), ("0", True), ("1", True)])
def test_proxies_start_in_the_data_when_they_are_told_to(
    train: Callable[..., FoldResult], folds: FewFolds, tmp_path: Path, after: str, moved: bool
) -> None:
    config = tiny_config(
        STILL_PROXIES,
        f"loss.initialize_proxies_after_epoch={after}",
        "search.loss.optimizer.lr=null",
        "protocol.max_epochs=2",
        "protocol.validation_interval=2",
        "model.trunk_optimizer={name: SGD, lr: 1.0e-30}",
        "model.embedder_optimizer={name: SGD, lr: 1.0e-30}",
    )
    train(config, tmp_path / "fold")
    models, proxies = saved_models(config, folds.data.images.channels, tmp_path / "fold")
    if after == "0":
        models = untrained_models(config, folds.data.test(config), seed=3)
    training = folds.data.fold(config, 0)[0]
    embeddings = embed(models, training, training_device()).cpu()
    distance = distance_to_own_class(proxies, embeddings, torch.from_numpy(training.labels))
    assert distance < 0.2 if moved else distance > 0.8


def test_proxies_that_would_start_after_the_last_epoch_are_refused(
    train: Callable[..., FoldResult], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="initialize_proxies_after_epoch"):
        train(tiny_config("loss.initialize_proxies_after_epoch=7"), tmp_path / "fold")
