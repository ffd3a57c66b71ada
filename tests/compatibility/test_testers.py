"""PML's testers measure what a loss has trained, and its records hold what the loss tells them."""

import csv
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_metric_learning.testers import (
    GlobalEmbeddingSpaceTester,
    GlobalTwoStreamEmbeddingSpaceTester,
    WithSameParentLabelTester,
)
from pytorch_metric_learning.trainers import MetricLossOnly
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import CustomKNN, FaissKNN
from pytorch_metric_learning.utils.logging_presets import HookContainer
from torch import Tensor
from torch.nn.functional import normalize
from torch.utils.data import TensorDataset

from pml_potential import (
    ClassWiseMultiSimilarityLoss,
    CPMLLoss,
    MeanFieldClassWiseMultiSimilarityLoss,
    MeanFieldContrastiveLoss,
    PotentialFieldLoss,
)
from pml_potential.benchmark.training.record_keeper import record_keeper
from tests.compatibility.small_training import (
    CPU,
    Modules,
    digits,
    embed,
    metric_loss,
    networks_and_loss,
    optimizers,
    parameters,
    train,
)
from tests.losses.loss_cases import FIELD_LOSSES, LOSSES, each_field_loss, each_loss

FIELDS = {"num_classes": 4, "proxies_per_class": 2}
MULTI_SIMILARITY = {"alpha": 0.01, "beta": 80.0, "base": 0.8}
MEAN_FIELDS = {"num_classes": 4, "regularization_weight": 0.0}
HYPERPARAMETERS: dict[Any, dict[str, Any]] = {
    PotentialFieldLoss: {**FIELDS, "alpha": 4.0, "delta": 0.2, "delta_rep": 0.2, "core_radius": 0.1},
    CPMLLoss: {**FIELDS, "delta": 0.2},
    MeanFieldContrastiveLoss: {**MEAN_FIELDS, "pos_margin": 0.02, "neg_margin": 0.3},
    ClassWiseMultiSimilarityLoss: MULTI_SIMILARITY,
    MeanFieldClassWiseMultiSimilarityLoss: {**MEAN_FIELDS, **MULTI_SIMILARITY},
}
FIELD_STATISTICS = [
    "attraction_energy",
    "repulsion_energy",
    "share_of_acting_pairs",
    "mean_proxy_distance",
]
STATISTICS: dict[Any, list[str]] = {
    loss: FIELD_STATISTICS if loss in FIELD_LOSSES else ["attraction_loss", "repulsion_loss"]
    for loss in LOSSES
}


def trained(loss_class: Any) -> Modules:
    modules = networks_and_loss(loss_class)
    train(modules, metric_loss, [digits()] * 5)
    return modules


def measured(tester_class: Any, modules: Modules, knn_func: Any, *tensors: Tensor) -> float:
    calculator = AccuracyCalculator(include=("precision_at_1",), knn_func=knn_func, device=CPU)
    tester = tester_class(accuracy_calculator=calculator, dataloader_num_workers=0, data_device=CPU)
    splits = {"test": TensorDataset(*tensors)}
    accuracies = tester.test(splits, 1, modules["trunk"], modules["embedder"])
    precision: float = accuracies["test"]["precision_at_1_level0"]
    return precision


def precision_at_1(distances: Tensor, query_labels: Tensor, labels: Tensor) -> float:
    return (labels[distances.argmin(dim=1)] == query_labels).double().mean().item()


@torch.no_grad()
def distances_between(modules: Modules, images: Tensor, others: Tensor) -> Tensor:
    return torch.cdist(normalize(embed(modules, images)), normalize(embed(modules, others)))


def distances_to_others(modules: Modules, images: Tensor) -> Tensor:
    return distances_between(modules, images, images).fill_diagonal_(math.inf)


@pytest.mark.feature("Testers and records", "`GlobalEmbeddingSpaceTester`")
@pytest.mark.parametrize("with_faiss", [True, False])
@each_loss
def test_global_embedding_space(loss_class: Any, with_faiss: bool) -> None:
    modules = trained(loss_class)
    images, labels = digits()
    knn_func = FaissKNN() if with_faiss else CustomKNN(modules["metric_loss"].distance)
    precision = measured(GlobalEmbeddingSpaceTester, modules, knn_func, images, labels)
    expected = precision_at_1(distances_to_others(modules, images), labels, labels)
    assert precision == pytest.approx(expected)
    assert 0.25 < precision < 1


@pytest.mark.feature("Testers and records", "`WithSameParentLabelTester`")
@each_loss
def test_same_parent_label(loss_class: Any) -> None:
    modules = trained(loss_class)
    images, labels = digits()
    parents = labels % 2
    both = torch.stack([labels, parents], dim=1)
    knn_func = CustomKNN(modules["metric_loss"].distance)
    precision = measured(WithSameParentLabelTester, modules, knn_func, images, both)
    siblings = parents[:, None] == parents
    distances = distances_to_others(modules, images).masked_fill(~siblings, math.inf)
    of_parents = [
        precision_at_1(distances[parents == parent], labels[parents == parent], labels)
        for parent in (0, 1)
    ]
    assert precision == pytest.approx(sum(of_parents) / 2)


@pytest.mark.feature("Testers and records", "`GlobalTwoStreamEmbeddingSpaceTester`")
@each_loss
def test_global_two_stream_embedding_space(loss_class: Any) -> None:
    modules = trained(loss_class)
    images, labels = digits()
    others = images + 0.3 * torch.randn_like(images)
    knn_func = CustomKNN(modules["metric_loss"].distance)
    tester_class = GlobalTwoStreamEmbeddingSpaceTester
    precision = measured(tester_class, modules, knn_func, images, others, labels)
    expected = precision_at_1(distances_between(modules, images, others), labels, labels)
    assert precision == pytest.approx(expected)


Table = dict[str, list[Any]]


def run_with_hooks(modules: Modules, folder: Path) -> tuple[Table, list[dict[str, str]], Any]:
    """Train two epochs with ``HookContainer``.

    Returns the loss's table of the database, the same as CSV, and the trainer with the hooks.
    """
    loss = modules["metric_loss"]
    table = f"metric_loss_{type(loss).__name__}"
    dataset = TensorDataset(*digits())
    with record_keeper(folder) as keeper:
        hooks = HookContainer(keeper, primary_metric="precision_at_1", log_freq=1)
        tester = GlobalEmbeddingSpaceTester(
            accuracy_calculator=AccuracyCalculator(include=("precision_at_1",), device=CPU),
            end_of_testing_hook=hooks.end_of_testing_hook,
            dataloader_num_workers=0,
            data_device=CPU,
        )
        trainer = MetricLossOnly(
            models={name: modules[name] for name in ("trunk", "embedder")},
            optimizers=optimizers(modules),
            batch_size=64,
            loss_funcs={"metric_loss": loss},
            dataset=dataset,
            dataloader_num_workers=0,
            data_device=CPU,
            end_of_iteration_hook=hooks.end_of_iteration_hook,
            end_of_epoch_hook=hooks.end_of_epoch_hook(tester, {"val": dataset}, str(folder / "models")),
        )
        trainer.train(num_epochs=2)
        records = keeper.query(f"SELECT * FROM {table}", return_dict=True)
        with (folder / "logs" / f"{table}.csv").open() as file:
            return records, list(csv.DictReader(file)), (hooks, trainer)


@pytest.mark.feature("Testers and records", "`HookContainer`: hyperparameters")
@each_loss
def test_records_of_hyperparameters(loss_class: Any, tmp_path: Path) -> None:
    records, rows, _ = run_with_hooks(networks_and_loss(loss_class), tmp_path)
    assert records.pop("~iteration~") == [0, 1, 2, 3]
    assert {name for name in records if name != "id"} == set(HYPERPARAMETERS[loss_class])
    for name, value in HYPERPARAMETERS[loss_class].items():
        assert records[name] == [value] * 4
        assert [float(row[name]) for row in rows] == [value] * 4


@pytest.mark.feature("Testers and records", "`HookContainer`: statistics", "with `collect_stats=True`")
@each_loss
def test_records_of_statistics(loss_class: Any, tmp_path: Path) -> None:
    modules = networks_and_loss(loss_class, collect_stats=True)
    records, rows, _ = run_with_hooks(modules, tmp_path)
    for name in STATISTICS[loss_class]:
        assert [float(row[name]) for row in rows] == records[name]
        assert all(math.isfinite(value) for value in records[name])
        assert len(set(records[name])) > 1


@pytest.mark.feature("Testers and records", "`HookContainer`: saving and resuming")
@each_loss
def test_saved_models_are_loaded_again(loss_class: Any, tmp_path: Path) -> None:
    modules = networks_and_loss(loss_class)
    _, _, (hooks, trainer) = run_with_hooks(modules, tmp_path)
    last = parameters(modules)
    for module in modules.values():
        for parameter in module.parameters():
            parameter.data.zero_()
    assert hooks.load_latest_saved_models(trainer, str(tmp_path / "models"), CPU) == 3
    torch.testing.assert_close(parameters(modules), last, rtol=0, atol=0)


@each_field_loss
def test_records_of_a_loss_without_proxies(loss_class: Any, tmp_path: Path) -> None:
    modules = networks_and_loss(loss_class, proxies_per_class=0)
    records, _, _ = run_with_hooks(modules, tmp_path)
    assert records["proxies_per_class"] == [0] * len(records["id"])
